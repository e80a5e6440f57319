"""The demo's model team: it answers a hand-over once, however often the day is run, and says what it cannot train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.demo import model_team
from include.project import Project, open_project
from include.retraining.tracking import connected
from include.simulation.deployed import deployed
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario
from tests.places import settings_in
from tests.retraining.models import aliases
from tests.trainer.test_answer import START, handed_over

pytestmark = pytest.mark.slow

DAY = 6


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project(settings_in(tmp_path))


def test_a_day_run_twice_is_answered_once_and_a_team_without_a_name_says_so(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_team, "MODELS", tmp_path / "models")
    scenario = load_scenario("demo", videos_per_day=20_000)
    places = {name: tmp_path / name for name in ("landing", "queue", "thresholds", "truth", "models")}
    platform, place = Platform(scenario, start=START, **places), project.settings.mlflow
    day = platform.day_of(DAY)
    model_team.register_models(project, scenario)
    assert all(aliases(place, name) == {"champion": "1"} for name in scenario.policies)
    given = handed_over(place, platform, tmp_path, day=DAY)
    assert model_team.answer(project, platform, day) == [], "nothing was handed over by the day's run"

    row = dict.fromkeys(TABLES["training_snapshots"].column_names) | {
        "snapshot_id": given.identity,
        "policy": "fraud",
        "model_version": "fraud-v2",
        "n_rows": 1,
        "n_positive": 1,
        "effective_n": 1.0,
        "path": "p",
        "sha256": "0" * 64,
        "mlflow_run_id": "r",
        "guideline_version": "2026-1",
    }
    project.warehouse.replace("training_snapshots", day, pd.DataFrame([row]))
    trained = ["the model team trained fraud-v3"]
    assert model_team.answer(project, platform, day) == trained
    assert model_team.challenger_waits(project)
    assert list(deployed(tmp_path / "models", "fraud", platform.day_of(DAY + 1))) == ["fraud-v3"]
    (tmp_path / "models" / "fraud" / "fraud-v3" / "service.json").unlink()  # as if killed before it was in service
    assert model_team.answer(project, platform, day) == trained
    assert list(deployed(tmp_path / "models", "fraud", platform.day_of(DAY + 1))) == ["fraud-v3"]
    with connected(place) as client:
        assert len(client.search_model_versions("name = 'plumbline.fraud'")) == 2

    policies = {"fraud": project.config.policies["fraud"].model_copy(update={"challengers": []})}
    nameless = replace(project, config=project.config.model_copy(update={"policies": policies}))
    handed_over(place, platform, tmp_path, day=DAY + 2)
    (said,) = model_team.answer(nameless, platform, day)
    assert said.startswith("the model team trained nothing: plumbline.fraud: ")
    assert "name a new one in policies.fraud" in said
