"""The warehouse connection and Airflow's variables as typed settings, and what is said when one is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.config.declared import declared_settings
from include.config.load import ConfigError
from include.config.settings import PROJECT_ROOT, BigQueryPlace, extra_from, mlflow_from, settings_from

EXTRA = {"engine": "duckdb", "landing": "data/landing", "warehouse": "data/warehouse"}
BIGQUERY = {
    "engine": "bigquery",
    "landing": "data/landing",
    "project": "p",
    "dataset": "d",
    "location": "EU",
    "max_gigabytes": 500,
}
VARIABLES = {"plumbline_output": "data/output"}


def test_relative_places_start_at_home(home: Path) -> None:
    settings = settings_from(EXTRA, VARIABLES)
    assert (settings.landing, settings.warehouse) == (home / "data/landing", home / "data/warehouse")
    assert settings.mlflow.tracking_uri == f"sqlite:///{home}/data/mlflow/mlflow.db"
    places = (settings.thresholds, settings.queue, settings.reports, settings.snapshots, settings.quality_docs)
    assert [place.parent for place in places] == [home / "data/output"] * 5
    assert len(set(places)) == 5


def test_without_a_home_they_start_at_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_HOME", raising=False)
    assert settings_from(EXTRA, VARIABLES).landing == PROJECT_ROOT / "data/landing"


def test_absolute_places_and_servers_stay(home: Path) -> None:
    server = mlflow_from({"tracking_uri": "http://mlflow:5000"}, username="loop", password="secret")
    settings = settings_from({**EXTRA, "landing": "/srv/landing"}, VARIABLES, server)
    assert settings.landing == Path("/srv/landing")
    assert (settings.mlflow.tracking_uri, settings.mlflow.database) == ("http://mlflow:5000", None)
    assert (settings.mlflow.username, settings.mlflow.password) == ("loop", "secret")
    assert "secret" not in repr(settings)
    assert mlflow_from({"tracking_uri": "sqlite:////srv/m.db"}).tracking_uri == "sqlite:////srv/m.db"


@pytest.mark.parametrize(
    ("given", "found"),
    [("s3://models/plumbline", "s3://models/plumbline"), ("data/models", "file://{home}/data/models"), (None, None)],
)
def test_artifacts_lie_at_an_address(home: Path, given: str | None, found: str | None) -> None:
    place = mlflow_from({"artifacts": given})
    assert place.artifacts == (None if found is None else found.format(home=home))
    assert place.artifact_folder == home / "data/mlflow/artifacts"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"tracking_uri": "mlruns"}, "extra.tracking_uri: mlruns is no address; of a file, sqlite:///"),
        ({"tracking": "http://mlflow"}, "extra.tracking: unknown key tracking; allowed: tracking_uri, artifacts"),
        ({"tracking_uri": 5000}, r"extra.tracking_uri: .*valid string \(found 5000\)"),
    ],
)
def test_a_wrong_connection_to_mlflow_is_named(home: Path, extra: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"connection plumbline_mlflow: {said}"):
        mlflow_from(extra)


def test_bigquery_is_named_by_project_and_dataset(home: Path) -> None:
    settings = settings_from(BIGQUERY, VARIABLES)
    assert settings.landing == home / "data/landing"
    assert settings.warehouse == BigQueryPlace(project="p", dataset="d", location="EU", max_gigabytes=500.0)


def without(extra: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in extra.items() if key not in names}


@pytest.mark.parametrize(
    ("extra", "variables", "said"),
    [
        (
            {**EXTRA, "engine": "oracle"},
            VARIABLES,
            "plumbline_warehouse: extra.engine is 'oracle', allowed: 'duckdb', 'bigquery'",
        ),
        ({}, VARIABLES, "extra.engine is None, allowed: 'duckdb', 'bigquery'"),
        (without(EXTRA, "landing"), VARIABLES, "engine duckdb: extra.landing: Field required"),
        (without(EXTRA, "warehouse"), VARIABLES, "extra.warehouse: Field required"),
        ({**EXTRA, "landing": 7}, VARIABLES, r"extra.landing: .*valid string \(found 7\)"),
        (
            {**EXTRA, "wharehouse": "w"},
            VARIABLES,
            "extra.wharehouse: unknown key wharehouse; allowed: landing, warehouse",
        ),
        ({**EXTRA, "project": "p"}, VARIABLES, "extra.project: unknown key project; allowed: landing, warehouse"),
        ({**EXTRA, "landing": ""}, VARIABLES, "extra.landing: is empty: it names a folder"),
        ({**EXTRA, "landing": " data/landing"}, VARIABLES, "extra.landing: ' data/landing' has white space around it"),
        ({**EXTRA, "landing": "s3://bucket/in"}, VARIABLES, "extra.landing: starts with s3:/: a folder is expected"),
        ({**EXTRA, "landing": "~/data"}, VARIABLES, "extra.landing: starts with ~, which stands for nothing here"),
        ({**EXTRA, "landing": "data/warehouse"}, VARIABLES, "extra.warehouse: .* lies in extra.landing, "),
        ({**EXTRA, "landing": "data/warehouse/in"}, VARIABLES, "extra.landing: .* lies in extra.warehouse, "),
        ({**EXTRA, "landing": "x/../data/warehouse/in"}, VARIABLES, "extra.landing: .* lies in extra.warehouse, "),
        ({**EXTRA, "warehouse": "data/landing/own"}, VARIABLES, "extra.warehouse: .* lies in extra.landing, "),
        ({**EXTRA, "landing": "."}, VARIABLES, "extra.warehouse: .* lies in extra.landing, "),
        (without(BIGQUERY, "landing"), VARIABLES, "extra.landing: Field required"),
        ({**BIGQUERY, "landing": "gs://bucket"}, VARIABLES, "extra.landing: starts with gs:/: a folder is expected"),
        (
            {**BIGQUERY, "warehouse": "w"},
            VARIABLES,
            "extra.warehouse: unknown key warehouse; allowed: project, dataset",
        ),
        ({**BIGQUERY, "max_gigabytes": 0}, VARIABLES, "engine bigquery: extra.max_gigabytes: .*greater than 0"),
        ({**BIGQUERY, "max_gigabytes": True}, VARIABLES, "extra.max_gigabytes: .*valid number"),
        ({**BIGQUERY, "dataset": "a.b"}, VARIABLES, "engine bigquery: extra.dataset: "),
        ({**BIGQUERY, "project": " "}, VARIABLES, "engine bigquery: extra.project: "),
        ({**BIGQUERY, "key": "secret"}, VARIABLES, "engine bigquery: extra.key: unknown key key; allowed: project, "),
        (without(BIGQUERY, "location"), VARIABLES, "extra.location: Field required"),
        (EXTRA, {}, "variables are not set: plumbline_output"),
        (EXTRA, {**VARIABLES, "plumbline_output": " "}, "variables are not set: plumbline_output"),
        (EXTRA, {**VARIABLES, "plumbline_output": "gs://out"}, "variable plumbline_output: starts with gs:/"),
        (EXTRA, {**VARIABLES, "plumbline_output": "data"}, "extra.landing: .* lies in variable plumbline_output, "),
        (
            EXTRA,
            {**VARIABLES, "plumbline_anchor": "data/output/a"},
            "plumbline_anchor: .* lies in variable plumbline_out",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    home: Path, extra: dict[str, Any], variables: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        settings_from(extra, variables)
    assert "secret" not in str(refused.value)


def test_a_folder_under_another_name_is_the_same_folder(home: Path) -> None:
    (home / "data" / "warehouse").mkdir(parents=True)
    (home / "platform").symlink_to(home / "data" / "warehouse")
    with pytest.raises(ConfigError, match=r"lies in extra\.landing"):
        settings_from({**EXTRA, "landing": "platform"}, VARIABLES)


def test_a_file_is_no_folder(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "landing").write_text("")
    with pytest.raises(ConfigError, match=r"extra\.landing: .*data/landing is a file, a folder is expected"):
        settings_from(EXTRA, VARIABLES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"engine": "duckdb", "landing": "a", "landing": "b"}', "extra: landing is given twice"),
        ('["duckdb"]', "extra is not a JSON object"),
        ("engine=duckdb", "extra is not valid JSON: Expecting value"),
    ],
)
def test_an_extra_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"connection plumbline_warehouse: {said}"):
        extra_from(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "declares no connections and variables"),
        ("airflow: {connections: [], variables: []}", "declares connection plumbline_warehouse 0 times"),
        (
            "airflow:\n  connections: [{conn_id: plumbline_warehouse, conn_extra: {}}]\n  variables:\n"
            + "    - {variable_name: plumbline_output, variable_value: a}\n" * 2,
            "declares variable plumbline_output twice",
        ),
        ("airflow:\n  variables: []\n  variables: []", "line 3: variables is given twice"),
    ],
)
def test_declared_settings_that_are_none_are_refused_by_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "airflow_settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"{path}: {said}"):
        declared_settings(path)
