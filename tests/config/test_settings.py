"""The warehouse connection and Airflow's variables as typed settings, and what is said when one is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.config.load import ConfigError
from include.config.settings import PROJECT_ROOT, BigQueryPlace, settings_from

EXTRA = {"engine": "duckdb", "landing": "data/landing", "warehouse": "data/warehouse"}
BIGQUERY = {
    "engine": "bigquery",
    "landing": "data/landing",
    "project": "p",
    "dataset": "d",
    "location": "EU",
    "max_gigabytes": 500,
}
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


def test_bigquery_is_named_by_project_and_dataset(home: Path) -> None:
    settings = settings_from(BIGQUERY, VARIABLES)
    assert settings.landing == home / "data/landing"
    assert settings.warehouse == BigQueryPlace(project="p", dataset="d", location="EU", max_gigabytes=500.0)


@pytest.mark.parametrize(
    ("extra", "variables", "said"),
    [
        (
            {**EXTRA, "engine": "oracle"},
            VARIABLES,
            "plumbline_warehouse: extra.engine is 'oracle', allowed: 'duckdb', 'bigquery'",
        ),
        ({}, VARIABLES, "extra.engine is None, allowed: 'duckdb', 'bigquery'"),
        ({"engine": "duckdb", "warehouse": "w"}, VARIABLES, "extra.landing is missing"),
        ({"engine": "duckdb", "landing": "l"}, VARIABLES, "extra.warehouse is missing"),
        ({**EXTRA, "landing": 7}, VARIABLES, "extra.landing is missing: it names a folder"),
        ({k: v for k, v in BIGQUERY.items() if k != "landing"}, VARIABLES, "extra.landing is missing"),
        ({**BIGQUERY, "max_gigabytes": 0}, VARIABLES, "engine bigquery: extra.max_gigabytes: .*greater than 0"),
        ({**BIGQUERY, "dataset": "a.b"}, VARIABLES, "engine bigquery: extra.dataset: "),
        ({**BIGQUERY, "key": "secret"}, VARIABLES, "engine bigquery: extra: .*unknown key key"),
        ({k: v for k, v in BIGQUERY.items() if k != "location"}, VARIABLES, "extra.location: Field required"),
        (EXTRA, {}, "variables are not set: plumbline_output, plumbline_mlflow_tracking_uri"),
        (EXTRA, {**VARIABLES, "plumbline_output": ""}, "variables are not set: plumbline_output"),
    ],
)
def test_what_is_missing_is_named(extra: dict[str, Any], variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings_from(extra, variables)
