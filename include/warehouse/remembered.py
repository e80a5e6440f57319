"""The warehouse of one task: rows that it has read are not read again, but after it replaced them itself.

A task so works on one state of its inputs from its beginning to its end, and a remote warehouse is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas as pd

from include.reading.rows import Rows
from include.warehouse.base import Parameter, Warehouse

ALWAYS_READ = frozenset({"threshold_ledger"})
"""Tables of which a task must see what others append meanwhile."""

_Asked = tuple[str, date | None, date | None, str | None]


class Remembered(Warehouse):
    """`warehouse`, for as long as a task lives."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self._read: dict[_Asked, pd.DataFrame] = {}

    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        asked = (table, start, end, slice_value)
        if table in ALWAYS_READ:
            return self.warehouse.read(table, start, end, slice_value=slice_value)
        if asked not in self._read:
            self._read[asked] = self.warehouse.read(table, start, end, slice_value=slice_value)
        return self._read[asked].copy(deep=False)  # who changes its columns changes their own

    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        self._read = {asked: found for asked, found in self._read.items() if asked[0] != table}
        self.warehouse.replace(table, day, rows, slice_value=slice_value)

    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        self._read = {asked: found for asked, found in self._read.items() if asked[0] != table}
        return self.warehouse.append_version(table, day, row)

    def days(self, table: str) -> list[date]:
        return self.warehouse.days(table)

    def delivers(self, table: str) -> bool:
        return self.warehouse.delivers(table)

    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        return self.warehouse.query(name, parameters)

    def fingerprint(self, table: str, day: date) -> str | None:
        return self.warehouse.fingerprint(table, day)

    def row_count(self, table: str, day: date) -> int:
        return self.warehouse.row_count(table, day)

    def delivered_events(self, day: date) -> pd.DataFrame | None:
        return self.warehouse.delivered_events(day)

    def input_rows(self, table: str, day: date) -> Rows:
        return self.warehouse.input_rows(table, day)

    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        return self.warehouse.input_problems(table, day)
