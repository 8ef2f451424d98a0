"""Images into the network's square and back: the head's box, resampling, intensities, graphs."""

from __future__ import annotations

import cv2
import keras
import numpy as np
import pytest
import scipy.ndimage
from keras import ops

from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.head import (
    LEVELS,
    SIDE,
    count_numbers,
    find_foreground,
    find_head_edges,
    find_largest_piece,
    find_otsu_threshold,
    shrink,
)
from keras_vaegan.data.image import list_images, read_image, to_channels
from keras_vaegan.data.preparation import (
    Placement,
    choose_regions,
    fit_images,
    prepare_images,
    restore_images,
)
from keras_vaegan.kernels import call_compiled

RNG = np.random.default_rng(0)
TYPES = {"uint8": 255, "uint16": 65535, "float32": 1}


def make_head(shape=(200, 260), centre=(90, 150), axes=(50, 70), peak=200, dtype="uint8"):
    """An ellipse with soft structure; axes are the half height and half width in pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    radius = ((rows - centre[0]) / axes[0]) ** 2 + ((columns - centre[1]) / axes[1]) ** 2
    tissue = peak * (0.7 + 0.3 * np.cos(rows / 9) * np.cos(columns / 11))
    return np.where(radius <= 1, tissue, 0).astype(dtype)


def as_batch(image):
    return image.reshape(1, *image.shape[:2], -1)


def call(function, *arguments, **options):
    """A plain call, which compiles nothing; NumPy in and out."""
    arguments = keras.tree.map_structure(ops.convert_to_tensor, arguments)
    return keras.tree.map_structure(ops.convert_to_numpy, function(*arguments, **options))


def find_edges(image):
    """(top, left, bottom, right) of one image's head."""
    return call(find_head_edges, as_batch(image).astype("float32"))[0]


def fit(image, size, resize="pad", align="none", partner=None):
    """One image in its square, and where it came from."""
    data = DataConfig(size, 1 if image.ndim == 2 else image.shape[-1], resize, align)
    batches = [as_batch(x) for x in (image, partner) if x is not None]
    square = call(fit_images, *batches, data=data)[0]
    placement = call(prepare_images, *batches, data=data)[1]
    return square.reshape(size, size, *image.shape[2:]), placement


def restore(placement, square):
    made = call(Placement.restore, placement, as_batch(square).astype("float32"))[0]
    return made.reshape(*made.shape[:2], *square.shape[2:])


def assert_edges_are_near(edges, centre, axes, tolerance):
    expected = (centre[0] - axes[0], centre[1] - axes[1], centre[0] + axes[0], centre[1] + axes[1])
    np.testing.assert_allclose(edges, expected, atol=tolerance)


# -- the head's box ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("centre", "axes"), [((90, 150), (50, 70)), ((100, 80), (80, 60)), ((60, 60), (30, 35))]
)
def test_the_box_encloses_the_head(centre, axes):
    assert_edges_are_near(find_edges(make_head(centre=centre, axes=axes)), centre, axes, 5)


@pytest.mark.parametrize(("dtype", "peak"), [("uint16", 60000), ("float32", 0.7)])
def test_the_box_does_not_depend_on_the_type(dtype, peak):
    edges = find_edges(make_head(peak=peak, dtype=dtype))
    np.testing.assert_allclose(edges, find_edges(make_head()), atol=1.1)


