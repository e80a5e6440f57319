"""The Dag that takes in what review tools push, in this process; tests/local/test_scheduler.py pushes over the API."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from include.labels import stage
from include.local.runs import RunFailed, run_dag
from include.orchestration.assets import PUSHED_LABELS
from tests.loop import Loop

pytestmark = pytest.mark.airflow

DAY = date(2026, 11, 3)
LATE = datetime(2026, 11, 3, 23, 59, 59, tzinfo=UTC)
NEXT = datetime(2026, 11, 4, 0, 0, 0, tzinfo=UTC)


def events_of(*names: str) -> dict[str, Any]:
    return {"events": [{"event_id": name, "video_id": 2**62 + 1} for name in names], "from_rest_api": True}


def run_with(dag: Any, monkeypatch: pytest.MonkeyPatch, *events: tuple[datetime, dict[str, Any]]) -> None:
    """A run that these asset events triggered."""
    from airflow.models import dagrun
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select

    create = dagrun.get_or_create_dagrun

    def triggered(*, session: Any, **given: Any) -> Any:
        run = create(session=session, **given)
        asset = session.scalar(select(AssetModel).where(AssetModel.uri == PUSHED_LABELS.uri))
        run.consumed_asset_events.clear()
        for moment, extra in events:
            run.consumed_asset_events.append(AssetEvent(asset_id=asset.id, timestamp=moment, extra=extra))
        session.commit()
        return run

    with monkeypatch.context() as patch:
        patch.setattr(dagrun, "get_or_create_dagrun", triggered)
        run_dag(dag, DAY, lambda *_: None)


def test_pushed_batches_become_files_of_their_days(
    dags: dict[str, Any], home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, dag = Loop(home, dags), dags["land_pushed_labels"]
    pushes = ((LATE, events_of("a", "b")), (NEXT, events_of("c")), (LATE, {"nothing": 1}))
    run_with(dag, monkeypatch, *pushes)
    folder = stage.drop_folder(loop.settings, DAY)
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    assert [path.parent.name for path in sorted(before)] == ["ds=2026-11-03", "ds=2026-11-03", "ds=2026-11-04"]

    read = stage.ingest_events(loop.project, DAY)
    rejects = loop.project.warehouse.read("label_rejects", DAY, DAY)
    assert read == len(rejects) == 3
    assert rejects["raw"].str.contains(str(2**62 + 1)).sum() == 2

    run_with(dag, monkeypatch, *pushes)  # the same events again
    assert {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()} == before

    with pytest.raises(RunFailed, match="missed_by_ingestion"):
        run_with(dag, monkeypatch, (LATE, events_of("d")))
    (new,) = {path for path in folder.iterdir() if path not in before}
    with pytest.raises(stage.IngestedBefore, match=f"{new.name} came after {DAY} had been ingested"):
        stage.missed(loop.project, DAY, new.name)
    assert stage.ingest_events(loop.project, DAY) == 4
    stage.missed(loop.project, DAY, new.name)
