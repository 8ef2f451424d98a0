"""System C's networks: counts, shapes, gradients, receptive field, spectral normalisation."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.initializers import HeNormal

from keras_vaegan.config.base import config_to_dict
from keras_vaegan.config.networks import PatchDiscriminatorConfig, ResnetGeneratorConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.blocks import SmoothEnlargement
from keras_vaegan.models.build import build_model
from keras_vaegan.models.latent import split_at_latent
from keras_vaegan.models.layers import InstanceNormalization, SpectralConv2D, advance_spectral_norms
from keras_vaegan.models.patch_discriminator import build_patch_discriminator
from keras_vaegan.models.resnet import build_resnet_generator
from keras_vaegan.systems.registry import get_preset

TINY = ResnetGeneratorConfig(image_size=32, filters=(4, 8, 16), num_residual_blocks=2)
TINY_JUDGE = PatchDiscriminatorConfig(image_size=32, filters=(4, 8, 16))
CODE_VARIANT = {
    "num_residual_blocks": 1, "convs_per_block": 6, "activate_block_output": True
}  # fmt: skip


def make_images(count=2, channels=1, size=32):
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, channels)).astype("float32")


def count_trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


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


def test_parameter_counts_are_the_published_ones():
    """11.37 M and 2.76 M; 4.28 M for the code behind the figures."""
    published = get_preset("resnet_cyclegan")
    assert build_model(published.generator).count_params() == 11_365_633
    assert count_trainable(build_model(published.discriminator)) == 2_762_689
    assert build_resnet_generator(**CODE_VARIANT).count_params() == 4_284_673
    small = get_preset("resnet_cyclegan_small")
    assert build_model(small.generator).count_params() == 490_945
    assert count_trainable(build_model(small.discriminator)) == 693_217


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"channels": 3},
        {"output_activation": "sigmoid"},
        {"num_residual_blocks": 0},
        {"filters": (4,), "kernel_size": 3},
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
    last = model.get_layer("block_1_add").input[1]
    assert float(keras.ops.min(keras.Model(model.input, last)(make_images()))) == 0


def has_gradients(model, output, tape):
    """Check every trainable variable's gradient; return the largest of each."""
    gradients = tape.gradient(output, [v.value for v in model.trainable_variables])
    largest = {}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        largest[variable.path] = float(np.abs(gradient).max())
    return largest


def test_every_variable_of_the_generator_gets_a_finite_gradient():
    """A bias before a normalisation is taken out again: its gradient is rounding noise."""
    model = build_resnet_generator(TINY)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(model(make_images(), training=True) - 0.3))
    largest = has_gradients(model, loss, tape)
    for path, size in largest.items():
        is_dead = path.endswith("bias") and "output_conv" not in path
        assert size < 1e-5 if is_dead else size > 1e-5, path


@pytest.mark.parametrize("spectral", [True, False])
def test_every_variable_of_the_discriminator_gets_a_finite_gradient(spectral):
    model = build_patch_discriminator(TINY_JUDGE, spectral_norm=spectral)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(make_images(), training=True) - 1) ** 2)
    largest = has_gradients(model, loss, tape)
    assert all(size > 1e-6 for path, size in largest.items() if path.endswith("kernel"))


def test_layer_names_are_fixed():
    for build, config in (
        (build_resnet_generator, TINY),
        (build_patch_discriminator, TINY_JUDGE),
    ):
        first = [layer.name for layer in build(config).layers]
        assert first == [layer.name for layer in build(config).layers]
        assert len(set(first)) == len(first)
    assert [v.path for v in build_patch_discriminator(TINY_JUDGE).trainable_variables] == [
        f"{name}/{kind}"
        for name in ("level_1_conv", "level_2_conv", "level_3_conv", "output_conv")
        for kind in ("kernel", "bias")
    ]


def test_equal_configs_build_equal_weights():
    for build, config in ((build_resnet_generator, TINY), (build_patch_discriminator, TINY_JUDGE)):
        weights = [build(config, seed=seed).get_weights() for seed in (0, 0, 9)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights[:2], strict=True))
        assert not np.array_equal(weights[0][0], weights[2][0])


