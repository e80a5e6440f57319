"""Which tables a task read and replaced, as OpenLineage hears of it, where its provider is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.loop import LAST, Loop
from tests.untested import untested

pytestmark = pytest.mark.airflow


def test_each_step_says_which_tables_it_read_and_wrote(
    ended: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("airflow.providers.openlineage") is None:
        untested("lineage", "apache-airflow-providers-openlineage is not installed")
    told = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(told), "append": True}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    ended.run("hand_off_retraining", LAST)
    events = [json.loads(line) for line in told.read_text().splitlines()]
    by_task = {event["job"]["name"]: event for event in events if event["inputs"] or event["outputs"]}
    decided = by_task["hand_off_retraining.decide_retraining"]
    assert isinstance(ended.settings.warehouse, Path)
    assert [(one["namespace"], one["name"]) for one in decided["outputs"]] == [
        ("file", str(ended.settings.warehouse / "retraining_decisions"))
    ]
    read = {Path(one["name"]).name for one in decided["inputs"]}
    assert read >= {"label_consensus", "review_sample", "score_histogram"}
    assert by_task["hand_off_retraining.hand_over"]["outputs"][0]["name"].endswith("/training_snapshots")
