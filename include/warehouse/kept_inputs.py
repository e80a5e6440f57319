"""Days of an input that were read before, kept in one file: golden labels are asked for from their first day on.

Reading a year of them file by file, and checking every row, takes seconds; listing the folders takes milliseconds. A
day is taken from what was kept as long as its folder holds the very same files: name, inode, size and times of change.
Days with links are read anew each time, and so are those that changed in the last moments, since a file may change
twice within one tick of the clock. What is kept can be removed at any time.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include import __version__
from include.contract.schema import arrow_schema
from include.contract.tables import Table
from include.files import digest_of, written_whole

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

SETTLED_SECONDS = 2.0
"""So long ago the newest file of a day must have changed for the day to be kept."""

_Stamp = list[list[int | str]]


def read_days(
    kept: Path, table: Table, days: Mapping[date, Path], read: Callable[[date], pa.Table], aside: Path
) -> pa.Table:
    """The rows of `days`, `ds` first, days ascending; each day from `kept` or by `read`, and then kept.

    Args:
        kept: the file; it need not be there, and nothing is lost if it cannot be written.
        days: folders of days.
        aside: a folder on the same disk to write in.
    """
    import pyarrow as pa

    rows, known = _kept(kept, table)
    stamps = {day: _stamp(folder) for day, folder in sorted(days.items())}
    same = [day for day, stamp in stamps.items() if stamp is not None and known.get(str(day)) == stamp]
    fresh = [_with_ds(read(day), day) for day in stamps if day not in set(same)]
    found = pa.concat_tables([_of(rows, same), *fresh]).sort_by("ds")
    new = {str(day): stamp for day, stamp in stamps.items() if stamp is not None and _stamp(days[day]) == stamp}
    if new.keys() - {str(day) for day in same}:
        # Days that were not asked for stay as they are: they are compared when they are.
        others = {day: stamp for day, stamp in known.items() if date.fromisoformat(day) not in stamps}
        parts = [_of(rows, map(date.fromisoformat, others)), _of(found, map(date.fromisoformat, new))]
        _keep(kept, table, pa.concat_tables(parts), {**others, **new}, aside)
    return found


def _of(rows: pa.Table, days: Iterable[date]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return rows.filter(pc.is_in(rows.column("ds"), value_set=pa.array(list(days), pa.date32())))


def _stamp(folder: Path) -> _Stamp | None:
    """What tells that a day's folder holds the same files; None: it cannot be told."""
    found: _Stamp = []
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if not entry.is_file(follow_symlinks=False) or status.st_mtime > time.time() - SETTLED_SECONDS:
                return None
            found.append([entry.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return sorted(found)


def _form(table: Table) -> str:
    """What the rows were kept as: another version of Plumbline may read files otherwise."""
    return digest_of([__version__, str(arrow_schema(table))])


def _kept(path: Path, table: Table) -> tuple[pa.Table, dict[str, _Stamp]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    none = _with_ds(arrow_schema(table).empty_table(), date.min)
    with suppress(OSError, ValueError, KeyError, pa.ArrowException):
        with path.open("rb") as file:
            found = pq.ParquetFile(file).read(use_threads=False)
        about = json.loads(found.schema.metadata[b"plumbline"])
        if about["form"] == _form(table):
            return found.select(none.column_names).cast(none.schema), about["stamps"]
    return none, {}


def _keep(path: Path, table: Table, rows: pa.Table, stamps: Mapping[str, _Stamp], aside: Path) -> None:
    import pyarrow.parquet as pq

    about = json.dumps({"form": _form(table), "stamps": stamps}, sort_keys=True)
    try:
        with written_whole(path, aside=aside) as file:
            pq.write_table(rows.replace_schema_metadata({b"plumbline": about.encode()}), file, compression="zstd")
    except OSError as error:
        log.warning("what was read of %s is not kept for the next time: %s", table.name, error)


def _with_ds(rows: pa.Table, day: date) -> pa.Table:
    import pyarrow as pa

    return rows.add_column(0, pa.field("ds", pa.date32()), pa.repeat(pa.scalar(day, pa.date32()), rows.num_rows))
