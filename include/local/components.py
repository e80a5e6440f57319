"""Airflow's processes on one machine, as children of this one, which leads their process group.

`airflow standalone` would do, but its scheduler and triggerer serve task logs on all network interfaces, and its
scheduler starts tasks before the API server answers them. The triggerer wakes tasks that wait for BigQuery.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

_API = ("airflow", "api-server")
_OTHERS = (
    ("include.local.scheduler", "scheduler", "--skip-serve-logs"),
    ("airflow", "dag-processor"),
    ("airflow", "triggerer", "--skip-serve-logs"),
)


def main() -> None:
    """Runs until one of the processes ends, then ends the others."""
    url = sys.argv[1]
    processes = [_start(_API)]
    while not _answers(url) and processes[0].poll() is None:
        time.sleep(0.5)
    processes += [_start(arguments) for arguments in _OTHERS]
    while all(process.poll() is None for process in processes):
        time.sleep(1)
    print("An Airflow process ended; ending the others", flush=True)
    os.killpg(0, signal.SIGTERM)


def _start(module: tuple[str, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *module])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5):  # noqa: S310
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


if __name__ == "__main__":
    main()
