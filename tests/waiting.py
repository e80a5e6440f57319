"""How tests wait: for a condition, however long the machine takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

HANG = 900
"""Seconds after which what has not come is taken for hung. No test passes or fails by how soon something comes."""

T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], what: str, *, every: float = 0.05) -> T:
    """The first true value of `condition`, which is asked `every` so many seconds.

    Raises TimeoutError, which names `what`, after HANG seconds; what `condition` raises passes through.
    """
    deadline = time.monotonic() + HANG
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{HANG} s have passed, and it is not so that {what}")
        time.sleep(every)
    return value
