"""What the report of a contrast synthesis says of given figures."""

from __future__ import annotations

import numpy as np

from keras_vaegan.evaluation.report.content import ReportPart
from keras_vaegan.evaluation.report.page import render_page
from keras_vaegan.systems.modality.figures import evaluate_synthesis, summarise_cases
from keras_vaegan.systems.modality.pictures import cut_slice
from keras_vaegan.systems.modality.report import describe_synthesis


def make_part(count: int) -> ReportPart:
    """A good synthesis of some cases, beside inputs that tell nothing."""
    rows, shown = [], {}
    brain = np.zeros((24, 28, 6), bool)
    brain[4:20, 6:24, 1:5] = True
    for index in range(count):
        rng = np.random.default_rng(index)
        real, noise, other = (np.where(brain, rng.uniform(size=brain.shape), 0) for _ in range(3))
        synthetic = 0.9 * real + 0.1 * noise
        figures = evaluate_synthesis(real, synthetic, {"t1": other}, brain)
        rows.append({"case": f"case {index}", "target": "flair", **figures})
        shown = {"best": cut_slice({"t1": other, "synthetic": synthetic, "real": real}, brain)}
    return ReportPart("flair", rows, shown, {"best": rows[-1]})


def test_a_slice_is_cut_to_the_brain_with_the_front_up():
    volume = np.zeros((30, 40, 3))
    brain = np.zeros(volume.shape, bool)
    brain[10:20, 10:30, 1] = True
    volume[10:20, 29, 1] = 1  # the front
    cut = cut_slice({"real": volume}, brain)["real"]
    assert cut.dtype == np.uint8 and cut.shape == (30, 20)
    assert (cut[5, 5:15] == 255).all() and cut.sum() == 2550


def test_a_synthesis_better_than_the_copy_is_said_to_be():
    part = make_part(4)
    content = describe_synthesis({"n_cases": 4, **summarise_cases(part.rows)}, [part])
    assert content.title == "Synthetic FLAIR of 4 cases"
    assert [tile.tone for tile in content.tiles] == ["good", "good"]
    assert all("SelfRDB" in tile.published for tile in content.tiles)
    example = content.sections[2].examples[0]
    assert list(example.pictures) == ["T1", "synthetic FLAIR", "real FLAIR"]
    assert example.error.max() < 0.2 and example.caption.startswith("case 3: ")
    page = render_page(content)
    assert "FLAIR, best copy of an input" in page and "in the brain" in page


def test_one_case_has_no_interval_and_no_verdict():
    part = make_part(1)
    content = describe_synthesis({"n_cases": 1, **summarise_cases(part.rows)}, [part])
    assert content.title.endswith("of 1 case") and {tile.tone for tile in content.tiles} == {""}
    assert content.sections[0].rows[0][2] == "-"
