"""The hand-over to MLflow: one run a snapshot, whose input the dataset is, also after a hand-over that broke off."""

from __future__ import annotations

import random
import shutil
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from include.retraining.handoff import log_snapshot
from tests.kills import in_a_process, killed, operations
from tests.retraining.mlflow_store import content

pytestmark = pytest.mark.slow


def snapshot(rows: int = 20, policy: str = "fraud") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "video_id": range(rows),
            "policy": policy,
            "market": "BR",
            "model_version": "fraud-v2",
            "score": [None, *([0.5] * (rows - 1))],
            "p_violating": [1.0, *([0.25] * (rows - 1))],
            "weight": 2.0,
            "sampled_on": [date(2026, 11, 1 + row % 5) for row in range(rows)],
            "probability_sample": True,
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in a folder that does not exist yet; made once, as that takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/deep/er/mlflow.db"


def runs(store: str, policy: str) -> list[Any]:
    mlflow.set_tracking_uri(store)
    experiment = mlflow.get_experiment_by_name(f"plumbline/{policy}")
    assert experiment is not None
    return list(mlflow.search_runs([experiment.experiment_id], output_format="list"))


def test_a_run_carries_the_dataset_its_numbers_and_where_it_lies(store: str, tmp_path: Path) -> None:
    run_id = log_snapshot(store, "fraud-v2-abc", snapshot(), tmp_path / "s.parquet", "f" * 64)
    (run,) = runs(store, "fraud")
    assert run.info.run_id == run_id
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"rows": 20.0, "violating": 1 + 19 * 0.25}
    assert run.data.tags["plumbline.model_version"] == "fraud-v2"
    assert run.data.tags["plumbline.sha256"] == "f" * 64
    assert run.data.tags["plumbline.snapshot_id"] == "fraud-v2-abc"
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == "fraud-v2-abc"
    assert str(tmp_path / "s.parquet") in given.dataset.source
    assert {tag.key: tag.value for tag in given.tags}["mlflow.data.context"] == "training"


def test_the_same_snapshot_is_handed_over_once_and_another_anew(store: str, tmp_path: Path) -> None:
    def hand_over(identity: str, policy: str) -> str:
        return log_snapshot(store, identity, snapshot(policy=policy), tmp_path / "s.parquet", "0" * 64)

    first = hand_over("one", "spam")
    assert hand_over("one", "spam") == first
    second = hand_over("two", "spam")
    assert second != first
    assert hand_over("one", "spam") == first
    assert {run.info.run_id for run in runs(store, "spam")} == {first, second}
    assert hand_over("one", "hate") not in {first, second}  # another policy is another experiment


def test_a_hand_over_that_broke_off_is_completed_in_the_run_it_began(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hand_over(sha256: str = "0" * 64) -> str:
        return log_snapshot(store, "broken", snapshot(policy="gore"), tmp_path / "s.parquet", sha256)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "log_metrics", lambda *_, **__: (_ for _ in ()).throw(OSError("database is locked")))
        with pytest.raises(OSError, match="locked"):
            hand_over()
    (broken,) = runs(store, "gore")
    assert (broken.info.status, broken.data.metrics) == ("FAILED", {})
    assert hand_over() == hand_over() == broken.info.run_id
    (run,) = runs(store, "gore")
    assert (run.info.status, run.data.metrics["rows"]) == ("FINISHED", 20)
    assert len(run.inputs.dataset_inputs) == 1
    assert hand_over("1" * 64) == broken.info.run_id  # the same rows in a file of other bytes
    assert runs(store, "gore")[0].data.tags["plumbline.sha256"] == "1" * 64


@pytest.mark.parametrize("there", [True, False], ids=["into a store", "that makes the store"])
def test_a_hand_over_killed_anywhere_is_one_run(tmp_path: Path, *, there: bool) -> None:
    def hand_over(home: Path, policy: str = "fraud") -> None:
        log_snapshot(f"sqlite:///{home}/mlflow.db", f"{policy}-1", snapshot(policy=policy), Path("s.parquet"), "f" * 64)

    def undisturbed() -> None:
        done = operations(lambda: hand_over(calm), calm)
        (tmp_path / "operations").write_text(str(len(done)))

    before, calm = tmp_path / "before", tmp_path / "calm"
    before.mkdir()
    if there:
        in_a_process(lambda: hand_over(before, "spam"))
    shutil.copytree(before, calm)
    in_a_process(undisturbed)
    assert ("fraud-1", "FINISHED") in content(calm / "mlflow.db")["runs"]
    count = int((tmp_path / "operations").read_text())
    for at in random.Random(5).sample(range(count + 1), 25 if there else 2):
        home = tmp_path / str(at)
        shutil.copytree(before, home)
        what = killed(partial(hand_over, home), home, at)
        assert what is not None
        in_a_process(partial(hand_over, home))
        assert content(home / "mlflow.db") == content(calm / "mlflow.db"), what
        assert [path.name for path in home.iterdir()] == ["mlflow.db"], what
