"""Networks for runtimes other than TensorFlow: one graph of float32, and pictures to try it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_vaegan.data.folders import spread
from keras_vaegan.data.image import find_limits, image_to_unit, list_images, read_image
from keras_vaegan.phantom.rendering import cut_head, render_ct, render_mri


@dataclass(frozen=True)
class PortableGraph:
    """A function of float32 tensors with one result, without typed variants and refusals.

    Attributes:
        name: Of its file.
        function: The inputs, in turn -> the result; in `keras.ops`.
        inputs: Axes of each input by its name: lengths, or names of what is free.
        output: Name of the result.
        output_range: Lowest and highest value of the result; None for the unit of the inputs.
        meaning: What the values of inputs and result stand for, for its users.
        read_examples: (folder or None, count) -> inputs by name, `count` times at most: from a
            user's files, or drawn.
        preparation: What is left to do before and after, ready for JSON; None where nothing is.
    """

    name: str
    function: Callable[..., Any]
    inputs: Mapping[str, tuple[int | str, ...]]
    output: str
    output_range: tuple[float, float] | None
    meaning: str
    read_examples: Callable[[Path | None, int], list[dict[str, np.ndarray]]]
    preparation: dict[str, Any] | None = None


def read_pictures(
    folder: Path | None, count: int, shape: tuple[int, int], modality: str = "mri"
) -> list[np.ndarray]:
    """Pictures to try a graph on.

    Args:
        folder: Images, of which some are taken, spread over their names; None draws phantom heads.
        count: How many, at most.
        shape: (height, width) of what is drawn.
        modality: "mri" or "ct", of what is drawn.

    Returns:
        (H, W, 1 or 3) float32 in [0, 1] each.

    Raises:
        InputError: no such folder, no images there, or an unreadable one.
    """
    if folder is None:
        images = [_draw_head(case, count, shape, modality) for case in range(count)]
    else:
        images = [read_image(path) for path in spread(list_images(folder), count)]
    return [
        image_to_unit(image, find_limits(image)).reshape(*image.shape[:2], -1) for image in images
    ]


def _draw_head(case: int, count: int, shape: tuple[int, int], modality: str) -> np.ndarray:
    """A slice of a phantom head, from the orbits of the first to the vertex of the last."""
    cut, rng = cut_head(0, case, (case + 0.5) / count, shape), np.random.default_rng(case)
    return render_ct(cut, rng) if modality == "ct" else render_mri(cut, "t1", rng)
