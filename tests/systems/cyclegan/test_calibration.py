"""Error maps by folds of cases, and of a run's generators."""

import json

import numpy as np
import pytest

from keras_vaegan.data.image import list_images, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.error_map import FEATURES, ErrorMap
from keras_vaegan.models.build import build_model
from keras_vaegan.phantom.rendering import PhantomSet, write_phantom_folders
from keras_vaegan.systems.cyclegan.calibration import calibrate_run, cross_calibrate
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.names import GENERATOR_FILES
from keras_vaegan.weights.record import WeightsRecord

PIXELS = 2000


def draw_image(seed, rising: bool, level=0.0):
    """(features, errors, spread) of an image whose error rises, or falls, with its first feature.

    The last feature tells the case's `level`.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(PIXELS, FEATURES)).astype("float32")
    features[:, -1] = level + 0.01 * rng.normal(size=PIXELS)
    share = rng.uniform(0, 1, PIXELS)
    features[:, 0] = 4 * share - 2
    deviations = 0.02 + 0.3 * (share if rising else 1 - share)
    errors = (rng.choice([-1, 1], PIXELS) * deviations).astype("float32")
    return features, errors, (deviations / 5).astype("float32")


def calibrate(images, cases):
    return cross_calibrate(*(list(part) for part in zip(*images, strict=True)), cases)


def test_a_case_is_never_judged_by_itself():
    """Each case alone could tell its own relation; the others tell the opposite."""
    images = [draw_image(seed, rising=seed < 2, level=seed // 2) for seed in range(4)]
    figures = calibrate(images, list("aabb"))["figures"]
    assert figures["error_map"]["spearman"] < -0.2
    assert figures["error_map"]["ause"] > figures["error_map"]["ause_random"]
    leaking = calibrate(images, list("abcd"))["figures"]
    assert leaking["error_map"]["spearman"] > 0.5


def test_one_case_is_told_by_its_images():
    images = [draw_image(seed, rising=True) for seed in range(4)]
    table = calibrate(images, ["only"] * 4)
    figures = table["figures"]
    assert set(figures) == {"samples", "scaled", "error_map"}
    assert figures["error_map"]["spearman"] > 0.9
    assert figures["samples"]["deviation"] == pytest.approx(figures["samples"]["error"] / 5)
    assert figures["scaled"]["deviation"] == pytest.approx(figures["scaled"]["error"], rel=0.05)
    assert figures["scaled"]["calibration_error"] < figures["samples"]["calibration_error"] / 5


def test_a_foreign_scale_judges_a_case():
    """The factor of a case comes from others, whose spread is another."""
    images = [list(draw_image(seed, rising=True)) for seed in range(4)]
    for image in images[2:]:
        image[2] = 2 * image[2]
    figures = calibrate(images, ["a", "a", "b", "b"])["figures"]
    expected = np.sqrt(np.mean([0.5**2, 2**2]))
    error = figures["scaled"]["error"]
    assert figures["scaled"]["deviation"] == pytest.approx(error * expected, rel=0.05)


def test_networks_without_samples_are_judged_by_the_map_alone():
    images = [(*draw_image(seed, rising=True)[:2], np.zeros(PIXELS)) for seed in range(4)]
    figures = calibrate(images, list("aabb"))["figures"]
    assert set(figures) == {"error_map"} and figures["error_map"]["spearman"] > 0.9


def test_the_kept_map_is_of_all_images():
    images = [draw_image(seed, rising=True) for seed in range(4)]
    kept = calibrate(images, list("abcd"))["error_map"]
    features, errors, _ = (np.concatenate(part) for part in zip(*images, strict=True))
    assert kept.to_json() == ErrorMap.fit(features, errors).to_json()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny):
    """A folder of two untrained generators, and phantom heads beside it."""
    folder = tmp_path_factory.mktemp("run")
    model = build_model(tiny.VAE.generator)
    for name in GENERATOR_FILES.values():
        save_legacy_h5(model, folder / name, WeightsRecord(tiny.VAE.generator, tiny.VAE.data))
    write_phantom_folders(folder / "phantom", PhantomSet(count=4, size=32))
    return folder


def test_a_run_is_calibrated_on_pairs(folder):
    seen = []

    def watch(items, what, total):
        seen.append((what, total))
        return items

    table = calibrate_run(folder, folder / "phantom", samples=2, limit=4, progress=watch)
    assert seen == [("mri2ct", 4), ("ct2mri", 4)] and list(table) == ["mri2ct", "ct2mri"]
    for row in json.loads(json.dumps(table)).values():
        assert (row["samples"], row["images"], row["cases"]) == (2, 4, 1)  # of names 0000 to 0007
        assert all(np.isfinite(list(told.values())).all() for told in row["figures"].values())
        errors = {told["error"] for told in row["figures"].values()}
        assert len(errors) == 1 and 0 < errors.pop() < 1
        error_map = ErrorMap.from_json(row["error_map"])
        assert error_map.predict(np.zeros((3, FEATURES))).shape == (3,)


@pytest.mark.parametrize("kind", ["unpaired", "few", "black"])
def test_a_set_without_pairs_is_refused(folder, tmp_path, kind):
    paths = [list_images(folder / "phantom" / name) for name in ("testA", "testB")]
    for domain, files in zip("AB", paths, strict=True):
        for index, path in enumerate(files[:3] if kind == "few" else files):
            prefix = domain if kind == "unpaired" else ""
            target = tmp_path / f"test{domain}" / f"{prefix}{index}{path.suffix}"
            if kind == "black":
                write_image(target, np.zeros((32, 32), "uint8"))
            else:
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="pairs.*expected.*at least 4"):
        calibrate_run(folder, tmp_path, samples=2)
