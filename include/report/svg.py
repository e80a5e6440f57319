"""Charts as SVG: small, drawn without a script, in the colours of the page, light or dark. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT = 440, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 8, 38
"""The picture and its margins, in units of its own: it is as wide as its place."""

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Axis:
    """What an axis shows: from `low` to `high`, with marks at values and their names; by decades if `log`."""

    title: str
    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, from 0 (low) to 1 (high); what lies beyond is put at the end."""
        low, high, at = (math.log10(max(v, self.low)) if self.log else v for v in (self.low, self.high, value))
        return min(max((at - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class Series:
    """What is drawn, and what the key calls it; empty: the key does not list it.

    Attributes:
        style: class that the style sheet gives a colour.
        points: x and y; a y of None is a gap. Of bars, y is the height. Of a band, its outline.
        width: of a bar, in units of x.
    """

    kind: Literal["line", "bars", "band"]
    style: str
    name: str
    points: tuple[Point, ...]
    width: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A chart."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]

    @property
    def key(self) -> list[Series]:
        """The series that the key lists."""
        return [series for series in self.series if series.name]


def svg(figure: Figure) -> Markup:
    """The figure's drawing, an <svg> element."""
    from markupsafe import Markup, escape

    x, y = figure.x, figure.y
    parts = []
    for value, name in y.marks:
        at = _y(y, value)
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at}" dy=".32em" text-anchor="end">{escape(name)}</text>')
    for value, name in x.marks:
        anchor = {0.0: "start", 1.0: "end"}.get(x.share(value), "middle")
        parts.append(
            f'<text x="{_x(x, value)}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}">{escape(name)}</text>'
        )
    parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    parts += [_drawn(figure, series) for series in figure.series]
    parts.append(f'<text x="{(LEFT + WIDTH) // 2}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x.title)}</text>')
    parts.append(
        f'<text transform="translate(11 {(TOP + HEIGHT - BOTTOM) // 2})rotate(-90)" text-anchor="middle">'
        f"{escape(y.title)}</text>"
    )
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>')  # noqa: S704


def whole_marks(high: float, most: int = 5) -> tuple[tuple[float, str], ...]:
    """Round marks from 0 to at most `high`, thousands as k and millions as M."""
    step = 10 ** math.floor(math.log10(max(high, 1) / most)) if high > most else 1
    step = next(step * factor for factor in (1, 2, 5, 10) if high / (step * factor) <= most)
    return tuple((value, short_count(value)) for value in (step * n for n in range(int(high // step) + 1)))


def share_marks(low: float, high: float, most: int = 6) -> tuple[tuple[float, str], ...]:
    """Round marks of shares between `low` and `high`, as percentages."""
    span = high - low
    unit = 10.0 ** math.floor(math.log10(span / most))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= most)
    decimals = max(0, -math.floor(math.log10(step * 100) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    values = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    return tuple((value, f"{100 * value:.{decimals}f}%") for value in values)


def short_count(value: float) -> str:
    """`950`, `1.5k`, `2M`."""
    for size, sign in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:g}"


def _drawn(figure: Figure, series: Series) -> str:
    if series.kind == "bars":
        ground = HEIGHT - BOTTOM
        width = (WIDTH - LEFT - RIGHT) * series.width / (figure.x.high - figure.x.low)
        bars = [
            f"M{_x(figure.x, x - series.width / 2)} {ground}V{_y(figure.y, y)}h{width:.1f}V{ground}z"
            for x, y in series.points
            if y
        ]
        return f'<path class="bars {series.style}" d="{"".join(bars)}"/>'
    lines = ("M" + "L".join(f"{_x(figure.x, x)} {_y(figure.y, y)}" for x, y in run) for run in _runs(series.points))
    return f'<path class="{series.kind} {series.style}" d="{"".join(lines)}"/>'


def _runs(points: Sequence[Point]) -> Iterable[list[tuple[float, float]]]:
    """The stretches without a gap; a lone point is drawn twice, as a dot."""
    run: list[tuple[float, float]] = []
    for x, y in (*points, (0.0, None)):
        if y is not None:
            run.append((x, y))
        elif run:
            yield run if len(run) > 1 else run * 2
            run = []


def _x(axis: Axis, value: float) -> str:
    return f"{LEFT + (WIDTH - LEFT - RIGHT) * axis.share(value):.1f}"


def _y(axis: Axis, value: float) -> str:
    return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(value):.1f}"
