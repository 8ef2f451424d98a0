"""translate and enhance as a user runs them on NIfTI files and DICOM series."""

import re
import shutil

import nibabel
import numpy as np
import pydicom
import pytest

from keras_vaegan.commands import enhance, translate
from keras_vaegan.config.networks import ResnetGeneratorConfig, RRDBNetConfig
from keras_vaegan.data.image import read_image, write_image
from keras_vaegan.data.volume_files import read_volume
from keras_vaegan.models.build import build_model
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.weights.legacy_h5 import save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord

SAGITTAL = (0, 1, 0, 0, 0, -1)


@pytest.fixture(scope="module")
def rrdbnet(tmp_path_factory):
    """A tiny network that enlarges twice."""
    config = RRDBNetConfig(channels=1, num_features=8, num_blocks=1, growth_channels=4, scale=2)
    path = tmp_path_factory.mktemp("rrdbnet") / "rrdbnet.h5"
    save_legacy_h5(build_rrdbnet(config), path, config)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, volumes):
    """An MRI as NIfTI, series of CT, MR and sagittal CT, an image, and what must be refused."""
    folder = tmp_path_factory.mktemp("inputs")
    head = volumes.draw_head((36, 40, 8))
    mri = volumes.store((head * 800).astype("int16"), (1, 2, 0), (-1, 1, 1), (1, 1.25, 3))
    image = nibabel.Nifti1Image(mri.values, mri.affine)
    image.header["descrip"] = b"Jane Doe"
    image.to_filename(folder / "mri.nii.gz")
    (folder / "niftis").mkdir()
    for name in ("a.nii", "b.nii.gz"):
        image.to_filename(folder / "niftis" / name)
    nibabel.Nifti1Image(mri.values[..., None].repeat(2, -1), mri.affine).to_filename(
        folder / "four.nii"
    )
    image.header["qform_code"], image.header["sform_code"] = 0, 1
    image.header["srow_x"] = np.nan
    nibabel.Nifti1Image(mri.values, None, image.header).to_filename(folder / "nan.nii")
    slices = np.where(head > 0, head * 80, -1000).astype("int16").T[:, ::-1]
    for name, options in {
        "ct": {},
        "mr": {"modality": "MR"},
        "pet": {"modality": "PT"},
        "sagittal": {"axes": SAGITTAL},
    }.items():
        values = np.maximum(slices, 0) if name in ("mr", "pet") else slices
        if name == "sagittal":
            values = np.where(head > 0, head * 80, -1000).astype("int16").transpose(0, 2, 1)
            values = values.repeat(3, 1)[:, ::-1]
        volumes.write_series_files(folder / name, volumes.build_series(values, **options))
    mixed = volumes.build_series(slices), volumes.build_series(slices[:4], series="1.2.7")
    for images in mixed:
        volumes.write_series_files(folder / "mixed", images)
    missing = volumes.build_series(slices)
    del missing[3]
    volumes.write_series_files(folder / "missing", missing)
    colour = volumes.build_series(slices)
    colour[2].SamplesPerPixel, colour[2].PhotometricInterpretation = 3, "RGB"
    volumes.write_series_files(folder / "colour", colour)
    write_image(folder / "image.png", np.full((40, 40), 90, "uint8"))
    return folder


@pytest.fixture
def run(weights, rrdbnet, inputs, capsys):
    """Run a command on one of the inputs; return what it prints."""

    def call(command, name, output, *options, network=None):
        module = {"translate": translate, "enhance": enhance}[command]
        network = network or (rrdbnet if module is enhance else weights)
        parts = ("--weights", network, "--input", inputs / name, "--output", output, *options)
        assert module.main([str(part) for part in parts]) == 0
        return capsys.readouterr()

    return call


def test_an_mri_becomes_a_ct_on_its_grid(run, inputs, tmp_path):
    said = run("translate", "mri.nii.gz", tmp_path / "o.nii.gz", "--direction", "mri2ct")
    assert re.search(r"o.nii.gz: variation from slice to slice \d+\.\d\d times", said.out)
    assert said.err == ""
    source, made = (nibabel.load(p) for p in (inputs / "mri.nii.gz", tmp_path / "o.nii.gz"))
    assert made.shape == source.shape and made.get_data_dtype() == "int16"
    np.testing.assert_array_equal(made.affine, source.affine)
    assert made.header["descrip"].item() == b"synthetic CT"
    values = np.asarray(made.dataobj)
    assert values.min() == -1000 and values.max() <= 80
    assert (values[np.asarray(source.dataobj) > 200] >= 0).mean() > 0.9


