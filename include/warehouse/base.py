"""What Plumbline asks of a warehouse. Two rules hold for every engine.

A partition (a day of a table, or a day and slice where the contract names one) is replaced whole and atomically:
readers see the old rows or the new ones. Queries are the GoogleSQL files beside this module, by name, with typed
parameters; values never become SQL text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from include.contract.tables import TABLES
from include.reading.rows import Rows

SQL_FOLDER = Path(__file__).with_name("sql")

Parameter = int | float | str | date | datetime | list[date] | None


class MissingPartition(LookupError):
    """A day the platform should have delivered is not there."""

    def __init__(self, table: str, day: date) -> None:
        super().__init__(f"{table} has no partition for {day}: the platform has not delivered that day")


class UnreadablePartition(ValueError):
    """A day the platform delivered cannot be read: damaged, or of other columns or types than the contract's."""

    def __init__(self, table: str, day: date | str, file: str, reason: str) -> None:
        self.file = file
        super().__init__(f"{table} of {day}, file {file}: cannot be read: {reason}. The platform must deliver it again")


class WarehouseRefused(RuntimeError):
    """The warehouse will not do it, and a rerun alone will not help: the message says what will."""


class WarehouseUnavailable(RuntimeError):
    """The warehouse does not answer, or not now: a rerun may help."""


class TableDiffers(WarehouseRefused):
    """A table is not there, or lacks columns of the contract."""


class TableMissing(TableDiffers):
    """A table is not there; its dataset is."""


@dataclass(frozen=True)
class RunningJob:
    """A job of a remote warehouse, and the place where it runs, as JSON holds it."""

    job_id: str
    place: Mapping[str, Any]


class StillRunning(RuntimeError):
    """A query takes longer than the caller holds a worker for it; asked again, it is taken up where it is.

    `job`: what to wait for.
    """

    def __init__(self, message: str, job: RunningJob) -> None:
        self.job = job
        super().__init__(message)


@dataclass(frozen=True)
class Caller:
    """On whose behalf a warehouse works: a task of a Dag's run, for a day.

    `attempt`: the same for all tries of one run, and another once the run was cleared. `patience_seconds`: how long a
    big query may hold the caller, who then gets StillRunning; None: to its end.
    """

    dag: str
    task: str
    day: str
    attempt: str
    patience_seconds: float | None = None


@cache
def query_text(name: str) -> tuple[str, tuple[str, ...]]:
    """GoogleSQL of `sql/<name>.sql` with the functions it may call, and the contract's tables it reads, sorted."""
    import sqlglot
    from sqlglot import exp

    query = (SQL_FOLDER / f"{name}.sql").read_text()
    read = {table.name for table in sqlglot.parse_one(query, read="bigquery").find_all(exp.Table)}
    return (SQL_FOLDER / "functions.sql").read_text() + query, tuple(sorted(read & TABLES.keys()))


def parameters_of(days: Collection[date], parameters: Mapping[str, Parameter] | None) -> dict[str, Parameter]:
    """`parameters`, and those by which a statement over days is held to `days`."""
    asked = sorted(days)
    bounds: dict[str, Parameter] = {"first_day": asked[0], "last_day": asked[-1]} if asked else _NEVER
    return {**(parameters or {}), **bounds, "days": asked}


_NEVER: dict[str, Parameter] = {"first_day": date.min, "last_day": date.min}


class Warehouse(ABC):
    """Tables of the contract, by name and day.

    `remote`: every question costs a job and its round trips, so that few and larger ones are better. `bytes_read`: what
    queries have read so far, in files on disk or as billed.
    """

    remote = False
    bytes_read = 0

    @abstractmethod
    def days(self, table: str) -> list[date]:
        """Days for which `table` has a partition, ascending."""

    @abstractmethod
    def delivers(self, table: str) -> bool:
        """Whether the platform delivers `table` at all: an optional input that is absent switches off what needs it."""

    @abstractmethod
    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        """Rows of `table` from day `start` to day `end`, both inclusive; None: unbounded. `slice_value`: that slice's.

        Columns are the contract's, and `ds` (datetime.date) first. Days without a partition contribute no rows.
        Nullable INT64 columns come as pandas `Int64`. Meant for small tables. Of inputs that arrive in rows, those that
        are set aside are left out (`input_rows`). Raises UnreadablePartition for the others.
        """

    @abstractmethod
    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        """The result of `sql/<name>.sql`. The tables it names are restricted to the day in parameter `ds`.

        Parameter `as_of`: the platform's tables as they were at that moment, which an earlier statement gave as
        `read_at`; None: as they are, where the warehouse keeps no earlier states of them.

        Raises MissingPartition if a table of the platform has no such day, UnreadablePartition if it is damaged,
        StillRunning where a caller with little patience should come again, and WarehouseRefused where the moment is so
        long ago that the state of then is gone.
        """

    @abstractmethod
    def over_days(
        self, name: str, days: Collection[date], parameters: Mapping[str, Parameter] | None = None
    ) -> pd.DataFrame:
        """The result of `sql/<name>.sql`, which adds up rows of one of Plumbline's tables over those `days`.

        The engine adds, so that a step may ask about days whose rows would not fit into its memory. Days without rows
        add nothing.
        """

    @abstractmethod
    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        """Makes `rows` the whole content of that day, or of that day and slice.

        Extra columns are refused, as are missing ones and NULLs the contract forbids (ValueError).
        """

    @abstractmethod
    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        """Appends `row` if its `version` is exactly one above the highest there is, else returns False.

        Compare-and-swap: of several writers with the same version, one gets True.
        """

    @abstractmethod
    def fingerprint(self, table: str, day: date) -> str | None:
        """SHA-256 of the rows of that day, equal in every engine; None if it has none."""

    def fingerprints(self, table: str, start: date, end: date) -> dict[date, str]:
        """`fingerprint` of every day from `start` to `end` that has rows."""
        found = {day: self.fingerprint(table, day) for day in self.days(table) if start <= day <= end}
        return {day: digest for day, digest in found.items() if digest}

    @abstractmethod
    def row_count(self, table: str, day: date) -> int:
        """Rows of that day, from metadata alone; not of inputs that arrive in rows."""

    def delivered_events(self, day: date) -> pd.DataFrame | None:  # noqa: ARG002
        """`reviewer_labels` that arrived on `day` as rows of a table; None where they arrive as files alone."""
        return None

    def forget(self, table: str) -> None:  # noqa: B027  (a warehouse that remembers nothing has nothing to do)
        """The next reading of `table` shows what others wrote meanwhile."""

    def usage(self, since: date) -> pd.DataFrame | None:  # noqa: ARG002
        """Rows of `warehouse_usage`, with `ds`, of the jobs sent on `since` (UTC) or later.

        None: nothing is billed, or the account may not know.
        """
        return None

    def cancel(self) -> None:  # noqa: B027  (the embedded one ends with its process)
        """Stops what the warehouse computes for a task that was killed; from a signal handler, too."""

    @abstractmethod
    def input_rows(self, table: str, day: date) -> Rows:
        """A day of an input that arrives in rows: those that count, as `read` gives them, and those set aside."""

    @abstractmethod
    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        """What keeps a day of an input from being read as the contract says; no rows if nothing does.

        Columns: file (or table; "-": the day), column (None: the file as a whole), problem, detail. Found in metadata
        alone, before any scan.
        """
