"""Writes notes, which a task cannot: a form's short answer at its run, what a failed task says at it and at its run.

Listens in the scheduler. What it wrote it takes back once the run succeeds; what people wrote it leaves alone.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from include.orchestration.ending import FAILURE
from include.orchestration.forms import as_note
from include.orchestration.steps import ANSWER

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

TAG = "plumbline"
"""Of the project's Dags; the runs of others are none of its business."""


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001  (pluggy matches names)
    """After the last task."""
    _note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001
    """After the last task."""
    _note(dag_run)


def _note(dag_run: DagRun) -> None:
    from airflow.models.dag import DagTag
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    # The scheduler's own session, which it commits; a second one would wait for it on SQLite.
    bound = object_session(dag_run)
    with nullcontext(bound) if bound else create_session() as session:
        if session.scalar(select(DagTag).where(DagTag.dag_id == dag_run.dag_id, DagTag.name == TAG)) is None:
            return
        of_run = (XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id)
        said = {
            (row.key, row.task_id): str(XComModel.deserialize_value(row))
            for row in session.scalars(select(XComModel).where(*of_run, XComModel.key.in_((ANSWER, FAILURE))))
        }
        run = session.get(DagRun, dag_run.id)
        if run is None:
            return
        failed = [task for task in run.task_instances if task.state == "failed" and (FAILURE, task.task_id) in said]
        for task in run.task_instances:
            _write(task, said[FAILURE, task.task_id] if task in failed else None)
        answers = [text for (key, _), text in sorted(said.items()) if key == ANSWER]
        first = min(failed, key=lambda task: str(task.end_date), default=None)
        _write(run, "\n\n".join(answers) if answers else None if first is None else said[FAILURE, first.task_id])


def _write(what: Any, text: str | None) -> None:
    """Writes the note of a run or of a task; without a text, takes back one that nobody wrote."""
    by_name = "dag_run_note" if hasattr(what, "dag_run_note") else "task_instance_note"
    kept = getattr(what, by_name)
    if kept is not None and kept.user_id is not None:
        return
    if text is not None:
        what.note = as_note(text)
    elif kept is not None:
        setattr(what, by_name, None)


class RunNotes(AirflowPlugin):
    """Registers this module as a listener."""

    name = "run_notes"
    listeners = (sys.modules[__name__],)
