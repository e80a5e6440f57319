"""What stages may build on: days whose gate passed, and the labelled probability sample as of a day."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, ESTIMATING
from include.project import Project
from include.thresholds.ledger import thresholds_in_force

_ITEM = ["video_id", "policy", "sampled_on"]
_DRAW = [*_ITEM, "model_version"]


def passed_days(project: Project, gate: str, start: date, end: date) -> set[date]:
    """Days from `start` to `end`, inclusive, on which `gate` ran without a critical failure."""
    results = project.warehouse.read("quality_results", start, end, slice_value=gate)
    failed = results[(results["severity"] == "critical") & ~results["success"].astype(bool)]
    return set(results["ds"]) - set(failed["ds"])


def accepted(project: Project, table: str, gate: str, start: date, end: date) -> pd.DataFrame:
    """Rows of `table` from `start` to `end`, of the days that passed `gate`."""
    rows = project.warehouse.read(table, start, end)
    return rows[rows["ds"].isin(passed_days(project, gate, start, end))].reset_index(drop=True)


def window_start(project: Project, day: date) -> date:
    """First day of the longest window any policy uses at `day`."""
    return day - timedelta(days=max(policy.window_days for policy in project.config.policies.values()) - 1)


def labelled_sample(project: Project, day: date) -> ProbabilitySample:
    """Draws of each policy's window, by the programmes estimates rest on, that have a final consensus as of `day`.

    Columns of `review_sample`, p_violating and sampled_on (the day of the draw), sorted by cell, day and video. A
    video drawn by both programmes counts once, with the probability of their union; one drawn on several days counts
    once, on the day its consensus is about.
    """
    return probability_sample(labelled_draws(project, day))


def probability_sample(draws: pd.DataFrame) -> ProbabilitySample:
    """Of `labelled_draws`, what estimates may rest on: each video once, whichever of their programmes drew it.

    Raises ValueError naming a row without a known inclusion probability.
    """
    rows = draws[draws["programme"].isin(ESTIMATING)].drop_duplicates(_DRAW, ignore_index=True)
    unknown = ~rows["inclusion_probability"].between(0, 1, inclusive="right")
    if unknown.any():
        row = rows[unknown].iloc[0]
        raise ValueError(f"review_sample: inclusion_probability {row['inclusion_probability']} of {row['sample_id']}")
    return ProbabilitySample(rows)


def training_picks(draws: pd.DataFrame) -> pd.DataFrame:
    """Of `labelled_draws`, the videos that only the training programme drew: for training, and for nothing else."""
    picked = draws[draws["programme"] == "training"]
    known = draws.loc[draws["programme"].isin(ESTIMATING), _DRAW]
    return picked[~pd.MultiIndex.from_frame(picked[_DRAW]).isin(pd.MultiIndex.from_frame(known))].reset_index(drop=True)


def labelled_draws(project: Project, day: date) -> pd.DataFrame:
    """As `labelled_sample`, of all programmes, a row a draw; no inclusion_probability where no estimate may use it."""
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    consensus = accepted(project, "label_consensus", "consensus", day, day)
    final = consensus.loc[consensus["status"] == "final", [*_ITEM, "p_violating"]]
    rows = drawn.rename(columns={"ds": "sampled_on"}).merge(final, on=_ITEM)
    policies = project.config.policies
    in_window = [
        (day - sampled).days < policies[policy].window_days
        for policy, sampled in zip(rows["policy"], rows["sampled_on"], strict=True)
    ]
    order = [*CELL, "sampled_on", "video_id", "programme"]
    return rows[np.array(in_window, dtype=bool)].sort_values(order, ignore_index=True)


def of_cells(sample: ProbabilitySample, cells: pd.DataFrame) -> ProbabilitySample:
    """The rows of `sample` in one of `cells` (policy, market, model_version)."""
    return ProbabilitySample(sample.merge(cells[list(CELL)]))


def thresholds_before(project: Project, day: date, cells: pd.DataFrame) -> pd.DataFrame:
    """policy, market, model_version, remove_at, review_at in force when `day` began, for each of `cells`."""
    ledger = project.warehouse.read("threshold_ledger")
    return thresholds_in_force(ledger, cells, project.config, before=day)
