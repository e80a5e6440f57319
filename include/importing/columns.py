"""Reads columns of a CSV or Parquet file as text, losing nothing: an id of 64 bits never passes through a float."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".csv", ".parquet")

_WHOLE_FLOAT = r"^(-?[0-9]+)\.0$"
_EXPONENT = r"-?[0-9]+([.,][0-9]+[eE][+-]?|[eE]\+)[0-9]+"
"""As spreadsheets and pandas write a float; 12e34 may be an id of letters and digits."""

_EXACT_IN_FLOAT = 2**53


class ImportRefused(ValueError):
    """The files cannot be imported. The message names file, column, row, value and what is allowed."""


def read_columns(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """The columns `names` of `path` as text without surrounding white space; "" where there is no value.

    CSV is UTF-8, separated by commas, with the names in its first line. The index counts rows from 1, as every message
    does: the first row is the one after the header.

    Raises ImportRefused for a file that is not there, is not one of FORMATS, cannot be read or has no row, and for a
    column that is named twice, is missing, occurs twice or holds no plain values.
    """
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ImportRefused(f"{path}: column {repeated[0]!r} is given two roles")
    _check_file(path)
    rows = _read_csv(path, names) if path.suffix.lower() == ".csv" else _read_parquet(path, names)
    if rows.empty:
        raise ImportRefused(f"{path}: the file has no row")
    return rows.apply(lambda column: column.str.strip()).set_axis(range(1, len(rows) + 1), axis=0)


def read_header(path: Path) -> list[str]:
    """The names of all columns of `path`. Raises ImportRefused for a file that cannot be read."""
    _check_file(path)
    return _csv_header(path) if path.suffix.lower() == ".csv" else _parquet_header(path)


def read_ids(rows: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """The ids of a column of `read_columns`, as they are; but 7.0, as a column with gaps is written, is 7.

    Raises ImportRefused for a missing id, and for one that a float wrote and may have rounded.
    """
    items = rows[name]
    refuse_where(items == "", items, path, "is no item id")
    whole = items.str.extract(_WHOLE_FLOAT)[0]
    large = whole.map(lambda digits: isinstance(digits, str) and abs(int(digits)) >= _EXACT_IN_FLOAT)
    rounded = items.str.fullmatch(_EXPONENT) | large
    refuse_where(rounded, items, path, "passed through a float that may have rounded it: write ids as text or integers")
    return whole.where(whole.notna(), items).rename(name)


def refuse_where(bad: npt.ArrayLike, values: pd.Series, path: Path, reason: str) -> None:
    """Raises ImportRefused with the first value that is `bad`, its row, and how many there are; `values.name`: the
    column.
    """
    rows = np.flatnonzero(np.asarray(bad, dtype=bool))
    if rows.size:
        first, others = int(rows[0]), f" (and {rows.size - 1} more)" if rows.size > 1 else ""
        where = f"{path}, column {values.name}, row {values.index[first]}"
        raise ImportRefused(f"{where}: {str(values.iloc[first])[:100]!r} {reason}{others}")


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise ImportRefused(f"{path}: expected a file ending in {' or '.join(FORMATS)}")
    if not path.is_file():
        raise ImportRefused(f"{path}: there is no such file")


def _csv_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ImportRefused(f"{path}: not a CSV file in UTF-8: {error}") from error


def _parquet_header(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise ImportRefused(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from error


def _read_csv(path: Path, names: Sequence[str]) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            _check_header(path, next(csv.reader(file), []), names)
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),  # with threads its messages name no row
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(names), column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        counted = re.sub(r"Row #(\d+)", lambda match: f"row {int(match[1]) - 1}", str(error))  # it counts the header
        raise ImportRefused(f"{path}: not a CSV file in UTF-8: {counted[:300]}") from error
    return table.to_pandas()


def _read_parquet(path: Path, names: Sequence[str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_header(path, file.schema_arrow.names, names)
            table = file.read(columns=list(names))
    except (pa.ArrowException, OSError) as error:
        raise ImportRefused(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from error
    texts = {}
    for name in names:
        try:
            texts[name] = _written(table.column(name)).fill_null("").to_pandas()
        except pa.ArrowException as error:
            found = table.column(name).type
            raise ImportRefused(f"{path}, column {name}: is {found}; text or numbers are expected") from error
    return pd.DataFrame(texts)


def _written(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as text; floats from where they may have been rounded to whole numbers on, with an exponent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    exact = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): float(_EXACT_IN_FLOAT)}.get(values.type)
    if exact is not None:
        wide = values.cast(pa.float64())
        if pc.any(pc.greater_equal(pc.abs(wide), exact)).as_py():
            texts = [None if v is None else f"{v:e}" if abs(v) >= exact else repr(v) for v in wide.to_pylist()]
            return pa.chunked_array([pa.array(texts, pa.string())])
    return values.cast(pa.string())


def _check_header(path: Path, found: list[str], names: Sequence[str]) -> None:
    for name in names:
        if found.count(name) != 1:
            problem = "occurs more than once" if name in found else "is missing"
            raise ImportRefused(f"{path}: column {name!r} {problem}; the file has {', '.join(map(repr, found))[:500]}")
