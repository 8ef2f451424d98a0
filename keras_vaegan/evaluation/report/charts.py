"""Charts as inline SVG, coloured by the page's CSS variables so that they follow light and dark.

A chart is as wide as a phone; wider pages set several side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from keras_vaegan.evaluation.history import is_wide
from keras_vaegan.evaluation.palette import name_series, place_colours

WIDTH, CURVE_WIDTH = 350, 300
LEFT, RIGHT = 58, 12
CURVE_HEIGHT, STRIP_HEIGHT = 190, 92
BINS = 24
FEW = 24  # values, up to which each is shown as a dot
MARKED = 25  # points of a curve, up to which they are marked
_SVG = Markup(
    '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}</svg>'
)
_TEXT = Markup('<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{text}</text>')
_LINE = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')


@dataclass(frozen=True)
class Axis:
    """Values -> places on a chart.

    Attributes:
        low, high: Values at the ends.
        start, stop: Their places.
        wide: Whether it is logarithmic.
    """

    low: float
    high: float
    start: float
    stop: float
    wide: bool = False

    def place(self, value: float) -> float:
        """Where a value stands."""
        scale: Callable = math.log10 if self.wide else float
        low, high = scale(self.low), scale(self.high)
        return self.start + (scale(value) - low) / (high - low) * (self.stop - self.start)

    def list_ticks(self, count: int) -> list[float]:
        """Some `count` round values between the ends."""
        if self.wide:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            if len(powers) > 1:
                return [10.0**power for power in powers[:: max(1, len(powers) // count)]]
        rough = (self.high - self.low) / count
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= 0.999 * rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]


def draw_curves(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Markup:
    """Draw one quantity by training step; a legend stands elsewhere.

    Args:
        title: What it is, for those who cannot see it.
        series: Points (step, value) by name; not finite ones are left out.
    """
    held = {name: _keep_finite(points) for name, points in series.items()}
    held = {name: points for name, points in held.items() if points}
    if not held:
        return _say_empty(title)
    steps, values = ([p[i] for points in held.values() for p in points] for i in (0, 1))
    across = Axis(*_widen(steps, 0), LEFT, CURVE_WIDTH - RIGHT)
    wide = is_wide(values)
    ends = (min(values), max(values)) if wide else _widen(values, 0.06)
    up = Axis(*ends, CURVE_HEIGHT - 36, 8, wide)
    parts = [_draw_levels(up), _draw_steps(across, CURVE_HEIGHT - 36)]
    for name, place in place_colours(held).items():
        places = [(across.place(step), up.place(value)) for step, value in held[name]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(Markup('<polyline points="{}" class="curve c{}"/>').format(path, place))
        if len(places) <= MARKED:
            parts += [_draw_dot(x, y, place, 2.6 if len(places) > 1 else 4) for x, y in places]
    text = ", ".join(f"{name or 'last'} {points[-1][1]:.4g}" for name, points in held.items())
    label = f"{title} by step; at the end: {text}"
    return _SVG.format(
        width=CURVE_WIDTH, height=CURVE_HEIGHT, label=label, body=Markup("").join(parts)
    )


def draw_distribution(title: str, series: Mapping[str, Sequence[float]]) -> Markup:
    """Draw groups of values above one axis: dots of a few, else histograms; mean and median.

    Args:
        title: What is spread, for those who cannot see it.
        series: Values by group; not finite ones are left out.
    """
    held = {name: [v for v in values if math.isfinite(v)] for name, values in series.items()}
    held = {name: values for name, values in held.items() if values}
    if not held:
        return _say_empty(title)
    everything = [value for values in held.values() for value in values]
    across = Axis(*_widen(everything, 0.04), RIGHT, WIDTH - RIGHT)
    parts = []
    for row, (name, place) in enumerate(place_colours(held).items()):
        parts.append(_draw_strip(name, held[name], place, across, (row + 1) * STRIP_HEIGHT))
    floor = len(held) * STRIP_HEIGHT
    for tick in across.list_ticks(5):
        x = across.place(tick)
        parts.append(_TEXT.format(x=x, y=floor + 18, kind="tick middle", text=f"{tick:.4g}"))
    text = "; ".join(
        f"{name_series(name)} mean {np.mean(values):.4g}, median {np.median(values):.4g}"
        for name, values in held.items()
    )
    label, body = f"{title}: {text}", Markup("").join(parts)
    return _SVG.format(width=WIDTH, height=floor + 24, label=label, body=body)


def _draw_strip(
    name: str, values: Sequence[float], place: int, across: Axis, floor: float
) -> Markup:
    """One group: its name and figures, and its values above the floor."""
    mean, median = float(np.mean(values)), float(np.median(values))
    figures = f"mean {mean:.4g}, median {median:.4g}, n = {len(values)}"
    top = floor - STRIP_HEIGHT
    parts = [
        _TEXT.format(x=RIGHT, y=top + 16, kind="name", text=name_series(name)),
        _TEXT.format(x=WIDTH - RIGHT, y=top + 16, kind="tick end", text=figures),
    ]
    if len(values) <= FEW:
        parts += [_draw_dot(across.place(value), floor - 22, place, 4.5) for value in values]
    else:
        counts, edges = np.histogram(values, BINS, (across.low, across.high))
        for count, left, right in zip(counts, edges, edges[1:], strict=False):
            height = (STRIP_HEIGHT - 34) * count / counts.max()
            x, end = across.place(left), across.place(right)
            parts.append(
                Markup(
                    '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="bar c{}"/>'
                ).format(x + 0.5, floor - height, max(end - x - 1, 0.5), height, place)
            )
    parts.append(_LINE.format(RIGHT, floor, WIDTH - RIGHT, floor, "axis"))
    for value, kind in ((mean, "mean"), (median, "median")):
        x = across.place(value)
        parts.append(_LINE.format(x, top + 25, x, floor, kind))
    return Markup("").join(parts)


def _draw_levels(up: Axis) -> Markup:
    """Horizontal grid lines with their values."""
    return Markup("").join(
        _LINE.format(LEFT, up.place(tick), CURVE_WIDTH - RIGHT, up.place(tick), "grid")
        + _TEXT.format(x=LEFT - 6, y=up.place(tick) + 4, kind="tick end", text=_short(tick))
        for tick in up.list_ticks(4)
    )


def _draw_steps(across: Axis, floor: float) -> Markup:
    """The axis of steps, named."""
    ticks = [tick for tick in across.list_ticks(4) if tick == int(tick)]
    parts = [
        _TEXT.format(x=across.place(tick), y=floor + 17, kind="tick middle", text=f"{tick:,.0f}")
        for tick in ticks
    ]
    parts.append(_LINE.format(LEFT, floor, CURVE_WIDTH - RIGHT, floor, "axis"))
    middle = (across.start + across.stop) / 2
    parts.append(_TEXT.format(x=middle, y=floor + 33, kind="tick middle", text="step"))
    return Markup("").join(parts)


def _draw_dot(x: float, y: float, place: int, radius: float) -> Markup:
    """A filled circle in a series' colour."""
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" class="dot c{}"/>').format(
        x, y, radius, place
    )


def _widen(values: Sequence[float], share: float) -> tuple[float, float]:
    """The ends of values, apart even where all are equal, with a margin."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) * 0.05 or 0.5
        return low - margin, high + margin
    margin = share * (high - low)
    return low - margin, high + margin


def _keep_finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that can be drawn."""
    return [point for point in points if all(map(math.isfinite, point))]


def _short(value: float) -> str:
    """A tick's value in few characters."""
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")


def _say_empty(title: str) -> Markup:
    """What stands where there is nothing to draw."""
    return Markup('<p class="note">{}: nothing was measured.</p>').format(title)
