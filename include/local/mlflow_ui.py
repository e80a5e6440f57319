"""MLflow's own page over the embedded store, which otherwise needs no server: on this machine, with a login."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from include.config.settings import MlflowPlace
from include.files import write_whole
from include.local.environment import OWNER_ONLY, passwords
from include.local.processes import HOST, Server, free_port, stop

FIRST_PORT = 5000
START_SECONDS = 180
USER = "admin"
"""Who may log in, with the password that this user has in Airflow."""


def start(home: Path, place: MlflowPlace, log: Path) -> Server:
    """MLflow's server over the embedded store, whose logins and log are kept in `home`; it answers once this returns.

    Raises:
        ValueError: `place` is no embedded store.
        RuntimeError: with the end of `log`, if it ends or does not answer in time; nothing is left running then.
    """
    if place.database is None or place.artifact_folder is None:
        raise ValueError(f"{place.tracking_uri} is no embedded store")
    port = free_port(FIRST_PORT)
    environment = {
        **os.environ,
        "MLFLOW_AUTH_CONFIG_PATH": str(_logins(home)),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = ["--host", HOST, "--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
    command += ["--backend-store-uri", place.tracking_uri, "--artifacts-destination", str(place.artifact_folder)]
    with log.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *command],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=OWNER_ONLY,
        )
    server = Server(process.pid, psutil.Process(process.pid).create_time(), port)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(server.url):
            return server
        time.sleep(0.5)
    stop(server)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"MLflow's page did not answer within {START_SECONDS} s. The end of {log}:\n{tail}")


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


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
