"""One cell in detail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from include import wording
from include.contract.cell import Cell, by_cell, cell_of, records
from include.contract.tables import NO_SCORE_BIN
from include.contract.terms import PUBLISHED
from include.report import figures
from include.report.decisions import moves, proposed_name, status_badge
from include.report.parts import Kind, PageTable, Value, labels_value, name_of
from include.report.svg import Figure, Series, svg

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_DETAILED = 30
"""Cells that have charts and tables: the page is to fit a mail. Every cell has its own page in the Airflow UI."""

_METRICS = {
    "precision": "Precision of automatic removal",
    "recall": "Recall of automatic removal",
    "false_positive_rate": "Harmless videos removed",
    "prevalence": "Prevalence",
    "violative_view_rate": "Violative view rate",
}

_OUTCOMES: dict[str, tuple[str, str, Kind]] = {
    "hold": ("Holds", "", "warn"),
    "ask": ("Asks a person", "", "warn"),
    "publish": ("Passes", "", "good"),
}
"""A guardrail's outcomes, the strictest first."""

_VOLUMES = {
    "removes": "Videos removed",
    "remove_views": "Their views",
    "reviews": "Videos reviewed",
    "reviewer_minutes": "Reviewer minutes",
}

_QUALITY = {"precision": "Precision of removal", "recall": "Recall of removal and review"}

_EFFECTS = {
    "wrongful_removals_change": "Wrongful removals",
    "violative_views_prevented_change": "Violative views prevented",
}


@dataclass(frozen=True)
class Chart:
    """A chart: what it shows, for all readers, and its key; or (`missing`) why it is not drawn."""

    title: str
    remark: str
    description: str
    drawing: Markup | None = None
    key: Sequence[Series] = ()
    missing: str = ""


@dataclass(frozen=True)
class CellView:
    """One cell in words, and its charts."""

    cell: Cell
    status: Value
    summary: str
    rests_on: str
    verdicts: PageTable
    measured: PageTable | None = None
    forecast: PageTable | None = None
    flips: PageTable | None = None
    charts: list[Chart] = field(default_factory=list)


def cells(
    rows: Sequence[dict[str, Any]],
    *,
    curves: pd.DataFrame,
    histogram: pd.DataFrame,
    metrics: pd.DataFrame | None = None,
    today: pd.DataFrame | None = None,
) -> list[CellView]:
    """Every cell in detail, the first MOST_DETAILED with charts and tables.

    Args:
        rows: of threshold_proposals, one a cell.
        curves, histogram: CURVE_COLUMNS of include.report.data, and score_histogram of the day.
        metrics, today: policy_metrics of the window and of the day; None: what was measured is not shown.
    """
    curve_of, bins_of = by_cell(curves), by_cell(histogram)
    trend_of = {} if metrics is None else by_cell(metrics)
    today_of = {} if today is None else by_cell(today)
    views = []
    for row in rows[:MOST_DETAILED]:
        cell = cell_of(row)
        measured = None if today is None else _measured(records(today_of[cell]) if cell in today_of else [])
        view = replace(_in_words(row), measured=measured, forecast=_forecast(row), flips=_flips(row))
        view.charts.append(_precision_chart(view, row, curve_of.get(cell)))
        view.charts.append(_scores_chart(view, row, bins_of.get(cell)))
        if metrics is not None:
            view.charts.append(_trend_chart(view, trend_of.get(cell)))
        views.append(view)
    return [*views, *(_in_words(row) for row in rows[MOST_DETAILED:])]


def _in_words(row: dict[str, Any]) -> CellView:
    return CellView(cell_of(row), status_badge(row), _summary(row), _rests_on(row), _verdicts(row))


def _precision_chart(view: CellView, row: dict[str, Any], curve: pd.DataFrame | None) -> Chart:
    title = "Precision against volume"
    remark = "Removing more videos costs precision. The certified line has to stay above the target."
    if curve is None:
        return Chart(title, "", "", missing="No threshold of this cell could be judged: there is no certified curve.")
    return _chart(view, title, remark, view.summary, _precision(curve, row))


def _scores_chart(view: CellView, row: dict[str, Any], bins: pd.DataFrame | None) -> Chart:
    if bins is None:
        return Chart("Scores", "", "", missing="The day has no score histogram for this cell.")
    remark = f"The day's videos by score, on a scale of powers of ten. {_without_score(bins)}"
    return _chart(view, "Scores", remark, remark, _scores(bins, row))


