"""Placing images in the network's square, and the way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from keras_vaegan.data.alignment import find_head_box, place_image
from keras_vaegan.data.image import list_images, read_image, to_channels


def make_head(shape=(200, 260), centre=(90, 150), axes=(50, 70), peak=200, dtype="uint8"):
    """An ellipse with soft structure; axes are the half height and half width in pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    radius = ((rows - centre[0]) / axes[0]) ** 2 + ((columns - centre[1]) / axes[1]) ** 2
    tissue = peak * (0.7 + 0.3 * np.cos(rows / 9) * np.cos(columns / 11))
    return np.where(radius <= 1, tissue, 0).astype(dtype)


def assert_box_is_near(box, centre, axes, tolerance):
    top, left, height, width = box
    edges = (top, left, top + height, left + width)
    expected = (centre[0] - axes[0], centre[1] - axes[1], centre[0] + axes[0], centre[1] + axes[1])
    np.testing.assert_allclose(edges, expected, atol=tolerance)


@pytest.mark.parametrize(
    ("centre", "axes"), [((90, 150), (50, 70)), ((100, 80), (80, 60)), ((60, 60), (30, 35))]
)
def test_the_box_encloses_the_head(centre, axes):
    assert_box_is_near(find_head_box(make_head(centre=centre, axes=axes)), centre, axes, 5)


@pytest.mark.parametrize(("dtype", "peak"), [("uint16", 60000), ("float32", 0.7)])
def test_the_box_does_not_depend_on_the_type(dtype, peak):
    box = find_head_box(make_head(peak=peak, dtype=dtype))
    np.testing.assert_allclose(box, find_head_box(make_head()), atol=1)


