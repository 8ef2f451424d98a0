"""train, synthesize and evaluate for missing contrasts, and phantom cases, as a user runs them."""

import dataclasses
import json
import os

import nibabel
import numpy as np
import pytest

from keras_vaegan.commands import evaluate, phantom, synthesize, train
from keras_vaegan.config.data import ModalityDataConfig
from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.data.brats import find_cases, find_scans, read_case
from keras_vaegan.data.image import read_image
from keras_vaegan.data.nifti import read_nifti, write_nifti
from keras_vaegan.data.volume import Volume, to_canonical
from keras_vaegan.errors import InputError
from keras_vaegan.models.modality_unet import build_modality_unet
from keras_vaegan.systems.modality.config import ModalityConfig, ModalityLossConfig
from keras_vaegan.systems.modality.synthesizer import Synthesizer, choose_reference
from keras_vaegan.systems.modality.system import ModalitySystem
from keras_vaegan.training.run import train_run
from keras_vaegan.training.run_folder import read_run_config, write_run_config
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

CONFIG = ModalityConfig(
    generator=ModalityUNetConfig(filters=(4, 4), latent_channels=3),
    data=ModalityDataConfig(image_size=16, slice_stride=1),
    batch_size=2,
    steps=4,
    validate_every=2,
    precision="float32",
)
ANY = dataclasses.replace(
    CONFIG,
    generator=dataclasses.replace(CONFIG.generator, target="any"),
    losses=ModalityLossConfig(kl_warmup=0.0),  # which would depend on the steps of a call
)


def train_cases(config, cases, out, resume=False):
    """A whole run."""
    return train_run(ModalitySystem(), config, cases, out, resume)


def save_weights(path, config):
    """A weight file of random weights."""
    network = build_modality_unet(config.generator)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    save_legacy_h5(network, path, WeightsRecord(config.generator, config.data))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "modality_unet_weights.h5", CONFIG)


@pytest.fixture(scope="module")
def weights_any(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights") / "any.h5", ANY)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases") / "set"
    phantom.main(["--out", str(folder), "--kind", "brats", "--count", "5", "--size", "32"])
    return folder


@pytest.fixture(scope="module")
def run(cases, tmp_path_factory):
    """A finished run of a few steps for any target."""
    out = tmp_path_factory.mktemp("runs") / "any"
    assert train_cases(ANY, cases, out) is None
    return out


# -- synthesize --------------------------------------------------------------------------------


