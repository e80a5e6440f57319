"""Collects from the tables what besides the day's evidence bears on a change."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from include.contract.tables import CELL
from include.evidence.accepted import accepted
from include.forecasts.forecast import ContestedRemovals
from include.ledger.in_force import thresholds_in_force
from include.project import Project
from include.proposals.background import (
    APPEAL_DAYS,
    CONTESTED_DAYS,
    RECENT_DAYS,
    Background,
    contested_removals,
    last_tightened,
    mean_removals,
    removals_at,
)


def background(project: Project, day: date, in_force: pd.DataFrame, *, emergency: bool = False) -> Background:
    """What bears, as of `day`, on changes of the thresholds `in_force`; `emergency`: a person asks for them as one."""
    before = [day - timedelta(days=back) for back in range(1, RECENT_DAYS + 1)]
    recent = (accepted(project, "score_histogram", "scores", earlier, earlier) for earlier in before)
    ledger = project.warehouse.read("threshold_ledger", None, day - timedelta(days=1))
    return Background(
        usual_removals=mean_removals(removals_at(rows, in_force) for rows in recent if len(rows)),
        tightened=last_tightened(ledger),
        contested=_contested(project, day, ledger),
        emergency=emergency,
    )


def _contested(project: Project, day: date, ledger: pd.DataFrame) -> dict[str, ContestedRemovals] | None:
    if not project.warehouse.delivers("appeals"):
        return None
    last = day - timedelta(days=APPEAL_DAYS)
    removals = []
    for back in range(CONTESTED_DAYS):
        earlier = last - timedelta(days=back)
        histogram = accepted(project, "score_histogram", "scores", earlier, earlier)
        if len(histogram):
            cells = histogram[list(CELL)].drop_duplicates(ignore_index=True)
            in_force = thresholds_in_force(ledger, cells, project.config, before=earlier)
            removals.append(removals_at(histogram, in_force))
    return contested_removals(
        removals, project.warehouse.read("appeals", day - timedelta(days=CONTESTED_DAYS - 1), day)
    )