def _trend_chart(view: CellView, trend: pd.DataFrame | None) -> Chart:
    figure, title = None if trend is None else figures.rate_trend(trend), "Violating content"
    if figure is None:
        missing = "Neither prevalence nor violative view rate could be stated in the window."
        return Chart(title, "", "", missing=missing)
    remark = "Its share of videos and of views by day, with 95% intervals."
    return _chart(view, title, remark, remark, figure)


def _chart(view: CellView, title: str, remark: str, said: str, figure: Figure) -> Chart:
    return Chart(title, remark, f"{name_of(view.cell)}. {title}. {said}", svg(figure), figure.key)


def _rests_on(row: dict[str, Any]) -> str:
    """What a certificate rests on; empty where there is none."""
    if row["bound"] is None or row["refusal"] is not None:
        return ""
    whose = "this cell" if row["population"] == "cell" else row["population"]
    method = "" if row["method"] is None else f", judged by the {row['method']}"
    estimate = "" if row["estimate"] is None else f" The best single guess is {wording.percent(row['estimate'])}."
    return f"It rests on {wording.plural(int(row['n']), 'label')} of {whose}{method}.{estimate}"


def _measured(metrics: list[dict[str, Any]]) -> PageTable:
    by_name = {metric["metric"]: metric for metric in metrics}
    lines = []
    for metric, label in _METRICS.items():
        found = by_name.get(metric)
        if found is None:
            lines.append((Value(label), Value("not measured"), Value(""), Value("")))
        elif found["value"] is None:
            lines.append(
                (Value(label), Value("not stated", found["refusal"] or ""), Value(""), labels_value(found["n"]))
            )
        else:
            span = Value(wording.interval(found["low"], found["high"]))
            stated = Value(wording.percent(found["value"]), _corrected(found))
            lines.append((Value(label), stated, span, labels_value(found["n"])))
    return PageTable("Measured on this day", ("Metric", "Value", "95% interval", "Labels"), lines, frozenset({1, 2, 3}))


def _corrected(metric: dict[str, Any]) -> str:
    """What reviewers' error leaves of a stated metric; empty if it is not corrected for."""
    if metric["corrected"] is None:
        return ""
    span = wording.interval(metric["corrected_low"], metric["corrected_high"])
    return f"true: {wording.percent(metric['corrected'])} ({span})"


def _verdicts(row: dict[str, Any]) -> PageTable:
    verdicts = sorted(json.loads(row["verdicts"]), key=lambda verdict: list(_OUTCOMES).index(verdict["outcome"]))
    rows = [
        (Value(verdict["name"].replace("_", " ")), Value(*_OUTCOMES[verdict["outcome"]]), Value(verdict["reason"]))
        for verdict in verdicts
    ]
    stopping = sum(verdict["outcome"] != "publish" for verdict in verdicts)
    caption = f"Guardrails: {stopping} of {len(rows)} do not pass" if stopping else f"Guardrails: all {len(rows)} pass"
    return PageTable(caption, ("Guardrail", "Verdict", "Reason"), rows)


def _forecast(row: dict[str, Any]) -> PageTable | None:
    if not moves(row):
        return None
    effect = json.loads(row["forecast"])
    rows: list[tuple[Value, ...]] = []
    for key, label in _VOLUMES.items():
        before, later = effect[key]["before"], effect[key]["after"]
        stated = (wording.count(before), wording.count(later), wording.change(before, later))
        rows.append((Value(label), *(Value(text) for text in stated)))
    for key, label in _QUALITY.items():
        before, later = (effect[key][when]["estimate"] for when in ("before", "after"))
        shares = ("not stated" if share is None else wording.percent(share) for share in (before, later))
        rows.append((Value(label), *(Value(text) for text in shares), Value("")))
    for key, label in _EFFECTS.items():
        rows.append((Value(label), Value(""), Value(""), _changed(effect[key])))
    precision = effect["precision_change"]
    rows.append((Value("Change of precision"), Value(""), Value(""), _points(precision)))
    overturned = effect["appeals_overturned_change"]
    expected = Value("not stated", overturned["refusal"]) if overturned["refusal"] else _changed(overturned)
    rows.append((Value("Appeals overturned"), Value(""), Value(""), expected))
    headings = ("A day", "Today", "After", "Change")
    return PageTable("Forecast, were the proposal carried out", headings, rows, frozenset({1, 2, 3}))


