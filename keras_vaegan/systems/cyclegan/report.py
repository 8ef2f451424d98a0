"""What is said of an evaluation of two generators: on the terminal and in the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vaegan.evaluation.alarms import Alarm
from keras_vaegan.evaluation.palette import NAMES
from keras_vaegan.evaluation.report.content import (
    Content,
    Distribution,
    Example,
    Examples,
    Section,
    Table,
    Tile,
    choose_examples,
    format_mean,
)
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.cyclegan.paired import BASELINES

if TYPE_CHECKING:
    from keras_vaegan.systems.cyclegan.evaluation import TranslationResult
    from keras_vaegan.systems.cyclegan.translator import Translator

SAMPLES = 8  # drawn where a network has a latent and no error map was fitted
ROUND = {"ct": "CT \u2192 MRI \u2192 CT", "mri": "MRI \u2192 CT \u2192 MRI"}
# Published cycle figures by generator and domain of the image that comes back.
PUBLISHED_CYCLE = {
    ("resnet_generator", "mri"): "24.5 dB / 0.766 (System C, two images)",
    ("resnet_generator", "ct"): "29.8 dB / 0.917 (System C, two images)",
}
PUBLISHED_ENHANCED = "27.27 dB / 0.891 (System A)"


def list_figures(metrics: dict) -> list[str]:
    """The figures of `TranslationResult.metrics` that decide, a line each."""
    lines = []
    for name in ("ct", "mri"):
        cycle, honest = (_format_scores(metrics[k][name]) for k in ("cycle", "honest_cycle"))
        realism = metrics["realism"][name]
        gaps = realism["gap"].items()
        gap = ", ".join(f"{k} -" if v is None else f"{k} {v:.2f}" for k, v in gaps)
        gap += " (-: too few images)" if any(v is None for _, v in gaps) else ""
        lines.append(
            f"{name}: cycle {cycle}, honest {honest}, realism gap {gap}, "
            f"C2ST {realism['c2st_auc']:.3f}, edges kept {metrics['edges'][name]:.2f}"
        )
        if metrics["cycle_enhanced"]:
            enhanced = metrics["cycle_enhanced"][name]
            lines.append(
                f"{name}: original vs high-resolution {_format_scores(enhanced)}, BCE "
                f"{enhanced['bce']:.4f}, AUC-ROC {enhanced['auc_roc']:.4f}, F1 {enhanced['f1']:.4f}"
            )
        if metrics["translation"]:
            lines += _list_truth(name, metrics)
    return lines + [str(Alarm(**alarm)) for alarm in metrics["alarms"]]


def _list_truth(name: str, metrics: dict) -> list[str]:
    """The error of the translations into a domain, and what became of each tissue."""
    truth, head = metrics["translation"][name], metrics["translation_in_head"][name]
    whole, inside = (
        ", ".join(f"{b.replace('_', ' ')} {_format_value(part[b]['mae'])}" for b in BASELINES)
        for part in (truth, head)
    )
    lines = [
        f"{name}: MAE against truth {truth['mae']:.4f} ({whole}); in the head "
        f"{_format_value(head['mae'])} ({inside})"
    ]
    table = metrics["tissues"][name]
    known = [
        f"{tissue} {row['made']:.2f} ({row['truth']:.2f})"
        for tissue, row in table.items()
        if row["made"] is not None
    ]
    white = table["fluid"]["white"]
    white = "" if name != "ct" or white is None else f"; fluid white as bone {white:.0%}"
    return [*lines, f"{name}: made (true) intensity of {', '.join(known)}{white}"]


def _format_value(value: float | None) -> str:
    """Four decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:.4f}"


def _format_scores(scores: dict) -> str:
    """Mean PSNR and SSIM."""
    return f"{scores['psnr']['mean']:.2f} dB / {scores['ssim']['mean']:.3f}"


