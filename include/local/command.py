"""`make airflow ARGS="..."`: Airflow's command line in the environment of the local installation.

The metadata database is made if there is none; it is the one of `make up DATABASE=postgres` while that runs. That of an
older Airflow is left alone: `make up` upgrades it.
"""

from __future__ import annotations

import subprocess
import sys

from include.local.console import quiet
from include.local.environment import AIRFLOW_HOME, enter_airflow
from include.local.postgres import running


def main() -> None:
    new = running(AIRFLOW_HOME) is None and not (AIRFLOW_HOME / "airflow.db").exists()
    enter_airflow()
    if new:
        from include.local.metadata import apply_settings, migrate

        with quiet(AIRFLOW_HOME / "airflow.log"):
            migrate()
            apply_settings()
    sys.exit(subprocess.run([sys.executable, "-m", "airflow", *sys.argv[1:]], check=False).returncode)


if __name__ == "__main__":
    main()
