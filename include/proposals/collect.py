"""Collects from the tables what besides the day's evidence bears on a change."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from include.contract.cell import cell_of, records
from include.contract.change import DAILY
from include.contract.grid import RemovalLevel, first_bin
from include.evidence.accepted import passed_days
from include.evidence.histograms import removals_of
from include.ledger.chain import in_order
from include.ledger.in_force import removal_levels, starting_bins, without_certificate
from include.project import Project
from include.proposals.background import (
    APPEAL_DAYS,
    CONTESTED_DAYS,
    RECENT_DAYS,
    Background,
    certified_before,
    contested_removals,
    mean_removals,
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
    recent_from, last_contested = day - timedelta(days=RECENT_DAYS), day - timedelta(days=APPEAL_DAYS)
    back = APPEAL_DAYS + CONTESTED_DAYS - 1 if delivers_appeals else RECENT_DAYS
    scored = passed_days(project, "scores", day - timedelta(days=back), day - timedelta(days=1))
    if ledger is None:
        ledger = project.warehouse.read("threshold_ledger", None, day - timedelta(days=1))
    chain, contested = in_order(ledger), None
    earliest = day - timedelta(days=project.config.guardrails.loosen_days - 1)
    proposals = project.warehouse.read("threshold_proposals", earliest, day - timedelta(days=1), slice_value=DAILY)
    if delivers_appeals:
        days = [ds for ds in scored if ds <= last_contested]
        levels = removal_levels(ledger, days, project.config)
        removals = removals_of(project, days, levels, starting_bins(project.config))
        decided = project.warehouse.read("appeals", day - timedelta(days=CONTESTED_DAYS - 1), day)
        contested = contested_removals(removals, decided)
    return Background(
        usual_removals=mean_removals(_usual(project, [ds for ds in scored if ds >= recent_from], in_force)),
        certified=certified_before(proposals, chain, project.config, day=day),
        uncertified=without_certificate(chain, in_force),
        contested=contested,
        emergency=emergency,
    )


def _usual(project: Project, days: list[date], in_force: pd.DataFrame) -> pd.DataFrame:
    """What the thresholds `in_force` would have removed on `days`."""
    levels = [
        RemovalLevel(*cell_of(row), min(days), max(days), first_bin(row["remove_at"]))
        for row in (records(in_force) if days else ())
    ]
    return removals_of(project, days, levels)
