"""The real scheduler on loopback: a scheduled day flows through all four Dags by asset events alone."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from copy import copy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from include.local.environment import airflow_environment
from include.local.runs import DAILY_DAGS
from include.local.server import Server, login, start, stop
from include.orchestration.assets import PUSHED_LABELS
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario

pytestmark = pytest.mark.scheduler

FLOW_SECONDS = 420
PUSH_SECONDS = 120


class Api:
    """Airflow's REST API, as a user who logged in."""

    def __init__(self, server: Server, user: str, password: str) -> None:
        self.url = server.url
        self.token = ""
        self.token = self.post("/auth/token", {"username": user, "password": password})["access_token"]

    def get(self, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(body).encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

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


def test_labels_pushed_over_the_api_become_a_drop_of_their_day_of_arrival(airflow: tuple[Api, Path]) -> None:
    api, home = airflow
    (asset,) = api.get(f"/api/v2/assets?uri_pattern={quote(PUSHED_LABELS.uri)}")["assets"]
    events = [{"event_id": f"pushed-{n}", "video_id": 2**62 + n, "reviewer_id": "Åsa"} for n in range(3)]
    body = {"asset_id": asset["id"], "extra": {"events": events}}
    arrived = datetime.fromisoformat(api.post("/api/v2/assets/events", body)["timestamp"])
    deadline = time.monotonic() + PUSH_SECONDS
    while not (runs := api.runs("land_pushed_labels")) or runs[0]["state"] not in {"success", "failed"}:
        assert time.monotonic() < deadline, runs
        time.sleep(2)
    assert [run["state"] for run in runs] == ["success"]
    folder = home / "data" / "landing" / "reviewer_labels" / f"ds={arrived.astimezone(UTC).date()}"
    (drop,) = folder.glob("push-*.jsonl")
    assert [json.loads(line) for line in drop.read_text(encoding="utf-8").splitlines()] == events

    stranger = copy(api)
    stranger.token = "no token"
    with pytest.raises(urllib.error.HTTPError) as refused:
        stranger.post("/api/v2/assets/events", body)
    assert refused.value.code == 403


def test_nothing_is_open_without_a_login_and_nothing_failed_to_load(airflow: tuple[Api, Path]) -> None:
    api, _ = airflow
    assert api.get("/api/v2/importErrors")["import_errors"] == []
    assert api.get("/api/v2/plugins/importErrors")["import_errors"] == []
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{api.url}/api/v2/dags", timeout=20)
    assert refused.value.code == 401
