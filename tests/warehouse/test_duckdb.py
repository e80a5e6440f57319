from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.contract.tables import TABLES
from include.sampling.draw import draw_parameters
from include.warehouse.base import MissingPartition, UnreadablePartition
from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.landing import write_frame
from tests.kills import after_power_cut, killed, operations
from tests.warehouse.frames import DAY, rows_of, scores

OWNED = [table for table in TABLES.values() if table.owner == "plumbline"]
HOSTILE = "x'; DROP TABLE video_scores; --\" \\ ? $ds @ds ../.."


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")


def land(warehouse: DuckDBWarehouse, table: str, day: date, name: str, rows: pd.DataFrame | str) -> Path:
    folder = warehouse.landing / table / f"ds={day}"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(rows, str):
        (folder / name).write_text(rows, encoding="utf-8")
    else:
        write_frame(folder / name, TABLES[table], rows)
    return folder / name


@pytest.mark.parametrize("table", OWNED, ids=lambda t: t.name)
def test_what_is_replaced_is_read_back_with_types_and_nulls(warehouse, table):
    rows = rows_of(table)
    if "version" in table.column_names and table.slice_by is None:
        rows["version"] = [1, 2, 3]
    warehouse.replace(table.name, DAY, rows, slice_value="a/b" if table.slice_by else None)
    read = warehouse.read(table.name)
    assert list(read.columns) == ["ds", *table.column_names]
    assert read["ds"].tolist() == [DAY] * 3
    for column in table.columns:
        got, wanted = read[column.name].tolist(), rows[column.name].tolist()
        assert [None if pd.isna(v) else v for v in got] == wanted, column.name
        if column.type == "INT64":
            assert str(read[column.name].dtype) == ("Int64" if column.nullable else "int64")
        if column.type == "DATE":
            assert type(got[0]) is date
        if column.type == "TIMESTAMP":
            assert str(read[column.name].dt.tz) == "UTC"
    assert warehouse.row_count(table.name, DAY) == 3
    assert warehouse.days(table.name) == [DAY]


def test_a_replaced_day_holds_only_the_new_rows_and_an_empty_day_is_a_day(warehouse):
    table = TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table, 5))
    warehouse.replace(table.name, DAY, rows_of(table, 2))
    assert len(warehouse.read(table.name)) == 2
    warehouse.replace(table.name, DAY, rows_of(table, 0))
    assert warehouse.days(table.name) == [DAY]
    assert len(warehouse.read(table.name)) == 0


def test_read_keeps_to_its_days_both_inclusive(warehouse):
    table = TABLES["score_histogram"]
    days = [DAY + timedelta(days=i) for i in range(4)]
    for i, day in enumerate(days):
        warehouse.replace(table.name, day, rows_of(table, i + 1))
    assert warehouse.read(table.name, days[1], days[2])["ds"].value_counts().to_dict() == {days[1]: 2, days[2]: 3}
    assert warehouse.read(table.name, start=days[3])["ds"].unique().tolist() == [days[3]]
    assert warehouse.read(table.name, end=days[0])["ds"].tolist() == [days[0]]
    assert warehouse.read(table.name, days[3] + timedelta(days=1)).empty


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="n_views"), r"score_histogram: missing columns \['n_views'\]"),
        (lambda f: f.assign(extra=1), r"score_histogram: .*outside the contract \['extra'\]"),
        (lambda f: f.assign(policy=[None, "a", "b"]), r"score_histogram\.policy: 1 NULL values"),
        (lambda f: f.assign(bin=["x", "y", "z"]), r"score_histogram\.bin: not int64"),
        (lambda f: f.assign(bin=[1.5, 2.0, 3.0]), r"score_histogram\.bin: not int64"),
        (lambda f: f.assign(policy=[1, 2, 3]), r"score_histogram\.policy: not string"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused_and_the_old_rows_stay(warehouse, change, said):
    table = TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table))
    before = warehouse.fingerprint(table.name, DAY)
    with pytest.raises(ValueError, match=said):
        warehouse.replace(table.name, DAY, change(rows_of(table)))
    assert warehouse.fingerprint(table.name, DAY) == before


