"""What stages may build on: the days whose gate passed, and their rows."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.contract.tables import CELL
from include.project import Project


def passed_days(project: Project, gate: str, start: date, end: date) -> set[date]:
    """Days from `start` to `end`, inclusive, on which `gate` ran without a critical failure."""
    results = project.warehouse.read("quality_results", start, end, slice_value=gate)
    failed = results[(results["severity"] == "critical") & ~results["success"].astype(bool)]
    return set(results["ds"]) - set(failed["ds"])


def accepted(project: Project, table: str, gate: str, start: date, end: date) -> pd.DataFrame:
    """Rows of `table` from `start` to `end`, of the days that passed `gate`."""
    rows = project.warehouse.read(table, start, end)
    return rows[rows["ds"].isin(passed_days(project, gate, start, end))].reset_index(drop=True)


def scored_cells(project: Project, day: date) -> pd.DataFrame:
    """policy, market, model_version of the cells that have scores on `day`; none if the day did not pass its gate.

    Cells that the gate set aside are left out.
    """
    profile = accepted(project, "score_profile", "scores", day, day)
    return profile.loc[profile["set_aside"].isna(), list(CELL)].drop_duplicates(ignore_index=True)


def window_start(project: Project, day: date) -> date:
    """First day of the longest window any policy uses at `day`."""
    return min(policy.window_start(day) for policy in project.config.policies.values())
