"""Legacy weight files: the layout of Keras 2.15, Keras 3 as an independent reader, refusals."""

import json
import os
import resource

import h5py
import keras
import numpy as np
import pytest

from keras_vaegan.config.base import config_to_dict
from keras_vaegan.config.networks import RRDBNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.layers import Sampling
from keras_vaegan.weights.legacy_h5 import load_legacy_h5, save_legacy_h5
from keras_vaegan.weights.record import WeightsRecord
from keras_vaegan.weights.weight_file import read_weight_file

layers = keras.layers
RECORD = WeightsRecord(RRDBNetConfig())


def build_tiny(names=("conv_1", "conv_2"), kernel=3):
    """Equal-shaped convolutions, every norm, seeds, a nested model and weightless layers."""
    inner_input = keras.Input((8, 8, 4), name="inner_input")
    inner = layers.Conv2D(4, 1, name="inner_conv")(inner_input)
    inner = layers.BatchNormalization(name="inner_norm")(inner)
    inner = keras.Model(inner_input, layers.Conv2D(4, 1, name="inner_out")(inner), name="inner")
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(4, kernel, padding="same", name=names[0])(image)
    x = layers.GroupNormalization(groups=2, name="group_norm")(x)
    x = layers.Conv2D(4, kernel, padding="same", use_bias=False, name=names[1])(x)
    x = layers.BatchNormalization(name="batch_norm")(layers.ReLU(name="relu")(x))
    x = Sampling(seed=3, name="sampling")([x, x])
    x = layers.Dropout(0.5, seed=1, name="dropout")(inner(x))
    return keras.Model(image, x, name="tiny")


def perturb(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))
    return model


def run(model):
    image = np.random.default_rng(9).normal(size=(2, 8, 8, 4)).astype("float32")
    return keras.ops.convert_to_numpy(model(image))


@pytest.fixture(scope="module")
def model():
    return perturb(build_tiny())


@pytest.fixture
def file(model, tmp_path):
    save_legacy_h5(model, tmp_path / "weights.h5", RECORD)
    return tmp_path / "weights.h5"


def refuse(path, fragment, target=None):
    """Check the one-line refusal, and that it left the model alone."""
    target = target or perturb(build_tiny(), seed=5)
    before = target.get_weights()
    with pytest.raises(InputError) as caught:
        load_legacy_h5(target, path)
    message, *table = str(caught.value).split("\n")
    assert fragment in message
    assert len(message) < 600 and len(table) <= 6
    assert all(np.array_equal(a, b) for a, b in zip(before, target.get_weights(), strict=True))


def test_layout_is_that_of_keras_2(model, file):
    with h5py.File(file) as opened:
        assert opened.attrs["backend"] == b"tensorflow"
        assert opened.attrs["keras_version"] == b"2.15.0"
        assert json.loads(opened.attrs["keras_vaegan_config"]) == config_to_dict(RECORD)
        assert opened.attrs["layer_names"].tolist() == [
            b"image", b"conv_1", b"group_norm", b"conv_2", b"relu", b"batch_norm", b"sampling",
            b"inner", b"dropout",
        ]  # fmt: skip
        assert set(opened) == {
            *(name.decode() for name in opened.attrs["layer_names"]), "top_level_model_weights",
        }  # fmt: skip
        names = {key: group.attrs["weight_names"].tolist() for key, group in opened.items()}
        for empty in ("image", "relu", "sampling", "dropout", "top_level_model_weights"):
            assert names[empty] == [] and len(opened[empty]) == 0
        assert names["conv_1"] == [b"conv_1/kernel:0", b"conv_1/bias:0"]
        assert names["conv_2"] == [b"conv_2/kernel:0"]
        assert names["group_norm"] == [b"group_norm/gamma:0", b"group_norm/beta:0"]
        parts = (b"gamma", b"beta", b"moving_mean", b"moving_variance")
        assert names["batch_norm"] == [b"batch_norm/" + part + b":0" for part in parts]
        assert names["inner"] == [  # trainable weights of all inner layers, then the others
            b"inner_conv/kernel:0", b"inner_conv/bias:0", b"inner_norm/gamma:0",
            b"inner_norm/beta:0", b"inner_out/kernel:0", b"inner_out/bias:0",
            b"inner_norm/moving_mean:0", b"inner_norm/moving_variance:0",
        ]  # fmt: skip
        kernel = opened["conv_1/conv_1/kernel:0"]
        assert kernel.dtype == "float32"
        assert np.array_equal(kernel[()], model.get_layer("conv_1").kernel)