def test_the_fingerprint_follows_the_content_and_nothing_else(warehouse):
    table = TABLES["score_histogram"]
    assert warehouse.fingerprint(table.name, DAY) is None
    warehouse.replace(table.name, DAY, rows_of(table))
    first, content = warehouse.fingerprint(table.name, DAY), _bytes(warehouse)
    warehouse.replace(table.name, DAY, rows_of(table))
    assert _bytes(warehouse) == content
    assert warehouse.fingerprint(table.name, DAY) == first
    warehouse.replace(table.name, DAY, rows_of(table).assign(n_views=[1, 2, 3]))
    assert warehouse.fingerprint(table.name, DAY) != first


def test_slices_of_a_day_are_replaced_apart(warehouse):
    table = TABLES["quality_results"]
    for gate, n in (("scores", 3), (HOSTILE, 2), ("scores", 1)):
        warehouse.replace(table.name, DAY, rows_of(table, n).assign(gate=gate), slice_value=gate)
    assert warehouse.read(table.name)["gate"].value_counts().to_dict() == {HOSTILE: 2, "scores": 1}
    assert {path.parent.name for path in warehouse.root.rglob("*.parquet")} == {f"ds={DAY}"}
    with pytest.raises(ValueError, match="replaced by day and gate"):
        warehouse.replace(table.name, DAY, rows_of(table))
    with pytest.raises(ValueError, match="replaced by day and nothing else"):
        warehouse.replace("score_histogram", DAY, rows_of(TABLES["score_histogram"]), slice_value="a")


def test_versions_are_appended_one_by_one(warehouse):
    row = rows_of(TABLES["threshold_ledger"], 1).iloc[0].to_dict()
    assert not warehouse.append_version("threshold_ledger", DAY, row | {"version": 2})
    assert warehouse.append_version("threshold_ledger", DAY, row | {"version": 1})
    assert not warehouse.append_version("threshold_ledger", DAY, row | {"version": 1})
    assert warehouse.append_version("threshold_ledger", DAY + timedelta(days=1), row | {"version": 2})
    assert warehouse.read("threshold_ledger")["version"].tolist() == [1, 2]


def test_a_day_the_platform_did_not_deliver_is_named(warehouse):
    land(warehouse, "video_scores", DAY, "a.parquet", scores(10))
    missing = DAY + timedelta(days=1)
    with pytest.raises(MissingPartition, match=f"video_scores has no partition for {missing}"):
        warehouse.query("profile_and_histogram", {"ds": missing, "id_mask": 0})


def test_a_corrupt_file_of_another_day_harms_nobody(warehouse):
    land(warehouse, "video_scores", DAY, "a.parquet", scores(1000))
    land(warehouse, "video_scores", DAY + timedelta(days=1), "a.parquet", "not parquet")
    (warehouse.landing / "video_scores" / f"ds={DAY}" / "README.txt").write_text("not data")
    assert warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})["n_videos"].sum() == 1000
    assert len(warehouse.read("video_scores", DAY, DAY)) == 1000
    assert warehouse.row_count("video_scores", DAY) == 1000


def test_labels_come_as_csv_json_lines_and_parquet_alike(warehouse):
    def rows(first: int) -> list[dict[str, Any]]:
        base = {"guideline_version": "1"}
        return [
            {"video_id": 2**62 + first, "policy": "fraud", "violating": True} | base,
            {"video_id": first, "policy": "naïve", "violating": False} | base,
        ]

    csv = pd.DataFrame(rows(1)).to_csv(index=False)
    land(warehouse, "golden_labels", DAY, "a.csv", csv)
    land(warehouse, "golden_labels", DAY, "b.jsonl", "".join(json.dumps(row) + "\n" for row in rows(2)))
    land(warehouse, "golden_labels", DAY, "c.parquet", pd.DataFrame(rows(3)))
    land(warehouse, "golden_labels", DAY + timedelta(days=1), "c.parquet", pd.DataFrame(rows(4)))
    read = warehouse.read("golden_labels").drop(columns="ds")
    assert [path.name for path in warehouse.landed_files("golden_labels", DAY)] == ["a.csv", "b.jsonl", "c.parquet"]
    assert read.to_dict("records") == rows(1) + rows(2) + rows(3) + rows(4)


