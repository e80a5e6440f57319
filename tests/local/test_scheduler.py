"""The real scheduler on loopback: a scheduled day flows through all four Dags by asset events alone, and a person
fills in forms and answers questions through the API.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from copy import copy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import Settings
from include.local.environment import airflow_environment
from include.local.runs import DAILY_DAGS
from include.local.server import Server, login, start, stop
from include.orchestration.assets import PUSHED_LABELS
from include.project import open_project
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario
from include.thresholds.ledger import in_order
from tests.thresholds.publishing import carry_out, proposal

pytestmark = pytest.mark.scheduler

FLOW_SECONDS = 420
RUN_SECONDS = 120


class Api:
    """Airflow's REST API, as a user who logged in."""

    def __init__(self, server: Server, user: str, password: str) -> None:
        self.url = server.url
        self.headers = {"Content-Type": "application/json"}
        token = self.send("POST", "/auth/token", {"username": user, "password": password})["access_token"]
        self.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=content, headers=self.headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def fill_in(self, dag_id: str, **form: Any) -> str:
        """Starts a run as its form does; the path of the run."""
        run = self.send("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": form})
        return f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run['dag_run_id'])}"

    def finished(self, run: str) -> dict[str, Any]:
        """The run once it has ended."""
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.get(run)
            if found["state"] in ("success", "failed"):
                return found
            time.sleep(0.5)
        raise TimeoutError(f"{run} did not end")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The Dag's runs; none before the Dag processor has seen its file."""
        try:
            return list(self.get(f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Path]]:
    """An Airflow with its own metadata, over three simulated days that end today."""
    import subprocess
    import sys

    home = tmp_path_factory.mktemp("scheduler")
    today = datetime.now(UTC).date()
    platform = Platform(
        load_scenario("calm", videos_per_day=5_000),
        landing=home / "data" / "landing",
        queue=home / "data" / "output" / "review_queue",
        thresholds=home / "data" / "output" / "thresholds.json",
        truth=home / "data" / "truth",
        start=today - timedelta(days=2),
    )
    for back in (2, 1, 0):
        platform.land_day(today - timedelta(days=back))
    airflow_home = home / "airflow"
    place = {"PLUMBLINE_HOME": str(home)}
    prepare = "from include.local.metadata import apply_settings, migrate; migrate(); apply_settings()"
    environment = {**airflow_environment(airflow_home), **place}
    subprocess.run([sys.executable, "-c", prepare], env=environment, check=True, capture_output=True)
    server = start(airflow_home, home / "airflow.log", place)
    try:
        yield Api(server, *login(airflow_home)), home
    finally:
        stop(server)
        assert not server.alive()


def test_a_scheduled_day_flows_through_all_dags_by_asset_events(airflow: tuple[Api, Path]) -> None:
    api, home = airflow
    deadline = time.monotonic() + FLOW_SECONDS
    states: dict[str, list[tuple[str, str, str]]] = {}
    while time.monotonic() < deadline:
        states = {
            dag_id: [(run["partition_key"], run["run_type"], run["state"]) for run in api.runs(dag_id)]
            for dag_id in DAILY_DAGS
        }
        if all(states.values()) and {state for runs in states.values() for *_, state in runs} == {"success"}:
            break
        assert "failed" not in {state for runs in states.values() for *_, state in runs}, states
        time.sleep(3)
    (key, _, _) = states["sample_for_review"][0]
    assert states == {
        "sample_for_review": [(key, "scheduled", "success")],
        "ingest_reviewer_labels": [(key, "scheduled", "success")],
        "recalibrate_thresholds": [(key, "asset_triggered", "success")],
        "hand_off_retraining": [(key, "asset_triggered", "success")],
    }
    day = date.fromisoformat(key)
    assert day < datetime.now(UTC).date()
    for table in ("review_sample", "label_consensus", "threshold_proposals", "retraining_decisions"):
        assert (home / "data" / "warehouse" / table / f"ds={day}").is_dir(), table
    assert json.loads((home / "data" / "output" / "thresholds.json").read_text())["version"] == 1
    assert (home / "data" / "output" / "reports" / f"{day}.html").exists()


