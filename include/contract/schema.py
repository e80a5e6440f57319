"""What derives from the contract: Parquet schemas, empty frames and the table reference."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from include.contract.tables import TABLES, Column, Table

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLUSTERING = 4
"""Columns BigQuery clusters by at most."""

_PANDAS_TYPES = {
    "INT64": "int64",
    "FLOAT64": "float64",
    "STRING": "str",
    "BOOL": "bool",
    "TIMESTAMP": "datetime64[us, UTC]",
    "DATE": "object",
}


def arrow_schema(table: Table) -> pa.Schema:
    """The Parquet schema of `table` (without `ds`, which the partition carries)."""
    import pyarrow as pa

    types = {
        "INT64": pa.int64(),
        "FLOAT64": pa.float64(),
        "STRING": pa.string(),
        "BOOL": pa.bool_(),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
        "DATE": pa.date32(),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.nullable) for c in table.columns])


def empty_frame(table: Table) -> pd.DataFrame:
    """A frame with the columns of `table` and no rows."""
    return _empty_frame(table).copy()


@cache  # making one takes a hundred times as long as copying it
def _empty_frame(table: Table) -> pd.DataFrame:
    return pd.DataFrame({c.name: pd.Series(dtype=_PANDAS_TYPES[c.type]) for c in table.columns})


def table_reference() -> str:
    """`docs/tables.md`: every table and column, as Markdown."""
    parts = [
        "# Tables",
        "",
        "Generated from `include/contract/tables.py` by `make docs`. Types are GoogleSQL's; every table is "
        "partitioned by `ds`, the day (DATE). The key is unique within a day.",
        "",
    ]
    for owner, heading in (
        ("platform", "Inputs: the platform's, read only"),
        ("plumbline", "Plumbline's own"),
    ):
        parts += [f"## {heading}", ""]
        for table in TABLES.values():
            if table.owner == owner:
                parts += _table_section(table)
    return "\n".join(parts)


def _table_section(table: Table) -> list[str]:
    notes = [f"{table.meaning}. Key: {', '.join(f'`{k}`' for k in table.key)}."]
    if table.optional:
        notes.append(f"Optional; without it there is no {table.switches_off}.")
    if table.slice_by:
        notes.append(f"Replaced by day and `{table.slice_by}`.")
    if table.owner == "platform":
        notes.append(f"Files: {', '.join(f'`.{f}`' for f in table.formats)}.")
    rows = [f"| `{c.name}` | {c.type} | {_null(c)} | {c.meaning}{_limits(c)} |" for c in table.columns]
    return [
        f"### `{table.name}`",
        "",
        " ".join(notes),
        "",
        "| column | type | NULL | meaning |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _null(column: Column) -> str:
    return "yes, or left out" if column.optional else "yes" if column.nullable else ""


def _limits(column: Column) -> str:
    if column.allowed:
        return f" ({', '.join(f'`{v}`' for v in column.allowed)})"
    low = f"({column.above:g}" if column.above is not None else None
    if column.minimum is not None:
        low = f"[{column.minimum:g}"
    if low is None and column.maximum is None:
        return ""
    high = f"{column.maximum:g}]" if column.maximum is not None else "inf)"
    return f" {low or '(-inf'}, {high}"
