"""Each guardrail at its limit and just beyond it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.config.model import Guardrails, ThresholdLimits
from include.thresholds.forecast import Estimate, Pair
from include.thresholds.guardrails import Change, Queue, Verdict, judge, overall, status_of

LIMITS = ThresholdLimits(lowest_remove_at=0.5, lowest_review_at=0.05)
CONFIG = Guardrails(min_labels=30, max_volume_change=0.1, small_change_videos=20, loosen_step=0.5, max_review_ratio=1.0)
FINE = Estimate(0.97, 0.94, 0.99, 200, 180.0)
MISSED = Estimate(0.90, 0.85, 0.94, 200, 180.0)
CHANGE = Change(
    old=Pair(0.98, 0.8),
    new=Pair(0.94, 0.7),
    certified=0.9,
    labels=100,
    precision_now=FINE,
    target=0.95,
    removes_before=1000,
    removes_after=1100,
    reviews_before=500,
    reviews_after=600,
    queue=Queue(before=800, after=900, available=900),
)
TIGHTER = replace(CHANGE, new=Pair(0.99, 0.8), certified=0.99, removes_after=600)


def outcomes(change: Change) -> dict[str, str]:
    return {verdict.name: verdict.outcome for verdict in judge(change, LIMITS, CONFIG)}


def test_a_change_at_every_limit_publishes_by_itself():
    verdicts = judge(CHANGE, LIMITS, CONFIG)
    assert [verdict.name for verdict in verdicts] == [
        "ordering",
        "limits",
        "certified",
        "min_evidence",
        "loosen_step",
        "volume_change",
        "review_queue",
    ]
    assert {verdict.outcome for verdict in verdicts} == {"publish"}
    assert status_of(CHANGE, verdicts) == "within_limits"


@pytest.mark.parametrize(
    ("change", "name", "outcome"),
    [
        (replace(CHANGE, new=Pair(0.94, 0.941)), "ordering", "hold"),
        (replace(CHANGE, new=Pair(0.499, 0.3), certified=0.4), "limits", "hold"),
        (replace(CHANGE, new=Pair(0.94, 0.049)), "limits", "hold"),
        (replace(CHANGE, new=Pair(0.899, 0.7)), "certified", "hold"),
        (replace(CHANGE, labels=29), "min_evidence", "hold"),
        (replace(CHANGE, labels=30), "min_evidence", "publish"),
        (replace(CHANGE, labels=29, new=Pair(0.98, 0.7)), "min_evidence", "publish"),
        (replace(CHANGE, new=Pair(0.939, 0.7)), "loosen_step", "ask"),
        (replace(CHANGE, old=Pair(0.901, 0.7), new=Pair(0.9, 0.7)), "loosen_step", "publish"),
        (TIGHTER, "loosen_step", "publish"),
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
    ],
)
def test_each_guardrail(change, name, outcome):
    assert outcomes(change)[name] == outcome


def test_reasons_carry_the_numbers():
    reasons = {v.name: v.reason for v in judge(replace(TIGHTER, precision_now=MISSED), LIMITS, CONFIG)}
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
    assert status_of(CHANGE, verdicts) == status


def test_equal_thresholds_are_unchanged_whatever_the_verdicts():
    same = replace(CHANGE, new=CHANGE.old)
    assert status_of(same, [Verdict("any", "hold", "")]) == "unchanged"
