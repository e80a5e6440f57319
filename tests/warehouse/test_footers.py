"""Input files: every problem is found by name, every harmless variation accepted, and the gate says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contract.tables import TABLES
from include.quality import suites
from include.quality.gate import run_gate
from include.reading.folder import Listed
from include.warehouse.footers import inspect_parquet
from tests.quality.frames import DAY

SCORES = TABLES["video_scores"]
GOOD: dict[str, Any] = {
    "video_id": pa.array([1, 2], pa.int64()),
    "policy": pa.array(["fraud", "fraud"]),
    "market": pa.array(["DE", "DE"]),
    "model_version": pa.array(["fraud-v3", "fraud-v3"]),
    "score": pa.array([0.1, None], pa.float64()),
    "views": pa.array([5, 6], pa.int64()),
}


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({**GOOD, **columns}), path)
    return path


def landed(*files: Path) -> Listed:
    return Listed(files=files)


def problems(found: pd.DataFrame) -> list[tuple[str, str | None, str]]:
    return list(found[["file", "column", "problem"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"video_id": pa.array([1, 2], pa.int32()), "views": pa.array([1, 2], pa.uint32())},
        {"score": pa.array([0.1, 0.2], pa.float32())},
        {"score": pa.nulls(2)},
        {"policy": pa.array(["a", "b"]).dictionary_encode(), "market": pa.array(["a", "b"], pa.large_string())},
        {"extra": pa.array([1, 2])},
    ],
)
def test_harmless_variations(tmp_path: Path, columns: dict[str, Any]):
    found = inspect_parquet(SCORES, landed(write(tmp_path / "a.parquet", **columns)))
    assert problems(found) == []
    assert run_gate("scores_input", DAY, suites.scores_input(SCORES, found)).passed


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamp_units(tmp_path: Path, unit: str):
    table = pa.table(
        {"event_id": ["a"], "video_id": [1], "policy": ["p"], "outcome": ["upheld"]}
        | {"decided_at": pa.array([1], pa.timestamp(unit, tz="UTC"))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert problems(inspect_parquet(TABLES["appeals"], landed(tmp_path / "a.parquet"))) == []


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("score", pa.array(["0.1", "0.2"])),
        ("score", pa.array([1, 0])),
        ("video_id", pa.array(["1", "2"])),
        ("video_id", pa.array([1.0, 2.0])),
        ("video_id", pa.array([1, 2], pa.uint64())),
        ("policy", pa.array([1, 2])),
        ("views", pa.array([True, False])),
        ("views", pa.nulls(2)),
        ("policy", pa.array([1, 2]).dictionary_encode()),
    ],
)
def test_wrong_types(tmp_path: Path, column: str, values: Any):
    found = inspect_parquet(SCORES, landed(write(tmp_path / "a.parquet", **{column: values})))
    assert problems(found) == [("a.parquet", column, "wrong_type")]
    assert SCORES.column(column).type in found["detail"][0]


def test_missing_column(tmp_path: Path):
    pq.write_table(pa.table(GOOD).drop_columns("market"), tmp_path / "a.parquet")
    found = inspect_parquet(SCORES, landed(tmp_path / "a.parquet"))
    assert problems(found) == [("a.parquet", "market", "missing_column")]


def test_optional_columns_may_be_missing_but_not_of_another_type(tmp_path: Path):
    appeals = {"event_id": ["a"], "video_id": [1], "policy": ["p"], "outcome": ["upheld"]}
    appeals["decided_at"] = pa.array([1], pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table(appeals), tmp_path / "a.parquet")
    assert problems(inspect_parquet(TABLES["appeals"], landed(tmp_path / "a.parquet"))) == []
    pq.write_table(pa.table(appeals | {"threshold_version": ["7"]}), tmp_path / "a.parquet")
    found = inspect_parquet(TABLES["appeals"], landed(tmp_path / "a.parquet"))
    assert problems(found) == [("a.parquet", "threshold_version", "wrong_type")]


def test_a_column_twice(tmp_path: Path):
    table = pa.Table.from_arrays([*GOOD.values(), GOOD["score"]], names=[*GOOD, "score"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert problems(inspect_parquet(SCORES, landed(tmp_path / "a.parquet"))) == [("a.parquet", "score", "wrong_type")]


def test_missing_day():
    assert problems(inspect_parquet(SCORES, landed())) == [("-", None, "missing_day")]


def test_empty_files_count_only_if_all_are(tmp_path: Path):
    pq.write_table(pa.table(GOOD).slice(0, 0), tmp_path / "empty.parquet")
    assert problems(inspect_parquet(SCORES, landed(tmp_path / "empty.parquet"))) == [("-", None, "empty")]
    good = write(tmp_path / "good.parquet")
    assert problems(inspect_parquet(SCORES, landed(tmp_path / "empty.parquet", good))) == []


@pytest.mark.parametrize("damage", ["cut", "text", "zero"])
def test_corrupt_files_are_named_and_do_not_hide_others(tmp_path: Path, damage: str):
    bad = write(tmp_path / "b.parquet")
    content = {"cut": bad.read_bytes()[:-20], "text": b"video_id,policy\n1,fraud\n", "zero": b""}[damage]
    bad.write_bytes(content)
    other = write(tmp_path / "a.parquet", score=pa.array(["x", "y"]))
    found = inspect_parquet(SCORES, landed(bad, other))
    assert problems(found) == [("a.parquet", "score", "wrong_type"), ("b.parquet", None, "unreadable")]
    outcome = run_gate("scores_input", DAY, suites.scores_input(SCORES, found))
    (message,) = outcome.failures
    for word in ("video_scores", str(DAY), "column score", "2 of 2 problems", "a.parquet", "b.parquet", "unreadable"):
        assert word in message


def test_a_file_that_is_gone(tmp_path: Path):
    found = inspect_parquet(SCORES, landed(tmp_path / "gone.parquet"))
    assert problems(found) == [("gone.parquet", None, "unreadable")]
