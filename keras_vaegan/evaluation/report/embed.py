"""Pictures inside a page: as data addresses, with colour maps whose scale bars say their range."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

from keras_vaegan.evaluation.report.content import Example

ERROR_MAP, DEVIATION_MAP = "magma", "viridis"
TOP_PERCENTILE = 99.5
LARGEST_SIDE = 768
SMALL_SIDE = 200  # below which pixels are shown as squares
OVERLAY = 0.85  # opacity of the largest deviation
_LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]


@dataclass(frozen=True)
class Picture:
    """An embedded picture.

    Attributes:
        title: Shown under it.
        source: Its data address.
        width, height: In pixels.
        scale: (CSS gradient, lowest value, highest value) of its colours, or None.
        text: What it shows, for those who cannot see it.
    """

    title: str
    source: str
    width: int
    height: int
    text: str
    scale: tuple[str, str, str] | None = None

    @property
    def small(self) -> bool:
        """Whether its pixels are shown as squares."""
        return max(self.width, self.height) < SMALL_SIDE


def embed_pictures(example: Example) -> list[Picture]:
    """The named pictures of an example, in their order."""
    return [
        _embed(title, picture, f"{title} of {example.caption}")
        for title, picture in example.pictures.items()
    ]


def embed_maps(example: Example, error_top: float, deviation_top: float) -> list[Picture]:
    """The error map of an example, and its deviation over the translation, where it has them.

    Args:
        example: Its deviation is laid over the picture "translation", or the last one.
        error_top, deviation_top: Values of the brightest colour, as `find_top` gives them.
    """
    maps = []
    if example.error is not None:
        share = np.clip(_flatten(example.error) / error_top, 0, 1)
        drawn = matplotlib.colormaps[ERROR_MAP](share)[..., :3]
        title = f"error: {example.error_of}" if example.error_of else "absolute error"
        text = f"{title} of {example.caption}, from 0 to {error_top:.2g}"
        maps.append(_embed(title, drawn, text, _describe_scale(ERROR_MAP, error_top)))
    if example.deviation is not None and example.pictures:
        names = list(example.pictures)
        under = "translation" if "translation" in names else names[-1]
        drawn = _lay_over(example.pictures[under], example.deviation, deviation_top)
        title = f"deviation over the {under}"
        text = f"{title} of {example.caption}, from 0 to {deviation_top:.2g}"
        maps.append(_embed(title, drawn, text, _describe_scale(DEVIATION_MAP, deviation_top)))
    return maps


def find_top(maps: Sequence[np.ndarray | None]) -> float:
    """The value that the brightest colour of several maps stands for.

    It is a round one near the top of the map in the middle, so that one bad image does not leave
    the others dark.
    """
    tops = [float(np.nanpercentile(part, TOP_PERCENTILE)) for part in maps if part is not None]
    top = float(np.median(tops)) if tops else 0.0
    if not top > 0:
        return 1.0
    unit = 10.0 ** np.floor(np.log10(top))
    return float(np.ceil(top / unit * 2) / 2 * unit)


def _lay_over(picture: np.ndarray, deviation: np.ndarray, top: float) -> np.ndarray:
    """A deviation's colours over a picture, the opaquer the larger: (H, W, 3) in [0, 1]."""
    share = np.clip(_flatten(deviation) / top, 0, 1)[..., None]
    gray = np.clip(_flatten(picture), 0, 1)[..., None]
    colours = matplotlib.colormaps[DEVIATION_MAP](share[..., 0])[..., :3]
    opacity = OVERLAY * share
    return (1 - opacity) * gray + opacity * colours


def _embed(
    title: str, picture: np.ndarray, text: str, scale: tuple[str, str, str] | None = None
) -> Picture:
    """A picture in [0, 1] -> the smaller of lossless WebP and PNG."""
    pixels = np.asarray(picture, "float64")
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    pixels = np.round(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype("uint8")
    larger = max(pixels.shape[:2]) / LARGEST_SIDE
    if larger > 1:
        size = tuple(max(1, round(side / larger)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    stored = np.ascontiguousarray(pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    encoded = {
        "png": cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes(),
        "webp": cv2.imencode(".webp", stored, _LOSSLESS)[1].tobytes(),
    }
    kind = min(encoded, key=lambda name: len(encoded[name]))
    source = f"data:image/{kind};base64,{base64.b64encode(encoded[kind]).decode()}"
    return Picture(title, source, pixels.shape[1], pixels.shape[0], text, scale)


def _describe_scale(name: str, top: float) -> tuple[str, str, str]:
    """A colour map's CSS gradient, and what its ends stand for."""
    colours = matplotlib.colormaps[name](np.linspace(0, 1, 9))
    stops = ", ".join(matplotlib.colors.to_hex(colour) for colour in colours)
    return f"linear-gradient(to right, {stops})", "0", f"{top:.2g} or more"


def _flatten(picture: np.ndarray) -> np.ndarray:
    """(H, W) of a picture with or without channels."""
    picture = np.asarray(picture, "float64")
    return picture.mean(axis=-1) if picture.ndim == 3 else picture