def test_a_ct_series_becomes_an_mri_series(run, inputs, tmp_path, volumes):
    said = run("translate", "ct", tmp_path / "o", "--direction", "ct2mri")
    assert said.err == "" and "translated" in said.out
    headers = [pydicom.dcmread(path) for path in sorted((tmp_path / "o").iterdir())]
    assert len(headers) == 8
    assert {h.Modality for h in headers} == {"MR"}
    assert headers[0].SeriesDescription == "synthetic MRI"
    told = headers[0].DerivationDescription
    assert re.match(
        r"Synthetic MRI generated from CT by keras_vaegan .* weights [0-9a-f]{12};", told
    )
    assert "not acquired, not for diagnosis" in told and headers[0].SyntheticData == "YES"
    assert headers[0].PatientName == volumes.PERSON
    source, made = read_volume(inputs / "ct"), read_volume(tmp_path / "o")
    np.testing.assert_allclose(made.volume.affine, source.volume.affine, atol=1e-4)
    assert made.volume.values.min() == 0 < made.volume.values.max() <= 1000
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "o")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, made.volume.values)


def test_a_ct_from_a_series_is_shown_by_its_window(run, tmp_path):
    run("translate", "mr", tmp_path / "o", "--direction", "mri2ct", "--anonymize")
    header = pydicom.dcmread(tmp_path / "o" / "0001.dcm")
    assert (header.Modality, header.WindowCenter, header.WindowWidth) == ("CT", 40, 80)
    assert header.PatientName == "ANONYMOUS" and header.RescaleType == "HU"
    assert not any(b"Doe" in path.read_bytes() for path in (tmp_path / "o").iterdir())


def test_a_series_becomes_a_nifti_file(run, inputs, tmp_path):
    run("translate", "sagittal", tmp_path / "o.nii.gz", "--direction", "ct2mri")
    made = nibabel.load(tmp_path / "o.nii.gz")
    source = read_volume(inputs / "sagittal").volume
    np.testing.assert_allclose(made.affine, source.affine, atol=1e-4)
    assert nibabel.aff2axcodes(made.affine) == nibabel.aff2axcodes(source.affine)
    assert made.shape == source.values.shape
    inside = source.values > 0
    assert (np.asarray(made.dataobj)[~inside] == 0).mean() > 0.5


def test_a_folder_of_nifti_files_goes_to_a_folder(run, inputs, tmp_path):
    run("translate", "niftis", tmp_path / "o", "--direction", "mri2ct")
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["a.nii", "b.nii.gz"]
    first, second = (np.asarray(nibabel.load(tmp_path / "o" / n).dataobj) for n in names)
    np.testing.assert_array_equal(first, second)


def test_samples_write_a_deviation_and_a_picture(run, tmp_path):
    sampled = ("--samples", 2, "--direction")
    run("translate", "mri.nii.gz", tmp_path / "n" / "o.nii.gz", *sampled, "mri2ct")
    run("translate", "ct", tmp_path / "d" / "o", *sampled, "ct2mri")
    assert sorted(p.name for p in (tmp_path / "n").iterdir()) == [
        "o.nii.gz", "o_std.nii.gz", "o_std.png",
    ]  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["o", "o_std", "o_std.png"]
    deviation = nibabel.load(tmp_path / "n" / "o_std.nii.gz")
    assert deviation.get_data_dtype() == "float32" and np.asarray(deviation.dataobj).max() > 0
    assert deviation.header["descrip"].item() == b"synthetic CT, sample deviation"
    for name in ("n", "d"):
        assert read_image(tmp_path / name / "o_std.png").ndim == 3
    series = read_volume(tmp_path / "d" / "o_std")
    assert series.volume.values.max() > 0
    assert series.dicom[0].SeriesDescription == "synthetic MRI, sample deviation"
    assert series.dicom[0].DerivationDescription.startswith(
        "Standard deviation of latent samples of"
    )
    assert (
        series.dicom[0].SeriesInstanceUID
        != read_volume(tmp_path / "d/o").dicom[0].SeriesInstanceUID
    )


