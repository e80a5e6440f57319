"""Which of the files in a landing folder are a day of a table: names are taken literally, links are not followed out.

    <landing>/<table>/ds=YYYY-MM-DD/<any name>.<a format of the table>

A folder under another name is no day (`ds=2026-11-25.bak`, `ds=__HIVE_DEFAULT_PARTITION__`), and in a day's folder
whatever is no file of a format of the table is no part of the day. Both are passed over with a warning. Names that
start with `.` or `_` or end in `.tmp` or `.part` are of files still being written, and are passed over without one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

_DAY = re.compile(r"ds=([0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclass(frozen=True)
class Listed:
    """Entries of a folder by name: those that count, those that lead out of the landing folder, and all others."""

    files: tuple[Path, ...] = ()
    links: tuple[Path, ...] = ()
    strays: tuple[Path, ...] = ()


def day_folder(day: date) -> str:
    """The name of a day's folder."""
    return f"ds={day.isoformat()}"


def days_in(folder: Path) -> tuple[dict[date, Path], tuple[Path, ...]]:
    """The folders of days in a table's folder, ascending, and whatever else is there but for unfinished names."""
    days, strays = {}, []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (day := _day_of(path.name)) is not None and path.is_dir():
            days[day] = path
        elif not unfinished(path.name):
            strays.append(path)
    return days, tuple(strays)


def files_in(folder: Path, formats: Collection[str], within: Path) -> Listed:
    """The files of a day's folder that end in one of `formats`, in any case, sorted by name.

    `within`: what they may not lead out of; a link inside it is a file like any other.
    """
    endings = tuple(f".{ending}" for ending in formats)
    found: dict[str, list[Path]] = {"files": [], "links": [], "strays": []}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if unfinished(path.name):
            continue
        if not path.name.lower().endswith(endings) or not path.is_file():
            found["strays"].append(path)
        else:
            found["files" if stays_within(path, within) else "links"].append(path)
    return Listed(**{kind: tuple(paths) for kind, paths in found.items()})


def unfinished(name: str) -> bool:
    """Whether a name is one that writers give to what they have not finished."""
    return name.startswith((".", "_")) or name.endswith((".tmp", ".part"))


def stays_within(path: Path, folder: Path) -> bool:
    """Whether `path` lies in `folder`, links followed."""
    return path.resolve().is_relative_to(folder.resolve())


def printable(name: str) -> str:
    """A file name as text any table can hold; names need not be UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _day_of(name: str) -> date | None:
    match = _DAY.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
