"""What happened, read from the tables as they are."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cache

import pandas as pd

from include.config.model import Notifications
from include.config.settings import PROJECT_ROOT
from include.contract.cell import Row, records
from include.ledger.chain import LedgerError, thresholds_of
from include.ledger.publication import read_chain
from include.notifications import events
from include.notifications.events import FRESH, Event, Week
from include.notifications.late import Left, due_days, late_day, unfinished
from include.orchestration.runbook import advice
from include.project import Project

DAY = timedelta(days=1)
HANDS_OVER = "hand_off_retraining/"
"""What the name of a question begins with on which a hand-over waits."""
CARRIED_OUT = timedelta(hours=1)
"""How long after the answer a hand-over may take."""


def found_events(project: Project, now: datetime, noted: Collection[str]) -> Iterator[Event]:
    """All that happened lately and that anybody is to hear of, and the days that are late.

    `noted`: keys of events that were noticed before; what is costly to work out is not worked out again.
    """
    notifications, read = project.config.notifications, project.warehouse.read
    first, today = (now - FRESH).date(), now.date()
    left = _left(project, first, today, now)
    yield from _late(left, notifications, now)
    if not notifications.routes:
        return
    questions = read("approval_questions")
    yield from events.waiting_questions(questions, now)
    yield from events.answered_questions(questions, now)
    yield from events.failed_gates(left.quality, lambda dag_id, task: advice(_doc(dag_id), task))
    yield from events.raised_alarms(read("threshold_watch", first - DAY, today), first)
    yield from events.asked_retraining(left.decisions)
    yield from events.decided_challengers(read("model_comparisons", first, today))
    try:
        chain = read_chain(project)
    except LedgerError as error:
        yield events.stopped_publication(str(error), today)
        return
    sunday = today - timedelta(days=now.isoweekday())
    due = timedelta(0) <= now - notifications.due(sunday) < FRESH
    if due and events.scorecard_key(sunday) not in noted and any(day <= sunday for day in left.judged):
        yield events.scorecard(_week(project, now, sunday, chain, questions))


def late_days(project: Project, now: datetime) -> list[Event]:
    """The fresh days that are missing or unfinished and should not be, oldest first."""
    left = _left(project, (now - FRESH).date(), now.date(), now)
    return list(_late(left, project.config.notifications, now))


def _late(left: Left, notifications: Notifications, now: datetime) -> Iterator[Event]:
    yield from (late for day in due_days(left, notifications, now) if (late := late_day(left, day)))


def _left(project: Project, first: date, last: date, now: datetime) -> Left:
    read = project.warehouse.read
    asked = [row for row in records(read("approval_questions", first, last)) if row["asked_in"].startswith(HANDS_OVER)]
    return Left(
        scored=project.warehouse.days("video_scores"),
        quality=read("quality_results", first, last),
        judged=project.warehouse.days("quality_results"),
        decisions=read("retraining_decisions", first, last),
        handed_over=read("training_snapshots", first, last),
        waiting={row["ds"] for row in asked if row["answered_at"] is None or now - row["answered_at"] < CARRIED_OUT},
    )


def _week(project: Project, at: datetime, sunday: date, chain: Sequence[Row], questions: pd.DataFrame) -> Week:
    monday, read = sunday - 6 * DAY, project.warehouse.read
    days, left = [monday + n * DAY for n in range(7)], _left(project, monday, sunday, at)
    answered = questions["answered_at"].map(lambda at: not pd.isna(at) and monday <= at.date() <= sunday)
    now = thresholds_of(chain[-1]) if chain else {}
    return Week(
        last=sunday,
        finished=sum(not unfinished(left, day) for day in days),
        failures=read("gate_failures", monday, sunday),
        versions=[row for row in chain if monday <= row["ds"] <= sunday],
        watch=read("threshold_watch", monday, sunday),
        questions=questions[answered.astype(bool)],
        labels=sum(project.warehouse.row_count("label_events", day) for day in days),
        removing=sum(pair.remove_at < 1 for pair in now.values()),
        cells=len(now),
    )


@cache
def _doc(dag_id: str) -> str:
    """The doc of a Dag, read from its file; empty where that is not among this installation's files."""
    file = PROJECT_ROOT / "dags" / f"{dag_id}.py"
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "") if file.is_file() else ""
