"""PostgreSQL for Airflow's metadata, on this machine only: a server of this installation's own, with a password.

PostgreSQL does not run as root. Where root starts it, it runs as the user that its system package made.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from include.local.processes import HOST, Server, free_port, recorded, started, stop
from include.local.secret_files import kept

FIRST_PORT = 5432
START_SECONDS = 120
STATE = "postgres.json"
"""The file beside the server's folder that names its process."""
ROLE = "airflow"
SYSTEM_USER = "postgres"
"""The operating system's user, made by the package, that it runs as where root starts it."""


class NoPostgres(RuntimeError):
    """PostgreSQL is not installed, or cannot run here."""


def programs() -> Path:
    """The folder of PostgreSQL's programs: of those on PATH, else of the newest that Debian's packages installed.

    Raises NoPostgres.
    """
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not installed:
        raise NoPostgres("PostgreSQL is not installed: `make postgres` does it on Debian, as root")
    return installed[-1].parent


def start(home: Path, log: Path) -> Server:
    """Starts the server whose data are in `home`/postgres, which is made on first use; it answers once this returns.

    Raises:
        NoPostgres: it is not installed, or we are root and its own user cannot get to `home`.
        RuntimeError: as `started`.
    """
    folder, bin_folder = home / "postgres", programs()
    password = _own_folder(folder)
    data = folder / "data"
    if not data.exists():
        _initialise(bin_folder, folder, data, password)
    port = free_port(FIRST_PORT)
    return started(
        [str(bin_folder / "postgres"), "-D", str(data), "-h", HOST, "-p", str(port), "-k", ""],
        name="PostgreSQL",
        port=port,
        folder=data,
        environment={},
        log=log,
        ready=lambda server: _answers(bin_folder, server),
        seconds=START_SECONDS,
        run_as=_runs_as(),
    )


def running(home: Path) -> Server | None:
    """The server of `home`, if it was recorded and runs."""
    return recorded(home / STATE)


def end(server: Server) -> None:
    """Stops the server in order, but at once: who is still connected is cut off, and what they began rolled back."""
    stop(server, signal.SIGINT)


def address(home: Path, server: Server) -> str:
    """Where Airflow's metadata are, with the password, as SQLAlchemy reads it."""
    password = (home / "postgres" / "password").read_text()
    return f"postgresql+psycopg2://{ROLE}:{password}@{HOST}:{server.port}/postgres"


def _own_folder(folder: Path) -> Path:
    """Makes the folder with the password file, both for the eyes of the server's user alone; the password file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = folder / "password"
    kept(password, secrets.token_urlsafe(32).encode())
    if (user := _runs_as()) is not None:
        for path in (folder, password):
            shutil.chown(path, user, user)
        folder.parent.chmod(0o711)  # its user passes through, and can list or read nothing there
        if subprocess.run(["/usr/bin/test", "-r", str(password)], **_as(user), check=False).returncode:
            raise NoPostgres(f"the user {user} cannot get to {folder}: a folder above it is closed to others")
    return password


def _initialise(bin_folder: Path, folder: Path, data: Path, password: Path) -> None:
    new = folder / "new"  # what a kill left there is no database
    shutil.rmtree(new, ignore_errors=True)
    command = [str(bin_folder / "initdb"), "-D", str(new), "-U", ROLE, f"--pwfile={password}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
    done = subprocess.run(command, cwd="/", **_as(_runs_as()), capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr[-1000:]}")
    new.rename(data)


def _runs_as() -> str | None:
    """The system's user that the server runs as; None: as who starts it."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def _as(user: str | None) -> dict[str, Any]:
    """What has subprocess run a command as `user`."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _answers(bin_folder: Path, server: Server) -> bool:
    command = [str(bin_folder / "pg_isready"), "-q", "-h", HOST, "-p", str(server.port)]
    return subprocess.run(command, check=False).returncode == 0
