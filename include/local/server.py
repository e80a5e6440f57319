"""`make up` and `make down`: Airflow and MLflow on this machine only, stopped with their whole process groups.

With DATABASE=postgres Airflow's metadata are in a PostgreSQL server, which starts and stops with them.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from include.config.declared import declared_settings
from include.config.settings import MLFLOW_CONNECTION_ID, PROJECT_ROOT
from include.local import mlflow_ui, postgres
from include.local.console import quiet
from include.local.environment import AIRFLOW_HOME, airflow_environment, enter_airflow, passwords
from include.local.processes import HOST, Server, free_port, record, recorded, started, stop
from include.retraining.tracking import shown

FIRST_PORT = 8080
START_SECONDS = 240


def start(home: Path, log: Path, extra: Mapping[str, str] | None = None) -> Server:
    """Starts Airflow with its metadata in `home`, which must be migrated, and waits until it is healthy.

    Raises RuntimeError, as `started`.
    """
    port = free_port(FIRST_PORT)
    passwords(home)  # before Airflow would make and log some
    return started(
        [sys.executable, "-m", "include.local.components", f"http://{HOST}:{port}"],
        name="Airflow",
        port=port,
        folder=PROJECT_ROOT,
        environment={
            **airflow_environment(home),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
            **(extra or {}),
        },
        log=log,
        ready=healthy,
        seconds=START_SECONDS,
    )


def healthy(server: Server) -> bool:
    """Whether the API answers and the scheduler's heartbeat is fresh."""
    try:
        with urllib.request.urlopen(f"{server.url}/api/v2/monitor/health", timeout=5) as response:  # noqa: S310
            health = json.load(response)
    except (urllib.error.URLError, TimeoutError, ConnectionError, json.JSONDecodeError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


STATES = {"PostgreSQL": postgres.STATE, "Airflow": "server.json", "MLflow": "mlflow.json"}
"""Of each server the file in AIRFLOW_HOME that names its process, in the order in which they start."""
DATABASES = ("sqlite", "postgres")


def main() -> None:
    running = {name: server for name, file in STATES.items() if (server := recorded(AIRFLOW_HOME / file)) is not None}
    command, *more = sys.argv[1:]
    if command == "down":
        _down(running)
        return
    database = more[0] if more else _database(running)
    if database not in DATABASES:
        sys.exit(f"DATABASE={database} is unknown; there are {' and '.join(DATABASES)}")
    if "Airflow" in running and database != _database(running):
        sys.exit(f"Airflow is running on {_database(running)}; `make down` first")
    parts = {"PostgreSQL": _postgres, "Airflow": _airflow, "MLflow": _mlflow}
    if database == "sqlite":
        del parts["PostgreSQL"]
    for name, made in parts.items():
        if name not in running and (started := made()) is not None:
            running[name] = started
            record(started, AIRFLOW_HOME / STATES[name])
    print(f"Airflow UI: {running['Airflow'].url}")
    for user, password in passwords(AIRFLOW_HOME).items():
        print(f"   user: {user:<9} password: {password}")
    print("`approver` answers what `admin` asks for. `make down` stops it.")
    place = declared_settings().mlflow
    if "MLflow" in running:
        print(f"MLflow UI:  {running['MLflow'].url}, for `{mlflow_ui.USER}` with the same password")
    elif place.database is None:
        print(f"MLflow:     {shown(place.tracking_uri)}, as the connection {MLFLOW_CONNECTION_ID} says")


def _down(running: Mapping[str, Server]) -> None:
    for name, server in reversed(list(running.items())):
        (postgres.end if name == "PostgreSQL" else stop)(server)
        (AIRFLOW_HOME / STATES[name]).unlink()
        print(f"{name} stopped.")
    if not running:
        print("Airflow is not running.")


def _database(running: Mapping[str, Server]) -> str:
    return "postgres" if "PostgreSQL" in running else "sqlite"


def _postgres() -> Server:
    print("Starting PostgreSQL ...", flush=True)
    return postgres.start(AIRFLOW_HOME, AIRFLOW_HOME / "postgres.log")


def _airflow() -> Server:
    print("Starting Airflow ...", flush=True)
    log = AIRFLOW_HOME / "airflow.log"
    with quiet(log):
        enter_airflow()
        from include.local.metadata import apply_settings, migrate

        migrate()
        apply_settings()
    return start(AIRFLOW_HOME, log)


def _mlflow() -> Server | None:
    """MLflow's page; None: it is a server of its own, nothing was stored yet, or it does not start."""
    place = declared_settings().mlflow
    if place.database is None or not place.database.exists():
        return None
    try:
        return mlflow_ui.start(AIRFLOW_HOME, place, AIRFLOW_HOME / "mlflow.log")
    except RuntimeError as error:
        print(f"Airflow runs without MLflow's page. {error}")
        return None


if __name__ == "__main__":
    main()
