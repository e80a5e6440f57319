"""The tables that each Dag says it reads and writes are those it does, found by listening to the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any

import pandas as pd
import pytest

from include.local.docs import dag_docs
from include.local.runs import DAILY_DAGS, RunFailed
from include.quality.checks import Judged, between
from include.quality.gate import GateFailed, judge
from include.warehouse.base import query_text
from include.warehouse.duckdb import DuckDBWarehouse
from tests.dags.test_land_pushed_labels import events_of, run_with
from tests.loop import FORM, LAST, Loop, approve

pytestmark = pytest.mark.airflow

READING = ("days", "delivers", "read", "fingerprint", "row_count", "input_problems", "input_rows")
WRITING = ("replace", "append_version")


@dataclass
class Heard:
    """The tables that a warehouse was asked for, and those that it was given."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)


@contextmanager
def listening() -> Iterator[Heard]:
    """Within, what any embedded warehouse is asked is noted, and done."""
    heard = Heard()

    def noting(name: str, note: Any) -> Any:
        original = getattr(DuckDBWarehouse, name)

        def method(self: DuckDBWarehouse, *args: Any, **more: Any) -> Any:
            note(*args)
            return original(self, *args, **more)

        return method

    with pytest.MonkeyPatch.context() as patch:
        for name in READING:
            patch.setattr(DuckDBWarehouse, name, noting(name, lambda table, *_: heard.read.add(table)))
        for name in WRITING:
            patch.setattr(DuckDBWarehouse, name, noting(name, lambda table, *_: heard.written.add(table)))
        query = noting("query", lambda name, *_: heard.read.update(query_text(name)[1]))
        patch.setattr(DuckDBWarehouse, "query", query)
        drops = noting("delivered_events", lambda *_: heard.read.add("reviewer_labels"))
        patch.setattr(DuckDBWarehouse, "delivered_events", drops)
        yield heard


def test_each_dag_reads_and_writes_what_it_says(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Heard] = {}
    for dag_id in DAILY_DAGS:
        with listening() as found[dag_id]:
            loop.run(dag_id, LAST, approve)
    wanted = FORM | {"policies": ["pornography", "violence"], "markets": ["IN"], "mode": "propose"}
    with listening() as found["recalibrate_ad_hoc"]:
        loop.fill_in("recalibrate_ad_hoc", **wanted | {"goal": "own", "precision_percent": 90})
    with listening() as found["roll_back_thresholds"]:
        loop.fill_in("roll_back_thresholds", lambda *_: "Roll back", version=1, reason="complaints")
    landing = loop.home / "data" / "landing"
    before = {path for path in landing.rglob("*") if path.is_file()}
    noon = datetime.combine(loop.day(LAST), time(12), tzinfo=UTC)
    with listening() as found["land_pushed_labels"], pytest.raises(RunFailed, match="missed_by_ingestion"):
        run_with(loop.dags["land_pushed_labels"], monkeypatch, (noon, events_of("late")))
    new = {path for path in landing.rglob("*") if path.is_file()} - before
    found["land_pushed_labels"].written |= {path.relative_to(landing).parts[0] for path in new}

    broken = Judged("any", pd.DataFrame({"share": [2.0]}), (between("share", 0, 1, description="a share"),))
    with listening() as failing, pytest.raises(GateFailed):  # every gate passed above
        judge(loop.project.warehouse, "scores", loop.day(LAST), [broken], loop.settings.quality_docs)
    assert failing.written == {"quality_results", "gate_failures"}
    for heard in found.values():
        heard.written |= failing.written if "quality_results" in heard.written else set()

    said = {dag.dag_id: (set(dag.reads), set(dag.writes)) for dag in dag_docs()}
    assert {dag_id: (heard.read, heard.written) for dag_id, heard in found.items()} == said


def test_each_dag_runs_when_it_says(dags: dict[str, Any]) -> None:
    from airflow.sdk import PartitionedAssetTimetable

    from include.orchestration.assets import PUSHED_LABELS
    from include.orchestration.dags import DAILY_TIMETABLE

    announces = {asset.uri: dag_id for dag_id, dag in dags.items() for task in dag.tasks for asset in task.outlets}
    for doc in dag_docs():
        schedule = dags[doc.dag_id].schedule
        if schedule is None:
            assert doc.when == "when somebody fills in its form"
        elif schedule is DAILY_TIMETABLE:
            assert DAILY_TIMETABLE.expression == "0 2 * * *"
            assert doc.when == "every day at 02:00 UTC, for the day before"
        elif isinstance(schedule, PartitionedAssetTimetable):
            awaited: Any = schedule.asset_condition
            assert {announces[asset.uri] for asset in getattr(awaited, "objects", (awaited,))} == {
                word.strip("`") for word in doc.when.split() if word.startswith("`")
            }
        else:
            assert [asset.uri for asset in schedule] == [PUSHED_LABELS.uri]
            assert doc.when == "whenever pushed labels arrive over the REST API"
