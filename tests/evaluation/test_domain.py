"""Images of the wrong kind are told from those of a domain, on the phantom's heads."""

import json

import numpy as np
import pytest
from scipy import ndimage

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.domain import (
    STATISTICS_FILE,
    DomainStatistics,
    read_statistics,
    write_statistics,
)
from keras_vaegan.evaluation.head_features import describe_images, shrink_images
from keras_vaegan.phantom.rendering import cut_head, render_ct, render_mri

SIDE, TRAIN, TEST = 88, 40, 12
OTHER = {"mri": "ct", "ct": "mri"}


def draw_heads(first: int, count: int, side: int = SIDE) -> dict[str, np.ndarray]:
    """MRI and CT of other heads each: (count, side, side, 1) in [0, 1]."""
    pairs: dict[str, list] = {"mri": [], "ct": []}
    for case in range(first, first + count):
        rng = np.random.default_rng(case)
        cuts = [cut_head(0, 2 * case + i, rng.uniform(), (side, side)) for i in (0, 1)]
        pairs["mri"].append(render_mri(cuts[0], "t1", rng))
        pairs["ct"].append(render_ct(cuts[1], rng))
    return {name: np.stack(images)[..., None] / np.float32(255) for name, images in pairs.items()}


@pytest.fixture(scope="module")
def fitted():
    """Statistics of both domains."""
    return {name: DomainStatistics.fit(images) for name, images in draw_heads(0, TRAIN).items()}


@pytest.fixture(scope="module")
def heads():
    """Other heads than the fitted ones."""
    return draw_heads(TRAIN, TEST)


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    """A run folder with statistics."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "best").mkdir()
    write_statistics(folder, fitted)
    return folder


@pytest.mark.parametrize("domain", ["mri", "ct"])
@pytest.mark.parametrize("joined", [False, True])
def test_right_images_pass_and_wrong_ones_are_told(fitted, heads, domain, joined):
    statistics, other = fitted[domain], fitted[OTHER[domain]]
    if joined:
        statistics = statistics.with_other(other)
    right, rng = heads[domain], np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.uniform(0, 1, right.shape), (0, 1, 1, 0))
    assert (statistics.measure(right) > 1).mean() <= 2 / TEST
    wrong = {
        "other": heads[OTHER[domain]],
        "inverted": 1 - right,
        "blank": np.stack([np.full((SIDE, SIDE, 1), level) for level in (0, 0.1, 0.5, 1)]),
        "noise": rng.uniform(0, 1, right.shape),
        "head of noise": np.where(right > 0.1, noise, 0),
        "gradient": np.broadcast_to(np.linspace(0, 1, SIDE)[:, None], (1, SIDE, SIDE)),
    }
    for name, images in wrong.items():
        assert (statistics.measure(images) > 1).all(), name


def test_the_other_domain_only_adds(fitted, heads):
    alone, joined = fitted["ct"], fitted["ct"].with_other(fitted["mri"])
    images = np.concatenate([heads["ct"], heads["mri"]])
    assert (joined.measure(images) >= alone.measure(images)).all()


def test_an_image_nearer_to_the_other_domain_is_unlike(fitted, heads):
    """However wide the domain's own spread."""
    first = fitted["mri"]
    wide = DomainStatistics(first.count, first.centre, 100 * first.spread, first.factor, 1e3)
    assert (wide.measure(heads["ct"]) <= 1).all()
    near = wide.with_other(DomainStatistics(1, *vars_of(fitted["ct"]), threshold=1e9))
    assert (near.measure(heads["ct"]) > 1).all()


def vars_of(statistics):
    """The arrays of statistics."""
    return statistics.centre, statistics.spread, statistics.factor


@pytest.mark.parametrize("side", [80, 144])
def test_the_size_hardly_matters(fitted, side):
    for name, images in draw_heads(TRAIN, 4, side).items():
        assert (fitted[name].measure(images) < 1).mean() >= 0.75
        assert (fitted[OTHER[name]].measure(images) > 1).all()
        small, whole = (fitted[name].measure(x) for x in (shrink_images(images), images))
        np.testing.assert_array_equal(small, whole)


@pytest.mark.parametrize("side", [16, 64, 97, 512])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_is_described(side, channels):
    shape = (1, side, side, channels)
    corner = np.zeros(shape)
    corner[:, 0, 0] = 1
    images = [np.zeros(shape), np.ones(shape), np.full(shape, 1e-9), corner, 1 - corner]
    features = describe_images(np.concatenate(images))
    assert features.shape[0] == 5 and np.isfinite(features).all()


def test_a_file_gives_the_same_distances(fitted, folder, heads):
    assert (folder / STATISTICS_FILE).stat().st_size < 70_000
    for name, other in OTHER.items():
        again = read_statistics(folder, name)
        assert again.count == TRAIN
        expected = fitted[name].with_other(fitted[other])
        for images in heads.values():
            np.testing.assert_allclose(again.measure(images), expected.measure(images), rtol=1e-9)


def test_statistics_are_found_beside_weights(folder):
    for weights in (folder, folder / "best", folder / "g.h5", folder / "best" / "g.h5"):
        assert read_statistics(weights, "mri") is not None


def test_other_weights_in_a_subfolder_have_none(folder, tmp_path):
    assert read_statistics(folder / "authors" / "g.h5", "mri") is None
    assert read_statistics(tmp_path, "ct") is None


def change(content, **fields):
    """A copy of a file's content with other fields of its MRI."""
    return content | {"mri": content["mri"] | fields}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: "not JSON",
        lambda content: [1, 2],
        lambda content: 3,
        lambda content: {"ct": content["ct"]},
        lambda content: content | {"mri": []},
        lambda content: change(content, version=0),
        lambda content: change(content, threshold=0),
        lambda content: change(content, threshold=float("nan")),
        lambda content: change(content, count="many"),
        lambda content: change(content, centre=content["mri"]["centre"][1:]),
        lambda content: change(content, centre=[["a"]]),
        lambda content: change(content, spread=[0] * len(content["mri"]["spread"])),
        lambda content: change(content, factor=content["mri"]["factor"][:-1]),
        lambda content: change(content, factor=None),
    ],
)
def test_a_damaged_file_is_refused(folder, tmp_path, damage):
    damaged = damage(json.loads((folder / STATISTICS_FILE).read_text()))
    text = damaged if isinstance(damaged, str) else json.dumps(damaged)
    (tmp_path / STATISTICS_FILE).write_text(text)
    with pytest.raises(InputError, match=f"{STATISTICS_FILE}.*expected.*restore") as caught:
        read_statistics(tmp_path, "mri")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / STATISTICS_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        read_statistics(tmp_path, "mri")


def test_few_images_are_refused(heads):
    with pytest.raises(InputError, match="9 images .*at least 10"):
        DomainStatistics.fit(heads["ct"][:9])


@pytest.mark.parametrize("weights", ["weights", "weights/resnet"])
def test_the_shipped_weights_have_statistics(repository, weights, heads):
    for domain in OTHER:
        statistics = read_statistics(repository / weights, domain)
        assert statistics.count == 868
        assert (statistics.measure(1 - heads[domain]) > 1).all()
