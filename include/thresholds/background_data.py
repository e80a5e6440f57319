"""Collects from the tables what besides the day's evidence bears on a change."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from include.evidence import accepted
from include.project import Project
from include.thresholds.background import (
    APPEAL_DAYS,
    CONTESTED_DAYS,
    RECENT_DAYS,
    Background,
    contested,
    last_tightened,
    mean_removals,
    removals_at,
)
from include.thresholds.forecast import Contested


def background(project: Project, day: date, in_force: pd.DataFrame, *, emergency: bool = False) -> Background:
    """What bears, as of `day`, on changes of the thresholds `in_force`; `emergency`: a person asks for them as one."""
    before = [day - timedelta(days=back) for back in range(1, RECENT_DAYS + 1)]
    recent = (accepted(project, "score_histogram", "scores", earlier, earlier) for earlier in before)
    ledger = project.warehouse.read("threshold_ledger", None, day - timedelta(days=1))
    return Background(
        usual_removals=mean_removals(removals_at(rows, in_force) for rows in recent if len(rows)),
        tightened=last_tightened(ledger),
        contested=_contested(project, day),
        emergency=emergency,
    )


def _contested(project: Project, day: date) -> dict[tuple[str, str], Contested] | None:
    warehouse = project.warehouse
    if not (warehouse.days("appeals") and warehouse.days("enforcement_log")):
        return None
    last = day - timedelta(days=APPEAL_DAYS)
    first = last - timedelta(days=CONTESTED_DAYS - 1)
    removed = [
        rows.loc[rows["action"] == "remove", ["video_id", "policy", "market"]]
        for logged in warehouse.days("enforcement_log")
        if first <= logged <= last
        for rows in [warehouse.read("enforcement_log", logged, logged)]
    ]
    return contested(pd.concat(removed), warehouse.read("appeals", first, day)) if removed else {}