def test_a_rollback_is_cancelled_and_another_confirmed_through_the_api(airflow: tuple[Api, Path]) -> None:
    api, home = airflow
    path = home / "data" / "output" / "thresholds.json"
    first = json.loads(path.read_text())
    settings = Settings(home / "data" / "landing", home / "data" / "warehouse", home / "data" / "output", "unused")
    project = open_project(settings)
    carry_out(project, [proposal("p1")], date.fromisoformat(first["ds"]), now=datetime.now(UTC))
    assert json.loads(path.read_text())["version"] == 2

    runs = [api.fill_in("roll_back_thresholds", version=1, reason=reason) for reason in ("not this one", "complaints")]
    open_questions = "/api/v2/dags/roll_back_thresholds/dagRuns/~/hitlDetails?response_received=false"
    deadline = time.monotonic() + RUN_SECONDS
    while len(asked := api.get(open_questions)["hitl_details"]) < len(runs) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert all("| violence BR violence-v3 | 0.950 → 0.980 | 0.700 → 0.800 |" in question["body"] for question in asked)
    time.sleep(3)  # an answer within a second of the question can fail the task

    def answer(run: str, option: str) -> dict[str, Any]:
        question = f"{run}/taskInstances/confirm/-1/hitlDetails"
        api.send("PATCH", question, {"chosen_options": [option], "params_input": {}})
        return api.finished(run)

    cancelled = answer(runs[0], "Cancel")
    assert (cancelled["state"], cancelled["note"]) == ("success", "Cancelled by admin: the thresholds in force stay.")
    assert json.loads(path.read_text())["version"] == 2

    confirmed = answer(runs[1], "Roll back")
    assert confirmed["state"] == "success"
    assert confirmed["note"].startswith("Rolled back to version 1, as version 3. thresholds.json was at version 2")
    served = json.loads(path.read_text())
    assert (served["version"], served["cells"]) == (3, first["cells"])
    last = in_order(project.warehouse.read("threshold_ledger"))[-1]
    assert (last["requester"], last["reason"]) == ("admin", "complaints")


@pytest.mark.parametrize(
    ("dag_id", "form", "said"),
    [
        ("recalibrate_ad_hoc", {"markets": ["ZZ"], "reason": "election"}, "ZZ"),
        ("recalibrate_ad_hoc", {"precision_percent": 100, "reason": "election"}, "100"),
        ("recalibrate_ad_hoc", {"reason": "   "}, "reason"),
        ("recalibrate_ad_hoc", {}, "reason"),
        ("roll_back_thresholds", {"version": 0, "reason": "complaints"}, "minimum"),
    ],
)
def test_the_server_refuses_a_wrong_form(airflow: tuple[Api, Path], dag_id: str, form: Any, said: str) -> None:
    api, _ = airflow
    with pytest.raises(urllib.error.HTTPError) as refused:
        api.fill_in(dag_id, **form)
    assert refused.value.code == 400
    assert said in refused.value.read().decode()


def test_what_the_server_cannot_know_is_refused_by_the_run_and_noted(airflow: tuple[Api, Path]) -> None:
    api, home = airflow
    before = sorted(str(file) for file in (home / "data" / "warehouse" / "threshold_ledger").rglob("*.parquet"))
    run = api.finished(api.fill_in("recalibrate_ad_hoc", policies=["violence"], markets=["BR"], reason="election"))
    assert run["state"] == "failed"
    assert run["note"].startswith("Not done. window_days: no final labels of violence in BR in the window, ")
    after = sorted(str(file) for file in (home / "data" / "warehouse" / "threshold_ledger").rglob("*.parquet"))
    assert after == before


def test_labels_pushed_over_the_api_become_a_drop_of_their_day_of_arrival(airflow: tuple[Api, Path]) -> None:
    api, home = airflow
    (asset,) = api.get(f"/api/v2/assets?uri_pattern={urllib.parse.quote(PUSHED_LABELS.uri)}")["assets"]
    events = [{"event_id": f"pushed-{n}", "video_id": 2**62 + n, "reviewer_id": "Åsa"} for n in range(3)]
    body = {"asset_id": asset["id"], "extra": {"events": events}}
    arrived = datetime.fromisoformat(api.send("POST", "/api/v2/assets/events", body)["timestamp"])
    deadline = time.monotonic() + RUN_SECONDS
    while not (runs := api.runs("land_pushed_labels")) or runs[0]["state"] not in {"success", "failed"}:
        assert time.monotonic() < deadline, runs
        time.sleep(2)
    assert [run["state"] for run in runs] == ["success"]
    folder = home / "data" / "landing" / "reviewer_labels" / f"ds={arrived.astimezone(UTC).date()}"
    (drop,) = folder.glob("push-*.jsonl")
    assert [json.loads(line) for line in drop.read_text(encoding="utf-8").splitlines()] == events

    stranger = copy(api)
    stranger.headers = api.headers | {"Authorization": "Bearer no token"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        stranger.send("POST", "/api/v2/assets/events", body)
    assert refused.value.code == 403


def test_nothing_is_open_without_a_login_and_nothing_failed_to_load(airflow: tuple[Api, Path]) -> None:
    api, _ = airflow
    assert api.get("/api/v2/importErrors")["import_errors"] == []
    assert api.get("/api/v2/plugins/importErrors")["import_errors"] == []
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{api.url}/api/v2/dags", timeout=20)
    assert refused.value.code == 401
