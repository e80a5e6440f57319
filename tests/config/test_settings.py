"""The warehouse connection and Airflow's variables as typed settings, and what is said when one is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.config.load import ConfigError
from include.config.settings import PROJECT_ROOT, settings_from

EXTRA = {"engine": "duckdb", "landing": "data/landing", "warehouse": "data/warehouse"}
VARIABLES = {"plumbline_output": "data/output", "plumbline_mlflow_tracking_uri": "sqlite:///data/mlflow.db"}


def test_relative_places_start_at_home(home: Path) -> None:
    settings = settings_from(EXTRA, VARIABLES)
    assert (settings.landing, settings.warehouse) == (home / "data/landing", home / "data/warehouse")
    assert settings.mlflow_tracking_uri == f"sqlite:///{home}/data/mlflow.db"
    places = (settings.thresholds, settings.queue, settings.reports, settings.snapshots, settings.quality_docs)
    assert [place.parent for place in places] == [home / "data/output"] * 5
    assert len(set(places)) == 5


def test_without_a_home_they_start_at_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_HOME", raising=False)
    assert settings_from(EXTRA, VARIABLES).landing == PROJECT_ROOT / "data/landing"


def test_absolute_places_and_servers_stay(home: Path) -> None:
    settings = settings_from(
        {**EXTRA, "landing": "/srv/landing"}, {**VARIABLES, "plumbline_mlflow_tracking_uri": "http://mlflow:5000"}
    )
    assert settings.landing == Path("/srv/landing")
    assert settings.mlflow_tracking_uri == "http://mlflow:5000"
    uri = settings_from(
        EXTRA, {**VARIABLES, "plumbline_mlflow_tracking_uri": "sqlite:////srv/m.db"}
    ).mlflow_tracking_uri
    assert uri == "sqlite:////srv/m.db"


@pytest.mark.parametrize(
    ("extra", "variables", "said"),
    [
        ({**EXTRA, "engine": "oracle"}, VARIABLES, "plumbline_warehouse: extra.engine is 'oracle', allowed: 'duckdb'"),
        ({}, VARIABLES, "extra.engine is None, allowed: 'duckdb'"),
        ({"engine": "duckdb", "warehouse": "w"}, VARIABLES, "extra.landing is missing"),
        ({"engine": "duckdb", "landing": "l"}, VARIABLES, "extra.warehouse is missing"),
        ({**EXTRA, "landing": 7}, VARIABLES, "extra.landing is missing: it names a folder"),
        (EXTRA, {}, "variables are not set: plumbline_output, plumbline_mlflow_tracking_uri"),
        (EXTRA, {**VARIABLES, "plumbline_output": ""}, "variables are not set: plumbline_output"),
    ],
)
def test_what_is_missing_is_named(extra: dict[str, Any], variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings_from(extra, variables)
