"""bqemulator on free ports of this machine, in front of it the proxy, and a dataset a test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.config.settings import PROJECT_ROOT, BigQueryPlace
from include.warehouse.base import Caller
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_jobs import Jobs, client_of
from tests.bigquery.proxy import Proxy, proxied

EMULATOR = Path(os.environ.get("PLUMBLINE_EMULATOR", PROJECT_ROOT / ".venv" / "bqemulator")) / "bin" / "python"
# Inlined functions nest deeper than its parser may go by default.
START = "import sys; sys.setrecursionlimit(20_000); from bqemulator.cli import main; main()"
GOOGLE_PROJECT = "plumbline-test"


def start_emulator(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The process, leader of a group of its own, and its port, once it answers."""
    if not EMULATOR.exists():
        pytest.skip("the BigQuery emulator is not installed: make emulator")
    rest, grpc = _free_port(), _free_port()
    command = [
        str(EMULATOR),
        "-c",
        START,
        "start",
        "--rest-port",
        str(rest),
        "--grpc-port",
        str(grpc),
        "--project",
        GOOGLE_PROJECT,
    ]
    with (folder / "emulator.log").open("wb") as said:
        process = subprocess.Popen(
            [*command, "--log-level", "error"], cwd=folder, stdout=said, stderr=said, start_new_session=True
        )
    for _ in range(600):
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", rest)) == 0:
                return process, rest
        time.sleep(0.1)
    stop(process)
    raise RuntimeError(f"the emulator did not start: {(folder / 'emulator.log').read_text()[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    process, port = start_emulator(tmp_path_factory.mktemp("bqemulator"))
    try:
        with proxied(port) as between:
            yield between
    finally:
        stop(process)


@pytest.fixture
def place(proxy: Proxy) -> Iterator[BigQueryPlace]:
    """An empty dataset."""
    where = BigQueryPlace(
        project=GOOGLE_PROJECT,
        dataset=f"d{uuid.uuid4().hex[:12]}",
        location="US",
        max_gigabytes=1.0,
        api_endpoint=proxy.url,
        retry_seconds=20.0,
    )
    proxy.fault = None
    client_of(where).create_dataset(where.dataset)
    proxy.requests.clear()
    yield where
    proxy.fault, proxy.running = None, False


@pytest.fixture
def opened(place: BigQueryPlace) -> Callable[..., BigQueryWarehouse]:
    """Opens the dataset, as a new process would."""

    def open_as(
        attempt: str = "run 1", *, patience_seconds: float | None = None, **changes: object
    ) -> BigQueryWarehouse:
        caller = Caller("sample_for_review", "scan_scores", "2026-11-01", attempt, patience_seconds)
        return BigQueryWarehouse(Jobs(place.model_copy(update=changes), caller))

    return open_as
