"""The embedded warehouse: a folder of Parquet partitions, read and scanned by DuckDB. No server, no lock file.

    <landing>/<table>/ds=YYYY-MM-DD/*.parquet          the platform's, read only
    <root>/<table>/ds=YYYY-MM-DD/<slice or part>.parquet   Plumbline's, one file a unit of replacement

A file is written under `<root>/.staging`, flushed, and renamed into place, which POSIX makes atomic. Queries that need
more memory than there is spill there, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES, Table
from include.files import locked, make_folder, scratch_folder, written_whole
from include.warehouse.base import MissingPartition, Parameter, UnreadablePartition, Warehouse, query_text
from include.warehouse.footers import inspect_parquet
from include.warehouse.frames import checked_rows, content_hash, to_pandas

if TYPE_CHECKING:
    import pyarrow as pa

_MEMORY_LIMIT = "3GB"
_STAGING = ".staging"


class DuckDBWarehouse(Warehouse):
    """The embedded warehouse over `landing` (inputs) and `root` (own tables)."""

    def __init__(self, landing: Path, root: Path) -> None:
        self.landing = landing
        self.root = root

    def days(self, table: str) -> list[date]:
        found = []
        for folder in self._folder(TABLES[table]).glob("ds=*"):
            day = date.fromisoformat(folder.name.removeprefix("ds="))
            if self._files(TABLES[table], day):
                found.append(day)
        return sorted(found)

    def delivers(self, table: str) -> bool:
        return bool(self.days(table))

    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        return to_pandas(self._read(TABLES[table], start, end, slice_value))

    def _read(self, contract: Table, start: date | None, end: date | None, slice_value: str | None = None) -> pa.Table:
        import pyarrow as pa

        schema = arrow_schema(contract)
        parts = [
            content.add_column(0, "ds", pa.repeat(pa.scalar(day, pa.date32()), content.num_rows))
            for day in self.days(contract.name)
            if (start is None or day >= start) and (end is None or day <= end)
            for path in self._files(contract, day)
            if slice_value is None or path.name == _file_name(slice_value)
            for content in [_checked_file(path, contract, day, schema)]
        ]
        empty = schema.insert(0, pa.field("ds", pa.date32())).empty_table()
        return pa.concat_tables([empty, *parts])

    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        import duckdb

        statements, tables = _translated(name)
        day = parameters["ds"]
        if not isinstance(day, date):
            raise TypeError(f"parameter ds must be a date, got {day!r}")
        with scratch_folder(self.root / _STAGING) as spill, duckdb.connect() as connection:
            connection.execute("SET memory_limit = ?", [_MEMORY_LIMIT])
            connection.execute("SET temp_directory = ?", [str(spill)])
            # A filter pushed below the projection that computes its column repeats shared subexpressions: for the
            # permanent random numbers 16 times. Views name one day's files alone, so pushing has nothing to skip.
            # Filters that joins derive are tested on every row, too, and spare none.
            connection.execute("SET disabled_optimizers = 'filter_pushdown,join_filter_pushdown'")
            connection.execute("SET preserve_insertion_order = false")
            for table in tables:
                self._bind(connection, TABLES[table], day)
            for statement in statements[:-1]:
                connection.execute(statement)
            bound = {key: value for key, value in parameters.items() if key != "ds"}
            try:
                return to_pandas(connection.sql(statements[-1], params=bound).to_arrow_table())
            except duckdb.Error as error:
                self._name_damage(tables, day)
                raise RuntimeError(f"query {name} for {day}: {error}") from error

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
            numbers = [int(path.stem.removeprefix("v")) for path in folder.glob("ds=*/v*.parquet")]
            if version != max(numbers, default=0) + 1:
                return False
            self._publish(content, self._partition(contract, day) / f"v{version:09d}.parquet")
        return True

    def fingerprint(self, table: str, day: date) -> str | None:
        contract = TABLES[table]
        content = self._read(contract, day, day)
        return content_hash(contract, content) if content.num_rows else None

    def row_count(self, table: str, day: date) -> int:
        contract = TABLES[table]
        schema = arrow_schema(contract)
        return sum(_row_count(path, contract, schema) for path in self._files(contract, day))

    def landed_files(self, table: str, day: date) -> list[Path]:
        """Files of an input's day as the platform left them, sorted by name."""
        return self._files(TABLES[table], day)

    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        return inspect_parquet(TABLES[table], self.landed_files(table, day))

    def _folder(self, table: Table) -> Path:
        return (self.landing if table.owner == "platform" else self.root) / table.name

    def _partition(self, table: Table, day: date) -> Path:
        return self._folder(table) / f"ds={day.isoformat()}"

    def _files(self, table: Table, day: date) -> list[Path]:
        folder = self._partition(table, day)
        return sorted(path for ending in table.formats for path in folder.glob(f"*.{ending}"))

    def _bind(self, connection: object, table: Table, day: date) -> None:
        """Makes `table` a view of that day's files alone, so that a bad file of another day harms nobody.

        Plumbline's own tables are small and may be replaced at any moment: they are read first, each file at once.
        """
        if table.owner == "plumbline":
            connection.register(table.name, self._read(table, day, day))  # type: ignore[attr-defined]
            return
        files = self._files(table, day)
        if not files:
            raise MissingPartition(table.name, day)
        columns = ", ".join(table.column_names)
        source = f"read_parquet({_literal_list(files)})"
        body = f"SELECT DATE '{day.isoformat()}' AS ds, {columns} FROM {source}"  # noqa: S608  (no outside text)
        connection.execute(f"CREATE VIEW {table.name} AS {body}")  # type: ignore[attr-defined]

    def _name_damage(self, tables: tuple[str, ...], day: date) -> None:
        """Raises UnreadablePartition for the first file of an input that cannot be read to its end, if there is one."""
        for table in tables:
            if TABLES[table].owner == "platform":
                for path in self._files(TABLES[table], day):
                    _checked_file(path, TABLES[table], day, arrow_schema(TABLES[table]))

    def _publish(self, content: pa.Table, target: Path) -> None:
        import pyarrow.parquet as pq

        with written_whole(target, aside=self.root / _STAGING) as file:
            pq.write_table(content, file, compression="zstd")


