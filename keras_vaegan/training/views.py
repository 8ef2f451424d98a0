"""Random views of whatever a discriminator sees, so that few images do not teach it by heart."""

from __future__ import annotations

from keras import ops

DRAWS = 7  # of each image: three choices, two shifts, two places of the cut
SHIFT = 0.125  # of the side, at most
HOLE = 0.5  # side of the square cut out, as a share of the image's


def draw_view(images, probability: float, draws, black: float):
    """Shift, mirror and cut images differentiably; intensities stay, and no pixel is blurred.

    Args:
        images: (N, S, S, C).
        probability: Of each of the three changes of an image.
        draws: (`DRAWS`, N) uniform random numbers in [0, 1).
        black: The value of what is beyond the border and of what is cut out.

    Returns:
        The same shape and dtype.

    Reference: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training";
    translation by an eighth and cutout of half the side as there, mirroring left and right.
    """
    side = images.shape[1]
    draws = ops.cast(draws, "float32")
    shifts, mirrored, cut = (ops.cast(draws[i] < probability, "float32") for i in range(3))
    most = int(side * SHIFT)
    down, right = ((ops.floor(draws[i] * (2 * most + 1)) - most) * shifts for i in (3, 4))
    place = ops.arange(side, dtype="float32")
    rows = place + ops.expand_dims(down, -1)
    columns = place + ops.expand_dims(right, -1)
    flip = ops.expand_dims(mirrored, -1)
    columns = flip * (side - 1 - columns) + (1 - flip) * columns
    pick_rows, pick_columns = (
        ops.cast(ops.equal(ops.expand_dims(axis, -1), place), images.dtype)
        for axis in (rows, columns)
    )
    view = ops.einsum("nij,njkc->nikc", pick_rows, images - black)
    view = ops.einsum("nlk,nikc->nilc", pick_columns, view)
    inside = [
        ops.cast(ops.abs(place - ops.expand_dims(side * draws[i], -1)) < HOLE * side / 2, "float32")
        for i in (5, 6)
    ]
    hole = ops.expand_dims(inside[0], 2) * ops.expand_dims(inside[1], 1)
    kept = 1 - ops.expand_dims(hole * ops.reshape(cut, (-1, 1, 1)), -1)
    return view * ops.cast(kept, images.dtype) + black
