"""A task reads its inputs once, sees what it wrote itself, and always the ledger as it is."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.remembered import ALWAYS_READ, Remembered

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


def test_what_others_append_to_the_ledger_is_seen(plain: DuckDBWarehouse) -> None:
    (name,) = ALWAYS_READ
    task, table = Remembered(plain), TABLES[name]
    assert task.read(table.name).empty
    blank = {
        "DATE": DAY,
        "INT64": 1,
        "STRING": "",
        "BOOL": False,
        "FLOAT64": 0.0,
        "TIMESTAMP": pd.Timestamp("2026-11-01", tz="UTC"),
    }
    row = {column.name: blank[column.type] for column in table.columns}
    assert plain.append_version(table.name, DAY, row)
    assert len(task.read(table.name)) == 1
