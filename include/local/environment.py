"""Airflow on one machine: the environment it runs in. No Airflow import here: the environment comes first."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path

from include.config.settings import PROJECT_ROOT, home
from include.local.postgres import address, running
from include.local.secret_files import OWNER_ONLY, kept

AIRFLOW_HOME = home() / ".airflow"

USERS = {"admin": "admin", "approver": "user"}
"""Logins and their roles. Two, for nobody approves what they asked for themselves."""

PASSWORDS = "simple_auth_manager_passwords.json.generated"
"""The file in AIRFLOW_HOME that Airflow's simple auth manager reads passwords from, and would write and log itself."""


def airflow_environment(home: Path = AIRFLOW_HOME) -> dict[str, str]:
    """Environment variables for a plain local Airflow: LocalExecutor, this project's Dags and plugins, and its metadata
    in the PostgreSQL server of `home` while that runs, else in SQLite.

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
        # By default a worker gives up on the server, and SQLite on another writer, after 5 s: too soon on a busy one.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _metadata(home),
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        "MPLCONFIGDIR": str(home / "matplotlib"),
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
    os.umask(OWNER_ONLY)
    os.environ.update(airflow_environment(home))


def passwords(home: Path) -> dict[str, str]:
    """Each user's password, made on first use and kept in `home`, readable by its owner only.

    Made here so that Airflow, which finds them there, does not print them into its log.
    """
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(home.stat().st_mode & 0o711)
    drawn = {name: secrets.token_urlsafe(12) for name in USERS}
    found: dict[str, str] = json.loads(kept(home / PASSWORDS, json.dumps(drawn).encode()))
    return {name: found[name] for name in USERS}


def _metadata(home: Path) -> str:
    server = running(home)
    return f"sqlite:///{home}/airflow.db?timeout=60" if server is None else address(home, server)


def _secret(path: Path, n_bytes: int) -> str:
    return kept(path, base64.urlsafe_b64encode(secrets.token_bytes(n_bytes)))
