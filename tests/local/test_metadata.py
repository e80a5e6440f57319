"""airflow_settings.yaml: our loader and the Astro CLI, which reads the same file, make the same rows of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config.declared import SETTINGS_FILE, declared_settings
from include.config.settings import CONNECTION_ID, PROJECT_ROOT, VARIABLES, settings_from
from include.local.environment import airflow_environment
from include.local.metadata import apply_settings, migrate
from tests.local.astro import rows

pytestmark = pytest.mark.airflow

FULL: dict[str, Any] = {
    "airflow": {
        "connections": [
            {
                "conn_id": "full",
                "conn_type": "generic",
                "conn_host": "db.example.com",
                "conn_schema": "public",
                "conn_login": "reader",
                "conn_password": "pa ss%word",
                "conn_port": 5432,
                "conn_extra": '{"engine": "duckdb", "nested": {"a": [1, 2.5, null, true]}}',
            },
            {"conn_id": "bare", "conn_type": "generic", "conn_host": None, "conn_port": None, "conn_extra": None},
            {"conn_id": "mapping", "conn_type": "generic", "conn_extra": {"b": 1, "a": {"c": "d e"}}},
        ],
        "pools": [
            {"pool_name": "described", "pool_slot": 3, "pool_description": "three at a time"},
            {"pool_name": "plain", "pool_slot": 1},
        ],
        "variables": [
            {"variable_name": "text", "variable_value": "two words; and $HOME"},
            {"variable_name": "json", "variable_value": '{"a": 1}'},
            {"variable_name": "number", "variable_value": 7},
        ],
    }
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "airflow_settings.yaml"
    path.write_text(yaml.safe_dump(FULL), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def astro(full: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows after the project's file, and after the full one, by the Astro CLI's commands in its own database."""
    environment = {**os.environ, **airflow_environment(tmp_path_factory.mktemp("astro"))}
    command = [sys.executable, "-m", "tests.local.astro", str(SETTINGS_FILE), str(full)]
    done = subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def database() -> Iterator[None]:
    """The session's metadata database with the project's settings, and left so."""
    migrate()
    apply_settings()
    yield
    from airflow.models import Connection, Pool, Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        declared = FULL["airflow"]
        for model, key, entries, name in (
            (Connection, Connection.conn_id, declared["connections"], "conn_id"),
            (Pool, Pool.pool, declared["pools"], "pool_name"),
            (Variable, Variable.key, declared["variables"], "variable_name"),
        ):
            session.query(model).filter(key.in_([entry[name] for entry in entries])).delete()
    apply_settings()


@pytest.mark.usefixtures("database")
def test_both_readings_of_the_file_agree(astro: list[dict[str, Any]], full: Path) -> None:
    assert rows() == astro[0]
    apply_settings(full)
    found = rows()
    assert found == astro[1]
    (entry,) = (row for row in found["connections"] if row["conn_id"] == "full")
    assert entry["extra"]["nested"] == {"a": [1, 2.5, None, True]}
    assert (entry["port"], entry["password"]) == (5432, "pa ss%word")
    assert {row["key"]: row["value"] for row in found["variables"]}["number"] == "7"


@pytest.mark.usefixtures("database")
def test_loading_again_changes_nothing_and_leaves_others_alone(full: Path) -> None:
    from airflow.models import Variable

    apply_settings(full)
    Variable.set("text", "changed by hand")
    Variable.set("json", "{}")
    before = rows()
    apply_settings()
    apply_settings()
    assert rows() == before
    apply_settings(full)
    assert {row["key"]: row["value"] for row in rows()["variables"]}["text"] == "two words; and $HOME"


@pytest.mark.usefixtures("database")
def test_the_rows_are_the_settings_tools_read_without_airflow(home: Path) -> None:
    found = rows()
    (extra,) = (row["extra"] for row in found["connections"] if row["conn_id"] == CONNECTION_ID)
    variables = {row["key"]: row["value"] for row in found["variables"]}
    assert settings_from(extra, variables) == declared_settings()
    assert declared_settings().landing == home / "data" / "landing"
    assert set(VARIABLES) <= set(variables)


@pytest.mark.usefixtures("database")
def test_every_pool_a_task_names_is_declared(dags: dict[str, Any]) -> None:
    named = {task.pool for dag in dags.values() for task in dag.tasks}
    assert named <= {row["pool"] for row in rows()["pools"]}
    assert "warehouse_scans" in named


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"connections": [{"conn_id": "c"}]}, r"\{'conn_id': 'c'\} lacks conn_type"),
        ({"connections": [{"conn_type": "", "conn_host": "h"}]}, "lacks conn_id, conn_type"),
        ({"pools": [{"pool_name": "p"}]}, "lacks pool_slot"),
        ({"variables": [{"variable_value": "v"}]}, "lacks variable_name"),
    ],
)
@pytest.mark.usefixtures("database")
def test_what_an_entry_lacks_is_named(tmp_path: Path, declared: dict[str, Any], said: str) -> None:
    path = tmp_path / "airflow_settings.yaml"
    path.write_text(yaml.safe_dump({"airflow": declared}), encoding="utf-8")
    before = rows()
    with pytest.raises(ValueError, match=said):
        apply_settings(path)
    assert rows() == before


@pytest.mark.parametrize("content", ["", "airflow:\n", "airflow:\n  connections:\n  pools:\n  variables:\n"])
@pytest.mark.usefixtures("database")
def test_an_empty_file_is_fine(tmp_path: Path, content: str) -> None:
    path = tmp_path / "airflow_settings.yaml"
    path.write_text(content, encoding="utf-8")
    before = rows()
    apply_settings(path)
    assert rows() == before
