"""Crops of any folder of images, and how their low-resolution inputs are made."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from keras_vaegan.data.image import write_image
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.systems.super_resolution.config import DegradationConfig, SuperResolutionConfig
from keras_vaegan.systems.super_resolution.crops import (
    CropSampler,
    centre_crops,
    find_pictures,
    load_pictures,
)
from keras_vaegan.systems.super_resolution.degradation import degrade, enlarge_bicubic, shrink


def make_config(**changes) -> SuperResolutionConfig:
    config = get_preset("rrdbnet_x4_small")
    config = dataclasses.replace(
        config,
        patch_size=8,
        batch_size=3,
        crop_candidates=1,
        discriminator=dataclasses.replace(
            config.discriminator, image_size=32, filters=(4, 8), num_heads=1
        ),
    )
    return dataclasses.replace(config, **changes)


def make_pictures(count=4, dtype="uint8"):
    """Images whose every pixel tells the image and its place."""
    sizes = [(40 + 3 * i, 50 + 2 * i) for i in range(count)]
    top = np.iinfo(dtype).max
    rng = np.random.default_rng(0)
    return [rng.integers(0, top + 1, (*size, 1)).astype(dtype) for size in sizes]


def take(pictures, config, count):
    sampler = CropSampler(pictures, config)
    return [sampler.read_batch(step) for step in range(count)]


# -- finding and reading -----------------------------------------------------------------------


def test_any_folder_or_an_image_set(tmp_path):
    for name in ("a/1.png", "a/b/2.png", "3.png"):
        write_image(tmp_path / "any" / name, np.zeros((20, 20), "uint8"))
    (tmp_path / "any" / "notes.txt").write_text("")
    names = [path.name for path in find_pictures(tmp_path / "any")["any"]]
    assert names == ["3.png", "1.png", "2.png"]
    for name in ("trainA/1.png", "trainB/2.png", "testA/3.png", "other/4.png"):
        write_image(tmp_path / "set" / name, np.zeros((20, 20), "uint8"))
    assert list(find_pictures(tmp_path / "set")) == ["trainA", "trainB"]
    assert list(find_pictures(tmp_path / "set", test=True)) == ["testA"]
    for folder in (tmp_path / "absent", tmp_path / "any" / "notes.txt"):
        with pytest.raises(InputError, match="is no folder"):
            find_pictures(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        find_pictures(tmp_path / "empty")


def test_pictures_keep_their_size_and_the_deepest_type(tmp_path):
    write_image(tmp_path / "a.png", np.full((20, 30), 3, "uint8"))
    write_image(tmp_path / "b.png", np.full((17, 16, 3), 500, "uint16"))
    write_image(tmp_path / "c.tiff", np.linspace(-5, 5, 400, dtype="f4").reshape(20, 20))
    paths = sorted(tmp_path.iterdir())
    images, names = load_pictures(paths, 1)
    assert names == ["a.png", "b.png", "c.tiff"]
    assert [image.shape for image in images] == [(20, 30, 1), (17, 16, 1), (20, 20, 1)]
    assert {image.dtype.name for image in images} == {"uint16"}
    assert images[0].max() == 3 * 257 and images[2].max() == 65535
    grown, _ = load_pictures(paths, 3, smallest=24)
    assert [image.shape for image in grown] == [(24, 30, 3), (24, 24, 3), (24, 24, 3)]


def test_too_many_bad_files_are_refused(tmp_path, capsys):
    for index in range(10):
        write_image(tmp_path / f"{index}.png", np.zeros((20, 20), "uint8"))
    (tmp_path / "3.png").write_bytes(b"")
    assert len(load_pictures(sorted(tmp_path.iterdir()), 1)[0]) == 9
    assert "3.png" in capsys.readouterr().err
    write_image(tmp_path / "4.png", np.zeros((8, 20), "uint8"))
    with pytest.raises(InputError, match="2 of 10"):
        load_pictures(sorted(tmp_path.iterdir()), 1)


# -- crops -------------------------------------------------------------------------------------


def find_origin(crop, pictures):
    """(image, top, left) of a crop, in any of its eight turns."""
    turns = [np.rot90(c, k) for c in (crop, crop[:, ::-1]) for k in range(4)]
    for number, picture in enumerate(pictures):
        for turn in turns:
            windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], turn.shape)
            found = np.argwhere((windows[:, :, 0, :] == turn[0]).all(axis=-1))
            for top, left in found:
                if (windows[top, left] == turn).all():
                    return number, top, left
    raise AssertionError("this crop is in no image")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_crops_are_cut_from_the_images(dtype):
    pictures = make_pictures(dtype=dtype)
    batches = take(pictures, make_config(), 4)
    origins = []
    for low, high in batches:
        assert low.shape == (3, 8, 8, 1) and high.shape == (3, 32, 32, 1)
        pixels = np.round(high[..., 0] * np.iinfo(dtype).max).astype(dtype)
        origins += [find_origin(crop, pictures) for crop in pixels]
    assert [origin[0] for origin in origins[:4]] != sorted(origin[0] for origin in origins[:4])
    for start in (0, 4, 8):  # every image once a pass
        assert {origin[0] for origin in origins[start : start + 4]} == {0, 1, 2, 3}
    assert len({origin[1:] for origin in origins}) > 8


def test_a_step_follows_from_the_seed_whenever_and_by_whomever_it_is_read():
    pictures, config = make_pictures(), make_config(crop_candidates=2)
    first = take(pictures, config, 4)
    sampler = CropSampler(pictures, config)
    with ThreadPoolExecutor(2) as pool:
        later = list(pool.map(sampler.read_batch, (3, 2)))[::-1]
    for a, b in zip(first[2:], later, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    other = take(pictures, dataclasses.replace(config, seed=1), 1)
    assert not np.array_equal(first[0][1], other[0][1])


def test_candidates_prefer_contrast():
    picture = np.zeros((200, 200, 1), "uint8")
    picture[80:120, 80:120] = np.random.default_rng(0).integers(0, 256, (40, 40, 1))
    spread = [
        np.mean([high.std() for _, high in take([picture], config, 10)])
        for config in (make_config(), make_config(crop_candidates=8))
    ]
    assert spread[1] > 2 * spread[0]


def test_centre_crops_have_one_size():
    crops = centre_crops(make_pictures(), 64, 4)
    assert crops.shape == (4, 40, 40, 1)
    np.testing.assert_array_equal(crops[3], make_pictures()[3][4:44, 8:48])


# -- degradation -------------------------------------------------------------------------------


def smooth_image(side=64, channels=1):
    noise = np.random.default_rng(0).uniform(0, 1, (side, side, channels)).astype("f4")
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).reshape(noise.shape)
    return (blurred - blurred.min()) / np.ptp(blurred)


def test_area_is_the_mean_of_blocks_and_bicubic_is_antialiased():
    image = smooth_image()
    blocks = image.reshape(16, 4, 16, 4, 1).mean(axis=(1, 3))
    np.testing.assert_allclose(shrink(image, 4, "area"), blocks, atol=1e-5)
    stripes = np.tile(np.arange(64) % 2, (64, 1)).astype("f4")[..., None]
    middle = shrink(stripes, 4, "bicubic")[4:-4, 4:-4]
    np.testing.assert_allclose(middle, 0.5, atol=0.02)
    assert shrink(image, 1).shape == image.shape


def test_bicubic_enlargement_undoes_shrinking_of_smooth_images():
    image = smooth_image()
    again = enlarge_bicubic(shrink(image, 2), 2)
    assert np.abs(again - image)[8:-8, 8:-8].max() < 0.02


@pytest.mark.parametrize(
    "settings",
    [
        {"blur_sigma": 2.0},
        {"noise": 0.1},
        {"jpeg_quality": 10},
        {"downsample": "mixed"},
        {"blur_sigma": 1.0, "noise": 0.05, "jpeg_quality": 50, "downsample": "mixed"},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_degradation_acts_by_the_seed_and_stays_in_range(settings, channels):
    image = smooth_image(channels=channels)
    plain = shrink(image, 2)
    settings = DegradationConfig(**settings)
    results = [degrade(image, 2, settings, np.random.default_rng(k)) for k in range(12)]
    again = degrade(image, 2, settings, np.random.default_rng(0))
    np.testing.assert_array_equal(results[0], again)
    assert max(np.abs(result - plain).max() for result in results) > 1e-4
    assert any(not np.array_equal(results[0], result) for result in results[1:])
    for result in results:
        assert result.shape == (32, 32, channels) and result.dtype == "float32"
        assert result.min() >= 0 and result.max() <= 1
        assert np.abs(result - plain).mean() < 0.2


def test_blur_is_a_gaussian():
    image = smooth_image()
    from keras_vaegan.systems.super_resolution.degradation import _blur

    expected = gaussian_filter(image[..., 0], 1.5, mode="reflect", truncate=4)
    np.testing.assert_allclose(_blur(image, 1.5, 6)[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"blur_sigma": 9}, "at most 4"),
        ({"downsample": "nearest"}, "bicubic"),
        ({"noise": -1}, "noise"),
        ({"jpeg_quality": 2}, "5 to 95"),
    ],
    ids=str,
)
def test_bad_degradations_are_refused(change, word):
    with pytest.raises(InputError, match=word):
        DegradationConfig(**change)
