"""What is seen of an input and its translation, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np

from keras_vaegan.evaluation.overlay import HEAT, OPACITY

LONGEST = 1024  # side of a shown picture
SHORTEST = 512  # in which a small one is enlarged


@dataclass(frozen=True)
class Layer:
    """Pictures with a gray scale.

    Attributes:
        pictures: (N, H, W) or (N, H, W, 3), any real type.
        black, white: The values that are shown so.
    """

    pictures: np.ndarray
    black: float
    white: float

    def draw(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """One picture, (height, width[, 3]) float32 in [0, 1]."""
        picture = self.pictures[index].astype("float32")
        unit = (picture - self.black) / max(self.white - self.black, 1e-6)
        height, width = size
        smaller = height < picture.shape[0] or width < picture.shape[1]
        way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        return np.clip(cv2.resize(np.clip(unit, 0, 1), (width, height), interpolation=way), 0, 1)


@dataclass(frozen=True)
class Views:
    """All that is shown of an input.

    Attributes:
        source: The input.
        generated: Its translation, of as many pictures, maybe enlarged; None before.
        spread: The translation's deviation, black at 0; None without.
        aspect: Height of the source's pixels in their widths.
    """

    source: Layer
    generated: Layer | None = None
    spread: Layer | None = None
    aspect: float = 1.0

    @property
    def count(self) -> int:
        """Pictures, or slices."""
        return len(self.source.pictures)

    def measure(self) -> tuple[int, int]:
        """(height, width) of every picture that is drawn; their pixels are square."""
        finest = self.source if self.generated is None else self.generated
        height, width = finest.pictures.shape[1:3]
        height = height * self.aspect
        factor = np.clip(1, SHORTEST / max(height, width), LONGEST / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))

    def draw_source(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        return _to_bytes(self.source.draw(index, self.measure()))

    def draw_generated(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        assert self.generated is not None
        return _to_bytes(self.generated.draw(index, self.measure()))

    def draw_overlay(self, index: int) -> np.ndarray:
        """The translation under its deviation, (H, W, 3) uint8."""
        assert self.generated is not None and self.spread is not None
        gray = _to_bytes(self.generated.draw(index, self.measure())) / 255
        share = self.spread.draw(index, self.measure())
        heat = matplotlib.colormaps[HEAT](share)[..., :3]
        opacity = OPACITY * np.sqrt(share)[..., None]
        return _to_bytes(gray * (1 - opacity) + heat * opacity)


def _to_bytes(unit: np.ndarray) -> np.ndarray:
    """[0, 1], gray or colour -> (H, W, 3) uint8."""
    picture = np.round(np.clip(unit, 0, 1) * 255).astype("uint8")
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
