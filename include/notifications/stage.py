"""The steps of `send_notifications`: what happened is noted for everybody who is to hear of it, and then sent.

A message is recorded as sent right after it was handed over. A process killed in between sends it once more, with the
same Message-ID: an alarm that comes twice is better than one that is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta

import pandas as pd

from include.contract.cell import Row, records
from include.contract.terms import EventKind
from include.notifications import outbox
from include.notifications.channels import Channel, NotSent, opened_channel
from include.notifications.collect import found_events, late_days
from include.observability.emit import Reading, emit, sends_metrics
from include.observability.measure import readings
from include.observability.names import DAYS_LATE, MESSAGES_UNSENT
from include.orchestration.ending import ForAPerson
from include.orchestration.links import page_link
from include.project import Project
from include.wording import plural

log = logging.getLogger(__name__)

TABLE = "notifications"
REMEMBERED = timedelta(days=40)
"""How far back it is looked whether an event was noticed before: longer than a question may wait."""


def notice_events(project: Project, now: datetime) -> list[str]:
    """Notes what happened since the last run in `notifications`; the days that were not noted as late before."""
    known = _noted(project, now - REMEMBERED, now)
    noted = {row["event_key"] for row in known}
    found = list(found_events(project, now, noted))
    rows = outbox.new_rows(found, known, project.config.notifications, page_link, now)
    if rows:
        _record(project, now.date(), [*(row for row in known if row["ds"] == now.date()), *rows])
    for row in rows:
        log.info("%s: %s, for %s", row["event"], row["subject"], row["recipient"] or "nobody")
    late = [event for event in found if event.kind == EventKind.DAY_LATE and event.key not in noted]
    return [f"{event.what}. {event.effect} {event.todo}" for event in late]


def emit_metrics(project: Project, now: datetime) -> str:
    """Sends the metrics, where Airflow is configured to send any; how many."""
    if not sends_metrics():
        return "Airflow sends no metrics: see [metrics] statsd_on"
    unsent = sum(outbox.is_shown(row) for row in _noted(project, now - outbox.PATIENCE, now))
    more: list[Reading] = [(DAYS_LATE, (), float(len(late_days(project, now)))), (MESSAGES_UNSENT, (), float(unsent))]
    return f"{plural(emit([*readings(project), *more]), 'gauge')} sent"


def raise_alarm(project: Project, now: datetime, late: Sequence[str]) -> None:  # noqa: ARG001
    """Raises ForAPerson where a day was found to be late; later runs do not fail for the same day again."""
    if late:
        raise ForAPerson("\n".join(late), "#wrong")


def send_messages(project: Project, now: datetime) -> str:
    """Sends what waits and is due; how much was sent.

    Raises:
        ForAPerson: a message was given up, or failed more than TRIES_UNSEEN times. All others were tried.
    """
    rows = _noted(project, now - outbox.PATIENCE - timedelta(days=1), now)
    due = [number for number, row in enumerate(rows) if outbox.is_due(row, now)]
    by = {(rows[number]["channel"], rows[number]["connection"]): list[int]() for number in due}
    for number in due:
        by[rows[number]["channel"], rows[number]["connection"]].append(number)
    for some in by.values():
        _send_by_connection(project, rows, some, now)
    tried = [rows[number] for number in due]
    if shown := [row for row in tried if outbox.is_shown(row)]:
        raise ForAPerson(outbox.undeliverable(shown), "#wrong")
    left = sum(row["problem"] is not None for row in tried)
    return f"{plural(len(tried) - left, 'message')} sent, {left} to be tried again"


def _send_by_connection(project: Project, rows: list[Row], numbers: Sequence[int], now: datetime) -> None:
    """Sends those of `rows`; each is recorded at once. Where nobody hears by the connection, no more are tried."""
    closed: NotSent | None = None
    with ExitStack() as stack:
        try:
            first = rows[numbers[0]]
            way = stack.enter_context(opened_channel(first["channel"], first["connection"]))
        except NotSent as refusal:
            closed = refusal
        for number in numbers:
            row = rows[number]
            problem = closed or _problem(way, row)
            if problem is None:
                rows[number] = outbox.sent(row, now)
            else:
                log.warning("Not sent to %s: %s", row["recipient"], problem)
                rows[number] = outbox.not_sent(row, now, str(problem), final=problem.final)
                closed = problem if problem.everybody else None
            _record(project, row["ds"], [one for one in rows if one["ds"] == row["ds"]])


def _problem(way: Channel, row: Row) -> NotSent | None:
    """Hands the message over; why it was not: None, it was."""
    try:
        way.send(row["recipient"], outbox.message_of(row))
    except NotSent as problem:
        return problem
    return None


def _noted(project: Project, first: datetime, last: datetime) -> list[Row]:
    return records(project.warehouse.read(TABLE, first.date(), last.date()))


def _record(project: Project, day: date, rows: Sequence[Row]) -> None:
    project.warehouse.replace(TABLE, day, pd.DataFrame(rows).drop(columns="ds", errors="ignore"))
