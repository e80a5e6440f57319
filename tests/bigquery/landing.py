"""Puts a platform's days into the dataset, as the platform would."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.contract.tables import TABLES
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_tables import made


def deliver(warehouse: BigQueryWarehouse, table: str, day: date, rows: pd.DataFrame) -> None:
    """`rows` become the day of an input table, which is made if it is not there."""
    if warehouse.jobs.table(table) is None:
        warehouse.jobs.create(made(warehouse.jobs, TABLES[table]))
    left_out = [column.name for column in TABLES[table].columns if column.optional and column.name not in rows]
    warehouse.replace(table, day, rows.assign(**dict.fromkeys(left_out)))
