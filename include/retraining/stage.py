"""The steps of `hand_off_retraining`. Each reads partitions and replaces one."""

from __future__ import annotations

import hashlib
import io
import logging
from datetime import date, timedelta

import pandas as pd

from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES
from include.evidence.accepted import accepted
from include.evidence.sample import labelled_sample, training_picks
from include.files import write_whole
from include.project import Project
from include.quality import suites
from include.quality.gate import judge
from include.retraining.decision import at_certified_thresholds, decide
from include.retraining.handoff import log_snapshot
from include.retraining.snapshot import build_snapshot, snapshot_id, snapshot_row

log = logging.getLogger(__name__)


def decide_retraining(project: Project, day: date) -> int:
    """retraining_decisions of the day; how many models are to be retrained."""
    first = day - timedelta(days=project.config.retraining.reference_days)
    histogram = accepted(project, "score_histogram", "scores", day, day)
    labelled = _trainable(project, day)
    metrics = project.warehouse.read("policy_metrics", first, day)
    decisions = decide(
        at_certified_thresholds(metrics[metrics["population"] == "cell"], project.warehouse.read("threshold_ledger")),
        histogram.groupby(list(CELL))["n_videos"].sum().reset_index(),
        labelled.groupby(["policy", "model_version"]).size().rename("labels").reset_index(),
        day=day,
        config=project.config.on(day),
    )
    project.warehouse.replace("retraining_decisions", day, decisions)
    for row in decisions.to_dict("records"):
        log.info("%s %s: %s", row["policy"], row["model_version"], row["decision"])
    return int((decisions["decision"] == "retrain").sum())


def gate_snapshots(project: Project, day: date) -> None:
    """Whether the training snapshots are fit to train on, before anything is handed over. Raises GateFailed."""
    minimum = project.config.retraining.min_labels
    judged = [part for snapshot in _snapshots(project, day) for part in suites.snapshot(snapshot, minimum)]
    judge(project.warehouse, "snapshot", day, judged, project.settings.quality_docs)


def hand_over(project: Project, day: date) -> list[str]:
    """Writes each snapshot, logs it to MLflow and records it in training_snapshots; the ids handed over."""
    handed = []
    for snapshot in _snapshots(project, day):
        identity = snapshot_id(snapshot)
        file = project.settings.snapshots / f"ds={day}" / f"{identity}.parquet"
        buffer = io.BytesIO()
        snapshot.to_parquet(buffer, index=False)
        content = buffer.getvalue()
        write_whole(file, content)
        digest = hashlib.sha256(content).hexdigest()
        run_id = log_snapshot(project.settings.mlflow_tracking_uri, identity, snapshot, file, digest)
        path = str(file.relative_to(project.settings.output))
        handed.append(snapshot_row(snapshot, path=path, sha256=digest, mlflow_run_id=run_id))
        log.info("Handed over %s, %d rows, MLflow run %s", identity, len(snapshot), run_id)
    rows = pd.DataFrame(handed) if handed else empty_frame(TABLES["training_snapshots"])
    project.warehouse.replace("training_snapshots", day, rows)
    return [row["snapshot_id"] for row in handed]


def _snapshots(project: Project, day: date) -> list[pd.DataFrame]:
    decisions = project.warehouse.read("retraining_decisions", day, day)
    chosen = decisions[decisions["decision"] == "retrain"]
    labelled = _trainable(project, day)
    return [
        build_snapshot(labelled, policy, version)
        for policy, version in zip(chosen["policy"], chosen["model_version"], strict=True)
    ]


def _trainable(project: Project, day: date) -> pd.DataFrame:
    """The labelled probability sample, and what was picked for training besides."""
    return pd.concat([labelled_sample(project, day), training_picks(project, day)], ignore_index=True)
