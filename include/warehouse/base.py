"""What Plumbline asks of a warehouse. Two rules hold for every engine.

A partition (a day of a table, or a day and slice where the contract names one) is replaced whole and atomically:
readers see the old rows or the new ones. Queries are the GoogleSQL files beside this module, by name, with typed
parameters; values never become SQL text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pandas as pd

SQL_FOLDER = Path(__file__).with_name("sql")

Parameter = int | float | str | date


class MissingPartition(LookupError):
    """A day the platform should have delivered is not there."""

    def __init__(self, table: str, day: date) -> None:
        super().__init__(f"{table} has no partition for {day}: the platform has not delivered that day")


class UnreadablePartition(ValueError):
    """A day the platform delivered cannot be read: damaged, or of other columns or types than the contract's."""

    def __init__(self, table: str, day: date, file: str, reason: str) -> None:
        super().__init__(f"{table} of {day}, file {file}: cannot be read: {reason}. The platform must deliver it again")


class Warehouse(ABC):
    """Tables of the contract, by name and day."""

    @abstractmethod
    def days(self, table: str) -> list[date]:
        """Days for which `table` has a partition, ascending."""

    @abstractmethod
    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        """Rows of `table` from day `start` to day `end`, both inclusive; None: unbounded. `slice_value`: that slice's.

        Columns are the contract's, and `ds` (datetime.date) first. Days without a partition contribute no rows.
        Nullable INT64 columns come as pandas `Int64`. Meant for small tables. Raises UnreadablePartition.
        """

    @abstractmethod
    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        """The result of `sql/<name>.sql`. The tables it names are restricted to the day in parameter `ds`.

        Raises MissingPartition if a table of the platform has no such day, UnreadablePartition if it is damaged.
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
        """SHA-256 of the content of that day; None if there is no such partition."""

    @abstractmethod
    def row_count(self, table: str, day: date) -> int:
        """Rows of that day, from metadata alone."""

    @abstractmethod
    def landed_files(self, table: str, day: date) -> list[Path]:
        """Files of an input table's day as the platform left them, sorted by name."""
