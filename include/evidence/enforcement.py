"""What the platform says it did with the videos of a day."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.contract.tables import CELL
from include.project import Project
from include.warehouse.base import MissingPartition


def enforced(project: Project, day: date) -> pd.DataFrame | None:
    """What the platform did on `day`: policy, market, model_version, action, threshold_version, n_videos, sorted.

    None: it delivers no enforcement_log of that day.
    """
    try:
        counts = project.warehouse.query("enforcement_counts", {"ds": day})
    except MissingPartition:
        return None
    return counts.sort_values(list(counts.columns), ignore_index=True)


def enforced_removals(project: Project, day: date) -> pd.Series | None:
    """Videos the platform removed on `day`, by cell; None: it does not say."""
    counts = enforced(project, day)
    if counts is None:
        return None
    return counts[counts["action"] == "remove"].groupby(list(CELL))["n_videos"].sum()
