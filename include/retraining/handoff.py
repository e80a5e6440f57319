"""Hands a training snapshot over to the model team: an MLflow run with the dataset, and a manifest for anybody else.

The run's artifacts hold the snapshot itself and the manifest, so that whoever reaches MLflow reaches the data, wherever
this was run. A run is found again by its snapshot's id: handed over twice, it is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.settings import MlflowPlace
from include.files import canonical_json, digest_of
from include.retraining.registry import experiment_of, registered_model, registered_name
from include.retraining.tracking import connected

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SCHEMA = "plumbline/training-manifest/1"
"""What docs/retraining.md publishes."""
SNAPSHOT_FILE, MANIFEST_FILE, PICTURE_FILE = "snapshot.parquet", "manifest.json", "champion.png"
SNAPSHOT_TAG = "plumbline.snapshot_id"
"""Of a hand-over's run: which snapshot it holds."""
_DIGEST, _MODEL = "plumbline.digest", "plumbline.model_version"


class ManifestError(ValueError):
    """A manifest that is none, or was changed, or that the data are not those of. The message names what differs."""


@dataclass(frozen=True)
class HandOver:
    """A snapshot on its way.

    Attributes:
        identity: the snapshot's id.
        file: where it lies here.
        picture: of the champion on it, beside it; None: there is none.
        manifest: as `manifest_of` made it, without the address.
        metrics: of the champion on it, and of itself.
    """

    policy: str
    model_version: str
    identity: str
    file: Path
    manifest: Mapping[str, Any]
    metrics: Mapping[str, float]
    picture: Path | None = None


def manifest_of(
    *,
    identity: str,
    policy: str,
    model_version: str,
    profile: Mapping[str, Any],
    digest: str,
    file: Mapping[str, Any],
    columns: Mapping[str, str],
    decision: Mapping[str, Any],
    lineage: Mapping[str, Any],
    champion: Mapping[str, Any],
    left_out: Mapping[str, int],
    guideline_version: str,
) -> dict[str, Any]:
    """What a training system has to know of a snapshot, as JSON; the field `digest` seals all others."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "snapshot_id": identity,
        "policy": policy,
        "replaces_model_version": model_version,
        "registered_model": registered_name(policy),
        "guideline_version": guideline_version,
        "data": {"digest": digest, **file, "columns": dict(columns)},
        "profile": dict(profile),
        "left_out": dict(left_out),
        "decision": dict(decision),
        "lineage": dict(lineage),
        "champion": dict(champion),
    }
    return content | {"digest": digest_of(content)}


def read_manifest(text: str) -> dict[str, Any]:
    """The manifest in `text`, once it is known to be whole.

    Raises:
        ManifestError: it is no JSON, of another schema, or was changed since it was written.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ManifestError(f"the manifest is not valid JSON: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ManifestError(f"the manifest is not of the schema {SCHEMA}")
    sealed = digest_of({name: value for name, value in found.items() if name != "digest"})
    if found.get("digest") != sealed:
        raise ManifestError(f"the manifest was changed: its digest is {found.get('digest')}, its content's is {sealed}")
    return found


def check_data(manifest: Mapping[str, Any], content: bytes) -> None:
    """Whether the Parquet file is the manifest's. Raises ManifestError."""
    import hashlib

    found = hashlib.sha256(content).hexdigest()
    if found != manifest["data"]["sha256"]:
        raise ManifestError(f"{manifest['data']['name']}: its SHA-256 is {found}, the manifest says otherwise")


def hand_over_to(place: MlflowPlace, given: HandOver) -> str:
    """The one MLflow run that has the snapshot as its training input; what one that broke off lacks is added.

    The run is in experiment `plumbline/<policy>`. It is made with its tags, by which it is found again, and finished
    last. The registered model of the policy is made if there is none.

    Raises:
        MlflowRefused: the experiment was deleted in MLflow.
        MlflowUnavailable: MLflow or its artifact store does not answer.
    """
    with connected(place) as client:
        experiment = experiment_of(client, place, given.policy)
        registered_model(client, given.policy)
        found = client.search_runs([experiment], f"tags.`{SNAPSHOT_TAG}` = '{given.identity}'")
        digest = str(given.manifest["digest"])
        if found and found[0].info.status == "FINISHED" and found[0].data.tags.get(_DIGEST) == digest:
            return str(found[0].info.run_id)
        tags = {
            SNAPSHOT_TAG: given.identity,
            _DIGEST: digest,
            _MODEL: given.model_version,
            "mlflow.runName": given.identity,
        }
        run = found[0] if found else client.create_run(experiment, tags=tags)
        run_id = str(run.info.run_id)
        _fill(client, run, given)
        for name, value in tags.items():
            client.set_tag(run_id, name, value)
        client.set_terminated(run_id, "FINISHED")
        return run_id


def _fill(client: MlflowClient, run: Run, given: HandOver) -> None:
    import tempfile

    from mlflow.entities import DatasetInput, InputTag, Metric, Param

    run_id = str(run.info.run_id)
    address = f"{run.info.artifact_uri}/{SNAPSHOT_FILE}"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SNAPSHOT_FILE
        copy.symlink_to(given.file.resolve())
        client.log_artifact(run_id, str(copy))
        note = Path(folder) / MANIFEST_FILE
        note.write_text(canonical_json(given.manifest) + "\n", encoding="utf-8")
        client.log_artifact(run_id, str(note))
        if given.picture is not None:
            client.log_artifact(run_id, str(given.picture))
    client.log_inputs(run_id, [DatasetInput(_dataset(given, address), [InputTag("mlflow.data.context", "training")])])
    reason = str(given.manifest["decision"].get("why", ""))[:500]
    params = {"policy": given.policy, "model_version": given.model_version, "reason": reason}
    stamp = run.info.start_time  # said twice, it is the same point
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), stamp, 0) for name, value in sorted(given.metrics.items())],
        params=[Param(name, value) for name, value in params.items()],
    )


def _dataset(given: HandOver, address: str) -> Any:
    """The dataset as MLflow shows it; its source is the run's own artifact, where MLflow keeps it."""
    from mlflow.entities import Dataset

    manifest = given.manifest
    columns = [{"name": name, "type": kind} for name, kind in manifest["data"]["columns"].items()]
    profile = {**manifest["profile"], "lineage": manifest["lineage"]}
    return Dataset(
        name=given.identity,
        digest=str(manifest["data"]["digest"])[:36],
        source_type="mlflow_artifact",
        source=canonical_json({"uri": address}),
        schema=canonical_json({"columns": columns}),
        profile=canonical_json(profile),
    )
