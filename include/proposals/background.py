"""What besides the day's own evidence bears on a change: the days before, earlier changes, appeals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell, Row, cell_of, records
from include.contract.change import changes_of
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
        certified: by cell, the lowest remove_at that the days before certified, the newest first, None where a day
            certified none; as many days as are known without a gap.
        uncertified: the cells whose remove_at in force no certificate ever allowed.
        contested: by policy, what became of earlier removals; None: the platform delivers no appeals.
        emergency: whether a person asks for the changes as an emergency.
        alarms: by cell, what the watch on published changes asks for.
    """

    usual_removals: Mapping[Cell, float] = field(default_factory=dict)
    certified: Mapping[Cell, Sequence[float | None]] = field(default_factory=dict)
    uncertified: frozenset[Cell] = frozenset()
    contested: Mapping[str, ContestedRemovals] | None = None
    emergency: bool = False
    alarms: Mapping[Cell, Alarm] = field(default_factory=dict)


def mean_removals(removals: pd.DataFrame) -> dict[Cell, float]:
    """The mean of several days' removals (policy, market, model_version, n_videos); a cell's days are those it has."""
    means = removals.groupby(list(CELL))["n_videos"].mean().reset_index()
    return {cell_of(row): row["n_videos"] for row in records(means)}


def certified_before(
    proposals: pd.DataFrame, chain: Sequence[Row], config: Config, *, day: date
) -> dict[Cell, list[float | None]]:
    """Background.certified: what the daily runs before `day` certified, for the goals that are asked for now.

    A day counts only after the last version that raised the cell's remove_at without a certificate: what an alarm or a
    person took back has to be certified anew.

    Args:
        proposals: threshold_proposals of the daily runs before `day`, with ds.
        chain: the ledger in order, up to the day before.
    """
    taken_back = {
        change.cell: version["ds"]
        for version in chain
        for change in changes_of(version)
        if change.is_lasting and change.new.remove_at > change.old.remove_at and change.certified_bound is None
    }
    by_day = {(row["ds"], cell_of(row)): row for row in records(proposals)}
    found: dict[Cell, list[float | None]] = {}
    for cell in {cell for _, cell in by_day if cell[0] in config.policies}:
        policy, levels = config.policies[cell[0]], []
        for back in range(1, config.guardrails.loosen_days):
            row = by_day.get((before := day - timedelta(days=back), cell))
            if row is None or (cell in taken_back and before <= taken_back[cell]):
                break
            asked = (row["target"], row["confidence"], row.get("goal_weight") or "videos")
            same = asked == (policy.target_precision, policy.confidence, policy.goal_weight)
            levels.append(row["certified_remove_at"] if same else None)
        found[cell] = levels
    return found


def contested_removals(removals: pd.DataFrame, appeals: pd.DataFrame) -> dict[str, ContestedRemovals]:
    """By policy, removals of CONTESTED_DAYS days and how many an appeal overturned in as many days, APPEAL_DAYS later.

    Appeals need not say in which market; matching them to single removals would read a log as large as the scores.

    Args:
        removals: policy, n_videos removed of each day and cell.
        appeals: video_id, policy, outcome of the appeals decided in those days.
    """
    total = removals.groupby("policy")["n_videos"].sum()
    overturned = appeals.loc[appeals["outcome"] == "overturned", ["video_id", "policy"]].drop_duplicates()
    counts = overturned["policy"].value_counts()
    return {str(policy): ContestedRemovals(int(n), int(counts.get(policy, 0))) for policy, n in total.items() if n}
