"""The contract's tables as BigQuery has them: made from schema fields over the API, so that no name needs quoting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from include.contract.schema import MOST_CLUSTERING
from include.contract.tables import Column, Table
from include.warehouse.base import WarehouseRefused

if TYPE_CHECKING:
    from google.cloud import bigquery

    from include.warehouse.bigquery_jobs import Jobs

DAY = Column("ds", "DATE", "The day")
_REST_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def fields(table: Table) -> list[bigquery.SchemaField]:
    """The columns of `table`, `ds` first."""
    return [_field(column) for column in (DAY, *table.columns)]


def bring_up(jobs: Jobs, table: Table) -> None:
    """Makes a table of Plumbline's that is not there, and gives one of an older shape the nullable columns it lacks.

    Raises WarehouseRefused if it differs in anything else.
    """
    found = jobs.table(table.name, in_dataset=False)  # to make it where there is no dataset is refused by name
    if found is None:
        jobs.create(made(jobs, table))
        return
    problems = schema_problems(table, found)
    new = [table.column(name) for name, problem, _ in problems if problem == "missing_column" and name != "ds"]
    wrong = [problem for problem in problems if problem[1] != "missing_column" or problem[0] == "ds"]
    wrong += [(column.name, "missing_column", f"{column.type} expected") for column in new if not column.nullable]
    if wrong:
        told = "; ".join(f"{name} {problem.replace('_', ' ')}: {detail}" for name, problem, detail in wrong)
        raise WarehouseRefused(f"{jobs.dataset}.{table.name} differs from docs/tables.md: {told}")
    if new:  # else another was faster
        jobs.add_columns(found, [_field(column) for column in new])


def schema_problems(table: Table, found: Any) -> list[tuple[str, str, str]]:
    """What keeps a BigQuery table or view from being read as `table`: (column, problem, detail)."""
    types = {field.name: _REST_TYPES.get(field.field_type, field.field_type) for field in found.schema}
    problems = []
    for column in (DAY, *table.columns):
        if column.name not in types and column.optional:
            continue
        if column.name not in types:
            problems.append((column.name, "missing_column", f"{column.type} expected"))
        elif types[column.name] != column.type:
            problems.append((column.name, "wrong_type", f"is {types[column.name]}, {column.type} expected"))
    return problems


def read_from(query: str, table: Table, found: Any, *, as_of: bool) -> str:
    """`query` of the day @ds, in which the optional columns that the platform's `table` does not have are NULL.

    `as_of`: the table is read as it was at the moment @as_of.
    """
    there = {field.name for field in found.schema}
    absent = [column for column in table.columns if column.optional and column.name not in there]
    nulls = "".join(f", CAST(NULL AS {column.type}) AS `{column.name}`" for column in absent)
    source = f"{table.name} FOR SYSTEM_TIME AS OF @as_of" if as_of else table.name
    if nulls:
        source = f"(SELECT *{nulls} FROM {source} WHERE ds = @ds)"  # noqa: S608  (the contract's names)
    return re.sub(rf"\bFROM {table.name}\b", f"FROM {source}", query)


def keeps_states(found: Any) -> bool:
    """Whether BigQuery can read a table as it was: one of its own tables, and no view."""
    return bool(found.table_type == "TABLE")


def made(jobs: Jobs, table: Table) -> bigquery.Table:
    """What `table` is to be: partitioned by day, clustered by the first columns of its key."""
    from google.cloud import bigquery

    made = bigquery.Table(f"{jobs.dataset}.{table.name}", schema=fields(table))
    made.description = table.meaning
    made.time_partitioning = bigquery.TimePartitioning(field="ds")
    made.require_partition_filter = table.large
    made.clustering_fields = list(table.key[:MOST_CLUSTERING])
    return made


def _field(column: Column) -> bigquery.SchemaField:
    from google.cloud import bigquery

    mode = "NULLABLE" if column.nullable else "REQUIRED"
    return bigquery.SchemaField(column.name, column.type, mode, description=column.meaning)
