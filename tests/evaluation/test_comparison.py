"""Two runs side by side: chance is called chance, and what is better is told."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.comparison import compare_rows, find_direction

KEYS = ("domain", "name")


def make_rows(seed: int, gain: float = 0.0, cases: int = 8) -> list[dict]:
    """A run's table: images of equal quality but for `gain` and the run's own noise."""
    images, own = np.random.default_rng(0), np.random.default_rng(seed)
    rows = []
    for domain in ("ct", "mri"):
        for case in range(cases):
            level = images.normal(25, 3)
            for slice_ in range(10):
                psnr = level + images.normal(0, 1) + own.normal(0, 0.5)
                psnr += gain if domain == "ct" else 0
                rows.append({
                    "domain": domain, "name": f"{16 + case}{slice_:03d}.png", "psnr": psnr,
                    "translation_mae": 10 ** (-psnr / 20), "note": "text",
                })  # fmt: skip
    return rows


@pytest.fixture
def write_csv(tmp_path):
    """Rows as a file gives them back."""

    def write(rows: list[dict]) -> list[dict]:
        with (tmp_path / "rows.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        with (tmp_path / "rows.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return write


def test_a_difference_that_is_none_is_reported_as_none():
    table = compare_rows(make_rows(1), make_rows(2), KEYS)
    assert [(row["group"], row["measure"]) for row in table] == [
        (group, name) for group in ("ct", "mri") for name in ("psnr", "translation_mae")
    ]
    for row in table:
        assert not row["differs"] and row["better"] == ""
        assert row["interval"][0] < 0 < row["interval"][1]
        assert row["difference"] == pytest.approx(row["second"] - row["first"])


def test_a_real_difference_is_reported_and_told_which_is_better():
    first, second = make_rows(1), make_rows(2, gain=0.5)
    table = {(r["group"], r["measure"]): r for r in compare_rows(first, second, KEYS)}
    gained = table["ct", "psnr"]
    assert gained["differs"] and gained["better"] == "second"
    assert 0 < gained["interval"][0] < 0.5 < gained["interval"][1]
    lost = table["ct", "translation_mae"]
    assert lost["difference"] < 0 and lost["better"] == "second"
    assert table["mri", "psnr"]["better"] == ""
    back = {(r["group"], r["measure"]): r for r in compare_rows(second, first, KEYS)}
    assert back["ct", "psnr"]["better"] == back["ct", "translation_mae"]["better"] == "first"
    json.dumps(list(table.values()), allow_nan=False)


def test_false_alarms_are_as_rare_as_they_are_said_to_be():
    found = [
        row["differs"]
        for seed in range(40)
        for row in compare_rows(make_rows(100 + seed), make_rows(300 + seed), KEYS)
        if row["measure"] == "psnr"
    ]
    assert np.mean(found) < 0.15  # 5 % but for the few cases


def test_identical_runs_do_not_differ_at_all():
    for row in compare_rows(make_rows(1), make_rows(1), KEYS):
        assert row["difference"] == 0 and row["interval"] == [0, 0] and not row["differs"]


def test_rows_are_matched_by_key_whatever_their_order_and_source(write_csv):
    first, second = make_rows(1), make_rows(2, gain=0.5)
    expected = compare_rows(first, second, KEYS)
    assert compare_rows(first, second[::-1], KEYS) == expected
    assert compare_rows(write_csv(first), write_csv(second), KEYS) == expected


def test_cases_are_drawn_whole():
    rng = np.random.default_rng(4)
    names = [f"{case}{i:03d}.png" for case in range(12) for i in range(10)]
    changes = np.repeat(rng.normal(0, 1, 12), 10)
    first = [{"name": name, "psnr": 20.0} for name in names]
    second = [{"name": n, "psnr": 20.0 + c} for n, c in zip(names, changes, strict=True)]
    unrelated = [{"name": f"image{i}x", "psnr": row["psnr"]} for i, row in enumerate(second)]
    flat = [{**row, "psnr": 20.0} for row in unrelated]
    by_case = compare_rows(first, second, ["name"])[0]["interval"]
    by_image = compare_rows(flat, unrelated, ["name"])[0]["interval"]
    assert by_case[1] - by_case[0] > 2.5 * (by_image[1] - by_image[0])
    told = [{"case": name[:-7], **row} for name, row in zip(names, unrelated, strict=True)]
    plain = [{"case": name[:-7], **row} for name, row in zip(names, flat, strict=True)]
    rows = {row["measure"]: row for row in compare_rows(plain, told, ["name"])}
    assert rows["psnr"]["interval"] == by_case


def test_gaps_are_left_out_of_both_means():
    first = [{"name": "a", "ssim": 0.5}, {"name": "b", "ssim": None}, {"name": "c", "ssim": 0.7}]
    second = [{"name": "a", "ssim": 0.6}, {"name": "b", "ssim": 0.1}, {"name": "c", "ssim": 0.9}]
    (row,) = compare_rows(first, second, ["name"])
    assert (row["group"], row["first"], row["second"]) == ("", 0.6, 0.75)
    assert row["differs"] and row["better"] == "second"
    del first[1]["ssim"], second[0]["ssim"]
    (row,) = compare_rows(first, second, ["name"])
    assert (row["first"], row["second"], row["interval"]) == (0.7, 0.9, None)


@pytest.mark.parametrize(
    ("measure", "direction"),
    [("cycle_psnr", 1), ("brain_ssim", 1), ("auc_roc", 1), ("f1", 1), ("brain_mae_input_units", -1),
     ("bce", -1), ("error", -1), ("age", 0), ("letters", 0)],
)  # fmt: skip
def test_the_direction_is_told_by_the_name(measure, direction):
    assert find_direction(measure) == direction


def test_rows_of_other_images_are_refused_in_one_line():
    rows = make_rows(1)
    with pytest.raises(InputError, match="20 images.*such as ct 16000.png.*--data") as caught:
        compare_rows(rows, [row for row in rows if not row["name"].startswith("16")], KEYS)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="second run's table has no rows"):
        compare_rows(rows, [], KEYS)
    with pytest.raises(InputError, match="first run's table has no column 'folder'"):
        compare_rows(rows, rows, ("folder", "name"))
