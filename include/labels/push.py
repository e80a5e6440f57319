"""What review tools push: an asset event's batch of label events, as a file of the day it arrived.

A tool posts `{"events": [{...}, ...]}` as the `extra` of an asset event. Each element becomes one line of
`<landing>/reviewer_labels/ds=<arrival day>/push-<moment>-<content>.jsonl`, and each annotation of Label Studio in it
one line of its own; from there the day's ingestion takes them: what is wrong with a line is refused there, like any
line's fault. Day and name come from the event alone, so a rerun writes the same file, and a batch pushed twice is two
files whose events are repeats. An empty list of events is no file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from include.labels import label_studio
from include.labels.drops import PUSH_PREFIX

_NOT_PUSHED = "from_rest_api"  # Airflow marks with it that the event came over its API


@dataclass(frozen=True)
class Pushed:
    """One batch as the file it becomes: the day of arrival (UTC), name and content."""

    day: date
    name: str
    content: bytes


def pushed(moment: datetime, extra: Mapping[str, Any]) -> Pushed:
    """The file of the asset event of `moment` with that `extra`; without content, which is not landed, if it brings no
    event.

    An `extra` without a list `events` becomes one line as it is, which ingestion takes if it is a webhook's payload and
    else refuses by name: nothing is lost.
    Raises ValueError for a moment without time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"moment: {moment} has no time zone")
    arrived = moment.astimezone(UTC)
    batch = {name: value for name, value in extra.items() if name != _NOT_PUSHED}
    events = batch.get("events")
    lines = [line for event in (events if isinstance(events, list) else [batch]) for line in _lines_of(event)]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(errors="backslashreplace")
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Pushed(arrived.date(), f"{PUSH_PREFIX}{arrived:%Y%m%dT%H%M%S%f}-{digest}.jsonl", content)


def _lines_of(event: Any) -> list[Any]:
    """An event as it is, but annotations that came together each by itself."""
    if isinstance(event, dict) and label_studio.is_export(event):
        with suppress(ValueError):  # which ingestion says by name
            return list(label_studio.annotated(event)) or [event]
    return [event]
