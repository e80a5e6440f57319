"""Parquet files as rows, measured before they are unpacked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contract.terms import Reason
from include.reading.folder import printable
from include.reading.limits import Limits
from include.reading.refusal import Refusal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_UNPACKING_MEMORY = "256MB"


def flat_rows(path: Path, limits: Limits) -> tuple[dict[str, pa.DataType], list[dict[str, Any]]]:
    """The file's columns with their types, and its rows without the columns of lists or objects.

    Times are text, because Arrow alone can show those that Python has no date for. Raises Refusal.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if len(set(schema.names)) < len(schema.names):
                raise ValueError(f"columns {', '.join(schema.names)}: one occurs twice")
            Measure(limits).check(path, file.metadata.num_rows, schema)
            table = file.read(columns=[field.name for field in schema if not pa.types.is_nested(field.type)])
        for position, field in enumerate(table.schema):
            table = table.set_column(position, field.name, _as_written(table.column(position)))
        return {field.name: field.type for field in schema}, table.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Refusal(Reason.UNREADABLE_FILE, f"{printable(path.name)}: {str(error)[:300]}") from error


class Measure:
    """Says of Parquet files, before they are unpacked, whether they hold more rows or text than is read of one.

    A footer may lie and a page of a few bytes unpack into gigabytes, so the text of the columns that are not nested is
    measured by DuckDB, which stops at a limit of its own memory. Its connection costs more than a file's measure.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        connection = duckdb.connect()
        connection.execute("SET memory_limit = ?", [_UNPACKING_MEMORY])
        connection.execute("SET temp_directory = ''")
        connection.execute("SET threads = 1")
        return connection

    def check(self, path: Path, rows: int, schema: pa.Schema) -> None:
        """Raises Refusal for a file that is too large, or damaged."""
        import duckdb
        import pyarrow as pa

        self._limits.check(path, rows, 0)
        # Named by position: DuckDB renames columns whose names differ in case alone.
        names = [f"c{position}" for position in range(len(schema))]
        flat = [name for name, field in zip(names, schema, strict=True) if not pa.types.is_nested(field.type)]
        sizes = [f"COALESCE(SUM(STRLEN(CAST({name} AS VARCHAR))), 0)" for name in flat]
        source = f"{literal_parquet([path])} AS file({', '.join(names)})"
        total = f"SELECT {' + '.join(['0', *sizes])} FROM {source}"  # noqa: S608  (a literal)
        try:
            found = self._connection.execute(total).fetchone()
        except duckdb.OutOfMemoryException as error:
            detail = f"{printable(path.name)}: unpacking it takes more than {_UNPACKING_MEMORY}"
            raise Refusal(Reason.FILE_TOO_LARGE, detail) from error
        except (duckdb.Error, ValueError) as error:
            detail = f"{printable(path.name)}: {str(error).splitlines()[0][:300]}"
            raise Refusal(Reason.UNREADABLE_FILE, detail) from error
        self._limits.check(path, rows, int(found[0]) if found else 0)


def literal_parquet(files: Sequence[Path]) -> str:
    """DuckDB's source of these Parquet files. It takes a path for a pattern, and parts of it for columns, if it may.

    In brackets, a character of a pattern stands for itself.
    """
    patterns = ("".join(f"[{c}]" if c in "*?[" else c for c in str(path)) for path in files)
    names = ", ".join("'" + pattern.replace("'", "''") + "'" for pattern in patterns)
    return f"read_parquet([{names}], hive_partitioning = false)"


def _as_written(values: Any) -> Any:
    """An Arrow column as what Python can show without loss: times as text, whole decimals as integers' text.

    A narrow float keeps fewer digits than Python's, so a whole number it may have rounded is shown with an exponent.
    """
    import pyarrow as pa

    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_temporal(kind):
        return values.cast(kind).cast(pa.string())
    if pa.types.is_decimal(kind):
        return pa.array([_decimal_text(value) for value in values.to_pylist()], pa.string())
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        exact = 2**11 if pa.types.is_float16(kind) else 2**24
        return pa.array([_float_text(value, exact) for value in values.to_pylist()], pa.string())
    return values


def _decimal_text(value: Decimal | None) -> str | None:
    if value is None:
        return None
    return str(int(value)) if value == value.to_integral_value() else str(value)


def _float_text(value: float | None, exact: int) -> str | None:
    if value is None or math.isnan(value):
        return None
    return f"{value:e}" if abs(value) >= exact else repr(value)
