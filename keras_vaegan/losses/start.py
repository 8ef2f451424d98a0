"""The hand-drawn first translation that a CycleGAN starts from, and the air around a head."""

from __future__ import annotations

from keras import ops

AIR_CEILING = 0.15
CT_BRAIN = 0.4  # of a CT in a brain window
MRI_BRAIN = 0.35  # the median brain of the Kaggle set's MRI, 0.25 to 0.46 in half of its images


def find_air(unit):
    """Mark the air around a head: what a morphological closing of the bright pixels leaves out.

    Bone, fluid and sinuses are dark in some images too, but lie enclosed by brighter tissue.

    Args:
        unit: (N, H, W, C) images in [0, 1].

    Returns:
        (N, H, W, 1) float32, 1 in the air and 0 in the head; pixels up to `AIR_CEILING` count as
        dark, and gaps up to an eighth of the image side are closed.
    """
    reach = unit.shape[1] // 8 | 1
    head = ops.max(ops.cast(unit, "float32"), axis=-1, keepdims=True)
    head = ops.cast(head > AIR_CEILING, "float32")
    head = ops.pad(head, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    head = -_spread(-_spread(head, reach), reach)  # dilate, then erode
    return 1.0 - head[:, reach:-reach, reach:-reach]


def choose_start(unit, air, anchor: str, domain: str):
    """Draw the first, rough translation that the anchor loss pulls a network to.

    Args:
        unit: (N, H, W, C) images in [0, 1].
        air: (N, H, W, 1) float32 of `find_air`.
        anchor: "copy", "negative", "shell": the negative near the head's surface (to a depth of a
            twelfth of the image side) and of whatever is nearly white, the input elsewhere; or
            "tissue": what the tissues are known to look like.
        domain: Domain of the translation, "target" (CT) or "source" (MRI); "tissue" asks for it.

    Returns:
        (N, H, W, C) float32 in [0, 1], black in the air.
    """
    if anchor == "tissue":
        draw = {"target": _draw_ct, "source": _draw_mri}[domain]
        return draw(unit, air) * (1 - air)
    if anchor == "shell":
        inverted = ops.maximum(_find_shell(air), ops.clip((unit - 0.7) / 0.2, 0.0, 1.0))
    else:
        inverted = {"copy": 0.0, "negative": 1.0}[anchor]
    return (inverted * (1 - unit) + (1 - inverted) * unit) * (1 - air)


def find_brain(unit, air):
    """Where in an MRI the "tissue" drawing of its CT is to be trusted: deep in slices of the brain.

    Where much of what is deep is dark, it is the base of the skull, whose bone and air cells no
    rule of thumb tells from fluid.

    Args:
        unit: (N, H, W, C) MRI in [0, 1].
        air: (N, H, W, 1) float32 of `find_air`.

    Returns:
        (N, H, W, 1) float32 from 0 to 1.
    """
    relative, deep, average = _compare_with_level(unit, air)
    bright = average(ops.cast(relative > -0.4, "float32"))
    return deep * ops.clip((bright - 0.7) / 0.1, 0.0, 1.0)


def find_ct_brain(unit, air):
    """Where a CT shows brain rather than fluid, bone or sinus, deep in the head.

    Args:
        unit: (N, H, W, C) CT in [0, 1], its window known only to show brain as a middle gray.
        air: (N, H, W, 1) float32 of `find_air`.

    Returns:
        (N, H, W, 1) float32 from 0 to 1.
    """
    gray = ops.mean(unit, axis=-1, keepdims=True)
    smooth = ops.average_pool(gray, unit.shape[1] // 64 | 1, strides=1, padding="same")  # noise
    relative, deep, _ = _compare_with_level(smooth, air)
    return deep * ops.clip((relative + 0.3) / 0.1, 0, 1) * ops.clip((0.5 - relative) / 0.1, 0, 1)


def _compare_with_level(unit, air) -> tuple:
    """(relative, deep, average) of images: intensities against their mean deep in the head, as -1
    to 1; where that is; and the mean of anything there."""
    deep = (1 - air) * (1 - _find_shell(air))
    count = ops.sum(deep, axis=(1, 2, 3), keepdims=True) + 1.0

    def average(values):
        return ops.sum(values * deep, axis=(1, 2, 3), keepdims=True) / count

    gray = ops.mean(unit, axis=-1, keepdims=True)
    return ops.clip(gray / (average(gray) + 1e-3) - 1.0, -1.0, 1.0), deep, average


def _draw_ct(unit, air):
    """MRI -> a sketch of its CT: dark near the surface becomes bone, the brain an even gray.

    What is bright at the very surface is scalp, whose fat is black in a brain window. The fluid is
    dark in a CT whether it is bright (T2) or dark (T1, FLAIR) in the MRI: which, the skewness of
    the intensities deep in the head tells.
    """
    relative, _, average = _compare_with_level(unit, air)
    skewness = average(relative**3) / (average(relative**2) + 1e-3) ** 1.5
    fluid_is_dark = -ops.tanh(2.0 * skewness)
    brain = CT_BRAIN * ops.clip(1.0 + 0.8 * fluid_is_dark * relative, 0.3, 1.3)
    bone = _find_shell(air) * ops.clip(-1.5 * relative, 0.0, 1.0)
    scalp = _find_shell(air, depth=28)
    return (bone + (1 - bone) * (1 - scalp) * brain) * ops.ones_like(unit)


def _draw_mri(unit, air):
    """CT -> a sketch of its MRI by intensity alone: brain gray, fluid darker, bone nearly black."""
    return ops.where(unit < CT_BRAIN, unit, CT_BRAIN * (1 - unit) / (1 - CT_BRAIN))


def _find_shell(air, depth: int = 12):
    """1 from the air to a `depth`-th of the side, falling to 0 within half of that around it."""
    reach, blur = 2 * air.shape[1] // depth | 1, air.shape[1] // (2 * depth) | 1
    return ops.average_pool(_spread(air, reach), blur, strides=1, padding="same")


def _spread(images, reach: int):
    """The maximum over the square of `reach` (odd) pixels around every pixel of (N, H, W, 1).

    By doubling: shifted copies take a tenth of the time of a pooling of one channel.
    """
    for axis in (1, 2):
        pads = [(0, 0)] * 4
        pads[axis] = (reach // 2, reach // 2)
        images = ops.pad(images, pads, constant_values=-1.0)  # beyond the frame counts nothing
        width = 1
        while width < reach:
            step = min(width, reach - width)
            last = images.shape[axis] - step
            ends = [(0, last), (step, last + step)]
            parts = [images[:, a:b] if axis == 1 else images[:, :, a:b] for a, b in ends]
            images, width = ops.maximum(*parts), width + step
    return images


def start_share(step, steps: int):
    """Weight of the start at a step: 1 in the first half of `steps`, falling to 0 in the second.

    Args:
        step: Scalar, steps done.
        steps: Length of the start; 0 for none.
    """
    return ops.clip(2.0 - 2.0 * step / steps, 0.0, 1.0) if steps else 0.0