def test_table_arc_and_text_are_ignored():
    image = make_head((512, 512), (230, 256), (150, 120))
    cv2.ellipse(image, (256, 330), (230, 150), 0, 20, 160, 255, 3)
    cv2.putText(image, "R 12:30", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    assert_edges_are_near(find_edges(image), (230, 256), (150, 120), 12)


def test_noise_in_the_background_is_ignored():
    image = make_head().astype("float32")
    image += np.abs(RNG.normal(0, 6, image.shape))
    assert_edges_are_near(find_edges(image), (90, 150), (50, 70), 8)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_blank_image_falls_back_to_the_whole_frame(value):
    image = np.full((40, 60), value, "uint8")
    np.testing.assert_array_equal(find_edges(image), (0, 0, 40, 60))
    square, placement = fit(image, 32, align="head")
    np.testing.assert_allclose(restore(placement, square)[4:-4, 4:-4], image[4:-4, 4:-4], rtol=1e-6)


def test_a_single_speck_falls_back_to_the_whole_frame():
    image = np.zeros((200, 200), "uint8")
    image[50, 60] = 255
    np.testing.assert_array_equal(find_edges(image), (0, 0, 200, 200))


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_heads_of_any_zoom_reach_the_same_size(scale):
    image = make_head((300, 400), (150, 200), (70 * scale, 55 * scale))
    square, _ = fit(image, 128, align="head")
    top, left, bottom, right = find_edges(square)
    # The smoothing widens the box of a head that is small in its frame by up to 6 %.
    assert bottom - top == pytest.approx(128 / 1.08, rel=0.06)
    assert (top + bottom) / 2 == pytest.approx(64, abs=3)
    assert (left + right) / 2 == pytest.approx(64, abs=3)


def test_each_image_of_a_batch_has_its_own_box():
    places = [((90, 150), (50, 70)), ((60, 60), (30, 35)), ((100, 200), (40, 40))]
    batch = np.stack([make_head(centre=c, axes=a) for c, a in places])[..., None]
    together = call(find_head_edges, batch.astype("float32"))
    for image, edges in zip(batch, together, strict=True):
        np.testing.assert_array_equal(edges, find_edges(image))


def test_otsu_is_opencvs():
    for _ in range(20):
        levels = RNG.integers(0, LEVELS, RNG.integers(2, 30))
        image = levels[RNG.integers(0, len(levels), (60, 50))].astype("uint8")
        image = cv2.GaussianBlur(image, (0, 0), 1)
        expected, _ = cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)
        made = call(find_otsu_threshold, image.reshape(1, -1).astype("float32"))
        # Thresholds between two levels part the pixels alike.
        assert ((image > made[0]) == (image > expected)).mean() > 0.999


def test_counting():
    numbers = RNG.integers(-3, 30, (2, 500))
    counts = call(count_numbers, numbers.astype("float32"), side=5)
    for row, made in zip(numbers, counts, strict=True):
        np.testing.assert_array_equal(made, [(row == k).sum() for k in range(25)])


def open_pieces(mask):
    """An opened mask, and its 8-connected pieces' labels."""
    opened = scipy.ndimage.binary_opening(np.pad(mask, 2, "edge"), np.ones((5, 5)))[2:-2, 2:-2]
    return opened, scipy.ndimage.label(opened, np.ones((3, 3)))[0]


def test_the_largest_piece_is_scipys():
    """Blobs at least five pixels apart, of many shapes."""
    for _ in range(12):
        field = scipy.ndimage.gaussian_filter(RNG.normal(size=(SIDE, SIDE)), RNG.uniform(5, 14))
        opened, labels = open_pieces(field > np.quantile(field, RNG.uniform(0.6, 0.8)))
        near = scipy.ndimage.maximum_filter(labels, 11)
        if labels.max() == 0 or ((near != labels) & (labels > 0)).any():
            continue
        largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
        made = call_compiled(find_largest_piece, opened[None].astype("float32"))[0]
        np.testing.assert_array_equal(made, largest)


def test_a_long_spiral_is_one_piece():
    mask = np.zeros((SIDE, SIDE), bool)
    low, high = 8, SIDE - 8
    while high - low > 40:
        mask[low : low + 6, low - 8 : high] = mask[low:high, high - 6 : high] = True
        mask[high - 6 : high, low + 8 : high] = mask[low + 16 : high, low + 8 : low + 14] = True
        low, high = low + 16, high - 16
    opened, labels = open_pieces(mask)
    assert labels.max() == 1
    made = call_compiled(find_largest_piece, opened[None].astype("float32"))[0]
    np.testing.assert_array_equal(made, opened)


def test_foreground_and_shrinking():
    image = RNG.uniform(0, 0.1, (512, 768)).astype("float32")
    image[100:400, 200:500] += 0.8
    small = call(shrink, image[None])
    np.testing.assert_allclose(small[0], image.reshape(256, 2, 256, 3).mean((1, 3)), atol=1e-5)
    mask = call(find_foreground, small)[0]
    rows, columns = np.nonzero(mask)
    assert abs(rows.min() - 50) <= 4 and abs(rows.max() - 199) <= 4
    assert abs(columns.min() - 67) <= 4 and abs(columns.max() - 166) <= 4


