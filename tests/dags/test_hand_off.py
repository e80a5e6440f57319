"""`hand_off_retraining` really run on a day on which a model is to be retrained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.local.docs import dag_docs
from include.local.runs import RunFailed
from include.retraining import collect, stage
from include.retraining.handoff import check_data, read_manifest
from include.retraining.tracking import connected
from tests.heard import listening
from tests.loop import LAST, Loop

pytestmark = pytest.mark.airflow


def test_a_model_whose_guideline_changed_is_handed_over_once(
    ended: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(collect, "_other_guideline", lambda project, name, *_: "2025-2" if name == "violence" else None)
    with listening() as heard:
        ended.run("hand_off_retraining", LAST)
    (said,) = [doc for doc in dag_docs() if doc.dag_id == "hand_off_retraining"]
    assert heard.read == set(said.reads)
    assert heard.written | {"gate_failures"} == set(said.writes)  # every gate passed

    decisions = ended.read("retraining_decisions", LAST)
    asked = decisions[decisions["decision"] == "retrain"]
    assert asked["asked_for"].tolist() == ["guideline"]
    (row,) = ended.read("training_snapshots", LAST).to_dict("records")
    file = ended.settings.output / row["path"]
    frame = pd.read_parquet(file)
    assert len(frame) == row["n_rows"]
    assert (frame.loc[frame["probability_sample"], "weight"] >= 1).all()
    manifest = read_manifest((file.parent / "manifest.json").read_text())
    check_data(manifest, file.read_bytes())
    with connected(ended.settings.mlflow) as client:
        run = client.get_run(row["mlflow_run_id"])
        logged = Path(client.download_artifacts(row["mlflow_run_id"], "manifest.json", str(tmp_path)))
    assert read_manifest(logged.read_text()) == manifest
    assert run.inputs.dataset_inputs[0].dataset.name == row["snapshot_id"]

    before = ended.fingerprints()
    ended.run("hand_off_retraining", LAST)
    assert ended.fingerprints() == before


def test_a_snapshot_that_is_not_fit_stops_at_its_gate(ended: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = stage.decide

    def decided(*args: Any, **more: Any) -> pd.DataFrame:
        found = decide(*args, **more)  # of fraud-v3 there are no scores, and so no labels
        return found.assign(decision=found["decision"].mask(found["model_version"] == "fraud-v3", "retrain"))

    monkeypatch.setattr(stage, "decide", decided)
    with pytest.raises(RunFailed, match="gate_snapshots"):
        ended.run("hand_off_retraining", LAST)
    assert ended.read("training_snapshots", LAST).empty
    failed = ended.read("gate_failures", LAST)
    assert failed["observed"].str.contains("rows=0, snapshot=fraud-fraud-v3-").any()
