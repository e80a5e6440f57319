"""What the Dag files share: how a task gets day and project, and which failures are final."""

from __future__ import annotations

import json
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from include.config.load import ConfigError
from include.config.settings import settings_from
from include.ledger.chain import LedgerError
from include.local.runs import RunFailed, run_dag
from include.orchestration.ask import AskAPerson
from include.orchestration.dags import COMMON, answer_within, opened
from include.orchestration.ending import FAILURE, LONGEST_NOTE, _without_traceback, ended
from include.orchestration.links import page_link
from include.orchestration.query_done import QueryDone
from include.orchestration.steps import Step
from include.project import Project
from include.quality.checks import Judged, between
from include.quality.gate import GateFailed, run_gate
from include.warehouse.base import (
    Caller,
    MissingPartition,
    RunningJob,
    StillRunning,
    UnreadablePartition,
    WarehouseRefused,
    WarehouseUnavailable,
)

pytestmark = pytest.mark.airflow

DAY = date(2026, 11, 3)
EXTRA = {"engine": "duckdb", "landing": "data/landing", "warehouse": "data/warehouse"}
VARIABLES = {
    "plumbline_output": "data/output",
    "plumbline_anchor": "data/anchor",
}


@pytest.fixture
def declared(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Connection and variables where Airflow looks first."""
    connection = {"conn_type": "generic", "extra": EXTRA}
    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_WAREHOUSE", json.dumps(connection))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", value)
    return home


RUN = SimpleNamespace(dag_id="sample_for_review", run_id="scheduled-1", clear_number=2)
PUSHED: dict[str, str] = {}
"""What the task below left for its note."""
CONTEXT = {
    "dag_run": RUN,
    "ti": SimpleNamespace(task_id="scan_scores", xcom_push=PUSHED.__setitem__),
    "dag": SimpleNamespace(doc_md="| `draw`, `scan_scores` | *storage* failed | read the `log`; clear the task |"),
}


def gate_failed() -> GateFailed:
    check = between("a", maximum=0, description="a is at most 0")
    return GateFailed(run_gate("scores", DAY, [Judged("video_scores", pd.DataFrame({"a": [1]}), (check,))]))


@pytest.mark.usefixtures("declared")
def test_a_step_gets_the_project() -> None:
    with opened(CONTEXT) as project:
        assert isinstance(project, Project)
        assert project.settings == settings_from(EXTRA, VARIABLES)


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    "error",
    [
        gate_failed(),
        ConfigError("policies.yaml: x"),
        LedgerError("threshold_ledger: version 3: column reason was changed"),
        MissingPartition("video_scores", DAY),
        UnreadablePartition("video_scores", DAY, "a.parquet", "damaged"),
        WarehouseRefused("permission missing"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_retry_can_heal_is_final_and_keeps_its_message(error: Exception) -> None:
    with pytest.raises(AirflowFailException) as failed, opened(CONTEXT, "2026-11-03"):
        raise error
    day = DAY if isinstance(error, GateFailed) else "2026-11-03"
    said = f"{error}\nWhat to do: Read the log; clear the task.\nMore: {page_link(f'days/{day}')}"
    assert str(failed.value) == said
    assert PUSHED[FAILURE] == said
    assert failed.value.__cause__ is error


def test_a_long_message_is_cut_so_that_what_to_do_still_fits_the_note() -> None:
    long = "\n".join(f"- check {number} of many does not hold" for number in range(90))
    error = ended(CONTEXT, long)
    assert str(error).startswith(long)
    note = PUSHED[FAILURE]
    assert LONGEST_NOTE - 60 < len(note) <= LONGEST_NOTE
    assert note.endswith(f" …\nWhat to do: Read the log; clear the task.\nMore: {page_link('')}")


def test_what_is_foreseen_is_logged_as_words_and_all_else_with_its_traceback() -> None:
    import structlog

    with structlog.testing.capture_logs(processors=[_without_traceback]) as logged:
        log = structlog.get_logger()
        for error in (ended(CONTEXT, "the feed is broken"), ValueError("a defect")):
            try:
                raise error
            except Exception:
                log.exception("Task failed with exception")
    foreseen, defect = logged
    assert foreseen["event"].startswith("the feed is broken\nWhat to do: ")
    assert "exc_info" not in foreseen
    assert (defect["event"], defect["exc_info"]) == ("Task failed with exception", True)


@pytest.mark.usefixtures("declared")
def test_a_task_that_waits_for_a_query_holds_no_worker() -> None:
    with pytest.raises(TaskDeferred) as deferred, opened(CONTEXT, "2026-11-03"):
        raise StillRunning("job 1 is still running", RunningJob("job 1", {"project": "p"}))
    assert deferred.value.method_name == "take_up"
    assert hasattr(Step, deferred.value.method_name)
    assert hasattr(AskAPerson, deferred.value.method_name)
    assert isinstance(deferred.value.trigger, QueryDone)
    assert (deferred.value.trigger.job_id, deferred.value.trigger.place) == ("job 1", {"project": "p"})


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (WarehouseUnavailable("a quota is used up"), RetryAction.RETRY),
        (WarehouseRefused("permission missing"), RetryAction.FAIL),
        (ValueError("no such column"), RetryAction.FAIL),
    ],
)
def test_a_task_that_only_reads_is_tried_again_when_the_warehouse_is_away(
    error: Exception, action: RetryAction
) -> None:
    assert COMMON["default_args"]["retries"] > 0
    assert COMMON["default_args"]["retry_policy"].evaluate(error, 1, 3).action == action


def test_a_killed_task_stops_the_query_it_waits_for() -> None:
    stopped: list[str] = []
    for kind in (Step, AskAPerson):
        task = object.__new__(kind)
        task.on_kill()  # nothing was begun
        object.__setattr__(
            task, "running", SimpleNamespace(warehouse=SimpleNamespace(cancel=lambda: stopped.append("")))
        )
        task.on_kill()
    assert len(stopped) == 2


@pytest.mark.usefixtures("declared")
def test_the_warehouse_is_told_who_asks_and_retries_of_a_run_are_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    callers = []
    monkeypatch.setattr("include.project.open_project", lambda settings, caller: callers.append(caller))
    with opened(CONTEXT, "2026-11-03"):
        pass
    assert callers == [
        Caller("sample_for_review", "scan_scores", "2026-11-03", "sample_for_review scheduled-1 2", 30.0)
    ]


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize("error", [OSError("disk"), ValueError("wrong"), KeyError("k"), TimeoutError("storage")])
def test_any_other_failure_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as failed, opened(CONTEXT, "2026-11-03"):
        raise error
    assert failed.value is error
    assert not isinstance(failed.value, AirflowFailException)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"AIRFLOW_CONN_PLUMBLINE_WAREHOUSE": json.dumps({"conn_type": "generic"})}, "extra.engine is None"),
        ({"AIRFLOW_VAR_PLUMBLINE_OUTPUT": ""}, "variables are not set: plumbline_output"),
        ({"PLUMBLINE_CONFIG": "none.yaml"}, r"none\.yaml: cannot be read"),
    ],
)
@pytest.mark.usefixtures("declared")
def test_a_wrong_setting_is_final_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, str], said: str
) -> None:
    for name, value in broken.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AirflowFailException, match=said), opened(CONTEXT, "2026-11-03"):
        pytest.fail("nothing may run")


def test_a_wrong_configuration_keeps_a_dag_from_loading(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer_within() == timedelta(hours=20)
    (home / "policies.yaml").write_text("policies: 3\n")
    monkeypatch.setenv("PLUMBLINE_CONFIG", "policies.yaml")
    with pytest.raises(ConfigError, match=r"policies\.yaml"):
        answer_within()


def replaced(monkeypatch: pytest.MonkeyPatch, package: str, dag: Any, **instead: Any) -> list[tuple[Any, ...]]:
    """Every step of the Dag only notes its name and what it was given; those of `instead` then go on."""
    module, calls = import_module(f"include.{package}.stage"), list[tuple[Any, ...]]()

    def noting(name: str) -> Any:
        def note(project: Project, *given: Any) -> Any:
            assert project.settings == settings_from(EXTRA, VARIABLES)
            calls.append((name, *given))
            return instead[name]() if name in instead else None

        return note

    for name in dag.task_ids:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, noting(name))
    return calls


@pytest.mark.usefixtures("declared")
def test_a_step_passes_the_day_and_what_earlier_tasks_returned(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = dags["ingest_reviewer_labels"]
    calls = replaced(monkeypatch, "labels", dag, ingest_events=lambda: 42)
    run_dag(dag, DAY, lambda *_: None)
    beside = ("gate_golden_labels", DAY)  # nothing comes after it
    assert beside in calls
    assert [call for call in calls if call != beside] == [
        ("ingest_events", DAY),
        ("gate_labels", DAY, 42),
        ("form_consensus", DAY),
        ("gate_consensus", DAY),
    ]


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize("error", [gate_failed(), OSError("disk")], ids=["gate", "disk"])
def test_only_what_may_heal_is_tried_again(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    dag, errors = dags["sample_for_review"], [error]

    def fails_once() -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(dag.get_task("scan_scores"), "retry_delay", timedelta(0))
    calls = replaced(monkeypatch, "sampling", dag, scan_scores=fails_once)
    if isinstance(error, OSError):
        run_dag(dag, DAY, lambda *_: None)
        assert [name for name, _ in calls[:4]] == ["gate_scores_input", "scan_scores", "scan_scores", "gate_scores"]
    else:
        with pytest.raises(RunFailed, match=f"sample_for_review of {DAY} failed in scan_scores"):
            run_dag(dag, DAY, lambda *_: None)
        assert [name for name, _ in calls] == ["gate_scores_input", "scan_scores"]