def test_one_of_several_series_is_chosen(run, tmp_path):
    run("translate", "mixed", tmp_path / "o", "--direction", "ct2mri", "--series", "1.2.7")
    assert len(list((tmp_path / "o").iterdir())) == 4


def test_a_series_of_another_modality_warns(run, tmp_path):
    said = run("translate", "mr", tmp_path / "o", "--direction", "ct2mri")
    assert re.search("warning: .*mr says it is MR: expected CT .*--direction", said.err)
    assert len(said.err.splitlines()) == 1


# -- enhance -----------------------------------------------------------------------------------


def test_a_nifti_file_is_enlarged_in_its_axial_plane(run, inputs, tmp_path):
    said = run("enhance", "mri.nii.gz", tmp_path / "o.nii.gz")
    assert "enhanced" in said.out and said.err == ""
    source, made = (nibabel.load(p) for p in (inputs / "mri.nii.gz", tmp_path / "o.nii.gz"))
    assert made.shape == tuple(np.multiply(source.shape, (2, 1, 2)))
    assert made.get_data_dtype() == "int16"
    np.testing.assert_allclose(made.header.get_zooms(), (0.625, 3, 0.5))
    assert made.header["descrip"].item() == b"super-resolution 2x"
    run("enhance", "mri.nii.gz", tmp_path / "b.nii.gz", "--resize-back")
    back = nibabel.load(tmp_path / "b.nii.gz")
    assert back.shape == source.shape
    np.testing.assert_array_equal(back.affine, source.affine)


def test_a_series_is_enlarged(run, inputs, tmp_path):
    run("enhance", "ct", tmp_path / "o")
    source, made = read_volume(inputs / "ct"), read_volume(tmp_path / "o")
    assert made.volume.values.shape == (72, 80, 8)
    header = made.dicom[0]
    assert header.Modality == "CT" and header.SeriesDescription == "super-resolution 2x"
    assert "detail is synthetic" in header.DerivationDescription
    assert list(header.PixelSpacing) == [0.25, 0.375]
    run("enhance", "ct", tmp_path / "b", "--resize-back", "--anonymize")
    back = read_volume(tmp_path / "b")
    np.testing.assert_allclose(back.volume.affine, source.volume.affine, atol=1e-4)
    assert back.dicom[0].PatientName == "ANONYMOUS"


def test_slices_that_are_not_axial_are_enlarged_as_nifti(run, inputs, tmp_path):
    run("enhance", "sagittal", tmp_path / "o.nii")
    assert nibabel.load(tmp_path / "o.nii").shape == (80, 24, 72)
    run("enhance", "pet", tmp_path / "p.nii")
    assert nibabel.load(tmp_path / "p.nii").shape == (72, 80, 8)


# -- refusals ----------------------------------------------------------------------------------

REFUSED = {
    "several series": ("mixed", "o", (), "holds 2 series: choose one by --series"),
    "an unknown series": ("ct", "o", ("--series", "1.9"), "holds no series 1.9"),
    "missing slices": ("missing", "o", (), "lacks slices between InstanceNumber 3 and 5"),
    "4-D": ("four.nii", "o.nii", (), "4-D"),
    "a NaN affine": ("nan.nii", "o.nii", (), "affine that cannot be inverted"),
    "colour": ("colour", "o", (), "is colour"),
    "a NIfTI file to an image": ("mri.nii.gz", "o.png", (), "expected a name ending in .nii.gz"),
    "a NIfTI file to a text": ("mri.nii.gz", "o.txt", (), "expected a name ending in .nii.gz"),
    "an image to a NIfTI file": ("image.png", "o.nii.gz", (), "holds images"),
    "a series to an image": ("ct", "o.png", (), "expected a folder for a DICOM series"),
    "a folder in use": ("ct", "used", (), "not empty"),
    "files to one file": ("niftis", "o.nii", (), "expected a folder"),
    "nothing": ("absent.nii.gz", "o.nii.gz", (), "does not exist"),
    "no folder": ("absent", "o", (), "does not exist"),
    "a series of a file": ("mri.nii.gz", "o.nii", ("--series", "1.2"), "--series 1.2"),
    "a series of images": ("image.png", "o.png", ("--series", "1.2"), "--series with images"),
    "anonymous images": ("image.png", "o.png", ("--anonymize",), "--anonymize with images"),
}
TRANSLATE_ONLY = {
    "a range of images": ("image.png", "o.png", ("--range", 0, 1), "--range with images"),
    "a falling range": ("mri.nii.gz", "o.nii", ("--range", 9, 1), "expected two rising values"),
    "an empty range": ("mri.nii.gz", "o.nii", ("--range", 5000, 6000), "contrast"),
    "enlarging": ("mri.nii.gz", "o.nii", ("--enhance", "x.h5"), "--enhance with a volume"),
    "no deviation": ("mri.nii.gz", "o.nii", ("--deviation",), "never calibrated"),
    "one sample": ("mri.nii.gz", "o.nii", ("--samples", 1), "--samples 1"),
}
ENHANCE_ONLY = {
    "other modalities": ("pet", "o", (), "a series of PT: expected CT or MR"),
    "sagittal slices": ("sagittal", "o", (), "not axial"),
}
CASES = [
    *((translate, name, case) for name, case in (REFUSED | TRANSLATE_ONLY).items()),
    *((enhance, name, case) for name, case in (REFUSED | ENHANCE_ONLY).items()),
]


