"""A day of all Dags on which every task is killed at random file operations ends as if nothing had happened."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.benchmarks.bench_kills import Homes, differences, homes, printed

pytestmark = pytest.mark.airflow

DAYS_BEFORE = 5
"""Changes were published, a canary began, a model is to be retrained, forecasts are due."""


@pytest.fixture(scope="module")
def lived(dags: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """The day after, on which the feed is broken first and healed then, a change requested and one rolled back."""
    folder = tmp_path_factory.mktemp("kills")
    found = homes(folder, dags, seed=7, broken=DAYS_BEFORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUMBLINE_CONFIG", str(folder / "policies.yaml"))
        found.begin(DAYS_BEFORE)
        found.live(DAYS_BEFORE, rate=0.04)
    return found


def test_kills_over_all_dags_leave_what_an_undisturbed_day_leaves(lived: Homes) -> None:
    assert lived.found.differences == []
    assert len(lived.found.kills) >= 50, printed(lived.found, 0)


def test_every_task_of_every_dag_was_among_those_killed(lived: Homes, dags: dict[str, Any]) -> None:
    here = {
        dag_id: dag for dag_id, dag in dags.items() if dag_id != "sync_reviews"
    }  # its server is in tests/review_tools
    tasks = {f"{dag_id}.{task.task_id}" for dag_id, dag in here.items() for task in dag.tasks}
    assert {kill.task for kill in lived.found.kills} == tasks


def test_the_day_held_what_days_can_hold(lived: Homes) -> None:
    read, day = lived.killed.project.warehouse.read, lived.killed.day(DAYS_BEFORE)
    ledger = read("threshold_ledger", day, day)
    kinds = {json.loads(request)["kind"] for request in ledger["request"]}
    assert kinds >= {"daily", "ad_hoc", "roll_back"}
    assert set(read("gate_failures", day, day)["gate"]) == {"scores"}
    for table in ("training_snapshots", "forecast_outcomes", "threshold_watch", "label_events", "label_completeness"):
        assert len(read(table, day, day)), table
    assert any(file.startswith("push-") for file in read("label_events", day, day)["source_file"])


def test_a_step_that_does_not_write_whole_is_told(lived: Homes) -> None:
    """The comparison finds what it is there to find."""
    report = next(lived.killed.project.settings.reports.glob("*.html"))
    sound = report.read_bytes()
    (report.parent / ".writing-0").touch()
    report.write_bytes(sound[:-1])
    found = differences(lived.calm, lived.killed)
    (report.parent / ".writing-0").unlink()
    report.write_bytes(sound)
    assert found == [f"output/reports/{report.name} differs", "output/reports/.writing-0 is left over"]
    assert differences(lived.calm, lived.killed) == []
