"""The BigQuery engine through the real client: the interface holds as it does for the embedded engine, row for row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from include.contract.tables import TABLES
from include.evidence.histograms import folded_histogram, histogram_by_period, histogram_of, removals_of
from include.sampling.draw import draw_parameters
from include.sampling.profile import score_profile
from include.thresholds.usage import keep_usage
from include.warehouse.base import MissingPartition, WarehouseRefused
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_tables import fields, made
from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.frames import checked_rows
from include.warehouse.landing import write_frame
from tests.bigquery.google import LEAST_BILLED, Failure, error
from tests.bigquery.landing import deliver
from tests.bigquery.proxy import Proxy
from tests.evidence.test_histograms import CELLS, DAYS, LEVELS, STARTS, WANTED, histogram
from tests.sampling.test_draw import PI, SALT, design
from tests.warehouse.frames import DAY, rows_of, scores

pytestmark = pytest.mark.slow

OWNED = [table for table in TABLES.values() if table.owner == "plumbline"]
NEXT = DAY + timedelta(days=1)
Opened = Callable[..., BigQueryWarehouse]


@pytest.fixture
def embedded(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")


def land(warehouse: DuckDBWarehouse, table: str, day: date, rows: pd.DataFrame) -> None:
    folder = warehouse.landing / table / f"ds={day}"
    folder.mkdir(parents=True)
    write_frame(folder / "part.parquet", TABLES[table], rows)


def test_every_table_keeps_its_rows_and_has_the_embedded_engines_fingerprint(opened, embedded, proxy):
    warehouse = opened()
    for table in OWNED:
        rows = rows_of(table)
        if table.name == "threshold_ledger":
            rows["version"] = [1, 2, 3]
        part = "a/b" if table.slice_by else None
        if table.slice_by:
            rows[table.slice_by] = part
        for engine in (warehouse, embedded):
            engine.replace(table.name, DAY, rows, slice_value=part)
        print_here = warehouse.fingerprint(table.name, DAY)
        assert print_here == embedded.fingerprint(table.name, DAY), table.name
        read, wanted = warehouse.read(table.name), embedded.read(table.name)
        order = ["ds", *table.key]
        pd.testing.assert_frame_equal(
            read.sort_values(order, ignore_index=True), wanted.sort_values(order, ignore_index=True), check_exact=True
        )
    made = [
        body for method, path, body in proxy.requests if method == "POST" and path.split("?")[0].endswith("/tables")
    ]
    made = [body for body in made if not body["tableReference"]["tableId"].startswith("staging_")]
    assert sorted(body["tableReference"]["tableId"] for body in made) == sorted(table.name for table in OWNED)
    assert all(body["timePartitioning"]["field"] == "ds" and body["clustering"]["fields"] for body in made)
    assert sum(body.get("requirePartitionFilter", False) for body in made) == sum(table.large for table in OWNED)


def test_a_replaced_day_holds_only_the_new_rows_and_other_days_stay(opened: Opened):
    warehouse, table = opened(), TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table, 5))
    warehouse.replace(table.name, NEXT, rows_of(table, 4))
    warehouse.replace(table.name, DAY, rows_of(table, 2))
    assert warehouse.read(table.name)["ds"].value_counts().to_dict() == {DAY: 2, NEXT: 4}
    assert warehouse.days(table.name) == [DAY, NEXT]
    assert (warehouse.row_count(table.name, DAY), warehouse.row_count(table.name, NEXT)) == (2, 4)
    warehouse.replace(table.name, DAY, rows_of(table, 0))
    assert warehouse.days(table.name) == [NEXT]
    assert warehouse.fingerprint(table.name, DAY) is None
    assert len(warehouse.read(table.name, NEXT, NEXT)) == 4
    assert warehouse.read(table.name, DAY, DAY).empty


def test_slices_of_a_day_are_replaced_apart(opened: Opened):
    warehouse, table = opened(), TABLES["quality_results"]
    for gate, n in (("scores", 3), ("labels", 2), ("scores", 1)):
        warehouse.replace(table.name, DAY, rows_of(table, n).assign(gate=gate), slice_value=gate)
    assert warehouse.read(table.name)["gate"].value_counts().to_dict() == {"labels": 2, "scores": 1}
    assert len(warehouse.read(table.name, DAY, DAY, slice_value="labels")) == 2
    with pytest.raises(ValueError, match="replaced by day and gate"):
        warehouse.replace(table.name, DAY, rows_of(table))


def test_a_write_that_fails_leaves_the_old_rows_and_no_staging_table(opened: Opened, proxy: Proxy, monkeypatch):
    warehouse, table, sliced = opened(), TABLES["score_histogram"], TABLES["quality_results"]
    large = rows_of(sliced, 9).assign(gate="scores")
    warehouse.replace(table.name, DAY, rows_of(table, 3))
    warehouse.replace(sliced.name, DAY, rows_of(sliced, 3).assign(gate="scores"), slice_value="scores")
    before = [warehouse.fingerprint(name, DAY) for name in (table.name, sliced.name)]
    monkeypatch.setattr("include.warehouse.bigquery._MOST_INLINE", 100)  # the rest goes by staging tables
    proxy.requests.clear()
    proxy.google.failures += [Failure(f"load {table.name}$", "resourcesExceeded", "too large")]
    proxy.google.failures += [Failure(f"MERGE `{sliced.name}`", "resourcesExceeded", "too large")]
    with pytest.raises(WarehouseRefused, match="too large"):
        warehouse.replace(table.name, DAY, rows_of(table, 5))
    with pytest.raises(WarehouseRefused, match="too large"):
        warehouse.replace(sliced.name, DAY, large, slice_value="scores")
    assert [warehouse.fingerprint(name, DAY) for name in (table.name, sliced.name)] == before
    dropped = [path for method, path, _ in proxy.requests if method == "DELETE"]
    assert len([path for path in dropped if "/tables/staging_quality_results_" in path]) == 1
    warehouse.replace(sliced.name, DAY, large, slice_value="scores")
    assert warehouse.row_count(sliced.name, DAY) == 9


def test_of_many_writers_with_the_same_version_one_appends_it(opened: Opened):
    row = {str(name): v for name, v in rows_of(TABLES["threshold_ledger"], 1).iloc[0].items()}
    opened().read("threshold_ledger")  # makes the table

    def append(writer: int) -> list[int]:
        warehouse = opened(f"run {writer}")
        return [v for v in (1, 2, 3) if warehouse.append_version("threshold_ledger", DAY, row | {"version": v})]

    with ThreadPoolExecutor(3) as pool:
        won = [version for versions in pool.map(append, range(3)) for version in versions]
    warehouse = opened()
    assert not warehouse.append_version("threshold_ledger", DAY, row | {"version": 2})
    assert not warehouse.append_version("threshold_ledger", DAY, row | {"version": 9})
    assert sorted(won) == [1, 2, 3]
    read = warehouse.read("threshold_ledger")
    assert read["version"].tolist() == [1, 2, 3]
    assert read["published_at"].iloc[0] == row["published_at"]


def test_both_scans_give_what_the_embedded_engine_gives(opened: Opened, embedded: DuckDBWarehouse):
    rows, warehouse = scores(4000), opened()
    # A duplicate key, scores outside [0, 1], exact 0 and 1, negative views and ids.
    rows = pd.concat([rows, rows.head(3)], ignore_index=True)
    rows.loc[10:13, "score"] = [0.0, 1.0, -0.1, 1.5]
    rows.loc[20, "views"], rows.loc[21, "video_id"] = -5, -7
    rows["cluster_id"] = pd.array([None if video % 3 else video for video in rows["video_id"]], dtype="Int64")
    land(embedded, "video_scores", DAY, rows)
    deliver(warehouse, "video_scores", DAY, rows)
    key = ["policy", "market", "model_version"]
    for mask in (0, 3):
        found = []
        for engine in (warehouse, embedded):
            profile = engine.query("profile_and_histogram", {"ds": DAY, "id_mask": mask})
            profile = profile.drop(columns="read_at")
            profile["checked_videos"] = profile["checked_videos"].map(
                lambda some: sorted((video["video_id"], video["views"]) for video in ([] if some is None else some))
            )
            found.append(profile.sort_values([*key, "bin"], ignore_index=True))
        pd.testing.assert_frame_equal(found[0], found[1], check_dtype=False, rtol=1e-12)
    drawn = []
    for engine in (warehouse, embedded):
        engine.replace("sampling_design", DAY, design(PI))
        asked = draw_parameters(design(PI), DAY, SALT)
        drawn.append(engine.query("draw", asked).sort_values(["programme", *key, "video_id"], ignore_index=True))
    assert 500 < len(drawn[0]) < 4000
    assert set(drawn[0]["programme"]) == {"audit", "prevalence", "training"}
    pd.testing.assert_frame_equal(drawn[0], drawn[1], check_dtype=False, check_exact=True)


def test_what_the_platforms_table_may_lack_is_null(opened: Opened, embedded: DuckDBWarehouse):
    rows, warehouse = scores(2000), opened()
    contract = TABLES["video_scores"]
    smaller = replace(contract, columns=tuple(column for column in contract.columns if not column.optional))
    warehouse.jobs.create(made(warehouse.jobs, smaller))
    content = checked_rows(smaller, rows)
    days = pa.field("ds", pa.date32(), nullable=False)
    content = content.add_column(0, days, pa.repeat(pa.scalar(DAY, pa.date32()), content.num_rows))
    partition = f"{warehouse.jobs.dataset}.video_scores${DAY:%Y%m%d}"
    warehouse.jobs.load(content, partition, fields(smaller), "video_scores")
    land(embedded, "video_scores", DAY, rows)
    drawn = []
    for engine in (warehouse, embedded):
        engine.replace("sampling_design", DAY, design(PI))
        drawn.append(engine.query("draw", draw_parameters(design(PI), DAY, SALT)))
    found, wanted = (frame.sort_values(["programme", "policy", "video_id"], ignore_index=True) for frame in drawn)
    assert len(found) > 200
    assert found["cluster_id"].isna().all()
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_exact=True)


def test_details_of_draws_are_the_embedded_engines(opened: Opened, embedded: DuckDBWarehouse):
    warehouse, drawn = opened(), rows_of(TABLES["review_sample"], 4)
    ids = drawn["video_id"]
    details = pd.DataFrame({"video_id": [ids[0], ids[0], ids[1], 10**9], "title": ["é" * 600, "=1", None, "not drawn"]})
    details["description"] = None
    land(embedded, "video_details", DAY, details)
    deliver(warehouse, "video_details", DAY, details)
    found = []
    for engine in (warehouse, embedded):
        engine.replace("review_sample", DAY, drawn.assign(programme="audit"))
        rows = engine.query("details_of_draws", {"ds": DAY})
        found.append(rows.sort_values(["video_id", "title"], ignore_index=True))
    assert sorted(found[0]["title"].dropna().str.len()) == [2, 500]
    assert len(found[0]) == 3
    pd.testing.assert_frame_equal(found[0], found[1], check_dtype=False)


def test_a_day_that_was_not_delivered_is_named(opened: Opened):
    warehouse = opened()
    deliver(warehouse, "video_scores", NEXT, scores(10))
    with pytest.raises(MissingPartition, match=f"video_scores has no partition for {DAY}"):
        warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    assert warehouse.input_problems("video_scores", DAY)["problem"].tolist() == ["missing_day"]
    assert warehouse.input_problems("video_scores", NEXT).empty


def test_a_view_over_other_columns_serves_as_an_input(opened: Opened):
    warehouse = opened()
    warehouse.jobs.run("CREATE TABLE theirs (day DATE, vid STRING, s FLOAT64)", {}, "theirs")
    warehouse.jobs.run("INSERT INTO theirs VALUES (DATE '2026-11-01', 'x', 0.5)", {}, "theirs")
    warehouse.jobs.run(
        "CREATE VIEW video_scores AS SELECT day AS ds, FARM_FINGERPRINT(vid) AS video_id, 'violence' AS policy, "
        "'BR' AS market, 'violence-v3' AS model_version, s AS score, 7 AS views FROM theirs",
        {},
        "video_scores",
    )
    assert warehouse.input_problems("video_scores", DAY).empty
    profile = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    assert profile[["policy", "bin", "n_videos", "n_views"]].to_numpy().tolist() == [["violence", 500, 1, 7]]


def test_optional_inputs_may_be_absent_and_others_are_asked_for(opened: Opened):
    warehouse = opened()
    assert not warehouse.delivers("appeals")
    assert warehouse.read("appeals").empty
    with pytest.raises(WarehouseRefused, match="no table or view video_scores: make a view"):
        warehouse.row_count("video_scores", DAY)
    assert warehouse.input_problems("video_scores", DAY)["detail"].str.contains("no table or view").all()


def test_optional_columns_that_are_not_there_read_as_null(opened: Opened):
    warehouse = opened()
    columns = "ds DATE, event_id STRING, video_id INT64, policy STRING, outcome STRING, decided_at TIMESTAMP"
    warehouse.jobs.run(f"CREATE TABLE appeals ({columns}, market STRING)", {}, "appeals")
    values = "(DATE '2026-11-01', 'a', 1, 'fraud', 'upheld', TIMESTAMP '2026-11-01 10:00:00+00', 'BR')"
    warehouse.jobs.run(f"INSERT INTO appeals VALUES {values}", {}, "appeals")
    assert warehouse.input_problems("appeals", DAY).empty
    row = warehouse.read("appeals", DAY, DAY).iloc[0]
    assert (row["event_id"], row["market"]) == ("a", "BR")
    assert row[["model_version", "threshold_version"]].isna().all()
    warehouse.jobs.run("CREATE TABLE enforcement_log (ds DATE, video_id INT64)", {}, "enforcement_log")
    assert "market" in warehouse.input_problems("enforcement_log", DAY)["column"].tolist()


def test_a_table_that_differs_from_the_contract_is_refused_by_column(opened: Opened):
    warehouse = opened()
    warehouse.jobs.run("CREATE TABLE score_histogram (ds DATE, policy STRING, bin STRING)", {}, "score_histogram")
    with pytest.raises(WarehouseRefused, match=r"score_histogram differs .* market missing column: STRING expected"):
        warehouse.read("score_histogram")
    with pytest.raises(WarehouseRefused, match="bin wrong type: is STRING, INT64 expected"):
        opened().replace("score_histogram", DAY, rows_of(TABLES["score_histogram"]))
    warehouse.jobs.run("CREATE TABLE video_scores (ds DATE, video_id STRING)", {}, "video_scores")
    problems = warehouse.input_problems("video_scores", DAY)
    assert problems[["column", "problem"]].head(2).to_numpy().tolist() == [
        ["video_id", "wrong_type"],
        ["policy", "missing_column"],
    ]


def test_histograms_are_added_up_alike(opened: Opened, embedded: DuckDBWarehouse):
    engines = [SimpleNamespace(warehouse=opened()), SimpleNamespace(warehouse=embedded)]
    for engine in engines:
        for day in DAYS:
            engine.warehouse.replace("score_histogram", day, histogram(day))
    asked: list[Callable[[Any], pd.DataFrame]] = [
        lambda project: histogram_of(
            project, WANTED, pd.DataFrame(CELLS[:3], columns=["policy", "market", "model_version"])
        ),
        lambda project: histogram_of(project, [], pd.DataFrame(CELLS, columns=["policy", "market", "model_version"])),
        lambda project: removals_of(project, WANTED, LEVELS, STARTS),
        lambda project: folded_histogram(project, WANTED, LEVELS, STARTS),
        lambda project: histogram_by_period(project, WANTED, "fraud", "v2", DAYS[4]),
    ]
    sizes = []
    for ask in asked:
        found, wanted = map(ask, engines)
        pd.testing.assert_frame_equal(found, wanted)
        sizes.append(len(found))
    assert [size > 0 for size in sizes] == [True, False, True, True, True]


def test_sums_of_a_table_that_is_not_there_are_empty(opened: Opened):
    project: Any = SimpleNamespace(warehouse=opened())
    assert removals_of(project, WANTED, LEVELS, STARTS).empty


def test_the_draw_reads_the_scores_that_were_profiled(opened: Opened):
    rows, warehouse = scores(3000), opened()
    deliver(warehouse, "video_scores", DAY, rows)
    warehouse.replace("sampling_design", DAY, design(PI))
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    read_at = score_profile(bins, 0)["read_at"].max().to_pydatetime()
    again = opened().query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    assert (again["read_at"] == read_at).all(), "the job was taken up again, and its moment with it"
    asked = draw_parameters(design(PI), DAY, SALT)
    before = warehouse.query("draw", {**asked, "as_of": read_at})
    deliver(warehouse, "video_scores", DAY, rows.assign(video_id=rows["video_id"] + 1))
    order = ["programme", "policy", "market", "video_id"]
    drawn, now = (
        opened(run).query("draw", {**asked, "as_of": as_of}).sort_values(order, ignore_index=True)
        for run, as_of in (("another run", read_at), ("a third", None))
    )
    pd.testing.assert_frame_equal(drawn, before.sort_values(order, ignore_index=True))
    assert not set(now["video_id"]) & set(drawn["video_id"])


def test_a_state_that_is_gone_is_refused_by_name_and_what_to_do(opened: Opened, proxy: Proxy):
    warehouse = opened()
    deliver(warehouse, "video_scores", DAY, scores(50))
    warehouse.replace("sampling_design", DAY, design(PI))
    long_ago = datetime.now(UTC) - timedelta(days=8)
    with pytest.raises(WarehouseRefused, match=r"Invalid snapshot time .* clear scan_scores of the day"):
        warehouse.query("draw", {**draw_parameters(design(PI), DAY, SALT), "as_of": long_ago})


def test_a_view_is_read_as_it_is(opened: Opened):
    warehouse = opened()
    columns = "video_id INT64, policy STRING, market STRING, model_version STRING, score FLOAT64, views INT64"
    warehouse.jobs.run(f"CREATE TABLE theirs (day DATE, {columns})", {}, "theirs")
    warehouse.jobs.run("INSERT INTO theirs VALUES (DATE '2026-11-01', 1, 'fraud', 'BR', 'v2', 0.5, 7)", {}, "theirs")
    view = "CREATE VIEW video_scores AS SELECT day AS ds, * EXCEPT (day) FROM theirs"
    warehouse.jobs.run(view, {}, "video_scores")
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    assert bins["read_at"].isna().all()
    assert bins["n_videos"].tolist() == [1]
    warehouse.replace("sampling_design", DAY, design(PI))
    warehouse.query("draw", {**draw_parameters(design(PI), DAY, SALT), "as_of": datetime.now(UTC)})


def test_what_was_billed_is_known_by_day_dag_and_task(opened: Opened, proxy: Proxy):
    warehouse, sliced, before = opened(), TABLES["quality_results"], set(proxy.google.jobs)
    today = datetime.now(UTC).date()
    deliver(warehouse, "video_scores", DAY, scores(20))
    warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
    for gate in ("scores", "labels"):
        warehouse.replace(sliced.name, DAY, rows_of(sliced, 2).assign(gate=gate), slice_value=gate)
    warehouse.jobs._client.query("SELECT 1 AS n").result()  # somebody else's
    sent = [job for job in proxy.jobs() if not job.get("dryRun") and job.get("labels")]
    own = [job for name, job in proxy.google.jobs.items() if name not in before]
    own = [job for job in own if job.resource["configuration"].get("labels")]
    ended = [job for job in own if "query" in job.resource["configuration"] and not job.failed]
    keep_usage(SimpleNamespace(warehouse=warehouse), today)  # type: ignore[arg-type]
    (row,) = warehouse.read("warehouse_usage", today, today).to_dict("records")
    assert (row["dag"], row["task"], row["about_day"]) == ("sample_for_review", "scan_scores", DAY)
    assert row["jobs"] == len(sent) > 4
    assert 3 <= len(ended) < row["jobs"], "loads are free, and so is what failed"
    assert row["bytes_billed"] >= len(ended) * LEAST_BILLED
    assert row["slot_ms"] == len(ended) * 1200
    keep_usage(SimpleNamespace(warehouse=warehouse), today)  # type: ignore[arg-type]
    assert warehouse.read("warehouse_usage", today, today)["jobs"].tolist() == [len(sent) + 2], "a load, and its table"


def test_an_account_that_may_not_list_its_jobs_keeps_nothing(opened: Opened, proxy: Proxy, caplog):
    proxy.fault = lambda method, path, _: (
        error(403, "accessDenied", "no bigquery.jobs.list") if method == "GET" and "/jobs?" in path else None
    )
    assert opened().usage(DAY) is None
    assert "bigquery.jobs.list" in caplog.text
