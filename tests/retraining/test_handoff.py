"""The hand-over to MLflow: one run a snapshot, with data and manifest, also after one that broke off; a real server."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import MlflowPlace
from include.files import digest_of
from include.local import mlflow_ui
from include.local.environment import passwords
from include.local.processes import stop
from include.retraining import tracking
from include.retraining.handoff import (
    MANIFEST_FILE,
    SNAPSHOT_FILE,
    HandOver,
    ManifestError,
    check_data,
    hand_over_to,
    manifest_of,
    read_manifest,
)
from include.retraining.registry import CHALLENGER, CHAMPION, meeting, promote
from include.retraining.snapshot import arrow_schema
from include.retraining.tracking import MlflowRefused, MlflowUnavailable, connected
from tests.kills import in_a_process, killed, operations
from tests.retraining.mlflow_store import content
from tests.retraining.models import aliases, register
from tests.retraining.test_snapshot import draws, rows_of, written

pytestmark = pytest.mark.slow


def given(folder: Path, identity: str = "fraud-v2-1", policy: str = "fraud") -> HandOver:
    """A small snapshot on its way, its file in `folder`."""
    import hashlib

    file = folder / "snapshot.parquet"
    profile = written(rows_of(draws(300)), file)
    bytes_of = file.read_bytes()
    manifest = manifest_of(
        identity=identity,
        policy=policy,
        model_version="v2",
        guideline_version="2026-1",
        digest=profile.digest,
        file={"name": SNAPSHOT_FILE, "bytes": len(bytes_of), "sha256": hashlib.sha256(bytes_of).hexdigest()},
        columns={field.name: str(field.type) for field in arrow_schema()},
        profile=profile.to_json(),
        left_out={},
        decision={"why": "recall is lost"},
        lineage={"day": "2026-11-05", "threshold_version": 3},
        champion={"recall": 0.5},
    )
    return HandOver(policy, "v2", identity, file, manifest, {"rows": profile.rows, "champion_recall": 0.5})


def runs(place: MlflowPlace, policy: str) -> list[Any]:
    with connected(place) as client:
        experiment = client.get_experiment_by_name(f"plumbline/{policy}")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> MlflowPlace:
    """A store in a folder that does not exist yet; made once, as that takes seconds."""
    return MlflowPlace(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/deep/er/mlflow.db")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowPlace]:
    """The real MLflow server that `make up` starts over an embedded store, here as a team's own, with its login."""
    home = tmp_path_factory.mktemp("server")
    running = mlflow_ui.start(home, MlflowPlace(f"sqlite:///{home}/mlflow.db"), home / "log")
    try:
        yield MlflowPlace(running.url, username=mlflow_ui.USER, password=passwords(home)[mlflow_ui.USER])
    finally:
        stop(running)
    assert not running.alive()


def test_who_does_not_log_in_sees_nothing(server: MlflowPlace) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(server.tracking_uri, timeout=20)
    with pytest.raises(MlflowRefused, match="denies access"), connected(MlflowPlace(server.tracking_uri)) as client:
        client.search_experiments()


def test_a_real_server_takes_the_data_and_the_models_meet_there(server: MlflowPlace, tmp_path: Path) -> None:
    one = given(tmp_path)
    run_id = hand_over_to(server, one)
    assert hand_over_to(server, one) == run_id
    (run,) = runs(server, "fraud")
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/"), "an address that holds on any machine"
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source) == {"uri": f"{run.info.artifact_uri}/{SNAPSHOT_FILE}"}
    with connected(server) as client:
        manifest = read_manifest(Path(client.download_artifacts(run_id, MANIFEST_FILE, str(tmp_path))).read_text())
        data = Path(client.download_artifacts(run_id, SNAPSHOT_FILE, str(tmp_path))).read_bytes()
    check_data(manifest, data)
    assert manifest == one.manifest
    first, second = register(server, "fraud", "v2", CHAMPION), register(server, "fraud", "v3", CHALLENGER)
    both = meeting(server, "fraud")
    promote(server, "fraud", both.challenger, both.champion)
    assert aliases(server, "fraud") == {"champion": second, "previous": first}


def test_a_run_carries_the_dataset_its_numbers_and_its_files(embedded: MlflowPlace, tmp_path: Path) -> None:
    one = given(tmp_path, "fraud-v2-abc")
    run_id = hand_over_to(embedded, one)
    (run,) = runs(embedded, "fraud")
    assert run.info.run_id == run_id
    assert run.data.metrics == {"rows": float(one.metrics["rows"]), "champion_recall": 0.5}
    assert run.data.params["reason"] == "recall is lost"
    assert run.data.tags["plumbline.model_version"] == "v2"
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "fraud-v2-abc"
    assert dataset.dataset.digest == one.manifest["data"]["digest"][:36]
    profile = json.loads(dataset.dataset.profile)
    assert profile["lineage"] == {"day": "2026-11-05", "threshold_version": 3}
    assert profile["rows"] == one.metrics["rows"]
    assert {tag.key: tag.value for tag in dataset.tags}["mlflow.data.context"] == "training"
    assert embedded.artifact_folder is not None
    assert run.info.artifact_uri.startswith(embedded.artifact_folder.as_uri())
    assert hand_over_to(embedded, one) == run_id
    other = hand_over_to(embedded, given(tmp_path, "fraud-v2-def"))
    assert {run.info.run_id for run in runs(embedded, "fraud")} == {run_id, other}


