"""`hand_off_retraining` really run on a day on which a model is to be retrained."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from include.local.docs import dag_docs
from include.local.runs import RunFailed
from include.retraining import stage
from tests.heard import listening
from tests.loop import LAST, Loop

pytestmark = pytest.mark.airflow


def retrain(model_version: str, patch: pytest.MonkeyPatch) -> None:
    """The model is to be retrained. Only the decision is made here: calm days give no reason for one."""
    decide = stage.decide

    def decided(*args: Any, **more: Any) -> pd.DataFrame:
        found = decide(*args, **more)
        assert model_version in set(found["model_version"])
        return found.assign(decision=found["decision"].mask(found["model_version"] == model_version, "retrain"))

    patch.setattr(stage, "decide", decided)


def test_a_snapshot_is_handed_over_once(ended: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    retrain("fraud-v2", monkeypatch)
    with listening() as heard:
        ended.run("hand_off_retraining", LAST)
    (handed,) = ended.read("training_snapshots", LAST).to_dict("records")
    file = ended.settings.output / handed["path"]
    rows = pd.read_parquet(file)
    assert len(rows) == handed["n_rows"] > 300
    assert set(rows["policy"]) == {"fraud"}
    manifest = json.loads((file.parent / stage.MANIFEST_FILE).read_text())
    assert manifest["data"]["sha256"] == handed["sha256"]

    (said,) = [doc for doc in dag_docs() if doc.dag_id == "hand_off_retraining"]
    assert heard.read == set(said.reads)
    assert heard.written | {"gate_failures"} == set(said.writes)  # every gate passed

    before = ended.fingerprints()
    ended.run("hand_off_retraining", LAST)
    assert ended.fingerprints() == before


def test_a_snapshot_that_is_not_fit_stops_at_its_gate(ended: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    retrain("fraud-v3", monkeypatch)  # of which there are no scores, and so no labels
    with pytest.raises(RunFailed, match="gate_snapshots"):
        ended.run("hand_off_retraining", LAST)
    assert ended.read("training_snapshots", LAST).empty
    failed = ended.read("gate_failures", LAST)
    assert failed["observed"].str.contains("rows=0, snapshot=fraud-fraud-v3-").any()
