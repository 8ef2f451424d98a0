"""Both translators and the images that they are judged on, of which few are at hand at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_vaegan.data.folders import spread
from keras_vaegan.data.image import image_to_unit, round_to_levels
from keras_vaegan.evaluation.pictures import draw_sample_grid
from keras_vaegan.systems.cyclegan.config import OTHER

HONEST_NOISE = 0.02
GRID_ROWS = 3


@dataclass(frozen=True, eq=False)
class TwoWay:
    """Two translators and two sets of real images.

    Attributes:
        to_ct: MRI batch -> CT batch, both (N, S, S, C) float32 in [0, 1].
        to_mri: CT batch -> MRI batch.
        mri: (N, S, S, C) integers over the whole range of their type, or in [0, 1].
        ct: The same of the other modality.
        pairs: (index into mri, index into ct) of images of the same anatomy; None where there
            are none.
        names: File names by modality; numbers where they are unknown.
    """

    to_ct: Callable[[np.ndarray], np.ndarray]
    to_mri: Callable[[np.ndarray], np.ndarray]
    mri: np.ndarray
    ct: np.ndarray
    pairs: Sequence[tuple[int, int]] | None = None
    names: dict[str, list[str]] = field(default_factory=dict)

    def count(self, domain: str) -> int:
        """How many images of a domain ("mri" or "ct") there are."""
        return len(self.mri if domain == "mri" else self.ct)

    def name(self, domain: str, index: int) -> str:
        """What an image is called."""
        return self.names[domain][index] if self.names else str(index)

    def read(self, domain: str, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Images of a domain: (n, S, S, C) float32 in [0, 1]."""
        images = (self.mri if domain == "mri" else self.ct)[np.asarray(places, int)]
        return image_to_unit(images) if images.dtype.kind == "u" else images.astype("float32")

    def translate(self, domain: str, images: np.ndarray) -> np.ndarray:
        """Images of a domain -> the other one."""
        return self.to_ct(images) if domain == "mri" else self.to_mri(images)

    def go_round(
        self, domain: str, places: Sequence[int] | np.ndarray, random=None
    ) -> dict[str, np.ndarray]:
        """Translate images and cycle them back, with `random` honestly too: the translation stored
        as 8 bits, with noise, in between.

        Returns:
            {"input", "translation", "cycle", "honest"}, each (n, S, S, C) in [0, 1].
        """
        images = self.read(domain, places)
        translation = self.translate(domain, images)
        part = {"input": images, "translation": translation}
        part["cycle"] = self.translate(OTHER[domain], translation)
        if random is not None:
            noise = random.normal(0, HONEST_NOISE, translation.shape)
            stored = round_to_levels(translation + noise).astype("float32")
            part["honest"] = self.translate(OTHER[domain], stored)
        return part

    def find_partners(self, domain: str) -> dict[int, int]:
        """Index of an image -> index of its counterpart in the other domain."""
        own, other = (0, 1) if domain == "mri" else (1, 0)
        return {pair[own]: pair[other] for pair in self.pairs or ()}

    def find_truth(self, domain: str, index: int) -> np.ndarray | None:
        """The true counterpart of an image, (S, S, C), or None."""
        partner = self.find_partners(domain).get(index)
        return None if partner is None else self.read(OTHER[domain], [partner])[0]


def draw_grid(sets: TwoWay, rows: int = GRID_ROWS) -> np.ndarray:
    """Draw `rows` images of each direction, spread evenly over the set.

    Returns:
        (H, W, 3) uint8 with the columns input, translation, truth (in a paired set), cycle and
        the difference of input and cycle.
    """
    lines = []
    for domain in ("mri", "ct"):
        for index in spread(range(sets.count(domain)), rows):
            part = {name: images[0] for name, images in sets.go_round(domain, [index]).items()}
            line = [part["input"], part["translation"], part["cycle"]]
            line.append(np.abs(part["input"] - part["cycle"]))
            if sets.pairs:
                truth = sets.find_truth(domain, index)
                line.insert(2, np.zeros_like(part["input"]) if truth is None else truth)
            lines.append(line)
    titles = ["input", "translation", "cycle", "|input - cycle|"]
    if sets.pairs:
        titles.insert(2, "truth")
    return draw_sample_grid(lines, titles)
