"""The warehouse of one task: rows that it has read are not read again, but after it replaced them itself.

A task so works on one state of its inputs from its beginning to its end, and a remote warehouse is asked once. Days
and slices that lie within what was read are taken from there.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from include.contract.tables import TABLES
from include.reading.rows import Rows
from include.warehouse.base import Parameter, Warehouse, query_text
from include.warehouse.frames import checked_rows, content_hash

READ_WHOLE = frozenset({"threshold_ledger"})
"""Tables of which every task reads all there is."""

READ_AHEAD = {"quality_results": 100, "score_profile": 7, "threshold_watch": 2}
"""Small tables, and days: a remote warehouse is asked for so many days before the last one, and for all slices."""


@dataclass(frozen=True)
class _Known:
    """Rows of a table from `start` to `end`, of one slice or (None) of all."""

    start: date
    end: date
    slice_value: str | None
    rows: pd.DataFrame

    def covers(self, start: date, end: date, slice_value: str | None) -> bool:
        return self.start <= start and end <= self.end and self.slice_value in (None, slice_value)


@dataclass(frozen=True)
class Scan:
    """A query that the task ran: how long it took, and what it read, in bytes on disk or billed."""

    query: str
    seconds: float
    bytes_read: int


class Remembered(Warehouse):
    """`warehouse`, for as long as a task lives.

    Attributes:
        scans: the queries that the task ran.
        tables_read, tables_written: what it read and replaced.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.remote = warehouse.remote
        self._known: dict[str, list[_Known]] = {}
        self.scans: list[Scan] = []
        self.tables_read: set[str] = set()
        self.tables_written: set[str] = set()

    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        self.tables_read.add(table)
        first, last = start or date.min, end or date.max
        known = self._covering(table, first, last, slice_value)
        if known is None:
            known = self._fetched(table, first, last, slice_value)
            self._known.setdefault(table, []).append(known)
        return _part(table, known, first, last, slice_value)

    def _covering(self, table: str, start: date, end: date, slice_value: str | None) -> _Known | None:
        found = (known for known in self._known.get(table, ()) if known.covers(start, end, slice_value))
        return next(found, None)

    def _fetched(self, table: str, start: date, end: date, slice_value: str | None) -> _Known:
        if table in READ_WHOLE:
            start, end = date.min, date.max
        elif self.remote and table in READ_AHEAD and date.min < end < date.max:
            start, slice_value = min(start, end - timedelta(days=READ_AHEAD[table])), None
            end += timedelta(days=1)
        bounds = (None if start == date.min else start, None if end == date.max else end)
        return _Known(start, end, slice_value, self.warehouse.read(table, *bounds, slice_value=slice_value))

    def forget(self, table: str) -> None:
        self._known.pop(table, None)

    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        self.forget(table)
        self.tables_written.add(table)
        self.warehouse.replace(table, day, rows, slice_value=slice_value)

    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        self.forget(table)
        self.tables_written.add(table)
        return self.warehouse.append_version(table, day, row)

    def days(self, table: str) -> list[date]:
        return self.warehouse.days(table)

    def delivers(self, table: str) -> bool:
        return self.warehouse.delivers(table)

    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        began, before = time.monotonic(), self.warehouse.bytes_read
        found = self.warehouse.query(name, parameters)
        self.tables_read.update(query_text(name)[1])
        self.scans.append(Scan(name, time.monotonic() - began, self.warehouse.bytes_read - before))
        return found

    def over_days(
        self, name: str, days: Collection[date], parameters: Mapping[str, Parameter] | None = None
    ) -> pd.DataFrame:
        return self.warehouse.over_days(name, days, parameters)

    def fingerprint(self, table: str, day: date) -> str | None:
        return self.fingerprints(table, day, day).get(day)

    def fingerprints(self, table: str, start: date, end: date) -> dict[date, str]:
        """Of the rows that the task has read, if it has: what it says it rests on is what it rested on."""
        known = self._covering(table, start, end, None)
        if known is None:
            return self.warehouse.fingerprints(table, start, end)
        rows, contract = _part(table, known, start, end, None), TABLES[table]
        return {
            day: content_hash(contract, checked_rows(contract, rows[rows["ds"] == day].drop(columns="ds")))
            for day in sorted(set(rows["ds"]))
        }

    def usage(self, since: date) -> pd.DataFrame | None:
        return self.warehouse.usage(since)

    def cancel(self) -> None:
        self.warehouse.cancel()

    def row_count(self, table: str, day: date) -> int:
        return self.warehouse.row_count(table, day)

    def delivered_events(self, day: date) -> pd.DataFrame | None:
        return self.warehouse.delivered_events(day)

    def input_rows(self, table: str, day: date) -> Rows:
        self.tables_read.add(table)
        return self.warehouse.input_rows(table, day)

    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        return self.warehouse.input_problems(table, day)


def _part(table: str, known: _Known, start: date, end: date, slice_value: str | None) -> pd.DataFrame:
    """The rows asked for, as they would have been read by themselves: who changes their columns changes their own."""
    rows = known.rows
    if (known.start, known.end, known.slice_value) == (start, end, slice_value):
        return rows.copy(deep=False)
    kept = (rows["ds"] >= start) & (rows["ds"] <= end)
    if known.slice_value != slice_value:
        kept &= rows[str(TABLES[table].slice_by)] == slice_value
    rows = rows[kept].reset_index(drop=True)
    whole = [name for name in rows if rows[name].dtype == "Int64" and not rows[name].isna().any()]
    return rows.astype(dict.fromkeys(whole, "int64"))