def _file_name(slice_value: str) -> str:
    return f"{quote(slice_value, safe='')}.parquet"


@cache
def _translated(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DuckDB statements of a GoogleSQL file, and the contract's tables it names."""
    import sqlglot
    from sqlglot import exp

    text, tables = query_text(name)
    parsed = [statement for statement in sqlglot.parse(text, read="bigquery") if statement is not None]
    # The views hold the day @ds and no other, so a test of every row would only cost time.
    for equality in parsed[-1].find_all(exp.EQ):
        if (equality.left.sql(), equality.right.sql("bigquery")) == ("ds", "@ds"):
            equality.replace(exp.true())
    return tuple(statement.sql(dialect="duckdb") for statement in parsed), tables


def _checked_file(path: Path, table: Table, day: date, schema: pa.Schema) -> pa.Table:
    import duckdb
    import pyarrow as pa

    try:
        return _read_file(path, table, schema)
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # storage, not content: worth a retry
        raise UnreadablePartition(table.name, day, path.name, str(error).splitlines()[0]) from error


def _read_file(path: Path, table: Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        # Opened once: the path may lead to another file a moment later, and pq.read_table opens it twice.
        with path.open("rb") as file:
            content = pq.ParquetFile(file).read(columns=schema.names)
    else:
        content = _read_text(path, table)
    for column in table.columns:
        if column.optional and column.name not in content.column_names:
            content = content.append_column(column.name, pa.nulls(content.num_rows))
    return content.select(schema.names).cast(schema)


def _row_count(path: Path, table: Table, schema: pa.Schema) -> int:
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    return int(_read_file(path, table, schema).num_rows)


def _read_text(path: Path, table: Table) -> pa.Table:
    import duckdb

    types = {c.name: _DUCKDB_TYPES[c.type] for c in table.columns}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if path.suffix == ".csv":
            present = connection.read_csv(str(path), header=True, all_varchar=True).columns
            absent = [c.name for c in table.columns if c.optional and c.name not in present]
            types = {name: kind for name, kind in types.items() if name not in absent}
            relation = connection.read_csv(str(path), header=True, dtype=types)
        else:
            relation = connection.read_json(str(path), columns=types, format="newline_delimited")
        return relation.select(*types).to_arrow_table()


_DUCKDB_TYPES = {
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOL": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMPTZ",
    "DATE": "DATE",
}


def _literal_list(files: list[Path]) -> str:
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in files) + "]"
