"""Tiles without seams, channels without tint, types kept: the Enhancer and its commands."""

import dataclasses
import json

import numpy as np
import pytest

from keras_vaegan.commands import enhance, evaluate, translate
from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.cyclegan.trainer import CycleGAN
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.systems.super_resolution.enhancer import Enhancer
from keras_vaegan.systems.super_resolution.tiles import make_fade, plan_tiles
from keras_vaegan.weights.legacy_h5 import save_legacy_h5

TINY = RRDBNetConfig(num_features=8, num_blocks=1, growth_channels=4)


def make_network(**changes):
    """A network whose dense blocks weigh in, so that tiles differ at their borders."""
    config = dataclasses.replace(TINY, **changes)
    model = build_rrdbnet(config)
    model.set_weights([1.6 * w for w in model.get_weights()])
    return model, config


def make_image(height, width, channels=0, seed=0):
    rng = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    return rng.integers(0, 256, shape).astype("uint8")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An RRDBNet file a kind."""
    folder = tmp_path_factory.mktemp("rrdbnets")
    for name, changes in {
        "gray": {"channels": 1},
        "rgb": {},
        "x2": {"scale": 2},
        "four": {"channels": 4},
    }.items():
        model, config = make_network(**changes)
        save_legacy_h5(model, folder / f"{name}.h5", config)
    return folder


# -- tiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [(32, 4), (64, 8), (256, 32), (48, 0)], ids=str)
def test_tiles_cover_every_pixel_with_weights_that_add_up_to_one(tile):
    for length in [1, 5, *range(tile[0] - 3, 3 * tile[0], 7), 1000]:
        total = np.zeros(length * 2)
        tiles = np.array(plan_tiles(length, *tile))
        for start, stop, before, after in tiles:
            assert start % 4 == 0 and 0 < stop - start <= tile[0]
            total[2 * start : 2 * stop] += make_fade((start, stop, before, after), 2)
        np.testing.assert_allclose(total, 1, atol=1e-6)
    assert len(plan_tiles(1000, 0, 0)) == 1


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("resize_back", [False, True])
def test_tiled_equals_whole_within_a_thousandth(scale, resize_back):
    model, _ = make_network(scale=scale, channels=1)
    grain = 4 // scale  # the body of an unshuffled network sees so many pixels as one
    image = make_image(150 * grain, 131 * grain).astype("float32") / 255
    whole = Enhancer(model, scale, tile=0, overlap=0).enhance(image, resize_back)
    tiled = Enhancer(model, scale, 64 * grain, 8 * grain).enhance(image, resize_back)
    assert whole.std() > 0.05
    assert np.abs(tiled - whole).max() < 1e-3
    hard = Enhancer(model, scale, 64 * grain, 0).enhance(image, resize_back)
    assert np.abs(hard - whole).max() > 1e-3  # without an overlap there is a seam to see


def test_only_tiles_pass_the_network():
    class Spy:
        input_shape = (None, None, None, 1)
        largest = 0

        def predict_on_batch(self, images):
            self.largest = max(self.largest, images.size)
            return images.repeat(4, 1).repeat(4, 2)

    spy, image = Spy(), make_image(300, 500)
    result = Enhancer(spy, 4, tile=64, overlap=8).enhance(image)
    np.testing.assert_array_equal(result, image.repeat(4, 0).repeat(4, 1))
    assert spy.largest == 64 * 64


# -- channels and types ------------------------------------------------------------------------


def test_gray_through_three_channels_has_no_tint(files):
    enhancer, image = Enhancer.load(files / "rgb.h5"), make_image(20, 24)
    gray = enhancer.enhance(image)
    assert gray.shape == (80, 96) and gray.dtype == np.uint8
    colour = enhancer.enhance(image[..., None].repeat(3, -1)).astype(float)
    assert np.ptp(colour, axis=-1).max() > 2  # this network tints
    unclipped = (colour > 0).all(axis=-1) & (colour < 255).all(axis=-1)
    assert unclipped.mean() > 0.2
    difference = gray.astype(float) - colour.mean(axis=-1)
    np.testing.assert_allclose(difference[unclipped], 0, atol=1.01)


def test_colour_through_one_channel_goes_channel_by_channel(files):
    enhancer, image = Enhancer.load(files / "gray.h5"), make_image(20, 24, 3)
    made = enhancer.enhance(image)
    assert made.shape == (80, 96, 3)
    np.testing.assert_array_equal(made[..., 1], enhancer.enhance(image[..., 1]))


@pytest.mark.parametrize("resize_back", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (21, 33)], ids=str)
def test_any_size_and_type(files, size, resize_back):
    enhancer = Enhancer.load(files / "x2.h5")
    eight = make_image(*size)
    shape = size if resize_back else (2 * size[0], 2 * size[1])
    for image in (eight, eight.astype("uint16") * 257, eight.astype("float32") * 3 - 100):
        made = enhancer.enhance(image, resize_back)
        assert made.shape == shape and made.dtype == image.dtype
    deep = enhancer.enhance(eight.astype("uint16") * 257, resize_back)
    assert np.abs(deep / 257 - enhancer.enhance(eight, resize_back)).max() <= 0.51
    if np.ptp(eight):
        float_image = eight.astype("float32") * 3 - 100
        made = enhancer.enhance(float_image, resize_back)
        assert float_image.min() <= made.min() and made.max() <= float_image.max()


def test_bad_images_and_tiles_are_refused(files):
    enhancer = Enhancer.load(files / "gray.h5")
    with pytest.raises(InputError, match="NaN"):
        enhancer.enhance(np.full((20, 20), np.nan, "float32"))
    with pytest.raises(InputError, match="at least one pixel"):
        enhancer.enhance(np.zeros((0, 4), "uint8"))
    for tile, overlap in ((30, 0), (20, 0), (64, 16), (-4, 0), (64, 3)):
        with pytest.raises(InputError, match="expected"):
            Enhancer.load(files / "gray.h5", tile, overlap)


# -- commands ----------------------------------------------------------------------------------


def test_enhance_files_and_folders(files, tmp_path, capsys):
    for name, image in {"a.png": make_image(40, 30), "b.jpg": make_image(20, 20, 3)}.items():
        write_image(tmp_path / "in" / name, image)
    common = ["--weights", str(files / "gray.h5"), "--input", str(tmp_path / "in")]
    assert enhance.main([*common, "--output", str(tmp_path / "x4"), "--tile", "32"]) == 0
    assert "enhanced 2 of 2" in capsys.readouterr().out
    assert read_image(tmp_path / "x4" / "a.png").shape == (160, 120)
    assert read_image(tmp_path / "x4" / "b.jpg").shape == (80, 80, 3)
    assert enhance.main([*common, "--output", str(tmp_path / "x1"), "--resize-back"]) == 0
    assert read_image(tmp_path / "x1" / "a.png").shape == (40, 30)


def test_enhance_refuses_bad_input(files, tmp_path, capsys):
    write_image(tmp_path / "a.png", make_image(20, 20))
    (tmp_path / "empty").mkdir()
    CycleGAN(make_cyclegan()).save_weight_files(tmp_path / "run")
    cases = {
        ("--weights", tmp_path / "none.h5"): "none.h5",
        ("--weights", tmp_path / "empty"): "rrdbnet_weights.h5",
        ("--weights", tmp_path / "run" / "g_target_weights.h5"): "expected RRDBNetConfig",
        ("--weights", files / "four.h5"): "reads 4 channels",
        ("--weights", files / "gray.h5", "--tile", 33): "tile 33",
        ("--weights", files / "gray.h5", "--overlap", 2): "overlap 2",
    }
    for arguments, word in cases.items():
        argv = [*arguments, "--input", tmp_path / "a.png", "--output", tmp_path / "o.png"]
        with pytest.raises(SystemExit) as stopped:
            enhance.main([str(part) for part in argv])
        line = capsys.readouterr().err.strip()
        assert stopped.value.code == 2 and word in line and "\n" not in line, line
    assert not (tmp_path / "o.png").exists()


def make_cyclegan():
    config = get_preset("demo")
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, image_size=32),
        generator=dataclasses.replace(
            config.generator, filters=(8, 8, 16), num_residual_blocks=(0, 0, 1)
        ),
        discriminator=dataclasses.replace(config.discriminator, filters=(8, 8, 8, 8)),
    )


def test_translate_and_evaluate_with_enhancement(files, tmp_path, capsys):
    run = tmp_path / "run"
    CycleGAN(make_cyclegan()).save_weight_files(run)
    write_image(tmp_path / "a.png", make_image(50, 70))
    common = [
        "--weights", str(run), "--direction", "mri2ct", "--input", str(tmp_path / "a.png"),
        "--enhance", str(files / "gray.h5"),
    ]  # fmt: skip
    assert translate.main([*common, "--output", str(tmp_path / "x4.png"), "--samples", "2"]) == 0
    assert read_image(tmp_path / "x4.png").shape == (200, 280)
    assert read_image(tmp_path / "x4_std.tiff").shape == (50, 70)
    assert translate.main([*common, "--output", str(tmp_path / "x1.png"), "--resize-back"]) == 0
    assert read_image(tmp_path / "x1.png").shape == (50, 70)
    with pytest.raises(SystemExit):
        translate.main([*common[:-2], "--output", str(tmp_path / "o.png"), "--resize-back"])
    assert "--resize-back without --enhance" in capsys.readouterr().err
    write_phantom_folders(tmp_path / "data", PhantomSet(count=8, size=32))
    evaluate.main([
        "--weights", str(run), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "e"),
        "--enhance", str(files / "gray.h5"),
    ])  # fmt: skip
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    for name in ("ct", "mri"):
        enhanced = metrics["cycle_enhanced"][name]
        assert 0 < enhanced["psnr"]["mean"] < 60 and enhanced != metrics["cycle"][name]
    assert "original vs high-resolution" in capsys.readouterr().out
    assert "high-resolution reconstruction" in (tmp_path / "e" / "report.html").read_text()
