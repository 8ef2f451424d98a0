"""How much better than bicubic: shrink true images, enlarge them back, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from keras_vaegan.data.folders import spread
from keras_vaegan.data.image import image_to_unit, round_to_levels
from keras_vaegan.evaluation.metrics import compute_psnr, compute_ssim, summarise
from keras_vaegan.evaluation.protocols import get_protocol
from keras_vaegan.evaluation.report import draw_sample_grid
from keras_vaegan.progress import show_progress
from keras_vaegan.systems.super_resolution.config import SuperResolutionConfig
from keras_vaegan.systems.super_resolution.degradation import enlarge_bicubic, shrink
from keras_vaegan.systems.system import Evaluation, EvaluationOptions
from keras_vaegan.training.run_folder import is_run, read_run_config

CLOSE_UP = 96
GRID_ROWS = 5


@dataclass(frozen=True)
class EnlargementResult:
    """Figures and pictures of one evaluation.

    Attributes:
        scores: {"network": {"psnr": [...], "ssim": [...]}, "bicubic": ...}, a value an image.
        images: By name ("low", "bicubic", "network", "truth"): a list of (H, W, C) float32 in
            [0, 1].
    """

    scores: dict[str, dict[str, list[float]]]
    images: dict[str, list[np.ndarray]]

    def summarise(self) -> dict:
        """Mean and standard deviation of every score."""
        return {
            kind: {measure: summarise(values) for measure, values in measures.items()}
            for kind, measures in self.scores.items()
        }

    def rows(self) -> list[dict[str, float]]:
        """One row an image: every score of both enlargements."""
        columns = {
            f"{kind}_{measure}": values
            for kind, measures in self.scores.items()
            for measure, values in measures.items()
        }
        count = len(self.images["truth"])
        return [{name: values[i] for name, values in columns.items()} for i in range(count)]


def evaluate_run(weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
    """Evaluate an RRDBNet on test images, shrunk as its run shrank them; as `System.evaluate`."""
    from keras_vaegan.systems.super_resolution.crops import find_pictures, load_pictures
    from keras_vaegan.systems.super_resolution.enhancer import Enhancer

    get_protocol(options.protocol)
    downsample = "bicubic"
    if is_run(weights):
        downsample = read_run_config(weights, SuperResolutionConfig).degradation.downsample
    enhancer = Enhancer.load(weights, tile=0)
    figures, rows, pictures, summary = {}, [], {}, []
    for name, paths in find_pictures(data, test=True).items():
        images, names = load_pictures(spread(paths, options.limit), enhancer.channels)
        result = evaluate_enlargement(enhancer.enhance_unit, images, enhancer.scale, downsample)
        figures[name] = {"n": len(images), **result.summarise()}
        rows += [
            {"folder": name, "name": n, **row} for n, row in zip(names, result.rows(), strict=True)
        ]
        pictures[name] = draw_enlargements(result, GRID_ROWS)
        scores = ", ".join(
            f"{kind} {part['psnr']['mean']:.2f} dB / {part['ssim']['mean']:.3f}"
            for kind, part in result.summarise().items()
        )
        summary.append(f"{name}: {scores} over {len(images)} images, x{enhancer.scale}")
    metrics = {
        "protocol": options.protocol,
        "scale": enhancer.scale,
        "downsample": downsample,
        "enlargement": figures,
    }
    return Evaluation(metrics, rows, pictures, summary)


def evaluate_enlargement(
    enlarge: Callable[[np.ndarray], np.ndarray],
    images: list[np.ndarray],
    scale: int,
    downsample: str = "bicubic",
) -> EnlargementResult:
    """Shrink images, enlarge them by a network and by bicubic interpolation, and compare.

    The low-resolution images are rounded to the images' own bit depth, as if stored. Sides that
    `scale` does not divide lose their last pixels.

    Args:
        enlarge: (1, h, w, C) float32 in [0, 1] -> (1, h * scale, w * scale, C).
        images: (H, W, C) uint8 or uint16.
        scale: Factor along an axis.
        downsample: "bicubic" or "area"; "mixed" counts as "bicubic".
    """
    kind = "area" if downsample == "area" else "bicubic"
    pictures: dict[str, list] = {"low": [], "bicubic": [], "network": [], "truth": []}
    scores: dict[str, dict] = {name: {"psnr": [], "ssim": []} for name in ("network", "bicubic")}
    for image in show_progress(images, "enlarging"):
        height, width = (side // scale * scale for side in image.shape[:2])
        truth = image_to_unit(image[:height, :width])
        low = round_to_levels(shrink(truth, scale, kind), np.iinfo(image.dtype).max)
        enlarged = {
            "network": np.clip(np.asarray(enlarge(low[None]))[0], 0, 1),
            "bicubic": enlarge_bicubic(low, scale),
        }
        for name, picture in enlarged.items():
            scores[name]["psnr"].append(float(compute_psnr(truth[None], picture[None])[0]))
            scores[name]["ssim"].append(float(compute_ssim(truth[None], picture[None])[0]))
        for name, picture in {"low": low, "truth": truth, **enlarged}.items():
            pictures[name].append(picture)
    return EnlargementResult(scores, pictures)


def draw_enlargements(result: EnlargementResult, rows: int) -> np.ndarray:
    """Draw close-ups of the middle of `rows` images, spread evenly over the set.

    Returns:
        (H, W, 3) uint8 with the columns low resolution, bicubic, network and truth.
    """
    truths = result.images["truth"]
    lines = []
    for index in spread(range(len(truths)), rows):
        truth = truths[index]
        scale = truth.shape[0] // result.images["low"][index].shape[0]
        pixels = np.repeat(np.repeat(result.images["low"][index], scale, 0), scale, 1)
        line = [pixels, *(result.images[name][index] for name in ("bicubic", "network", "truth"))]
        busiest = _find_busiest(truth)
        lines.append([picture[busiest] for picture in line])
    return draw_sample_grid(lines, ["low resolution", "bicubic", "network", "truth"])


def _find_busiest(picture: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the close-up with the most contrast."""
    gray = picture.mean(axis=-1)
    side = min(CLOSE_UP, *gray.shape)
    mean, square = (cv2.boxFilter(p, -1, (side, side)) for p in (gray, gray * gray))
    inner = [slice(side // 2, length - (side - 1) // 2) for length in gray.shape]
    contrast = (square - mean * mean)[inner[0], inner[1]]
    top, left = np.unravel_index(np.argmax(contrast), contrast.shape)
    return slice(top, top + side), slice(left, left + side)
