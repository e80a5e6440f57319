"""The charts of one cell, as plotly figures in JSON form. No name of a cell enters a figure: plotly reads some HTML."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from include import wording
from include.contract.tables import N_BINS

INK, MUTED, GRID, SURFACE = "#1b2430", "#5a6675", "#e3e7ec", "#ffffff"
BLUE, GREEN, AMBER, RED, GREY = "#1f5fbf", "#1b7a46", "#d08a1c", "#c0392b", "#9aa5b1"
VIOLET = "#7a2fa0"
_BARS = 100
_POINTS = 200
"""At most so many points of a curve are drawn; a screen shows no more."""
_SHOWN_BELOW_TARGET = 0.3
"""Candidates whose estimate lies further below the target are drawn only up to the volumes in question."""


def template() -> dict[str, Any]:
    """The look all figures share; stored once in the page."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": GRID,
        "linecolor": GREY,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12}},
    }
    look = go.layout.Template(
        layout={
            "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": INK},
            "paper_bgcolor": SURFACE,
            "plot_bgcolor": SURFACE,
            "margin": {"l": 8, "r": 12, "t": 10, "b": 8},
            "hovermode": "closest",
            "dragmode": False,
            "hoverlabel": {"bgcolor": SURFACE, "bordercolor": GREY, "font": {"color": INK}},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": 11.5},
                "itemclick": False,
                "itemdoubleclick": False,
            },
            "xaxis": axis,
            "yaxis": axis,
        }
    )
    return look.to_plotly_json()


def precision_against_volume(
    curve: pd.DataFrame,
    *,
    target: float,
    confidence: float,
    now: tuple[float, int],
    proposed: tuple[float, int] | None,
    proposed_name: str,
) -> dict[str, Any]:
    """Estimated precision and its certified lower bound against the videos removed a day.

    curve: threshold, estimate, bound, removes of one cell; what is far below the target is left out.
    now, proposed: remove_at and the videos a day at or above it.
    """
    marks = [now[1], *([proposed[1]] if proposed else [])]
    near = (curve["estimate"] >= target - _SHOWN_BELOW_TARGET) | (curve["removes"] <= 1.25 * max(marks))
    ordered = curve[near].sort_values("threshold", ascending=False, kind="stable")
    keep = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), _POINTS)).round().astype(int))
    points = ordered.iloc[keep]
    x = [int(v) for v in points["removes"]]
    thresholds = [wording.score(float(t)) for t in points["threshold"]]
    right = max([1, *x, *marks]) * 1.04
    stated = pd.concat([points["estimate"], points["bound"]]).dropna()
    bottom = max(0.0, np.floor((min([target, *stated]) - 0.02) * 20) / 20)

    def line(column: str, name: str, **style: Any) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "lines" if len(points) > 1 else "markers",
            "x": x,
            "y": _shares(points[column]),
            "name": name,
            "customdata": thresholds,
            "hovertemplate": "%{y:.2%} at threshold %{customdata}<br>%{x:,} removals a day",
            **style,
        }

    traces = [
        line("estimate", "Estimate", line={"color": GREY, "width": 1.5}),
        line("bound", f"Certified at {wording.percent(confidence)}", line={"color": BLUE, "width": 2.5}),
        {
            "type": "scatter",
            "mode": "lines",
            "x": [0, right],
            "y": [target, target],
            "name": f"Target {wording.percent(target)}",
            "line": {"color": GREEN, "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        },
        _mark(now[1], (bottom, 1.005), f"Today {wording.score(now[0])}", INK, "dot"),
    ]
    if proposed:
        name = f"{proposed_name} {wording.score(proposed[0])}"
        traces.append(_mark(proposed[1], (bottom, 1.005), name, VIOLET, "solid"))
    return _figure(
        traces,
        xaxis={"title": {"text": "Videos removed a day"}, "range": [0, right], "tickformat": ",~s"},
        yaxis={"title": {"text": "Precision"}, "range": [bottom, 1.005], "tickformat": ".0%"},
    )


def score_histogram(
    bins: pd.DataFrame, *, now: tuple[float, float], proposed: tuple[float, float] | None, proposed_name: str
) -> dict[str, Any]:
    """Videos by score on a log scale, coloured by what (review_at, remove_at) = `now` does with them.

    bins: bin and n_videos of one cell; the bin without a score is not drawn.
    """
    scored = bins[bins["bin"] >= 0]
    per_bar = N_BINS // _BARS
    fine = np.bincount(scored["bin"].to_numpy(dtype=np.int64), scored["n_videos"].to_numpy(dtype=float), N_BINS)
    counts = fine.reshape(_BARS, per_bar).sum(axis=1).astype(int)
    middle = (np.arange(_BARS) + 0.5) / _BARS
    top = max(10.0, 2.0 * float(counts.max()))
    regions = (
        ("Allowed", GREY, middle < now[0]),
        ("To review", AMBER, (middle >= now[0]) & (middle < now[1])),
        ("Removed", RED, middle >= now[1]),
    )
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": name,
            "x": middle[where].tolist(),
            "y": counts[where].tolist(),
            "width": 1 / _BARS,
            "marker": {"color": colour, "line": {"width": 0}},
            "customdata": [f"{m - 0.5 / _BARS:.2f} to {m + 0.5 / _BARS:.2f}" for m in middle[where]],
            "hovertemplate": "%{y:,} videos, score %{customdata}",
        }
        for name, colour, where in regions
        if where.any()
    ]
    height = (0.7, top)
    traces += [
        _mark(at, height, "Thresholds today", INK, "dot", legend=position == 0) for position, at in enumerate(now)
    ]
    if proposed:
        traces += [
            _mark(at, height, f"{proposed_name} thresholds", VIOLET, "solid", legend=position == 0)
            for position, at in enumerate(proposed)
        ]
    return _figure(
        traces,
        bargap=0,
        xaxis={"title": {"text": "Score"}, "range": [0, 1], "tickformat": ".1f"},
        yaxis={
            "title": {"text": "Videos (log scale)"},
            "type": "log",
            "range": [float(np.log10(height[0])), float(np.log10(top))],
            "dtick": 1,
            "tickformat": ",~s",
        },
    )


