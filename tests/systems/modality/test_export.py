"""Missing contrasts in a graph: `Synthesizer`'s volumes, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.data import LANDMARK_PERCENTILES, LandmarkConfig, ModalityDataConfig
from keras_vaegan.config.networks import ModalityUNetConfig
from keras_vaegan.data.brats import Case, find_scans, read_case
from keras_vaegan.data.intensity import find_brain, find_percentiles
from keras_vaegan.data.nifti import read_nifti
from keras_vaegan.data.normalization import normalize_volumes
from keras_vaegan.data.volume import to_canonical
from keras_vaegan.interop.keras_h5.load import load_network
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.systems.modality.export import open_synthesis
from keras_vaegan.systems.modality.slices import list_inputs
from keras_vaegan.systems.modality.synthesizer import Synthesizer, choose_reference
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

RNG = np.random.default_rng(0)
CURVE = tuple((np.linspace(0, 1, len(LANDMARK_PERCENTILES)) ** 1.3).tolist())
LANDMARKS = LandmarkConfig(CURVE, CURVE, CURVE, CURVE)


def test_preparation_is_the_same_in_a_graph_of_unknown_shapes():
    volume = tf.TensorSpec((None, None, None), tf.bool)
    fill = tf.function(lambda mask: find_brain([mask]), input_signature=[volume], autograph=False)
    for share in np.linspace(0, 1, 12):
        mask = RNG.random((9, 7, 8)) < share
        np.testing.assert_array_equal(fill(mask), find_brain([mask]))
    vector = tf.TensorSpec((None,), tf.float32)
    measure = tf.function(
        lambda values: find_percentiles(values, (1.0, 99.0)), input_signature=[vector],
        autograph=False,
    )  # fmt: skip
    for count in (1, 64, 5000):
        values = RNG.normal(100, 30, count).astype("float32")
        np.testing.assert_array_equal(measure(values), find_percentiles(values, (1.0, 99.0)))


def write_network(path, target, size=32, normalization="percentile"):
    data = ModalityDataConfig(
        size, normalization, landmarks=LANDMARKS, neighbours=int(normalization == "nyul")
    )
    config = ModalityUNetConfig(
        size, target, data.neighbours, filters=(4, 4), latent_channels=4,
        normalization="instance" if normalization == "nyul" else "batch",
    )  # fmt: skip
    network = build_modality_unet(config)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.1 * RNG.normal(size=variable.shape))
    save_legacy_h5(network, path, WeightsRecord(config, data))
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

    def __init__(self, kept, unit) -> None:
        self.range, self.unit = kept, np.asarray(unit)


def run_python(path, target, volumes):
    """`Synthesizer`'s answer, in the closest input's unit."""
    synthesizer = Synthesizer.load(path, "float32")
    brain, ranges, units = normalize_volumes(
        volumes, list_inputs(target), synthesizer.data, lambda *arguments: arguments[-1]
    )
    scans = {name: FakeScan(ranges[name], units[name]) for name in volumes}
    case = Case("case", np.asarray(brain), scans)
    made, _ = synthesizer.synthesize(case, target)
    assert case.brain[20, 22, 6]
    return np.asarray(choose_reference(case, target).range.from_unit(made, brain))


@pytest.mark.parametrize(
    ("target", "normalization"),
    [("flair", "percentile"), ("any", "nyul"), ("flair", "white_matter"), ("flair", "zscore")],
)
def test_volumes_are_the_python_paths(tmp_path, target, normalization):
    """The ball is wider than the network's slice: middle slices are blended from windows."""
    file = write_network(tmp_path / "modality_unet_weights.h5", target, 32, normalization)
    chosen = "t1ce" if target == "any" else target
    volumes = make_volumes(chosen)
    expected = run_python(file, chosen, volumes)
    signatures = open_synthesis(load_network(file)).module.make_signatures()
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
    file = write_network(tmp_path / "modality_unet_weights.h5", "flair")
    network = open_synthesis(load_network(file))
    tf.saved_model.save(network.module, str(tmp_path / "m"), network.module.make_signatures())
    run = tf.saved_model.load(str(tmp_path / "m")).signatures["synthesize"]
    assert "percentile" in network.intensities and network.title
    good = make_volumes("flair")
    noise = RNG.normal(size=good["t1"].shape).astype("float32")
    corner = np.zeros_like(good["t1"])
    corner[1:5, 1:5, 1:11] = 1
    cases = {
        "t2 differs in shape": {"t2": good["t2"][:-1]},
        "t1ce holds NaN": {"t1ce": np.where(good["t1ce"] > 250, np.nan, good["t1ce"])},
        "no constant background": {"t1": noise},
        "holds one value almost": {"t1": np.zeros_like(good["t1"])},
        "no foreground in common": {"t1": corner},
        "its brain holds one value": {"t1": np.where(good["t1"] == 0, 0, 7)},
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
    run = open_synthesis(load_network(file)).module.make_signatures()["synthesize"]
    answer = run(**{n: tf.constant(np.float32(v)) for n, v in volumes.items()})["synthesis"]
    scale = kept.high - kept.low
    np.testing.assert_allclose(answer / scale, expected / scale, atol=1e-4)