def describe_result(result: TranslationResult, translators: Mapping[str, Translator]) -> Content:
    """Turn an evaluation into a report: paired truth first where there is any.

    Args:
        result: What was found.
        translators: By the domain that they translate into.
    """
    metrics = result.metrics
    kind = translators["ct"].generator.name
    counts = f"{metrics['n_ct']} CT and {metrics['n_mri']} MRI images"
    facts = {"Images": counts, "Pairs": str(len(result.sets.pairs or ()))}
    facts |= {f"Left out of {name}": _tell_leaks(part) for name, part in metrics["leaks"].items()}
    alarms = [str(Alarm(**alarm)).removeprefix("alarm: ") for alarm in metrics["alarms"]]
    missing = []
    if not result.sets.pairs:
        missing.append(
            "Errors against the truth: the test set holds no pairs (files of equal names in testA "
            "and testB). A cycle and a likeness to real images do not say that a translation is "
            "right."
        )
    tiles = [*_list_truth_tiles(metrics), *_list_other_tiles(metrics, kind)]
    sections = [
        *_list_truth_sections(metrics), _tabulate_realism(metrics), _tabulate_cycles(metrics),
        *_list_distributions(result.rows),
        *(_pick_examples(result, domain, translators) for domain in ("mri", "ct")),
    ]  # fmt: skip
    return Content(f"Translation of {counts}", facts, tiles, alarms, sections, missing)


def _tell_leaks(part: Mapping[str, Any]) -> str:
    """How many images of a test folder are training images, and what was done with them."""
    if not part["found"]:
        return f"none of {part['of']}"
    done = "as training images" if part["left_out"] else "kept, though training images"
    return f"{part['found']} of {part['of']}, {done}"


def _list_truth_tiles(metrics: Mapping[str, Any]) -> Iterator[Tile]:
    """Errors in the head, beside the better baseline that knows no anatomy."""
    for name, figures in (metrics["translation_in_head"] or {}).items():
        if figures["mae"] is None:
            continue
        guesses = {b: figures[b]["mae"] for b in ("identity", "histogram_matching")}
        best = min(guesses, key=lambda b: guesses[b])
        change = figures["mae"] / guesses[best] - 1 if guesses[best] else 0.0
        interval = figures["intervals"]["mae"]
        sure = f"95 %: {_format_interval(interval, 3)}; " if interval else ""
        constant = figures["constant"]["mae"]
        better = interval and interval[1] < min(guesses[best], constant)
        worse = interval and interval[0] > guesses[best]
        yield Tile(
            f"Generated {NAMES[name]}: error in the head", f"{figures['mae']:.3f}",
            f"{sure}{change:+.0%} against {best.replace('_', ' ')} ({guesses[best]:.3f}); one "
            f"constant intensity {constant:.3f}",
            tone="good" if better else "bad" if worse else "",
        )  # fmt: skip


def _list_other_tiles(metrics: Mapping[str, Any], kind: str) -> Iterator[Tile]:
    """Realism gaps and cycles."""
    for name, realism in metrics["realism"].items():
        gap, interval = realism["gap"]["all"], realism["gap_interval"]["all"]
        value = "too few images" if gap is None else f"{gap:.2f}"
        sure = f"95 %: {_format_interval(interval)}; " if interval else ""
        yield Tile(
            f"Generated {NAMES[name]}: realism gap", value,
            f"{sure}0 is real, 1 is no better than not translating",
        )  # fmt: skip
    for name, cycle in metrics["cycle"].items():
        yield Tile(
            f"Cycle {ROUND[name]}", _format_scores(cycle),
            f"honestly, the translation stored as 8 bits with noise: "
            f"{_format_scores(metrics['honest_cycle'][name])}",
            PUBLISHED_CYCLE.get((kind, name), ""),
        )  # fmt: skip
    for name, cycle in (metrics["cycle_enhanced"] or {}).items():
        yield Tile(
            f"{NAMES[name]}: original vs high-resolution reconstruction", _format_scores(cycle),
            f"BCE {cycle['bce']:.4f}, AUC-ROC {_format_value(cycle['auc_roc'])}, F1 "
            f"{_format_value(cycle['f1'])}",
            PUBLISHED_ENHANCED if kind == "vae_unet" else "",
        )  # fmt: skip


