"""Every daily Dag really run on a simulated platform: approval, rejection, time-out, failing gates, reruns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.contract.tables import CELL
from include.local.runs import RunFailed
from include.thresholds.ledger import verify
from include.thresholds.serving import read_serving
from tests.loop import DAYS, LAST, Loop, approve, nobody, reject

pytestmark = pytest.mark.airflow


def test_the_loop_turns_labels_into_certified_thresholds(loop: Loop) -> None:
    loop.run("recalibrate_thresholds", LAST, approve)
    loop.run("hand_off_retraining", LAST)

    proposals = loop.read("threshold_proposals", LAST)
    approved = proposals[proposals["status"] == "approved"]
    assert len(approved) > 0
    assert set(approved["answered_by"]) == {"manager"}
    certified = approved[approved["refusal"].isna()]  # the others leave a threshold that labels refute, upwards
    assert len(certified) > 0
    assert (certified["bound"] >= certified["target"]).all()
    assert (approved["proposed_remove_at"] > approved["current_remove_at"])[approved["refusal"].notna()].all()

    serving = read_serving(loop.settings.thresholds)
    ledger = loop.read("threshold_ledger")
    assert verify(ledger) == []
    assert serving["version"] == ledger["version"].max() >= 2
    cells = pd.DataFrame(serving["cells"]).set_index(list(CELL))
    for row in approved.to_dict("records"):
        assert cells.loc[tuple(row[name] for name in CELL), "remove_at"] == row["proposed_remove_at"]

    page = (loop.settings.reports / f"{loop.day(LAST)}.html").read_text(encoding="utf-8")
    assert "manager" in page
    assert (loop.settings.quality_docs / f"ds={loop.day(LAST)}" / "thresholds.html").exists()
    assert len(loop.read("retraining_decisions", LAST)) > 0


def test_the_same_day_run_twice_gives_identical_tables(loop: Loop) -> None:
    dag_ids = ("sample_for_review", "ingest_reviewer_labels", "recalibrate_thresholds", "hand_off_retraining")
    for dag_id in dag_ids:
        loop.run(dag_id, LAST, approve)
    before, served = loop.fingerprints(), loop.settings.thresholds.read_bytes()

    def never(subject: str, body: str) -> str:
        raise AssertionError("what was approved is not asked again")

    for dag_id in dag_ids:
        loop.run(dag_id, LAST, never)
    assert loop.fingerprints() == before
    assert loop.settings.thresholds.read_bytes() == served


@pytest.mark.parametrize(("manager", "status"), [(reject, "rejected"), (nobody, "timed_out")])
def test_without_approval_thresholds_stay_and_it_is_recorded(loop: Loop, manager: Any, status: str) -> None:
    version = read_serving(loop.settings.thresholds)["version"]
    within = _within_limits_count(loop, manager)
    proposals = loop.read("threshold_proposals", LAST)
    assert (proposals["status"] == status).sum() > 0
    assert "awaiting_approval" not in set(proposals["status"])
    unchanged = proposals[proposals["status"] == status]
    cells = {tuple(c[n] for n in CELL): c for c in read_serving(loop.settings.thresholds)["cells"]}
    for row in unchanged.to_dict("records"):
        cell = cells.get(tuple(row[name] for name in CELL))
        assert cell is None or cell["remove_at"] == row["current_remove_at"]
    assert read_serving(loop.settings.thresholds)["version"] == version + (1 if within else 0)


def _within_limits_count(loop: Loop, manager: Any) -> int:
    loop.run("recalibrate_thresholds", LAST, manager)
    return int((loop.read("threshold_proposals", LAST)["status"] == "within_limits").sum())


def test_a_broken_feed_stops_at_its_gate_and_the_good_rerun_heals(loop: Loop) -> None:
    index, day = DAYS, loop.day(DAYS)
    platform = loop.platform
    platform.land_day(day)
    folder = loop.home / "data" / "landing" / "video_scores" / f"ds={day}"
    file = sorted(folder.glob("*.parquet"))[0]
    good = file.read_bytes()
    broken = pd.read_parquet(file)
    broken.loc[broken.index[:500], "score"] = 1.7
    broken.to_parquet(file, index=False)

    with pytest.raises(RunFailed, match="gate_scores"):
        loop.run("sample_for_review", index)
    assert not (loop.settings.queue / f"ds={day}").exists()
    assert loop.read("review_sample", index).empty
    found = loop.read("quality_results", index)
    message = " ".join(found.loc[~found["success"], "observed"])
    assert "video_scores" in message
    assert str(day) in message
    assert "column score" in message
    assert "out_of_range_scores=" in message

    file.write_bytes(good)
    loop.run("sample_for_review", index)
    assert (loop.settings.queue / f"ds={day}" / "queue.csv").exists()


def test_a_drop_of_garbage_stops_by_name_and_one_alone_stops_the_day(loop: Loop) -> None:
    index, day = DAYS, loop.day(DAYS)
    loop.platform.land_day(day)
    folder = loop.home / "data" / "landing" / "reviewer_labels" / f"ds={day}"
    good = {file: file.read_bytes() for file in folder.iterdir()}
    for file in good:
        file.unlink()
    (folder / "vendor2.jsonl").write_text("{not json\n" * 20_000, encoding="utf-8")

    with pytest.raises(RunFailed, match="gate_labels"):
        loop.run("ingest_reviewer_labels", index)
    assert (loop.read("label_rejects", index)["raw"] == "{not json").sum() == 20_000
    assert loop.read("label_consensus", index).empty

    for file, content in good.items():
        file.write_bytes(content)
    loop.run("ingest_reviewer_labels", index)
    assert (loop.read("label_rejects", index)["raw"] == "{not json").sum() == 20_000
    assert not loop.read("label_consensus", index).empty
    assert (loop.read("label_completeness", index)["completeness"] > 0.5).any()


def test_a_model_that_lost_recall_is_handed_over_once(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    config = loop.home / "policies.yaml"
    shipped = (Path(__file__).parents[2] / "include" / "config" / "policies.yaml").read_text(encoding="utf-8")
    eager = shipped.replace("recall_drop: 0.10", "recall_drop: 0.0001").replace(
        "consecutive_days: 3", "consecutive_days: 1"
    )
    assert eager != shipped
    config.write_text(eager, encoding="utf-8")
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(config))
    loop.run("recalibrate_thresholds", LAST, approve)
    for index, recall in ((LAST + 1, 0.9), (LAST + 2, 0.5)):
        loop.run_day(index)
        metrics = loop.read("policy_metrics", index).drop(columns="ds")
        lost = metrics["metric"].map({"recall": recall, "prevalence": 0.01}).fillna(metrics["value"])
        loop.project.warehouse.replace("policy_metrics", loop.day(index), metrics.assign(value=lost))
    loop.run("hand_off_retraining", LAST + 2)

    decisions = loop.read("retraining_decisions", LAST + 2)
    asked = decisions[decisions["decision"] == "retrain"]
    snapshots = loop.read("training_snapshots", LAST + 2)
    assert len(snapshots) == len(asked) > 0
    assert json.loads(asked["reasons"].iloc[0])

    row = snapshots.iloc[0]
    frame = pd.read_parquet(loop.settings.output / row["path"])
    assert len(frame) == row["n_rows"]
    assert (frame.loc[frame["probability_sample"], "weight"] >= 1).all()
    assert frame.loc[~frame["probability_sample"], "weight"].isna().all()
    mlflow.set_tracking_uri(loop.settings.mlflow_tracking_uri)
    run = mlflow.get_run(row["mlflow_run_id"])
    assert run.inputs.dataset_inputs[0].dataset.name == row["snapshot_id"]
    assert run.data.metrics["rows"] == row["n_rows"]

    loop.run("hand_off_retraining", LAST + 2)
    assert loop.read("training_snapshots", LAST + 2)["mlflow_run_id"].tolist() == snapshots["mlflow_run_id"].tolist()
