"""Collects from the tables what besides the day's evidence bears on a change."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from include.contract.change import DAILY
from include.contract.tables import CELL
from include.evidence.accepted import accepted
from include.ledger.chain import in_order
from include.ledger.in_force import thresholds_in_force, without_certificate
from include.project import Project
from include.proposals.background import (
    APPEAL_DAYS,
    CONTESTED_DAYS,
    RECENT_DAYS,
    Background,
    certified_before,
    contested_removals,
    mean_removals,
    removals_at,
)


def background(
    project: Project,
    day: date,
    in_force: pd.DataFrame,
    *,
    ledger: pd.DataFrame | None = None,
    emergency: bool = False,
) -> Background:
    """What bears, as of `day`, on changes of the thresholds `in_force`.

    Args:
        ledger: threshold_ledger, at whose end they are in force; None: they were when the day began.
        emergency: whether a person asks for the changes as an emergency.
    """
    delivers_appeals = project.warehouse.delivers("appeals")
    last_contested = day - timedelta(days=APPEAL_DAYS)
    back = APPEAL_DAYS + CONTESTED_DAYS - 1 if delivers_appeals else RECENT_DAYS
    before = accepted(project, "score_histogram", "scores", day - timedelta(days=back), day - timedelta(days=1))
    before = before[before["policy"].isin(project.config.policies)]  # of those no longer configured nothing is decided
    by_day: dict[date, pd.DataFrame] = dict(list(before.groupby("ds", sort=True)))  # type: ignore[arg-type]
    recent = [rows for ds, rows in by_day.items() if ds >= day - timedelta(days=RECENT_DAYS)]
    if ledger is None:
        ledger = project.warehouse.read("threshold_ledger", None, day - timedelta(days=1))
    chain, contested = in_order(ledger), None
    earliest = day - timedelta(days=project.config.guardrails.loosen_days - 1)
    proposals = project.warehouse.read("threshold_proposals", earliest, day - timedelta(days=1), slice_value=DAILY)
    if delivers_appeals:
        removals = [
            removals_at(rows, thresholds_in_force(ledger, _cells(rows), project.config, before=ds))
            for ds, rows in by_day.items()
            if ds <= last_contested
        ]
        decided = project.warehouse.read("appeals", day - timedelta(days=CONTESTED_DAYS - 1), day)
        contested = contested_removals(removals, decided)
    return Background(
        usual_removals=mean_removals(removals_at(rows, in_force) for rows in recent),
        certified=certified_before(proposals, chain, project.config, day=day),
        uncertified=without_certificate(chain, in_force),
        contested=contested,
        emergency=emergency,
    )


def _cells(histogram: pd.DataFrame) -> pd.DataFrame:
    return histogram[list(CELL)].drop_duplicates(ignore_index=True)
