"""How much better than bicubic: shrink true images, enlarge them back, compare."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from keras_vaegan.data.folders import find_image_root, list_image_roots, spread
from keras_vaegan.data.image import image_to_unit, round_to_levels
from keras_vaegan.evaluation.confidence import bootstrap_mean
from keras_vaegan.evaluation.leaks import leave_out_leaks
from keras_vaegan.evaluation.metrics import summarise
from keras_vaegan.evaluation.pictures import draw_sample_grid
from keras_vaegan.evaluation.protocols import PairScores
from keras_vaegan.evaluation.report.content import ReportPart, choose_examples
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.degradation import enlarge_bicubic, shrink
from keras_vaegan.systems.super_resolution.report import describe_enlargements
from keras_vaegan.systems.system import Evaluation, EvaluationOptions
from keras_vaegan.training.run_folder import is_run, read_run_config

CLOSE_UP = 96
EXAMPLE_SIDE = 224
GRID_ROWS = 5


@dataclass(frozen=True)
class EnlargementResult:
    """Figures and pictures of one evaluation.

    Attributes:
        scores: {"network": {"psnr": [...], "ssim": [...]}, "bicubic": ...}, a value an image.
        images: Of the images whose pictures were kept, by index, as `enlarge_image` gives them.
    """

    scores: dict[str, dict[str, list[float]]]
    images: dict[int, dict[str, np.ndarray]]

    def summarise(self, seed: int = 0) -> dict:
        """Mean, standard deviation and 95 % interval of every score."""
        return {
            kind: {
                measure: {**summarise(values), "interval": bootstrap_mean(values, seed=seed)}
                for measure, values in measures.items()
            }
            for kind, measures in self.scores.items()
        }

    def rows(self) -> list[dict[str, float]]:
        """One row an image: every score of both enlargements."""
        columns = {
            f"{kind}_{measure}": values
            for kind, measures in self.scores.items()
            for measure, values in measures.items()
        }
        count = len(self.scores["network"]["psnr"])
        return [{name: values[i] for name, values in columns.items()} for i in range(count)]


def evaluate_run(weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
    """Evaluate an RRDBNet on test images, shrunk as its run shrank them; as `System.evaluate`."""
    from keras_vaegan.systems.super_resolution.crops import find_pictures, load_pictures
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer

    PairScores(options.protocol)  # refuses what is no protocol of images
    downsample = "bicubic"
    if is_run(weights):
        downsample = read_run_config(weights, SuperResolutionConfig).degradation.downsample
    enhancer = Enhancer.load(weights, tile=0)
    enlarge = partial(
        enlarge_image, enhancer.enhance_unit, scale=enhancer.scale, downsample=downsample
    )
    figures, rows, pictures, parts = {}, [], {}, []
    found_pictures = find_pictures(data, test=True)
    leaks: dict[str, dict] = {}
    if list_image_roots(data):
        found_pictures, leaks = leave_out_leaks(
            find_image_root(data), found_pictures, options.keep_leaks
        )
    for folder, paths in found_pictures.items():
        images, names = load_pictures(spread(paths, options.limit), enhancer.channels)
        kept = spread(range(len(images)), GRID_ROWS)
        result = evaluate_enlargement(
            enhancer.enhance_unit, images, enhancer.scale, downsample, kept, options.protocol
        )
        figures[folder] = {"n": len(images), **result.summarise(options.seed)}
        found = [
            {"folder": folder, "name": name, **row}
            for name, row in zip(names, result.rows(), strict=True)
        ]
        rows += found
        pictures[folder] = draw_enlargements(result, GRID_ROWS)
        chosen = choose_examples(result.scores["network"]["psnr"])
        shown = {
            rank: cut_close_up(enlarge(images[index]), EXAMPLE_SIDE)
            for rank, index in chosen.items()
        }
        rows_shown = {rank: found[index] for rank, index in chosen.items()}
        parts.append(ReportPart(folder, found, shown, rows_shown))
    metrics = {
        "protocol": options.protocol,
        "scale": enhancer.scale,
        "downsample": downsample,
        "leaks": leaks,
        "enlargement": figures,
    }
    content = describe_enlargements(metrics, parts)
    return Evaluation(metrics, rows, pictures, list_figures(metrics), content)


def list_figures(metrics: dict) -> list[str]:
    """The figures that decide, a line a folder."""
    lines = []
    for folder, part in metrics["enlargement"].items():
        scores = ", ".join(
            f"{kind} {part[kind]['psnr']['mean']:.2f} dB / {part[kind]['ssim']['mean']:.3f}"
            for kind in ("network", "bicubic")
        )
        lines.append(f"{folder}: {scores} over {part['n']} images, x{metrics['scale']}")
    return lines


def evaluate_enlargement(
    enlarge: Callable[[np.ndarray], np.ndarray],
    images: list[np.ndarray],
    scale: int,
    downsample: str = "bicubic",
    keep: Collection[int] | None = None,
    protocol: str = "unit",
) -> EnlargementResult:
    """Shrink images, enlarge them by a network and by bicubic interpolation, and compare.

    Args:
        enlarge, scale, downsample: As `enlarge_image`.
        images: (H, W, C) uint8 or uint16.
        keep: Indices of the images whose pictures are kept; None keeps all.
        protocol: Name of the metric definitions.

    Raises:
        InputError: as `PairScores`.
    """
    held: dict[int, dict[str, np.ndarray]] = {}
    scores = {name: PairScores(protocol) for name in ("network", "bicubic")}
    for index, image in enumerate(show_progress(images, "enlarging")):
        pictures = enlarge_image(enlarge, image, scale, downsample)
        for name, own in scores.items():
            own.add(pictures["truth"][None], pictures[name][None])
        if keep is None or index in keep:
            held[index] = pictures
    values = {
        name: {measure: own.per_image[measure] for measure in ("psnr", "ssim")}
        for name, own in scores.items()
    }
    return EnlargementResult(values, held)


def enlarge_image(
    enlarge: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    scale: int,
    downsample: str = "bicubic",
) -> dict[str, np.ndarray]:
    """Shrink an image and enlarge it again.

    The low-resolution image is rounded to the image's own bit depth, as if stored. Sides that
    `scale` does not divide lose their last pixels.

    Args:
        enlarge: (1, h, w, C) float32 in [0, 1] -> (1, h * scale, w * scale, C).
        image: (H, W, C) uint8 or uint16.
        scale: Factor along an axis.
        downsample: "bicubic" or "area"; "mixed" counts as "bicubic".

    Returns:
        "low", "bicubic", "network" and "truth": (H, W, C) float32 in [0, 1].
    """
    kind = "area" if downsample == "area" else "bicubic"
    height, width = (side // scale * scale for side in image.shape[:2])
    truth = image_to_unit(image[:height, :width])
    low = round_to_levels(shrink(truth, scale, kind), np.iinfo(image.dtype).max)
    return {
        "low": low,
        "bicubic": enlarge_bicubic(low, scale),
        "network": np.clip(np.asarray(enlarge(low[None]))[0], 0, 1),
        "truth": truth,
    }


def draw_enlargements(result: EnlargementResult, rows: int) -> np.ndarray:
    """Draw close-ups of `rows` of the images that were kept, spread evenly over them.

    Returns:
        (H, W, 3) uint8 with the columns low resolution, bicubic, network and truth.
    """
    chosen = spread(sorted(result.images), rows)
    lines = [list(cut_close_up(result.images[index], CLOSE_UP).values()) for index in chosen]
    return draw_sample_grid(lines, ["low resolution", "bicubic", "network", "truth"])


def cut_close_up(pictures: dict[str, np.ndarray], side: int) -> dict[str, np.ndarray]:
    """The square with the most contrast, of every picture of an image.

    Args:
        pictures: As `enlarge_image` gives them.
        side: In pixels, at most.

    Returns:
        The same names; "low" in pixels as large as the truth's.
    """
    truth, low = pictures["truth"], pictures["low"]
    scale = truth.shape[0] // low.shape[0]
    large = pictures | {"low": np.repeat(np.repeat(low, scale, 0), scale, 1)}
    busiest = _find_busiest(truth, side)
    return {name: picture[busiest] for name, picture in large.items()}


def _find_busiest(picture: np.ndarray, side: int) -> tuple[slice, slice]:
    """Rows and columns of the close-up with the most contrast."""
    gray = picture.mean(axis=-1)
    side = min(side, *gray.shape)
    mean, square = (cv2.boxFilter(p, -1, (side, side)) for p in (gray, gray * gray))
    inner = [slice(side // 2, length - (side - 1) // 2) for length in gray.shape]
    contrast = (square - mean * mean)[inner[0], inner[1]]
    top, left = np.unravel_index(np.argmax(contrast), contrast.shape)
    return slice(top, top + side), slice(left, left + side)