def test_artifacts_go_where_the_connection_says(embedded: MlflowPlace, tmp_path: Path) -> None:
    place = MlflowPlace(embedded.tracking_uri, (tmp_path / "shared").as_uri())
    hand_over_to(place, given(tmp_path, "hate-1", "hate"))
    (run,) = runs(place, "hate")
    assert run.info.artifact_uri.startswith(f"{(tmp_path / 'shared').as_uri()}/plumbline/hate/")


def test_the_database_keeps_a_write_ahead_log(embedded: MlflowPlace, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    hand_over_to(embedded, given(tmp_path, "spam-1", "spam"))
    assert embedded.database is not None
    with closing(sqlite3.connect(embedded.database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_deleted_experiment_is_named_with_the_way_to_heal_it(embedded: MlflowPlace, tmp_path: Path) -> None:
    one = given(tmp_path, "gore-1", "gore")
    hand_over_to(embedded, one)
    with connected(embedded) as client:
        experiment = client.get_experiment_by_name("plumbline/gore").experiment_id
        client.delete_experiment(experiment)
    with pytest.raises(MlflowRefused, match=f"plumbline/gore was deleted .* restore --experiment-id {experiment}"):
        hand_over_to(embedded, one)
    with connected(embedded) as client:
        client.restore_experiment(experiment)
    hand_over_to(embedded, one)


def test_an_artifact_store_that_is_gone_is_named_and_the_run_completed_later(
    embedded: MlflowPlace, tmp_path: Path
) -> None:
    store = tmp_path / "shared"
    place = MlflowPlace(embedded.tracking_uri, store.as_uri())
    store.write_text("no folder")
    one = given(tmp_path, "nudity-1", "nudity")
    with pytest.raises(MlflowUnavailable, match="does not answer"):
        hand_over_to(place, one)
    store.unlink()
    assert hand_over_to(place, one) == runs(place, "nudity")[0].info.run_id
    (run,) = runs(place, "nudity")
    assert (run.info.status, len(run.inputs.dataset_inputs)) == ("FINISHED", 1)


class _Broken(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.server.hangs:  # type: ignore[attr-defined]
            time.sleep(3)
        self.send_response(500)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("hangs", [False, True], ids=["answers 500", "hangs"])
def test_a_server_that_is_broken_is_named_within_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setitem(tracking._LIMITS, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setitem(tracking._LIMITS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    broken = HTTPServer(("127.0.0.1", 0), _Broken)
    broken.hangs = hangs  # type: ignore[attr-defined]
    threading.Thread(target=broken.serve_forever, daemon=True).start()
    place = MlflowPlace(f"http://loop:secret@127.0.0.1:{broken.server_port}")
    try:
        with pytest.raises(MlflowUnavailable, match=r"MLflow at http://127\.0\.0\.1") as said:
            hand_over_to(place, given(tmp_path))
    finally:
        broken.shutdown()
        broken.server_close()
    assert "secret" not in str(said.value)
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_a_manifest_edited_by_hand_is_refused(tmp_path: Path) -> None:
    one = given(tmp_path)
    text = json.dumps(one.manifest)
    assert read_manifest(text) == one.manifest
    edited = json.loads(text)
    edited["profile"]["rows"] += 1
    with pytest.raises(ManifestError, match="the manifest was changed: its digest is"):
        read_manifest(json.dumps(edited))
    with pytest.raises(ManifestError, match="not of the schema"):
        read_manifest(json.dumps(edited | {"schema": "other/2"}))
    with pytest.raises(ManifestError, match="not valid JSON"):
        read_manifest("{")
    with pytest.raises(ManifestError, match=r"snapshot.parquet: its SHA-256 is"):
        check_data(one.manifest, b"other")
    assert (
        digest_of({name: value for name, value in one.manifest.items() if name != "digest"}) == one.manifest["digest"]
    )


def test_a_hand_over_killed_anywhere_is_one_run(tmp_path: Path) -> None:
    one = given(tmp_path)

    def once(home: Path) -> None:
        hand_over_to(MlflowPlace(f"sqlite:///{home}/mlflow.db"), one)

    def undisturbed() -> None:
        done = operations(lambda: once(calm), calm)
        (tmp_path / "operations").write_text(str(len(done)))

    before, calm = tmp_path / "before", tmp_path / "calm"
    before.mkdir()
    in_a_process(lambda: hand_over_to(MlflowPlace(f"sqlite:///{before}/mlflow.db"), given(tmp_path, "spam-1", "spam")))
    shutil.copytree(before, calm)
    in_a_process(undisturbed)
    assert ("fraud-v2-1", "FINISHED") in content(calm / "mlflow.db")["runs"]
    count = int((tmp_path / "operations").read_text())
    for at in range(0, count + 1, max(count // 4, 1)):
        home = tmp_path / str(at)
        shutil.copytree(before, home)
        what = killed(partial(once, home), home, at)
        assert what is not None
        in_a_process(partial(once, home))
        assert content(home / "mlflow.db") == content(calm / "mlflow.db"), what
