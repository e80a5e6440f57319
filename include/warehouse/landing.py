"""A day's files in the landing folder: a day appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 250_000


@contextmanager
def replaced_day(folder: Path, day: date) -> Iterator[Path]:
    """An empty folder that becomes `folder`/ds=day when the block ends; nothing changes if it raises."""
    target, aside, old = (
        folder / f"ds={day}",
        folder / f".new-{day}-{os.getpid()}",
        folder / f".old-{day}-{os.getpid()}",
    )
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside)
        raise
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet without Arrow's own schema, so that dictionaries read back as plain strings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)]
    pq.write_table(
        table, path, row_group_size=_ROW_GROUP, use_dictionary=texts, compression="snappy", store_schema=False
    )


def write_frame(path: Path, table: Table, frame: pd.DataFrame) -> None:
    """`frame` as Parquet in the schema of `table`."""
    import pyarrow as pa

    write_table(path, pa.Table.from_pandas(frame[list(table.column_names)], arrow_schema(table), preserve_index=False))
