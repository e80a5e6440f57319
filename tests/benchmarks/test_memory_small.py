"""No step that rests on a window of score histograms reads its rows; bench_memory measures what that saves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.remembered import Remembered
from tests.benchmarks.bench_memory import STEPS, read_window, world

pytestmark = pytest.mark.slow

CELLS, DAYS = 60, 12


def test_no_step_reads_more_than_a_day_of_histograms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = world(tmp_path, CELLS, DAYS)
    read = DuckDBWarehouse.read
    asked: list[tuple[date | None, date | None]] = []

    def noted(
        self: DuckDBWarehouse, table: str, start: date | None = None, end: date | None = None, **more: Any
    ) -> Any:
        if table == "score_histogram":
            asked.append((start, end))
        return read(self, table, start, end, **more)

    monkeypatch.setattr(DuckDBWarehouse, "read", noted)
    for step in STEPS.values():
        step(replace(project, warehouse=Remembered(project.warehouse)), DAYS)
    assert [days for days in asked if days[0] is None or days[0] != days[1]] == []
    read_window(project, DAYS)
    assert asked[-1][0] != asked[-1][1], "what would be seen"
