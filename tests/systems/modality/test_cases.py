"""The cache on disk and the stream of slices: what is in a sample, order, resuming, memory."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from keras_vaegan.config.data import ModalityDataConfig, SliceAugmentationConfig
from keras_vaegan.config.networks import MODALITIES, ModalityUNetConfig
from keras_vaegan.data.brats import find_cases, read_case
from keras_vaegan.errors import InputError
from keras_vaegan.systems.modality.cases import (
    SliceSampler,
    cache_cases,
    learn_landmarks,
    to_unit,
)
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.modality.slices import cut_window, encode_inputs

CONFIG = ModalityConfig(
    generator=ModalityUNetConfig(image_size=32, filters=(4,)),
    data=ModalityDataConfig(image_size=32, slice_stride=1),
    batch_size=3,
)


@pytest.fixture
def data(tmp_path, write_case):
    for index in range(3):
        write_case(tmp_path / "data" / f"case{index}", seed=index)
    return tmp_path / "data"


def cache(data, config=CONFIG):
    return cache_cases(find_cases(data), data.parent / "cache", config.data)


def test_the_cache_holds_the_normalised_brain(data):
    for cached in cache(data):
        case = read_case(data / cached.name, MODALITIES)
        stack = np.load(cached.path)
        assert stack.dtype == np.uint16
        images, brain = to_unit(stack)
        assert brain.sum() == case.brain.sum()
        box = np.argwhere(case.brain)
        low, high = box.min(axis=0), box.max(axis=0) + 1
        for channel, modality in enumerate(MODALITIES):
            unit = case.scans[modality].unit[tuple(map(slice, low, high))]
            np.testing.assert_allclose(images[..., channel], np.moveaxis(unit, 2, 0), atol=1e-5)
        np.testing.assert_array_equal(cached.read_slice(2), stack[2])


def test_unchanged_cases_are_not_read_again(data):
    first = cache(data)
    times = [case.path.stat().st_mtime_ns for case in first]
    assert [case.path.stat().st_mtime_ns for case in cache(data)] == times
    scan = next((data / "case1").iterdir())
    os.utime(scan, ns=(1, 1))
    again = cache(data)
    assert [a.path == b.path for a, b in zip(first, again, strict=True)] == [True, False, True]
    other = dataclasses.replace(
        CONFIG, data=dataclasses.replace(CONFIG.data, percentiles=(2.0, 98.0))
    )
    assert cache(data, other)[0].path != first[0].path


def test_unusable_cases_are_named(data, write_case, capsys):
    for index in range(3, 10):
        write_case(data / f"case{index}", seed=index)
    scan = data / "case4" / "case4_t2.nii.gz"
    scan.write_bytes(b"")
    assert len(cache(data)) == 9
    assert str(scan) in capsys.readouterr().err
    (data / "case5" / "case5_t1.nii.gz").unlink()
    with pytest.raises(InputError, match="2 of 10 cases are unusable"):
        cache(data)


def test_cases_without_a_large_enough_slice_are_refused(tmp_path, write_case):
    arrays = {n: v[:14, :14] for n, v in write_case.draw((24, 24, 12)).items()}
    small = {n: np.where(np.indices(v.shape).min(axis=0) > 2, v, 0) for n, v in arrays.items()}
    folder = write_case(tmp_path / "data" / "a", {n: np.pad(v, 3) for n, v in small.items()})
    with pytest.raises(InputError, match="no slice with 200 pixels"):
        cache(folder.parent)


def test_a_pass_shows_every_slice_once(data):
    cases = cache(data)
    sampler = SliceSampler(cases, CONFIG)
    assert len(sampler) == sum(len(case.slices) for case in cases)
    truths = [sampler.read_sample(i)[1].sum() for i in range(2 * len(sampler))]
    first, second = truths[: len(sampler)], truths[len(sampler) :]
    assert sorted(first) == pytest.approx(sorted(second))
    assert first != second
    strided = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, slice_stride=2))
    assert len(SliceSampler(cases, strided)) == sum(-(-len(case.slices) // 2) for case in cases)


def test_a_sample_is_what_the_volumes_hold(data):
    cases = cache(data)
    sampler = SliceSampler(cases, CONFIG)
    case, level = sampler.table[sampler.passes[4]]
    (start,) = cases[case].list_windows(level)
    window = cut_window(cases[case].read_slice(level), start, 32)
    images, brain = to_unit(window)
    inputs, truth, mask = sampler.read_sample(4)
    np.testing.assert_array_equal(truth[..., 0], images[..., 3])
    np.testing.assert_array_equal(mask, brain)
    np.testing.assert_array_equal(inputs, encode_inputs(images[None], "flair", CONFIG.generator)[0])


def test_variations_change_inputs_within_the_brain_only(data):
    changes = SliceAugmentationConfig(shift=3, flip=0.5, intensity=0.2, bias_field=0.1)
    varied = dataclasses.replace(CONFIG.data, augmentation=changes)
    sampler = SliceSampler(cache(data), dataclasses.replace(CONFIG, data=varied))
    plain = SliceSampler(cache(data), CONFIG)
    moved = 0
    for position in range(12):
        inputs, truth, brain = sampler.read_sample(position)
        assert (inputs[brain[..., 0] == 0] == 0).all()
        assert inputs.min() >= 0 and inputs.max() <= 1
        moved += not np.array_equal(truth, plain.read_sample(position)[1])
        np.testing.assert_allclose(truth.sum(), plain.read_sample(position)[1].sum(), rtol=1e-5)
    assert moved > 8


def test_any_target_takes_turns(data):
    generator = dataclasses.replace(CONFIG.generator, target="any")
    sampler = SliceSampler(cache(data), dataclasses.replace(CONFIG, generator=generator))
    codes = np.array([sampler.read_sample(i)[0][0, 0, 4:] for i in range(40)])
    assert (codes.sum(axis=1) == 1).all()
    assert (codes.sum(axis=0) >= 3).all()


def test_a_step_is_the_same_whenever_and_by_whomever_it_is_read(data):
    cases = cache(data)
    whole = [SliceSampler(cases, CONFIG).read_batch(step) for step in range(9)]
    with ThreadPoolExecutor(3) as pool:
        later = list(pool.map(SliceSampler(cases, CONFIG).read_batch, (8, 7, 6)))
    for batch, expected in zip(later, whole[:5:-1], strict=True):
        for part, other, depth in zip(batch, expected, (3, 1, 1), strict=True):
            assert part.shape == (3, 32, 32, depth) and part.dtype == np.float32
            np.testing.assert_array_equal(part, other)


def test_reading_slices_keeps_no_mapping_open(data):
    case = cache(data)[0]
    slices = [case.read_slice(level) for level in case.slices]
    assert len(slices) and str(case.path) not in Path("/proc/self/maps").read_text()


def test_neighbours_are_further_channels(data):
    near = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, neighbours=1))
    assert near.generator.channels == 9
    cases = cache(data, near)
    sampler, plain = SliceSampler(cases, near), SliceSampler(cases, CONFIG)
    inputs, truth, brain = sampler.read_sample(4)
    expected, truth_alone, brain_alone = plain.read_sample(4)
    np.testing.assert_array_equal(inputs[..., 3:6], expected)
    np.testing.assert_array_equal(truth, truth_alone)
    np.testing.assert_array_equal(brain, brain_alone)
    last = len(np.load(cases[0].path)) - 1
    top = cases[0].read_slice(last, 1)
    np.testing.assert_array_equal(top[..., :4], cases[0].read_slice(last - 1))
    assert top[..., 4:8].any() and not top[..., 8:].any()


def test_a_warp_moves_inputs_and_target_alike(data):
    changes = SliceAugmentationConfig(elastic=1.5)
    varied = dataclasses.replace(CONFIG.data, augmentation=changes)
    sampler = SliceSampler(cache(data), dataclasses.replace(CONFIG, data=varied))
    inputs, truth, brain = sampler.read_sample(4)
    plain = SliceSampler(cache(data), CONFIG).read_sample(4)
    assert np.abs(truth - plain[1]).max() > 0.05
    inside = brain[..., 0] > 0
    likeness = np.corrcoef(inputs[inside][:, 0], truth[inside][:, 0])[0, 1]
    inside = plain[2][..., 0] > 0
    expected = np.corrcoef(plain[0][inside][:, 0], plain[1][inside][:, 0])[0, 1]
    assert likeness == pytest.approx(expected, abs=0.1)


def test_slices_with_tumour_are_drawn_more_often(data, write_case):
    labels = np.zeros((24, 30, 12), "uint8")
    labels[6:16, 8:20, 4:6] = 1
    write_case(data / "case1", {"seg": labels}, names={"seg": "case1_seg.nii.gz"})
    cases = cache(data)
    assert [len(case.tumour) for case in cases] == [0, 2, 0]
    aware = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, tumour_share=0.5))
    sampler = SliceSampler(cases, aware)
    chosen = [sampler.choose_slice(position) for position in range(200)]
    hits = sum(level in cases[number].tumour for number, level in chosen)
    assert 90 < hits < 140
    assert SliceSampler(cases, CONFIG).choose_slice(3) == sampler.table[sampler.passes[3]]
    without = SliceSampler(cases[:1], aware)
    assert len({without.choose_slice(position) for position in range(50)}) > 5


def test_dropped_inputs_are_told(data):
    changes = SliceAugmentationConfig(drop_inputs=0.4)
    dropping = dataclasses.replace(
        CONFIG,
        generator=dataclasses.replace(CONFIG.generator, target="any"),
        data=dataclasses.replace(CONFIG.data, augmentation=changes),
    )
    sampler = SliceSampler(cache(data), dropping)
    missing = 0
    for position in range(30):
        inputs, _, brain = sampler.read_sample(position)
        codes = inputs[0, 0, 4:]
        assert (codes == 1).sum() == 1 and (codes == 0).sum() >= 1
        for channel, code in enumerate(codes):
            assert inputs[..., channel].any() == (code == 0)
        missing += (codes == -1).sum()
    assert 15 < missing < 60
    with pytest.raises(InputError, match="drop_inputs=0.4"):
        dataclasses.replace(dropping, generator=CONFIG.generator)


def test_landmarks_are_means_over_cases(data):
    landmarks = learn_landmarks(find_cases(data))
    units = [read_case(folder, MODALITIES) for folder in find_cases(data)]
    medians = [np.median(case.scans["t2"].unit[case.brain]) for case in units]
    assert landmarks.t2[5] == pytest.approx(np.mean(medians), abs=1e-6)
    assert landmarks.t1[0] == 0 and landmarks.flair[-1] == 1
