from __future__ import annotations

import pyarrow as pa
import pytest

from include.contract.schema import arrow_schema, empty_frame, table_reference
from include.contract.tables import TABLES

ALL = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
ARROW = {
    "INT64": "int64",
    "FLOAT64": "double",
    "STRING": "string",
    "BOOL": "bool",
    "TIMESTAMP": "timestamp[us, tz=UTC]",
    "DATE": "date32[day]",
}


@ALL
def test_the_parquet_schema_has_the_columns_in_order_with_type_and_nullability(table):
    fields = [(f.name, str(f.type), f.nullable) for f in arrow_schema(table)]
    assert fields == [(c.name, ARROW[c.type], c.nullable) for c in table.columns]


@ALL
def test_the_reference_shows_every_column_and_its_limits(table):
    text = table_reference()
    section = text.split(f"### `{table.name}`\n")[1].split("\n### ")[0]
    assert table.meaning in section
    for column in table.columns:
        (line,) = [line for line in section.splitlines() if line.startswith(f"| `{column.name}` |")]
        assert column.meaning in line
        absent = "yes, or left out" if column.optional else "yes" if column.nullable else ""
        assert f"| {column.type} | {absent} |" in line
        assert all(f"`{value}`" in line for value in column.allowed)
        if column.minimum == 0 and column.maximum == 1:
            assert line.endswith("[0, 1] |")
        if column.above == 0 and column.maximum == 1:
            assert line.endswith("(0, 1] |")


@ALL
def test_an_empty_frame_fits_the_schema(table):
    frame = empty_frame(table)
    assert list(frame.columns) == list(table.column_names)
    assert pa.Table.from_pandas(frame, arrow_schema(table), preserve_index=False).num_rows == 0


@ALL
def test_keys_and_slices_are_columns(table):
    assert set(table.key) <= set(table.column_names)
    assert not any(table.column(name).nullable for name in table.key)
    if table.slice_by:
        assert table.slice_by in table.key


def test_an_unknown_column_is_named():
    with pytest.raises(KeyError, match="video_scores has no column x"):
        TABLES["video_scores"].column("x")
