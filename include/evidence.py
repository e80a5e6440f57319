"""What stages may build on: days whose gate passed, and the labelled probability sample as of a day."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.contract.tables import CELL
from include.labels.asof import usable_golden
from include.project import Project
from include.response import adjusted_for_response, mature_draws
from include.thresholds.ledger import thresholds_in_force


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


def labelled_sample(project: Project, day: date) -> pd.DataFrame:
    """Draws of each policy's window that have a final consensus as of `day`.

    Columns of `review_sample`, p_violating, golden (what experts say, 1 or 0; NaN: nothing) and sampled_on (the day of
    the draw), sorted by cell, day and video. A video drawn on several days counts once, on the day its consensus is
    about. Inclusion probabilities are those of being drawn and answered, see `include.response`.
    """
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    consensus = accepted(project, "label_consensus", "consensus", day, day)
    rows = adjusted_for_response(mature_draws(drawn, consensus, day=day, config=project.config))
    golden = usable_golden(project.warehouse.read("golden_labels", end=day), project.config)
    known = pd.DataFrame(columns=["policy", "item", "violating"]) if golden is None else golden
    truth = dict(zip(zip(known["policy"], known["item"], strict=True), known["violating"].astype(float), strict=True))
    items = zip(rows["policy"], rows["video_id"], strict=True)
    rows["golden"] = np.array([truth.get(item, np.nan) for item in items], dtype=float)
    return rows.sort_values([*CELL, "sampled_on", "video_id"], ignore_index=True)


def thresholds_before(project: Project, day: date, cells: pd.DataFrame) -> pd.DataFrame:
    """policy, market, model_version, remove_at, review_at in force when `day` began, for each of `cells`."""
    ledger = project.warehouse.read("threshold_ledger")
    return thresholds_in_force(ledger, cells, project.config, before=day)
