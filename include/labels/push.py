"""What review tools push: an asset event's batch of label events, as a file of the day it arrived.

A tool posts `{"events": [{...}, ...]}` as the `extra` of an asset event. Each element becomes one line of
`<landing>/reviewer_labels/ds=<arrival day>/push-<moment>-<content>.jsonl`, from where the day's ingestion takes it:
what is wrong with a line is refused there, like any line's fault. Day and name come from the event alone, so a rerun
writes the same file, and a batch pushed twice is two files whose events are repeats.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from include.labels.drops import PUSH_PREFIX

_NOT_PUSHED = "from_rest_api"  # Airflow marks with it that the event came over its API


@dataclass(frozen=True)
class Pushed:
    """One batch as the file it becomes: the day of arrival (UTC), name and content."""

    day: date
    name: str
    content: bytes


def pushed(moment: datetime, extra: Mapping[str, Any]) -> Pushed:
    """The file of the asset event of `moment` with that `extra`.

    An `extra` without a list `events` becomes one line as it is, which ingestion refuses by name: nothing is lost.
    Raises ValueError for a moment without time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"moment: {moment} has no time zone")
    arrived = moment.astimezone(UTC)
    batch = {name: value for name, value in extra.items() if name != _NOT_PUSHED}
    events = batch.get("events")
    lines = events if isinstance(events, list) and events else [batch]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(errors="backslashreplace")
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Pushed(arrived.date(), f"{PUSH_PREFIX}{arrived:%Y%m%dT%H%M%S%f}-{digest}.jsonl", content)
