"""Pages that tasks wrote, found by name: reports of days, answers to requests, gates. A name never becomes a path.

What is asked for is compared with what is there: the folder is listed, and an entry is taken whose own name says the
same. Links are not followed.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from include.config.settings import Settings

_ANSWER = re.compile(r"(\d{4}-\d{2}-\d{2}) (.*) ([0-9a-f]{8})")


def report_days(settings: Settings) -> set[date]:
    """The days that have a report."""
    found = {_day(path.stem) for path in _files(settings.reports)}
    return {day for day in found if day is not None}


def report(settings: Settings, day: date) -> Path | None:
    """The report of `day`; None: there is none."""
    return next((path for path in _files(settings.reports) if _day(path.stem) == day), None)


def answers(settings: Settings, day: date) -> list[tuple[str, str]]:
    """Of each answer to a request on `day`, the key that finds it and the readable name of its run; sorted by name."""
    found = (_ANSWER.fullmatch(path.stem) for path in _files(settings.reports / "ad_hoc"))
    return sorted(((name[3], name[2]) for name in found if name and name[1] == str(day)), key=lambda pair: pair[1])


def answer(settings: Settings, day: date, key: str) -> Path | None:
    """The answer to the request on `day` whose page has this key; None: there is none, or more than one."""
    found = []
    for path in _files(settings.reports / "ad_hoc"):
        name = _ANSWER.fullmatch(path.stem)
        if name and (name[1], name[3]) == (str(day), key):
            found.append(path)
    return found[0] if len(found) == 1 else None


def gate(settings: Settings, day: date, name: str) -> Path | None:
    """The page of a gate on `day`; None: there is none."""
    return next((path for path in _files(settings.quality_docs / f"ds={day}") if path.stem == name), None)


def gates(settings: Settings, day: date) -> set[str]:
    """The gates that have a page on `day`."""
    return {path.stem for path in _files(settings.quality_docs / f"ds={day}")}


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix == ".html" and path.is_file() and not path.is_symlink()
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
