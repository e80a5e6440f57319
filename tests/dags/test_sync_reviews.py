"""The Dag that keeps Label Studio in step; tests/review_tools runs its steps against a real one."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.local.runs import run_dag
from tests.loop import Loop

pytestmark = pytest.mark.airflow


def test_without_a_connection_it_is_skipped_and_nothing_fails(dags: dict[str, Any], home: Path) -> None:
    run = run_dag(dags["sync_reviews"], date(2026, 11, 5), lambda *_: None)
    states = {instance.task_id: str(instance.state) for instance in run.get_task_instances()}
    assert states == {"send_queue": "skipped", "fetch_answers": "skipped"}
    assert not Loop(home, dags).settings.landing.exists()
