"""What besides the day's own evidence bears on a change: the days before, earlier changes, appeals. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from include.contract.cell import Cell, records
from include.contract.change import changes_of
from include.contract.grid import first_bin
from include.contract.tables import CELL
from include.forecasts.forecast import ContestedRemovals
from include.proposals.guardrails import Alarm

RECENT_DAYS = 7
"""Days before the day that its removals are compared with."""
APPEAL_DAYS = 7
"""So many days after a removal nearly all appeals against it are decided."""
CONTESTED_DAYS = 28
"""Days of removals, the last of them APPEAL_DAYS ago, whose appeals are counted."""


@dataclass(frozen=True)
class Background:
    """What bears on the changes of a day.

    Attributes:
        usual_removals: by cell, videos a day at or above the remove_at in force, mean of the days before.
        tightened: by cell, the day of the last version that raised remove_at.
        contested: by policy, what became of earlier removals; None: the platform delivers no appeals.
        emergency: whether a person asks for the changes as an emergency.
        alarms: by cell, what the watch on published changes asks for.
    """

    usual_removals: Mapping[Cell, float] = field(default_factory=dict)
    tightened: Mapping[Cell, date] = field(default_factory=dict)
    contested: Mapping[str, ContestedRemovals] | None = None
    emergency: bool = False
    alarms: Mapping[Cell, Alarm] = field(default_factory=dict)


def removals_at(histogram: pd.DataFrame, thresholds: pd.DataFrame) -> pd.Series:
    """Videos at or above remove_at, by cell: of each cell that both frames have, 0 included.

    Args:
        histogram: one day of score_histogram.
        thresholds: policy, market, model_version, remove_at, on bin edges.
    """
    rows = histogram.merge(thresholds[[*CELL, "remove_at"]], on=list(CELL))
    removed = rows["n_videos"].where(rows["bin"] >= rows["remove_at"].map(first_bin), 0)
    return removed.groupby([rows[name] for name in CELL]).sum()


def mean_removals(days: Iterable[pd.Series]) -> dict[Cell, float]:
    """The mean of several days' `removals_at`; a cell's days are those that have it."""
    found = list(days)
    return pd.concat(found).groupby(level=list(CELL)).mean().to_dict() if found else {}


def last_tightened(ledger: pd.DataFrame) -> dict[Cell, date]:
    """By cell, the day of the last version that raised its remove_at. `ledger`: ds, version, changes."""
    found: dict[Cell, date] = {}
    for version in records(ledger.sort_values("version")):
        for change in changes_of(version):
            if change.is_lasting and change.new.remove_at > change.old.remove_at:
                found[change.cell] = version["ds"]
    return found


def contested_removals(removals: Iterable[pd.Series], appeals: pd.DataFrame) -> dict[str, ContestedRemovals]:
    """By policy, removals of CONTESTED_DAYS days and how many an appeal overturned in as many days, APPEAL_DAYS later.

    Appeals need not say in which market; matching them to single removals would read a log as large as the scores.

    Args:
        removals: `removals_at` of each day.
        appeals: video_id, policy, outcome of the appeals decided in those days.
    """
    days = list(removals)
    total = pd.concat(days).groupby(level="policy").sum() if days else pd.Series(dtype="int64")
    overturned = appeals.loc[appeals["outcome"] == "overturned", ["video_id", "policy"]].drop_duplicates()
    counts = overturned["policy"].value_counts()
    return {str(policy): ContestedRemovals(int(n), int(counts.get(policy, 0))) for policy, n in total.items() if n}