def _list_truth_sections(metrics: Mapping[str, Any]) -> Iterator[Section]:
    """Tables of a paired set."""
    if not metrics["translation"]:
        return
    rows = []
    for name, figures in metrics["translation_in_head"].items():
        for guess in ("", *BASELINES):
            part = figures[guess] if guess else figures
            title = guess.replace("_", " ") or "as generated"
            rows.append([f"{NAMES[name]}, {title}", *_list_cells(part)])
    yield Table(
        "Translations against the truth, in the head",
        ["", "MAE", "95 % interval", "PSNR [dB]", "SSIM"], rows,
        "On [0, 1]. The baselines know no anatomy: the input itself, the input with the real "
        "images' intensities, and their median intensity all over the head.",
    )  # fmt: skip
    for name, figures in metrics["translation_in_head"].items():
        if "mae_by_case" in figures:
            yield Table(
                f"Generated {NAMES[name]}: error in the head by case", ["case", "images", "MAE"],
                [[case, str(part["n"]), f"{part['mean']:.3f}"]
                 for case, part in figures["mae_by_case"].items()],
            )  # fmt: skip
    rows = [
        [f"{NAMES[name]}, {tissue}", *(_format_short(part[k]) for k in ("truth", "made", "white")),
         f"{part['pixels']:,}"]
        for name, table in metrics["tissues"].items() for tissue, part in table.items()
    ]  # fmt: skip
    yield Table(
        "Mean intensity of each tissue",
        ["", "true", "generated", "brighter than 0.6", "pixels"], rows,
        "Tissues by thresholds on the true CT. Fluid of a CT that is brighter than 0.6 is drawn as "
        "bone.",
    )  # fmt: skip


def _tabulate_realism(metrics: Mapping[str, Any]) -> Table:
    """Realism of the translations, by group of features."""
    groups = ("all", "hog", "histogram", "spectrum")
    rows = []
    for name, part in metrics["realism"].items():
        cells = [
            _format_short(part["gap"][group])
            + (f" ({_format_interval(part['gap_interval'][group])})"
               if part["gap_interval"][group] else "")
            for group in groups
        ]  # fmt: skip
        aucs = [_format_short(part[key]) for key in ("c2st_auc", "untranslated_auc")]
        rows.append([NAMES[name], *cells, *aucs, _format_short(part["copy"])])
    return Table(
        "Realism of the translations",
        ["", "gap, all features", "shapes", "intensities", "texture", "C2ST", "C2ST untranslated",
         "change of the input"], rows,
        "Gap: how far generated images lie from these real ones, between another half of the real "
        "ones (0) and the untranslated inputs (1); in brackets 95 % intervals. It compares sets, "
        "not anatomy: images in the style of other scanners or cases than the test set's score "
        "above 1, however right they are. C2ST: how well a classifier tells them apart, 0.5 not "
        "at all.",
    )  # fmt: skip


def _tabulate_cycles(metrics: Mapping[str, Any]) -> Table:
    """Every kind of cycle."""
    titles = {
        "cycle": "", "honest_cycle": ", honest", "cycle_enhanced": ", high-resolution"
    }  # fmt: skip
    rows = [
        [ROUND[name] + title, *_list_cycle_cells(part)]
        for kind, title in titles.items() for name, part in (metrics[kind] or {}).items()
    ]  # fmt: skip
    return Table(
        "Input against its reconstruction",
        ["", "PSNR [dB]", "95 % interval", "SSIM", "95 % interval", "MAE", "BCE", "AUC-ROC", "F1"],
        rows,
        "A network that copies its input has a perfect cycle. Honest: the translation stored as 8 "
        "bits with noise in between, so that nothing hidden in it counts.",
    )


