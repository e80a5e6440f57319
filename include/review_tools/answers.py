"""Annotations of Label Studio as the lines of a drop, of which none is landed twice and none is lost. Pure.

A line holds of an annotation and its task what makes an event, and nothing that changes while the answer does not: what
is fetched again gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from include.files import canonical_json
from include.labels import label_studio
from include.sampling.label_studio import ASKED_ON

_OF_ANNOTATION = ("id", "result", "was_cancelled", "created_at", "updated_at")


def lines_of(tasks: Iterable[Mapping[str, Any]], people: Mapping[int, str], before: datetime) -> Iterator[str]:
    """A line each annotation of `tasks` that was last changed before that moment.

    Tasks of no queue, which somebody else put into the project, are passed over.

    Args:
        tasks: as Label Studio's API gives them with all their annotations.
        people: e-mail addresses by number.
        before: with time zone.
    """
    for task in tasks:
        if ASKED_ON not in task["data"]:
            continue
        data = {name: task["data"].get(name) for name in label_studio.FROM_TASK}
        for annotation in task["annotations"]:
            if datetime.fromisoformat(annotation["updated_at"]) < before:
                kept = {name: annotation.get(name) for name in _OF_ANNOTATION}
                who = {name: _person(annotation.get(name), people) for name in ("completed_by", "updated_by")}
                yield canonical_json({"annotation": kept | who, "data": data})


def _person(number: Any, people: Mapping[int, str]) -> dict[str, Any] | None:
    if isinstance(number, dict):
        number = number.get("id")
    return None if number is None else {"id": number, "email": people.get(number)}


def event_id(line: str) -> str:
    """The id of the line's event; of a line that is not from here, the line itself."""
    try:
        record = json.loads(line)
        return f"{record['annotation']['id']}:{record['annotation']['updated_at']}"
    except (ValueError, KeyError, TypeError):
        return line


def merged(here: Iterable[str], fetched: Iterable[str], earlier: Iterable[str]) -> list[str]:
    """The lines of a day's drop: those that are `here`, and of those `fetched` the ones that no drop has, in order."""
    known = {event_id(line) for line in earlier}
    kept = {event_id(line): line for line in here}
    new = {event_id(line): line for line in fetched if event_id(line) not in known}
    return [line for _, line in sorted({**new, **kept}.items())]