def _changed(found: dict[str, Any]) -> Value:
    """A forecast change with its interval and, where that is too wide to rely on, the labels that would narrow it."""
    span = f"{wording.signed(found['low'])} to {wording.signed(found['high'])}"
    estimate = "not stated" if found["estimate"] is None else wording.signed(found["estimate"])
    return Value(estimate, _more(span, found) if found["low"] != found["high"] else "")


def _points(found: dict[str, Any]) -> Value:
    """The same for a change of a share, in percentage points."""
    ends = [f"{100 * found[end]:+.1f}" for end in ("low", "high")]
    estimate = "not stated" if found["estimate"] is None else f"{100 * found['estimate']:+.1f} points"
    return Value(
        estimate.replace("-", "−"), _more(" to ".join(ends).replace("-", "−"), found) if ends[0] != ends[1] else ""
    )


def _more(span: str, found: dict[str, Any]) -> str:
    needed = found.get("labels_needed")
    return f"{span}; about {wording.plural(needed, 'more label')} would settle it" if needed else span


def _flips(row: dict[str, Any]) -> PageTable | None:
    """The drawn videos that the proposal would treat otherwise."""
    found = json.loads(row["forecast"])["flips"]
    if not moves(row) or not found["videos"]:
        return None
    rows = [
        (
            Value(example["sample_id"]),
            Value(wording.score(example["score"])),
            Value(f"{example['old']} → {example['new']}"),
            Value({0.0: "not violating", 1.0: "violating"}.get(example["p_violating"], "unsure")),
            Value(wording.count(example["views"])),
        )
        for example in found["examples"]
    ]
    listed = "" if found["videos"] == len(rows) else f"; the {len(rows)} most viewed"
    caption = f"{wording.plural(found['videos'], 'drawn video')} would be treated otherwise{listed}"
    return PageTable(caption, ("Draw", "Score", "Action", "Label", "Views"), rows, frozenset({1, 4}))


def _without_score(bins: pd.DataFrame) -> str:
    """How many of a cell's videos have no usable score."""
    missing = int(bins.loc[bins["bin"] == NO_SCORE_BIN, "n_videos"].sum())
    total = int(bins["n_videos"].sum())
    if not missing:
        return "Every video has a score."
    return f"{wording.count(missing)} videos ({wording.percent(missing / total)}) have no score and are not drawn."


def _summary(row: dict[str, Any]) -> str:
    now, new = row["current_remove_at"], row["proposed_remove_at"]
    move = "moves" if row["status"] in PUBLISHED else "would move"
    why = (row["refusal"] or "").rstrip(".")
    if why and new is not None and new != now:
        return (
            f"Automatic removal {move} from {wording.score(now)} to {wording.score(new)}. Nothing is certified: {why}."
        )
    if now == 1 and new in (None, now):
        if row["certified_remove_at"] is not None:
            found = wording.score(row["certified_remove_at"])
            why = f"{found} and above is certified today, but not on enough days in a row"
        return f"Shadow mode: nothing is removed automatically, what would be is reviewed. {why[:1].upper()}{why[1:]}."
    if why:
        return f"Automatic removal stays at {wording.score(now)}: {why}."
    if new is None or row["bound"] is None:
        return f"Automatic removal stays at {wording.score(now)}."
    certificate = (
        f"certified right at least {wording.percent(row['bound'], down=True)} of the time, "
        f"at {wording.percent(row['confidence'])} confidence"
    )
    if new == now:
        return f"Automatic removal stays at {wording.score(now)}, {certificate}."
    return f"Automatic removal {move} from {wording.score(now)} to {wording.score(new)}, {certificate}."


def _precision(curve: pd.DataFrame, row: dict[str, Any]) -> Figure:
    new = (row["proposed_remove_at"], row["removes_after"])
    return figures.precision_against_volume(
        curve,
        target=row["target"],
        by_views=row.get("goal_weight") == "views",
        confidence=row["confidence"],
        now=(row["current_remove_at"], row["removes_before"]),
        proposed=None if None in new or new[0] == row["current_remove_at"] else new,
        proposed_name=proposed_name(row),
    )


def _scores(bins: pd.DataFrame, row: dict[str, Any]) -> Figure:
    return figures.score_histogram(
        bins,
        now=(row["current_review_at"], row["current_remove_at"]),
        proposed=(row["proposed_review_at"], row["proposed_remove_at"]) if moves(row) else None,
        proposed_name=proposed_name(row),
    )
