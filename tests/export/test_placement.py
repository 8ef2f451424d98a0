"""Resizing, placing and restoring in a graph, against `data.alignment` and OpenCV."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.data.alignment import place_image
from keras_vaegan.export.placement import choose_region
from keras_vaegan.export.placement import place_image as place_in_graph
from keras_vaegan.export.placement import restore_image as restore_in_graph
from keras_vaegan.export.resampling import choose_mode, resample, resize_matrix

RNG = np.random.default_rng(0)
TOLERANCE = 2e-6


@pytest.mark.parametrize(
    ("old", "new", "mode"),
    [
        ((512, 512), (256, 256), 0),  # whole-number area
        ((300, 310), (256, 256), 0),
        ((17, 40), (1, 40), 0),
        ((100, 1000), (256, 256), 1),  # fewer pixels, yet taller
        ((256, 256), (100, 500), 1),
        ((200, 200), (256, 256), 2),
        ((64, 64), (30, 300), 2),  # more pixels, yet lower
        ((20, 20), (20, 20), 2),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_opencvs(old, new, mode, channels):
    image = RNG.random((*old, channels)).astype("float32")
    flag = cv2.INTER_AREA if np.prod(old) > np.prod(new) else cv2.INTER_CUBIC
    expected = cv2.resize(image, new[::-1], interpolation=flag).reshape(*new, channels)
    chosen = choose_mode(*old, *new)
    assert int(chosen) == mode
    rows, columns = (
        resize_matrix(chosen, a, b, tf.range(b), tf.range(a)) for a, b in zip(old, new, strict=True)
    )
    made = resample(tf.constant(image, tf.float64), rows, columns)
    np.testing.assert_allclose(made, expected, atol=TOLERANCE)


@pytest.fixture(scope="module")
def graphs():
    """Place and restore as graphs of any frame, by (size, resize, align, channels)."""
    made = {}

    def get(size, resize, align, channels):
        key = (size, resize, align, channels)
        if key not in made:

            def run(image):
                region = choose_region(image, resize, align)
                square = place_in_graph(image, region, size)
                square = tf.ensure_shape(square, (size, size, channels))
                changed = tf.square(square)
                return square, restore_in_graph(changed, region, tf.shape(image)[:2])

            frame = tf.TensorSpec((None, None, channels), tf.float32)
            made[key] = tf.function(run, input_signature=[frame], autograph=False)
        return made[key]

    return get


def make_picture(height, width, channels):
    """A bright, textured ellipse off the centre, on dim noise."""
    rows, columns = np.mgrid[:height, :width]
    radius = ((rows - 0.6 * height) / (0.35 * height)) ** 2
    radius = radius + ((columns - 0.35 * width) / (0.3 * width)) ** 2
    image = np.where(radius < 1, 0.6 + 0.3 * np.cos(rows / 5) * np.sin(columns / 7), 0)
    image = image[..., None] + RNG.uniform(0, 0.05, (height, width, channels))
    return image.astype("float32")


@pytest.mark.parametrize(
    ("resize", "align"), [("pad", "none"), ("stretch", "none"), ("pad", "head")]
)
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_placing_and_restoring(graphs, size, resize, align, channels):
    run = graphs(size, resize, align, channels)
    for shape in ((64, 64), (40, 61), (150, 97), (16, 200), (33, 32), (31, 20)):
        image = make_picture(*shape, channels)
        square, placement = place_image(image, size, resize, align)
        square = square.reshape(size, size, channels)
        made, frame = run(image)
        np.testing.assert_allclose(made, square, atol=TOLERANCE)
        np.testing.assert_allclose(frame, placement.restore(square**2), atol=TOLERANCE)
