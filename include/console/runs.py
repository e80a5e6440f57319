"""What the page reads of Airflow: runs of the project's Dags, what failed in them, and the questions that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from include.orchestration.day import run_day

MOST_RUNS = 60
"""Newest runs of a Dag that are looked at; a page shows a fortnight."""


@dataclass(frozen=True)
class DagRun:
    """A run of a daily Dag.

    Attributes:
        day: that it is about; None: the run names none.
        state: queued, running, success or failed.
        failed: its failed tasks, in the order in which they failed.
    """

    dag_id: str
    run_id: str
    day: date | None
    state: str
    started: datetime | None
    ended: datetime | None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question that waits for a person.

    Attributes:
        asker: who started the run; None: the schedule did.
        until: when the answer that counts without one takes its place; None: not known.
        options: that a person chooses from.
        day: that the run is about; None: a form's run.
        form: as it was filled in.
    """

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    options: tuple[str, ...]
    asked: datetime
    until: datetime | None
    asker: str | None
    day: date | None
    form: Mapping[str, Any] = field(default_factory=dict)


def newest_runs(dags: Collection[str]) -> list[DagRun]:
    """The newest runs of each of `dags`, newest first."""
    from airflow.models.dagrun import DagRun as Run
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    found = []
    with create_session() as session:
        for dag_id in dags:
            query = select(Run).where(Run.dag_id == dag_id).order_by(Run.run_after.desc(), Run.id.desc())
            runs = session.scalars(query.limit(MOST_RUNS)).all()
            names = [run.run_id for run in runs if run.state == "failed"]
            failed: dict[str, list[str]] = {}
            if names:
                tasks = (
                    select(TaskInstance.run_id, TaskInstance.task_id)
                    .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id.in_(names))
                    .where(TaskInstance.state == "failed")
                    .order_by(TaskInstance.end_date)
                )
                for run_id, task_id in session.execute(tasks):
                    failed.setdefault(run_id, []).append(task_id)
            found += [
                DagRun(
                    dag_id,
                    run.run_id,
                    _day(run),
                    str(run.state),
                    run.start_date,
                    run.end_date,
                    tuple(failed.get(run.run_id, ())),
                )
                for run in runs
            ]
    return found


def open_questions(dags: Collection[str]) -> list[Question]:
    """What runs of `dags` ask and wait for an answer to, the oldest first."""
    from airflow.models.dagrun import DagRun as Run
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(HITLDetail, TaskInstance, Run)
        .join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
        .join(Run, (Run.dag_id == TaskInstance.dag_id) & (Run.run_id == TaskInstance.run_id))
        .where(HITLDetail.responded_at.is_(None), TaskInstance.dag_id.in_(list(dags)))
        .where(TaskInstance.state.in_(("awaiting_input", "deferred")))
        .order_by(HITLDetail.created_at)
    )
    with create_session() as session:
        return [
            Question(
                task.dag_id,
                task.run_id,
                task.task_id,
                detail.subject,
                tuple(detail.options),
                detail.created_at,
                task.trigger_timeout,
                run.triggering_user_name,
                _day(run),
                dict(run.conf or {}),
            )
            for detail, task, run in session.execute(query).unique()
        ]


def runbook_of(dag_id: str) -> str:
    """The Dag's own doc, which says what to do when a task fails; empty if Airflow does not know the Dag."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        stored = SerializedDagModel.get(dag_id, session=session)
        return str((stored.data or {}).get("dag", {}).get("doc_md") or "") if stored is not None else ""


def _day(run: Any) -> date | None:
    try:
        return run_day({"params": run.conf or {}, "dag_run": run, "logical_date": run.logical_date})
    except ValueError:
        return None