def test_times_of_appeals_are_utc(warehouse):
    head = "event_id,video_id,policy,outcome,decided_at\n"
    land(warehouse, "appeals", DAY, "a.csv", head + "e1,1,fraud,upheld,2026-11-01T10:00:00Z\n")
    line = '{"event_id":"e2","video_id":1,"policy":"fraud","outcome":"upheld","decided_at":"2026-11-01T12:00:00+02:00"}'
    land(warehouse, "appeals", DAY, "b.jsonl", line + "\n")
    read = warehouse.read("appeals")
    assert read["decided_at"].tolist() == [pd.Timestamp("2026-11-01T10:00Z")] * 2
    assert warehouse.read("enforcement_log").empty


def test_columns_a_platform_may_leave_out_read_as_null_file_by_file(warehouse):
    head, line = "event_id,video_id,policy,outcome,decided_at", "1,fraud,upheld,2026-11-01T10:00:00Z"
    land(warehouse, "appeals", DAY, "a.csv", f"{head}\na,{line}\n")
    land(warehouse, "appeals", DAY, "b.csv", f"{head},market\nb,{line},BR\n")
    all_of_it = f"{head},market,model_version,threshold_version\nc,{line},BR,fraud-v2,7\n"
    land(warehouse, "appeals", DAY, "c.csv", all_of_it)
    event = {"video_id": 1, "policy": "fraud", "outcome": "upheld", "decided_at": "2026-11-01T10:00:00Z"}
    text = [json.dumps({"event_id": "d"} | event), json.dumps({"event_id": "e", "threshold_version": 7} | event)]
    land(warehouse, "appeals", DAY, "d.jsonl", "\n".join(text) + "\n")
    rows = pd.DataFrame([{"event_id": "f"} | event]).assign(decided_at=pd.Timestamp("2026-11-01T10:00Z"))
    rows.to_parquet(warehouse.landing / "appeals" / f"ds={DAY}" / "f.parquet", index=False)
    read = warehouse.read("appeals", DAY, DAY)
    named = read.set_index("event_id")[["market", "model_version", "threshold_version"]].astype(object)
    whole, none = ["BR", "fraud-v2", 7], [None, None, None]
    expected = {"a": none, "b": ["BR", None, None], "c": whole, "d": none, "e": [None, None, 7], "f": none}
    assert {key: [None if pd.isna(v) else v for v in values] for key, *values in named.itertuples()} == expected
    assert read["threshold_version"].dtype == "Int64"
    assert read["outcome"].tolist() == ["upheld"] * 6


def test_other_columns_may_not_be_left_out(warehouse):
    land(warehouse, "appeals", DAY, "a.csv", "event_id,video_id,policy,outcome\na,1,fraud,upheld\n")
    assert warehouse.read("appeals", DAY, DAY).empty
    aside = warehouse.input_rows("appeals", DAY).rejects
    assert set(aside["reason"]) == {"bad_columns"}
    assert aside["detail"].str.contains("decided_at").all()


