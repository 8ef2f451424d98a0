"""The hand-drawn first translation that a CycleGAN starts from, and the air around a head."""

from __future__ import annotations

from keras import ops

AIR_CEILING = 0.15


def find_background(unit):
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


def choose_start(unit, air, anchor: str):
    """Draw the first, rough translation that the anchor loss pulls a network to.

    Args:
        unit: (N, H, W, C) images in [0, 1].
        air: (N, H, W, 1) float32 of `find_background`.
        anchor: "copy", "negative", or "shell": the negative near the head's surface (to a depth
            of a twelfth of the image side) and of whatever is nearly white, the input elsewhere.

    Returns:
        (N, H, W, C) float32 in [0, 1], black in the air.
    """
    if anchor == "shell":
        inverted = ops.maximum(_find_shell(air), ops.clip((unit - 0.7) / 0.2, 0.0, 1.0))
    else:
        inverted = {"copy": 0.0, "negative": 1.0}[anchor]
    return (inverted * (1 - unit) + (1 - inverted) * unit) * (1 - air)


def _find_shell(air):
    """1 from the air to a depth of a twelfth of the side, falling to 0 within a 24th around it."""
    reach, blur = air.shape[1] // 6 | 1, air.shape[1] // 24 | 1
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
        steps: Length of the start.
    """
    return ops.clip(2.0 - 2.0 * step / max(1, steps), 0.0, 1.0)
