"""Answers hand-overs: takes each from MLflow, trains on it, and registers the new version as a challenger.

What a team's own training system does in its own way. All it needs is in MLflow: the manifest, which names the
registered model and seals the snapshot, and the snapshot itself. A hand-over that was answered has a version with its
snapshot's id in a tag, so that this may run as often as one likes.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.settings import MlflowPlace
from include.files import write_whole
from include.retraining.handoff import MANIFEST_FILE, SNAPSHOT_FILE, SNAPSHOT_TAG, check_data, read_manifest
from include.retraining.registry import (
    CHALLENGER,
    CHAMPION,
    MODEL_VERSION_TAG,
    experiment_name,
    experiment_of,
    registered_model,
    registered_name,
)
from include.retraining.tracking import connected
from include.trainer.train import NotTrainable, Trained, train

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_TRAINED_ON = "plumbline.trained_on"

Features = Callable[[str, NDArray[np.int64]], pd.DataFrame]
"""What is known of videos, given the policy and their ids: one row each, in the same order."""


@dataclass(frozen=True)
class NewModel:
    """A version that was registered: of which policy, its model_version, its number, its file and what it rests on."""

    policy: str
    model_version: str
    number: str
    file: Path
    snapshot_id: str


def answer_hand_overs(
    place: MlflowPlace, policy: str, names: Sequence[str], features: Features, folder: Path
) -> NewModel | None:
    """Trains on the newest hand-over of the policy, and registers the version as a challenger; once for each.

    Args:
        names: model versions of the policy, of which the first that is not registered yet is the new version's name.
        folder: where the new model's file is put.

    Returns:
        The version that was trained on it, now or before. None: nothing was handed over.

    Raises:
        ManifestError: the manifest or the snapshot is not what was handed over.
        NotTrainable: the snapshot cannot be trained on, or no name is left.
        MlflowUnavailable, MlflowRefused: as `connected`.
    """
    name = registered_name(policy)
    with connected(place) as client:
        found = client.get_experiment_by_name(experiment_name(policy))
        if found is None:
            return None
        handed = client.search_runs(
            [found.experiment_id], "attributes.status = 'FINISHED'", order_by=["attributes.start_time DESC"]
        )
        handed = [run for run in handed if SNAPSHOT_TAG in run.data.tags]
        if not handed:
            return None
        snapshot, versions = handed[0].data.tags[SNAPSHOT_TAG], client.search_model_versions(f"name = '{name}'")
        for one in versions:
            if one.tags.get(_TRAINED_ON) == snapshot:
                version = one.tags[MODEL_VERSION_TAG]
                if str(one.version) not in map(str, client.get_registered_model(name).aliases.values()):
                    client.set_registered_model_alias(name, CHALLENGER, one.version)  # a kill came before it
                return NewModel(policy, version, str(one.version), _file(folder, version), snapshot)
        taken = {one.tags.get(MODEL_VERSION_TAG) for one in versions}
        free = [one for one in names if one not in taken]
        if not free:
            raise NotTrainable(
                f"{name}: {', '.join(sorted(names)) or 'no model version'} is registered already; name a new one in "
                f"policies.{policy}.model_versions and challengers"
            )
        with tempfile.TemporaryDirectory() as scratch:
            manifest, rows = _downloaded(client, handed[0].info.run_id, Path(scratch))
            trained = train(rows, features(policy, rows["video_id"].to_numpy(np.int64)))
            return _registered(
                client, found.experiment_id, manifest, model_version=free[0], trained=trained, folder=folder
            )


def register_in_service(place: MlflowPlace, policy: str, model_version: str, about: dict[str, Any]) -> None:
    """Registers the version that is in service as the champion, with `about` as its file. Said twice, it is once."""
    with connected(place) as client:
        name = registered_model(client, policy)
        if CHAMPION in client.get_registered_model(name).aliases:
            return
        run = client.create_run(experiment_of(client, place, policy), run_name=model_version)
        client.log_dict(run.info.run_id, about, "model/version.json")
        client.set_terminated(run.info.run_id)
        version = client.create_model_version(
            name,
            f"{run.info.artifact_uri}/model",
            run_id=run.info.run_id,
            tags={MODEL_VERSION_TAG: model_version},
        )
        client.set_registered_model_alias(name, CHAMPION, version.version)


def _downloaded(client: MlflowClient, run_id: str, scratch: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The manifest and the snapshot of the hand-over, once both are known to be what was handed over."""
    from io import BytesIO

    text = Path(client.download_artifacts(run_id, MANIFEST_FILE, str(scratch))).read_text(encoding="utf-8")
    content = Path(client.download_artifacts(run_id, SNAPSHOT_FILE, str(scratch))).read_bytes()
    manifest = read_manifest(text)
    check_data(manifest, content)
    return manifest, pd.read_parquet(BytesIO(content))


def _registered(
    client: MlflowClient,
    experiment: str,
    manifest: dict[str, Any],
    *,
    model_version: str,
    trained: Trained,
    folder: Path,
) -> NewModel:
    from mlflow.models import ModelSignature
    from mlflow.sklearn import save_model
    from mlflow.types import ColSpec, Schema

    policy, name, snapshot = manifest["policy"], manifest["registered_model"], manifest["snapshot_id"]
    prepared = trained.model.named_steps["prepared"]
    columns = [ColSpec("string" if one == "market" else "double", one) for one in prepared.feature_names_in_]
    run = client.create_run(experiment, run_name=model_version, tags={_TRAINED_ON: snapshot})
    run_id = run.info.run_id
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model"
        save_model(
            trained.model,
            str(saved),
            serialization_format="skops",
            pyfunc_predict_fn="predict_proba",
            signature=ModelSignature(Schema(columns), Schema([ColSpec("double"), ColSpec("double")])),
            pip_requirements=[f"scikit-learn=={_version('scikit-learn')}", f"skops=={_version('skops')}"],
        )
        client.log_artifacts(run_id, str(saved), "model")
        write_whole(_file(folder, model_version), (saved / "model.skops").read_bytes())
    for metric, value in trained.metrics.items():
        client.log_metric(run_id, metric, value)
    client.log_dict(run_id, {"manifest": manifest["digest"], "data": manifest["data"]}, "trained_on.json")
    client.set_terminated(run_id)
    tags = {MODEL_VERSION_TAG: model_version, _TRAINED_ON: snapshot}
    version = client.create_model_version(name, f"{run.info.artifact_uri}/model", run_id=run_id, tags=tags)
    client.set_registered_model_alias(name, CHALLENGER, version.version)
    log.info("Trained %s, version %s of %s, on %s", model_version, version.version, name, snapshot)
    return NewModel(policy, model_version, str(version.version), _file(folder, model_version), snapshot)


def _file(folder: Path, model_version: str) -> Path:
    return folder / f"{model_version}.skops"


def _version(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)
