"""Golden labels of earlier days come from what was kept of them, and from their files as soon as those change."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.landing import write_frame

TABLE = TABLES["golden_labels"]
START = date(2026, 11, 1)
LONG_AGO = time.time() - 3600


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")


def land(
    warehouse: DuckDBWarehouse, index: int, *videos: int, name: str = "part.parquet", changed: float = LONG_AGO
) -> Path:
    folder = warehouse.landing / TABLE.name / f"ds={START + timedelta(days=index)}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"video_id": videos, "policy": "fraud", "violating": True, "guideline_version": "1"})
    path = folder / "part.parquet"
    write_frame(path, TABLE, rows)
    os.utime(path, (changed, changed))
    return path


@contextmanager
def days_read(warehouse: DuckDBWarehouse) -> Iterator[list[date]]:
    """The days whose files are read within."""
    found: list[date] = []
    original = warehouse._counted

    def noted(table: object, day: date) -> object:
        found.append(day)
        return original(table, day)  # type: ignore[arg-type]

    with patch.object(warehouse, "_counted", noted):
        yield found


def test_a_day_is_read_once_and_again_when_its_files_change(warehouse: DuckDBWarehouse) -> None:
    first, last = land(warehouse, 0, 1, 2), land(warehouse, 2, 3)
    assert warehouse.read(TABLE.name)["video_id"].tolist() == [1, 2, 3]
    with days_read(warehouse) as read:
        assert warehouse.read(TABLE.name)["video_id"].tolist() == [1, 2, 3]
        assert warehouse.read(TABLE.name, end=START)["video_id"].tolist() == [1, 2]
    assert read == []
    land(warehouse, 0, 4)
    land(warehouse, 1, 5)
    with days_read(warehouse) as read:
        assert warehouse.read(TABLE.name)["video_id"].tolist() == [4, 5, 3]
    assert read == [START, START + timedelta(days=1)]
    last.unlink()
    first.unlink()
    assert warehouse.read(TABLE.name)["video_id"].tolist() == [5]


def test_reading_fewer_days_forgets_none(warehouse: DuckDBWarehouse) -> None:
    for index in range(4):
        land(warehouse, index, index)
    warehouse.read(TABLE.name)
    warehouse.read(TABLE.name, end=START + timedelta(days=1))
    with days_read(warehouse) as read:
        assert warehouse.read(TABLE.name)["video_id"].tolist() == [0, 1, 2, 3]
    assert read == []


def test_a_file_that_changed_a_moment_ago_and_a_link_are_read_each_time(warehouse: DuckDBWarehouse) -> None:
    land(warehouse, 0, 1, changed=time.time())
    (land(warehouse, 1, 2).parent / "link.parquet").symlink_to(land(warehouse, 2, 3))
    for _ in range(2):
        with days_read(warehouse) as read:
            warehouse.read(TABLE.name)
    assert read == [START, START + timedelta(days=1)]


@pytest.mark.parametrize("content", [b"", b"no parquet", None])
def test_what_was_kept_may_be_damaged_or_not_writable(warehouse: DuckDBWarehouse, content: bytes | None) -> None:
    land(warehouse, 0, 1)
    kept = warehouse.root / ".kept" / TABLE.name
    if content is None:
        kept.mkdir(parents=True)
    else:
        warehouse.read(TABLE.name)
        kept.write_bytes(content)
    assert warehouse.read(TABLE.name)["video_id"].tolist() == [1]


def test_rows_that_are_set_aside_are_not_kept(warehouse: DuckDBWarehouse) -> None:
    path = land(warehouse, 0, 1)
    bad = path.with_name("bad.csv")
    bad.write_text("video_id,policy\nnone,fraud\n")
    os.utime(bad, (LONG_AGO, LONG_AGO))
    for _ in range(2):
        assert warehouse.read(TABLE.name)["video_id"].tolist() == [1]
    assert len(warehouse.input_rows(TABLE.name, START).rejects) > 0
