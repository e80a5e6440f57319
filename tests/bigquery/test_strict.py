"""The strict Google refuses what the emulator forgives, and the engine lives with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from include.config.settings import PROJECT_ROOT, BigQueryPlace
from include.contract.tables import TABLES
from include.warehouse.base import Parameter, StillRunning, WarehouseRefused, WarehouseUnavailable
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_tables import made
from tests.bigquery.google import Failure
from tests.bigquery.landing import deliver
from tests.bigquery.proxy import Proxy
from tests.bigquery.rules import RULES
from tests.bigquery.statements import reserved_name, unfiltered
from tests.waiting import wait_for
from tests.warehouse.frames import DAY, rows_of, scores

pytestmark = pytest.mark.slow

Opened = Callable[..., BigQueryWarehouse]
NEXT = DAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.warehouse.bigquery_jobs.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("include.warehouse.bigquery_jobs.LONGEST_PAUSE", 0.2)
    monkeypatch.setattr("include.warehouse.bigquery_jobs.POLL_SECONDS", (0.05, 0.2))


@pytest.fixture
def client(opened: Opened) -> bigquery.Client:
    """Google's client, without what the engine adds."""
    return opened().jobs._client


def test_the_docs_name_every_rule_with_its_page_and_standing() -> None:
    page = (PROJECT_ROOT / "docs" / "bigquery.md").read_text()
    for rule in RULES:
        assert f"| {rule.says} | {rule.standing} | {rule.source} |" in page, rule.name


# Rules


def test_a_job_id_is_accepted_once_also_if_its_job_failed(client: bigquery.Client, proxy: Proxy) -> None:
    client.query("SELECT 1 AS n", job_id="once").result()
    with pytest.raises(exceptions.Conflict):
        client.query("SELECT 1 AS n", job_id="once", job_retry=None)
    proxy.google.failures.append(Failure("SELECT 2", "backendError", "oops"))
    client.query("SELECT 2 AS n", job_id="failed", job_retry=None)
    with pytest.raises(exceptions.Conflict):
        client.query("SELECT 2 AS n", job_id="failed", job_retry=None)


def test_a_job_is_running_first_and_its_failure_is_an_error_of_its_results(
    client: bigquery.Client, proxy: Proxy
) -> None:
    job = client.query("SELECT 1 AS n")
    assert job.state == "RUNNING"
    job.reload()
    assert job.state == "DONE"
    proxy.google.failures.append(Failure("SELECT 2", "invalidQuery", "Could not serialize access to table t"))
    job = client.query("SELECT 2 AS n", job_retry=None)
    assert job.state == "RUNNING"
    with pytest.raises(exceptions.BadRequest, match="Could not serialize"):
        client._get_query_results(job.job_id, retry=None)


def test_a_request_of_more_than_ten_megabytes_is_refused(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("x", "STRING", "a" * 11_000_000)])
    with pytest.raises(exceptions.BadRequest, match="exceeds the limit"):
        client.query_and_wait("SELECT LENGTH(@x) AS n", job_config=config)


def test_results_without_a_name_are_gone_after_a_day(client: bigquery.Client, proxy: Proxy) -> None:
    job = client.query("SELECT 1 AS n")
    assert [row.n for row in job.result()] == [1]
    proxy.google.hours += 25
    with pytest.raises(exceptions.NotFound):
        client.get_job(job.job_id).result()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CREATE TABLE t (hash STRING)", "hash"),
        ("CREATE TABLE t (`hash` STRING)", None),
        ("SELECT limit FROM t", "limit"),
        ("SELECT `limit` FROM t", None),
        ("SELECT t.hash FROM t", None),
        ("SELECT 1 AS range", "range"),
    ],
)
def test_reserved_words_must_be_quoted(text: str, name: str | None) -> None:
    try:
        found = reserved_name(text)
    except Exception:  # what the parser itself cannot read, Google cannot either
        found = name
        assert name is not None
    assert found == name


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("SELECT * FROM t", True),
        ("SELECT * FROM t WHERE x = 1", True),
        ("SELECT * FROM t WHERE ds = @ds", False),
        ("SELECT * FROM (SELECT * FROM t) WHERE ds = @ds", True),
        ("WITH a AS (SELECT * FROM t WHERE ds BETWEEN @a AND @b) SELECT * FROM a", False),
        ("MERGE t USING s ON FALSE WHEN NOT MATCHED BY SOURCE AND ds = @ds THEN DELETE", False),
        ("MERGE t USING s ON FALSE WHEN NOT MATCHED BY SOURCE AND x = 1 THEN DELETE", True),
        ("DELETE FROM t WHERE x = 1", True),
        ("INSERT INTO t (x) VALUES (1)", False),
        ("SELECT * FROM other", False),
    ],
)
def test_a_required_partition_filter_is_required(text: str, refused: bool) -> None:
    assert unfiltered(text, {"t"}) == ("t" if refused else None)


