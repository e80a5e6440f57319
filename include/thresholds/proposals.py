"""Proposals for some cells on somebody's request, from the thresholds in force; nothing is written."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.contract.cell import by_cell, cell_of, records
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.evidence.accepted import accepted
from include.evidence.sample import certifying_sample
from include.forecasts.forecast import volumes
from include.ledger.in_force import thresholds_in_force
from include.project import Project
from include.proposals.collect import background
from include.proposals.propose import propose


def proposals_for(
    project: Project, day: date, origin: str, ledger: pd.DataFrame, chosen: pd.DataFrame, *, emergency: bool = False
) -> pd.DataFrame:
    """What is proposed for the `chosen` cells on `day`, under the project's configuration.

    It starts from the thresholds at the end of `ledger`, which is sound. The other cells of their markets keep theirs,
    and their place in the review queue.

    Args:
        origin: of the proposals.
        chosen: policy, market, model_version; cells that have scores on `day`.
        emergency: whether a person asks for the changes as an emergency.
    """
    histogram = accepted(project, "score_histogram", "scores", day, day)
    cells = histogram[list(CELL)].drop_duplicates(ignore_index=True)
    in_force = thresholds_in_force(ledger, cells, project.config, before=date.max)
    current = in_force.merge(chosen[list(CELL)])
    return propose(
        certifying_sample(project, day),
        histogram,
        current,
        project.config,
        day=day,
        origin=origin,
        other_minutes=_other_minutes(project, histogram, in_force, current),
        background=background(project, day, current, ledger=ledger, emergency=emergency),
    )


def _other_minutes(
    project: Project, histogram: pd.DataFrame, in_force: pd.DataFrame, chosen: pd.DataFrame
) -> dict[str, float]:
    """Reviewer minutes a day that the cells that were not chosen take, by market."""
    picked = {cell_of(row) for row in records(chosen)}
    bins = by_cell(histogram)
    minutes: dict[str, float] = {}
    for row in records(in_force):
        if cell_of(row) in picked:
            continue
        policy = project.config.policies[row["policy"]]
        pair = ThresholdPair(row["remove_at"], row["review_at"])
        queue = volumes(bins[cell_of(row)], pair, policy.no_score).reviews * policy.minutes_per_label
        minutes[row["market"]] = minutes.get(row["market"], 0.0) + queue
    return minutes