def rate_trend(metrics: pd.DataFrame) -> dict[str, Any] | None:
    """Prevalence and violative view rate of one cell by day, with 95 % intervals; a refused day is a gap.

    None if no day states either.
    """
    traces = []
    for metric, name, colour in (
        ("prevalence", "Prevalence", BLUE),
        ("violative_view_rate", "Violative view rate", AMBER),
    ):
        rows = metrics[metrics["metric"] == metric].sort_values("ds", kind="stable")
        if rows["value"].notna().any():
            days = [str(d) for d in pd.to_datetime(rows["ds"]).dt.date]
            low, value, high = (_shares(rows[column]) for column in ("low", "value", "high"))
            traces += [
                _band(days, low, high, colour),
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "x": days,
                    "y": value,
                    "customdata": list(zip(low, high, strict=True)),
                    "line": {"color": colour, "width": 2},
                    "marker": {"size": 5},
                    "hovertemplate": "%{y:.3%} (%{customdata[0]:.3%} to %{customdata[1]:.3%})<br>%{x|%-d %B %Y}",
                },
            ]
    if not traces:
        return None
    return _figure(
        traces,
        xaxis={"type": "date", "tickformat": "%-d %b", "nticks": 8, "showgrid": False},
        yaxis={"title": {"text": "Share"}, "rangemode": "tozero", "tickformat": ".2~%"},
    )


def _band(days: list[str], low: list[float | None], high: list[float | None], colour: str) -> dict[str, Any]:
    """The area between `low` and `high`: one closed outline for each run of days that state both."""
    x: list[str | None] = []
    y: list[float | None] = []
    stated = (position for position in range(len(days)) if low[position] is not None and high[position] is not None)
    for _, run in groupby(enumerate(stated), key=lambda pair: pair[1] - pair[0]):
        there = [position for _, position in run]
        x += [*(days[k] for k in there), *(days[k] for k in reversed(there)), days[there[0]], None]
        y += [*(high[k] for k in there), *(low[k] for k in reversed(there)), high[there[0]], None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "fill": "toself",
        "fillcolor": f"{colour}26",
        "line": {"color": f"{colour}59", "width": 1},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _mark(
    at: float, height: tuple[float, float], name: str, colour: str, dash: str, *, legend: bool = True
) -> dict[str, Any]:
    """A vertical line that the legend names."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at, at],
        "y": list(height),
        "name": name,
        "legendgroup": name,
        "showlegend": legend,
        "line": {"color": colour, "width": 2, "dash": dash},
        "hoverinfo": "skip",
    }


def _shares(values: pd.Series) -> list[float | None]:
    return [None if pd.isna(v) else round(float(v), 7) for v in values]


def _figure(traces: list[dict[str, Any]], **layout: Any) -> dict[str, Any]:
    """The figure, validated by plotly; the template is left to the page."""
    import plotly.graph_objects as go

    figure = go.Figure(data=traces, layout={**layout, "template": "none", "showlegend": True}).to_plotly_json()
    del figure["layout"]["template"]
    return figure
