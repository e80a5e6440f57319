"""The files of a table whose rows are versions, only ever added: a file each, and bundles of those long since added.

    <table>/ds=YYYY-MM-DD/v000000101.parquet         one version, made by `append_version`
    <table>/bundles/v000000001-v000000050.parquet    BUNDLE versions, with their days; never written again

A year of a busy loop has more than seven hundred versions, and every task reads all of them. A bundle is renamed into
place whole, read back, and only then the files of its versions go. So a reader that lists single files first, and
bundles after that, finds each version in one of the two, and a killed writer leaves some in both. Rows are bundled as
they are: each keeps the hash that the ledger's chain is verified by, in a bundle as in a file of its own.
Nothing is remembered between two readings: whoever could set back a file's time must not be believed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include.contract.schema import arrow_schema
from include.contract.tables import Table
from include.files import sync, written_whole
from include.reading.folder import days_in
from include.warehouse.base import UnreadablePartition
from include.warehouse.frames import as_contract

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

BUNDLE = 50
"""Versions in a bundle; as many at least stay in files of their own."""

_FOLDER = "bundles"
_SINGLE = re.compile(r"v(\d{9})\.parquet")
_BUNDLE = re.compile(r"v(\d{9})-v(\d{9})\.parquet")
_TRIES = 10


@dataclass(frozen=True)
class Versions:
    """What a table's folder holds: single files by day and path, and bundles by their first and last version."""

    singles: tuple[tuple[date, Path], ...]
    bundles: dict[tuple[int, int], Path]

    @property
    def newest(self) -> int:
        """The highest version; 0: there is none."""
        return max([0, *(last for _, last in self.bundles), *(number_of(path) for _, path in self.singles)])

    def bundled(self, version: int) -> bool:
        return any(first <= version <= last for first, last in self.bundles)


def number_of(path: Path) -> int:
    """The version of a single file; 0: its name says none."""
    match = _SINGLE.fullmatch(path.name)
    return int(match[1]) if match else 0


def file_name(version: int) -> str:
    """The name of a version's own file."""
    return f"v{version:09d}.parquet"


def listed(folder: Path) -> Versions:
    """The files of the table in `folder`, single ones listed first."""
    days, _ = days_in(folder)
    singles = tuple((day, path) for day, place in days.items() for path in sorted(place.glob("*.parquet")))
    found = {}
    for path in sorted((folder / _FOLDER).glob("*.parquet")):
        if match := _BUNDLE.fullmatch(path.name):
            found[int(match[1]), int(match[2])] = path
    return Versions(singles, found)


def read_versions(folder: Path, table: Table) -> pa.Table:
    """All rows, `ds` first. Raises UnreadablePartition."""
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):  # it was bundled since it was listed
            return _read(listed(folder), table)
    return _read(listed(folder), table)


def _read(versions: Versions, table: Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    bundles = [_content(path, table, None) for path in versions.bundles.values()]
    together = pa.concat_tables([_with_ds(table).empty_table(), *bundles])
    parts = [together]
    for day, path in versions.singles:
        single = _content(path, table, day)
        number = number_of(path)
        # Left by a killed writer, it is what the bundle holds. If it is not, both are shown, and the chain is broken.
        if versions.bundled(number) and single.equals(together.filter(pc.equal(together.column("version"), number))):
            continue
        parts.append(single)
    return pa.concat_tables(parts)


def bundle_oldest(folder: Path, table: Table, aside: Path) -> None:
    """Puts the oldest BUNDLE versions into one file where twice as many have their own.

    Args:
        folder: the table's, which the caller holds locked.
        aside: a folder on the same disk to write in.

    Raises:
        OSError: the bundle cannot be written, or not be read back.
        UnreadablePartition: a version is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    versions = listed(folder)
    own = {number_of(path): (day, path) for day, path in versions.singles if number_of(path)}
    left = {number: found for number, found in own.items() if versions.bundled(number)}
    if left:
        rows = _read(versions, table)
        _remove(path for number, (_, path) in left.items() if rows.column("version").to_pylist().count(number) == 1)
    numbers = sorted(own.keys() - left.keys())[:BUNDLE]
    first = max((last for _, last in versions.bundles), default=0) + 1
    if len(own) - len(left) < 2 * BUNDLE or numbers != list(range(first, first + BUNDLE)):
        return
    rows = pa.concat_tables([_content(path, table, day) for day, path in (own[number] for number in numbers)])
    target = folder / _FOLDER / f"v{numbers[0]:09d}-v{numbers[-1]:09d}.parquet"
    with written_whole(target, aside=aside) as file:
        pq.write_table(rows, file, compression="zstd")
    if not _content(target, table, None).equals(rows):
        target.unlink()
        raise OSError(f"{target} does not hold what was written to it")
    _remove(own[number][1] for number in numbers)
    log.info("%s: versions %d to %d are in one file now", table.name, numbers[0], numbers[-1])


def _remove(paths: Iterator[Path]) -> None:
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        with suppress(OSError):  # it holds a version still
            folder.rmdir()
            sync(folder.parent)


def _with_ds(table: Table) -> pa.Schema:
    import pyarrow as pa

    return arrow_schema(table).insert(0, pa.field("ds", pa.date32()))


def _content(path: Path, table: Table, day: date | None) -> pa.Table:
    """The rows of a file, `ds` first: the file's own or `day`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:  # opened once: the path may lead to another file a moment later
            found = pq.ParquetFile(file).read(use_threads=False)
        days = found.column("ds").cast(pa.date32()) if day is None else pa.repeat(pa.scalar(day), found.num_rows)
        return as_contract(table, found).add_column(0, pa.field("ds", pa.date32()), days)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnreadablePartition(table.name, day or path.stem, path.name, str(error).splitlines()[0]) from error
