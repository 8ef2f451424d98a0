"""The head's box in a graph: the same integers as OpenCV's, step by step."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from keras_vaegan.exporting import head

from keras_vaegan.data.alignment import find_head_box
from keras_vaegan.data.image import image_to_unit, list_images, read_image, to_channels

RNG = np.random.default_rng(0)
FRAME = tf.TensorSpec((None, None), tf.float32)


@pytest.fixture(scope="module")
def find_box():
    return tf.function(head.find_head_box, input_signature=[FRAME], autograph=False)


@pytest.mark.parametrize(
    "shape", [(16, 16), (17, 300), (200, 180), (129, 128), (512, 40), (16, 900), (700, 640)]
)
def test_blur_is_opencvs(shape):
    image = RNG.integers(0, 256, shape).astype("uint8")
    expected = cv2.GaussianBlur(image, (0, 0), max(1.0, max(shape) / 128))
    made = head.blur(tf.constant(image, tf.float32))
    np.testing.assert_array_equal(made, expected)


def test_blur_of_white_is_white():
    made = head.blur(tf.fill((300, 300), 255.0))
    np.testing.assert_array_equal(made, 255)


def test_otsu_is_opencvs():
    """Also where levels are missing, so that several thresholds part the pixels equally well."""
    for trial in range(60):
        levels = RNG.integers(0, 256, RNG.integers(2, 30))
        image = levels[RNG.integers(0, len(levels), (60, 50))].astype("uint8")
        if trial % 2:
            image = cv2.GaussianBlur(image, (0, 0), 1)
        expected, _ = cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)
        assert head.find_otsu_threshold(tf.constant(image, tf.int32)).numpy() == expected


@pytest.mark.parametrize("side", [3, 5, 11])
def test_opening_is_opencvs(side):
    mask = cv2.GaussianBlur(RNG.random((70, 90)), (0, 0), 4) > 0.5
    expected = cv2.morphologyEx(
        mask.astype("uint8"), cv2.MORPH_OPEN, np.ones((side, side), "uint8")
    )
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(head.open_mask(tf.constant(mask), side), expected.astype(bool))


def largest_piece(mask):
    """OpenCV's answer: (top, left, height, width), area."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype("uint8"))
    if count < 2:
        return (0, 0, 0, 0), 0
    left, top, width, height, area = stats[1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])]
    return (top, left, height, width), area


def make_spiral(side=41):
    """One piece whose pixels are as far apart along it as can be, and its complement."""
    mask = np.zeros((side, side), bool)
    low, high = 0, side - 1
    while high - low > 2:
        mask[low, low : high + 1] = mask[low : high + 1, high] = True
        mask[high, low : high + 1] = mask[low + 2 : high + 1, low] = True
        mask[low + 2, low : low + 3] = True
        low, high = low + 2, high - 2
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((5, 7), bool),
        np.ones((5, 7), bool),
        np.eye(9, dtype=bool),  # by corners, to the right
        np.eye(9, dtype=bool)[::-1],  # to the left
        np.kron(np.eye(3, dtype=bool), np.ones((3, 5), bool)),
        np.kron([[1, 0, 1, 0, 1]], np.ones((4, 2))).astype(bool),  # three of one size
        np.rot90(np.kron([[1, 0, 0, 1]], np.ones((4, 3))).astype(bool)),
        np.kron([[0, 0, 1], [0, 0, 0], [1, 1, 0]], np.eye(3)[::-1]).astype(bool),
        make_spiral(),
        ~make_spiral(),
    ],
)
def test_largest_piece_of_shapes(mask):
    box, area = head.find_largest_piece(tf.constant(mask))
    assert (tuple(box.numpy()), int(area)) == largest_piece(mask)


def test_largest_piece_of_noise():
    for density in (0.2, 0.35, 0.42, 0.5, 0.7):
        for shape in ((30, 40), (1, 50), (50, 2), (64, 64)):
            mask = RNG.random(shape) < density
            box, area = head.find_largest_piece(tf.constant(mask))
            assert (tuple(box.numpy()), int(area)) == largest_piece(mask), (density, shape)


def test_boxes_of_random_pictures(find_box):
    for _ in range(60):
        height, width = RNG.integers(16, 150, 2)
        grain = RNG.integers(1, 9)
        coarse = RNG.random((max(2, height // grain), max(2, width // grain)))
        image = cv2.resize(
            coarse, (int(width), int(height)), interpolation=cv2.INTER_NEAREST
        ) ** RNG.integers(1, 6)
        image = image.astype("float32")
        assert tuple(find_box(image).numpy()) == find_head_box(image)


def test_a_blank_frame_has_the_whole_frame(find_box):
    for value in (0.0, 0.7):
        assert tuple(find_box(tf.fill((20, 33), value)).numpy()) == (0, 0, 20, 33)


def test_boxes_of_real_images(find_box, real_images):
    """Every fifth test image of both domains; sizes from 200 to 512 pixels and more."""
    for name in ("testA", "testB"):
        for path in list_images(real_images / name)[::5]:
            gray = to_channels(image_to_unit(read_image(path)), 1)[..., 0]
            assert tuple(find_box(gray).numpy()) == find_head_box(gray), path
