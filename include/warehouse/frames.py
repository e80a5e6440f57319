"""Rows between pandas and Arrow, by the contract: what every engine does alike."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa


def checked_rows(table: Table, rows: pd.DataFrame) -> pa.Table:
    """`rows` as an Arrow table of the contract's schema. ValueError names table and column where they differ."""
    import pyarrow as pa

    missing = [name for name in table.column_names if name not in rows.columns]
    extra = [str(name) for name in rows.columns if name not in table.column_names]
    if missing or extra:
        raise ValueError(f"{table.name}: missing columns {missing}, columns outside the contract {extra}")
    schema = arrow_schema(table)
    arrays = []
    for field in schema:
        try:
            array = pa.Array.from_pandas(rows[field.name], type=field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"{table.name}.{field.name}: not {field.type}: {error}") from error
        if array.null_count and not field.nullable:
            raise ValueError(f"{table.name}.{field.name}: {array.null_count} NULL values, none are allowed")
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def as_contract(table: Table, content: pa.Table) -> pa.Table:
    """`content` in the contract's schema, with columns that may be absent as NULL; others are left out.

    The platform may leave out optional columns; an earlier version of Plumbline did not write those that came since.

    Digits of a time beyond microseconds are cut. Raises ValueError naming the column that does not fit.
    """
    import pyarrow as pa

    schema = arrow_schema(table)
    columns = []
    for column, field in zip(table.columns, schema, strict=True):
        may_be_absent = column.optional or (table.owner == "plumbline" and column.nullable)
        if may_be_absent and column.name not in content.column_names:
            columns.append(pa.nulls(content.num_rows, field.type))
            continue
        try:
            values = content.column(column.name)
            if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
                values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
            values = values.cast(field.type)
        except (pa.ArrowException, KeyError) as error:
            raise ValueError(f"column {column.name}: {str(error).splitlines()[0]}") from error
        if values.null_count and not field.nullable:
            raise ValueError(f"column {column.name}: {values.null_count} NULL values, none are allowed")
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=schema)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Integers with NULLs stay integers; dates are datetime.date."""
    import pyarrow as pa

    nullable = {field.name for field in table.schema if table.column(field.name).null_count}
    frame = table.to_pandas(date_as_object=True)
    for field in table.schema:
        if field.type == pa.int64() and field.name in nullable:
            frame[field.name] = pd.array(table.column(field.name).to_pylist(), dtype="Int64")
    return frame


def content_hash(table: Table, content: pa.Table) -> str:
    """SHA-256 of the rows of one partition: the same in every engine, in whatever order and files the rows lie.

    Columns in the contract's order, each as its NULL flags, then its values in Arrow's memory layout.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = arrow_schema(table)
    rows = content.select(schema.names).cast(schema)
    rows = rows.sort_by([(name, "ascending") for name in (*table.key, *schema.names)]).combine_chunks()
    digest = hashlib.sha256(f"{table.name} {rows.num_rows}".encode())
    for contract, field, column in zip(table.columns, schema, rows.columns, strict=True):
        values = column.combine_chunks()
        if contract.later and values.null_count == len(values):
            continue
        digest.update(f"\n{field.name} {field.type}\n".encode())
        digest.update(pc.is_null(values).cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
        if field.type == pa.string():
            digest.update(pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False).tobytes())
            digest.update("".join(values.drop_null().to_pylist()).encode())
        elif field.type == pa.bool_():
            digest.update(values.fill_null(False).cast(pa.uint8()).to_numpy(zero_copy_only=False).tobytes())
        elif field.type == pa.float64():
            digest.update(values.fill_null(0.0).to_numpy(zero_copy_only=False).tobytes())
        else:
            width = pa.int32() if field.type == pa.date32() else pa.int64()
            digest.update(values.cast(width).fill_null(0).to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()
