"""Airflow's processes on one machine, as children of this one, which leads their process group.

`airflow standalone` would do, but its scheduler and triggerer serve task logs on all network interfaces, and its
scheduler starts tasks before the API server answers them. The triggerer wakes tasks that wait for BigQuery.

An Airflow process ends when its database is away for a moment. It is started again, as a container would be.
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
LIVES = 5
"""How often in a row a process may end soon after its start before it is given up, and all others with it."""
SOON_SECONDS = 120
PAUSE_SECONDS = 1.0


class Component:
    """A process that is started again when it ends. `module`: what Python runs, with its arguments."""

    def __init__(self, module: tuple[str, ...]) -> None:
        self._module, self._short_lives = module, 0
        self._start()

    def _start(self) -> None:
        self.process, self._started = subprocess.Popen([sys.executable, "-m", *self._module]), time.monotonic()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def runs(self) -> bool:
        """Whether it runs, now that it was started again where it had ended. False: it was given up."""
        if not self.ended():
            return True
        self._short_lives = self._short_lives + 1 if time.monotonic() - self._started < SOON_SECONDS else 1
        if self._short_lives >= LIVES:
            print(f"{self._module[1]} ended {LIVES} times in a row; ending the others", flush=True)
            return False
        print(f"{self._module[1]} ended; starting it again", flush=True)
        self._start()
        return True


def main() -> None:
    """Runs until one of the processes is given up, then ends the others."""
    url = sys.argv[1]
    api = Component(_API)
    while not _answers(url):
        if api.ended():
            sys.exit("Airflow's API server ended before it answered")
        time.sleep(PAUSE_SECONDS)
    components = [api, *(Component(module) for module in _OTHERS)]
    while all(component.runs() for component in components):
        time.sleep(PAUSE_SECONDS)
    os.killpg(0, signal.SIGTERM)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5):  # noqa: S310
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


if __name__ == "__main__":
    main()
