"""How images become a generator's squares and come back, for programs in any language."""

from __future__ import annotations

from typing import Any

from keras_vaegan.config.base import VALUE_RANGES
from keras_vaegan.config.data import DataConfig
from keras_vaegan.data import head
from keras_vaegan.data.preparation import CUBIC, FULL_SCALE, HEAD_MARGIN, LUMA

_REGIONS = {
    "head": "The region is a square of 1 + 2 * margin times the longer side of the head's box, "
    "rounded, around the box's middle; its top and left are rounded too (halves to even).",
    "pad": "The region is the square of the frame's longer side around the frame's middle; its "
    "top and left are rounded (halves to even).",
    "stretch": "The region is the whole frame.",
}
_SURROUNDINGS = (
    "Paint black what lies apart from the head: find the foreground of the resized picture as "
    f"`head` tells, dilate it by {2 * head.NEAR + 1} x {2 * head.NEAR + 1} pixels, take its "
    "largest piece, and keep what lies between two pixels of the piece both along rows and along "
    f"columns; where the piece is less than {head.SMALLEST_SHARE:g} of the picture, keep all. "
    "Bring this mask of 0 and 1 to the picture's size by averages over areas, and multiply."
)
_ROOM = (
    "Paint black what lies far from the head: multiply by a mask made as before from the prepared "
    f"picture in [0, 1], with a dilation by {2 * head.FAR + 1} x {2 * head.FAR + 1} pixels."
)
_RESIZE = (
    "along each axis by itself: where pixels become fewer, the average over the old pixels that a "
    "new one covers; else Keys' cubic kernel at the new pixel's centre, whose taps beyond the "
    "picture are left out while the others weigh more. Clip to 0 and the picture's highest value."
)


def describe_preparation(data: DataConfig, channels: int) -> dict[str, Any]:
    """`data.preparation` in words and numbers.

    Args:
        data: How the network's images are prepared.
        channels: Of the network's result.

    Returns:
        {"before", "after"}: the steps in turn; the numbers that they name; all ready for JSON.
    """
    low, high = VALUE_RANGES[data.value_range]
    region = "head" if data.align == "head" else data.resize
    color = (
        "Of colour images take the luma: the sum of R, G and B by their weights."
        if data.channels == 1
        else "Repeat a gray image as R, G and B."
    )
    size = f"{data.image_size} x {data.image_size}"
    record: dict[str, Any] = {
        "before": [
            "Bring the image to [0, 1]: divide 8 and 16-bit values by their full scale; map the "
            "lowest value of a float image to 0 and its highest to 1.",
            color,
            _REGIONS[region],
            f"Resize the region, black (0) beyond the frame, to {size} pixels, {_RESIZE}",
            *([_SURROUNDINGS] if data.surroundings == "black" else []),
            f"Map [0, 1] to [{low:g}, {high:g}]. Layout: (1, rows, columns, channels), float32.",
        ],
        "after": [
            f"Map the result's [{low:g}, {high:g}] to [0, 1], and clip.",
            *([_ROOM] if data.surroundings == "black" else []),
            f"Resize it to the region's size, {_RESIZE}",
            "Put it in the region's place of a frame of the image's size; 0 beyond the region.",
            f"The result has {channels} channels: for a gray image take their mean, for a colour "
            "image repeat a single one.",
            "Undo the first step: times the full scale, rounded; or back to a float image's range.",
        ],
        "image_size": data.image_size,
        "channels": data.channels,
        "input_range": [low, high],
        "output_range": [low, high],
        "output_channels": channels,
        "full_scale": FULL_SCALE,
        "luma_weights": LUMA,
        "resize": data.resize,
        "align": data.align,
        "surroundings": data.surroundings,
        "cubic_slope": CUBIC,
        "volumes": {"ct_window": data.ct_window, "mri_percentiles": data.mri_percentiles},
    }
    needs_head = region == "head" or data.surroundings == "black"
    return {**record, "head": _describe_head()} if needs_head else record


def _describe_head() -> dict[str, Any]:
    """`data.head` in words and numbers."""
    side, reach, step = head.SIDE, head.REACH, head.STEP
    width = 2 * reach + 1
    return {
        "steps": [
            f"Average the channels and bring the frame to {side} x {side} pixels: averages over "
            "the area that each covers, or repeated pixels.",
            f"Scale its lowest to highest value (their distance at least {head.SMALLEST_SPAN:g} of "
            f"the larger of their magnitudes) to 0 to {head.LEVELS - 1}.",
            f"Smooth twice by the mean of {width} x {width} pixels, borders mirrored without the "
            "edge pixel.",
            f"Take Otsu's threshold of the values at every pixel 0, {step}, {2 * step}... of both "
            "axes, rounded to whole levels.",
            f"Foreground is above {head.THRESHOLD_SHARE:g} of the threshold, or 0.5 if larger. "
            f"Erode by {width} x {width} pixels (beyond the frame is foreground), then dilate by "
            "as many (beyond it is none).",
            f"On the pixels {step // 2}, {step // 2 + step}... of both axes find the largest piece "
            "of foreground, connected along axes and diagonals; of equal ones the first. The head "
            f"is the foreground at most {step} pixels along either axis from the piece's pixels.",
            "Its box, first to last row and column plus 1, is scaled to the frame's size. Where "
            f"the head is less than {head.SMALLEST_SHARE:g} of the frame, the box is the frame.",
        ],
        "margin": HEAD_MARGIN,
    }
