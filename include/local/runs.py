"""Runs Dags in this process, with a scripted manager where a Dag would wait for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from include.config.settings import PROJECT_ROOT

DAILY_DAGS = ("sample_for_review", "ingest_reviewer_labels", "recalibrate_thresholds", "hand_off_retraining")

Manager = Callable[[str, str], str | None]
"""Answers a question, given its subject and body: Approve, Reject, or None for no answer in time."""


class RunFailed(RuntimeError):
    """A Dag run did not succeed; the message names the tasks that failed."""


def load_dags() -> dict[str, Any]:
    """The project's Dags by id. Raises RuntimeError with the import errors, if there are any."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(PROJECT_ROOT / "dags"))
    if bag.import_errors:
        raise RuntimeError("\n".join(f"{file}: {error}" for file, error in bag.import_errors.items()))
    return dict(bag.dags)


NIGHTLY, LOOK = time(2), time(7)
"""When the schedule starts a day's runs, and the look for challengers, on the next day, UTC (orchestration/dags.py)."""


def run_dag(dag: Any, day: date, manager: Manager) -> Any:
    """One run of `dag` for `day`, tasks really executed one after another; the finished run. Raises RunFailed.

    Of a Dag with a schedule, Airflow has it as the schedule's: a day as its partition key, where it is a day's, and the
    time at which it was due.
    """
    from airflow.sdk import AssetOrTimeSchedule, CronPartitionTimetable, PartitionedAssetTimetable

    kinds = (AssetOrTimeSchedule, CronPartitionTimetable, PartitionedAssetTimetable)
    made = _created_by(partial(_as_scheduled, dag, day)) if isinstance(dag.timetable, kinds) else nullcontext()
    with _answered_by(manager), _stored_once(), made:
        run = dag.test(logical_date=datetime(day.year, day.month, day.day, tzinfo=UTC))
    _take_up(run, day)
    return _finished(dag, run, str(day))


def _take_up(run: Any, day: date) -> None:
    """What announced the day to the Dag led to this run: a scheduler that is started later begins none for it."""
    from airflow.models.asset import AssetPartitionDagRun as Announced
    from airflow.utils.session import create_session
    from sqlalchemy import update

    of_day = (Announced.target_dag_id == run.dag_id, Announced.partition_key == day.isoformat())
    with create_session() as session:
        waiting = update(Announced).where(*of_day, Announced.created_dag_run_id.is_(None))
        session.execute(waiting.values(created_dag_run_id=run.id))


def run_form(dag: Any, form: dict[str, Any], manager: Manager, user: str) -> Any:
    """One run of `dag` as if `user` had filled in its form; the finished run. Raises RunFailed."""
    with _answered_by(manager), _stored_once(), _created_by(triggering_user_name=user):
        run = dag.test(logical_date=None, run_conf=form)
    return _finished(dag, run, user)


def _as_scheduled(dag: Any, day: date, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the day's run of the schedule is made with. An earlier one of the same day gives way to it."""
    from airflow.models.dagrun import DagRun
    from airflow.sdk import AssetOrTimeSchedule, PartitionedAssetTimetable
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    follows = isinstance(dag.timetable, PartitionedAssetTimetable)
    looks = isinstance(dag.timetable, AssetOrTimeSchedule)
    due = datetime.combine(day + timedelta(days=1), LOOK if looks else NIGHTLY, UTC)
    kind = DagRunType.ASSET_TRIGGERED if follows else DagRunType.SCHEDULED
    run_id, session = f"{kind}__{due.isoformat()}__{day}", given["session"]
    earlier = session.scalar(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id))
    if earlier is not None:
        session.delete(earlier)
        session.commit()
    return {
        "run_id": run_id,
        "run_type": kind,
        "run_after": due,
        "partition_key": None if looks else day.isoformat(),
        "logical_date": due if looks else None,
        "triggered_by": DagRunTriggeredByType.ASSET if follows else DagRunTriggeredByType.TIMETABLE,
        "triggering_user_name": None,
    }


@contextmanager
def _created_by(how: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None, **plainly: Any) -> Iterator[None]:
    """Within, a run in this process is made now, as a manual one, but for what `how` and `plainly` say."""
    from airflow.models import dagrun
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    def create(*, dag: Any, **given: Any) -> Any:
        given |= {"logical_date": None, "data_interval": None, "start_date": datetime.now(UTC)}
        given |= {"state": DagRunState.RUNNING, "run_type": DagRunType.MANUAL}
        return dag.create_dagrun(**given | plainly | (how(given) if how else {}))

    with patch.object(dagrun, "get_or_create_dagrun", create):
        yield


def _finished(dag: Any, run: Any, about: str) -> Any:
    if run.state != "success":
        failed = sorted(ti.task_id for ti in run.get_task_instances() if ti.state == "failed")
        raise RunFailed(f"{dag.dag_id} of {about} failed in {', '.join(failed)}")
    return run


_stored = False
"""Whether a run of this process has stored the Dags."""


@contextmanager
def _stored_once() -> Iterator[None]:
    """Within, a run does not parse all Dags and store them in the metadata database, if one of this process has."""
    global _stored  # noqa: PLW0603  (so has the database)
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    if _stored:
        with patch.object(DagBundlesManager, "get_all_dag_bundles", return_value=()):
            yield
    else:
        yield
        _stored = True


@contextmanager
def _answered_by(manager: Manager) -> Iterator[None]:
    """Within, what asks a person gets the manager's answer instead of waiting for one."""
    from include.orchestration.ask import AskAPerson

    def wait(self: Any, context: Any, digest: str, deadline: str) -> Any:
        answer = manager(self.subject, self.body)
        event = {
            "chosen_options": [answer] if answer else self.defaults,
            "responded_by_user": {"id": "manager", "name": "manager"} if answer else None,
        }
        return self.execute_complete(context, event, digest=digest, deadline=deadline)

    with patch.object(AskAPerson, "_wait", wait):
        yield
