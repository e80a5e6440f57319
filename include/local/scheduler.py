"""Airflow's scheduler, which has imported what the project's tasks import.

Its tasks are forks of it, so that they begin at once, where each would import for seconds. Only libraries: the
project's own modules are imported by every task anew, as its files are then.
"""

from __future__ import annotations

from importlib import import_module

LIBRARIES = (
    "duckdb",
    "great_expectations",
    "great_expectations.render.renderer.page_renderer",
    "great_expectations.render.view",
    "jinja2",
    "mlflow",
    "pandas",
    "pyarrow.compute",
    "pyarrow.parquet",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "sqlglot.optimizer.scope",
)


def main() -> None:
    """Runs until it is ended, with the arguments of Airflow's command line."""
    for name in LIBRARIES:
        import_module(name)
    from airflow.__main__ import main as airflow

    airflow()


if __name__ == "__main__":
    main()
