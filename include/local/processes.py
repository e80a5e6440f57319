"""Servers on this machine: where they listen, whether they still run, and how they end with all their children."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from include.files import write_whole
from include.local.secret_files import OWNER_ONLY

HOST = "127.0.0.1"
STOP_SECONDS = 10
"""How long a server is asked to end before it is killed. Airflow's scheduler and API server may want half a minute."""
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Server:
    """A running server: its first process, which leads its group, and where it listens."""

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


def record(server: Server, state: Path) -> None:
    """Keeps in the file which process the server is, for `recorded`."""
    write_whole(state, json.dumps(asdict(server)).encode())


def recorded(state: Path) -> Server | None:
    """The server that the file names, if it runs."""
    if not state.exists():
        return None
    server = Server(**json.loads(state.read_text()))
    return server if server.alive() else None


def started(
    command: Sequence[str],
    *,
    name: str,
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    ready: Callable[[Server], bool],
    seconds: float,
    run_as: str | None = None,
) -> Server:
    """The server that `command` starts in `folder`, in a process group of its own, once it is `ready`.

    Args:
        name: of the server, for people.
        port: that the command has it listen on.
        environment: beside this process's own.
        log: what it prints goes there, for its owner to read.
        seconds: that it may take.
        run_as: the system's user, and group, that it runs as; None: as this process.

    Raises RuntimeError, with the end of `log`, if it ends or is not ready in time; nothing is left running then.
    """
    with log.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=OWNER_ONLY,
            user=run_as,
            group=run_as,
            extra_groups=None if run_as is None else [],
        )
    server = Server(process.pid, psutil.Process(process.pid).create_time(), port)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if ready(server):
            return server
        time.sleep(PAUSE_SECONDS)
    stop(server)
    tail = log.read_text(errors="replace")[-3000:]
    raise RuntimeError(f"{name} did not become healthy within {seconds:.0f} s. The end of {log}:\n{tail}")


def stop(server: Server, asking: signal.Signals = signal.SIGTERM) -> None:
    """Ends the server's whole process group: asks first, then kills. Nothing happens if it is gone."""
    members = [p for p in psutil.process_iter() if _group(p.pid) == server.pid]
    if not members:
        return
    os.killpg(server.pid, asking)
    _, remaining = psutil.wait_procs(members, timeout=STOP_SECONDS)
    for process in remaining:
        process.kill()
    psutil.wait_procs(remaining, timeout=STOP_SECONDS)


def free_port(usual: int) -> int:
    """The usual port if it is free, else any."""
    for port in (usual, 0):
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
