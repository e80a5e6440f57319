"""The warehouse on BigQuery: the contract's tables and views in one dataset, the same queries as they are written.

Inputs are tables or views of the contract's names in that dataset; only Plumbline's own tables are written, and made
when first needed. A day is replaced by one load job into its partition, a slice of a day by one MERGE; both are atomic.
Results come by the Storage Read API where its package and permission are there, else by REST.
"""

from __future__ import annotations

import json
import logging
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES, Table
from include.reading.rows import Rows
from include.warehouse.base import (
    MissingPartition,
    Parameter,
    TableDiffers,
    TableMissing,
    Warehouse,
    WarehouseRefused,
    WarehouseUnavailable,
    parameters_of,
    query_text,
)
from include.warehouse.bigquery_jobs import Jobs
from include.warehouse.bigquery_tables import bring_up, fields, keeps_states, made, read_from, schema_problems
from include.warehouse.frames import checked_rows, content_hash, to_pandas
from include.warehouse.inputs import arrives_in_rows, counted_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery

log = logging.getLogger(__name__)

_STAGING_DAYS = 1
_MOST_INLINE = 500_000
"""Bytes of rows that are sent within a statement; a request may have 10 MB, and its text is kept with the job."""

_T = TypeVar("_T")


class BigQueryWarehouse(Warehouse):
    """The tables of `jobs.dataset`."""

    remote = True

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._inputs: dict[str, bigquery.Table | None] = {}
        """What is known of each input that was asked for, None if it is not there; a task sees one state of it."""
        self._alike: dict[str, frozenset[str]] = {}
        """Columns of each input that is as the contract says."""
        self._counts: dict[tuple[str, date], int] = {}

    def days(self, table: str) -> list[date]:
        contract = self._input(TABLES[table])
        sql = f"SELECT DISTINCT ds FROM `{contract.name}` WHERE ds >= @start ORDER BY ds"  # noqa: S608
        rows = self._asked(contract, sql, {"start": date.min})
        return [] if rows is None else [day for day in rows.column("ds").to_pylist() if day is not None]

    def delivers(self, table: str) -> bool:
        return self._columns(table) is not None

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
            try:
                return found.cast(schema)
            except (pa.ArrowException, ValueError):
                bring_up(self.jobs, table)  # names the columns that are of another type
                raise
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
        names, order = (
            ("ds", *table.column_names),
            [(name, "ascending") for name in ("ds", *table.key, *table.column_names)],
        )
        if table.owner == "plumbline":
            try:
                stored = self.jobs.stored_rows(table.name, names, start or date.min, end or date.max)
            except TableMissing:
                return _none(table)
            except TableDiffers:
                if self.jobs.table(table.name) is None:
                    return _none(table)
                bring_up(self.jobs, table)
                stored = None  # a query knows the new columns at once
            if stored is not None:
                return _of_slice(table, stored.select(names), slice_value).sort_by(order)
        there = (self._columns(self._input(table).name) if table.owner == "platform" else None) or frozenset(names)
        absent = {c.name: f"CAST(NULL AS {c.type}) AS `{c.name}`" for c in table.columns if c.name not in there}
        columns = ", ".join(absent.get(name, f"`{name}`") for name in names)
        sql = f"SELECT {columns} FROM `{table.name}` WHERE ds BETWEEN @start AND @end"  # noqa: S608  (contract's names)
        parameters: dict[str, Parameter] = {"start": start or date.min, "end": end or date.max}
        if slice_value is not None:
            sql += f" AND `{table.slice_by}` = @slice_value"
            parameters["slice_value"] = slice_value
        found = self._asked(table, sql, parameters)
        if found is None:
            return _none(table)
        return found.select(names).sort_by(order)

    def query(self, name: str, parameters: Mapping[str, Parameter]) -> pd.DataFrame:
        text, tables = query_text(name)
        day = parameters["ds"]
        if not isinstance(day, date):
            raise TypeError(f"parameter ds must be a date, got {day!r}")
        inputs: dict[str, Any] = {}
        for table in tables:
            contract = TABLES[table]
            if contract.optional and not self.delivers(table):
                raise MissingPartition(table, day)
            if contract.owner == "platform" and self.row_count(table, day) == 0:
                raise MissingPartition(table, day)
            if contract.owner == "platform":
                inputs[table] = self._known(table)
        chooses = "@as_of" in text
        as_of = all(map(keeps_states, inputs.values())) and (chooses or parameters.get("as_of") is not None)

        def said(*, timed: bool) -> str:
            return reduce(lambda sql, one: read_from(sql, TABLES[one], inputs[one], as_of=timed), inputs, text)

        asked = {key: value for key, value in parameters.items() if key != "as_of" or as_of}
        if chooses and not as_of:
            asked["as_of"] = None
        now = said(timed=False) if chooses and as_of else None
        found = to_pandas(self.jobs.scan(said(timed=as_of), asked, f"{name} of {day}", as_they_are=now))
        self.bytes_read = self.jobs.billed
        return found

    def over_days(
        self, name: str, days: Collection[date], parameters: Mapping[str, Parameter] | None = None
    ) -> pd.DataFrame:
        text, (table,) = query_text(name)
        asked = parameters_of(days, parameters)
        return to_pandas(self._with(TABLES[table], lambda: self.jobs.run(text, asked, name)))

    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        contract = TABLES[table]
        if (slice_value is None) != (contract.slice_by is None):
            raise ValueError(f"{table} is replaced by day and {contract.slice_by or 'nothing else'}")
        content = _with_day(checked_rows(contract, rows), day)
        unit, parameters = "ds = @ds", {"ds": day}
        if slice_value is not None:
            unit += f" AND `{contract.slice_by}` = @slice_value"
            parameters |= {"slice_value": slice_value}  # type: ignore[dict-item]
        if not content.num_rows:
            self._asked(contract, f"DELETE FROM `{table}` WHERE {unit}", parameters)  # noqa: S608  (contract's names)
        elif slice_value is None:
            partition = f"{self.jobs.dataset}.{table}${day:%Y%m%d}"
            self._with(contract, lambda: self.jobs.load(content, partition, fields(contract), table))
        else:
            self._merge(contract, content, unit, parameters)

    def _merge(self, table: Table, content: pa.Table, unit: str, parameters: Mapping[str, Parameter]) -> None:
        """Makes `content` all there is where `unit` holds: small ones go within the statement, others by staging."""
        columns = ", ".join(f"`{name}`" for name in ("ds", *table.column_names))

        def merge(source: str, more: Mapping[str, Parameter]) -> None:
            sql = (
                f"MERGE `{table.name}` USING {source} ON FALSE "  # noqa: S608  (the contract's names)
                f"WHEN NOT MATCHED BY SOURCE AND {unit} THEN DELETE "
                f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({columns})"
            )
            self._with(table, lambda: self.jobs.run(sql, {**parameters, **more}, table.name))

        inline = _as_json(content)
        if len(inline) <= _MOST_INLINE:
            merge(f"({_from_json(table)})", {"rows": inline})
            return
        staging = self._stage(table, content)
        try:
            merge(f"`{staging}`", {})
        finally:
            self.jobs.drop(staging)

    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        contract = TABLES[table]
        content = checked_rows(contract, pd.DataFrame([row]))
        version = int(content.column("version")[0].as_py())
        made = self._made(contract)
        columns = ", ".join(f"`{name}`" for name in ("ds", *contract.column_names))
        highest = f"SELECT COALESCE(MAX(version), 0) AS n FROM `{table}` WHERE ds >= @start"  # noqa: S608
        parameters: dict[str, Parameter] = {"version": version, "start": date.min}
        staging = self._stage(contract, _with_day(content, day))
        sql = (
            f"INSERT INTO `{table}` ({columns}) SELECT {columns} FROM `{staging}` "  # noqa: S608  (the contract's names)
            f"WHERE @version = ({highest}) + 1"
        )

        def taken() -> bool:
            found = self.jobs.run(highest, {"start": date.min}, table)
            return int(found.column("n")[0].as_py()) >= version

        try:
            # A dataset or table that was made anew begins with ids of its own.
            key = f"{self.jobs.dataset.replace('.', '-').replace(':', '-')}-{table}-{made}-v{version}"
            if not self.jobs.append_once(sql, parameters, table, key, taken):
                return False
        finally:
            self.jobs.drop(staging)
        self._snapshot(table, version)
        return True

    def _snapshot(self, table: str, version: int) -> None:
        """A copy of the log that whoever may write it cannot take back, where the place asks for one."""
        if self.jobs.snapshots is None:
            return
        copy = f"{self.jobs.snapshots}.{table}_v{version:09d}"
        try:
            self.jobs.snapshot(f"{self.jobs.dataset}.{table}", copy)
        except (WarehouseRefused, WarehouseUnavailable) as error:  # the version stands all the same
            log.error("no snapshot of version %d was taken: %s", version, error)

    def fingerprint(self, table: str, day: date) -> str | None:
        return self.fingerprints(table, day, day).get(day)

    def fingerprints(self, table: str, start: date, end: date) -> dict[date, str]:
        content = self._read(TABLES[table], start, end)
        days = content.column("ds").unique().to_pylist()
        return {day: content_hash(TABLES[table], _of_day(content, day)) for day in days}

    def row_count(self, table: str, day: date) -> int:
        contract = self._input(TABLES[table])
        if contract.owner == "platform" and (table, day) in self._counts:
            return self._counts[table, day]
        sql = f"SELECT COUNT(*) AS n FROM `{contract.name}` WHERE ds = @ds"  # noqa: S608  (the contract's names)
        found = self._asked(contract, sql, {"ds": day})
        self._counts[table, day] = 0 if found is None else int(found.column("n")[0].as_py())
        return self._counts[table, day]

    def row_counts(self, table: str) -> dict[date, int]:
        """Rows of every day of one of Plumbline's tables."""
        sql = f"SELECT ds, COUNT(*) AS n FROM `{table}` WHERE ds >= @start GROUP BY ds"  # noqa: S608
        found = self._asked(TABLES[table], sql, {"start": date.min})
        return (
            {} if found is None else dict(zip(*(found.column(name).to_pylist() for name in ("ds", "n")), strict=True))
        )

    def replace_all(self, table: str, days: Iterable[tuple[date, pd.DataFrame]]) -> None:
        """Makes these days all there is of one of Plumbline's tables, by one load job; one day is held in memory."""
        import pyarrow.parquet as pq

        contract = TABLES[table]
        if self.jobs.table(table) is None:
            bring_up(self.jobs, contract)
        with tempfile.TemporaryFile() as file:
            writer = None
            for day, rows in days:
                content = _with_day(checked_rows(contract, rows), day)
                writer = writer or pq.ParquetWriter(file, content.schema)
                writer.write_table(content)
            if writer is None:
                return
            writer.close()
            layout = made(self.jobs, contract)
            self.jobs.load_file(
                file,
                f"{self.jobs.dataset}.{table}",
                fields(contract),
                table,
                time_partitioning=layout.time_partitioning,
                clustering_fields=layout.clustering_fields,
            )

    def delivered_events(self, day: date) -> pd.DataFrame | None:
        return self.read("reviewer_labels", day, day) if self.delivers("reviewer_labels") else None

    def input_problems(self, table: str, day: date) -> pd.DataFrame:
        contract = TABLES[table]
        found = self._known(table)
        problems: list[tuple[str, str | None, str, str]]
        if found is None:
            problems = [("-", None, "missing_day", f"dataset {self.jobs.dataset} has no table or view {table}")]
        else:
            problems = [(table, *problem) for problem in schema_problems(contract, found)]
            if not problems and self.row_count(table, day) == 0:
                problems = [("-", None, "missing_day", f"{table} has no row of {day}")]
        return pd.DataFrame(problems, columns=["file", "column", "problem", "detail"], dtype="object")

    def usage(self, since: date) -> pd.DataFrame | None:
        try:
            jobs = list(self.jobs.sent_since(datetime.combine(since, datetime.min.time(), UTC)))
        except (WarehouseRefused, WarehouseUnavailable) as error:
            log.warning("what BigQuery billed is not known: %s", error)
            return None
        table = TABLES["warehouse_usage"]
        rows = pd.DataFrame([vars(job) for job in jobs], columns=["ds", *table.column_names])
        return rows.groupby(["ds", *table.key], as_index=False).sum()

    def cancel(self) -> None:
        self.jobs.cancel()

    def _asked(self, table: Table, sql: str, parameters: Mapping[str, Parameter]) -> pa.Table | None:
        """The answer of a statement about one table; None if it is Plumbline's and not there yet."""
        if table.owner == "platform":
            return self.jobs.run(sql, parameters, table.name)
        try:
            return self.jobs.run(sql, parameters, table.name)
        except TableDiffers:
            if self.jobs.table(table.name) is None:
                return None
            bring_up(self.jobs, table)
        return self.jobs.run(sql, parameters, table.name)

    def _with(self, table: Table, act: Callable[[], _T]) -> _T:
        """What `act` does with Plumbline's `table`, which is made, or given the columns it lacks, if that fails."""
        try:
            return act()
        except TableDiffers:
            bring_up(self.jobs, table)
        return act()

    def _input(self, table: Table) -> Table:
        """`table`; WarehouseRefused if it is the platform's and not there, or not as the contract says."""
        if table.owner == "platform" and self._columns(table.name) is None:
            raise WarehouseRefused(
                f"{self.jobs.dataset} has no table or view {table.name}: make a view of that name over the "
                "platform's table (docs/bigquery.md has templates)"
            )
        return table

    def _columns(self, table: str) -> frozenset[str] | None:
        """Columns of an input; None: it is not there. WarehouseRefused if it differs from the contract."""
        found = self._known(table)
        if found is None:
            return None
        if table not in self._alike:
            if problems := schema_problems(TABLES[table], found):
                told = "; ".join(f"{name} {problem.replace('_', ' ')}: {detail}" for name, problem, detail in problems)
                raise WarehouseRefused(f"{self.jobs.dataset}.{table} differs from docs/tables.md: {told}")
            self._alike[table] = frozenset(field.name for field in found.schema)
        return self._alike[table]

    def _known(self, table: str) -> bigquery.Table | None:
        """Metadata of an input, which are asked for once."""
        if table not in self._inputs:
            self._inputs[table] = self.jobs.table(table)
        return self._inputs[table]

    def _made(self, table: Table) -> str:
        """When the table was made, which is made if it is not there: the name of this table among all of its name."""
        found = self.jobs.table(table.name)
        if found is None:
            bring_up(self.jobs, table)
            found = self.jobs.table(table.name)
        if found is None:
            raise WarehouseUnavailable(f"{self.jobs.dataset}.{table.name} was made and is gone; rerun later")
        return f"{found.created:%Y%m%d%H%M%S%f}"

    def _stage(self, table: Table, content: pa.Table) -> str:
        """A table of its own with `content`, which BigQuery drops by itself should this process die."""
        from google.cloud import bigquery

        name = f"{self.jobs.staging}.staging_{table.name}_{uuid.uuid4().hex}"
        staging = bigquery.Table(name, schema=fields(table))
        staging.expires = datetime.now(UTC) + timedelta(days=_STAGING_DAYS)
        self.jobs.create(staging)
        self.jobs.load(content, name, fields(table), table.name)
        return name


