"""Airflow on one machine: the environment it runs in. No Airflow import here: the environment comes first."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import sys
from pathlib import Path

from include.config.settings import PROJECT_ROOT, home

AIRFLOW_HOME = home() / ".airflow"

USERS = {"admin": "admin", "approver": "user"}
"""Logins and their roles. Two, for nobody approves what they asked for themselves."""


def airflow_environment(home: Path = AIRFLOW_HOME) -> dict[str, str]:
    """Environment variables for a plain local Airflow: SQLite, LocalExecutor, this project's Dags and plugins.

    Its secrets are made on first use and kept in `home`, readable by their owner only.
    """
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__FERNET_KEY": _secret(home / "fernet_key", 32),
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(home / "jwt_secret", 64),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONPATH": str(PROJECT_ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "NO_PROXY": "*",
    }


def enter_airflow(home: Path = AIRFLOW_HOME) -> None:
    """Puts this process into that environment. To be called before anything imports airflow.

    Raises RuntimeError if airflow was imported already: it would have read another configuration.
    """
    if "airflow" in sys.modules:
        raise RuntimeError("airflow is imported already; enter_airflow() must come first")
    os.environ.update(airflow_environment(home))


def _secret(path: Path, n_bytes: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.suppress(FileExistsError),
        open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file,
    ):
        file.write(base64.urlsafe_b64encode(secrets.token_bytes(n_bytes)))
    return path.read_text()
