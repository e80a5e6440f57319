"""A policy, market or model version is retired: the loop goes on, and what was before is still accounted for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.accountability.__main__ import account
from include.config.load import DEFAULT_CONFIG
from include.config.yaml_file import read_yaml, write_yaml
from include.labels import stage as labels
from include.retraining import stage as retraining
from include.thresholds import stage as thresholds
from tests.history import SAMPLING, History
from tests.loop import DAYS, Loop

pytestmark = pytest.mark.airflow

LAST = DAYS
"""The first day without what was retired; the labels of the first days are final then."""


@pytest.fixture(scope="module")
def before(ended_history: Loop, tmp_path_factory: pytest.TempPathFactory) -> History:
    """Days on which nothing was retired. A change to each policy was published on the way."""
    home = tmp_path_factory.mktemp("before")
    shutil.copytree(ended_history.home / "data", home, dirs_exist_ok=True)
    history = History(home, ended_history.scenario, ended_history.videos_per_day)
    history.platform.land_day(history.day(LAST))
    return history


class Retiring(History):
    """A history whose last day can be delivered without some of its scores."""

    @property
    def folder(self) -> Path:
        return self.project.settings.landing / "video_scores" / f"ds={self.day(LAST)}"

    @property
    def scores(self) -> pd.DataFrame:
        return pd.concat([pd.read_parquet(path) for path in sorted(self.folder.iterdir())], ignore_index=True)

    def drop(self, gone: pd.Series, **renamed: str) -> None:
        """Delivers the day without these rows; or with them under another name."""
        rows = self.scores
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        rest = pd.concat([rows[~gone], rows[gone].assign(**renamed)]) if renamed else rows[~gone]
        rest.to_parquet(self.folder / "scores.parquet", index=False)


def removed(config: dict[str, Any], history: Retiring) -> None:
    """A policy, and a market of the others."""
    del config["policies"]["fraud"]
    history.drop(history.scores["policy"] == "fraud")
    del config["markets"]["DE"]
    history.drop(history.scores["market"] == "DE")


def kept_as_retired(config: dict[str, Any], history: Retiring) -> None:
    """A policy; another's model version gives way to one of another name."""
    config["policies"]["fraud"]["retired_after"] = history.day(LAST - 1)
    history.drop(history.scores["policy"] == "fraud")
    config["policies"]["violence"] |= {"model_versions": ["violence-v9"], "challengers": []}
    history.drop(history.scores["policy"] == "violence", model_version="violence-v9")


@pytest.mark.parametrize("retire", [removed, kept_as_retired])
def test_the_loop_goes_on_and_the_past_is_accounted_for(
    before: History,
    retire: Callable[[dict[str, Any], Retiring], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(before.home, tmp_path, dirs_exist_ok=True)
    history = Retiring(tmp_path, before.scenario, before.videos_per_day)
    config = read_yaml(DEFAULT_CONFIG).content
    retire(config, history)
    (tmp_path / "policies.yaml").write_text(write_yaml(config), encoding="utf-8")
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(tmp_path / "policies.yaml"))
    project, day = history.project, history.day(LAST)

    for step in SAMPLING:
        step(project, day)
    labels.gate_labels(project, day, labels.ingest_events(project, day))
    rest: tuple[Callable[..., object], ...] = (
        labels.form_consensus,
        labels.gate_consensus,
        thresholds.measure,
        thresholds.watch_published,
        thresholds.propose_thresholds,
        thresholds.gate_proposals,
        thresholds.lift_expired,
        thresholds.publish_within_limits,
        thresholds.advance_canaries,
        thresholds.compare_forecasts,
        thresholds.write_report,
        retraining.decide_retraining,
    )
    for step in rest:
        step(project, day)

    refused = project.warehouse.read("label_rejects", day, day)["reason"].value_counts()
    assert refused.get("unknown_policy", 0) == 0
    assert (refused.get("retired_policy", 0) > 0) == (retire is removed)
    result = account(project, history.day(0), history.day(1))
    assert result.left_out == (["fraud"] if retire is removed else [])
    fraud = result.means[(result.means["policy"] == "fraud") & (result.means["indicator"] == "accuracy")]
    assert len(fraud) == (0 if retire is removed else 4)
    assert (fraud["videos"] > 0).all()
    assert retire is removed or fraud["labels"].sum() > 0
