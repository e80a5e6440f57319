"""A task reads its inputs once, sees what it wrote itself, and what others wrote once it forgets."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.remembered import READ_WHOLE, Remembered
from tests.warehouse.frames import rows_of

DAY = date(2026, 11, 1)


@pytest.fixture
def plain(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")


def histogram(*bins: int) -> pd.DataFrame:
    counts = {"bin": list(bins), "n_videos": 1, "n_views": 1}
    return pd.DataFrame({"policy": "fraud", "market": "BR", "model_version": "fraud-v2", **counts})


def test_rows_are_read_once_and_nobody_changes_anothers(plain: DuckDBWarehouse) -> None:
    plain.replace("score_histogram", DAY, histogram(1, 2))
    task = Remembered(plain)
    with patch.object(plain, "read", wraps=plain.read) as asked:
        first = task.read("score_histogram", DAY, DAY)
        first["bin"] = 0
        first.loc[0, "n_videos"] = 99
        second = task.read("score_histogram", DAY, DAY)
        assert len(task.read("score_histogram", None, DAY)) == 2
        assert asked.call_count == 2
    assert second["bin"].tolist() == [1, 2]
    assert second["n_videos"].tolist() == [1, 1]


def test_a_task_sees_what_it_replaced(plain: DuckDBWarehouse) -> None:
    task = Remembered(plain)
    assert task.read("score_histogram", DAY, DAY).empty
    task.replace("score_histogram", DAY, histogram(7))
    assert task.read("score_histogram", DAY, DAY)["bin"].tolist() == [7]


def test_what_others_append_to_the_ledger_is_seen_once_the_task_forgets(plain: DuckDBWarehouse) -> None:
    (name,) = READ_WHOLE
    task, row = Remembered(plain), rows_of(TABLES[name], 1).assign(version=1).iloc[0].to_dict()
    assert task.read(name).empty
    assert plain.append_version(name, DAY, {str(column): value for column, value in row.items()})
    assert task.read(name, None, DAY).empty
    task.forget(name)
    assert len(task.read(name, None, DAY)) == 1


@pytest.mark.parametrize("name", sorted(name for name, table in TABLES.items() if table.owner == "plumbline"))
def test_what_lies_within_what_was_read_is_as_if_read_by_itself(plain: DuckDBWarehouse, name: str) -> None:
    table = TABLES[name]
    days = [DAY + timedelta(days=index) for index in range(3)]
    for day, count in zip(days, (3, 1, 2), strict=True):  # the second row holds NULLs
        for value in ("a", "b") if table.slice_by else (None,):
            rows = rows_of(table, count)
            plain.replace(
                name, day, rows if value is None else rows.assign(**{str(table.slice_by): value}), slice_value=value
            )
    task = Remembered(plain)
    task.read(name)
    asked: list[tuple[date, date | None, str | None]] = [(day, day, None) for day in days] + [
        (days[0], days[1], None),
        (days[1], None, None),
    ]
    if table.slice_by:
        asked += [(days[1], days[1], "b"), (days[0], None, "a")]
    for start, end, value in asked:
        found, wanted = (one.read(name, start, end, slice_value=value) for one in (task, plain))
        pd.testing.assert_frame_equal(found, wanted)
    with patch.object(plain, "fingerprints", side_effect=AssertionError("read anew")):
        prints = task.fingerprints(name, days[0], days[2])
    assert prints == {day: plain.fingerprint(name, day) for day in days}


def test_of_a_remote_warehouse_small_tables_are_read_ahead(plain: DuckDBWarehouse) -> None:
    results = rows_of(TABLES["quality_results"], 2)
    for gate in ("scores", "labels"):
        plain.replace("quality_results", DAY, results.assign(gate=gate), slice_value=gate)
    with patch.object(DuckDBWarehouse, "remote", True), patch.object(plain, "read", wraps=plain.read) as asked:
        task = Remembered(plain)
        for gate, start in (("scores", DAY), ("labels", DAY - timedelta(days=28)), ("consensus", DAY)):
            found = task.read("quality_results", start, DAY, slice_value=gate)
            assert set(found["gate"]) <= {gate}
            assert len(found) == (0 if gate == "consensus" else 2)
    assert asked.call_count == 1
