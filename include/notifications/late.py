"""Whether a day is finished, and what it lacks: told by what the day left behind, and not by runs. Pure.

A day whose run nobody made leaves nothing behind, which no run can notice. A day that only waits for a person is
finished: the last Dag of the day does not wait for them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from include.config.model import Notifications
from include.contract.terms import EventKind
from include.notifications.events import FRESH, Event
from include.orchestration.runbook import TASK_OF_GATE

LAST_GATE = {
    "sample_for_review": "sample",
    "ingest_reviewer_labels": "consensus",
    "recalibrate_thresholds": "thresholds",
}
"""The gate with which a Dag's results of a day are known to be sound."""


@dataclass(frozen=True)
class Left:
    """What days left behind.

    Attributes:
        scored: days for which the platform delivered video_scores.
        quality: of quality_results, at least of the fresh days.
        judged: days of which quality_results hold anything.
        decisions: of retraining_decisions, of the fresh days.
        handed_over: of training_snapshots, of the fresh days.
        waiting: days whose hand-over waits for a person, or was answered only now.
    """

    scored: Collection[date]
    quality: pd.DataFrame
    judged: Collection[date]
    decisions: pd.DataFrame
    handed_over: pd.DataFrame
    waiting: Collection[date] = ()


def due_days(left: Left, notifications: Notifications, now: datetime) -> list[date]:
    """The fresh days that are to be finished by now, oldest first; none before the first that ever had anything."""
    known = [*left.scored, *left.judged]
    if not known:
        return []
    fresh = [(now - FRESH).date() + timedelta(days=n) for n in range(FRESH.days + 1)]
    return [day for day in fresh if day >= min(known) and notifications.due(day) <= now]


def unfinished(left: Left, day: date) -> list[str]:
    """The Dags whose results of the day are not there or did not pass, in their order; none: the day is finished."""
    of_day = left.quality[left.quality["ds"] == day]
    wrong = set(of_day.loc[(of_day["severity"] == "critical") & ~of_day["success"].astype(bool), "gate"])
    there = set(of_day["gate"]) - wrong
    missing = [dag_id for dag_id, gate in LAST_GATE.items() if gate not in there]
    decided = left.decisions[left.decisions["ds"] == day]
    asked, handed = int((decided["decision"] == "retrain").sum()), int((left.handed_over["ds"] == day).sum())
    handed_over = handed >= asked or day in left.waiting
    return missing if len(decided) and handed_over else [*missing, "hand_off_retraining"]


def late_day(left: Left, day: date) -> Event | None:
    """What the day lacks; None: it is finished."""
    lacking = unfinished(left, day)
    if not lacking:
        return None
    of_day = left.quality[left.quality["ds"] == day]
    wrong = of_day.loc[(of_day["severity"] == "critical") & ~of_day["success"].astype(bool), "gate"]
    stopped = [gate for gate in TASK_OF_GATE if gate in set(wrong)]
    first = lacking[0]
    if day not in left.scored and "sample_for_review" in lacking:
        why = "The platform has not delivered the day's video_scores"
        todo = "Ask who owns the platform's feed to deliver the day; then run it again."
    elif stopped:
        why = f"It is stopped at {'the gate' if len(stopped) == 1 else 'the gates'} {', '.join(stopped)}"
        todo = "The gate's page says what to do."
    else:
        why = f"{first} has no sound result of the day"
        todo = (
            f"See in Airflow whether {first} has a run for the day: the Dag may be paused, a run before it may have "
            "failed, or the scheduler rested. docs/how_to/run_a_day_again.md makes a run that is missing."
        )
    if len(lacking) > len(LAST_GATE):
        what = "none of its Dags is finished"
    else:
        what = f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not finished"
    return Event(
        EventKind.DAY_LATE,
        f"{EventKind.DAY_LATE}/{day}",
        day,
        f"{day} is late: {what}",
        f"{why}. Until it is, the thresholds in force stay"
        + (", and reviewers have no queue of the day." if "sample_for_review" in lacking else "."),
        todo,
        f"days/{day}",
    )
