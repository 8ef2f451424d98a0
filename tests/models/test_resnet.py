"""System C's networks: shapes, range, receptive field, spectral normalisation."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.initializers import HeNormal

from keras_vaegan.config.networks import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.models.blocks import SmoothEnlargement
from keras_vaegan.models.latent import find_latent_model
from keras_vaegan.models.layers import InstanceNormalization, SpectralConv2D
from keras_vaegan.models.patch_discriminator import build_patch_discriminator
from keras_vaegan.models.resnet import build_resnet_generator

TINY = ResnetGeneratorConfig(image_size=32, filters=(4, 8, 16), num_residual_blocks=2)
TINY_DISCRIMINATOR = PatchDiscriminatorConfig(image_size=32, filters=(4, 8, 16))
CODE_VARIANT = {"num_residual_blocks": 1, "convs_per_block": 6, "activate_block_output": True}


def make_images(count=2, channels=1, size=32):
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, channels)).astype("float32")


@pytest.mark.parametrize("size", [3, 4])
def test_transposed_convolutions_start_without_a_pattern(size):
    """A flat image comes out flat; independent random taps would give a pattern of period 2."""
    flat = np.ones((1, 8, 8, 3), "float32")
    for initializer, is_flat in ((SmoothEnlargement(3), True), (HeNormal(3), False)):
        layer = keras.layers.Conv2DTranspose(
            4, size, 2, padding="same", kernel_initializer=initializer
        )
        inside = np.asarray(layer(flat))[0, 3:-3, 3:-3]
        assert (np.ptp(inside, axis=(0, 1)).max() < 1e-5) == is_flat
        copy = keras.layers.Conv2DTranspose.from_config(layer.get_config())
        copy.build(flat.shape)
        np.testing.assert_array_equal(copy.kernel, layer.kernel)
        assert np.ptp(layer.kernel) > 0.1


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"channels": 3},
        {"output_activation": "sigmoid"},
        {"num_residual_blocks": 0},
        {"filters": (4,)},
        CODE_VARIANT,
    ],
    ids=str,
)
def test_generator_keeps_shape_and_range(change):
    config = dataclasses.replace(TINY, **change)
    image = make_images(channels=config.channels)
    output = np.array(build_resnet_generator(config)(10 * image))
    assert output.shape == image.shape
    low = 0 if config.output_activation == "sigmoid" else -1
    assert output.min() >= low and output.max() <= 1 and output.std() > 1e-3


def test_the_code_variant_is_one_unit_of_six():
    model = build_resnet_generator(TINY, **CODE_VARIANT)
    names = [layer.name for layer in model.layers if layer.name.startswith("block_")]
    assert [n for n in names if n.endswith("_conv")] == [f"block_1_{i}_conv" for i in range(1, 7)]
    assert sum(n.endswith("_activation") for n in names) == 6 and names.count("block_1_add") == 1
    assert build_resnet_generator(**CODE_VARIANT).count_params() == 4_284_673
    assert find_latent_model(model) is None
    last = model.get_layer("block_1_add").input[1]
    assert float(keras.ops.min(keras.Model(model.input, last)(make_images()))) == 0


# -- the patch ------------------------------------------------------------------------------------


def test_the_receptive_field_is_70():
    """Which pixels move the middle score of a network without norms over the whole image."""
    assert PatchDiscriminatorConfig().layer_strides == (2, 2, 2, 1, 1)
    model = build_patch_discriminator(filters=(2, 2, 2, 2), instance_norm=False)
    image = tf.constant(make_images(1, size=256))
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = model(image)[0, 15, 15, 0]
    moved = np.abs(np.array(tape.gradient(score, image)))[0, ..., 0] > 0
    for axis in (0, 1):
        touched = np.flatnonzero(moved.any(axis=axis))
        assert touched[-1] - touched[0] + 1 == 70


def test_the_map_has_a_score_per_patch():
    assert build_patch_discriminator().output_shape == (None, 30, 30, 1)
    model = build_patch_discriminator(TINY_DISCRIMINATOR)
    assert model(make_images()).shape == (2, 6, 6, 1)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(SpectralConv2D) == 3 and kinds.count(InstanceNormalization) == 2
    assert type(model.get_layer("output_conv")) is keras.layers.Conv2D


# -- spectral normalisation -----------------------------------------------------------------------


def make_spectral(filters=6):
    layer = SpectralConv2D(filters, 4, 2, seed=3)
    image = np.random.default_rng(1).normal(size=(2, 8, 8, 5)).astype("float32")
    layer(image)
    layer.bias.assign(np.arange(filters))
    return layer, image


def test_power_iterations_find_the_largest_singular_value():
    layer, image = make_spectral()
    for _ in range(200):
        layer.advance()
    kernel = np.array(layer.kernel)
    sigma = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
    expected = keras.ops.conv(image, kernel / sigma, strides=2, padding="same") + np.arange(6)
    np.testing.assert_allclose(np.array(layer(image)), np.array(expected), atol=1e-5)


def test_calls_leave_the_vector_alone_and_advance_takes_one_iteration():
    layer, image = make_spectral()
    before = np.array(layer.vector_u)
    for _ in range(3):
        layer(image, training=True)
    np.testing.assert_array_equal(before, np.array(layer.vector_u))
    layer.advance()
    matrix = np.array(layer.kernel).reshape(-1, 6)
    v = matrix @ before
    u = matrix.T @ (v / np.linalg.norm(v))
    np.testing.assert_allclose(np.array(layer.vector_u), u / np.linalg.norm(u), atol=1e-6)


def test_the_kernels_gradient_goes_through_the_singular_value():
    """Growing the kernel changes nothing: the gradient along the kernel itself is 0."""
    layer, image = make_spectral()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(image)))
    gradient, kernel = np.array(tape.gradient(loss, layer.kernel.value)), np.array(layer.kernel)
    along = np.sum(gradient * kernel) / np.linalg.norm(gradient) / np.linalg.norm(kernel)
    assert abs(along) < 1e-5


def test_the_singular_value_is_float32_in_bfloat16():
    narrow = SpectralConv2D(6, 4, 2, seed=3, dtype="mixed_bfloat16")
    layer, image = make_spectral()
    narrow(image)
    narrow.set_weights(layer.get_weights())
    output = narrow(image)
    assert output.dtype == "bfloat16" and narrow.kernel.dtype == "float32"
    np.testing.assert_allclose(
        np.array(keras.ops.cast(output, "float32")), np.array(layer(image)), atol=0.03
    )