def _with_day(content: pa.Table, day: date) -> pa.Table:
    import pyarrow as pa

    days = pa.repeat(pa.scalar(day, pa.date32()), content.num_rows)
    return content.add_column(0, pa.field("ds", pa.date32(), nullable=False), days)


def _none(table: Table) -> pa.Table:
    import pyarrow as pa

    return arrow_schema(table).insert(0, pa.field("ds", pa.date32())).empty_table()


def _of_slice(table: Table, found: pa.Table, slice_value: str | None) -> pa.Table:
    import pyarrow.compute as pc

    return found if slice_value is None else found.filter(pc.equal(found.column(str(table.slice_by)), slice_value))


def _of_day(found: pa.Table, day: date) -> pa.Table:
    import pyarrow.compute as pc

    return found.filter(pc.equal(found.column("ds"), day)).drop_columns("ds")


def _as_json(content: pa.Table) -> str:
    """Rows as JSON: every value as text, which its type reads back exactly."""

    def text(value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        return str(value).lower() if isinstance(value, bool) else str(value)

    rows = [{name: text(value) for name, value in row.items()} for row in content.to_pylist()]
    return json.dumps(rows, ensure_ascii=False)


def _from_json(table: Table) -> str:
    """A query that gives the rows of parameter `rows`, which `_as_json` wrote."""
    columns = ", ".join(
        f"CAST(JSON_VALUE(row_json, '$.{name}') AS {kind}) AS `{name}`"
        for name, kind in [("ds", "DATE"), *((column.name, column.type) for column in table.columns)]
    )
    return f"SELECT {columns} FROM UNNEST(JSON_QUERY_ARRAY(@rows)) AS row_json"  # noqa: S608  (the contract's names)
