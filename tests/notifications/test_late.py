"""When a day is late: by what it left behind, whether or not there was ever a run of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.config.model import Notifications
from include.notifications.late import LAST_GATE, Left, due_days, late_day, unfinished

DAY = date(2026, 11, 26)
BEFORE = DAY - timedelta(days=1)
SETTINGS = Notifications(day_due="06:30")
PASSED = dict.fromkeys(LAST_GATE.values(), True)


def at(hour: int, minute: int = 0, *, days: int = 1) -> datetime:
    return datetime(2026, 11, 26, hour, minute, tzinfo=UTC) + timedelta(days=days)


def left(gates: dict[str, bool], *, scored: bool = True, decisions: tuple[str, ...] = (), handed: int = 0) -> Left:
    rows = [(DAY, gate, "critical", passed) for gate, passed in gates.items()]
    quality = pd.DataFrame(rows, columns=["ds", "gate", "severity", "success"])
    return Left(
        scored=[BEFORE, DAY] if scored else [BEFORE],
        quality=quality,
        judged=[BEFORE],
        decisions=pd.DataFrame({"ds": [DAY] * len(decisions), "decision": list(decisions)}, dtype=object),
        handed_over=pd.DataFrame({"ds": [DAY] * handed}, dtype=object),
    )


def test_a_day_is_due_at_the_stated_hour_of_the_next() -> None:
    nothing = left({})
    assert due_days(nothing, SETTINGS, at(6, 29)) == [BEFORE]
    assert due_days(nothing, SETTINGS, at(6, 30)) == [BEFORE, DAY]
    assert due_days(nothing, SETTINGS, at(7, days=3))[:2] == [BEFORE + timedelta(days=1), DAY + timedelta(days=1)]


def test_before_the_first_day_nothing_is_late() -> None:
    empty = Left([], pd.DataFrame(columns=["ds", "gate", "severity", "success"]), [], pd.DataFrame(), pd.DataFrame())
    assert due_days(empty, SETTINGS, at(12)) == []


def test_a_finished_day_is_not_late_while_a_person_is_asked() -> None:
    """What waits for a person is a proposal; the day's last Dag does not wait for it."""
    done = left(PASSED, decisions=("keep", "keep"))
    assert unfinished(done, DAY) == []
    assert late_day(done, DAY) is None


@pytest.mark.parametrize(
    ("found", "lacking", "said"),
    [
        (left({}), [*LAST_GATE, "hand_off_retraining"], "sample_for_review has no sound result of the day"),
        (left({}, scored=False), [*LAST_GATE, "hand_off_retraining"], "has not delivered the day's video_scores"),
        (
            left({"scores": False, "consensus": True}),
            ["sample_for_review", "recalibrate_thresholds", "hand_off_retraining"],
            "stopped at the gate scores",
        ),
        (left(PASSED), ["hand_off_retraining"], "hand_off_retraining has no sound result of the day"),
        (left(PASSED, decisions=("retrain", "keep")), ["hand_off_retraining"], "hand_off_retraining has no sound"),
        (left(PASSED | {"thresholds": False}, decisions=("keep",)), ["recalibrate_thresholds"], "gate thresholds"),
    ],
    ids=["no run", "nothing delivered", "a gate", "no hand-over", "a snapshot is missing", "the last gate"],
)
def test_what_a_late_day_lacks_is_named(found: Left, lacking: list[str], said: str) -> None:
    assert unfinished(found, DAY) == lacking
    event = late_day(found, DAY)
    assert event is not None
    verb = "is" if len(lacking) == 1 else "are"
    named = "none of its Dags is finished" if len(lacking) == 4 else f"{', '.join(lacking)} {verb} not finished"
    assert event.what == f"2026-11-26 is late: {named}"
    assert said in event.effect
    assert ("no queue" in event.effect) == ("sample_for_review" in lacking)
    assert len(event.todo) > 20
    assert event.key == "day_late/2026-11-26"


def test_a_hand_over_that_waits_for_a_person_delays_nothing() -> None:
    waiting = replace(left(PASSED, decisions=("retrain",)), waiting={DAY})
    assert unfinished(waiting, DAY) == []
    assert unfinished(replace(waiting, quality=left({}).quality), DAY) == list(LAST_GATE)


def test_a_snapshot_that_was_handed_over_finishes_the_day() -> None:
    assert unfinished(left(PASSED, decisions=("retrain", "keep"), handed=1), DAY) == []
