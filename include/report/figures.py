"""The charts of a cell: from frames to what is drawn. Pure."""

from __future__ import annotations

from datetime import date
from itertools import groupby

import numpy as np
import pandas as pd

from include import wording
from include.contract.tables import N_BINS
from include.report.svg import Axis, Figure, Series, share_marks, short_count, whole_marks

_BARS = 100
_POINTS = 120
"""At most so many points of a curve are drawn; a screen shows no more."""
_SHOWN_BELOW_TARGET = 0.3
"""Candidates whose estimate lies further below the target are drawn only up to the volumes in question."""


def precision_against_volume(
    curve: pd.DataFrame,
    *,
    target: float,
    confidence: float,
    now: tuple[float, int],
    proposed: tuple[float, int] | None,
    proposed_name: str,
    by_views: bool = False,
) -> Figure:
    """Estimated precision, `by_views` of views, and its certified lower bound against the videos removed a day.

    curve: threshold, estimate, bound, removes of one cell; what is far below the target is left out.
    now, proposed: remove_at and the videos a day at or above it.
    """
    marks = [now[1], *([proposed[1]] if proposed else [])]
    near = (curve["estimate"] >= target - _SHOWN_BELOW_TARGET) | (curve["removes"] <= 1.25 * max(marks))
    ordered = curve[near].sort_values("threshold", ascending=False, kind="stable")
    keep = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), _POINTS)).round().astype(int))
    points = ordered.iloc[keep]
    x = [int(v) for v in points["removes"]]
    right = max([1, *x, *marks]) * 1.04
    stated = pd.concat([points["estimate"], points["bound"]]).dropna()
    bottom = float(max(0.0, np.floor((min([target, *stated]) - 0.02) * 20) / 20))

    def line(column: str, name: str) -> Series:
        return Series("line", column, name, tuple(zip(x, _shares(points[column]), strict=True)))

    series = [
        line("estimate", "Estimate"),
        line("bound", f"Certified at {wording.percent(confidence)}"),
        Series("line", "target", f"Target {wording.percent(target)}", ((0.0, target), (right, target))),
        _mark(now[1], (bottom, 1.0), f"Today {wording.score(now[0])}", "now"),
    ]
    if proposed:
        series.append(_mark(proposed[1], (bottom, 1.0), f"{proposed_name} {wording.score(proposed[0])}", "new"))
    return Figure(
        Axis("Videos removed a day", 0.0, right, whole_marks(right)),
        Axis("Precision, by views" if by_views else "Precision", bottom, 1.0, share_marks(bottom, 1.0)),
        tuple(series),
    )


def score_histogram(
    bins: pd.DataFrame,
    *,
    now: tuple[float, float],
    proposed: tuple[float | None, float | None] | None,
    proposed_name: str,
) -> Figure:
    """Videos by score on a log scale, coloured by what (review_at, remove_at) = `now` does with them.

    bins: bin and n_videos of one cell; the bin without a score is not drawn. Of `proposed`, None is not drawn.
    """
    scored = bins[bins["bin"] >= 0]
    per_bar = N_BINS // _BARS
    fine = np.bincount(scored["bin"].to_numpy(dtype=np.int64), scored["n_videos"].to_numpy(dtype=float), N_BINS)
    counts = fine.reshape(_BARS, per_bar).sum(axis=1).astype(int)
    middle = (np.arange(_BARS) + 0.5) / _BARS
    low, top = 0.7, max(10.0, 2.0 * float(counts.max()))
    regions = (
        ("Allowed", "allowed", middle < now[0]),
        ("To review", "review", (middle >= now[0]) & (middle < now[1])),
        ("Removed", "removed", middle >= now[1]),
    )
    series = [
        Series("bars", style, name, tuple(zip(middle[where].tolist(), counts[where].tolist(), strict=True)), 1 / _BARS)
        for name, style, where in regions
        if where.any()
    ]
    for levels, name, style in ((now, "Thresholds today", "now"), (proposed, f"{proposed_name} thresholds", "new")):
        for position, at in enumerate(level for level in levels or () if level is not None):
            series.append(_mark(at, (low, top), name if position == 0 else "", style))
    decades = tuple((10.0**n, short_count(10.0**n)) for n in range(int(np.floor(np.log10(top))) + 1))
    tenths = tuple((n / 5, f"{n / 5:.1f}") for n in range(6))
    return Figure(Axis("Score", 0.0, 1.0, tenths), Axis("Videos", low, top, decades, log=True), tuple(series))


def rate_trend(metrics: pd.DataFrame) -> Figure | None:
    """Prevalence and violative view rate of one cell by day, with 95 % intervals; a refused day is a gap.

    None if no day states either.
    """
    days = sorted(set(pd.to_datetime(metrics["ds"]).dt.date))
    series, highest = list[Series](), 0.0
    for metric, name, style in (
        ("prevalence", "Prevalence", "prevalence"),
        ("violative_view_rate", "Violative view rate", "views"),
    ):
        rows = metrics[metrics["metric"] == metric].sort_values("ds", kind="stable")
        if rows["value"].notna().any():
            x = [day.toordinal() for day in pd.to_datetime(rows["ds"]).dt.date]
            low, value, high = (_shares(rows[column]) for column in ("low", "value", "high"))
            highest = max(highest, *(v for v in (*high, *value) if v is not None))
            series += [
                Series("band", style, "", _outline(x, low, high)),
                Series("line", style, name, tuple(zip(x, value, strict=True))),
            ]
    if not series:
        return None
    first, last = days[0].toordinal(), max(days[-1].toordinal(), days[0].toordinal() + 1)
    named = sorted({first, (first + last) // 2, last})
    marks = tuple((float(day), wording.short_day(date.fromordinal(day))) for day in named)
    top = highest * 1.05 or 0.01
    return Figure(Axis("Day", first, last, marks), Axis("Share", 0.0, top, share_marks(0.0, top)), tuple(series))


def _outline(x: list[int], low: list[float | None], high: list[float | None]) -> tuple[tuple[float, float | None], ...]:
    """The area between `low` and `high`: one closed outline for each run of days that state both."""
    points: list[tuple[float, float | None]] = []
    stated = (position for position in range(len(x)) if low[position] is not None and high[position] is not None)
    for _, run in groupby(enumerate(stated), key=lambda pair: pair[1] - pair[0]):
        there = [position for _, position in run]
        points += [(x[k], high[k]) for k in there] + [(x[k], low[k]) for k in reversed(there)]
        points += [(x[there[0]], high[there[0]]), (x[there[0]], None)]
    return tuple(points)


def _mark(at: float, height: tuple[float, float], name: str, style: str) -> Series:
    """A vertical line."""
    return Series("line", style, name, ((at, height[0]), (at, height[1])))


def _shares(values: pd.Series) -> list[float | None]:
    return [None if pd.isna(v) else round(float(v), 7) for v in values]