def test_table_arc_and_text_are_ignored():
    image = make_head((512, 512), (230, 256), (150, 120))
    cv2.ellipse(image, (256, 330), (230, 150), 0, 20, 160, 255, 3)
    cv2.putText(image, "R 12:30", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    assert_box_is_near(find_head_box(image), (230, 256), (150, 120), 12)


def test_noise_in_the_background_is_ignored():
    image = make_head().astype("float32")
    image += np.abs(np.random.default_rng(0).normal(0, 6, image.shape))
    assert_box_is_near(find_head_box(image), (90, 150), (50, 70), 8)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_blank_image_falls_back_to_the_whole_frame(value):
    image = np.full((40, 60), value, "uint8")
    assert find_head_box(image) == (0, 0, 40, 60)
    square, placement = place_image(image, 32, align="head")
    assert square.shape == (32, 32)
    back = placement.restore(square)
    np.testing.assert_array_equal(back[4:-4, 4:-4], image[4:-4, 4:-4])


def test_a_single_speck_falls_back_to_the_whole_frame():
    image = np.zeros((200, 200), "uint8")
    image[50, 60] = 255
    assert find_head_box(image) == (0, 0, 200, 200)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_heads_of_any_zoom_reach_the_same_size(scale):
    shape = (300, 400)
    image = make_head(shape, (150, 200), (70 * scale, 55 * scale))
    square, _ = place_image(image, 128, align="head")
    top, left, height, width = find_head_box(square)
    # The smoothing widens the box of a head that is small in its frame by up to 6 %.
    assert height == pytest.approx(128 / 1.08, rel=0.06)
    assert top + height / 2 == pytest.approx(64, abs=3)
    assert left + width / 2 == pytest.approx(64, abs=3)


@pytest.mark.parametrize("align", ["none", "head"])
@pytest.mark.parametrize("resize", ["pad", "stretch"])
@pytest.mark.parametrize("shape", [(200, 260), (260, 200), (231, 231)])
def test_restore_inverts_the_placement(shape, resize, align):
    image = cv2.GaussianBlur(make_head(shape, (100, 110), (60, 70)), (0, 0), 3)
    square, placement = place_image(image, 256, resize, align)
    back = placement.restore(square)
    assert back.shape == image.shape and back.dtype == image.dtype
    assert np.abs(back.astype(int) - image).mean() < 1.0


def test_restore_is_black_outside_the_region():
    image = make_head()
    _, placement = place_image(image, 64, align="head")
    back = placement.restore(np.full((64, 64), 255, "uint8"))
    rows = slice(placement.top, placement.top + placement.height)
    columns = slice(placement.left, placement.left + placement.width)
    assert (back[rows, columns] == 255).all()
    back[rows, columns] = 0
    assert not back.any()


@pytest.mark.parametrize("centre", [(0, 0), (199, 259), (0, 259)])
def test_a_head_at_the_border_is_padded_and_restored(centre):
    image = cv2.GaussianBlur(make_head(centre=centre, axes=(70, 70)), (0, 0), 3)
    square, placement = place_image(image, 200, align="head")
    assert square.shape == (200, 200)
    assert np.abs(placement.restore(square).astype(int) - image).mean() < 2


def test_pad_keeps_the_aspect_on_a_centred_black_square():
    square, placement = place_image(np.full((50, 100), 200, "uint8"), 100)
    assert (placement.height, placement.width) == (100, 100)
    assert (square[25:75] == 200).all()
    assert not square[:25].any() and not square[75:].any()


def test_stretch_fills_the_square():
    square, _ = place_image(np.full((50, 100, 3), 200, "uint8"), 64, "stretch")
    assert square.shape == (64, 64, 3) and (square == 200).all()


def test_shrinking_averages_areas():
    image = np.random.default_rng(0).uniform(size=(64, 64)).astype("float32")
    square, _ = place_image(image, 16)
    np.testing.assert_allclose(square, image.reshape(16, 4, 16, 4).mean((1, 3)), atol=1e-6)


def test_growing_is_cubic_and_does_not_overshoot():
    image = np.zeros((16, 16), "float32")
    image[:, 8:] = 1
    square, _ = place_image(image, 64)
    assert (square.min(), square.max()) == (0, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_type_and_channels_are_kept(channels, dtype):
    image = to_channels(make_head(peak=100, dtype=dtype), channels)
    square, placement = place_image(image, 48, align="head")
    assert square.shape == (48, 48, channels) and square.dtype == image.dtype
    assert placement.restore(square).shape == image.shape


def test_partners_share_one_box_at_any_resolution():
    large, small = make_head((400, 520), (200, 260), (120, 90)), make_head((200, 200), (90, 90))
    small = cv2.resize(make_head((400, 520), (180, 250), (90, 110)), (260, 200))
    first, _ = place_image(large, 128, align="head", partner=small)
    second, _ = place_image(small, 128, align="head", partner=large)
    alone, _ = place_image(large, 128, align="head")
    both = cv2.resize(large, (260, 200), interpolation=cv2.INTER_AREA)
    same, _ = place_image(both, 128, align="head", partner=large)
    assert np.abs(first.astype(int) - alone).mean() > 5
    assert np.abs(same.astype(int) - alone).mean() < 2
    # The same point of the anatomy lies at the same place of both squares.
    box = np.array(find_head_box(second), "float64")
    whole, part = np.array(find_head_box(first), "float64"), 128 / (2 * 120 * 1.08)
    centre = (box[:2] + box[2:] / 2) - (whole[:2] + whole[2:] / 2)
    np.testing.assert_allclose(centre, np.array([180 - 200, 250 - 260]) * part, atol=2.5)


def test_real_heads_fill_the_square(real_images):
    for folder in ("testA", "testB"):
        sides = []
        for path in list_images(real_images / folder)[::10]:
            gray = to_channels(read_image(path), 1)[..., 0]
            height, width = find_head_box(place_image(gray, 256, align="head")[0])[2:]
            sides.append(max(height, width) / 256)
        assert np.quantile(sides, 0.1) > 0.85
