"""Hands a training snapshot over to the model team: an MLflow run whose input is the dataset."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_SNAPSHOT_TAG = "plumbline.snapshot_id"


def log_snapshot(tracking_uri: str, snapshot_id: str, snapshot: pd.DataFrame, file: Path, sha256: str) -> str:
    """The MLflow run that has `snapshot` as its training input; an existing run of the same snapshot is used again.

    The run is in experiment `plumbline/<policy>` and tagged with the snapshot's id and hash, the model version it is to
    improve, and the file.
    """
    import mlflow

    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(tracking_uri)
    policy, model_version = snapshot["policy"].iloc[0], snapshot["model_version"].iloc[0]
    experiment = mlflow.set_experiment(f"plumbline/{policy}")
    earlier = mlflow.search_runs(
        [experiment.experiment_id], f"tags.`{_SNAPSHOT_TAG}` = '{snapshot_id}'", output_format="list"
    )
    if earlier:
        return str(earlier[0].info.run_id)
    with mlflow.start_run(run_name=snapshot_id) as run:
        dataset = mlflow.data.from_pandas(
            snapshot.assign(sampled_on=pd.to_datetime(snapshot["sampled_on"])),
            source=str(file),
            targets="p_violating",
            name=snapshot_id,
        )
        mlflow.log_input(dataset, context="training")
        mlflow.log_metrics({"rows": len(snapshot), "violating": float(snapshot["p_violating"].sum())})
        mlflow.set_tags({"plumbline.model_version": model_version, "plumbline.sha256": sha256})
        mlflow.set_tag(_SNAPSHOT_TAG, snapshot_id)  # last: a run without it is not found, and is logged anew
    return str(run.info.run_id)
