"""A hand-over is answered once, by a registered version that says what it was trained on and that can score."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.config.settings import MlflowPlace
from include.retraining.handoff import MANIFEST_FILE, SNAPSHOT_FILE, HandOver, ManifestError, hand_over_to, manifest_of
from include.retraining.registry import MODEL_VERSION_TAG, meeting
from include.retraining.snapshot import snapshot_rows, write_snapshot
from include.retraining.tracking import connected
from include.simulation.deployed import deploy, load_model
from include.simulation.platform import Platform
from include.simulation.population import ID_SHIFT
from include.simulation.scenario import load_scenario
from include.trainer.answer import answer_hand_overs, register_in_service
from include.trainer.train import NotTrainable
from tests.retraining.models import aliases

pytestmark = pytest.mark.slow

START, NAMES = date(2026, 11, 1), ["fraud-v3", "fraud-v4"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> MlflowPlace:
    found = MlflowPlace(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
    register_in_service(found, "fraud", "fraud-v2", {"slope": 1.2})
    return found


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    scenario = load_scenario("demo", videos_per_day=20_000)
    places = {name: tmp_path / name for name in ("landing", "queue", "thresholds", "truth", "models")}
    return Platform(scenario, start=START, **places)


def handed_over(place: MlflowPlace, platform: Platform, folder: Path, day: int) -> HandOver:
    """What the first videos of a day in the wave come to as a snapshot: every one labelled, by the truth."""
    platform.land_day(platform.day_of(day))
    landed = pd.read_parquet(folder / "landing" / "video_scores" / f"ds={platform.day_of(day)}" / "fraud-v2.parquet")
    truth = pd.read_parquet(folder / "truth" / f"ds={platform.day_of(day)}" / "violating.parquet")
    violating = landed["video_id"].isin(truth.loc[truth["policy"] == "fraud", "video_id"])
    sample = landed.assign(
        p_violating=violating.astype(float),
        votes=1,
        programme="audit",
        inclusion_probability=1.0,
        sampled_on=platform.day_of(day),
    )
    rows, left = snapshot_rows(sample, set(), "fraud", "fraud-v2", "2026-1")
    file = folder / SNAPSHOT_FILE
    profile = write_snapshot([rows], file, set())
    content = file.read_bytes()
    manifest = manifest_of(
        identity=f"fraud-fraud-v2-{day}",
        policy="fraud",
        model_version="fraud-v2",
        guideline_version="2026-1",
        digest=profile.digest,
        file={"name": SNAPSHOT_FILE, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        columns={},
        profile=profile.to_json(),
        left_out=left,
        decision={"why": "recall is lost"},
        lineage={},
        champion={},
    )
    given = HandOver("fraud", "fraud-v2", manifest["snapshot_id"], file, manifest, {})
    hand_over_to(place, given)
    return given


def test_a_hand_over_is_answered_once_and_the_platform_scores_with_the_answer(
    place: MlflowPlace, platform: Platform, tmp_path: Path
) -> None:
    assert answer_hand_overs(place, "fraud", NAMES, platform.features, tmp_path) is None, "nothing was handed over"
    given = handed_over(place, platform, tmp_path, day=6)
    new = answer_hand_overs(place, "fraud", NAMES, platform.features, tmp_path)
    assert new is not None
    assert (new.model_version, new.number, new.snapshot_id) == ("fraud-v3", "2", given.identity)
    assert answer_hand_overs(place, "fraud", NAMES, platform.features, tmp_path) == new, "it is answered once"
    with connected(place) as client:
        client.delete_registered_model_alias("plumbline.fraud", "challenger")  # as if killed before it was set
    assert answer_hand_overs(place, "fraud", NAMES, platform.features, tmp_path) == new

    both = meeting(place, "fraud")
    assert (both.champion.model_version, both.challenger.model_version) == ("fraud-v2", "fraud-v3")
    assert aliases(place, "fraud") == {"champion": "1", "challenger": "2"}
    with connected(place) as client:
        version = client.get_model_version("plumbline.fraud", "2")
        run = client.get_run(version.run_id)
        described = Path(client.download_artifacts(version.run_id, "model/MLmodel", str(tmp_path))).read_text()
        trained_on = json.loads(
            Path(client.download_artifacts(version.run_id, "trained_on.json", str(tmp_path))).read_text()
        )
    assert version.tags[MODEL_VERSION_TAG] == "fraud-v3"
    assert version.tags["plumbline.trained_on"] == given.identity
    assert trained_on["manifest"] == given.manifest["digest"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["rows"] == given.manifest["profile"]["rows"]
    assert "signature:" in described
    assert "evidence" in described
    assert "serialization_format: skops" in described

    models = tmp_path / "models"
    deploy(models, "fraud", new.model_version, new.file, platform.day_of(7))
    deploy(models, "fraud", new.model_version, new.file, platform.day_of(9))  # said again: it goes on to score
    scores = tmp_path / "landing" / "video_scores"
    platform.land_day(platform.day_of(6))
    assert not (scores / f"ds={platform.day_of(6)}" / "fraud-v3.parquet").exists(), "it was not in service yet"
    platform.land_day(platform.day_of(7))
    old, scored = (
        pd.read_parquet(scores / f"ds={platform.day_of(7)}" / f"{name}.parquet") for name in ("fraud-v2", "fraud-v3")
    )
    assert list(scored["video_id"]) == list(old["video_id"])
    model = load_model(new.file)
    expected = model.predict_proba(platform.features("fraud", scored["video_id"].to_numpy(np.int64)))[:, 1]
    known = scored["score"].notna().to_numpy()
    assert 0.97 < known.mean() < 1
    assert np.allclose(scored["score"].to_numpy(float)[known], expected[known], atol=1e-6)

    cells = pd.DataFrame(
        [("fraud", "BR", version, 0.9, 0.01) for version in ("fraud-v2", "fraud-v3")],
        columns=["policy", "market", "model_version", "target", "lowest_remove_at"],
    )
    before, after = platform.oracle(platform.day_of(7), cells)["true_recall"]
    assert after > before + 0.1, "it wins back what the wave took"


def test_a_second_hand_over_takes_the_next_name_and_without_one_says_where_to_add_it(
    place: MlflowPlace, platform: Platform, tmp_path: Path
) -> None:
    handed_over(place, platform, tmp_path, day=8)
    with pytest.raises(NotTrainable, match="fraud-v3 is registered already; name a new one"):
        answer_hand_overs(place, "fraud", ["fraud-v3"], platform.features, tmp_path)
    new = answer_hand_overs(place, "fraud", NAMES, platform.features, tmp_path)
    assert new is not None
    assert new.model_version == "fraud-v4"


def test_what_is_not_what_was_handed_over_is_not_trained_on(
    place: MlflowPlace, platform: Platform, tmp_path: Path
) -> None:
    given = handed_over(place, platform, tmp_path, day=9)
    with connected(place) as client:
        experiment = client.get_experiment_by_name("plumbline/fraud")
        (run,) = client.search_runs([experiment.experiment_id], f"tags.`plumbline.snapshot_id` = '{given.identity}'")
    stored = Path(run.info.artifact_uri.removeprefix("file://")) / MANIFEST_FILE
    content = stored.read_text()
    changed = content.replace('"replaces_model_version":"fraud-v2"', '"replaces_model_version":"fraud-v1"')
    assert changed != content
    stored.write_text(changed)
    with pytest.raises(ManifestError, match="was changed"):
        answer_hand_overs(place, "fraud", [*NAMES, "fraud-v5"], platform.features, tmp_path)
    stored.write_text(content)
    data = stored.with_name(SNAPSHOT_FILE)
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with pytest.raises(ManifestError, match="SHA-256"):
        answer_hand_overs(place, "fraud", [*NAMES, "fraud-v5"], platform.features, tmp_path)


def test_a_file_that_holds_more_than_a_model_is_not_loaded(tmp_path: Path) -> None:
    from skops.io import dump
    from skops.io.exceptions import UntrustedTypesFoundException

    file = tmp_path / "model.skops"
    dump({"model": Path("somewhere")}, file)
    with pytest.raises(UntrustedTypesFoundException):
        load_model(file)


def test_features_are_those_of_the_videos_asked_for_in_their_order(platform: Platform) -> None:
    landed = platform.land_day(platform.day_of(6))
    assert landed.rows["video_scores"]
    folder = platform._landing / "video_scores" / f"ds={platform.day_of(6)}"
    ids = pd.read_parquet(folder / "fraud-v2.parquet")["video_id"].to_numpy(np.int64)[:50]
    forward, backward = platform.features("fraud", ids), platform.features("fraud", ids[::-1])
    assert np.array_equal(forward.to_numpy(), backward.to_numpy()[::-1])
    with pytest.raises(ValueError, match="is no video of this platform"):
        platform.features("fraud", np.array([ids[0] + (1 << ID_SHIFT)]))
