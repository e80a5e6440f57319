"""The tables that each Dag says it reads and writes are those it does, found by listening to the warehouse."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pandas as pd
import pytest

from include.local.docs import dag_docs
from include.local.runs import RunFailed
from include.quality.checks import Judged, between
from include.quality.gate import GateFailed, judge
from tests.dags.test_land_pushed_labels import events_of, run_with
from tests.heard import Heard, heard_in, listening
from tests.loop import LAST, Loop
from tests.notifications.mail_server import mail_server
from tests.places import MOVES_SOON, TELLS, configured

pytestmark = pytest.mark.airflow


@pytest.fixture
def found(history: Loop, ended_history: Loop, published_history: Loop, accepted_history: Loop) -> dict[str, Heard]:
    """What was heard of each Dag when it made a history that tests share."""
    pasts = (history, ended_history, published_history, accepted_history)
    return {dag_id: heard for past in pasts for dag_id, heard in heard_in(past.home).items()}


def test_each_dag_reads_and_writes_what_it_says(
    found: dict[str, Heard], loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = loop.home / "data" / "landing"
    before = {path for path in landing.rglob("*") if path.is_file()}
    noon = datetime.combine(loop.day(LAST), time(12), tzinfo=UTC)
    with listening() as pushing, pytest.raises(RunFailed, match="missed_by_ingestion"):
        run_with(loop.dags["land_pushed_labels"], monkeypatch, (noon, events_of("late")))
    new = {path for path in landing.rglob("*") if path.is_file()} - before
    found["land_pushed_labels"] = pushing
    pushing.written |= {path.relative_to(landing).parts[0] for path in new}

    configured(loop.home, MOVES_SOON | TELLS)
    monday = datetime.combine(loop.day(LAST + 4), time(9), tzinfo=UTC)
    assert monday.isoweekday() == 1, "the week's scorecard reads what nothing else does"
    monkeypatch.setattr("include.orchestration.steps.now", lambda: monday)
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    with mail_server() as mail:
        monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_MAIL", mail.connection())
        with listening() as telling, pytest.raises(RunFailed, match=r"failed in raise_alarm$"):
            loop.run("send_notifications", LAST + 4)
    assert any(told["Subject"].startswith("Plumbline: Week 45 of 2026: ") for _, told in mail.taken)
    found["send_notifications"] = telling

    broken = Judged("any", pd.DataFrame({"share": [2.0]}), (between("share", 0, 1, description="a share"),))
    with listening() as failing, pytest.raises(GateFailed):  # every gate passed above
        judge(loop.project.warehouse, "scores", loop.day(LAST), [broken], loop.settings.quality_docs)
    assert failing.written == {"quality_results", "gate_failures"}
    for heard in found.values():
        heard.written |= failing.written if "quality_results" in heard.written else set()

    found.pop("hand_off_retraining")  # on that day no model was to be retrained, see test_hand_off.py
    said = {dag.dag_id: (set(dag.reads), set(dag.writes)) for dag in dag_docs() if dag.dag_id in found}
    assert {dag_id: (heard.read, heard.written) for dag_id, heard in found.items()} == said


def test_each_dag_runs_when_it_says(dags: dict[str, Any]) -> None:
    from airflow.sdk import PartitionedAssetTimetable

    from include.orchestration.assets import PUSHED_LABELS
    from include.orchestration.dags import DAILY_TIMETABLE, EVERY_HOUR, EVERY_TEN_MINUTES, LOOK_FOR_CHALLENGERS

    announces = {asset.uri: dag_id for dag_id, dag in dags.items() for task in dag.tasks for asset in task.outlets}
    for doc in dag_docs():
        schedule = dags[doc.dag_id].schedule
        if schedule is None:
            assert doc.when == "when somebody fills in its form"
        elif schedule is DAILY_TIMETABLE:
            assert DAILY_TIMETABLE.expression == "0 2 * * *"
            assert doc.when == "every day at 02:00 UTC, for the day before"
        elif schedule is EVERY_TEN_MINUTES:
            assert EVERY_TEN_MINUTES.expression == "*/10 * * * *"
            assert doc.when == "every ten minutes"
        elif schedule is EVERY_HOUR:
            assert EVERY_HOUR.expression == "45 * * * *"
            assert dags[doc.dag_id].is_paused_upon_creation
            assert doc.when == "every hour, once it is unpaused"
        elif schedule is LOOK_FOR_CHALLENGERS:
            assert LOOK_FOR_CHALLENGERS.timetable.expression == "0 7 * * *"
            assert doc.when.startswith("every day at 07:00 UTC, whenever a challenger is announced")
        elif isinstance(schedule, PartitionedAssetTimetable):
            awaited: Any = schedule.asset_condition
            assert {announces[asset.uri] for asset in getattr(awaited, "objects", (awaited,))} == {
                word.strip("`") for word in doc.when.split() if word.startswith("`")
            }
        else:
            assert [asset.uri for asset in schedule] == [PUSHED_LABELS.uri]
            assert doc.when == "whenever pushed labels arrive over the REST API"
