"""`make up DATABASE=postgres` without Airflow: who is let in, whose its files are, and how it starts and ends."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from include.local import postgres
from include.local.environment import airflow_environment
from include.local.processes import HOST, Server, record
from tests.untested import untested
from tests.waiting import wait_for


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the server's own user can get to, where root runs the tests. The usual port is left to others."""
    monkeypatch.setattr(postgres, "FIRST_PORT", 0)
    try:
        postgres.programs()
    except postgres.NoPostgres as error:
        untested("PostgreSQL", str(error))
    top = Path(tempfile.mkdtemp(prefix="plumbline-postgres-"))
    top.chmod(0o711)
    (top / "airflow").mkdir(mode=0o700)
    yield top / "airflow"
    shutil.rmtree(top)


def connected(home: Path, server: Server, **other: Any) -> Any:
    import psycopg2

    return psycopg2.connect(postgres.address(home, server).replace("+psycopg2", ""), **other)


def test_it_keeps_what_it_was_given_and_lets_in_nobody_without_the_password(home: Path) -> None:
    import psycopg2

    assert airflow_environment(home)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite:///")
    server = postgres.start(home, home.parent / "postgres.log")
    try:
        record(server, home / postgres.STATE)
        environment = airflow_environment(home)
        assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == postgres.address(home, server)
        process = psutil.Process(server.pid)
        assert {place.laddr.ip for place in process.net_connections() if place.status == "LISTEN"} == {HOST}
        assert process.uids().effective != 0
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            connected(home, server, password="guessed")
        with closing(connected(home, server)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept (value int)")
        unfinished = connected(home, server)
        unfinished.cursor().execute("INSERT INTO kept VALUES (1)")
    finally:
        postgres.end(server)  # though somebody is connected
    assert not server.alive()
    assert postgres.running(home) is None
    assert airflow_environment(home)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite:///")

    again = postgres.start(home, home.parent / "postgres.log")
    try:
        with closing(connected(home, again)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM kept")
            assert cursor.fetchone() == (0,)
    finally:
        postgres.end(again)


def test_its_files_are_its_users_alone_and_a_first_start_that_was_killed_is_made_anew(home: Path) -> None:
    (home / "secret").touch(mode=0o600)
    half_made = home / "postgres" / "new"
    half_made.mkdir(parents=True, mode=0o700)
    (half_made / "PG_VERSION").touch()
    server = postgres.start(home, home.parent / "postgres.log")
    try:
        folder = home / "postgres"
        assert sorted(path.name for path in folder.iterdir()) == ["data", "password"]
        for path in (folder, folder / "data", folder / "password"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert stat.S_IMODE(home.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)
        password = (folder / "password").read_text()
        assert len(password) > 40
        assert password not in (home.parent / "postgres.log").read_text()
    finally:
        postgres.end(server)


def test_a_folder_that_its_user_cannot_get_to_is_named(home: Path) -> None:
    if os.geteuid() != 0:
        untested("PostgreSQL started by root", "the tests do not run as root")
    home.parent.chmod(0o700)
    with pytest.raises(postgres.NoPostgres, match=r"cannot get to .*/airflow/postgres: a folder above it is closed"):
        postgres.start(home, home.parent / "postgres.log")


def test_it_comes_back_after_a_crash_with_what_was_committed(home: Path) -> None:
    import psycopg2

    server = postgres.start(home, home.parent / "postgres.log")
    try:
        connection = connected(home, server)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 1 AS value")
            cursor.execute("SELECT pg_backend_pid()")
            (backend,) = cursor.fetchone()
        psutil.Process(backend).kill()

        def answers() -> bool:
            try:
                with closing(connected(home, server)) as another, another.cursor() as cursor:
                    cursor.execute("SELECT value FROM kept")
                    return bool(cursor.fetchone() == (1,))
            except psycopg2.OperationalError:
                return False

        assert wait_for(answers, "it has recovered")
        assert server.alive()
    finally:
        postgres.end(server)