def test_a_table_that_requires_a_filter_refuses_a_query_without(opened: Opened) -> None:
    warehouse = opened()
    warehouse.replace("score_histogram", DAY, rows_of(TABLES["score_histogram"], 2))
    with pytest.raises(WarehouseRefused, match="without a filter over column"):
        warehouse.jobs.run("SELECT COUNT(*) AS n FROM score_histogram", {}, "score_histogram")


def test_a_tables_metadata_changes_five_times_in_ten_seconds_at_most(opened: Opened, proxy: Proxy) -> None:
    warehouse = opened()
    client, table = warehouse.jobs._client, made(warehouse.jobs, TABLES["score_profile"])
    client.create_table(table)
    for _ in range(4):
        client.update_table(table, ["description"], retry=None)
    with pytest.raises(exceptions.Forbidden, match="too many table update operations"):
        client.update_table(table, ["description"], retry=None)


def test_a_load_into_a_partition_takes_no_row_of_another_day(opened: Opened) -> None:
    from include.warehouse.bigquery import _with_day
    from include.warehouse.bigquery_tables import fields
    from include.warehouse.frames import checked_rows

    warehouse, table = opened(), TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table, 2))
    content = _with_day(checked_rows(table, rows_of(table, 2)), NEXT)
    with pytest.raises(WarehouseRefused, match="different partitions"):
        warehouse.jobs.load(content, f"{warehouse.jobs.dataset}.{table.name}${DAY:%Y%m%d}", fields(table), table.name)
    assert warehouse.row_count(table.name, DAY) == 2


# How the engine lives with them


def test_a_table_of_an_older_shape_is_given_its_new_columns(opened: Opened) -> None:
    warehouse, table = opened(), TABLES["policy_metrics"]
    older = made(warehouse.jobs, table)
    older.schema = [field for field in older.schema if field.name not in {"threshold", "correction"}]
    warehouse.jobs.create(older)
    names = ", ".join(f"`{field.name}`" for field in older.schema)
    values = ", ".join(
        {"STRING": "'x'", "INT64": "1", "FLOAT64": "0.5", "DATE": "@day"}[f.field_type] for f in older.schema
    )
    warehouse.jobs.run(f"INSERT INTO policy_metrics ({names}) VALUES ({values})", {"day": DAY}, "policy_metrics")
    read = opened().read(table.name, DAY, DAY)
    assert read[["threshold", "correction"]].isna().all(axis=None)
    opened().replace(table.name, NEXT, rows_of(table, 3))
    assert opened().read(table.name, NEXT, NEXT)["threshold"].notna().sum() == 2
    assert len(opened().read(table.name, DAY, DAY)) == 1


def test_a_load_gives_an_older_table_its_new_columns_too(opened: Opened) -> None:
    warehouse, table = opened(), TABLES["policy_metrics"]
    older = made(warehouse.jobs, table)
    older.schema = [field for field in older.schema if field.name != "threshold"]
    warehouse.jobs.create(older)
    warehouse.replace(table.name, DAY, rows_of(table, 3))
    assert len(warehouse.read(table.name, DAY, DAY)) == 3


@pytest.mark.parametrize("name", ["score_histogram", "quality_results"])
def test_writers_that_conflict_are_sent_again(opened: Opened, proxy: Proxy, name: str) -> None:
    warehouse, table = opened(), TABLES[name]
    part = "scores" if table.slice_by else None
    rows = rows_of(table, 2) if part is None else rows_of(table, 2).assign(gate=part)
    conflict = "Could not serialize access to table p:d.t due to concurrent update"
    for statement in (f"load {name}$", f"MERGE `{name}`"):
        proxy.google.failures.append(Failure(statement, "invalidQuery", conflict, times=3))
    warehouse.replace(name, DAY, rows, slice_value=part)
    assert len(warehouse.read(name, DAY, DAY)) == 2
    proxy.google.failures.append(Failure("SELECT", "invalidQuery", conflict, times=99))
    with pytest.raises(WarehouseUnavailable, match="at the same time"):
        warehouse.row_count(name, DAY)


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "ABORTED", "UNAVAILABLE"])
def test_the_storage_api_is_asked_again_where_it_has_too_much_to_do(opened: Opened, proxy: Proxy, code: str) -> None:
    warehouse, table = opened(), TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table, 3))
    proxy.requests.clear()
    proxy.storage_refuses += [code, code]  # more than once
    assert len(warehouse.read(table.name, DAY, DAY)) == 3
    assert proxy.queries() == []
    assert len([path for method, path, _ in proxy.requests if method == "GRPC" and "CreateReadSession" in path]) == 3


