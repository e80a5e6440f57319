"""What the warehouse billed, day by day. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd


@dataclass(frozen=True)
class Billed:
    """What was billed for the jobs sent on a day (UTC): `most` is the task with the largest bill, and its bytes."""

    day: date
    jobs: int
    bytes_billed: int
    slot_ms: int
    most: str
    most_bytes: int


def billed(usage: pd.DataFrame, most: int) -> list[Billed]:
    """The newest days of `warehouse_usage`, the newest first, at most so many."""
    found = []
    for day in sorted(set(usage["ds"]), reverse=True)[:most]:
        rows = usage[usage["ds"] == day]
        by_task = rows.groupby("task")["bytes_billed"].sum()
        jobs, size, slots = (int(rows[name].sum()) for name in ("jobs", "bytes_billed", "slot_ms"))
        found.append(Billed(day, jobs, size, slots, str(by_task.idxmax()), int(by_task.max())))
    return found
