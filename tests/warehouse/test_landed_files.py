"""Files as platforms leave them: under any name, of any acceptable type, beside folders and files that are no part."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contract.tables import MOST_VIEWS
from include.warehouse.base import SQL_FOLDER, UnreadablePartition
from include.warehouse.duckdb import DuckDBWarehouse

DAY = date(2026, 11, 1)
SCORES = pa.array([0.98, 0.5, 0.25])


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")


def land(warehouse: DuckDBWarehouse, name: str, market: str, **columns: pa.Array) -> Path:
    """Three videos of a market as a file of video_scores; the ids of files named in tests never meet."""
    folder = warehouse.landing / "video_scores" / f"ds={DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"policy": ["violence"] * 3, "market": [market] * 3, "model_version": ["violence-v3"] * 3}
    numbers = {"video_id": pa.array([1, 2, 3]), "score": SCORES, "views": pa.array([1, 2, 3])}
    pq.write_table(pa.table({**texts, **numbers, **columns}), folder / name)
    return folder / name


def counted(warehouse: DuckDBWarehouse) -> dict[str, int]:
    """Videos by market, as the scan of the day finds them."""
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    return {str(market): int(n) for market, n in bins.groupby("market")["n_videos"].sum().items()}


NAMES = (
    "scores[1].parquet",
    "scores1.parquet",
    "a*.parquet",
    "ab.parquet",
    "q?.parquet",
    "it's.parquet",
    'say "x".parquet',
    "two words.parquet",
    "back\\slash.parquet",
    "{x,y}.parquet",
    "[!a].parquet",
    "ü; DROP TABLE video_scores.parquet",
    "UPPER.PARQUET",
)


def test_a_file_counts_once_under_whatever_name_it_came(warehouse: DuckDBWarehouse) -> None:
    for number, name in enumerate(NAMES):
        land(warehouse, name, f"M{number:02}")
    assert warehouse.input_problems("video_scores", DAY).empty
    assert counted(warehouse) == {f"M{number:02}": 3 for number in range(len(NAMES))}
    assert warehouse.row_count("video_scores", DAY) == 3 * len(NAMES)


def test_no_part_of_the_path_is_taken_for_a_pattern_or_a_column(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "policy=fraud" / "land[a-z]ng*" / "market=US", tmp_path / "root")
    land(warehouse, "a.parquet", "BR")
    land(DuckDBWarehouse(tmp_path / "policy=fraud" / "landing" / "market=US", tmp_path), "a.parquet", "DE")
    assert counted(warehouse) == {"BR": 3}
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    assert set(bins["policy"]) == {"violence"}


TYPES: dict[str, dict[str, pa.Array]] = {
    "no score at all": {"score": pa.nulls(3)},
    "float32": {"score": SCORES.cast(pa.float32())},
    "float16": {"score": pa.array(np.array([0.98, 0.5, 0.25], dtype=np.float16))},
    "decimal": {"score": SCORES.cast(pa.decimal128(10, 9))},
    "int32": {"video_id": pa.array([1, 2, 3], pa.int32()), "views": pa.array([1, 2, 3], pa.uint16())},
    "decimal ids": {"video_id": pa.array([Decimal(2**62 + 1), Decimal(2), Decimal(3)], pa.decimal128(20, 0))},
    "dictionary": {"policy": pa.array(["violence"] * 3).dictionary_encode()},
    "as the contract has it": {},
}


@pytest.mark.parametrize("kinds", [[*TYPES][n:] + [*TYPES][:n] for n in range(len(TYPES))], ids=lambda kinds: kinds[0])
def test_files_of_one_day_may_differ_in_type_and_the_order_of_their_names_does_not_matter(
    warehouse: DuckDBWarehouse, kinds: list[str]
) -> None:
    for number, kind in enumerate(kinds):
        land(warehouse, f"part-{number}.parquet", f"M{number}", **TYPES[kind])
    assert warehouse.input_problems("video_scores", DAY).empty
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    for number, kind in enumerate(kinds):
        found = bins[bins["market"] == f"M{number}"]
        given = TYPES[kind]
        scores = given.get("score", SCORES).cast(pa.float64()).to_pylist()
        expected = Counter(-1 if score is None else int(score * 1000) for score in scores)
        assert dict(zip(found["bin"], found["n_videos"], strict=True)) == expected
        ids = [int(i) for i in given.get("video_id", pa.array([1, 2, 3])).to_pylist()]
        assert sorted(video["video_id"] for part in found["checked_videos"] for video in part) == sorted(ids)
        assert found["n_views"].sum() == 6


def test_a_score_of_float32_is_read_as_it_was_written(warehouse: DuckDBWarehouse) -> None:
    land(warehouse, "a.parquet", "BR", score=pa.array([0.9799999999, 0.1, 0.2]))
    land(warehouse, "b.parquet", "DE", score=pa.array([0.98, 0.1, 0.2], pa.float32()))
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    assert bins.groupby("market")["max_score"].max().to_dict() == {"BR": 0.9799999999, "DE": float(np.float32(0.98))}


def test_an_id_too_large_for_64_bits_is_named_with_its_file_and_column(warehouse: DuckDBWarehouse) -> None:
    land(warehouse, "a.parquet", "BR")
    large = pa.array([Decimal(2**63), Decimal(2), Decimal(3)], pa.decimal128(20, 0))
    land(warehouse, "b.parquet", "DE", video_id=large)
    with pytest.raises(UnreadablePartition, match=f"video_scores of {DAY}, file b.parquet: .*column video_id"):
        counted(warehouse)


@pytest.mark.parametrize("views", [2**63 - 1, MOST_VIEWS + 1])
def test_views_that_overflow_their_sum_are_counted_by_their_column(warehouse: DuckDBWarehouse, views: int) -> None:
    land(warehouse, "a.parquet", "BR", score=pa.array([0.5] * 3), views=pa.array([views, views, MOST_VIEWS]))
    (cell,) = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0}).to_dict("records")
    assert (cell["n_videos"], cell["n_valid_views"], cell["n_views"]) == (3, 1, MOST_VIEWS)
    for query in ("profile_and_histogram", "draw"):
        assert re.search(rf"BETWEEN 0 AND {MOST_VIEWS}\b", (SQL_FOLDER / f"{query}.sql").read_text())


def test_names_that_differ_in_case_alone_are_refused(warehouse: DuckDBWarehouse) -> None:
    land(warehouse, "a.parquet", "BR", Score=pa.array([1.0] * 3))
    (problem,) = warehouse.input_problems("video_scores", DAY).to_dict("records")
    assert (problem["file"], problem["column"], problem["problem"]) == ("a.parquet", "score", "wrong_type")
    assert "score, Score" in problem["detail"]
    with pytest.raises(UnreadablePartition, match="column score: 2 columns of this name"):
        counted(warehouse)


STRAYS = (
    "ds=2026-11-25.bak",
    "ds=__HIVE_DEFAULT_PARTITION__",
    "ds=2026-11-01 (1)",
    "ds=2026-11-2",
    "ds=20261125",
    "ds=2026-W48-3",
    "ds=2026-02-30",
    "ds=2026-11-02 00%3A00%3A00",
    "copy",
)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_what_is_no_day_is_passed_over_with_a_warning(
    warehouse: DuckDBWarehouse, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    file = land(warehouse, "a.parquet", "BR")
    for name in STRAYS:
        make(file.parents[1] / name)
    make(file.with_name("copy"))
    make(file.with_name("a.parquet.crdownload"))
    make(file.with_name(".a.parquet.crc"))
    with caplog.at_level(logging.WARNING):
        assert warehouse.days("video_scores") == [DAY]
        assert counted(warehouse) == {"BR": 3}
        assert warehouse.days("video_scores") == [DAY]
    told = [record.getMessage() for record in caplog.records]
    for name in (*STRAYS, f"ds={DAY}/copy", f"ds={DAY}/a.parquet.crdownload"):
        assert len([text for text in told if f"/video_scores/{name} is passed over" in text]) == 1, name
    assert not [text for text in told if ".crc" in text]


@pytest.mark.parametrize("linked", ["file", "day", "table"])
def test_a_link_out_of_the_landing_folder_is_refused(warehouse: DuckDBWarehouse, tmp_path: Path, linked: str) -> None:
    file = land(warehouse, "a.parquet", "BR")
    place = {"file": file, "day": file.parent, "table": file.parents[1]}[linked]
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    (problem,) = warehouse.input_problems("video_scores", DAY).to_dict("records")
    assert (problem["file"], problem["problem"]) == ("a.parquet", "link_out_of_folder")
    with pytest.raises(UnreadablePartition, match=r"file a\.parquet: .*leads out of the landing folder"):
        counted(warehouse)


def test_a_link_within_the_landing_folder_is_a_file_like_any_other(warehouse: DuckDBWarehouse) -> None:
    file = land(warehouse, "a.parquet", "BR")
    (warehouse.landing / "store").mkdir()
    file.rename(warehouse.landing / "store" / "a.parquet")
    file.symlink_to(warehouse.landing / "store" / "a.parquet")
    assert counted(warehouse) == {"BR": 3}


def test_a_name_that_is_no_text_is_refused(warehouse: DuckDBWarehouse) -> None:
    file = land(warehouse, "a.parquet", "BR")
    file.rename(file.with_name("a\udcff.parquet"))
    (problem,) = warehouse.input_problems("video_scores", DAY).to_dict("records")
    assert (problem["file"], problem["detail"]) == ("a\\xff.parquet", "the file's name is not UTF-8")


def test_own_tables_pass_over_what_is_no_day(warehouse: DuckDBWarehouse) -> None:
    rows = pd.DataFrame([{"policy": "p", "market": "m", "model_version": "v", "bin": 1, "n_videos": 1, "n_views": 1}])
    warehouse.replace("score_histogram", DAY, rows)
    (warehouse.root / "score_histogram" / "ds=2026-11-01.bak").mkdir()
    assert warehouse.days("score_histogram") == [DAY]
