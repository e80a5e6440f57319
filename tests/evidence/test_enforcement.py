"""A day of the platform's log is counted once; whoever asks later reads what was kept."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES
from include.evidence.enforcement import counted_log, enforced
from include.warehouse.duckdb import DuckDBWarehouse

DAY = date(2026, 11, 1)


@pytest.fixture
def project(tmp_path: Path) -> Any:
    return SimpleNamespace(warehouse=DuckDBWarehouse(tmp_path / "landing", tmp_path / "root"))


def land(project: Any, removed: int) -> None:
    rows = pd.DataFrame({"video_id": range(removed), "policy": "fraud", "market": "BR", "model_version": "fraud-v2"})
    rows = rows.assign(action="remove", threshold_version=3, decided_at=pd.Timestamp(DAY, tz="UTC"))
    folder = project.warehouse.landing / "enforcement_log" / f"ds={DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    schema = arrow_schema(TABLES["enforcement_log"])
    pq.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False), folder / "part.parquet")


def test_what_the_gate_counted_is_read_by_all_others_until_it_counts_anew(project: Any) -> None:
    land(project, 4)
    assert enforced(project, DAY)["n_videos"].tolist() == [4]  # type: ignore[index]
    assert project.warehouse.days("enforcement_counts") == [], "who only reads keeps nothing"
    first = counted_log(project, DAY, anew=True)
    with patch.object(project.warehouse, "query", side_effect=AssertionError("scanned again")):
        kept = counted_log(project, DAY)
    assert kept.counts is not None
    assert first.counts is not None
    pd.testing.assert_frame_equal(kept.counts, first.counts)
    land(project, 7)
    assert enforced(project, DAY)["n_videos"].tolist() == [4]  # type: ignore[index]
    counted_log(project, DAY, anew=True)
    assert enforced(project, DAY)["n_videos"].tolist() == [7]  # type: ignore[index]
    assert enforced(project, DAY + timedelta(days=1)) is None
