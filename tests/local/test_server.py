"""`make up` and `make down` without Airflow: whose process it is, that its whole group ends, and secret files."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from include.config.settings import PROJECT_ROOT
from include.local import processes
from include.local.components import LIVES, Component
from include.local.console import quiet
from include.local.environment import PASSWORDS, USERS, airflow_environment, passwords
from include.local.processes import HOST, Server, free_port, stop
from include.local.server import healthy
from tests.waiting import wait_for

FAMILY = """
import subprocess, sys, time
stubborn = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(3600)"
)
children = [subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) for _ in range(2)]
for child in children:
    child.stdout.readline()
print(*(child.pid for child in children), flush=True)
time.sleep(3600)
"""


@pytest.fixture
def family() -> Iterator[tuple[Server, list[psutil.Process]]]:
    """A leader of a process group of its own, and two children that ignore SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    yield Server(process.pid, psutil.Process(process.pid).create_time(), 8080), children
    for child in children:
        if child.is_running():
            child.kill()
    process.kill()
    process.wait()
    process.stdout.close()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_stop_ends_the_whole_group_and_no_one_else(
    family: tuple[Server, list[psutil.Process]], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, children = family
    monkeypatch.setattr(processes, "STOP_SECONDS", 1)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    try:
        assert running.alive()
        assert all(os.getpgid(child.pid) == running.pid for child in children)
        stop(running)
        wait_for(lambda: not running.alive() and all(gone(child) for child in children), "the group is gone")
        assert bystander.poll() is None
        stop(running)
    finally:
        bystander.kill()
        bystander.wait()


def test_children_are_ended_when_their_leader_is_dead_already(
    family: tuple[Server, list[psutil.Process]], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, children = family
    monkeypatch.setattr(processes, "STOP_SECONDS", 1)
    os.kill(running.pid, signal.SIGKILL)
    assert not any(gone(child) for child in children)
    stop(running)
    wait_for(lambda: all(gone(child) for child in children), "the children are gone")


def test_alive_means_that_very_process(family: tuple[Server, list[psutil.Process]]) -> None:
    running, _ = family
    assert running.alive()
    assert not replace(running, created=running.created - 100).alive()
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not running.alive(), "the killed process is gone")


def down(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "include.local.server", "down"],
        env={**os.environ, "PLUMBLINE_HOME": str(home)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_down_is_harmless_where_nothing_runs(home: Path, family: tuple[Server, list[psutil.Process]]) -> None:
    assert down(home).stdout == "Airflow is not running.\n"
    running, children = family
    state = home / ".airflow" / "server.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"pid": running.pid, "created": running.created - 100, "port": 8080}))
    done = down(home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Airflow is not running.\n", "")
    assert running.alive()
    assert not any(gone(child) for child in children)


def test_a_port_taken_by_another_is_passed_over() -> None:
    with closing(socket.socket()) as other:
        other.bind((HOST, 0))
        taken = other.getsockname()[1]
        assert free_port(taken) not in (0, taken)
    assert HOST == "127.0.0.1"


def test_nothing_answering_is_not_healthy() -> None:
    with closing(socket.socket()) as other:
        other.bind((HOST, 0))  # bound, so that nobody else listens there, and not listening
        assert not healthy(Server(1, 0.0, other.getsockname()[1]))


def test_secrets_are_made_once_and_read_by_their_owner_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        first, logins = airflow_environment(tmp_path / "a"), passwords(tmp_path / "a")
    finally:
        os.umask(previous)
    files = sorted((tmp_path / "a").iterdir())
    assert [file.name for file in files] == ["fernet_key", "jwt_secret", PASSWORDS]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert passwords(tmp_path / "a") == logins
    assert len(set(logins.values())) == len(USERS) == len(logins)
    assert airflow_environment(tmp_path / "a") == first
    other = airflow_environment(tmp_path / "b")
    secrets = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")
    assert len({environment[name] for environment in (first, other) for name in secrets}) == 4
    assert len(first["AIRFLOW__CORE__FERNET_KEY"]) == 44


def test_a_log_is_its_owners_to_read_even_if_others_could_before(tmp_path: Path) -> None:
    log = tmp_path / "airflow.log"
    before = os.umask(0o022)
    try:
        log.touch()
        with quiet(log):
            os.write(1, b"whatever a library says")
    finally:
        os.umask(before)
    assert "whatever a library says" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_part_that_ends_is_started_again_until_it_only_ends() -> None:
    lasting = Component(("http.server", "0", "--bind", HOST))
    try:
        first = lasting.process
        assert lasting.runs()
        assert lasting.process is first
        first.kill()
        first.wait()
        assert lasting.runs()
        assert lasting.process.poll() is None
    finally:
        lasting.process.kill()
        lasting.process.wait()

    broken = Component(("compileall", "--no-such-option"))
    started = set()

    def given_up() -> bool:
        started.add(broken.process.pid)
        return not broken.runs()

    wait_for(given_up, "it is given up")
    assert len(started) == LIVES
