"""The embedded warehouse: a folder of Parquet partitions, read and scanned by DuckDB. No server, no lock file.

    <landing>/<table>/ds=YYYY-MM-DD/...                    the platform's, read only (include.reading.folder)
    <root>/<table>/ds=YYYY-MM-DD/<slice or part>.parquet   Plumbline's, one file a unit of replacement

A file is written under `<root>/.staging`, flushed, and renamed into place, which POSIX makes atomic. Queries that need
more memory than there is spill there, too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES, Table
from include.files import locked, make_folder, scratch_folder, written_whole
from include.reading.folder import Listed, day_folder, days_in, files_in, printable
from include.reading.limits import Limits
from include.reading.parquet import Measure, literal_parquet
from include.reading.rows import Rows
from include.warehouse.base import MissingPartition, Parameter, UnreadablePartition, Warehouse, query_text
from include.warehouse.footers import Footer, inspect_parquet, read_footers
from include.warehouse.frames import as_contract, checked_rows, content_hash, to_pandas
from include.warehouse.inputs import Counted, arrives_in_rows, counted
from include.warehouse.kept_inputs import read_days
from include.warehouse.recent import Recent
from include.warehouse.versions import bundle_oldest, file_name, listed, read_versions

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

log = logging.getLogger(__name__)

_MEMORY_LIMIT = "3GB"
_MEMORY_OF_SUMS = "1GB"
"""Of what is added up over days: such a step has to do with less."""
_STAGING = ".staging"
_KEPT = ".kept"
_GROUP = 100_000
"""Rows of a group in a file; who asks for some cells reads the groups that may hold them."""
_MOST_TRIED = 500
"""Days of a range whose folders are tried one by one, without listing all there are."""


class DuckDBWarehouse(Warehouse):
    """The embedded warehouse over `landing` (inputs) and `root` (own tables)."""

    def __init__(self, landing: Path, root: Path) -> None:
        self.landing = landing
        self.root = root
        self._warned: set[Path] = set()
        self._measure = Measure(Limits())

    def days(self, table: str) -> list[date]:
        contract = TABLES[table]
        if contract.versions:
            return sorted(set(self._read(contract, None, None).column("ds").to_pylist()))
        return [day for day in self._folders(contract, None, None) if self._files(contract, day)]

    def delivers(self, table: str) -> bool:
        contract = TABLES[table]
        return any(self._files(contract, day) for day in self._folders(contract, None, None))

    def _folders(self, table: Table, start: date | None, end: date | None) -> list[date]:
        """Days from `start` to `end` that may have files; of Plumbline's tables between two days nothing is listed."""
        if start is not None and end is not None:
            span = (end - start).days
            if span == 0 or (table.owner == "plumbline" and span < _MOST_TRIED):
                return [start + timedelta(days=n) for n in range(span + 1)]
        folders, strays = days_in(self._folder(table))
        self._warn(table.name, strays)
        return [day for day in folders if (start is None or day >= start) and (end is None or day <= end)]

    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        return to_pandas(self._read(TABLES[table], start, end, slice_value))

    def _read(self, contract: Table, start: date | None, end: date | None, slice_value: str | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        schema = arrow_schema(contract)
        if contract.versions:
            rows = read_versions(self._folder(contract), contract)
            if start is None and end is None:
                return rows
            days = rows.column("ds")
            return rows.filter(pc.and_(pc.greater_equal(days, start or date.min), pc.less_equal(days, end or date.max)))
        if start is None and arrives_in_rows(contract):
            return self._known(contract, end or date.max)
        parts = [
            content.add_column(0, "ds", pa.repeat(pa.scalar(day, pa.date32()), content.num_rows))
            for day in self._folders(contract, start, end)
            for content in self._contents(contract, day, slice_value)
        ]
        empty = schema.insert(0, pa.field("ds", pa.date32())).empty_table()
        return pa.concat_tables([empty, *parts])

    def _known(self, table: Table, end: date) -> pa.Table:
        """The rows of an input from its first day to `end`."""
        days, strays = days_in(self._folder(table))
        self._warn(table.name, strays)
        wanted = {day: folder for day, folder in days.items() if day <= end}
        kept = self.root / _KEPT / table.name
        return read_days(kept, table, wanted, lambda day: self._counted(table, day).content, self.root / _STAGING)

    def _contents(self, table: Table, day: date, slice_value: str | None = None) -> Iterator[pa.Table]:
        if arrives_in_rows(table):
            yield self._counted(table, day).content
            return
        for path in self._files(table, day, slice_value):
            with _damage_named(table, day, path):
                yield _read_file(path, table, arrow_schema(table))

    def input_rows(self, table: str, day: date) -> Rows:
        return self._counted(TABLES[table], day).rows

    def _counted(self, table: Table, day: date) -> Counted:
        return counted(table, self._listed(table, day), self._measure)

    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        import duckdb

        day = parameters["ds"]
        if not isinstance(day, date):
            raise TypeError(f"parameter ds must be a date, got {day!r}")
        statements, tables = _translated(name)
        wanted = "$as_of" in statements[-1]  # files have no earlier states
        bound = {**({"as_of": None} if wanted else {}), **parameters}
        bound = {key: value for key, value in bound.items() if key != "ds" and (wanted or key != "as_of")}
        with self._connected(_MEMORY_LIMIT) as connection:
            # A filter pushed below the projection that computes its column repeats shared subexpressions: for the
            # permanent random numbers 16 times. Views name one day's files alone, so pushing has nothing to skip.
            # Filters that joins derive are tested on every row, too, and spare none.
            connection.execute("SET disabled_optimizers = 'filter_pushdown,join_filter_pushdown'")
            for table in tables:
                self._bind(connection, TABLES[table], day)
                self.bytes_read += sum(path.stat().st_size for path in self._files(TABLES[table], day))
            try:
                return _result(connection, statements, bound)
            except duckdb.Error as error:
                self._name_damage(tables, day)
                raise RuntimeError(f"query {name} for {day}: {error}") from error

    def over_days(
        self, name: str, days: Collection[date], parameters: Mapping[str, Parameter] | None = None
    ) -> pd.DataFrame:
        import duckdb

        statements, (table,) = _translated(name)
        with self._connected(_MEMORY_OF_SUMS) as connection:
            try:
                self._bind_days(connection, TABLES[table], sorted(days))
                return _result(connection, statements, parameters or {})
            except duckdb.Error as error:
                for day in sorted(days):
                    for _ in self._contents(TABLES[table], day):  # raises UnreadablePartition for a damaged file
                        pass
                raise RuntimeError(f"query {name} over {len(days)} days: {error}") from error

    @contextmanager
    def _connected(self, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        with scratch_folder(self.root / _STAGING) as spill, duckdb.connect() as connection:
            connection.execute("SET memory_limit = ?", [memory])
            connection.execute("SET temp_directory = ?", [str(spill)])
            connection.execute("SET preserve_insertion_order = false")
            yield connection

    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        contract = TABLES[table]
        if (slice_value is None) != (contract.slice_by is None):
            raise ValueError(f"{table} is replaced by day and {contract.slice_by or 'nothing else'}")
        content = checked_rows(contract, rows)
        self._publish(content, self._partition(contract, day) / _file_name(slice_value or "part"))

    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        contract = TABLES[table]
        content = checked_rows(contract, pd.DataFrame([row]))
        version = int(content.column("version")[0].as_py())
        folder = self._folder(contract)
        make_folder(folder)
        with locked(folder):
            if version != listed(folder).newest + 1:
                return False
            self._publish(content, self._partition(contract, day) / file_name(version))
            try:
                bundle_oldest(folder, contract, self.root / _STAGING)
            except (OSError, UnreadablePartition) as error:  # the version stands all the same
                log.warning("%s: its files stay as many as they are: %s", table, error)
        return True

    def fingerprint(self, table: str, day: date) -> str | None:
        contract = TABLES[table]
        content = self._read(contract, day, day)
        return content_hash(contract, content) if content.num_rows else None

    def row_count(self, table: str, day: date) -> int:
        import pyarrow.parquet as pq

        if TABLES[table].versions:
            return int(self._read(TABLES[table], day, day).num_rows)
        return sum(int(pq.read_metadata(path).num_rows) for path in self._files(TABLES[table], day))

    def landed_files(self, table: str, day: date) -> list[Path]:
        """Files of an input's day as the platform left them, sorted by name."""
        return self._files(TABLES[table], day)

    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        return inspect_parquet(TABLES[table], self._listed(TABLES[table], day))

    def _folder(self, table: Table) -> Path:
        return (self.landing if table.owner == "platform" else self.root) / table.name

    def _partition(self, table: Table, day: date) -> Path:
        return self._folder(table) / day_folder(day)

    def _listed(self, table: Table, day: date) -> Listed:
        """What the platform left of an input's day."""
        listed = files_in(self._partition(table, day), table.formats, within=self.landing)
        self._warn(f"{table.name} of {day}", listed.strays)
        return listed

    def _files(self, table: Table, day: date, slice_value: str | None = None) -> list[Path]:
        if table.owner == "platform":
            listed = self._listed(table, day)
            return sorted((*listed.files, *listed.links))
        if slice_value is not None:
            path = self._partition(table, day) / _file_name(slice_value)
            return [path] if path.is_file() else []
        folder = self._partition(table, day)
        try:
            return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(".parquet")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _warn(self, what: str, strays: Sequence[Path]) -> None:
        """Says once of each entry that it is no part of `what`."""
        for path in strays:
            if path not in self._warned:
                self._warned.add(path)
                log.warning("%s: %s is passed over, it is no part of it", what, printable(str(path)))

    def _bind(self, connection: duckdb.DuckDBPyConnection, table: Table, day: date) -> None:
        """Makes `table` a view of that day's files alone, so that a bad file of another day harms nobody.

        Plumbline's own tables are small and may be replaced at any moment: they are read first, each file at once.
        """
        if table.owner == "plumbline":
            connection.register(table.name, self._read(table, day, day))
            return
        footers = self._readable(table, day)
        selects = " UNION ALL ".join(_select(table, day, alike) for alike in _by_types(table, footers))
        connection.execute(f"CREATE VIEW {table.name} AS {selects}")

    def _bind_days(self, connection: duckdb.DuckDBPyConnection, table: Table, days: Sequence[date]) -> None:
        """Makes one of Plumbline's tables a view of those days. Replaced meanwhile, a file is still read whole."""
        columns = ", ".join(table.column_names)
        parts = [
            f"SELECT DATE '{day.isoformat()}' AS ds, {columns} FROM {literal_parquet(files)}"  # noqa: S608
            for day in days
            if (files := self._files(table, day))
        ]
        if parts:
            connection.execute(f"CREATE VIEW {table.name} AS {' UNION ALL '.join(parts)}")
        else:
            connection.register(table.name, self._read(table, date.min, date.min))

    def _readable(self, table: Table, day: date) -> list[Footer]:
        """The files of an input's day. Raises MissingPartition, and UnreadablePartition if one of them cannot be read.

        What the gate of the scores has said before, unless the files changed since; the log has no gate before it.
        """
        listed = self._listed(table, day)
        footers, problems = read_footers(table, listed)
        for file, column, _, detail in problems:
            raise UnreadablePartition(table.name, day, file, f"column {column}: {detail}" if column else detail)
        if not footers:
            raise MissingPartition(table.name, day)
        return footers

    def _name_damage(self, tables: tuple[str, ...], day: date) -> None:
        """Raises UnreadablePartition for the first file of an input that cannot be read to its end, if there is one."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for name in tables:
            table = TABLES[name]
            for footer in self._readable(table, day) if table.owner == "platform" else ():
                with _damage_named(table, day, footer.path), pq.ParquetFile(footer.path) as file:
                    names = [column for column in table.column_names if column in footer.schema.names]
                    for batch in file.iter_batches(columns=names):
                        as_contract(table, pa.Table.from_batches([batch]))

    def _publish(self, content: pa.Table, target: Path) -> None:
        import pyarrow.parquet as pq

        with written_whole(target, aside=self.root / _STAGING) as file:
            pq.write_table(content, file, row_group_size=_GROUP, compression="zstd")


def _file_name(slice_value: str) -> str:
    return f"{quote(slice_value, safe='')}.parquet"


_OF_DAYS = frozenset({"ds = @ds", "ds BETWEEN @first_day AND @last_day", "ds IN UNNEST(@days)"})


def _result(
    connection: duckdb.DuckDBPyConnection, statements: Sequence[str], bound: Mapping[str, Parameter]
) -> pd.DataFrame:
    for statement in statements[:-1]:
        connection.execute(statement)
    return to_pandas(connection.sql(statements[-1], params=dict(bound)).to_arrow_table())


@cache
def _translated(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DuckDB statements of a GoogleSQL file, and the contract's tables it names."""
    import sqlglot
    from sqlglot import exp

    text, tables = query_text(name)
    parsed = [statement for statement in sqlglot.parse(text, read="bigquery") if statement is not None]
    # The views hold the days asked for and no others, so a test of every row would only cost time.
    for test in list(parsed[-1].find_all(exp.EQ, exp.Between, exp.In)):
        if test.sql("bigquery") in _OF_DAYS:
            test.replace(exp.true())
    # A function that calls others costs the engine more to define than a small query: those that none calls are left.
    kept = parsed[-1:]
    for definition in reversed(parsed[:-1]):
        defined = definition.this.this.name
        if any(call.name == defined for one in kept for call in one.find_all(exp.Anonymous)):
            kept.insert(0, definition)
    return tuple(statement.sql(dialect="duckdb") for statement in kept), tables


def _by_types(table: Table, footers: Sequence[Footer]) -> list[list[Footer]]:
    """The files in groups of the same types: DuckDB takes the types of the first of a list for those of all."""
    groups: dict[tuple[str, ...], list[Footer]] = {}
    for footer in footers:
        types = tuple(
            str(footer.schema.field(name).type) if name in footer.schema.names else "" for name in table.column_names
        )
        groups.setdefault(types, []).append(footer)
    return list(groups.values())


def _select(table: Table, day: date, alike: Sequence[Footer]) -> str:
    """Reads files of the same types as the contract's.

    Casts to the type a column has already cost nothing.
    """
    names = alike[0].schema.names
    columns = ", ".join(
        f"CAST({column.name if column.name in names else 'NULL'} AS {_DUCKDB_TYPES[column.type]}) AS {column.name}"
        for column in table.columns
    )
    source = literal_parquet([footer.path for footer in alike])
    return f"SELECT DATE '{day.isoformat()}' AS ds, {columns} FROM {source}"  # noqa: S608  (no outside text)


@contextmanager
def _damage_named(table: Table, day: date, path: Path) -> Iterator[None]:
    """What is wrong with the content of a file becomes UnreadablePartition; a fault of storage stays, for a retry."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, pa.ArrowException, duckdb.Error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnreadablePartition(table.name, day, printable(path.name), str(error).splitlines()[0]) from error


_RECENT = Recent(64 * 2**20)


def _read_file(path: Path, table: Table, schema: pa.Schema) -> pa.Table:
    import pyarrow.parquet as pq

    # Opened once: the path may lead to another file a moment later, and pq.read_table opens it twice.
    with path.open("rb") as file:

        def read() -> pa.Table:
            return as_contract(table, pq.ParquetFile(file).read(columns=schema.names, use_threads=False))

        return _RECENT.get(file, table.name, read)


_DUCKDB_TYPES = {
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOL": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMPTZ",
    "DATE": "DATE",
}
