"""`make up` and `make down`: Airflow on this machine only, stopped with its whole process group."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from include.config.settings import PROJECT_ROOT
from include.files import write_whole
from include.local.console import quiet
from include.local.environment import AIRFLOW_HOME, OWNER_ONLY, airflow_environment, enter_airflow, passwords

HOST = "127.0.0.1"
FIRST_PORT = 8080
START_SECONDS = 240
STOP_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A running Airflow: its first process, which leads its group, and where it listens."""

    pid: int
    created: float
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def alive(self) -> bool:
        """Whether that very process still runs; a number taken by another process does not count."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def healthy(self) -> bool:
        """Whether the API answers and the scheduler's heartbeat is fresh."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as response:  # noqa: S310
                health = json.load(response)
        except (urllib.error.URLError, TimeoutError, ConnectionError, json.JSONDecodeError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def start(home: Path, log: Path, extra: Mapping[str, str] | None = None) -> Server:
    """Starts Airflow with its metadata in `home`, which must be migrated, and waits until it is healthy.

    Raises RuntimeError, with the end of `log`, if it ends or is not healthy in time; nothing is left running then.
    """
    port = _free_port()
    passwords(home)  # before Airflow would make and log some
    environment = {
        **os.environ,
        **airflow_environment(home),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        **(extra or {}),
    }
    with log.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        process = subprocess.Popen(
            [sys.executable, "-m", "include.local.components", f"http://{HOST}:{port}"],
            cwd=PROJECT_ROOT,
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
        if server.healthy():
            return server
        time.sleep(1)
    stop(server)
    tail = log.read_text(errors="replace")[-3000:]
    raise RuntimeError(f"Airflow did not become healthy within {START_SECONDS} s. The end of {log}:\n{tail}")


def stop(server: Server) -> None:
    """Ends the server's whole process group: asks first, then kills. Nothing happens if it is gone."""
    members = [p for p in psutil.process_iter() if _group(p.pid) == server.pid]
    if not members:
        return
    os.killpg(server.pid, signal.SIGTERM)
    _, remaining = psutil.wait_procs(members, timeout=STOP_SECONDS)
    for process in remaining:
        process.kill()
    psutil.wait_procs(remaining, timeout=STOP_SECONDS)


def main() -> None:
    state = AIRFLOW_HOME / "server.json"
    running = _running(state)
    if sys.argv[1:] == ["down"]:
        if running is None:
            print("Airflow is not running.")
            return
        stop(running)
        state.unlink()
        print("Airflow stopped.")
        return
    if running is None:
        print("Starting Airflow ...", flush=True)
        running = _prepared_server()
        write_whole(state, json.dumps(asdict(running)).encode())
    print(f"Airflow UI: {running.url}")
    for user, password in passwords(AIRFLOW_HOME).items():
        print(f"   user: {user:<9} password: {password}")
    print("`approver` answers what `admin` asks for. `make down` stops it.")


def _prepared_server() -> Server:
    log = AIRFLOW_HOME / "airflow.log"
    with quiet(log):
        enter_airflow()
        from include.local.metadata import apply_settings, migrate

        migrate()
        apply_settings()
    return start(AIRFLOW_HOME, log)


def _running(state: Path) -> Server | None:
    if not state.exists():
        return None
    server = Server(**json.loads(state.read_text()))
    return server if server.alive() else None


def _free_port() -> int:
    """The usual port if it is free, else any."""
    for port in (FIRST_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port on the loopback interface")


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


if __name__ == "__main__":
    main()
