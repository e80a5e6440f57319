"""Each guardrail at its limit and just beyond it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from include.config.model import Freeze, Guardrails, ThresholdLimits
from include.contract.grid import ThresholdPair
from include.contract.terms import Ruling
from include.forecasts.forecast import ShareEstimate
from include.proposals.guardrails import (
    Alarm,
    CellChange,
    Queue,
    Verdict,
    breaker,
    overall,
    proposal_status,
    verdicts_on,
)

LIMITS = ThresholdLimits(lowest_remove_at=0.5, lowest_review_at=0.05)
DAY = date(2026, 11, 20)
FREEZE = Freeze(
    first_day=date(2026, 11, 27), last_day=date(2026, 11, 30), reason="sales", policies=["fraud"], markets=["DE"]
)
CONFIG = Guardrails(
    min_labels=30,
    max_volume_change=0.1,
    small_change_videos=20,
    min_volume_change=0.01,
    loosen_days=3,
    max_review_ratio=1.0,
    flood_factor=2.0,
    max_cells_changed=0.5,
    max_total_change=0.15,
    freezes=[FREEZE],
)
FINE = ShareEstimate(0.97, 0.94, 0.99, 200, 180.0)
MISSED = ShareEstimate(0.90, 0.85, 0.94, 200, 180.0)
CHANGE = CellChange(
    cell=("fraud", "DE", "fraud-v2"),
    day=DAY,
    old=ThresholdPair(0.98, 0.8),
    new=ThresholdPair(0.94, 0.7),
    certified=0.9,
    steady=0.94,
    labels=100,
    precision_now=FINE,
    target=0.95,
    removes_before=1000,
    removes_after=1100,
    reviews_before=500,
    reviews_after=600,
    removes_usual=1000.0,
    queue=Queue(before=800, after=900, available=900),
)
TIGHTER = replace(CHANGE, new=ThresholdPair(0.99, 0.8), certified=0.99, removes_after=600)
WITHDRAWN = replace(TIGHTER, certified=None, steady=None, new=ThresholdPair(1.0, 0.8), labels=3, removes_after=0)
"""Nothing is certified, and no certificate ever allowed the remove_at in force."""
REVIEWS_MORE = replace(WITHDRAWN, new=ThresholdPair(0.98, 0.7), removes_after=1000)
SMALL = replace(CHANGE, removes_after=1009, reviews_after=504)
BEFORE_FREEZE = date(2026, 11, 26)
"""A change that rests on this day acts on the first day of the freeze."""


def outcomes(change: CellChange, config: Guardrails = CONFIG) -> dict[str, str]:
    return {verdict.name: verdict.outcome for verdict in verdicts_on(change, LIMITS, config)}


def test_a_change_at_every_limit_publishes_by_itself():
    verdicts = verdicts_on(CHANGE, LIMITS, CONFIG)
    assert [verdict.name for verdict in verdicts] == [
        "ordering",
        "limits",
        "certified",
        "min_evidence",
        "min_volume_change",
        "steady",
        "volume_change",
        "review_queue",
        "flood",
        "freeze",
    ]
    assert {verdict.outcome for verdict in verdicts} == {"publish"}
    assert proposal_status(CHANGE, verdicts) == "within_limits"


@pytest.mark.parametrize(
    ("change", "name", "outcome"),
    [
        (replace(CHANGE, new=ThresholdPair(0.94, 0.941)), "ordering", "hold"),
        (replace(CHANGE, new=ThresholdPair(0.499, 0.3), certified=0.4), "limits", "hold"),
        (replace(CHANGE, new=ThresholdPair(0.94, 0.049)), "limits", "hold"),
        (replace(CHANGE, new=ThresholdPair(0.899, 0.7)), "certified", "hold"),
        (replace(CHANGE, labels=29), "min_evidence", "hold"),
        (replace(CHANGE, labels=30), "min_evidence", "publish"),
        (replace(CHANGE, labels=29, new=ThresholdPair(0.98, 0.7)), "min_evidence", "publish"),
        (replace(CHANGE, new=ThresholdPair(0.939, 0.7)), "steady", "ask"),
        (replace(CHANGE, steady=None), "steady", "ask"),
        (TIGHTER, "steady", "publish"),
        (replace(TIGHTER, steady=None), "steady", "publish"),
        (replace(CHANGE, removes_after=1101), "volume_change", "ask"),
        (replace(CHANGE, removes_after=899), "volume_change", "ask"),
        (replace(CHANGE, removes_before=10, removes_after=30), "volume_change", "publish"),
        (replace(CHANGE, removes_before=10, removes_after=31), "volume_change", "ask"),
        (replace(CHANGE, removes_before=0, removes_after=21), "volume_change", "ask"),
        (TIGHTER, "volume_change", "ask"),
        (replace(TIGHTER, precision_now=MISSED), "volume_change", "publish"),
        (replace(TIGHTER, precision_now=replace(MISSED, n=29)), "volume_change", "ask"),
        (replace(CHANGE, removes_after=1101, precision_now=MISSED), "volume_change", "ask"),
        (replace(CHANGE, queue=Queue(800, 901, 900)), "review_queue", "ask"),
        (replace(CHANGE, queue=Queue(1000, 950, 900), reviews_after=400), "review_queue", "publish"),
        (SMALL, "min_volume_change", "hold"),
        (replace(SMALL, removes_after=1010), "min_volume_change", "publish"),
        (replace(SMALL, reviews_after=505), "min_volume_change", "publish"),
        (
            replace(SMALL, removes_before=0, removes_after=0, reviews_before=0, reviews_after=0),
            "min_volume_change",
            "hold",
        ),
        (replace(SMALL, removes_after=991, new=ThresholdPair(0.981, 0.8)), "min_volume_change", "hold"),
        (
            replace(SMALL, removes_after=991, new=ThresholdPair(0.981, 0.8), precision_now=MISSED),
            "min_volume_change",
            "publish",
        ),
        (replace(SMALL, precision_now=MISSED), "min_volume_change", "hold"),
        (replace(CHANGE, removes_usual=500.0), "flood", "publish"),
        (replace(CHANGE, removes_usual=499.0), "flood", "hold"),
        (replace(CHANGE, removes_usual=2000.0), "flood", "publish"),
        (replace(CHANGE, removes_usual=2001.0), "flood", "hold"),
        (replace(CHANGE, removes_before=20, removes_after=20, removes_usual=0.0), "flood", "publish"),
        (replace(CHANGE, removes_before=21, removes_after=21, removes_usual=0.0), "flood", "hold"),
        (replace(CHANGE, removes_usual=None), "flood", "publish"),
        (replace(TIGHTER, precision_now=MISSED, removes_usual=400.0), "flood", "ask"),
        (replace(TIGHTER, removes_usual=400.0), "flood", "hold"),
        (replace(CHANGE, day=date(2026, 11, 25)), "freeze", "publish"),
        (replace(CHANGE, day=BEFORE_FREEZE), "freeze", "hold"),
        (replace(CHANGE, day=date(2026, 11, 29)), "freeze", "hold"),
        (replace(CHANGE, day=date(2026, 11, 30)), "freeze", "publish"),
        (replace(CHANGE, day=BEFORE_FREEZE, cell=("fraud", "BR", "fraud-v2")), "freeze", "publish"),
        (replace(CHANGE, day=BEFORE_FREEZE, cell=("violence", "DE", "v")), "freeze", "publish"),
        (WITHDRAWN, "certified", "publish"),
        (WITHDRAWN, "min_evidence", "publish"),
        (WITHDRAWN, "volume_change", "publish"),
        (replace(WITHDRAWN, removes_before=3, reviews_after=500), "min_volume_change", "publish"),
        (replace(WITHDRAWN, day=BEFORE_FREEZE), "freeze", "hold"),
        (REVIEWS_MORE, "certified", "publish"),
        (replace(REVIEWS_MORE, queue=Queue(800, 901, 900)), "review_queue", "ask"),
        (replace(WITHDRAWN, new=ThresholdPair(0.97, 0.7)), "certified", "hold"),
    ],
)
def test_each_guardrail(change, name, outcome):
    assert outcomes(change)[name] == outcome


def test_reasons_carry_the_numbers():
    reasons = {v.name: v.reason for v in verdicts_on(replace(TIGHTER, precision_now=MISSED), LIMITS, CONFIG)}
    assert "1000 to 600 (-40.0%)" in reasons["volume_change"]
    assert "200 labels" in reasons["volume_change"]
    assert "0.900" in reasons["volume_change"]
    assert "900 of 900 staffed minutes" in reasons["review_queue"]


@pytest.mark.parametrize(
    ("given", "worst", "status"),
    [
        ([], "publish", "within_limits"),
        (["publish", "ask"], "ask", "awaiting_approval"),
        (["hold", "ask", "publish"], "hold", "held"),
    ],
)
def test_the_worst_verdict_counts(given, worst, status):
    verdicts = [Verdict("any", outcome, "") for outcome in given]
    assert overall(verdicts) == worst
    assert proposal_status(CHANGE, verdicts) == status


def test_equal_thresholds_are_unchanged_whatever_the_verdicts():
    same = replace(CHANGE, new=CHANGE.old)
    assert proposal_status(same, [Verdict("any", Ruling.HOLD, "")]) == "unchanged"


def test_what_no_certificate_allows_is_withdrawn_without_asking_and_reviewing_needs_no_certificate():
    for change in (WITHDRAWN, REVIEWS_MORE):
        assert overall(verdicts_on(change, LIMITS, CONFIG)) == "publish"


def test_a_change_not_worth_a_version_leaves_the_cell_unchanged():
    assert proposal_status(SMALL, verdicts_on(SMALL, LIMITS, CONFIG)) == "unchanged"
    any_size = CONFIG.model_copy(update={"min_volume_change": 0.0})
    still = replace(SMALL, removes_after=1000, reviews_after=500)
    assert proposal_status(still, verdicts_on(still, LIMITS, any_size)) == "within_limits"


def test_an_emergency_asks_a_person_where_others_are_held_but_never_breaks_order_or_limits():
    held = replace(CHANGE, day=BEFORE_FREEZE, removes_usual=100.0, labels=1, certified=0.95)
    assert overall(verdicts_on(held, LIMITS, CONFIG)) == "hold"
    asked = replace(held, emergency=True)
    assert overall(verdicts_on(asked, LIMITS, CONFIG)) == "ask"
    assert outcomes(asked)["freeze"] == outcomes(asked)["flood"] == outcomes(asked)["certified"] == "ask"
    assert overall(verdicts_on(replace(CHANGE, emergency=True), LIMITS, CONFIG)) == "ask"
    assert overall(verdicts_on(replace(asked, new=ThresholdPair(0.4, 0.3)), LIMITS, CONFIG)) == "hold"
    assert overall(verdicts_on(replace(asked, new=ThresholdPair(0.9, 0.91)), LIMITS, CONFIG)) == "hold"


def test_the_reasons_of_freeze_and_flood_carry_their_numbers():
    change = replace(CHANGE, day=BEFORE_FREEZE, removes_usual=100.0)
    reasons = {verdict.name: verdict.reason for verdict in verdicts_on(change, LIMITS, CONFIG)}
    assert reasons["freeze"] == "sales: from 2026-11-27 to 2026-11-30"
    assert "1000 videos" in reasons["flood"]
    assert "100 a day" in reasons["flood"]


def _day(moves: list[int], kept: int) -> list[tuple[CellChange, str]]:
    """A day of cells that remove 1,000 videos each: some move by so many and would publish alone, the others stay."""
    moving = [(replace(CHANGE, removes_after=1000 + move), "publish") for move in moves]
    return moving + [(replace(CHANGE, new=CHANGE.old, removes_after=1000), "publish")] * kept


@pytest.mark.parametrize(
    ("changes", "tripped"),
    [
        (_day([50, -50], 2), False),
        (_day([50, -50, 1], 2), True),
        (_day([600], 3), False),  # one change alone was judged by its own guardrails
        (_day([300, 300], 2), False),
        (_day([300, 301], 2), True),
        (_day([-300, -301], 2), True),
        (_day([301, -301], 2), False),
        ([(change, "ask") for change, _ in _day([300, 301], 2)], False),  # a person sees those anyway
        ([], False),
    ],
)
def test_many_changes_at_once_are_put_to_a_person(changes, tripped):
    verdict = breaker(changes, CONFIG)
    assert (verdict is not None) == tripped
    assert verdict is None or verdict.outcome == "ask"


ALARM = Alarm("alarm: 1 in 3 is wrong", safe=ThresholdPair(0.99, 0.8), by_itself=False)
BACK = replace(TIGHTER, certified=None, steady=None, labels=3, alarm=ALARM)


def test_the_way_back_from_an_alarm_asks_or_goes_by_itself_whatever_it_moves():
    crowded = replace(BACK, removes_after=100, reviews_after=5000, queue=Queue(800, 9000, 900))
    found = {verdict.name: verdict for verdict in verdicts_on(crowded, LIMITS, CONFIG)}
    assert found["watch"].outcome == "ask"
    assert ALARM.reason in found["watch"].reason
    assert "certified" not in found
    by_itself = verdicts_on(replace(crowded, alarm=replace(ALARM, by_itself=True)), LIMITS, CONFIG)
    assert overall(by_itself) == "publish"


@pytest.mark.parametrize("by_itself", [False, True])
def test_an_alarm_in_a_freeze_asks_a_person(by_itself):
    frozen = replace(BACK, day=BEFORE_FREEZE, alarm=replace(ALARM, by_itself=by_itself))
    assert outcomes(frozen)["freeze"] == "ask"
    assert overall(verdicts_on(frozen, LIMITS, CONFIG)) == "ask"


def test_a_certificate_that_tightens_as_far_answers_an_alarm_without_asking():
    certified = replace(TIGHTER, alarm=ALARM)
    assert outcomes(certified)["watch"] == "publish"
    assert overall(verdicts_on(certified, LIMITS, CONFIG)) == "publish"


def test_no_alarm_publishes_what_is_out_of_order_or_below_its_limit():
    alarm = Alarm("alarm", safe=ThresholdPair(0.99, 0.995), by_itself=True)
    assert overall(verdicts_on(replace(BACK, new=ThresholdPair(0.99, 0.995), alarm=alarm), LIMITS, CONFIG)) == "hold"


def test_the_breaker_leaves_answers_to_alarms_alone():
    back = replace(BACK, alarm=replace(ALARM, by_itself=True), removes_before=1000, removes_after=100)
    assert breaker([(back, Ruling.PUBLISH), (back, Ruling.PUBLISH)], CONFIG) is None
    assert breaker([(replace(back, alarm=None, certified=0.99), Ruling.PUBLISH)] * 2, CONFIG) is not None


@pytest.mark.parametrize("change", [WITHDRAWN, REVIEWS_MORE])
def test_the_breaker_leaves_alone_what_removes_no_more_than_before(change):
    assert breaker([(change, Ruling.PUBLISH)] * 4, CONFIG) is None
