"""The steps of `hand_off_retraining`. Each reads partitions and replaces one."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from include import __version__
from include.contract.cell import Row, records
from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.evidence.fingerprints import fingerprints
from include.files import write_whole
from include.project import Project
from include.quality import suites
from include.quality.gate import judge
from include.retraining.champion import champion_on
from include.retraining.collect import Trainable, evidence_of, trainable
from include.retraining.decision import decide, with_answers
from include.retraining.figures import champion_picture
from include.retraining.handoff import MANIFEST_FILE, PICTURE_FILE, SNAPSHOT_FILE, HandOver, hand_over_to, manifest_of
from include.retraining.snapshot import (
    TEST,
    Profile,
    arrow_schema,
    snapshot_id,
    snapshot_rows,
    write_snapshot,
)

log = logging.getLogger(__name__)

DECISIONS = "retraining_decisions"


def decide_retraining(project: Project, day: date) -> int:
    """retraining_decisions of the day; how many models are to be retrained."""
    found = evidence_of(project, day, trainable(project, day).rows)
    decisions = decide(found, day=day, config=project.config.on(day))
    decisions = with_answers(decisions, project.warehouse.read(DECISIONS, day, day))
    project.warehouse.replace(DECISIONS, day, decisions)
    for row in decisions.to_dict("records"):
        log.info("%s %s: %s", row["policy"], row["model_version"], row["decision"])
    return int((decisions["decision"] == "retrain").sum())


def write_snapshots(project: Project, day: date) -> list[str]:
    """Writes the snapshot of each model to be retrained, with its manifest beside it; the ids."""
    labelled = trainable(project, day)
    return [_written(project, day, row, labelled)["snapshot_id"] for row in _chosen(project, day)]


def gate_snapshots(project: Project, day: date) -> None:
    """Whether the training snapshots are fit to train on, before anything is handed over. Raises GateFailed."""
    judged = [
        part
        for row in _chosen(project, day)
        for part in suites.snapshot(manifest_of_day(project, day, row), project.config.retraining.min_labels)
    ]
    judge(project.warehouse, "snapshot", day, judged, project.settings.quality_docs)


def hand_over(project: Project, day: date) -> list[str]:
    """Logs each snapshot to MLflow and records it in training_snapshots; the ids handed over."""
    handed = []
    for row in _chosen(project, day):
        manifest, folder = manifest_of_day(project, day, row), _folder(project, day, row)
        given = HandOver(
            policy=row["policy"],
            model_version=row["model_version"],
            identity=manifest["snapshot_id"],
            file=folder / SNAPSHOT_FILE,
            manifest=manifest,
            metrics=_metrics(manifest),
            picture=folder / PICTURE_FILE,
        )
        run_id = hand_over_to(project.settings.mlflow, given)
        handed.append(
            {
                "snapshot_id": manifest["snapshot_id"],
                "policy": row["policy"],
                "model_version": row["model_version"],
                "n_rows": manifest["profile"]["rows"],
                "n_positive": manifest["profile"]["positive"],
                "effective_n": manifest["profile"]["effective_n"],
                "path": str((folder / SNAPSHOT_FILE).relative_to(project.settings.output)),
                "sha256": manifest["data"]["sha256"],
                "mlflow_run_id": run_id,
                "guideline_version": manifest["guideline_version"],
            }
        )
        log.info("Handed over %s, %d rows, MLflow run %s", manifest["snapshot_id"], handed[-1]["n_rows"], run_id)
    rows = pd.DataFrame(handed) if handed else empty_frame(TABLES["training_snapshots"])
    project.warehouse.replace("training_snapshots", day, rows)
    return [str(row["snapshot_id"]) for row in handed]


def _chosen(project: Project, day: date) -> list[Row]:
    decisions = project.warehouse.read(DECISIONS, day, day)
    return records(decisions[decisions["decision"] == "retrain"])


def _folder(project: Project, day: date, row: Row) -> Path:
    return project.settings.snapshots / f"ds={day}" / f"{row['policy']}-{row['model_version']}"


def manifest_of_day(project: Project, day: date, row: Row) -> dict[str, Any]:
    """The manifest that was written for a row of the day's decisions."""
    found: dict[str, Any] = json.loads((_folder(project, day, row) / MANIFEST_FILE).read_text(encoding="utf-8"))
    return found


def _written(project: Project, day: date, row: Row, labelled: Trainable) -> dict[str, Any]:
    policy, version = row["policy"], row["model_version"]
    settings, folder = project.config.policies[policy], _folder(project, day, row)
    golden = labelled.golden.get(policy, set())
    rows, left_out = snapshot_rows(labelled.rows, golden, policy, version, settings.guideline_version)
    file = folder / SNAPSHOT_FILE
    profile: Profile = write_snapshot([rows], file, golden)
    test = rows[(rows["split"] == TEST) & rows["probability_sample"]]
    falls = json.loads(row["reasons"])["recall"]["falls"]
    write_whole(folder / PICTURE_FILE, champion_picture(test, falls, settings.target_precision))
    content = file.read_bytes()
    manifest = manifest_of(
        identity=snapshot_id(policy, version, profile.digest),
        policy=policy,
        model_version=version,
        guideline_version=settings.guideline_version,
        digest=profile.digest,
        file={"name": SNAPSHOT_FILE, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        columns={field.name: str(field.type) for field in arrow_schema()},
        profile=profile.to_json() | {"label_age_days": (day - profile.last_day).days if profile.last_day else None},
        left_out=left_out,
        decision={"day": day.isoformat(), **json.loads(row["reasons"])},
        lineage=_lineage(project, day),
        champion=champion_on(project, day, rows, policy, version),
    )
    write_whole(folder / MANIFEST_FILE, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    return manifest


def _lineage(project: Project, day: date) -> dict[str, Any]:
    """What the snapshot was made from: the code, the days' partitions, and the thresholds in force."""
    ledger = project.warehouse.read("threshold_ledger", None, day)
    newest = ledger.sort_values("version").iloc[-1] if len(ledger) else None
    return {
        "plumbline": __version__,
        "day": day.isoformat(),
        "partitions": fingerprints(project, day),
        "threshold_version": None if newest is None else int(newest["version"]),
        "threshold_hash": None if newest is None else str(newest["hash"]),
    }


def _metrics(manifest: dict[str, Any]) -> dict[str, float]:
    profile, champion = manifest["profile"], manifest["champion"]
    numbers = {"rows": profile["rows"], "positive": profile["positive"], "effective_n": profile["effective_n"]}
    return numbers | {f"champion_{name}": value for name, value in champion.items() if isinstance(value, int | float)}
