"""What a job may cost, when it is taken up again, and what is said when BigQuery refuses: faults come by HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from include.config.settings import BigQueryPlace
from include.contract.tables import TABLES
from include.warehouse.base import Caller, Parameter, StillRunning, WarehouseRefused, WarehouseUnavailable
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_client import client_of
from include.warehouse.bigquery_jobs import Jobs
from tests.bigquery.conftest import start_emulator, stop
from tests.bigquery.google import Failure
from tests.bigquery.landing import deliver
from tests.bigquery.proxy import Fault, Proxy, error, proxied
from tests.waiting import HANG
from tests.warehouse.frames import DAY, rows_of, scores

pytestmark = pytest.mark.slow

SCAN: dict[str, Parameter] = {"ds": DAY, "id_mask": 0}
Opened = Callable[..., BigQueryWarehouse]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.warehouse.bigquery_jobs.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("include.warehouse.bigquery_jobs.LONGEST_PAUSE", 0.2)
    monkeypatch.setattr("include.warehouse.bigquery_jobs.POLL_SECONDS", (0.05, 0.2))


@pytest.fixture
def delivered(opened: Opened, proxy: Proxy) -> Opened:
    deliver(opened(), "video_scores", DAY, scores(50))
    proxy.requests.clear()
    return opened


def scan(warehouse: BigQueryWarehouse) -> int:
    return int(warehouse.query("profile_and_histogram", SCAN)["n_videos"].sum())


def submitted_only(warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan is sent, and nobody waits for it."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Jobs, "_wait", dies)
        with pytest.raises(KeyboardInterrupt):
            scan(warehouse)


def sent(proxy: Proxy) -> list[dict[str, Any]]:
    """The scans that were sent to be run, not only weighed."""
    return [query for query in proxy.queries() if "checked_videos" in query["query"] and not query["dryRun"]]


def once(fault: Fault) -> Fault:
    """The fault's first answer; then it is over."""
    over: list[object] = []

    def first(method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        answer = None if over else fault(method, path, body)
        if answer:
            over.append(answer)
        return answer

    return first


def on_scan(answer: tuple[int, dict[str, Any]]) -> Fault:
    def fault(method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        job = body.get("configuration", {})
        is_scan = "checked_videos" in job.get("query", {}).get("query", "")
        return answer if is_scan and not job.get("dryRun") else None

    return fault


def test_every_job_is_labelled_and_limited_and_its_values_are_typed_parameters(
    delivered: Opened, proxy: Proxy, place: BigQueryPlace
):
    scan(delivered())
    delivered().read("score_histogram", DAY, DAY)
    jobs = proxy.queries()
    for job in jobs:
        assert job["labels"] == {
            "product": "plumbline",
            "dataset": place.dataset,
            "dag": "sample_for_review",
            "task": "scan_scores",
            "day": "2026-11-01",
        }
        assert job["maximumBytesBilled"] == str(10**9)
        assert str(DAY) not in job["query"]
    (job,) = sent(proxy)
    assert {p["name"]: p["parameterType"]["type"] for p in job["queryParameters"]} == {
        "ds": "DATE",
        "id_mask": "INT64",
        "as_of": "TIMESTAMP",
    }


def test_a_scan_is_weighed_first_and_refused_above_the_limit(delivered: Opened, proxy: Proxy, caplog):
    proxy.google.weight = 5 * 10**9
    with pytest.raises(WarehouseRefused, match=r"would read 5\.0 GB, more than the 1 GB that extra\.max_gigabytes"):
        scan(delivered())
    assert sent(proxy) == []
    with caplog.at_level(logging.INFO):
        assert scan(delivered(max_gigabytes=6.0)) == 50
    assert "profile_and_histogram of 2026-11-01: would read 5.000 GB, at most 6 GB allowed" in caplog.text


def test_a_retry_takes_up_the_job_of_its_attempt_and_a_cleared_run_sends_a_new_one(
    delivered: Opened, proxy: Proxy, monkeypatch
):
    assert not sent(proxy)
    submitted_only(delivered("run 1"), monkeypatch)  # and the worker dies here
    assert scan(delivered("run 1")) == 50
    assert scan(delivered("run 1")) == 50
    assert len(sent(proxy)) == 1
    assert scan(delivered("run 1, cleared")) == 50
    assert len({job["id"] for job in sent(proxy)}) == 2


def run_on_submission(proxy: Proxy) -> Fault:
    """From the submission of the scan on, jobs are told as running."""

    def watch(method: str, path: str, body: dict[str, Any]) -> None:
        proxy.google.running = proxy.google.running or bool(sent(proxy))

    return watch


def test_a_scan_that_takes_long_lets_go_of_its_caller_and_is_taken_up_later(delivered: Opened, proxy: Proxy):
    warehouse = delivered("run 1", patience_seconds=0.5)
    warehouse.input_problems("video_scores", DAY)
    proxy.fault = run_on_submission(proxy)
    with pytest.raises(StillRunning, match=r"profile_and_histogram of 2026-11-01: job plumbline-.* is still running"):
        scan(warehouse)
    proxy.fault, proxy.google.running = None, False
    assert scan(delivered("run 1", patience_seconds=HANG)) == 50
    assert len(sent(proxy)) == 1


def test_a_worker_that_loses_the_race_to_submit_waits_for_the_others_job(delivered: Opened, proxy: Proxy, monkeypatch):
    submitted_only(delivered(), monkeypatch)
    proxy.google.lost_after_conflict = 2  # BigQuery refuses the id, and does not know the job yet
    proxy.fault = once(
        lambda method, path, body: error(404, "notFound", "Not found: Job") if "/jobs/plumbline-" in path else None
    )
    assert scan(delivered()) == 50
    assert len({job["id"] for job in sent(proxy)}) == 1


@pytest.mark.parametrize(
    "fault",
    [
        error(503, "backendError", "try again"),
        error(429, "rateLimitExceeded", "slow down"),
        error(500, "internalError", "oops"),
    ],
    ids=lambda fault: str(fault[0]),
)
def test_a_passing_error_is_not_noticed(delivered: Opened, proxy: Proxy, fault):
    proxy.fault = once(on_scan(fault))
    assert scan(delivered()) == 50


def failing(reason: str, times: int, message: str = "killed half-way") -> Failure:
    """The first `times` scans fail half-way, as a job, after they were accepted."""
    return Failure("checked_videos", reason, message, times)


def test_a_job_killed_half_way_is_sent_again_under_the_next_id(delivered: Opened, proxy: Proxy, caplog):
    proxy.google.failures.append(failing("backendError", 1))
    assert scan(delivered()) == 50
    assert [job["id"][-2:] for job in sent(proxy)] == ["-0", "-1"]
    assert "sent again" in caplog.text


def test_a_job_that_fails_for_good_is_not_sent_again_and_says_why(delivered: Opened, proxy: Proxy):
    proxy.google.failures.append(failing("resourcesExceeded", 1))
    with pytest.raises(
        WarehouseRefused, match=r"profile_and_histogram of 2026-11-01: killed half-way: the query needs more"
    ):
        scan(delivered())
    assert len(sent(proxy)) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            error(403, "accessDenied", "User lacks bigquery.tables.getData"),
            WarehouseRefused,
            "getData: permission missing",
        ),
        (error(403, "quotaExceeded", "daily quota"), WarehouseUnavailable, "daily quota: a quota is used up"),
        (error(403, "bytesBilledLimitExceeded", "10 GB"), WarehouseRefused, r"above extra\.max_gigabytes"),
        (error(404, "notFound", "Not found: Project no-such"), WarehouseRefused, "check project, dataset and location"),
        (error(401, "authError", "Invalid Credentials"), WarehouseRefused, "credentials cannot be used"),
        (
            error(400, "invalidQuery", "Unrecognized name: x"),
            WarehouseRefused,
            "Unrecognized name: x: the table's columns",
        ),
    ],
    ids=lambda value: value[1]["error"]["status"] if isinstance(value, tuple) else "",
)
def test_an_error_names_connection_dataset_and_query_and_what_to_do(
    delivered: Opened, proxy: Proxy, answer, kind, said
):
    proxy.fault = on_scan(answer)
    warehouse = delivered()
    where = rf"connection plumbline_warehouse, {warehouse.jobs.dataset}, profile_and_histogram of 2026-11-01: .*"
    with pytest.raises(kind, match=where + said):
        scan(warehouse)
    proxy.fault = None
    assert scan(delivered("rerun")) == 50


