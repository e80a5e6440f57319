"""Whether the files of a day can be read as their table: judged by Parquet footers alone, before any scan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from include.contract.tables import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa


def inspect_parquet(table: Table, files: list[Path]) -> pd.DataFrame:
    """Problems that keep `files`, one day's partition, from being read as `table`; no rows if there is none.

    Columns: file (its name; "-": the day), column (None: the file as a whole), problem, detail; sorted by file, then in
    the table's order of columns. Problems: missing_day, unreadable, empty (no row in all files), missing_column,
    wrong_type. Extra columns are ignored, optional ones may be missing. Narrower integers and floats, any timestamp
    unit, large or dictionary-encoded strings, and all-NULL columns where NULL is allowed are accepted.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: list[tuple[str, str | None, str, str]] = []
    rows = 0
    for file in sorted(files):
        try:
            footer = pq.ParquetFile(file)
        except (OSError, pa.ArrowException) as error:
            found.append((file.name, None, "unreadable", str(error).splitlines()[0]))
            continue
        with footer:
            rows += footer.metadata.num_rows
            found += [(file.name, *problem) for problem in _schema_problems(table, footer.schema_arrow)]
    if not files:
        found.append(("-", None, "missing_day", "the day has no files"))
    elif rows == 0 and not any(problem == "unreadable" for _, _, problem, _ in found):
        found.append(("-", None, "empty", f"no rows in {len(files)} file(s)"))
    return pd.DataFrame(found, columns=["file", "column", "problem", "detail"], dtype="object")


def _schema_problems(table: Table, schema: pa.Schema) -> list[tuple[str, str, str]]:
    counts = Counter(schema.names)
    problems = []
    for column in table.columns:
        if counts[column.name] == 0:
            if column.optional:
                continue
            problems.append((column.name, "missing_column", f"{column.type} expected"))
        elif counts[column.name] > 1:
            problems.append((column.name, "wrong_type", f"{counts[column.name]} columns of this name"))
        elif not _fits(column, found := schema.field(column.name).type):
            problems.append((column.name, "wrong_type", f"is {found}, {column.type} expected"))
    return problems


def _fits(column: Column, found: pa.DataType) -> bool:
    """Whether every value of type `found` is one of the column's type, without loss."""
    from pyarrow import types

    if types.is_null(found):
        return column.nullable
    if types.is_dictionary(found):
        found = found.value_type
    return {
        "INT64": types.is_integer(found) and not types.is_uint64(found),
        "FLOAT64": types.is_floating(found),
        "STRING": types.is_string(found) or types.is_large_string(found) or types.is_string_view(found),
        "BOOL": types.is_boolean(found),
        "TIMESTAMP": types.is_timestamp(found),
        "DATE": types.is_date(found),
    }[column.type]
