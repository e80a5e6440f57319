"""The warehouse on BigQuery: the contract's tables and views in one dataset, the same queries as they are written.

Inputs are tables or views of the contract's names in that dataset; only Plumbline's own tables are written, and made
when first needed, from the contract's DDL. A partition is replaced by one MERGE from a staging table, which is atomic.
Results come by the Storage Read API where its package and permission are there, else by REST.
"""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.contract.schema import arrow_schema, ddl
from include.contract.tables import TABLES, Column, Table
from include.reading.rows import Rows
from include.warehouse.base import MissingPartition, Parameter, Warehouse, WarehouseRefused, query_text
from include.warehouse.bigquery_jobs import Jobs
from include.warehouse.frames import checked_rows, content_hash, to_pandas
from include.warehouse.inputs import arrives_in_rows, counted_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery

log = logging.getLogger(__name__)

_STAGING_DAYS = 1
_REST_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


class BigQueryWarehouse(Warehouse):
    """The tables of `jobs.dataset`."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._checked: dict[str, frozenset[str]] = {}
        """Columns there are, by table."""

    def days(self, table: str) -> list[date]:
        contract = self._existing(TABLES[table])
        sql = f"SELECT DISTINCT ds FROM `{contract.name}` WHERE ds >= @start ORDER BY ds"  # noqa: S608
        rows = self.jobs.run(sql, {"start": date.min}, table)
        return [day for day in rows.column("ds").to_pylist() if day is not None]

    def delivers(self, table: str) -> bool:
        return self.jobs.table(table) is not None

    def read(
        self, table: str, start: date | None = None, end: date | None = None, *, slice_value: str | None = None
    ) -> pd.DataFrame:
        return to_pandas(self._read(TABLES[table], start, end, slice_value))

    def _read(self, table: Table, start: date | None, end: date | None, slice_value: str | None = None) -> pa.Table:
        import pyarrow as pa

        schema = arrow_schema(table).insert(0, pa.field("ds", pa.date32()))
        if table.optional and not self.delivers(table.name):
            return schema.empty_table()
        found = self._found(table, start, end, slice_value)
        if not arrives_in_rows(table):
            return found.cast(schema)
        parts = [
            content.add_column(0, "ds", pa.repeat(pa.scalar(day, pa.date32()), content.num_rows))
            for day in found.column("ds").unique().to_pylist()
            for content in [counted_rows(table, _of_day(found, day)).content]
        ]
        return pa.concat_tables([schema.empty_table(), *parts])

    def input_rows(self, table: str, day: date) -> Rows:
        contract = TABLES[table]
        return counted_rows(contract, _of_day(self._found(contract, day, day), day)).rows

    def _found(self, table: Table, start: date | None, end: date | None, slice_value: str | None = None) -> pa.Table:
        """The rows as they are, with `ds` first, sorted by day and key."""
        names = ("ds", *table.column_names)
        self._existing(table)
        there = self._checked[table.name]
        absent = {c.name: f"CAST(NULL AS {c.type}) AS `{c.name}`" for c in table.columns if c.name not in there}
        columns = ", ".join(absent.get(name, f"`{name}`") for name in names)
        sql = f"SELECT {columns} FROM `{table.name}` WHERE ds BETWEEN @start AND @end"  # noqa: S608  (contract's names)
        parameters: dict[str, Parameter] = {"start": start or date.min, "end": end or date.max}
        if slice_value is not None:
            sql += f" AND `{table.slice_by}` = @slice_value"
            parameters["slice_value"] = slice_value
        found = self.jobs.run(sql, parameters, table.name).select(names)
        return found.sort_by([(name, "ascending") for name in ("ds", *table.key, *table.column_names)])

    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        text, tables = query_text(name)
        day = parameters["ds"]
        if not isinstance(day, date):
            raise TypeError(f"parameter ds must be a date, got {day!r}")
        for table in tables:
            if TABLES[table].optional and not self.delivers(table):
                raise MissingPartition(table, day)
            self._existing(TABLES[table])
            if TABLES[table].owner == "platform" and self.row_count(table, day) == 0:
                raise MissingPartition(table, day)
        return to_pandas(self.jobs.scan(text, parameters, f"{name} of {day}"))

    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        contract = TABLES[table]
        if (slice_value is None) != (contract.slice_by is None):
            raise ValueError(f"{table} is replaced by day and {contract.slice_by or 'nothing else'}")
        content = checked_rows(contract, rows)
        self._existing(contract)
        parameters: dict[str, Parameter] = {"ds": day}
        unit = "ds = @ds"
        if slice_value is not None:
            unit += f" AND `{contract.slice_by}` = @slice_value"
            parameters["slice_value"] = slice_value
        columns = ", ".join(f"`{name}`" for name in ("ds", *contract.column_names))
        staging = self._stage(contract, day, content)
        try:
            merge = (
                f"MERGE `{table}` USING `{staging}` ON FALSE "  # noqa: S608  (the contract's names)
                f"WHEN NOT MATCHED BY SOURCE AND {unit} THEN DELETE "
                f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({columns})"
            )
            self.jobs.run(merge, parameters, table)
        finally:
            self.jobs.drop(staging)

    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        contract = TABLES[table]
        content = checked_rows(contract, pd.DataFrame([row]))
        version = int(content.column("version")[0].as_py())
        self._existing(contract)
        names = ("ds", *contract.column_names)
        sql = (
            f"INSERT INTO `{table}` ({', '.join(f'`{n}`' for n in names)}) "  # noqa: S608  (the contract's names)
            f"SELECT {', '.join(f'@{n}' for n in names)} FROM (SELECT 1) WHERE @version = "
            f"(SELECT COALESCE(MAX(version), 0) + 1 FROM `{table}` WHERE ds >= DATE '0001-01-01')"
        )
        values = {"ds": day} | {name: content.column(name)[0].as_py() for name in contract.column_names}
        types = {"ds": "DATE"} | {column.name: column.type for column in contract.columns}
        return self.jobs.insert_once(sql, values, types, table, f"v{version}")

    def fingerprint(self, table: str, day: date) -> str | None:
        content = self._read(TABLES[table], day, day)
        return content_hash(TABLES[table], content) if content.num_rows else None

    def row_count(self, table: str, day: date) -> int:
        contract = self._existing(TABLES[table])
        sql = f"SELECT COUNT(*) AS n FROM `{contract.name}` WHERE ds = @ds"  # noqa: S608  (the contract's names)
        return int(self.jobs.run(sql, {"ds": day}, table).column("n")[0].as_py())

    def delivered_events(self, day: date) -> pd.DataFrame | None:
        return None if self.jobs.table("reviewer_labels") is None else self.read("reviewer_labels", day, day)

    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        contract = TABLES[table]
        found = self.jobs.table(table)
        problems: list[tuple[str, str | None, str, str]]
        if found is None:
            problems = [("-", None, "missing_day", f"dataset {self.jobs.dataset} has no table or view {table}")]
        else:
            problems = [(table, *problem) for problem in _schema_problems(contract, found)]
            if not problems and self.row_count(table, day) == 0:
                problems = [("-", None, "missing_day", f"{table} has no row of {day}")]
        return pd.DataFrame(problems, columns=["file", "column", "problem", "detail"], dtype="object")

    def _existing(self, table: Table) -> Table:
        """`table`, made if it is Plumbline's and not there. WarehouseRefused if it is not as the contract says."""
        if table.name not in self._checked:
            found = self.jobs.table(table.name)
            if found is None and table.owner == "platform":
                raise WarehouseRefused(
                    f"{self.jobs.dataset} has no table or view {table.name}: make a view of that name over the "
                    "platform's table (docs/bigquery.md has templates)"
                )
            if found is None:
                self.jobs.run(ddl(table), {}, table.name)
                there = frozenset(("ds", *table.column_names))
            else:
                problems = _schema_problems(table, found)
                if problems:
                    said = "; ".join(
                        f"{column} {problem.replace('_', ' ')}: {detail}" for column, problem, detail in problems
                    )
                    raise WarehouseRefused(f"{self.jobs.dataset}.{table.name} differs from the contract: {said}")
                there = frozenset(field.name for field in found.schema)
            self._checked[table.name] = there
        return table

    def _stage(self, table: Table, day: date, content: pa.Table) -> str:
        """A table of its own with `content`, which BigQuery drops by itself should this process die."""
        import pyarrow as pa
        import pyarrow.parquet as pq
        from google.cloud import bigquery

        name = f"staging_{table.name}_{uuid.uuid4().hex}"
        schema = [_field(column) for column in (Column("ds", "DATE", "The day"), *table.columns)]
        staging = bigquery.Table(f"{self.jobs.dataset}.{name}", schema=schema)
        staging.expires = datetime.now(UTC) + timedelta(days=_STAGING_DAYS)
        self.jobs.create(staging)
        file = io.BytesIO()
        days = pa.repeat(pa.scalar(day, pa.date32()), content.num_rows)
        pq.write_table(content.add_column(0, pa.field("ds", pa.date32(), nullable=False), days), file)
        file.seek(0)
        self.jobs.load(file, staging)
        return name


def _of_day(found: pa.Table, day: date) -> pa.Table:
    import pyarrow.compute as pc

    return found.filter(pc.equal(found.column("ds"), day)).drop_columns("ds")


def _field(column: Column) -> bigquery.SchemaField:
    from google.cloud import bigquery

    return bigquery.SchemaField(column.name, column.type, "NULLABLE" if column.nullable else "REQUIRED")


def _schema_problems(table: Table, found: Any) -> list[tuple[str, str, str]]:
    """What keeps a BigQuery table or view from being read as `table`: (column, problem, detail)."""
    types = {field.name: _REST_TYPES.get(field.field_type, field.field_type) for field in found.schema}
    problems = []
    for column in (Column("ds", "DATE", "The day"), *table.columns):
        if column.name not in types and column.optional:
            continue
        if column.name not in types:
            problems.append((column.name, "missing_column", f"{column.type} expected"))
        elif types[column.name] != column.type:
            problems.append((column.name, "wrong_type", f"is {types[column.name]}, {column.type} expected"))
    return problems