def test_without_the_storage_api_rows_come_by_queries_from_then_on(opened: Opened, proxy: Proxy, caplog) -> None:
    warehouse, table = opened(), TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table, 3))
    proxy.requests.clear()
    proxy.storage_refuses.append("PERMISSION_DENIED")
    for _ in range(2):
        assert len(warehouse.read(table.name, DAY, DAY)) == 3
    assert len([path for method, path, _ in proxy.requests if method == "GRPC"]) == 1
    assert len(proxy.queries()) == 2
    assert "read by a query, which is slower and takes a job" in caplog.text


def test_an_upload_whose_answer_was_lost_is_not_loaded_twice(opened: Opened, proxy: Proxy) -> None:
    warehouse, table = opened(), TABLES["score_histogram"]
    warehouse.replace(table.name, DAY, rows_of(table, 1))
    told: list[str] = []
    original = proxy.google._load

    def lossy(body: dict[str, Any], content: bytes) -> Any:
        answer = original(body, content)
        told.append(body["jobReference"]["jobId"])
        return answer if len(told) > 1 else (503, [("Content-Type", "application/json")], b"{}")

    proxy.google._load = lossy  # type: ignore[method-assign]
    try:
        warehouse.replace(table.name, DAY, rows_of(table, 3))
    finally:
        del proxy.google._load
    assert told == [told[0]] * 2
    assert len(warehouse.read(table.name, DAY, DAY)) == 3


def test_a_scans_rows_are_there_after_a_weekend_and_paid_again_after_they_expired(opened: Opened, proxy: Proxy) -> None:
    deliver(opened(), "video_scores", DAY, scores(50))
    proxy.requests.clear()

    def scan(attempt: str = "run 1") -> int:
        found = opened(attempt).query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
        return int(found["n_videos"].sum())

    def paid() -> int:
        return len([q for q in proxy.queries() if "checked_videos" in q["query"] and not q["dryRun"]])

    assert scan() == 50
    proxy.google.hours += 72
    assert (scan(), paid()) == (50, 1)
    proxy.google.hours += 24 * 7
    assert (scan(), paid()) == (50, 2)


def test_a_stopped_or_lost_scan_is_another_job_of_the_next_try(opened: Opened, proxy: Proxy) -> None:
    deliver(opened(), "video_scores", DAY, scores(50))
    parameters: dict[str, Parameter] = {"ds": DAY, "id_mask": 0}
    proxy.google.failures.append(Failure("checked_videos", "stopped", "Job execution was cancelled"))
    with pytest.raises(WarehouseUnavailable, match="somebody stopped the job"):
        opened().query("profile_and_histogram", parameters)
    assert opened().query("profile_and_histogram", parameters)["n_videos"].sum() == 50
    warehouse = opened("run 2")
    wait = warehouse.jobs._wait

    def lost(job: Any, *more: Any) -> None:
        monkeypatch.undo()
        del proxy.google.jobs[job.job_id]
        wait(job, *more)

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(warehouse.jobs, "_wait", lost)
    assert warehouse.query("profile_and_histogram", parameters)["n_videos"].sum() == 50