def test_rows_come_by_rest_where_the_storage_api_is_forbidden(delivered: Opened, monkeypatch, caplog):
    """bqemulator's Storage API does not know query results, so only the way round it is run here."""
    import grpc
    from google.cloud.bigquery_storage import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    class Forbidding(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            def abort(request: bytes, context: Any) -> None:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "bigquery.readsessions.create denied")

            return grpc.unary_unary_rpc_method_handler(abort)

    server = grpc.server(ThreadPoolExecutor(1), interceptors=[Forbidding()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    transport = BigQueryReadGrpcTransport(channel=grpc.insecure_channel(f"127.0.0.1:{port}"))
    try:
        warehouse = delivered(storage_endpoint=None)
        monkeypatch.setattr(Jobs, "_storage", BigQueryReadClient(transport=transport))
        assert scan(warehouse) == 50
    finally:
        server.stop(None)
    assert (
        "profile_and_histogram of 2026-11-01: fetched by REST, which is slower: bigquery.readsessions.create denied"
        in caplog.text
    )


def test_google_itself_is_asked_by_the_storage_api(place: BigQueryPlace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("google.auth.default", lambda **_: (AnonymousCredentials(), "p"))
    caller = Caller("d", "t", "2026-11-01", "a")
    place = place.model_copy(update={"storage_endpoint": None})
    assert Jobs(place, caller)._storage is None
    assert Jobs(place.model_copy(update={"api_endpoint": None}), caller)._storage is not None


def test_a_dataset_that_is_not_there_is_named(place: BigQueryPlace):
    jobs = Jobs(place.model_copy(update={"dataset": "nowhere"}), Caller("d", "t", "2026-11-01", "a"))
    with pytest.raises(WarehouseRefused, match=r"plumbline-test\.nowhere, score_profile: Not found: dataset"):
        BigQueryWarehouse(jobs).read("score_profile")


def test_without_credentials_it_is_said_how_to_give_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    place = BigQueryPlace(project="p", dataset="d", location="EU", max_gigabytes=1)
    with pytest.raises(WarehouseRefused, match="no Google credentials found"):
        client_of(place)


def test_an_emulator_that_stops_mid_run_is_an_outage_and_the_rerun_heals(tmp_path: Path):
    process, rest, rpc = start_emulator(tmp_path)
    with proxied(rest, rpc) as proxy:
        place = BigQueryPlace(
            project="plumbline-test",
            dataset="d",
            location="US",
            max_gigabytes=1,
            api_endpoint=proxy.url,
            retry_seconds=HANG,
        )
        caller = Caller("sample_for_review", "scan_scores", "2026-11-01", "run 1")
        client_of(place).create_dataset("d")
        table = TABLES["score_histogram"]
        warehouse = BigQueryWarehouse(Jobs(place, caller))
        warehouse.replace(table.name, DAY, rows_of(table))
        stop(process)
        impatient = BigQueryWarehouse(Jobs(place.model_copy(update={"retry_seconds": 3}), caller))
        with pytest.raises(WarehouseUnavailable, match=r"plumbline-test\.d, .*rerun"):
            impatient.replace(table.name, DAY, rows_of(table, 2))
        again, proxy.google.port, _ = start_emulator(tmp_path)
        try:
            client_of(place).create_dataset("d")
            warehouse = BigQueryWarehouse(Jobs(place, caller))
            warehouse.replace(table.name, DAY, rows_of(table, 2))
            assert len(warehouse.read(table.name)) == 2
        finally:
            stop(again)
