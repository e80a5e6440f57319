"""Which day a run is about, resolved once and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any


def run_day(context: Mapping[str, Any]) -> date:
    """The day a run works on: its run_date parameter, else its partition key, else its logical date.

    Raises ValueError if none is given or one is not a date.
    """
    given = context.get("params", {}).get("run_date")
    if given:
        return _parsed("parameter run_date", str(given))
    key = getattr(context.get("dag_run"), "partition_key", None)
    if key:
        return _parsed("partition key", key)
    logical = context.get("logical_date")
    if isinstance(logical, datetime):
        return logical.date()
    raise ValueError("the run names no day: give the parameter run_date, a partition key or a logical date")


def _parsed(source: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{source} {text!r} is not a day written YYYY-MM-DD") from error