def test_the_triggerer_waits_for_the_query_and_stops_it_if_its_task_is_ended(
    opened: Opened, place: BigQueryPlace, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.orchestration.query_done import QueryDone

    monkeypatch.setattr("include.orchestration.query_done.LOOK_SECONDS", 0.05)
    deliver(opened(), "video_scores", DAY, scores(50))
    warehouse, parameters = opened(patience_seconds=0.2), {"ds": DAY, "id_mask": 0}
    warehouse.row_count("video_scores", DAY)
    proxy.google.running = True
    with pytest.raises(StillRunning) as waits:
        warehouse.query("profile_and_histogram", parameters)  # type: ignore[arg-type]
    job = waits.value.job
    trigger = QueryDone(**QueryDone(job.job_id, dict(job.place)).serialize()[1])

    async def fired() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    def done() -> None:
        time.sleep(0.3)
        proxy.google.running = False

    with ThreadPoolExecutor(1) as pool:
        pool.submit(done)
        assert asyncio.run(fired()) == [{"job": job.job_id, "state": "DONE"}]
    assert opened().query("profile_and_histogram", parameters)["n_videos"].sum() == 50  # type: ignore[arg-type]
    asyncio.run(trigger.on_kill())
    assert proxy.google.jobs[job.job_id].failed == {"reason": "stopped", "message": "Job execution was cancelled"}
    assert place.dataset in job.job_id


def test_a_killed_task_stops_its_job(opened: Opened, proxy: Proxy) -> None:
    deliver(opened(), "video_scores", DAY, scores(50))
    warehouse = opened(patience_seconds=None)
    warehouse.row_count("video_scores", DAY)
    proxy.google.running = True
    parameters: dict[str, Parameter] = {"ds": DAY, "id_mask": 0}
    with ThreadPoolExecutor(1) as pool:
        scan = pool.submit(warehouse.query, "profile_and_histogram", parameters)
        wait_for(lambda: warehouse.jobs._awaited, "the scan is awaited")
        warehouse.cancel()
        with pytest.raises(WarehouseUnavailable, match="somebody stopped the job"):
            scan.result()
    assert [path for method, path, _ in proxy.requests if path.split("?")[0].endswith("/cancel")]


# The ledger


def version(number: int, **columns: object) -> dict[str, object]:
    row = rows_of(TABLES["threshold_ledger"], 1).iloc[0].to_dict()
    return {str(name): value for name, value in row.items()} | {"version": number} | columns


def test_a_version_whose_job_failed_or_whose_rows_are_gone_can_be_appended(opened: Opened, proxy: Proxy) -> None:
    failing = Failure("INSERT INTO `threshold_ledger`", "resourcesExceeded", "no", times=3)
    proxy.google.failures.append(failing)
    for _ in range(3):
        with pytest.raises(WarehouseRefused):
            opened().append_version("threshold_ledger", DAY, version(1))
    assert opened().append_version("threshold_ledger", DAY, version(1))
    assert not opened().append_version("threshold_ledger", DAY, version(1))
    warehouse = opened()
    warehouse.jobs.run("DELETE FROM threshold_ledger WHERE ds = @ds", {"ds": DAY}, "threshold_ledger")
    assert opened().append_version("threshold_ledger", DAY, version(1))
    warehouse.jobs.drop(f"{warehouse.jobs.dataset}.threshold_ledger")
    assert opened().append_version("threshold_ledger", DAY, version(1))
    assert opened().append_version("threshold_ledger", DAY, version(2))
    assert opened().read("threshold_ledger")["version"].tolist() == [1, 2]


def test_of_two_first_writers_at_once_one_wins_and_the_other_is_told(opened: Opened, proxy: Proxy) -> None:
    def append(writer: int) -> bool:
        return opened(f"run {writer}").append_version("threshold_ledger", DAY, version(1, requester=f"w{writer}"))

    proxy.google.lost_after_conflict = 1
    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(append, range(2)))
    assert sorted(won) == [False, True]
    (row,) = opened().read("threshold_ledger").to_dict("records")
    assert row["requester"] == f"w{won.index(True)}"


def test_a_writer_whose_rival_is_lost_sends_no_second_insert(opened: Opened, proxy: Proxy) -> None:
    assert opened().append_version("threshold_ledger", DAY, version(1))
    proxy.google.lost_after_conflict = 10**6
    proxy.requests.clear()
    with pytest.raises(WarehouseUnavailable):
        opened(retry_seconds=1).append_version("threshold_ledger", DAY, version(1))
    assert len({query["id"] for query in proxy.queries() if query["query"].startswith("INSERT")}) == 1


def test_without_unique_ids_two_inserts_would_both_land(opened: Opened) -> None:
    """The premise: an INSERT sees what was there when it began, and conflicts with no other INSERT."""
    warehouse = opened()
    warehouse.append_version("threshold_ledger", DAY, version(1))
    columns = ", ".join(f"`{name}`" for name in ("ds", *TABLES["threshold_ledger"].column_names))
    for _ in range(2):  # both were begun while version 1 was the last
        warehouse.jobs.run(
            f"INSERT INTO threshold_ledger ({columns}) SELECT {columns.replace('`version`', '2')} "
            "FROM threshold_ledger WHERE ds = @ds AND version = 1",
            {"ds": DAY},
            "threshold_ledger",
        )
    assert warehouse.read("threshold_ledger")["version"].tolist() == [1, 2, 2]


def test_a_version_of_five_thousand_changed_cells_fits(opened: Opened, proxy: Proxy) -> None:
    text = "x" * 8_000_000
    assert opened().append_version("threshold_ledger", DAY, version(1, thresholds=text, changes=text))
    (row,) = opened().read("threshold_ledger").to_dict("records")
    assert row["changes"] == text


def test_after_each_version_a_copy_is_kept_where_the_place_says(opened: Opened, proxy: Proxy, tmp_path: Path) -> None:
    warehouse = opened()
    snapshots = f"{warehouse.jobs._place.dataset}_snapshots"
    warehouse.jobs._client.create_dataset(snapshots)
    assert opened(snapshot_dataset=snapshots).append_version("threshold_ledger", DAY, version(1))
    (table,) = warehouse.jobs._client.list_tables(snapshots)
    assert table.table_id == "threshold_ledger_v000000001"