def make_affine(codes: str) -> np.ndarray:
    """A 1x1x2 mm affine of the given axis codes, off the origin."""
    signs = [1 if code in "RAS" else -1 for code in codes]
    rows = [{"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[code] for code in codes]
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (row, sign) in enumerate(zip(rows, signs, strict=True)):
        affine[row, axis] = sign * (2 if axis == 2 else 1)
    affine[:3, 3] = (10, -20, 30)
    return affine


@pytest.mark.parametrize(
    ("codes", "dtype"), [("LPS", "int16"), ("RAS", "float32"), ("PIR", "uint8")]
)
def test_output_has_the_inputs_grid_header_dtype_and_range(
    weights, tmp_path, write_case, codes, dtype
):
    canonical = write_case.draw()
    order = [{"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[code] for code in codes]
    flips = tuple(slice(None, None, 1 if code in "RAS" else -1) for code in codes)
    arrays = {
        name: (np.transpose(v, order)[flips] // (8 if dtype == "uint8" else 1)).astype(dtype)
        for name, v in canonical.items()
        if name != "flair"
    }
    folder = write_case(tmp_path / "case", arrays, make_affine(codes))
    out = tmp_path / "out.nii.gz"
    arguments = ["--weights", weights, "--input", folder, "--output", out]
    assert synthesize.main([str(part) for part in arguments]) == 0
    made, reference = nibabel.load(out), nibabel.load(folder / "case_t2.nii.gz")
    assert made.shape == reference.shape and made.get_data_dtype() == dtype
    np.testing.assert_array_equal(made.affine, reference.affine)
    assert "".join(nibabel.aff2axcodes(made.affine)) == codes
    for field in reference.header:
        np.testing.assert_array_equal(made.header[field], reference.header[field], err_msg=field)
    case = read_case(folder, MODALITIES[:3])
    volume = to_canonical(read_nifti(out)[0])
    span = case.scans["t2"].range
    inside = volume.values[case.brain]
    assert span.low - 1 <= inside.min() and inside.max() <= span.high + 1 and np.ptp(inside) > 0
    assert (volume.values[~case.brain] == 0).all()


def test_orientation_does_not_change_what_is_made(weights, tmp_path, write_case):
    canonical = write_case.draw()
    del canonical["flair"]
    results = []
    for codes, flip in (("RAS", 1), ("LPS", -1)):
        arrays = {name: v[::flip, ::flip].astype("float32") for name, v in canonical.items()}
        folder = write_case(tmp_path / codes, arrays, make_affine(codes))
        out = tmp_path / f"{codes}.nii"
        synthesize.main(["--weights", str(weights), "--input", str(folder), "--output", str(out)])
        results.append(to_canonical(read_nifti(out)[0]).values)
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_windows_are_blended_without_seams(weights, tmp_path, write_case):
    """A brain larger than the network's slice: every voxel is the blend of its windows."""
    folder = write_case(tmp_path / "case")
    case = read_case(folder, MODALITIES[:3])
    assert max(np.ptp(np.argwhere(case.brain), axis=0)[:2]) > 16
    runner = Synthesizer.load(weights, "float32")
    image, deviation = runner.synthesize(case, "flair")
    assert deviation is None and image.shape == case.brain.shape
    assert (image[case.brain] > 0).all() and (image[~case.brain] == 0).all()
    runner.network = type(
        "Flat", (), {"predict_on_batch": lambda self, x: 0 * x[..., :1] + 0.625}
    )()
    flat, _ = runner.synthesize(case, "flair")
    np.testing.assert_allclose(flat[case.brain], 0.625, rtol=1e-5)


def test_the_existing_target_is_not_looked_at(weights, tmp_path, write_case):
    folder = write_case(tmp_path / "case")
    outputs = []
    for _ in range(2):
        out = tmp_path / f"{len(outputs)}.nii"
        synthesize.main(["--weights", str(weights), "--input", str(folder), "--output", str(out)])
        outputs.append(out.read_bytes())
        (folder / "case_flair.nii.gz").write_bytes(b"damaged")
    assert outputs[0] == outputs[1]


def test_samples_write_their_deviation(weights, tmp_path, write_case):
    folder = write_case(tmp_path / "case")
    out = tmp_path / "out.nii.gz"
    synthesize.main([
        "--weights", str(weights), "--input", str(folder), "--output", str(out), "--samples", "4",
    ])  # fmt: skip
    deviation = nibabel.load(tmp_path / "out_std.nii.gz")
    assert deviation.get_data_dtype() == np.float32
    np.testing.assert_array_equal(deviation.affine, nibabel.load(out).affine)
    values = np.asarray(deviation.dataobj)
    brain = read_case(folder, MODALITIES[:3]).brain[::-1, ::-1]
    assert (values[~brain] == 0).all() and values[brain].max() > 0


def test_one_network_makes_whichever_is_missing(
    weights_any, tmp_path, write_case, capsys, expect_refusal
):
    for index, target in enumerate(MODALITIES):
        folder = write_case(tmp_path / f"case{index}")
        next(folder.glob(f"*_{target}.nii.gz")).unlink()
        out = tmp_path / f"{target}.nii.gz"
        synthesize.main(
            ["--weights", str(weights_any), "--input", str(folder), "--output", str(out)]
        )
        assert f"wrote {target}" in capsys.readouterr().out and out.exists()
    folder = write_case(tmp_path / "full")
    arguments = ("--weights", weights_any, "--input", folder, "--output", tmp_path / "o.nii")
    assert "expected --target" in expect_refusal(synthesize.main, *arguments)
    assert synthesize.main([str(part) for part in (*arguments, "--target", "t1ce")]) == 0
    assert "t1ce" in capsys.readouterr().out


def test_the_closest_contrast_lends_its_header(tmp_path, write_case):
    case = read_case(write_case(tmp_path / "case"), MODALITIES)
    chosen = {target: choose_reference(case, target).path.name for target in MODALITIES}
    assert chosen == {
        "t1": "case_t1ce.nii.gz", "t1ce": "case_t1.nii.gz", "t2": "case_flair.nii.gz",
        "flair": "case_t2.nii.gz",
    }  # fmt: skip


def write_bad_case(folder, kind, write_case):
    """A case with one fault, and what the refusal must name."""
    arrays = write_case.draw()
    del arrays["flair"]
    write_case(folder, arrays)
    path = folder / f"{folder.name}_t2.nii.gz"
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    values = arrays["t2"]
    if kind == "missing":
        path.unlink()
        return "lacks t2"
    if kind == "4-D":
        nibabel.Nifti1Image(np.stack([values, values], -1), affine).to_filename(path)
        return "4-D"
    if kind == "shape":
        write_nifti(path, Volume(values[:, :-1], affine))
        return "24x29x12"
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-200])
        return "truncated"
    if kind == "zero":
        write_nifti(path, Volume(np.zeros_like(values), affine))
        return "almost everywhere"
    if kind == "NaN":
        values = values.astype("float32")
        values[12, 12, 6] = np.nan
        write_nifti(path, Volume(values, affine))
        return "NaN"
    (folder / "second_t2w.nii").write_bytes(b"")
    return "two candidates for t2"


@pytest.mark.parametrize("kind", ["missing", "4-D", "shape", "cut", "zero", "NaN", "twice"])
def test_bad_cases_are_refused_in_one_line(weights, tmp_path, write_case, expect_refusal, kind):
    word = write_bad_case(tmp_path / "case", kind, write_case)
    out = tmp_path / "out" / "made.nii.gz"
    line = expect_refusal(
        synthesize.main, "--weights", weights, "--input", tmp_path / "case", "--output", out
    )
    assert word in line and str(tmp_path / "case") in line
    assert not out.exists()


def test_negative_intensities_are_taken_as_they_are(weights, tmp_path, write_case):
    arrays = write_case.draw()
    shifted = {
        name: np.where(v > 0, v - 2000.5, 0).astype("float32")
        for name, v in arrays.items() if name != "flair"
    }  # fmt: skip
    made = []
    for name, chosen in (("plain", {k: v.astype("float32") for k, v in arrays.items()}),
                         ("negative", shifted)):  # fmt: skip
        chosen = {k: v for k, v in chosen.items() if k != "flair"}
        out = tmp_path / f"{name}.nii"
        folder = write_case(tmp_path / name, chosen)
        synthesize.main(["--weights", str(weights), "--input", str(folder), "--output", str(out)])
        made.append(read_nifti(out)[0].values)
    brain = made[0] != 0
    np.testing.assert_allclose(made[1][brain], made[0][brain] - 2000.5, atol=0.1)
    assert (made[1][~brain] == 0).all()


def test_bad_arguments_are_refused(weights, tmp_path, write_case, expect_refusal):
    folder = write_case(tmp_path / "case")
    out = tmp_path / "out.nii.gz"
    (tmp_path / "empty").mkdir()
    for change, word in {
        ("--target", "t1"): "expected flair",
        ("--samples", "1"): "--samples",
        ("--output", tmp_path / "out.png"): ".nii",
        ("--output", folder / "case_t2.nii.gz"): "one of the inputs",
        ("--weights", tmp_path / "none.h5"): "none.h5",
        ("--weights", tmp_path / "empty"): "modality_unet_weights.h5",
        ("--input", tmp_path / "nowhere"): "nowhere",
        ("--input", tmp_path / "empty"): "lacks t1",
        ("--target", "pd"): "pd",
    }.items():
        arguments = {"--weights": weights, "--input": folder, "--output": out}
        arguments[change[0]] = change[1]
        flat = [part for pair in arguments.items() for part in pair]
        assert word in expect_refusal(synthesize.main, *flat)
        assert not out.exists()


# -- train and evaluate ------------------------------------------------------------------------


def test_a_run_folder_holds_what_the_contract_says(run, cases):
    split = json.loads((run / "split.json").read_text())
    assert sorted(sum(split.values(), [])) == [folder.name for folder in find_cases(cases)]
    assert [len(split[part]) for part in ("train", "validation", "test")] == [3, 1, 1]
    assert read_run_config(run, ModalityConfig) == ANY
    for name in ("modality_unet_weights.h5", "best/modality_unet_weights.h5", "state/state.h5"):
        assert (run / name).is_file()
    history = (run / "logs" / "history.csv").read_text().splitlines()
    assert len(history) == 3
    for column in ("l1", "kl", "brain_psnr", "val_psnr_t1ce", "val_mae_flair", "val_score"):
        assert column in history[0].split(",")
    assert read_image(run / "samples" / "step_000004.png").std() > 5
    cached = {path.name.rsplit("-", 1)[0] for path in (run / "cache").iterdir()}
    assert cached == {*split["train"], *split["validation"]}


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(run, cases, tmp_path):
    """Two trainers are built and compiled, which takes most of the time."""
    out = tmp_path / "run"
    train_cases(dataclasses.replace(ANY, steps=2), cases, out)
    train_cases(ANY, cases, out, resume=True)
    name = "modality_unet_weights.h5"
    assert (out / name).read_bytes() == (run / name).read_bytes()
    assert train_cases(ANY, cases, out, resume=True) is None


def test_one_case_is_enough_to_train_on(cases, tmp_path, expect_refusal):
    config = dataclasses.replace(CONFIG, steps=2)
    train_cases(config, cases / "phantom-00000", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "split.json").read_text())["train"] == ["phantom-00000"]
    assert not (tmp_path / "run" / "best").exists()
    line = expect_refusal(
        evaluate.main, "--weights", tmp_path / "run", "--data", cases / "phantom-00000",
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert "trained or validated on all 1 cases" in line


def test_a_run_starts_from_the_weights_of_another(run, cases, tmp_path):
    """Other cases, another normalisation, one left out: the network alone must be the same."""
    data = dataclasses.replace(ANY.data, normalization="white_matter", leave_out="phantom-00001")
    config = dataclasses.replace(
        ANY, data=data, steps=1, optimizer=OptimizerConfig(learning_rate=1e-12)
    )
    out, system = tmp_path / "run", ModalitySystem()
    assert train_run(system, config, cases, out, init_from=run) is None
    before, after = (Synthesizer.load(folder, "float32").network for folder in (run / "best", out))
    for first, second in zip(before.weights, after.weights, strict=True):
        np.testing.assert_allclose(first, second, atol=0.05)  # the statistics of one batch
    assert json.loads((out / "split.json").read_text())["test"] == ["phantom-00001"]
    assert Synthesizer.load(out, "float32").data == data
    with pytest.raises(InputError, match="modality_unet_weights.h5"):
        train_run(system, CONFIG, cases, tmp_path / "other", init_from=run)


def test_evaluate_judges_the_cases_that_the_run_has_not_seen(run, cases, tmp_path, capsys):
    status = evaluate.main(["--weights", str(run), "--data", str(cases), "--out", str(tmp_path)])
    assert status == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["cases"] == json.loads((run / "split.json").read_text())["test"]
    assert metrics["n_cases"] == 1 and metrics["protocol"] == "modality"
    for part in ("brain", "whole"):
        assert set(metrics[part]) == set(MODALITIES)
        for figures in metrics[part].values():
            assert {"psnr", "ssim", "mae", "copy", "fitted", "plain_copy"} == set(figures)
    assert len((tmp_path / "per_image.csv").read_text().splitlines()) == 5
    page = (tmp_path / "report.html").read_text()
    assert page.count('class="example"') == 4 and "in the brain" in page and "of 1 case<" in page
    assert "Training: losses" in page and "What is missing" not in page
    assert read_image(tmp_path / "flair.png").std() > 5
    assert (run / "metrics.json").exists()
    assert "against the best copy" in capsys.readouterr().out


def test_evaluate_refuses_bad_input(run, cases, tmp_path, expect_refusal):
    common = ("--weights", run, "--data", cases, "--out", tmp_path / "o")
    for change, word in ((("--limit", 0), "--limit"), (("--protocol", "best"), "protocol")):
        assert word in expect_refusal(evaluate.main, *common, *change)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "modality_unet_weights.h5").write_bytes(
        (run / "modality_unet_weights.h5").read_bytes()
    )
    (broken / "split.json").write_text("[")
    line = expect_refusal(
        evaluate.main, "--weights", broken, "--data", cases, "--out", tmp_path / "o"
    )
    assert "split.json is unreadable" in line


def test_train_resolves_and_refuses(run, cases, tmp_path, capsys, expect_refusal):
    out = tmp_path / "new"
    common = ("--data", cases, "--out", out, "--preset", "modality_unet_small")
    train.main([str(part) for part in (*common, "--target", "any", "--dry-run")])
    assert json.loads(capsys.readouterr().out)["generator"]["target"] == "any"
    for change, word in (
        (("--cycle-weight", 1), "CycleGANConfig's preset only"),
        (("--image-size", 64), "CycleGANConfig's preset only"),
        (("--target", "pd"), "pd"),
        (("--batch-size", 10_000), "slices to train on"),
        (("--data", tmp_path), "no case"),
    ):
        arguments = dict(zip(common[::2], common[1::2], strict=True))
        arguments |= dict([change])
        flat = [part for pair in arguments.items() for part in pair]
        assert word in expect_refusal(train.main, *flat)
    line = expect_refusal(
        train.main, "--data", cases, "--out", out, "--preset", "demo", "--target", "t1"
    )
    assert "ModalityConfig's preset only" in line
    line = expect_refusal(train.main, "--data", cases, "--out", run, "--resume", "--target", "t1")
    assert "run's own any" in line
    assert not (out / "config.json").exists()
    write_run_config(tmp_path / "lost", ANY)
    (tmp_path / "lost" / "state").mkdir()
    line = expect_refusal(train.main, "--data", cases, "--out", tmp_path / "lost", "--resume")
    assert "split.json" in line


# -- phantom -----------------------------------------------------------------------------------


def test_phantom_cases_refuse_what_folders_take(tmp_path, expect_refusal):
    line = expect_refusal(
        phantom.main, "--out", tmp_path / "a", "--kind", "brats", "--contrast", "t2"
    )
    assert "--kind folders only" in line
    line = expect_refusal(phantom.main, "--out", tmp_path / "a", "--kind", "brats", "--size", "500")
    assert "at most 240" in line


def list_real_cases(folder) -> list:
    """One case of each orientation, or every case."""
    cases = find_cases(folder)
    if os.environ.get("KERAS_VAEGAN_EVERY_PRESET"):
        return cases
    affines = {case: nibabel.load(find_scans(case)["t2"]).affine for case in cases}
    return list({nibabel.aff2axcodes(affine): case for case, affine in affines.items()}.values())


@pytest.mark.slow
def test_the_real_cases_keep_their_grid(real_data, tmp_path):
    """Whole 240x240x155 volumes, LPS and RAS: a slice is one window of a tiny network's."""
    wide = dataclasses.replace(CONFIG.generator, image_size=192)
    data = dataclasses.replace(CONFIG.data, image_size=192)
    config = dataclasses.replace(CONFIG, generator=wide, data=data)
    weights = save_weights(tmp_path / "modality_unet_weights.h5", config)
    cases = list_real_cases(real_data / "brats")
    assert len(cases) >= 2
    for folder in cases:
        out = tmp_path / f"{folder.name}.nii.gz"
        synthesize.main(["--weights", str(weights), "--input", str(folder), "--output", str(out)])
        reference, made = nibabel.load(find_scans(folder)["t2"]), nibabel.load(out)
        assert made.shape == reference.shape == (240, 240, 155)
        np.testing.assert_array_equal(made.affine, reference.affine)
        assert nibabel.aff2axcodes(made.affine) == nibabel.aff2axcodes(reference.affine)
        for field in reference.header:
            np.testing.assert_array_equal(made.header[field], reference.header[field])
