"""A day's files in the landing folder: a day appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import Table
from include.files import locked, make_folder, scratch_folder, sync

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 250_000
_OLD = ".old-"


@contextmanager
def replaced_day(folder: Path, day: date) -> Iterator[Path]:
    """An empty folder that becomes `folder`/ds=day, on disk, when the block ends; nothing changes if it raises.

    A folder that is not empty cannot be replaced in one step. So the old one is renamed first, and whoever is killed
    before the new one has its name loses no day: the next writer of any day puts the old one back.
    """
    make_folder(folder)
    with locked(folder):
        _put_back(folder)
    with scratch_folder(folder) as aside:
        yield aside
        for path in (*aside.iterdir(), aside):
            sync(path)
        with locked(folder):
            _put_back(folder)
            target, old = folder / f"ds={day}", folder / f"{_OLD}ds={day}"
            if target.exists():
                target.rename(old)
            aside.rename(target)
            sync(folder)
            shutil.rmtree(old, ignore_errors=True)


def _put_back(folder: Path) -> None:
    """Ends what a writer that was killed had begun; its lock on `folder` is held, so no living one is at it."""
    for old in folder.glob(f"{_OLD}ds=*"):
        target = folder / old.name.removeprefix(_OLD)
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet without Arrow's own schema, so that dictionaries read back as plain strings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)]
    pq.write_table(
        table, path, row_group_size=_ROW_GROUP, use_dictionary=texts, compression="snappy", store_schema=False
    )


def write_frame(path: Path, table: Table, frame: pd.DataFrame) -> None:
    """`frame` as Parquet in the schema of `table`, without the optional columns that it does not have."""
    import pyarrow as pa

    left_out = {column.name for column in table.columns if column.optional} - set(frame.columns)
    schema = pa.schema([field for field in arrow_schema(table) if field.name not in left_out])
    write_table(path, pa.Table.from_pandas(frame[schema.names], schema, preserve_index=False))