def test_partners_share_one_box_at_any_resolution():
    large = make_head((400, 520), (200, 260), (120, 90))
    small = cv2.resize(make_head((400, 520), (180, 250), (90, 110)), (260, 200))
    first, _ = fit(large, 128, align="head", partner=small)
    second, _ = fit(small, 128, align="head", partner=large)
    alone, _ = fit(large, 128, align="head")
    both = cv2.resize(large, (260, 200), interpolation=cv2.INTER_AREA)
    same, _ = fit(both, 128, align="head", partner=large)
    assert np.abs(first.astype(int) - alone).mean() > 5
    assert np.abs(same.astype(int) - alone).mean() < 2
    # The same point of the anatomy lies at the same place of both squares.
    part = 128 / (2 * 120 * 1.08)
    centres = [(edges[:2] + edges[2:]) / 2 for edges in map(find_edges, (second, first))]
    expected = np.array([180 - 200, 250 - 260]) * part
    np.testing.assert_allclose(centres[0] - centres[1], expected, atol=2.5)


def test_real_heads_fill_the_square(real_images):
    for folder in ("testA", "testB"):
        squares = []
        for path in list_images(real_images / folder)[::10]:
            gray = to_channels(read_image(path), 1)
            squares.append(call(fit_images, gray[None], data=DataConfig(256, 1, align="head")))
        edges = call(find_head_edges, np.concatenate(squares))
        sides = (edges[:, 2:] - edges[:, :2]).max(axis=1) / 256
        assert np.quantile(sides, 0.1) > 0.85


# -- resampling --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("old", [(512, 512), (300, 310), (257, 256), (200, 200), (64, 64)], ids=str)
def test_resizing_is_opencvs(old, channels):
    """Area averages where both sides shrink, cubic where both grow."""
    image = RNG.random((*old, channels)).astype("float32")
    flag = cv2.INTER_AREA if old[0] >= 256 else cv2.INTER_CUBIC
    expected = cv2.resize(image, (256, 256), interpolation=flag).reshape(256, 256, channels)
    placement = Placement(np.array([[0, 0, *old]], "float32"), old)
    made = call(Placement.crop, placement, image[None], size=256)[0]
    inner = slice(8, -8)  # at the ends, where the kernel leaves the image, OpenCV repeats a pixel
    expected = np.clip(expected, 0, image.max())
    np.testing.assert_allclose(made[inner, inner], expected[inner, inner], atol=2e-4)


@pytest.mark.parametrize("align", ["none", "head"])
@pytest.mark.parametrize("resize", ["pad", "stretch"])
@pytest.mark.parametrize("shape", [(200, 260), (260, 200), (231, 231)])
def test_restore_inverts_the_placement(shape, resize, align):
    image = cv2.GaussianBlur(make_head(shape, (100, 110), (60, 70)), (0, 0), 3)
    square, placement = fit(image, 256, resize, align)
    assert np.abs(restore(placement, square) - image).mean() < 1.0


def test_restore_is_black_outside_the_region():
    _, placement = fit(make_head(), 64, align="head")
    back = restore(placement, np.full((64, 64), 255, "uint8"))
    top, left, height, width = placement.regions[0].astype(int)
    region = slice(top, top + height), slice(left, left + width)
    np.testing.assert_allclose(back[region], 255, rtol=1e-5)
    back[region] = 0
    assert not back.any()


@pytest.mark.parametrize("centre", [(0, 0), (199, 259), (0, 259)])
def test_a_head_at_the_border_is_padded_and_restored(centre):
    image = cv2.GaussianBlur(make_head(centre=centre, axes=(70, 70)), (0, 0), 3)
    square, placement = fit(image, 200, align="head")
    assert square.shape == (200, 200)
    assert np.abs(restore(placement, square) - image).mean() < 2


def test_an_enlarged_placement_restores_a_larger_frame():
    image = cv2.GaussianBlur(make_head(), (0, 0), 3)
    square, placement = fit(image, 64, align="head")
    back = restore(placement.enlarge(2), cv2.resize(square, (128, 128)))
    assert back.shape == (400, 520)
    shrunk = back.reshape(200, 2, 260, 2).mean((1, 3))
    assert np.abs(shrunk - restore(placement, square)).mean() < 1.5


def test_pad_keeps_the_aspect_on_a_centred_black_square():
    square, placement = fit(np.full((50, 100), 200, "uint8"), 100)
    np.testing.assert_array_equal(placement.regions, [[-25, 0, 100, 100]])
    assert (square[25:75] == 200).all()
    assert not square[:25].any() and not square[75:].any()