def _list_distributions(rows: Sequence[Mapping[str, Any]]) -> Iterator[Distribution]:
    """How the images spread."""
    titles = {
        "translation_mae": "Error of each translation in the head",
        "cycle_psnr": "PSNR of each cycle [dB]",
    }
    for key, title in titles.items():
        series = {name: [row[key] for row in rows if row["domain"] == name and key in row]
                  for name in ("ct", "mri")}  # fmt: skip
        if key == "translation_mae":  # of what is generated, not of the input
            series = {name: series[OTHER[name]] for name in series}
        if any(series.values()):
            yield Distribution(title, series)


def _pick_examples(
    result: TranslationResult, domain: str, translators: Mapping[str, Translator]
) -> Examples:
    """The best, median and worst image of one direction: by the error in the head where there is
    truth, else by the cycle's PSNR."""
    own = [row for row in result.rows if row["domain"] == domain]
    known = [i for i, row in enumerate(own) if np.isfinite(row.get("translation_mae", np.nan))]
    if known:
        scores = [-own[i].get("translation_mae", np.nan) for i in range(len(own))]
        by = "error in the head"
    else:
        scores = [row["cycle_psnr"] for row in own]
        by = "cycle (no truth is known)"
    picked = choose_examples(scores)
    name = NAMES[OTHER[domain]]
    return Examples(
        f"{NAMES[domain]} to {name}: best, median and worst by {by}",
        [_show(result, domain, i, rank, translators[OTHER[domain]]) for rank, i in picked.items()],
    )


def _show(
    result: TranslationResult, domain: str, index: int, rank: str, translator: Translator
) -> Example:
    """One image with its translation, its truth, and its cycle."""
    sets = result.sets
    row = [row for row in result.rows if row["domain"] == domain][index]
    part = {name: images[0] for name, images in sets.go_round(domain, [index]).items()}
    truth = sets.find_truth(domain, index)
    caption = f"{row['name']}: cycle {row['cycle_psnr']:.2f} dB"
    pictures = {name: part[name] for name in ("cycle", "input", "translation")}
    if truth is None:
        error, error_of = np.abs(part["input"] - part["cycle"]), "|input - cycle|"
    else:
        pictures["truth"] = truth
        error, error_of = np.abs(part["translation"] - truth), "|translation - truth|"
        if np.isfinite(row.get("translation_mae", np.nan)):
            caption += f", error in the head {row['translation_mae']:.3f}"
    return Example(
        rank, caption, pictures, error.mean(axis=-1),
        _tell_deviation(translator, part), error_of,
    )  # fmt: skip


def _tell_deviation(translator: Translator, part: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The deviation to expect, (S, S): the error map's, or the samples'; None without either."""
    image = part["input"][None]
    samples = SAMPLES if translator.latent else 0
    if not samples and translator.error_map is None:
        return None
    drawn = translator.draw_one(image, samples)
    return translator.tell_deviation(image, drawn.mean(axis=0), drawn.std(axis=0))[0, ..., 0]


def _list_cells(part: Mapping[str, Any]) -> list[str]:
    """MAE with its interval, PSNR and SSIM."""
    if part["mae"] is None:
        return ["-"] * 4
    interval = part["intervals"]["mae"]
    psnr, ssim = part["psnr"]["mean"], part["ssim"]["mean"]
    sure = _format_interval(interval, 3) if interval else "-"
    return [f"{part['mae']:.3f}", sure, f"{psnr:.2f}", f"{ssim:.3f}"]


def _list_cycle_cells(part: Mapping[str, Any]) -> list[str]:
    """The figures of one kind of cycle."""
    cells = [*format_mean(part["psnr"], "{:.2f}"), *format_mean(part["ssim"], "{:.3f}")]
    return cells + [_format_value(part[key]) for key in ("mae", "bce", "auc_roc", "f1")]


def _format_interval(interval: Sequence[float], digits: int = 2) -> str:
    """Low to high."""
    low, high = interval
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _format_short(value: float | None) -> str:
    """Two decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:.2f}"
