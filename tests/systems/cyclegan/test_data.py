"""Folders to cached arrays to unpaired batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_vaegan.config.data import DataConfig
from keras_vaegan.data.folders import find_image_root
from keras_vaegan.data.image import list_images, write_image
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.domain import STATISTICS_FILE, DomainStatistics, read_statistics
from keras_vaegan.systems.cyclegan.data import TrainingImages, flatten_metrics
from keras_vaegan.systems.cyclegan.images import UnpairedSampler, load_images, load_test_sets

GRAY = DataConfig(image_size=32, channels=1)


def write_folder(folder, names, shape=(40, 32), dtype="uint8", seed=0):
    random = np.random.default_rng(seed)
    for name in names:
        if dtype == "float32":
            image = random.uniform(-5, 5, shape).astype(dtype)
        else:
            image = random.integers(1, np.iinfo(dtype).max, shape).astype(dtype)
        write_image(folder / name, image)


def tagged_images(count, dtype="uint8", size=4):
    """Images whose every pixel is their own index."""
    images = np.zeros((count, size, size, 1), dtype)
    images += np.arange(count, dtype=dtype)[:, None, None, None]
    return images


def draw(sampler, steps):
    """Indices of tagged uint8 images: (steps, batch) of source and of target."""
    tags = [
        [np.round((x[:, 0, 0, 0] + 1) * 127.5).astype(int) for x in sampler.read_batch(step)]
        for step in (steps if isinstance(steps, range) else range(steps))
    ]
    return tuple(np.array([t[i] for t in tags]) for i in (0, 1))


def test_load_images_keeps_order_size_and_channels(tmp_path):
    write_folder(tmp_path, ["b.png", "a.jpg", "c.bmp"])
    write_folder(tmp_path, ["d.png"], shape=(19, 61, 3))
    for channels in (1, 3):
        config = DataConfig(image_size=32, channels=channels)
        images, names = load_images(list_images(tmp_path), config)
        assert images.shape == (4, 32, 32, channels) and images.dtype == np.uint8
        assert names == ["a.jpg", "b.png", "c.bmp", "d.png"]


def test_one_16_bit_file_makes_the_cache_16_bit(tmp_path):
    write_image(tmp_path / "a.png", np.full((32, 32), 100, "uint8"))
    write_image(tmp_path / "b.png", np.full((32, 32), 12345, "uint16"))
    images, _ = load_images(list_images(tmp_path), GRAY)
    assert images.dtype == np.uint16
    assert (images[0] == 25700).all() and (images[1] == 12345).all()


def test_float_files_are_scaled_by_their_own_range(tmp_path):
    write_folder(tmp_path, ["a.tif"], (32, 32), "float32")
    images, _ = load_images(list_images(tmp_path), GRAY)
    assert images.dtype == np.uint16 and (images.min(), images.max()) == (0, 65535)


def test_one_bad_file_in_ten_is_skipped_and_named(tmp_path, capsys):
    write_folder(tmp_path, [f"{i}.png" for i in range(10)])
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-300])
    images, names = load_images(list_images(tmp_path), GRAY)
    assert len(images) == len(names) == 9 and "3.png" not in names
    warning = capsys.readouterr().err
    assert warning.startswith("warning: skipped") and "3.png" in warning
    assert warning.count("\n") == 1


def test_two_bad_files_in_ten_are_refused(tmp_path):
    write_folder(tmp_path, [f"{i}.png" for i in range(10)])
    (tmp_path / "3.png").write_text("not an image")
    (tmp_path / "7.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 of 10 images .*3\.png"):
        load_images(list_images(tmp_path), GRAY)


@pytest.mark.parametrize("shape", [(15, 40), (40, 15), (1, 1)])
def test_a_tiny_image_is_refused(tmp_path, shape):
    write_folder(tmp_path, ["tiny.png"], shape)
    with pytest.raises(InputError, match="tiny.png .*at least 16"):
        load_images(list_images(tmp_path), GRAY)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no images"):
        load_images(list_images(tmp_path), GRAY)
    with pytest.raises(InputError, match="does not exist"):
        load_images(list_images(tmp_path / "absent"), GRAY)


@pytest.mark.parametrize("limit", [None, 5])
def test_test_sets_are_paired_by_stem(tmp_path, limit):
    write_folder(tmp_path / "testA", [f"s{i:02}.png" for i in range(20)])
    write_folder(tmp_path / "testB", [f"s{i:02}.jpg" for i in range(1, 21)])
    sets = load_test_sets(tmp_path, GRAY, limit)
    assert len(sets["pairs"]) == (limit or 19)
    for mri, ct in sets["pairs"]:
        assert sets["testB"]["names"][mri][:3] == sets["testA"]["names"][ct][:3]
    assert len(sets["testA"]["images"]) == (limit or 20)


def test_a_skipped_file_drops_its_pair_only(tmp_path):
    write_folder(tmp_path / "testA", [f"s{i:02}.png" for i in range(20)])
    write_folder(tmp_path / "testB", [f"s{i:02}.png" for i in range(20)])
    (tmp_path / "testB" / "s04.png").write_bytes(b"")
    sets = load_test_sets(tmp_path, GRAY)
    assert len(sets["pairs"]) == 19
    for mri, ct in sets["pairs"]:
        assert sets["testB"]["names"][mri] == sets["testA"]["names"][ct]


def test_other_stems_are_unpaired(tmp_path):
    write_folder(tmp_path / "testA", [f"ct{i}.png" for i in range(6)])
    write_folder(tmp_path / "testB", [f"mri{i}.jpg" for i in range(8)])
    sets = load_test_sets(tmp_path, GRAY)
    assert sets["pairs"] is None
    assert len(sets["testA"]["names"]) == 6 and len(sets["testB"]["names"]) == 8


def test_each_pass_is_a_permutation_of_each_domain():
    source, target = draw(UnpairedSampler(tagged_images(12), tagged_images(20), 4, 7, GRAY), 15)
    passes = [source.ravel()[i : i + 12] for i in range(0, 60, 12)]
    for order in passes:
        assert sorted(order) == list(range(12))
    assert len({tuple(order) for order in passes}) == 5
    for start in range(0, 60, 20):
        assert sorted(target.ravel()[start : start + 20]) == list(range(20))


def test_the_domains_are_shuffled_independently():
    source, target = draw(UnpairedSampler(tagged_images(100), tagged_images(100), 4, 7, GRAY), 25)
    assert (source == target).mean() < 0.1


def test_the_order_follows_from_the_seed():
    images = tagged_images(30)
    first, again, other = (
        draw(UnpairedSampler(images, images, 3, seed, GRAY), 10)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("start", [1, 7, 1000])
def test_a_step_is_the_same_whenever_and_by_whomever_it_is_read(start):
    source, target = tagged_images(10), tagged_images(7)
    whole = draw(UnpairedSampler(source, target, 3, 5, GRAY), start + 4)
    sampler = UnpairedSampler(source, target, 3, 5, GRAY)
    later = draw(sampler, range(start, start + 4))
    for one, other in zip(whole, later, strict=True):
        np.testing.assert_array_equal(one[start:], other)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(sampler.read_places, range(start + 3, start - 1, -1)))
    np.testing.assert_array_equal(np.array(read)[::-1].swapaxes(0, 1), np.array(later))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("value_range", "low"), [("tanh", -1.0), ("sigmoid", 0.0)])
def test_batches_are_float32_in_the_value_range(dtype, value_range, low):
    images = np.zeros((6, 16, 16, 3), dtype)
    images[:, :8] = np.iinfo(dtype).max
    config = DataConfig(image_size=16, channels=3, value_range=value_range)
    for batch in UnpairedSampler(images, images, 2, 0, config).read_batch(0):
        assert batch.shape == (2, 16, 16, 3) and batch.dtype == "float32"
        np.testing.assert_allclose(batch[:, :8], 1.0, atol=1e-6)
        np.testing.assert_allclose(batch[:, 8:], low, atol=1e-6)


def test_a_batch_larger_than_the_folder_still_fills():
    source, _ = draw(UnpairedSampler(tagged_images(3), tagged_images(3), 8, 0, GRAY), 3)
    assert source.shape == (3, 8)
    assert np.bincount(source.ravel()).tolist() == [8, 8, 8]


def test_the_real_set_loads(real_images, real_data):
    assert find_image_root(real_data / "ct-to-mri-cgan") == real_images
    config = DataConfig(image_size=64, channels=1, align="head")
    sets = load_test_sets(real_images, config, limit=20)
    assert sets["pairs"] is None
    for name in ("testA", "testB"):
        images = sets[name]["images"]
        assert images.shape == (20, 64, 64, 1) and images.dtype == np.uint8
        assert (images.max(axis=(1, 2, 3)) > 60).all()


def make_metrics(ssim, honest, gap):
    """The part of an evaluation that the score is made of."""
    both = ("ct", "mri")
    kinds = {"cycle": ssim, "honest_cycle": honest}
    metrics = {
        kind: {n: {"psnr": {"mean": 20.0}, "ssim": {"mean": value}} for n in both}
        for kind, value in kinds.items()
    }
    realism = {n: {"gap": {"all": gap}, "copy": 0.1} for n in both}
    return metrics | {"realism": realism, "edges": dict.fromkeys(both, 0.5), "alarms": []}


def test_best_by_chooses_the_score():
    copy, translation = make_metrics(0.99, 0.9, 1.0), make_metrics(0.8, 0.7, 0.2)
    assert flatten_metrics(copy, "ssim")["val_score"] == pytest.approx(0.99)
    assert flatten_metrics(translation, "ssim")["val_score"] == pytest.approx(0.8)
    assert flatten_metrics(copy)["val_score"] == pytest.approx(-0.1)
    assert flatten_metrics(translation)["val_score"] == pytest.approx(0.5)
    unknown = make_metrics(0.8, 0.7, None)
    assert flatten_metrics(unknown)["val_score"] == pytest.approx(-0.3)


def make_training_images(count, dtype="uint8"):
    """A run's data: MRI of dim noise and CT of bright noise, 16x16x3."""
    random, top = np.random.default_rng(0), np.iinfo(dtype).max
    mri, ct = (
        random.integers(low * top // 4, (low + 2) * top // 4, (count, 16, 16, 3)).astype(dtype)
        for low in (0, 2)
    )
    sampler = UnpairedSampler(mri, ct, 2, 0, GRAY)
    held = np.zeros((0, 16, 16, 3), "float32")
    return TrainingImages(one_pass=1, description="", sampler=sampler, held_mri=held, held_ct=held)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_run_records_what_its_domains_are_like(tmp_path, dtype):
    data = make_training_images(30, dtype)
    data.write_records(tmp_path, resume=False)
    for domain, images in zip(("mri", "ct"), data.sampler.domains, strict=True):
        units = (images / np.iinfo(dtype).max).astype("float32")
        found, expected = read_statistics(tmp_path, domain), DomainStatistics.fit(units)
        assert found.count == 30
        np.testing.assert_allclose(found.centre, expected.centre, atol=1e-4)
        assert (found.measure(units) < 1.2).all() and (found.measure(1 - units) > 1).all()


def test_records_are_kept_on_a_resume_and_left_out_for_few_images(tmp_path):
    path = tmp_path / STATISTICS_FILE
    path.write_text("earlier")
    make_training_images(30).write_records(tmp_path, resume=True)
    assert path.read_text() == "earlier"
    make_training_images(30).write_records(tmp_path, resume=False)
    assert path.read_text() != "earlier"
    make_training_images(29).write_records(tmp_path, resume=False)
    assert not path.exists()
