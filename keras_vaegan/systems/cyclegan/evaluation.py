"""Every figure of a two-way translator, computed from two plain functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from keras import ops

from keras_vaegan.data.folders import find_image_root, spread
from keras_vaegan.data.image import image_to_unit, round_to_levels
from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.alarms import Alarm, find_alarms
from keras_vaegan.evaluation.anatomy import find_head, find_tissues
from keras_vaegan.evaluation.metrics import compute_psnr, compute_ssim
from keras_vaegan.evaluation.protocols import evaluate_pairs, get_protocol
from keras_vaegan.evaluation.realism import evaluate_realism
from keras_vaegan.evaluation.report import draw_sample_grid
from keras_vaegan.evaluation.truth import (
    compare_in_head,
    group_by_case,
    measure_tissues,
    summarise_scores,
)
from keras_vaegan.losses.start import choose_start, find_background
from keras_vaegan.losses.structure import gradient_correlation
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.system import Evaluation, EvaluationOptions

HONEST_NOISE = 0.02
FEWEST_IMAGES = 4
GRID_ROWS = 3
DEFAULTS = EvaluationOptions()
DOMAINS = {"mri": "source", "ct": "target"}
STARTS = ("negative", "shell", "tissue")


@dataclass(frozen=True)
class TranslationResult:
    """Figures and pictures of one evaluation.

    Attributes:
        metrics: JSON-ready figures, as `metrics.json` holds them.
        images: By domain ("mri", "ct"): input, translation, cycle and honest cycle, each
            (N, S, S, C) float32 in [0, 1].
        pairs: (index into mri, index into ct) of images of the same anatomy, or None.
        errors: By domain of the translation, (its input's index, scores in the head) an image
            that has a true counterpart.
    """

    metrics: dict
    images: dict[str, dict[str, np.ndarray]]
    pairs: list[tuple[int, int]] | None = None
    errors: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)

    def find_truth(self, domain: str, index: int) -> np.ndarray | None:
        """The true counterpart of input `index` of a domain, or None."""
        own, other, modality = (0, 1, "ct") if domain == "mri" else (1, 0, "mri")
        found = [pair[other] for pair in self.pairs or [] if pair[own] == index]
        return self.images[modality]["input"][found[0]] if found else None

    def per_image_rows(self, names: dict[str, list[str]]) -> list[dict]:
        """One row an image: its name, PSNR and SSIM of both kinds of cycle, and in a paired set the
        translation's error against the truth in the head."""
        rows = []
        for domain, part in self.images.items():
            scores = {
                f"{kind}_{measure}": compute(part["input"], part[key])
                for kind, key in (("cycle", "cycle"), ("honest_cycle", "honest"))
                for measure, compute in (("psnr", compute_psnr), ("ssim", compute_ssim))
            }
            for index, name in enumerate(names[domain]):
                values = {key: float(column[index]) for key, column in scores.items()}
                errors = self.errors.get(OTHER[domain], {}).get(index, {})
                values |= {f"translation_{key}": value for key, value in errors.items()}
                rows.append({"domain": domain, "name": name, **values})
        return rows


def evaluate_run(weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
    """Evaluate both generators of a folder of weights on a test set; as `System.evaluate`."""
    from keras_vaegan.systems.cyclegan.images import load_test_sets
    from keras_vaegan.systems.cyclegan.translator import Translator

    get_protocol(options.protocol)
    if options.limit is not None and options.limit < FEWEST_IMAGES:
        raise InputError(
            f"--limit {options.limit}: expected at least {FEWEST_IMAGES} images per domain"
        )
    to_ct, to_mri = (Translator.load(weights, name) for name in ("mri2ct", "ct2mri"))
    if to_ct.data != to_mri.data:
        raise InputError(
            f"the two generators of {weights} prepare images differently: expected both from one "
            "run; check --weights"
        )
    sets = load_test_sets(find_image_root(data), to_ct.data, options.limit)
    names = {"ct": sets["testA"]["names"], "mri": sets["testB"]["names"]}
    fewest = min(map(len, names.values()))
    if fewest < FEWEST_IMAGES:
        raise InputError(
            f"{data} has a test set of {fewest}: expected at least {FEWEST_IMAGES} images"
        )
    result = evaluate_translation(
        partial(to_ct.translate_batch, progress="MRI to CT"),
        partial(to_mri.translate_batch, progress="CT to MRI"),
        image_to_unit(sets["testB"]["images"]),
        image_to_unit(sets["testA"]["images"]),
        sets["pairs"],
        dataclasses.replace(options, names=names),
    )
    metrics = {
        "protocol": options.protocol,
        "data": dataclasses.asdict(to_ct.data),
        "seed": options.seed,
        **result.metrics,
    }
    pictures = {"grid": draw_translation_grid(result, GRID_ROWS)}
    return Evaluation(metrics, result.per_image_rows(names), pictures, list_figures(metrics))


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
    baselines = ("identity", "histogram_matching")
    whole, inside = (
        ", ".join(f"{b.replace('_', ' ')} {_format_value(part[b]['mae'])}" for b in baselines)
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


def evaluate_translation(
    to_ct: Callable[[np.ndarray], np.ndarray],
    to_mri: Callable[[np.ndarray], np.ndarray],
    mri: np.ndarray,
    ct: np.ndarray,
    pairs: list[tuple[int, int]] | None = None,
    options: EvaluationOptions = DEFAULTS,
) -> TranslationResult:
    """Evaluate both directions: cycle, honest cycle, realism and, where truth exists, error.

    Args:
        to_ct: MRI batch -> CT batch, both (N, S, S, C) float32 in [0, 1].
        to_mri: CT batch -> MRI batch.
        mri: Real MRI images (N, S, S, C) float32 in [0, 1].
        ct: Real CT images.
        pairs: (index into mri, index into ct) of images of the same anatomy; None where
            there are none.
        options: Metric definitions, seed (of the honest cycle's noise and the realism splits) and
            the super-resolution of "cycle_enhanced", published as "original vs high-resolution".

    Returns:
        `TranslationResult`; "cycle"/"honest_cycle"/"translation"/"realism" are keyed by the
        domain of the image that is compared (cycle) or produced (translation, realism).
    """
    seed, protocol, enhance = options.seed, options.protocol, options.enhance
    images = {"mri": _cycle(mri, to_ct, to_mri, seed), "ct": _cycle(ct, to_mri, to_ct, seed + 1)}

    def compare(kind: str, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> dict:
        return {
            name: evaluate_pairs(part["input"], change(part[kind]), protocol)
            for name, part in images.items()
        }

    metrics = {
        "n_ct": len(ct),
        "n_mri": len(mri),
        "cycle": compare("cycle"),
        "cycle_enhanced": enhance and compare("cycle", enhance),
        "honest_cycle": compare("honest"),
        "realism": {
            "ct": evaluate_realism(images["mri"]["translation"], ct, mri, seed),
            "mri": evaluate_realism(images["ct"]["translation"], mri, ct, seed),
        },
        "edges": {
            name: measure_edges(images[OTHER[name]]["input"], images[OTHER[name]]["translation"])
            for name in ("ct", "mri")
        },
        "alarms": [
            dataclasses.asdict(alarm)
            for name in ("ct", "mri")
            for alarm in find_alarms(
                name,
                images[OTHER[name]]["input"],
                images[OTHER[name]]["translation"],
                images[name]["input"],
                draw_starts(images[OTHER[name]]["input"], DOMAINS[name]),
            )
        ],
    }
    truth, errors = _compare_with_truth(images, pairs, options)
    return TranslationResult(metrics | truth, images, pairs, errors)


def _cycle(image: np.ndarray, there: Callable, back: Callable, seed: int) -> dict:
    """Translate, cycle back, and cycle back honestly (8 bit and noise in between)."""
    translation = there(image)
    noise = np.random.default_rng(seed).normal(0, HONEST_NOISE, translation.shape)
    stored = round_to_levels(translation + noise).astype("float32")
    return {
        "input": image,
        "translation": translation,
        "cycle": back(translation),
        "honest": back(stored),
    }


def _compare_with_truth(
    images: dict, pairs: list | None, options: EvaluationOptions
) -> tuple[dict, dict]:
    """Errors of the translations, of the untranslated inputs and of histogram matching: of whole
    images, inside the head (that of either image of a pair), and by tissue.

    Returns:
        ({"translation", "translation_in_head", "tissues"}, each None without pairs,
        {domain: {index of the input: scores in the head}}).
    """
    if not pairs:
        return dict.fromkeys(("translation", "translation_in_head", "tissues")), {}
    index = {name: np.array([pair[side] for pair in pairs]) for side, name in enumerate(OTHER)}
    real = {name: images[name]["input"][index[name]] for name in index}
    head = find_head(real["mri"]) | find_head(real["ct"])
    tissues = find_tissues(real["ct"], head)
    whole, inside, by_tissue, errors = {}, {}, {}, {}
    for name, origin in (("ct", "mri"), ("mri", "ct")):
        made = images[origin]["translation"][index[origin]]
        baselines = {
            "identity": real[origin],
            "histogram_matching": match_histograms(real[origin], images[name]["input"]),
        }
        scores = compare_in_head(real[name], made, head)
        whole[name] = evaluate_pairs(real[name], made, options.protocol)
        inside[name] = summarise_scores(scores)
        for baseline, other in baselines.items():
            whole[name][baseline] = evaluate_pairs(real[name], other, options.protocol)
            inside[name][baseline] = summarise_scores(compare_in_head(real[name], other, head))
        if options.names:
            files = [options.names[origin][i] for i in index[origin]]
            inside[name]["mae_by_case"] = group_by_case(files, scores["mae"])
        by_tissue[name] = measure_tissues(real[name], made, tissues)
        errors[name] = {
            int(place): {key: float(values[row]) for key, values in scores.items()}
            for row, place in enumerate(index[origin])
        }
    return {"translation": whole, "translation_in_head": inside, "tissues": by_tissue}, errors


def draw_starts(images: np.ndarray, domain: str) -> dict[str, np.ndarray]:
    """Every hand-drawn start of images in [0, 1], by name; `domain` is the translations'."""
    unit = ops.convert_to_tensor(np.asarray(images, "float32"))
    air = find_background(unit)
    starts = {name: choose_start(unit, air, name, domain) for name in STARTS}
    return {name: ops.convert_to_numpy(start) for name, start in starts.items()}


def measure_edges(images: np.ndarray, translations: np.ndarray) -> float:
    """Mean `gradient_correlation` of inputs and translations: how much of the structure is left."""
    pair = (ops.convert_to_tensor(np.asarray(x, "float32")) for x in (images, translations))
    return float(ops.convert_to_numpy(gradient_correlation(*pair)).mean())


def match_histograms(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Map every image's intensities to the pooled distribution of a reference set.

    Args:
        images: (N, ...) in [0, 1].
        reference: (M, ...) in [0, 1], any images of the other modality.

    Returns:
        The same shape as `images`, float32: the baseline that knows intensities but no anatomy.
    """
    shares = np.linspace(0, 1, 1025)
    quantiles = np.quantile(reference, shares)
    matched = np.empty_like(images, dtype="float32")
    for index, image in enumerate(images):
        values, inverse, counts = np.unique(image, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - 0.5 * counts) / image.size
        matched[index] = np.interp(ranks, shares, quantiles)[inverse].reshape(image.shape)
    return matched


def draw_translation_grid(result: TranslationResult, rows: int) -> np.ndarray:
    """Draw `rows` images of each direction, spread evenly over the set.

    Returns:
        (H, W, 3) uint8 with the columns input, translation, truth (in a paired set), cycle and
        the difference of input and cycle.
    """
    lines = []
    for domain, part in result.images.items():
        for index in spread(range(len(part["input"])), rows):
            image, translation, cycle = (part[k][index] for k in ("input", "translation", "cycle"))
            line = [image, translation, cycle, np.abs(image - cycle)]
            if result.pairs:
                truth = result.find_truth(domain, index)
                line.insert(2, np.zeros_like(image) if truth is None else truth)
            lines.append(line)
    titles = ["input", "translation", "cycle", "|input - cycle|"]
    if result.pairs:
        titles.insert(2, "truth")
    return draw_sample_grid(lines, titles)
