"""Missing contrasts in a graph: `Synthesizer`'s volumes, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf
from keras_vaegan.exporting import pieces

from keras_vaegan.export.saved_model import export_saved_model

pytest.importorskip(
    "keras_vaegan.systems.modality.synthesizer", reason="synthesis does not exist yet"
)

from keras_vaegan.exporting import synthesis

from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.data.brats import find_scans, read_case
from keras_vaegan.data.intensity import find_brain, measure_range
from keras_vaegan.data.nifti import read_nifti
from keras_vaegan.data.volume import to_canonical
from keras_vaegan.export.families import open_network
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.systems.modality.slices import list_inputs
from keras_vaegan.systems.modality.synthesizer import Synthesizer, choose_reference
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

RNG = np.random.default_rng(0)


def test_holes_are_filled_as_in_python():
    for share in np.linspace(0.3, 0.85, 12):
        mask = RNG.random((9, 7, 8)) < share
        np.testing.assert_array_equal(pieces.fill_holes(tf.constant(mask)), find_brain([mask]))
    ball = np.sum((np.mgrid[:15, :15, :15] - 7) ** 2, axis=0)
    shell = (ball < 40) & (ball > 15)
    assert pieces.fill_holes(tf.constant(shell)).numpy()[7, 7, 7] and not shell[7, 7, 7]


def test_percentiles_are_numpys():
    for count in (64, 101, 5000):
        values = RNG.normal(100, 30, count).astype("float32")
        expected = measure_range(values, np.ones(count, bool), (1.0, 99.0), 0.0)
        low, high = synthesis.measure_range(tf.constant(values), (1.0, 99.0))
        np.testing.assert_allclose([low, high], [expected.low, expected.high], rtol=1e-6)


def write_network(path, target, size=32):
    config = ModalityUNetConfig(size, target, filters=(4, 4), latent_channels=4)
    network = build_modality_unet(config)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.1 * RNG.normal(size=variable.shape))
    save_legacy_h5(network, path, WeightsRecord(config, ModalityDataConfig(size)))
    return path


def make_volumes(target, shape=(40, 44, 12)):
    """A skull-stripped ball with texture in each input, in a background of its own."""
    grid = np.stack(np.mgrid[: shape[0], : shape[1], : shape[2]]).astype("float32")
    centre = np.array(shape)[:, None, None, None] / 2
    brain = np.sum(((grid - centre) / (0.42 * np.array(shape)[:, None, None, None])) ** 2, 0) < 1
    volumes = {}
    for index, name in enumerate(list_inputs(target)):
        texture = 200 + 90 * np.cos(grid[0] / (3 + index)) * np.sin(grid[1] / 4) + 5 * grid[2]
        volumes[name] = np.where(brain, texture, -index).astype("float32")
    volumes[name][20, 22, 6] = -index  # a hole, which counts as brain
    return volumes


class FakeScan:
    """A scan as `read_case` makes it, from an array."""

    def __init__(self, values, brain, background):
        self.range = measure_range(values, brain, (1.0, 99.0), background)
        self.unit = self.range.to_unit(values, brain)


def run_python(path, target, volumes):
    """`Synthesizer`'s answer, in the closest input's unit."""
    backgrounds = {name: float(values[0, 0, 0]) for name, values in volumes.items()}
    brain = find_brain([values != backgrounds[name] for name, values in volumes.items()])
    scans = {n: FakeScan(values, brain, backgrounds[n]) for n, values in volumes.items()}
    case = synthesis.Case("case", brain, scans)
    made, _ = Synthesizer.load(path, "float32").synthesize(case, target)
    return choose_reference(case, target).range.from_unit(made, brain)


@pytest.mark.parametrize("target", ["flair", "any"])
def test_volumes_are_the_python_paths(tmp_path, target):
    """The ball is wider than the network's slice: middle slices are blended from windows."""
    file = write_network(tmp_path / "modality_unet_weights.h5", target)
    chosen = "t1ce" if target == "any" else target
    volumes = make_volumes(chosen)
    expected = run_python(file, chosen, volumes)
    signatures = open_network(tmp_path).module.make_signatures()
    made = signatures["synthesize_t1ce" if target == "any" else "synthesize"](
        **{name: tf.constant(values) for name, values in volumes.items()}
    )["synthesis"]
    scale = np.ptp(expected)
    np.testing.assert_allclose(made / scale, expected / scale, atol=1e-4)
    assert scale > 10 and made.shape == volumes["t2"].shape
    assert set(signatures) - {"serving_default"} == (
        {f"synthesize_{name}" for name in ("t1", "t1ce", "t2", "flair")}
        if target == "any"
        else {"synthesize"}
    )


def test_the_graph_refuses(tmp_path):
    write_network(tmp_path / "modality_unet_weights.h5", "flair")
    export_saved_model(tmp_path, tmp_path / "model")
    run = tf.saved_model.load(str(tmp_path / "model")).signatures["synthesize"]
    assert "percentile" in (tmp_path / "model" / "model_card.md").read_text()
    good = make_volumes("flair")
    noise = RNG.normal(size=good["t1"].shape).astype("float32")
    cases = {
        "t2 differs in shape": {"t2": good["t2"][:-1]},
        "t1ce holds NaN": {"t1ce": np.where(good["t1ce"] > 250, np.nan, good["t1ce"])},
        "no constant background": {"t1": noise},
        "no foreground in common": {"t1": np.zeros_like(good["t1"])},
        "one value between": {"t1": np.where(good["t1"] == 0, 0, 7)},
        "too small": {name: np.zeros((1, 1, 1)) for name in good},
        "too small: ": {name: np.zeros((0, 5, 5)) for name in good},
    }
    for message, change in cases.items():
        volumes = {name: tf.constant(v, tf.float32) for name, v in {**good, **change}.items()}
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            run(**volumes)
    assert np.isfinite(run(**{n: tf.constant(v) for n, v in good.items()})["synthesis"]).all()


@pytest.mark.slow
def test_a_real_case(tmp_path, real_data):
    """A whole volume, 240x240x155, through both paths."""
    file = write_network(tmp_path / "modality_unet_weights.h5", "flair", 64)
    folder = real_data / "brats" / "AURORA"
    case = read_case(folder, list_inputs("flair"))
    made, _ = Synthesizer.load(file, "float32").synthesize(case, "flair")
    kept = choose_reference(case, "flair").range
    expected = kept.from_unit(made, case.brain)
    volumes = {
        name: to_canonical(read_nifti(path)[0]).values
        for name, path in find_scans(folder).items()
        if name != "flair"
    }
    run = open_network(file).module.make_signatures()["synthesize"]
    answer = run(**{n: tf.constant(np.float32(v)) for n, v in volumes.items()})["synthesis"]
    scale = kept.high - kept.low
    np.testing.assert_allclose(answer / scale, expected / scale, atol=1e-4)
