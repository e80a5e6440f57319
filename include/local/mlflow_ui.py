"""MLflow's own page over the embedded store, which otherwise needs no server: on this machine, with a login."""

from __future__ import annotations

import base64
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path

from include.config.settings import MlflowPlace
from include.files import write_whole
from include.local.environment import passwords
from include.local.processes import HOST, Server, free_port, started

FIRST_PORT = 5000
START_SECONDS = 180
USER = "admin"
"""Who may log in, with the password that this user has in Airflow."""


def start(home: Path, place: MlflowPlace, log: Path) -> Server:
    """MLflow's server over the embedded store, whose logins and log are kept in `home`; it answers once this returns.

    Raises:
        ValueError: `place` is no embedded store.
        RuntimeError: as `started`.
    """
    if place.database is None or place.artifact_folder is None:
        raise ValueError(f"{place.tracking_uri} is no embedded store")
    port = free_port(FIRST_PORT)
    command = ["--host", HOST, "--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
    command += ["--backend-store-uri", place.tracking_uri, "--artifacts-destination", str(place.artifact_folder)]
    return started(
        [sys.executable, "-m", "mlflow", "server", *command],
        name="MLflow's page",
        port=port,
        folder=home,
        environment={
            "MLFLOW_AUTH_CONFIG_PATH": str(_logins(home)),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        log=log,
        ready=_answers,
        seconds=START_SECONDS,
    )


def _logins(home: Path) -> Path:
    """MLflow's file of who may log in; readable by its owner only, as the accounts are that it makes of it."""
    file, accounts = home / "mlflow_auth.ini", home / "mlflow_auth.db"
    lines = [
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = sqlite:///{accounts}",
        f"admin_username = {USER}",
        f"admin_password = {passwords(home)[USER]}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
    ]
    file.touch(mode=0o600)
    write_whole(file, ("\n".join(lines) + "\n").encode())
    file.chmod(0o600)
    return file


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