@pytest.mark.parametrize(
    ("module", "case"),
    [pytest.param(m, case, id=f"{m.__name__.split('.')[-1]}-{name}") for m, name, case in CASES],
)
def test_refusals_are_one_line_and_write_nothing(
    weights, rrdbnet, inputs, tmp_path, expect_refusal, module, case
):
    name, output, options, word = case
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").touch()
    network = ("--weights", rrdbnet)
    if module is translate:
        network = ("--weights", weights, "--direction", "mri2ct")
    line = expect_refusal(
        module.main, *network, "--input", inputs / name, "--output", tmp_path / output, *options
    )
    assert word in line, line
    assert [path.name for path in tmp_path.rglob("*")] == ["used", "notes.txt"]


def test_a_file_without_a_direction_needs_one(weights, inputs, tmp_path, expect_refusal, run):
    shutil.copy(weights / "g_target_weights.h5", tmp_path / "x.h5")
    given = ("--weights", tmp_path / "x.h5", "--input", inputs / "mri.nii.gz", "--output")
    line = expect_refusal(translate.main, *given, tmp_path / "o.nii")
    assert "x.h5 tells no direction: expected --direction" in line
    assert not (tmp_path / "o.nii").exists()
    line = expect_refusal(translate.main, "--weights", weights, *given[2:], tmp_path / "o.nii")
    assert "add --direction" in line
    run("translate", "mri.nii.gz", tmp_path / "o.nii", "--direction", "mri2ct",
        network=tmp_path / "x.h5")  # fmt: skip
    run("translate", "mri.nii.gz", tmp_path / "p.nii", "--range", 0, 2000,
        network=weights / "g_target_weights.h5")  # fmt: skip
    first, second = (np.asarray(nibabel.load(tmp_path / n).dataobj) for n in ("o.nii", "p.nii"))
    assert first.min() == second.min() == -1000 and (first != second).any()


def test_samples_without_a_latent_are_refused(make_config, inputs, tmp_path, expect_refusal):
    config = ResnetGeneratorConfig(image_size=32, channels=1, filters=(8, 8), num_residual_blocks=1)
    record = WeightsRecord(config, make_config().data)
    save_legacy_h5(build_model(config), tmp_path / "g_target_weights.h5", record)
    line = expect_refusal(
        translate.main, "--weights", tmp_path / "g_target_weights.h5", "--input",
        inputs / "mri.nii.gz", "--output", tmp_path / "o.nii", "--samples", 2,
    )  # fmt: skip
    assert "2 samples of a network without a latent" in line
    assert not (tmp_path / "o.nii").exists()


def test_deviations_have_names_of_their_own(weights, inputs, tmp_path, expect_refusal):
    common = ("--weights", weights, "--direction", "mri2ct", "--samples", 2)
    (tmp_path / "o_std").mkdir()
    (tmp_path / "o_std" / "old.dcm").touch()
    line = expect_refusal(
        translate.main, *common, "--input", inputs / "mr", "--output", tmp_path / "o"
    )
    assert "o_std exists and is not empty" in line and not (tmp_path / "o").exists()
    (tmp_path / "in").mkdir()
    for name in ("a.nii", "a.nii.gz"):
        shutil.copy(inputs / "niftis" / "a.nii", tmp_path / "in" / name)
    line = expect_refusal(
        translate.main, *common, "--input", tmp_path / "in", "--output", tmp_path / "out"
    )
    assert "would both write" in line and "a_std.png" in line and not (tmp_path / "out").exists()
    shutil.copy(inputs / "mri.nii.gz", tmp_path / "a_std.nii.gz")
    line = expect_refusal(
        translate.main, *common, "--input", tmp_path / "a_std.nii.gz", "--output",
        tmp_path / "a.nii.gz",
    )  # fmt: skip
    assert "is an input" in line and not (tmp_path / "a.nii.gz").exists()


