"""Whether the files of a day can be read as their table: judged by Parquet footers alone, before any scan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from include.contract.tables import Column, Table
from include.reading.folder import Listed, printable

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("file", "column", "problem", "detail")


class Footer(NamedTuple):
    """A file with its columns as Arrow sees them, and how many rows it has."""

    path: Path
    schema: pa.Schema
    rows: int


def inspect_parquet(table: Table, listed: Listed) -> pd.DataFrame:
    """Problems that keep the files of one day's partition from being read as `table`; no rows if there is none.

    COLUMNS: file (its name; "-": the day), column (None: the file as a whole), problem, detail; sorted by file, then in
    the table's order of columns. Problems: missing_day, link_out_of_folder, unreadable, empty (no row in all files),
    missing_column, wrong_type. Extra columns are ignored, optional ones may be missing. Narrower integers and floats,
    decimals, any timestamp unit, large or dictionary-encoded strings, and all-NULL columns where NULL is allowed are
    accepted; files of one day need not agree.
    """
    footers, found = read_footers(table, listed)
    if not listed.files and not listed.links:
        found.append(("-", None, "missing_day", "the day has no files"))
    elif not found and not any(footer.rows for footer in footers):
        found.append(("-", None, "empty", f"no rows in {len(footers)} file(s)"))
    return pd.DataFrame(found, columns=list(COLUMNS), dtype="object")


def read_footers(table: Table, listed: Listed) -> tuple[list[Footer], list[tuple[str, str | None, str, str]]]:
    """The files that can be read as `table`, and the problems of the others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    footers: list[Footer] = []
    problems: list[tuple[str, str | None, str, str]] = []
    for path in sorted((*listed.files, *listed.links)):
        name = printable(path.name)
        if path in listed.links:
            problems.append((name, None, "link_out_of_folder", "a link that leads out of the landing folder"))
            continue
        if name != path.name:
            problems.append((name, None, "unreadable", "the file's name is not UTF-8"))
            continue
        try:
            with pq.ParquetFile(path) as file:
                footer = Footer(path, file.schema_arrow, file.metadata.num_rows)
        except (OSError, pa.ArrowException) as error:
            problems.append((name, None, "unreadable", str(error).splitlines()[0]))
            continue
        wrong = [(name, *problem) for problem in _schema_problems(table, footer.schema)]
        problems += wrong
        if not wrong:
            footers.append(footer)
    return footers, problems


def _schema_problems(table: Table, schema: pa.Schema) -> list[tuple[str, str, str]]:
    problems = []
    for column in table.columns:
        named = [name for name in schema.names if name.casefold() == column.name.casefold()]
        if column.name not in named:
            if column.optional:
                continue
            others = f"; the file has {_listed(named)}" if named else ""
            problems.append((column.name, "missing_column", f"{column.type} expected{others}"))
        elif len(named) > 1:
            problems.append((column.name, "wrong_type", f"{len(named)} columns of this name: {_listed(named)}"))
        elif not _fits(column, found := schema.field(column.name).type):
            problems.append((column.name, "wrong_type", f"is {found}, {column.type} expected"))
    return problems


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _fits(column: Column, found: pa.DataType) -> bool:
    """Whether values of type `found` are the column's, without loss; those of a decimal may be too large for INT64."""
    from pyarrow import types

    if types.is_null(found):
        return column.nullable
    if types.is_dictionary(found):
        found = found.value_type
    return {
        "INT64": (types.is_integer(found) and not types.is_uint64(found)) or _is_decimal(found, whole=True),
        "FLOAT64": types.is_floating(found) or _is_decimal(found, whole=False),
        "STRING": types.is_string(found) or types.is_large_string(found) or types.is_string_view(found),
        "BOOL": types.is_boolean(found),
        "TIMESTAMP": types.is_timestamp(found),
        "DATE": types.is_date(found),
    }[column.type]


def _is_decimal(found: pa.DataType, *, whole: bool) -> bool:
    """Whether it is a decimal that DuckDB reads exactly: at most 38 digits. `whole`: and none behind the point."""
    from pyarrow import types

    return types.is_decimal(found) and found.precision <= 38 and (not whole or found.scale == 0)