def test_keras_3_loads_the_file_with_identical_outputs(model, file):
    fresh = perturb(build_tiny(), seed=1)
    assert not np.array_equal(run(fresh), run(model))
    fresh.load_weights(file)
    assert np.array_equal(run(fresh), run(model))


def test_our_reader_gives_identical_outputs(model, file):
    fresh = perturb(build_tiny(), seed=1)
    load_legacy_h5(fresh, file)
    assert np.array_equal(run(fresh), run(model))


def test_clones_share_names(model, file):
    clone = perturb(keras.models.clone_model(model), seed=1)
    load_legacy_h5(clone, file)
    assert np.array_equal(run(clone), run(model))


def test_names_may_lack_their_suffix(model, file):
    with h5py.File(file, "r+") as opened:
        for group in opened.values():
            names = [name.decode() for name in group.attrs["weight_names"].tolist()]
            for name in names:
                group.move(name, name.removesuffix(":0"))
            group.attrs["weight_names"] = [name.removesuffix(":0").encode() for name in names]
    fresh = perturb(build_tiny(), seed=1)
    load_legacy_h5(fresh, file)
    assert np.array_equal(run(fresh), run(model))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_float_dtypes(model, tmp_path, dtype):
    save_legacy_h5(model, tmp_path / "w.h5", dtype=dtype)
    fresh = perturb(build_tiny(), seed=1)
    load_legacy_h5(fresh, tmp_path / "w.h5")
    for ours, theirs in zip(fresh.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs.astype(dtype).astype("float32"))


def test_a_frozen_nested_model_loads_into_an_unfrozen_one(model, tmp_path):
    frozen = keras.models.clone_model(model)
    frozen.set_weights(model.get_weights())
    frozen.get_layer("inner").trainable = False
    save_legacy_h5(frozen, tmp_path / "w.h5")
    fresh = perturb(build_tiny(), seed=1)
    load_legacy_h5(fresh, tmp_path / "w.h5")
    assert np.array_equal(run(fresh), run(model))


