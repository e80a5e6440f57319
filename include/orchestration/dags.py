"""What the Dag files share: run settings, the day, the project, and how a failed gate ends a task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import CronPartitionTimetable, Param, get_current_context, task
from airflow.sdk.bases.decorator import task_decorator_factory

if TYPE_CHECKING:
    from include.project import Project
    from include.warehouse.base import Caller

log = logging.getLogger(__name__)

DAILY_TIMETABLE = CronPartitionTimetable("0 2 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
"""At 02:00 UTC, for the day before."""

COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"owner": "trust-and-safety-data", "retries": 0},
    "params": {
        "run_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description_md="The day to work on. Leave empty: the run's own partition.",
        )
    },
}

STORAGE: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
}
"""For tasks whose likely failure is storage. A task that only computes or judges fails at once."""

DAILY_RUN_TYPES: Any = ["scheduled", "backfill", "asset_triggered"]
"""No manual runs: the trigger form would let the day be forgotten. Managers have forms of their own."""

PUSHED_RUN_TYPES: Any = ["asset_triggered"]
"""A run without the asset events that triggered it would have nothing to do."""


@task
def resolve_day() -> str:
    """The day of this run, YYYY-MM-DD."""
    from include.orchestration.day import run_day

    return run_day(get_current_context()).isoformat()


PATIENCE = timedelta(seconds=30)
"""How long a query of a remote warehouse may hold a worker ..."""

RETURN = timedelta(seconds=30)
"""... and how long the task then waits without one before it looks again."""


class _StepOperator(_PythonDecoratedOperator):
    """A task function that a deferral takes up from its beginning, as a retry would."""

    def take_up(self, context: Any, event: object = None) -> Any:  # noqa: ARG002
        return self.execute(context)


def step(package: str, name: str, *, task_id: str | None = None, **options: Any) -> Callable[..., Any]:
    """A task that calls include.<package>.stage.<name>(project, day, *more) and returns what it returns.

    While BigQuery is at work on one of its queries, the task is deferred: it holds no worker.
    """

    def run(day: str, *more: Any) -> Any:
        function = getattr(import_module(f"include.{package}.stage"), name)
        with stage(day) as (project, ds):
            return function(project, ds, *more)

    return task_decorator_factory(
        run, decorated_operator_class=_StepOperator, task_id=task_id or name, multiple_outputs=None, **options
    )


def _caller(day: str) -> Caller:
    """This task: clearing a run raises its clear_number, a retry does not."""
    from include.warehouse.base import Caller

    context = get_current_context()
    run = context["dag_run"]
    attempt = f"{run.dag_id} {run.run_id} {run.clear_number}"
    return Caller(run.dag_id, context["ti"].task_id, day, attempt, PATIENCE.total_seconds())


@contextmanager
def stage(day: str) -> Iterator[tuple[Project, date]]:
    """The project and the day; fails as `opened` does."""
    with opened(day) as project:
        yield project, date.fromisoformat(day)


@contextmanager
def opened(day: str = "") -> Iterator[Project]:
    """The project, for work on `day` if it has one.

    What a rerun cannot heal, a failed gate or a tampered ledger, fails without retries. A task that waits for BigQuery
    is deferred.
    """
    import json

    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import Connection, Variable
    from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

    from include.config.load import ConfigError
    from include.config.settings import CONNECTION_ID, VARIABLES, settings_from
    from include.ledger.chain import LedgerError
    from include.project import open_project
    from include.quality.gate import GateFailed
    from include.warehouse.base import MissingPartition, StillRunning, UnreadablePartition, WarehouseRefused

    try:
        extra = json.loads(Connection.get(CONNECTION_ID).extra or "{}")
        variables = {name: Variable.get(name, default="") for name in VARIABLES}
        yield open_project(settings_from(extra, variables), _caller(day))
    except (GateFailed, ConfigError, LedgerError, MissingPartition, UnreadablePartition, WarehouseRefused) as error:
        raise AirflowFailException(str(error)) from error
    except StillRunning as error:
        log.info("%s; looking again in %d s", error, RETURN.total_seconds())
        raise TaskDeferred(trigger=TimeDeltaTrigger(RETURN), method_name=_StepOperator.take_up.__name__) from error


def approval_settings() -> dict[str, Any]:
    """Who may answer and for how long, for a human-in-the-loop task. A wrong configuration is a Dag import error."""
    from include.config.load import load_config
    from include.config.settings import config_path

    approval = load_config(config_path()).approval
    return {
        "response_timeout": timedelta(hours=approval.timeout_hours),
        "assigned_users": [{"id": name, "name": name} for name in approval.assigned_users] or None,
    }