def test_a_full_disk_leaves_nothing(weights, inputs, tmp_path, monkeypatch, expect_refusal):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    line = expect_refusal(
        translate.main, "--weights", weights, "--direction", "mri2ct", "--input",
        inputs / "mri.nii.gz", "--output", tmp_path / "o" / "o.nii",
    )  # fmt: skip
    assert "No space left" in line and not list((tmp_path / "o").iterdir())


# -- real data ---------------------------------------------------------------------------------


def test_a_real_series_keeps_its_grid(run, real_data, tmp_path):
    folder = real_data / "dicom" / "ct_head"
    said = run("translate", folder, tmp_path / "o", "--direction", "ct2mri")
    assert "gantry tilted by 18.5 degrees" in said.err
    source, made = read_volume(folder), read_volume(tmp_path / "o")
    assert made.notes == ("slices sheared by 18.5 degrees",)
    assert made.volume.values.shape == (512, 512, 14)
    np.testing.assert_allclose(made.volume.affine, source.volume.affine, atol=1e-4)
    order = [header.SourceImageSequence[0].ReferencedSOPInstanceUID for header in made.dicom]
    assert order == [header.SOPInstanceUID for header in source.dicom]
    np.testing.assert_array_equal(made.volume.values[:, 0], 0)


def test_a_real_case_keeps_its_grid(run, real_data, tmp_path):
    case = real_data / "brats" / "Brats18_2013_21_1" / "Brats18_2013_21_1_t1.nii.gz"
    nibabel.load(case).slicer[..., 30:130:7].to_filename(tmp_path / "i.nii.gz")
    run("translate", tmp_path / "i.nii.gz", tmp_path / "o.nii.gz", "--direction", "mri2ct")
    source, made = (nibabel.load(tmp_path / name) for name in ("i.nii.gz", "o.nii.gz"))
    assert made.shape == source.shape
    np.testing.assert_array_equal(made.affine, source.affine)
    assert made.header.get_zooms() == source.header.get_zooms()
    values, before = (np.asarray(image.dataobj) for image in (made, source))
    assert (values[before > np.percentile(before[before > 0], 20)] >= 0).mean() > 0.95
    assert (values[before == 0] == -1000).mean() > 0.75


def test_what_a_folder_lacks_is_said(weights, tmp_path, volumes, expect_refusal, capsys):
    values = np.full((20, 20, 4), 30, "int16")
    volumes.write_series_files(tmp_path / "in" / "series", volumes.build_series(values))
    file = next((tmp_path / "in" / "series").iterdir())
    for source, word in ((tmp_path / "in", "subfolders are not read"), (file, "of its series")):
        line = expect_refusal(
            translate.main, "--weights", weights, "--direction", "ct2mri", "--input", source,
            "--output", tmp_path / "out",
        )  # fmt: skip
        assert word in line


def test_the_deviation_is_nothing_in_the_air(weights, tmp_path, volumes):
    head = volumes.store(volumes.draw_head())
    nibabel.save(nibabel.Nifti1Image(head.values, head.affine), tmp_path / "mri.nii.gz")
    translate.main([
        "--weights", str(weights), "--direction", "mri2ct", "--input", str(tmp_path / "mri.nii.gz"),
        "--output", str(tmp_path / "ct.nii.gz"), "--samples", "2",
    ])  # fmt: skip
    made, deviation = (
        np.asarray(nibabel.load(tmp_path / name).dataobj) for name in ("ct.nii.gz", "ct_std.nii.gz")
    )
    assert (made == -1000).any() and deviation.max() > 0
    assert not deviation[made == -1000].any()
    header = nibabel.load(tmp_path / "ct_std.nii.gz").header
    assert header["descrip"].tobytes().rstrip(b"\0") == b"synthetic CT, sample deviation"
