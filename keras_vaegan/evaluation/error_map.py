"""The error to expect at every pixel of a translation, learnt on pairs whose truth is known.

How far drawn translations differ tells little of how wrong they all are. What a pixel looks like
tells more: its intensity before and after, the edges around it, how deep in the head it lies.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.anatomy import find_head

FEATURES = 6
HIDDEN = (24, 24)
PIXELS = 60_000  # to fit on
EPOCHS = 20
SIDE = 256  # in whose pixels the smoothing is given
ABSOLUTE_TO_SQUARE = np.sqrt(np.pi / 2)  # of a Gaussian: its deviation over its mean error
SMALLEST = 1e-3


def describe_pixels(inputs: np.ndarray, generated: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """What a pixel's error is told from.

    Args:
        inputs: (N, S, S) the network's input in [0, 1].
        generated: (N, S, S) its translation, or the samples' mean.
        spread: (N, S, S) the samples' deviation; 0 without samples.

    Returns:
        (N, S, S, 6) float32.
    """
    return np.stack([_describe(*row) for row in zip(inputs, generated, spread, strict=True)])


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """A small regression from `describe_pixels` to the absolute error.

    Attributes:
        centre, width: (6,) of the features, which are standardised by them.
        layers: (kernel, bias) of each layer, rectified in between.
        scale: Factor that makes its deviations as large as the errors, in root mean square.
        samples: Latents an image that it was fitted with.
    """

    centre: np.ndarray
    width: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    scale: float = 1.0
    samples: int = 0

    @classmethod
    def fit(cls, features: np.ndarray, errors: np.ndarray, seed: int = 0) -> ErrorMap:
        """Fit on pixels.

        Args:
            features: (M, 6).
            errors: (M,) of either sign.
            seed: Of the choice of pixels and of the fit.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        chosen = np.random.default_rng(seed).permutation(len(features))[:PIXELS]
        features, sizes = features[chosen].astype("float64"), np.abs(errors[chosen])
        centre, width = features.mean(axis=0), features.std(axis=0) + 1e-6
        model = MLPRegressor(
            hidden_layer_sizes=HIDDEN, batch_size=min(256, len(features)), max_iter=EPOCHS,
            random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are enough
            model.fit((features - centre) / width, sizes)
        layers = zip(model.coefs_, model.intercepts_, strict=True)
        found = cls(centre, width, tuple((_round(k), _round(b)) for k, b in layers))
        deviations = found.predict(features)
        scale = np.sqrt(max(np.mean(sizes**2), SMALLEST**2) / np.mean(deviations**2))
        return cls(_round(centre), _round(width), found.layers, float(scale))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(..., 6) -> (...) float32, the error's expected deviation, above 0."""
        values = np.clip((features - self.centre) / self.width, -6, 6).astype("float32")
        for number, (kernel, bias) in enumerate(self.layers):
            values = values @ kernel.astype("float32") + bias.astype("float32")
            if number < len(self.layers) - 1:
                values = np.maximum(values, 0)
        scale = np.float32(ABSOLUTE_TO_SQUARE * self.scale)
        return np.clip(values[..., 0] * scale, SMALLEST, 1.0)

    def to_json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "centre": self.centre.tolist(),
            "width": self.width.tolist(),
            "layers": [[kernel.tolist(), bias.tolist()] for kernel, bias in self.layers],
            "scale": self.scale,
            "samples": self.samples,
        }

    @classmethod
    def from_json(cls, data: Any) -> ErrorMap:
        """Undo `to_json`.

        Raises:
            InputError: it is not what that gives.
        """
        try:
            layers = tuple((_array(kernel), _array(bias)) for kernel, bias in data["layers"])
            found = cls(
                _array(data["centre"]),
                _array(data["width"]),
                layers,
                float(data["scale"]),
                int(data["samples"]),
            )
            told = [(k.shape, b.shape) for k, b in layers]
            sizes = (FEATURES, *HIDDEN, 1)
            expected = [((a, b), (b,)) for a, b in zip(sizes, sizes[1:], strict=False)]
            fits = told == expected and found.centre.shape == found.width.shape == (FEATURES,)
            fits = fits and 0 <= found.samples < 10**6
            if not (fits and 0 < found.scale < np.inf and (found.width > 0).all()):
                raise ValueError("sizes that do not fit")
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise InputError(
                f"a damaged error map ({error}): expected what `calibrate` writes; run it again"
            ) from error
        return found


def _describe(image: np.ndarray, generated: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """`describe_pixels` of one image."""
    unit = len(image) / SIDE
    edges = [
        gaussian_filter(np.hypot(*np.gradient(gaussian_filter(part, unit))), 4 * unit) * unit
        for part in (image, generated)
    ]
    head = np.pad(find_head(image[None])[0], 1)  # beyond the square there is air
    depth = distance_transform_edt(head)[1:-1, 1:-1] / len(image)
    smooth = [gaussian_filter(part, 2 * unit) for part in (image, generated, spread)]
    return np.stack([*smooth[:2], np.log(smooth[2] + 1e-4), *edges, depth], -1).astype("float32")


def _array(values: Any) -> np.ndarray:
    """Finite float64 numbers of a list."""
    array = np.asarray(values, "float64")
    if not np.isfinite(array).all():
        raise ValueError("values that are not finite")
    return array


def _round(values: np.ndarray) -> np.ndarray:
    """To six digits, as the file has them."""
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)