def test_long_name_lists_are_stored_in_pieces(tmp_path):
    names = [f"{i:03d}_{'x' * 1996}" for i in range(40)]  # 80,000 bytes
    image = keras.Input((4,), name="image")
    x = image
    for name in names:
        x = layers.Dense(1, use_bias=False, name=name)(x)
    model = perturb(keras.Model(image, x))
    save_legacy_h5(model, tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as opened:
        assert "layer_names" not in opened.attrs
        pieces = [opened.attrs["layer_names0"], opened.attrs["layer_names1"]]
        assert "layer_names2" not in opened.attrs
        assert [n.decode() for n in np.concatenate(pieces).tolist()] == ["image", *names]
    weights = model.get_weights()
    for load in (model.load_weights, lambda path: load_legacy_h5(model, path)):
        perturb(model, seed=1)
        load(tmp_path / "w.h5")
        assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


# -- refusals --------------------------------------------------------------------------------------


def test_swapped_layers_in_the_model(file):
    refuse(file, "swapped", perturb(build_tiny(names=("conv_2", "conv_1"))))


def test_swapped_equal_layers(tmp_path):
    def build(first, second):
        image = keras.Input((8, 8, 4), name="image")
        x = layers.Conv2D(4, 3, padding="same", name=first)(image)
        return perturb(keras.Model(image, layers.Conv2D(4, 3, padding="same", name=second)(x)))

    save_legacy_h5(build("a", "b"), tmp_path / "w.h5")
    build("b", "a").load_weights(tmp_path / "w.h5")  # Keras takes it without a word
    refuse(tmp_path / "w.h5", "number 1 the file has 'a' where the model has 'b' (swapped layers",
           build("b", "a"))  # fmt: skip


def test_swapped_groups_in_the_file(tmp_path):
    image = keras.Input((4,), name="image")
    x = layers.Dense(4, name="b")(layers.Dense(4, name="a")(image))
    model = perturb(keras.Model(image, x))
    save_legacy_h5(model, tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "r+") as opened:
        opened.move("a", "c")
        opened.move("b", "a")
        opened.move("c", "b")
    refuse(tmp_path / "w.h5", "layer 'a': weight 'b/kernel'", model)


def test_other_shape_name_and_count(model, file, tmp_path):
    refuse(file, "'conv_1/kernel' has shape (3, 3, 4, 4): expected (5, 5, 4, 4)",
           perturb(build_tiny(kernel=5)))  # fmt: skip
    shorter = keras.Model(model.input, model.get_layer("batch_norm").output)
    refuse(file, "inner_conv' (kernel (1, 1, 4, 4), bias (4,)) where the model ends", shorter)
    save_legacy_h5(shorter, tmp_path / "short.h5")
    refuse(tmp_path / "short.h5", "the file ends where the model has 'inner")


def test_other_names_are_matched_by_place(model, file):
    other = perturb(build_tiny(names=("other", "conv_2")), seed=5)
    report = load_legacy_h5(other, file)
    assert (report.match, report.weights) == ("position", len(model.weights))
    assert np.array_equal(run(other), run(model))
    names = [set(name.rpartition("/")[2] for name in group) for group in report.interchangeable]
    assert {"inner_conv", "inner_out"} in names
    assert load_legacy_h5(build_tiny(), file).match == "name"


def test_automatic_names_may_be_shifted(tmp_path):
    """conv2d_1 of the file and conv2d_1 of the model need not be the same layer."""

    def build(first):
        x = image = keras.Input((8, 8, 4))
        for index in range(3):
            x = layers.Conv2D(4, 3, padding="same", name=f"conv2d_{first + index}")(x)
        return perturb(keras.Model(image, x), first)

    source, target = build(1), build(2)
    save_legacy_h5(source, tmp_path / "w.h5")
    assert load_legacy_h5(target, tmp_path / "w.h5").match == "position"
    for ours, theirs in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_circle_of_links_and_a_huge_chunk(model, file):
    with h5py.File(file, "r+") as opened:
        group = opened.create_group("optimizer_weights")
        group["step"], group["again"] = 1, group
    load_legacy_h5(build_tiny(), file)
    assert read_weight_file(file).optimizer_arrays == 1
    with h5py.File(file, "r+") as opened:
        del opened["conv_1/conv_1/kernel:0"]
        opened["conv_1"].create_dataset(
            "conv_1/kernel:0", shape=(3, 3, 4, 4), dtype="float64", maxshape=(None, 3, 4, 4),
            chunks=(10**7, 3, 4, 4), compression="gzip",
        )  # fmt: skip
    refuse(file, "its arrays claim over")


def test_by_place_every_kind_and_shape_counts(tmp_path):
    def build(*kinds):
        x = image = keras.Input((8, 8, 4))
        for kind in kinds:
            x = kind()(x)
        return keras.Model(image, x)

    def conv():
        return layers.Conv2D(4, 3, padding="same")

    def transposed():
        return layers.Conv2DTranspose(4, 3, padding="same")

    def norm(**options):
        return layers.GroupNormalization(2, **options)

    save_legacy_h5(perturb(build(conv, norm, conv)), tmp_path / "w.h5")
    load_legacy_h5(build(conv, norm, conv), tmp_path / "w.h5")
    for kinds, reason in (
        ((conv, norm, transposed), "another kind of layer"),
        (
            (conv, lambda: layers.GroupNormalization(2, center=False), conv),
            "other kinds of weights",
        ),
        ((conv, conv, norm), "another kind of layer"),
        ((conv, norm), "one side ends"),
        ((conv, norm, conv, norm), "one side ends"),
        ((conv, norm, lambda: layers.Conv2D(4, 1)), "another shape"),
    ):
        refuse(tmp_path / "w.h5", reason, build(*kinds))


@pytest.mark.parametrize("root", [None, "model_weights"])
def test_keras_1_names_and_full_models(tmp_path, root):
    """Names without slashes or suffixes, arrays of another precision, an optimizer beside them."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 4))
    statistics = np.random.default_rng(1).uniform(0.5, 1, (4, 4))
    with h5py.File(tmp_path / "old.h5", "w") as opened:
        group = opened.create_group(root) if root else opened
        group.attrs["layer_names"] = [b"input_1", b"convolution2d_7", b"batchnormalization_2"]
        group.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        conv = group.create_group("convolution2d_7")
        conv.attrs["weight_names"] = [b"convolution2d_7_W", b"convolution2d_7_b"]
        conv["convolution2d_7_W"], conv["convolution2d_7_b"] = kernel, np.arange(4.0)
        norm = group.create_group("batchnormalization_2")
        roles = ("gamma", "beta", "running_mean", "running_std")
        norm.attrs["weight_names"] = [f"batchnormalization_2_{r}".encode() for r in roles]
        for role, values in zip(roles, statistics, strict=True):
            norm[f"batchnormalization_2_{role}"] = values.astype("float16")
        opened["optimizer_weights/iteration"] = 7
    image = keras.Input((8, 8, 4))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image))
    model = keras.Model(image, x)
    assert load_legacy_h5(model, tmp_path / "old.h5").match == "position"
    expected = [kernel, np.arange(4), *statistics.astype("float16")]
    for value, weight in zip(expected, model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-6)


def test_keras_3_files_are_told_apart(model, tmp_path):
    model.save_weights(tmp_path / "w.weights.h5")
    refuse(tmp_path / "w.weights.h5", "is a Keras 3 .weights.h5 file")
    model.save(tmp_path / "model.h5")
    loaded = build_tiny()
    load_legacy_h5(loaded, tmp_path / "model.h5")
    assert np.array_equal(run(loaded), run(model))


def edit_missing_weight_name(opened):
    opened["conv_1"].attrs["weight_names"] = [b"conv_1/kernel:0"]


def edit_missing_array(opened):
    del opened["conv_1/conv_1/bias:0"]


def edit_missing_group(opened):
    del opened["conv_2"]


def edit_nan(opened):
    opened["batch_norm/batch_norm/gamma:0"][1] = np.nan


def edit_too_large(opened):
    del opened["conv_1/conv_1/bias:0"]
    opened["conv_1/conv_1/bias:0"] = np.full(4, 1e300)


def edit_integers(opened):
    del opened["conv_1/conv_1/bias:0"]
    opened["conv_1/conv_1/bias:0"] = np.arange(4)


def edit_claimed_size(opened):
    del opened["conv_1/conv_1/bias:0"]
    opened["conv_1"].create_dataset("conv_1/bias:0", (10**6, 10**6), "f4", chunks=(64, 64))


def edit_soft_link(opened):
    del opened["conv_1/conv_1/bias:0"]
    opened["conv_1/conv_1/bias:0"] = h5py.SoftLink("/group_norm/group_norm/beta:0")


def edit_external_link(opened):
    del opened["conv_1/conv_1/bias:0"]
    opened["conv_1/conv_1/bias:0"] = h5py.ExternalLink("/etc/passwd", "/x")


def edit_external_storage(opened):
    del opened["conv_1/conv_1/bias:0"]
    opened["conv_1"].create_dataset(
        "conv_1/bias:0", (4,), "f4", external=[("elsewhere.bin", 0, 16)]
    )


def edit_linked_layer(opened):
    del opened["conv_1"]
    opened["conv_1"] = h5py.SoftLink("/conv_2")


def edit_no_names(opened):
    del opened.attrs["layer_names"]


def edit_repeated_names(opened):
    opened.attrs["layer_names"] = [b"conv_1", b"conv_1"]


def edit_number_names(opened):
    opened.attrs["layer_names"] = 3


def edit_newline_name(opened):
    opened.attrs["layer_names"] = [b"a\nb" + b"c" * 9000]
    opened.create_group("a\nb" + "c" * 9000).attrs["weight_names"] = [b"k:0"]


def edit_bad_text(opened):
    opened.attrs["layer_names"] = np.array([b"\xff\xfe"])


EDITS = {
    edit_missing_weight_name: "weight 'conv_1/bias' is missing",
    edit_missing_array: "lacks it",
    edit_missing_group: "lacks it",
    edit_nan: "gamma:0' holds NaN or infinity",
    edit_too_large: "holds NaN or infinity",
    edit_integers: "dtype int64: expected float16",
    edit_claimed_size: "its arrays claim over 4.0e+12 bytes",
    edit_soft_link: "soft or external link",
    edit_external_link: "soft or external link",
    edit_external_storage: "lies in another file",
    edit_linked_layer: "soft or external link",
    edit_no_names: "no usable layer_names",
    edit_repeated_names: "repeated",
    edit_number_names: "no usable layer_names",
    edit_newline_name: "'/' has no usable layer_names",
    edit_bad_text: "cannot read",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_edited_files_are_refused(file, edit):
    with h5py.File(file, "r+") as opened:
        edit(opened)
    refuse(file, EDITS[edit])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refuse(file, "cannot read")


def test_not_hdf5_and_missing(tmp_path):
    (tmp_path / "text.h5").write_text("not weights at all\n")
    refuse(tmp_path / "text.h5", "cannot read")
    refuse(tmp_path / "absent.h5", "no file")
    refuse(tmp_path, "no file")


# -- writing ---------------------------------------------------------------------------------------


def test_bad_arguments_leave_the_old_file(model, file):
    content = file.read_bytes()
    broken = perturb(build_tiny())
    broken.get_layer("conv_1").bias.assign([1, np.inf, 0, 0])
    with pytest.raises(InputError, match="conv_1/bias.*NaN or infinity"):
        save_legacy_h5(broken, file)
    with pytest.raises(InputError, match="bfloat16.*expected one of float16"):
        save_legacy_h5(model, file, dtype="bfloat16")
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == [file.name]


def test_equal_names_in_a_layer_are_refused(tmp_path):
    def build_part(name):
        image = keras.Input((4,))
        return keras.Model(image, layers.Dense(4, name="dense")(image), name=name)

    image = keras.Input((4,))
    outer = keras.Model(image, build_part("q")(build_part("p")(image)), name="outer")
    model = keras.Model(image, outer(image))
    with pytest.raises(InputError, match="both named 'dense/kernel'"):
        save_legacy_h5(model, tmp_path / "w.h5")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk():
    """No file of this process may grow past 100 kB: Python ignores the signal of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_leaves_the_old_file(file, small_disk):
    content = file.read_bytes()
    image = keras.Input((300,))
    model = keras.Model(image, keras.layers.Dense(300, name="dense")(image))
    with pytest.raises(InputError) as caught:
        save_legacy_h5(model, file)
    assert str(caught.value).startswith(f"cannot write {file}") and "\n" not in str(caught.value)
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == [file.name]