@pytest.mark.parametrize("table", [table for table in OWNED if table.slice_by is None], ids=lambda t: t.name)
def test_what_an_earlier_version_did_not_write_reads_as_null(warehouse, table):
    """A column that came with an upgrade, beside a day that has it; what was always there may not be missing."""
    rows = rows_of(table)
    warehouse.replace(table.name, DAY, rows)
    warehouse.replace(table.name, DAY + timedelta(days=1), rows)
    (path,) = (warehouse.root / table.name / f"ds={DAY}").glob("*.parquet")
    content = pq.read_table(path)
    since = [column.name for column in table.columns if column.nullable]
    pq.write_table(content.drop_columns(since), path)
    read = warehouse.read(table.name)
    assert list(read.columns) == ["ds", *table.column_names]
    older, newer = read[read["ds"] == DAY], read[read["ds"] > DAY]
    assert len(older) == len(newer) == 3
    assert older[since].isna().all().all()
    assert newer[since].notna().sum().tolist() == [2] * len(since)
    required = next(column.name for column in table.columns if not column.nullable)
    pq.write_table(content.drop_columns([required]), path)
    with pytest.raises(UnreadablePartition, match=required):
        warehouse.read(table.name)


def test_parameters_are_bound_never_text(warehouse):
    land(warehouse, "video_scores", DAY, "a.parquet", scores(500))
    design = _design().assign(stratum=HOSTILE)
    warehouse.replace("sampling_design", DAY, design)
    asked = draw_parameters(design, DAY, 1)
    drawn = warehouse.query("draw", asked)
    assert len(drawn) == 500
    assert set(drawn["stratum"]) == {HOSTILE}
    with pytest.raises(RuntimeError, match="query draw for 2026"):
        warehouse.query("draw", {**asked, "audit_salt": "1) OR (1=1"})


def test_a_replacement_killed_at_any_operation_leaves_old_or_new_rows_and_the_next_of_any_table_sweeps(warehouse):
    table, rows = TABLES["score_histogram"], rows_of(TABLES["score_histogram"])

    def replace() -> None:
        warehouse.replace(table.name, DAY, rows.assign(n_videos=2))

    warehouse.replace(table.name, DAY, rows.assign(n_videos=1))
    last = len(operations(replace, warehouse.root))
    for at in range(last + 1):
        warehouse.replace(table.name, DAY, rows.assign(n_videos=1))
        assert killed(replace, warehouse.root, at, torn=at % 2 == 0)
        assert warehouse.read(table.name)["n_videos"].tolist() in ([1] * 3, [2] * 3)
    staging = warehouse.root / ".staging"
    (staging / (".writing-" + "0" * 32)).mkdir()  # what a killed query spilled to disk
    (staging / (".writing-" + "0" * 32) / "duckdb_temp_storage-0.tmp").touch()
    warehouse.replace("score_profile", DAY, rows_of(TABLES["score_profile"]))
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("table", ["label_events", "quality_results", "threshold_ledger"])
def test_what_a_writer_was_told_is_written_survives_a_power_cut(warehouse, tmp_path, table):
    contract = TABLES[table]
    row = rows_of(contract, 1)
    warehouse.root.mkdir()

    def write() -> None:
        if table == "threshold_ledger":
            assert warehouse.append_version(table, DAY, {**row.iloc[0].to_dict(), "version": 1})
        else:
            warehouse.replace(table, DAY, row, slice_value="labels" if contract.slice_by else None)

    after_power_cut(write, warehouse.root, tmp_path / "remains")
    assert DuckDBWarehouse(tmp_path, tmp_path / "remains").fingerprint(table, DAY) == warehouse.fingerprint(table, DAY)


def _design() -> pd.DataFrame:
    cells = scores(500)[["policy", "market", "model_version"]].drop_duplicates(ignore_index=True)
    numbers = dict.fromkeys(("population", "population_views", "expected_labels", "expected_minutes"), 1)
    return cells.assign(
        design_id="d", programme="audit", stratum="all", region="allow", first_bin=-1, last_bin=999,
        score_low=None, score_high=None, inclusion_probability=1.0, probability_per_view=None, reason="all",
        numbering=None, **numbers,
    )  # fmt: skip


def _bytes(warehouse: DuckDBWarehouse) -> dict[str, bytes]:
    return {str(p.relative_to(warehouse.root)): p.read_bytes() for p in warehouse.root.rglob("*.parquet")}
