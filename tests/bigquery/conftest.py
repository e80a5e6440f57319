"""bqemulator on ports that it chooses among the free ones, in front of it the proxy, and a dataset a test."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.config.settings import PROJECT_ROOT, BigQueryPlace
from include.warehouse.base import Caller
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_client import client_of
from include.warehouse.bigquery_jobs import Jobs
from tests.bigquery.proxy import Proxy, proxied
from tests.untested import untested
from tests.waiting import HANG, wait_for

EMULATOR = Path(os.environ.get("PLUMBLINE_EMULATOR", PROJECT_ROOT / ".venv" / "bqemulator")) / "bin" / "python"
# Inlined functions nest deeper than its parser may go by default.
START = "import sys; sys.setrecursionlimit(20_000); from bqemulator.cli import main; main()"
GOOGLE_PROJECT = "plumbline-test"


def start_emulator(folder: Path) -> tuple[subprocess.Popen[bytes], int, int]:
    """The process, leader of a group of its own, and its ports for REST and gRPC, once it answers."""
    if not EMULATOR.exists():
        untested("the BigQuery engine", "its emulator is not installed; `make emulator` installs it")
    log = folder / "emulator.log"
    options = ("--rest-port=0", "--grpc-port=0", f"--project={GOOGLE_PROJECT}", "--log-level=info", "--log-format=json")
    with log.open("wb") as file:
        command = [str(EMULATOR), "-c", START, "start", *options]
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, start_new_session=True)

    def ports() -> tuple[int, int] | None:
        said = log.read_text(errors="replace")
        if process.poll() is not None:
            raise RuntimeError(f"the emulator did not start: {said[-2000:]}")
        found = [re.search(rf'^.*"{kind}\.listen".*$', said, flags=re.MULTILINE) for kind in ("rest", "grpc")]
        rest, rpc = [int(json.loads(line[0])["port"]) if line else 0 for line in found]
        return (rest, rpc) if rest and rpc else None

    try:
        return process, *wait_for(ports, "the emulator listens")
    except BaseException:
        stop(process)
        raise


def stop(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    process, rest, rpc = start_emulator(tmp_path_factory.mktemp("bqemulator"))
    try:
        with proxied(rest, rpc) as between:
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
        storage_endpoint=proxy.storage,
        retry_seconds=HANG,
    )
    proxy.fault = None
    proxy.google.reset()
    client_of(where).create_dataset(where.dataset)
    proxy.requests.clear()
    yield where
    proxy.fault = None
    proxy.google.reset()


@pytest.fixture
def opened(place: BigQueryPlace) -> Callable[..., BigQueryWarehouse]:
    """Opens the dataset, as a new process would."""

    def open_as(
        attempt: str = "run 1", *, patience_seconds: float | None = None, **changes: object
    ) -> BigQueryWarehouse:
        caller = Caller("sample_for_review", "scan_scores", "2026-11-01", attempt, patience_seconds)
        return BigQueryWarehouse(Jobs(place.model_copy(update=changes), caller))

    return open_as
