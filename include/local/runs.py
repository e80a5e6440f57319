"""Runs Dags in this process, with a scripted manager where a Dag would wait for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
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


def run_dag(dag: Any, day: date, manager: Manager) -> Any:
    """One run of `dag` for `day`, tasks really executed one after another; the finished run. Raises RunFailed."""
    with _answered_by(manager), _stored_once():
        run = dag.test(
            logical_date=datetime(day.year, day.month, day.day, tzinfo=UTC), run_conf={"run_date": day.isoformat()}
        )
    return _finished(dag, run, str(day))


def run_form(dag: Any, form: dict[str, Any], manager: Manager, user: str) -> Any:
    """One run of `dag` as if `user` had filled in its form; the finished run. Raises RunFailed."""
    from airflow.models import dagrun

    create = dagrun.get_or_create_dagrun

    def created(**given: Any) -> Any:
        return create(**given | {"triggering_user_name": user})

    with _answered_by(manager), _stored_once(), patch.object(dagrun, "get_or_create_dagrun", created):
        run = dag.test(logical_date=None, run_conf=form)
    return _finished(dag, run, user)


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
