"""The first section: the version in force, and how far each daily Dag has come. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from include.config.model import Notifications
from include.console.people import DAILY_DAGS
from include.console.runs import DagRun
from include.contract.cell import Row
from include.wording import moment_in_words, plural

Kind = Literal["good", "info", "warn", "bad", "plain"]

TITLES = {
    "sample_for_review": "Sample for review",
    "ingest_reviewer_labels": "Reviewers' labels",
    "recalibrate_thresholds": "Thresholds",
    "hand_off_retraining": "Retraining",
    "recalibrate_ad_hoc": "A request",
    "roll_back_thresholds": "A rollback",
    "accept_model": "A new model",
}
"""What each Dag is called on the page."""

NIGHTLY = time(2)
"""When the Dags' schedule ends a day, UTC."""


@dataclass(frozen=True)
class DagState:
    """How far a daily Dag has come: the newest day, in one word, and what there is to know.

    Attributes:
        run_id: of the run that this is about; None: there is none.
        task: that failed first; None: none did.
    """

    dag_id: str
    title: str
    day: date
    word: str
    note: str
    kind: Kind
    run_id: str | None = None
    task: str | None = None


def due_day(now: datetime) -> date:
    """The newest day that the schedule has ended by `now` (UTC)."""
    return now.date() - timedelta(days=1 if now.time() >= NIGHTLY else 2)


def dag_states(
    runs: Sequence[DagRun],
    waiting: frozenset[tuple[str, str]],
    now: datetime,
    notifications: Notifications,
    *,
    since: date | None = None,
) -> list[DagState]:
    """The state of each daily Dag on the newest day that is due, or that it has run for.

    Args:
        runs: newest first.
        waiting: Dag and id of the runs that wait for a person.
        now: UTC.
        notifications: say when a day is late.
        since: first day with data; days before it are not missed. None: there is none yet, and nothing is missed.
    """
    due, found = due_day(now), []
    late = now >= notifications.due(due)
    for dag_id in DAILY_DAGS:
        of_days = [run for run in runs if run.dag_id == dag_id and run.day is not None]
        newest = max(of_days, key=lambda run: run.day or date.min, default=None)
        title = TITLES[dag_id]
        if newest is None or newest.day is None:
            found.append(DagState(dag_id, title, due, "Never run", "no run of any day is known", "plain"))
            continue
        if newest.day < due and since is not None and newest.state == "success":
            days = (due - newest.day).days
            word, kind = ("Late", "bad") if late or days > 1 else ("Due", "info")
            note = f"the newest day that was run is {newest.day}, {plural(days, 'day')} behind"
            found.append(DagState(dag_id, title, due, word, note, kind, newest.run_id))  # type: ignore[arg-type]
            continue
        found.append(
            _of_run(
                newest, newest.day, (dag_id, newest.run_id) in waiting, newest.day < due or (late and newest.day == due)
            )
        )
    return found


def _of_run(run: DagRun, day: date, waits: bool, late: bool) -> DagState:
    title, task = TITLES[run.dag_id], (run.failed[0] if run.failed else None)
    ended = "" if run.ended is None else f"since {moment_in_words(run.ended)}"
    if run.state == "success":
        return DagState(run.dag_id, title, day, "Done", ended, "good", run.run_id)
    if run.state == "failed":
        return DagState(run.dag_id, title, day, f"Failed at {task or 'start'}", ended, "bad", run.run_id, task)
    if waits:
        return DagState(run.dag_id, title, day, "Waits for a person", "see the questions below", "warn", run.run_id)
    begun = "" if run.started is None else f"since {moment_in_words(run.started)}"
    return DagState(
        run.dag_id, title, day, "Running late" if late else "Running", begun, "warn" if late else "info", run.run_id
    )


def in_force(chain: Sequence[Row]) -> str:
    """The version in force, since when and by whom, in a sentence."""
    if not chain:
        return "No thresholds have been published yet: the platform has no file to read."
    row = chain[-1]
    return f"Version {row['version']} is in force, published {moment_in_words(row['published_at'])} {by_whom(row)}."


def by_whom(row: Row) -> str:
    """E.g. "by the daily run, approved by ana"."""
    asker = "the daily run" if row["requester"] in DAILY_DAGS else row["requester"]
    return f"by {asker}" + (f", approved by {row['approver']}" if row["approver"] else "")
