"""Makes the short answer of a form's run its note, which a task cannot set itself. Listens in the scheduler."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from include.orchestration.forms import as_note
from include.orchestration.steps import ANSWER

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

FORM_DAGS = ("recalibrate_ad_hoc", "roll_back_thresholds")


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001  (pluggy matches names)
    """After the last task."""
    _note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001
    """A form that cannot be carried out is answered, too."""
    _note(dag_run)


def _note(dag_run: DagRun) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    if dag_run.dag_id not in FORM_DAGS:
        return
    query = select(XComModel).where(
        XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == ANSWER
    )
    # The scheduler's own session, which it commits; a second one would wait for it on SQLite.
    bound = object_session(dag_run)
    with nullcontext(bound) if bound else create_session() as session:
        found, run = session.scalars(query).first(), session.get(DagRun, dag_run.id)
        if found is not None and run is not None:
            run.note = as_note(str(XComModel.deserialize_value(found)))


class RunNotes(AirflowPlugin):
    """Registers this module as a listener."""

    name = "run_notes"
    listeners = (sys.modules[__name__],)
