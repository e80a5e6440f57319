"""What the Dag files share: run settings, the project of a task, and how a failed gate ends it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    AssetOrTimeSchedule,
    CronPartitionTimetable,
    CronTriggerTimetable,
    Param,
    RetryDecision,
    RetryPolicy,
    TaskGroup,
)

from include.orchestration.assets import CHALLENGER
from include.orchestration.ending import ForAPerson, ended

if TYPE_CHECKING:
    from include.config.settings import MlflowPlace
    from include.project import Project
    from include.warehouse.base import Caller

log = logging.getLogger(__name__)

DAILY_TIMETABLE = CronPartitionTimetable("0 2 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
"""At 02:00 UTC, for the day before."""

LOOK_FOR_CHALLENGERS = AssetOrTimeSchedule(
    timetable=CronTriggerTimetable("0 7 * * *", timezone="UTC"), assets=CHALLENGER
)
"""Every day at 07:00 UTC, once the day's labels are in, and whenever a challenger is announced."""


EVERY_TEN_MINUTES = CronTriggerTimetable("*/10 * * * *", timezone="UTC")
EVERY_HOUR = CronTriggerTimetable("45 * * * *", timezone="UTC")


class WhenUnavailable(RetryPolicy):
    """Tries again what failed because a remote warehouse does not answer now. All else fails at once."""

    def evaluate(self, exception: BaseException, *_: object, **__: object) -> RetryDecision:
        """By the exception alone."""
        from include.warehouse.base import WarehouseUnavailable

        if isinstance(exception, WarehouseUnavailable):
            return RetryDecision.retry(reason=str(exception))
        return RetryDecision.fail(reason="no rerun alone would heal it")


COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {
        "owner": "trust-and-safety-data",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "retry_policy": WhenUnavailable(),
    },
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
    "retry_policy": None,
}
"""For tasks whose likely failure is storage: tried again whatever failed."""

WAITING: dict[str, Any] = {
    "retries": 12,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    "retry_policy": None,
}
"""For a task that needs a server of somebody else's: it waits for most of a day."""

DAILY_RUN_TYPES: Any = ["scheduled", "backfill", "asset_triggered"]
"""No manual runs: the trigger form would let the day be forgotten. Managers have forms of their own."""

PUSHED_RUN_TYPES: Any = ["asset_triggered"]
"""A run without the asset events that triggered it would have nothing to do."""


PATIENCE = timedelta(seconds=30)
"""How long a query of a remote warehouse may hold a worker; the triggerer waits for the rest."""


def group(name: str) -> TaskGroup:
    """Tasks that the graph shows as one until it is opened; their ids stay what they are."""
    return TaskGroup(name, prefix_group_id=False)


def _caller(context: Mapping[str, Any], day: str) -> Caller:
    """This task: clearing a run raises its clear_number, a retry does not."""
    from include.warehouse.base import Caller

    run = context["dag_run"]
    attempt = f"{run.dag_id} {run.run_id} {run.clear_number}"
    return Caller(run.dag_id, context["ti"].task_id, day, attempt, PATIENCE.total_seconds())


@contextmanager
def opened(
    context: Mapping[str, Any], day: str = "", *, taken_up_with: dict[str, Any] | None = None
) -> Iterator[Project]:
    """The project, for work on `day` if it has one, within the operator that runs in `context`.

    What a rerun cannot heal, a failed gate or a tampered ledger, ends the task without retries, by `ended`. A task that
    waits for BigQuery is deferred until the query is done: it holds no worker, and then goes on in the operator's
    `take_up(context, event, **taken_up_with)`.
    """
    from airflow.sdk import Connection, Variable
    from airflow.sdk.exceptions import TaskDeferred

    from include.config.load import ConfigError
    from include.config.settings import CONNECTION_ID, OPTIONAL_VARIABLES, VARIABLES, extra_from, settings_from
    from include.ledger.chain import LedgerError
    from include.project import open_project
    from include.quality.gate import GateFailed
    from include.retraining.tracking import MlflowRefused
    from include.warehouse.base import MissingPartition, StillRunning, UnreadablePartition, WarehouseRefused

    try:
        extra = extra_from(Connection.get(CONNECTION_ID).extra or "{}")
        variables = {name: Variable.get(name, default="") for name in (*VARIABLES, *OPTIONAL_VARIABLES)}
        yield open_project(settings_from(extra, variables, _mlflow()), _caller(context, day))
    except GateFailed as error:
        raise ended(context, str(error), f"days/{error.outcome.day}") from error
    except ForAPerson as error:
        raise ended(context, str(error), error.address) from error
    except (ConfigError, LedgerError, MissingPartition, MlflowRefused, UnreadablePartition, WarehouseRefused) as error:
        raise ended(context, str(error), f"days/{day}" if day else "") from error
    except StillRunning as error:
        from include.orchestration.query_done import QueryDone

        log.info("%s; the triggerer waits for it", error)
        waiting = QueryDone(error.job.job_id, dict(error.job.place))
        raise TaskDeferred(trigger=waiting, method_name="take_up", kwargs=taken_up_with or {}) from error


class StopsItsQuery:
    """Of an operator: when its task is killed, or marked failed, the query that it waits for is stopped."""

    running: Project | None = None

    def on_kill(self) -> None:
        """Airflow calls it in the task's process."""
        if self.running is not None:
            self.running.warehouse.cancel()


def _mlflow() -> MlflowPlace:
    """Where MLflow is; embedded where Airflow has no connection that says so."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    from include.config.settings import MLFLOW_CONNECTION_ID, extra_from, mlflow_from

    try:
        found = Connection.get(MLFLOW_CONNECTION_ID)
    except AirflowNotFoundException:
        return mlflow_from({})
    extra = extra_from(found.extra or "{}", MLFLOW_CONNECTION_ID)
    return mlflow_from(extra, username=found.login, password=found.password)


def answer_within() -> timedelta:
    """How long a question waits for a person. A wrong configuration is a Dag import error."""
    from include.config.load import load_config
    from include.config.settings import config_path

    return timedelta(hours=load_config(config_path()).approval.timeout_hours)
