"""Curves of a run: plain names, gaps, unknown columns, and a picture of them."""

from __future__ import annotations

import numpy as np
import pytest

from keras_vaegan.data.image import read_image
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.history import (
    TRAINING,
    VALIDATION,
    draw_history,
    group_by_panel,
    is_wide,
    read_curves,
)
from keras_vaegan.evaluation.palette import DARK, LIGHT, name_series, place_colours

ROWS = (
    "epoch,step,minutes,learning_rate,val_cycle_psnr_ct,val_cycle_psnr_mri,adversarial_source,"
    "adversarial_target,cycle_source,surprise,val_gap_all_ct\n"
    "1,10,1,0.1,,17,0.5,0.6,0.3,7,\n2,20,2,0.1,25.5,18,0.4,0.5,nan,8,\n"
)


@pytest.fixture
def history(tmp_path):
    """A history with a blank cell, one that is no number, and a column without any value."""
    path = tmp_path / "history.csv"
    path.write_text(ROWS)
    return path


def test_losses_come_before_validations_under_plain_names(history):
    training, validation = read_curves(history)
    assert (training.title, validation.title) == (TRAINING, VALIDATION)
    expected = ["Generators' adversarial loss", "Cycle: L1 to the input", "Surprise"]
    assert list(training.panels) == [*expected, "Learning rate"]
    assert training.panels[expected[0]] == {"MRI": [(10, 0.5), (20, 0.4)],
                                            "CT": [(10, 0.6), (20, 0.5)]}  # fmt: skip
    assert training.panels[expected[1]] == {"MRI": [(10, 0.3)]}
    assert training.panels["Surprise"] == {"": [(10, 7), (20, 8)]}
    assert validation.panels == {"Cycle PSNR": {"CT": [(20, 25.5)], "MRI": [(10, 17), (20, 18)]}}
    assert validation.units == {"Cycle PSNR": "dB"}


def test_every_log_has_a_panel_and_the_domains_share_one():
    pairs = ("adversarial", "discriminator", "cycle", "ssim", "background", "anchor", "identity")
    logs = [f"{name}_{domain}" for name in (*pairs, "kl") for domain in ("source", "target")]
    logs += ["pixel", "adversarial", "features", "discriminator", "l1", "mse", "brain_psnr"]
    logs += ["brain_mae", "learning_rate", "val_psnr_t1", "val_psnr_flair", "val_gap_all_ct"]
    panels = group_by_panel(["epoch", "step", "minutes", *logs])
    assert sorted(name for names in panels.values() for name in names) == sorted(logs)
    assert panels["Cycle: L1 to the input"] == ["cycle_source", "cycle_target"]
    assert panels["PSNR"] == ["val_psnr_t1", "val_psnr_flair"]
    assert panels["Discriminators' loss"][-1] == "discriminator"


def test_a_series_has_its_colour_in_every_panel():
    assert place_colours(["source", "target"])["source"] == place_colours(["CT", "MRI"])["MRI"]
    assert place_colours(["target"])["target"] == place_colours(["mri", "ct"])["ct"]
    many = place_colours(["x", "y", "ct", "z"])
    assert len(set(many.values())) == 4 and many["ct"] == place_colours(["ct"])["ct"]
    assert set(place_colours([str(i) for i in range(9)]).values()) == set(range(len(LIGHT)))
    assert [name_series(n) for n in ("target", "source", "flair", "x")] == [
        "CT",
        "MRI",
        "FLAIR",
        "x",
    ]


def measure_contrast(one: str, other: str) -> float:
    """WCAG contrast of two colours #rrggbb."""
    levels = []
    for colour in (one, other):
        share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        levels.append(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(levels) / min(levels)


def test_colours_stand_out_in_light_and_in_dark():
    assert len(LIGHT) == len(DARK)
    assert min(measure_contrast(colour, "#ffffff") for colour in LIGHT) > 3
    assert min(measure_contrast(colour, "#1b1e24") for colour in DARK) > 3


def test_what_spans_decades_is_wide():
    assert is_wide([0.1, 40]) and not is_wide([0.1, 1]) and not is_wide([-1, 400])
    assert not is_wide([0, 100])


def test_a_history_is_drawn(history, tmp_path):
    draw_history(history, tmp_path / "plots" / "history.png")
    image = read_image(tmp_path / "plots" / "history.png")
    assert (image < 200).any(axis=2).mean() > 0.005
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["history.png"]


def test_more_columns_make_more_panels(tmp_path):
    sizes = []
    for extra in ("", ",kl_source,discriminator_source,identity_source,ssim_source,copy_source"):
        count = extra.count(",")
        (tmp_path / "h.csv").write_text(f"step,cycle_source{extra}\n1,2{',3' * count}\n")
        draw_history(tmp_path / "h.csv", tmp_path / "h.png")
        sizes.append(read_image(tmp_path / "h.png").size)
    assert sizes[1] > 2 * sizes[0]


@pytest.mark.parametrize(
    "text",
    ["", "step,cycle_source\n", "step,val_gap_all_ct\n1,\n2,\n"],
    ids=["empty", "header", "no value"],
)
def test_a_history_without_values_still_gives_a_picture(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    assert read_curves(tmp_path / "h.csv") == []
    draw_history(tmp_path / "h.csv", tmp_path / "h.png")
    read_image(tmp_path / "h.png")


@pytest.mark.parametrize(
    "content", [None, b"\xff\xfe\x00", b"epoch,cycle\n1,2\n", b"step,l1\n1,x\n"]
)
def test_what_is_no_history_is_refused(tmp_path, content):
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no history of a run .*expected the CSV"):
        read_curves(path)
