"""A cell at its own address: its curves, its twelve weeks, and what each goal would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd

from include.console.cells import CellNow, cells_now
from include.console.kept import Kept
from include.console.standing import Standing
from include.contract.cell import Cell, cell_of, records
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL
from include.evidence.accepted import accepted
from include.evidence.sample import certifying_sample, of_cells
from include.forecasts.effects import effect_of
from include.forecasts.forecast import recall_at
from include.project import Project
from include.proposals.goals import GoalAnswer, goal_answers
from include.report.collect import certified_curves

WEEKS = 12
METRICS = ("precision", "recall", "prevalence")

_EVIDENCE: Kept[tuple[ProbabilitySample, pd.DataFrame]] = Kept(1)
_CURVES: Kept[list[dict[str, Any]]] = Kept(256)
_ANSWERS: Kept[list[GoalAnswer]] = Kept(32)


@dataclass(frozen=True)
class CellPage:
    """What the page of a cell shows.

    Attributes:
        now: the cell as the main page has it.
        certified_from: the lowest remove_at that the newest labels certify for the configured goal; None: none.
        curve: by rising threshold: threshold, estimate, bound, removes, recall.
        trend: by day: the metrics with their intervals, labels, and the remove_at they were measured at.
    """

    now: CellNow
    certified_from: float | None
    curve: list[dict[str, Any]]
    trend: list[dict[str, Any]]


def evidence(now: Standing) -> tuple[ProbabilitySample, pd.DataFrame]:
    """What certificates rest on and the histogram as of the newest day. Raises LookupError: there is no day yet."""
    project, day = now.project, now.day
    if day is None:
        raise LookupError("no day has been run yet")
    key = (str(project.settings.output), day, tuple(now.proposals["proposal_id"]))
    return _EVIDENCE.get(
        key, lambda: (certifying_sample(project, day), accepted(project, "score_histogram", "scores", day, day))
    )


def cell_page(now: Standing, cell: Cell) -> CellPage:
    """The page of `cell`. Raises LookupError: it is not configured, or there is no day yet."""
    if cell not in now.in_force:
        raise LookupError(f"{' '.join(cell)} is not among the configured cells")
    pair, (sample, histogram) = now.in_force[cell], evidence(now)
    bins, own = of_cell(histogram, cell), of_cells(sample, pd.DataFrame([cell], columns=list(CELL)))
    effects = {} if bins.empty else {cell: effect_of(bins, own, pair, now.config.policies[cell[0]])}
    (shown,) = cells_now({cell: pair}, now.past, now.daily, effects, now.config)
    rows = [row for row in now.daily if cell_of(row) == cell]
    key = (str(now.project.settings.output), now.day, cell, tuple(now.proposals["proposal_id"]))
    return CellPage(
        shown,
        rows[0]["certified_remove_at"] if rows else None,
        _CURVES.get(key, lambda: _curve(now.project, own, bins)),
        _trend(now, cell),
    )


def answers(now: Standing, cell: Cell) -> list[GoalAnswer]:
    """What each goal would do. Raises LookupError: the cell is not configured or has no scores; no day was run yet."""
    if cell not in now.in_force:
        raise LookupError(f"{' '.join(cell)} is not among the configured cells")
    pair, (sample, histogram) = now.in_force[cell], evidence(now)
    bins = of_cell(histogram, cell)
    if bins.empty:
        raise LookupError(f"no scores of {' '.join(cell)} have arrived")
    key = (str(now.project.settings.output), now.day, cell, pair, tuple(now.proposals["proposal_id"]))
    return _ANSWERS.get(key, lambda: goal_answers(cell, pair, sample, bins, now.config))


def of_cell(frame: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of `frame` about `cell`."""
    here = (frame["policy"] == cell[0]) & (frame["market"] == cell[1]) & (frame["model_version"] == cell[2])
    return frame[here]


def _curve(project: Project, own: ProbabilitySample, bins: pd.DataFrame) -> list[dict[str, Any]]:
    if bins.empty or own.empty:
        return []
    rows = records(certified_curves(project, own, bins).sort_values("threshold"))
    by_views = project.config.policies[own["policy"].iloc[0]].by_views
    return [
        {name: row[name] for name in ("threshold", "estimate", "bound", "removes")}
        | {"recall": recall_at(own, row["threshold"], "allow", by_views=by_views).value}
        for row in rows
    ]


def _trend(now: Standing, cell: Cell) -> list[dict[str, Any]]:
    if now.day is None:
        return []
    start = now.day - timedelta(weeks=WEEKS) + timedelta(days=1)
    metrics = now.project.warehouse.read("policy_metrics", start, now.day)
    own = of_cell(metrics[metrics["population"] == "cell"], cell)
    by_day: dict[Any, dict[str, Any]] = {}
    for row in records(own[own["metric"].isin(METRICS)].sort_values("ds")):
        day = by_day.setdefault(row["ds"], {"day": str(row["ds"])})
        day[row["metric"]] = [row["value"], row["low"], row["high"]]
        if row["metric"] == "precision":
            day |= {"labels": row["n"], "remove_at": None if row["threshold"] == 1 else row["threshold"]}
    return list(by_day.values())


def goals_json(found: Sequence[GoalAnswer]) -> list[dict[str, Any]]:
    """The answers as the browser reads them; none names a threshold."""
    return [
        {
            "goal": answer.goal,
            "certified": answer.certified,
            "population": answer.population,
            "labels": answer.labels,
            "minutes": answer.minutes,
            "effect": None
            if (effect := answer.effect) is None
            else {
                "removes": effect.removes,
                "reviews": effect.reviews,
                "minutes": effect.minutes,
                "wrong": [effect.wrong.estimate, effect.wrong.low, effect.wrong.high],
                "views": [effect.views.estimate, effect.views.low, effect.views.high],
                "recall": [effect.recall.value, effect.recall.low, effect.recall.high],
            },
        }
        for answer in found
    ]
