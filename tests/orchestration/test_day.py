"""Which day a run works on: its parameter, else its partition, else its logical date; never a guess."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from include.orchestration.day import run_day


def context(run_date: str | None = None, key: str | None = None, logical: datetime | None = None) -> dict[str, Any]:
    return {"params": {"run_date": run_date}, "dag_run": SimpleNamespace(partition_key=key), "logical_date": logical}


LOGICAL = datetime(2026, 11, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "day"),
    [
        (context("2026-11-01", "2026-11-02", LOGICAL), date(2026, 11, 1)),
        (context(None, "2026-11-02", LOGICAL), date(2026, 11, 2)),
        (context("", "2026-11-02", LOGICAL), date(2026, 11, 2)),
        (context(None, None, LOGICAL), date(2026, 11, 3)),
        (context(None, "", LOGICAL), date(2026, 11, 3)),
        ({"logical_date": LOGICAL}, date(2026, 11, 3)),
        ({"params": {}, "dag_run": None, "logical_date": LOGICAL}, date(2026, 11, 3)),
    ],
)
def test_the_nearest_word_counts(given: dict[str, Any], day: date) -> None:
    found = run_day(given)
    assert found == day
    assert type(found) is date


@pytest.mark.parametrize("given", [{}, context(), {"logical_date": None}, {"logical_date": "2026-11-03"}])
def test_a_run_without_a_day_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the run names no day: give the parameter run_date, a partition key"):
        run_day(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (context("yesterday", "2026-11-02", LOGICAL), "parameter run_date 'yesterday' is not a day"),
        (context("2026-02-30"), "parameter run_date '2026-02-30' is not a day"),
        (context("2026-11-01T00:00:00"), "parameter run_date '2026-11-01T00:00:00' is not a day written YYYY-MM-DD"),
        (context(None, "BR|2026-11-02", LOGICAL), r"partition key 'BR\|2026-11-02' is not a day"),
    ],
)
def test_what_is_no_day_is_refused_and_nothing_else_tried(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run_day(given)
