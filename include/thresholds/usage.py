"""What the warehouse billed, kept a day: BigQuery's own list of jobs tells it for half a year and to few."""

from __future__ import annotations

import logging
from datetime import date, timedelta

import pandas as pd

from include.contract.tables import TABLES
from include.project import Project

log = logging.getLogger(__name__)

_TABLE = TABLES["warehouse_usage"]


def keep_usage(project: Project, today: date) -> pd.DataFrame | None:
    """warehouse_usage of `today` (UTC) as far as it has come, and of the day before, which is complete by then.

    Returns its rows; None: the warehouse bills nothing, or does not say.
    """
    used = project.warehouse.usage(today - timedelta(days=1))
    for day, rows in used.groupby("ds") if used is not None else ():
        project.warehouse.replace(_TABLE.name, day, rows[list(_TABLE.column_names)])  # type: ignore[arg-type]
        log.info("%d jobs of %s were billed %.3f GB", rows["jobs"].sum(), day, rows["bytes_billed"].sum() / 10**9)
    return used
