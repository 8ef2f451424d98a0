"""The fastest forms against the defining ones: forward and gradient, float32 and bfloat16."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan import kernels
from keras_vaegan.kernels import plain

EPSILON = 1e-5
# float32: rounding of sums over the image; bfloat16: of the result and of its gradient (2**-8).
TOLERANCE = {"float32": 5e-6, "bfloat16": 2**-8}


def run_both_ways(function, images, change):
    """Output, and gradient for an upstream `change`, as float32 arrays."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = function(images)
    gradient = tape.gradient(output, images, output_gradients=change)
    return [np.array(tf.cast(x, tf.float32)) for x in (output, gradient)]


def make_tensors(shape, change_shape=None, dtype="float32"):
    """Random images with a mean and a spread of their own per channel, and an upstream change."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=shape) * rng.uniform(0.5, 3, shape[-1]) + rng.normal(size=shape[-1])
    change = rng.normal(size=change_shape or shape)
    return [tf.cast(tf.constant(x.astype("float32")), dtype) for x in (images, change)]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 7, 9, 3), (3, 16, 16, 8), (2, 33, 32, 17)], ids=str)
def test_fused_instance_norm_equals_the_formula(shape, dtype):
    """The fused kernel in `dtype` against the formula in float32, on the same rounded inputs."""
    images, change = make_tensors(shape, dtype=dtype)
    ours = run_both_ways(lambda x: kernels.normalize_instances(x, EPSILON), images, change)
    wide = [tf.cast(x, tf.float32) for x in (images, change)]
    expected = run_both_ways(lambda x: plain.normalize_instances(x, EPSILON), *wide)
    for received, wanted in zip(ours, expected, strict=True):
        scale = max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(received, wanted, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_instance_norm_of_an_unknown_batch_size_is_the_formula(dtype):
    images, _ = make_tensors((3, 8, 8, 4), dtype=dtype)
    signature = [tf.TensorSpec((None, 8, 8, 4), dtype)]
    function = tf.function(lambda x: kernels.normalize_instances(x, EPSILON), signature)
    expected = plain.normalize_instances(images, EPSILON)
    np.testing.assert_allclose(
        np.array(tf.cast(function(images), tf.float32)),
        np.array(tf.cast(expected, tf.float32)),
        atol=TOLERANCE[dtype] * 4,
    )


def test_each_image_is_normalised_on_its_own():
    images, _ = make_tensors((3, 12, 12, 5))
    output = np.array(kernels.normalize_instances(images, EPSILON))
    np.testing.assert_allclose(output.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(output.std(axis=(1, 2)), 1, atol=1e-4)
    alone = np.array(kernels.normalize_instances(images[1:2], EPSILON))
    np.testing.assert_allclose(output[1:2], alone, atol=1e-6)


def test_a_constant_image_becomes_zero_and_not_nan():
    images = tf.fill((2, 8, 8, 3), 5.0)
    output, gradient = run_both_ways(
        lambda x: kernels.normalize_instances(x, EPSILON), images, tf.ones_like(images)
    )
    np.testing.assert_allclose(output, 0, atol=1e-3)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("shape", "pads"),
    [
        ((2, 8, 9, 3), (1, 1)),
        ((1, 12, 8, 2), (3, 3)),
        ((2, 5, 4, 1), (3, 2)),
        ((1, 6, 6, 2), (0, 2)),
    ],
    ids=str,
)
def test_padding_by_slices_equals_the_backends_own(shape, pads, dtype):
    """The values exactly; the gradient's sums of up to four terms within rounding."""
    rows, columns = pads
    grown = (shape[0], shape[1] + 2 * rows, shape[2] + 2 * columns, shape[3])
    images, change = make_tensors(shape, grown, dtype)
    ours = run_both_ways(lambda x: kernels.pad_by_reflection(x, rows, columns), images, change)
    wide = [tf.cast(x, tf.float32) for x in (images, change)]
    widths = ((0, 0), (rows, rows), (columns, columns), (0, 0))
    expected = run_both_ways(lambda x: tf.pad(x, widths, "REFLECT"), *wide)
    np.testing.assert_array_equal(ours[0], expected[0])
    tolerance = {"float32": 1e-6, "bfloat16": 2**-8}[dtype] * np.abs(expected[1]).max()
    np.testing.assert_allclose(ours[1], expected[1], atol=2 * tolerance)