def test_a_generator_without_latents_has_no_halves():
    model = build_resnet_generator(TINY)
    assert split_at_latent(model) is None


# -- the patch ------------------------------------------------------------------------------------


def test_the_receptive_field_is_70():
    """From the config, and by which pixels move the middle score of a network without norms."""
    config = PatchDiscriminatorConfig()
    assert config.receptive_field == 70
    assert config.layer_strides == (2, 2, 2, 1, 1)
    narrow = dataclasses.replace(
        config, filters=(2, 2, 2, 2), instance_norm=False, spectral_norm=False
    )
    model = build_patch_discriminator(narrow)
    image = tf.constant(make_images(1, size=256))
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = model(image)[0, 15, 15, 0]
    moved = np.abs(np.array(tape.gradient(score, image)))[0, ..., 0] > 0
    for axis in (0, 1):
        touched = np.flatnonzero(moved.any(axis=axis))
        assert touched[-1] - touched[0] + 1 == narrow.receptive_field


def test_the_map_has_a_score_per_patch():
    assert build_patch_discriminator().output_shape == (None, 30, 30, 1)
    model = build_patch_discriminator(TINY_JUDGE)
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


def test_models_survive_the_keras_format(tmp_path):
    for build, config in ((build_resnet_generator, TINY), (build_patch_discriminator, TINY_JUDGE)):
        model = build(config)
        advance_spectral_norms(model)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(
            np.array(again(make_images())), np.array(model(make_images())), atol=1e-6
        )


def test_jax_backend_without_tensorflow_gives_the_same_outputs(tmp_path):
    """Runs where `import tensorflow` is impossible, then compares (<= 1e-4)."""
    pytest.importorskip("jax", reason="the jax backend is not installed")
    models = [build_model(TINY), build_model(TINY_JUDGE)]
    image = make_images()
    weights = {f"{i}_{j}": w for i, m in enumerate(models) for j, w in enumerate(m.get_weights())}
    np.savez(tmp_path / "in.npz", image=image, **weights)
    script = """
import json, sys
sys.modules["tensorflow"] = None
import numpy as np
from keras_vaegan.config.base import config_from_dict
from keras_vaegan.models.build import build_model
folder, *configs = sys.argv[1:]
data = np.load(folder + "/in.npz")
outputs = {}
for i, text in enumerate(configs):
    model = build_model(config_from_dict(json.loads(text)))
    model.set_weights([data[f"{i}_{j}"] for j in range(len(model.weights))])
    outputs[str(i)] = np.asarray(model(data["image"]))
np.savez(folder + "/out.npz", **outputs)
"""
    configs = [json.dumps(config_to_dict(c)) for c in (TINY, TINY_JUDGE)]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", script, str(tmp_path), *configs]
    subprocess.run(command, check=True, env=environment, timeout=1800)
    theirs = np.load(tmp_path / "out.npz")
    for index, model in enumerate(models):
        np.testing.assert_allclose(theirs[str(index)], np.array(model(image)), atol=1e-4)


@pytest.mark.parametrize(
    ("build", "change", "word"),
    [
        (build_resnet_generator, {"image_size": 30}, "stride 4"),
        (build_resnet_generator, {"kernel_size": 4}, "odd"),
        (build_resnet_generator, {"filters": ()}, "at least one level"),
        (build_resnet_generator, {"convs_per_block": 0}, "at least 1"),
        (build_resnet_generator, {"num_residual_blocks": -1}, "0 or more"),
        (build_resnet_generator, {"output_activation": "relu"}, "tanh"),
        (build_patch_discriminator, {"kernel_size": 3}, "2, 4, 6 or 8"),
        (build_patch_discriminator, {"filters": (4, 0)}, "positive"),
        (build_patch_discriminator, {"channels": 2}, "1 or 3"),
        (build_patch_discriminator, {"image_size": 100}, "stride"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_bad_configs_are_refused_in_one_line(build, change, word):
    with pytest.raises(InputError, match=word) as caught:
        build(**change)
    assert "\n" not in str(caught.value)
