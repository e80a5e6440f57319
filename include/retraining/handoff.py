"""Hands a training snapshot over to the model team: an MLflow run whose input is the dataset."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from include.files import locked, make_folder, scratch_folder, sweep, sync

_SQLITE = "sqlite:///"
_SNAPSHOT_TAG = "plumbline.snapshot_id"


def log_snapshot(tracking_uri: str, snapshot_id: str, snapshot: pd.DataFrame, file: Path, sha256: str) -> str:
    """The one MLflow run that has `snapshot` as its training input; what a hand-over that broke off lacks is added.

    The run is in experiment `plumbline/<policy>` and tagged with the snapshot's id and hash, the model version it is to
    improve, and the file. It is made with its tags, by which it is found again, and finished last.
    """
    import mlflow

    if tracking_uri.startswith(_SQLITE):
        _make_store(Path(tracking_uri.removeprefix(_SQLITE)))
    mlflow.set_tracking_uri(tracking_uri)
    policy, model_version = snapshot["policy"].iloc[0], snapshot["model_version"].iloc[0]
    experiment = mlflow.set_experiment(f"plumbline/{policy}")
    found = mlflow.search_runs(
        [experiment.experiment_id], f"tags.`{_SNAPSHOT_TAG}` = '{snapshot_id}'", output_format="list"
    )
    tags = {_SNAPSHOT_TAG: snapshot_id, "plumbline.model_version": model_version, "plumbline.sha256": sha256}
    begun = found[0] if found else None
    if begun is not None and begun.info.status == "FINISHED" and tags.items() <= begun.data.tags.items():
        return str(begun.info.run_id)
    with mlflow.start_run(run_id=begun and begun.info.run_id, run_name=snapshot_id, tags=tags) as run:
        dataset = mlflow.data.from_pandas(
            snapshot.assign(sampled_on=pd.to_datetime(snapshot["sampled_on"])),
            source=str(file),
            targets="p_violating",
            name=snapshot_id,
        )
        mlflow.log_input(dataset, context="training")
        counts = {"rows": len(snapshot), "violating": float(snapshot["p_violating"].sum())}
        mlflow.log_metrics(counts, timestamp=run.info.start_time)  # said twice, it is the same point
    return str(run.info.run_id)


def _make_store(file: Path) -> None:
    """An MLflow store without experiments at `file`, if there is none.

    MLflow makes one by hundreds of statements and cannot use what was left half made, so it is made aside.
    """
    import mlflow

    make_folder(file.parent)
    with locked(file.parent):
        sweep(file.parent)
        if file.exists():
            return
        with scratch_folder(file.parent) as aside:
            made = aside / file.name
            mlflow.MlflowClient(f"{_SQLITE}{made}").search_experiments()
            sync(made)
            made.rename(file)
            sync(file.parent)
