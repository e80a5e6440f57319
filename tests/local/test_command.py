"""`make airflow`: Airflow's command line, on the local installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.config.settings import CONNECTION_ID, MLFLOW_CONNECTION_ID, PROJECT_ROOT

pytestmark = pytest.mark.airflow


def airflow(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"PLUMBLINE_HOME": str(home), "PYTHONPATH": str(PROJECT_ROOT)}
    arguments = [sys.executable, "-m", "include.local.command", *words]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)


def test_it_works_on_the_projects_own_installation_and_passes_on_what_airflow_says(home: Path) -> None:
    listed = airflow(home, "connections", "list", "--output", "json")
    assert listed.returncode == 0, listed.stderr
    connections = json.loads(listed.stdout)
    assert {found["conn_id"] for found in connections} == {CONNECTION_ID, MLFLOW_CONNECTION_ID}
    assert (home / ".airflow" / "airflow.db").exists()

    folder = airflow(home, "config", "get-value", "core", "dags_folder")
    assert folder.stdout.strip() == str(PROJECT_ROOT / "dags")

    refused = airflow(home, "dags", "nonsense")
    assert refused.returncode == 2
    assert "nonsense" in refused.stderr