@pytest.mark.parametrize("shape", [(50, 100, 3), (16, 300, 3)], ids=str)
def test_stretch_fills_the_square(shape):
    square, _ = fit(np.full(shape, 200, "uint8"), 64, "stretch")
    assert square.shape == (64, 64, 3) and (square == 200).all()


def test_growing_does_not_overshoot():
    image = np.zeros((16, 16), "float32")
    image[:, 8:] = 1
    square, _ = fit(image, 64)
    assert square.min() == 0 and square.max() == pytest.approx(1, abs=1e-6)


# -- types and channels ------------------------------------------------------------------------


@pytest.mark.parametrize("given", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", TYPES)
def test_type_and_channels_are_kept(given, channels, dtype):
    image = make_head(peak=1, dtype="float32")[..., None] * TYPES[dtype] * 0.8
    image = np.repeat(image.astype(dtype), given, -1)
    data = DataConfig(48, channels, align="head")
    squares, placement, limits = call(prepare_images, image[None], data=data)
    assert squares.shape == (1, 48, 48, channels) and 0.6 < squares.max() <= 1
    made = call(restore_images, squares, placement, limits, given, dtype=dtype)[0]
    assert made.shape == image.shape and made.dtype == image.dtype
    assert np.abs(made.astype("float64") - image).mean() < 0.05 * TYPES[dtype]


def test_floats_are_mapped_by_their_own_range():
    image = RNG.normal(40, 900, (1, 32, 32, 1)).astype("float32")
    data = DataConfig(32, 1)
    squares, placement, limits = call(prepare_images, image, data=data)
    assert squares.min() == 0 and squares.max() == pytest.approx(1, abs=1e-6)
    made = call(restore_images, squares, placement, limits, 1, dtype="float32")
    np.testing.assert_allclose(made, image, atol=1e-2)


def test_luma_is_bt601():
    image = np.zeros((1, 16, 16, 3), "uint8")
    image[:] = 200, 100, 50
    square = call(fit_images, image, data=DataConfig(16, 1))
    assert (square == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


def test_a_plain_call_is_the_compiled_one():
    """What a backend without graphs of unknown sizes does."""
    image = as_batch(make_head(peak=0.8, dtype="float32"))
    plain = call(choose_regions, image, resize="pad", align="head")
    compiled = call_compiled(choose_regions, image, resize="pad", align="head")
    np.testing.assert_array_equal(plain, compiled)


# -- surroundings ------------------------------------------------------------------------------


def fit_both(image, size, align="none"):
    """The square of one image with its surroundings, and without them."""
    return [
        call(fit_images, as_batch(image), data=DataConfig(size, 1, align=align, surroundings=kind))
        for kind in ("keep", "black")
    ]


@pytest.mark.parametrize("size", [64, 256, 300])
def test_what_lies_apart_from_the_head_is_painted_black(size):
    """A head with a dark skull and a dark middle stays whole; table, writing and a corner go."""
    rows, columns = np.mgrid[:300, :300]
    radius = np.hypot(rows - 140, columns - 150)
    head = np.where(radius < 90, 180, 0) * (np.abs(radius - 75) > 5) * (radius > 20)
    image = head.astype("uint8")
    image[265:280, 40:260] = 255
    image[5:20, 5:60] = 230
    image[280:, 280:] = 120
    keep, black = fit_both(image, size)
    whole = fit_both(head.astype("uint8"), size)[0]
    assert not np.array_equal(keep, whole)
    np.testing.assert_array_equal(black, whole)


@pytest.mark.parametrize("value", [0, 130])
def test_a_blank_image_keeps_its_surroundings(value):
    np.testing.assert_array_equal(*fit_both(np.full((40, 50), value, "uint8"), 32))


def test_real_heads_stay_whole_without_their_surroundings(real_images):
    for folder in ("testA", "testB"):
        for path in list_images(real_images / folder)[::10]:
            keep, black = fit_both(to_channels(read_image(path), 1), 256, align="head")
            middle = np.s_[:, 64:-64, 64:-64]
            assert np.mean(keep[middle] != black[middle]) < 0.01, path.name
            assert black.sum(dtype=float) > 0.85 * keep.sum(dtype=float), path.name
