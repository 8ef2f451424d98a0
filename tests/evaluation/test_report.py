"""Files of a report, and pictures that can be read back."""

from __future__ import annotations

import base64
import csv
import json
import re

import cv2
import numpy as np
import pytest

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.protocols import evaluate_pairs
from keras_vaegan.evaluation.report import (
    draw_history,
    draw_sample_grid,
    group_by_panel,
    write_report,
)


@pytest.fixture
def results() -> dict:
    """Figures as `evaluate` gives them, with one undefined value."""
    x = np.random.default_rng(0).uniform(size=(2, 16, 16))
    pairs = evaluate_pairs(x, x)
    gap = {"all": 0.4321, "hog": 0.2, "histogram": None, "spectrum": 0.1}
    realism = {"c2st_auc": 0.9, "untranslated_auc": 1.0, "gap": gap, "copy": 0.123}
    return {
        "protocol": "unit", "commit": "<b>abc</b>", "n_ct": 2, "n_mri": 2,
        "cycle": {"ct": pairs, "mri": pairs}, "cycle_enhanced": None, "honest_cycle": None,
        "realism": {"ct": realism, "mri": realism},
        "translation": {"ct": {**pairs, "identity": pairs, "histogram_matching": pairs}},
    }  # fmt: skip


def test_report_holds_figures_rows_and_pictures(tmp_path, results):
    rows = [{"domain": "ct", "name": name, "psnr": 30.5} for name in ("a,b.png", "ü.png")]
    picture = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype="uint8")
    write_report(tmp_path / "new" / "folder", results, rows, {"grid": picture})
    folder = tmp_path / "new" / "folder"
    assert json.loads((folder / "metrics.json").read_text())["realism"] == results["realism"]
    with (folder / "per_image.csv").open(newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["a,b.png", "ü.png"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "0.4321" in page
    assert "histogram matching" in page
    assert "<b>abc" not in page
    encoded = re.search(r"data:image/png;base64,([^'\"]+)", page)[1]
    content = np.frombuffer(base64.b64decode(encoded), "uint8")
    np.testing.assert_array_equal(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1], picture)
    assert not re.search(r"(src|href)='(?!data:)", page)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["metrics.json", "per_image.csv", "report.html"]


def test_a_report_without_rows_or_pictures(tmp_path):
    write_report(tmp_path, {"protocol": "unit"}, [], {})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"protocol": "unit"}


def test_a_report_cannot_be_written_where_a_file_stands(tmp_path, results):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "file" / "out", results, [], {})
    assert (tmp_path / "file").read_text() == "kept"


def test_grid_keeps_gray_gray_and_colour_colour():
    gray = np.full((32, 32, 1), 0.5)
    red = np.zeros((32, 32, 3))
    red[..., 0] = 1
    grid = draw_sample_grid([[gray, np.zeros((32, 32))], [gray, gray]], ["input", "cycle"])
    assert grid.dtype == np.uint8 and grid.ndim == 3 and grid.shape[2] == 3
    assert (grid == grid[..., :1]).all()
    levels, counts = np.unique(grid, return_counts=True)
    assert counts[(levels == 127) | (levels == 128)].sum() > 0.4 * grid.size
    coloured = draw_sample_grid([[gray, red]], ["gray", "red"])
    assert ((coloured == [255, 0, 0]).all(axis=2)).mean() > 0.2


def test_grid_of_a_dim_image_is_not_stretched():
    dim = np.linspace(0, 0.2, 32 * 32).reshape(32, 32)
    grid = draw_sample_grid([[dim]], ["dim"])
    middle = grid[grid.shape[0] // 2, grid.shape[1] // 2, 0]
    assert abs(int(middle) - 0.1 * 255) < 4


def test_grid_takes_images_of_several_sizes():
    images = [np.ones((16, 40)), np.ones((64, 64, 1)), np.ones((8, 8, 3))]
    assert draw_sample_grid([images], ["a", "b", "c"]).size


def read_png(path) -> np.ndarray:
    """Read a picture, or fail."""
    image = cv2.imread(str(path))
    assert image is not None
    return image


def test_history_is_plotted_with_blank_cells_and_unknown_columns(tmp_path):
    source = tmp_path / "history.csv"
    source.write_text(
        "epoch,step,learning_rate,adversarial_source,adversarial_target,cycle_source,"
        "val_cycle_psnr_ct,surprise\n"
        "1,10,0.1,0.5,0.6,0.3,,7\n2,20,0.1,0.4,0.5,0.2,25.5,8\n"
    )
    draw_history(source, tmp_path / "plots" / "history.png")
    image = read_png(tmp_path / "plots" / "history.png")
    assert (image < 200).any(axis=2).mean() > 0.005
    assert [p.name for p in (tmp_path / "plots").iterdir()] == ["history.png"]


def test_every_log_has_a_panel_and_the_domains_share_one():
    pairs = ("adversarial", "discriminator", "cycle", "ssim", "background", "anchor", "identity")
    logs = [f"{name}_{domain}" for name in (*pairs, "kl") for domain in ("source", "target")]
    logs += ["pixel", "adversarial", "features", "discriminator", "l1", "mse", "brain_psnr"]
    logs += ["brain_mae", "learning_rate", "val_psnr_t1", "val_psnr_flair", "val_gap_all_ct"]
    panels = group_by_panel(dict.fromkeys(["epoch", "step", "minutes", *logs]))
    assert sorted(name for names in panels.values() for name in names) == sorted(logs)
    assert panels["cycle L1"] == ["cycle_source", "cycle_target"]
    assert panels["validation PSNR [dB]"] == ["val_psnr_t1", "val_psnr_flair"]


def test_more_columns_make_more_panels(tmp_path):
    sizes = []
    for extra in ("", ",kl_source,discriminator_source,identity_source,ssim_source,copy_source"):
        count = extra.count(",")
        (tmp_path / "h.csv").write_text(f"step,cycle_source{extra}\n1,2{',3' * count}\n")
        draw_history(tmp_path / "h.csv", tmp_path / "h.png")
        sizes.append(read_png(tmp_path / "h.png").size)
    assert sizes[1] > 2 * sizes[0]


@pytest.mark.parametrize("text", ["", "step,cycle_source\n"], ids=["empty", "header"])
def test_a_history_without_rows_still_gives_a_picture(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    draw_history(tmp_path / "h.csv", tmp_path / "h.png")
    read_png(tmp_path / "h.png")


def test_columns_without_any_value_are_left_out_of_the_plots(tmp_path):
    (tmp_path / "h.csv").write_text("step,val_gap_all_ct,val_gap_all_mri\n1,,\n2,,\n")
    draw_history(tmp_path / "h.csv", tmp_path / "h.png")
    read_png(tmp_path / "h.png")
