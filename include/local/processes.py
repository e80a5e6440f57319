"""Servers on this machine: where they listen, whether they still run, and how they end with all their children."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass

import psutil

HOST = "127.0.0.1"
STOP_SECONDS = 30


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
