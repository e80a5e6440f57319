"""Reviewers' error: its limits, what it asks of a certificate, and the promise for true labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.certificates.certify import Decision, Goal, certify
from include.certificates.reviewer_error import aim_at, reviewer_error, reviewer_error_by_band, settled_by_experts


def golden_of(caught: int, missed: int, spared: int, alarmed: int, score: float = 0.9) -> pd.DataFrame:
    said = np.repeat([1.0, 0.0, 0.0, 1.0], [caught, missed, spared, alarmed])
    truth = np.repeat([1.0, 0.0], [caught + missed, spared + alarmed])
    return pd.DataFrame({"score": score, "p_violating": said, "golden": truth})


def test_limits_are_clopper_pearson():
    from statsmodels.stats.proportion import proportion_confint

    found = reviewer_error(golden_of(95, 5, 40, 2), tail=0.025)
    assert not isinstance(found, str)
    for rate, right, n in ((found.sensitivity, 95, 100), (found.specificity, 40, 42)):
        low, high = proportion_confint(right, n, alpha=0.05, method="beta")
        assert (rate.value, rate.n) == (right / n, n)
        assert (rate.low, rate.high) == pytest.approx((low, high), abs=1e-9)


def test_a_fractional_consensus_is_right_in_part():
    golden = golden_of(95, 5, 40, 2)
    found = reviewer_error(golden.assign(p_violating=0.1 + 0.8 * golden["p_violating"]), tail=0.025)
    assert not isinstance(found, str)
    assert found.sensitivity.value == pytest.approx(0.95 * 0.9 + 0.05 * 0.1)
    assert found.sensitivity.low < found.sensitivity.value < found.sensitivity.high < 0.95


def test_each_band_has_its_own_rates_where_it_can():
    low, high = golden_of(10, 2, 300, 1, score=0.1), golden_of(90, 10, 40, 10)
    found = reviewer_error_by_band(pd.concat([low, high], ignore_index=True), 0.5, tail=0.025)
    assert not isinstance(found, str)
    below, above = found
    assert below.specificity.value == pytest.approx(300 / 301)
    assert above.specificity.value == pytest.approx(0.8)
    assert below.sensitivity.value == pytest.approx(100 / 112)  # twelve are too few: those of all
    assert above.sensitivity.value == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("golden", "said"),
    [
        (golden_of(29, 0, 100, 0), "experts settled 29 violating and 100 other videos, 30 of each are needed"),
        (golden_of(100, 0, 3, 0), "experts settled 100 violating and 3 other"),
        (golden_of(30, 30, 30, 30), "reviewers cannot be told from chance"),
        (golden_of(0, 0, 0, 0), "experts settled 0 violating and 0 other"),
    ],
)
def test_too_little_is_a_named_refusal(golden, said):
    assert said in str(reviewer_error(golden, tail=0.025))


@pytest.mark.parametrize(
    ("golden", "said"),
    [
        (golden_of(500, 0, 39, 0), "experts asked by chance settled 39 videos as not violating, 40 are needed"),
        (golden_of(0, 0, 0, 0), "settled 0 videos as not violating"),
        (golden_of(30, 30, 0, 40), "reviewers cannot be told from chance"),
    ],
)
def test_with_too_little_the_aim_is_the_consensus(golden, said):
    aim = aim_at(golden, 0.95, confidence=0.9, correct=True)
    assert (aim.share, aim.confidence, aim.errors) == (0.95, 0.9, None)
    assert "speaks for the reviewers' consensus" in aim.reason
    assert said in aim.reason
    assert (aim.refuted_below, aim.expected, float(aim.true_bound(0.7))) == (0.95, 0.95, 0.7)


def test_what_is_not_asked_for_is_not_done():
    aim = aim_at(golden_of(900, 100, 100, 10), 0.95, confidence=0.9, correct=False)
    assert (aim.share, aim.confidence, aim.errors) == (0.95, 0.9, None)


def test_false_alarms_ask_for_more_and_what_is_missed_for_nothing():
    """Only false alarms make removals look better than they are; what is missed is the experts' to settle."""
    strict = aim_at(golden_of(9_000, 1_000, 10_000, 0), 0.95, confidence=0.9, correct=True)
    credulous = aim_at(golden_of(10_000, 0, 6_000, 4_000), 0.95, confidence=0.9, correct=True)
    assert 0.95 < strict.share < 0.9501
    assert aim_at(golden_of(0, 0, 10_000, 0), 0.95, confidence=0.9, correct=True).share == strict.share
    assert 0.95 + 0.05 * 0.4 < credulous.share < 0.975
    assert 0.88 * 0.95 < strict.refuted_below < 0.9 * 0.95 < credulous.refuted_below < 0.95
    for aim in (strict, credulous):
        assert aim.errors is not None
        assert aim.confidence == pytest.approx(0.915)  # .15 of the error is spent on the limit
        assert aim.refuted_below < 0.95 <= aim.expected < aim.share
        assert float(aim.true_bound(aim.share)) == pytest.approx(0.95)
        assert float(aim.true_estimate(aim.expected)) == pytest.approx(0.95)
        decided = aim.on_truth(Decision(0.8, None, None, aim.expected, aim.share, "exact", 100))
        assert (decided.threshold, decided.estimate, decided.bound) == (0.8, pytest.approx(0.95), pytest.approx(0.95))
        refused = aim.on_truth(Decision(None, "needs more", 10, 0.9, 0.8, "exact", 100))
        assert "stands for a true precision of 0.95" in str(refused.refusal)


@pytest.mark.parametrize(("caught", "missed"), [(0, 0), (3, 0), (20, 9), (0, 30)])
def test_with_too_few_violations_settled_the_target_itself_refutes(caught, missed):
    """A limit near 0 would blind the watch, let any canary pass, and one of 0 stop the day."""
    aim = aim_at(golden_of(caught, missed, 100, 0), 0.95, confidence=0.9, correct=True)
    assert aim.errors is not None
    assert aim.refuted_below == 0.95
    enough = aim_at(golden_of(30, 0, 100, 0), 0.95, confidence=0.9, correct=True)
    assert 0.5 < enough.refuted_below < 0.95


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(80, 400), st.integers(0, 20), st.integers(80, 400), st.integers(0, 20)),
    st.floats(0.5, 0.99),
    st.floats(0.5, 0.99),
)
def test_more_confidence_never_asks_for_less(counts, a, b):
    lax, strict = (aim_at(golden_of(*counts), 0.95, confidence=c, correct=True) for c in sorted((a, b)))
    assert lax.share <= strict.share + 1e-12
    assert lax.confidence <= strict.confidence


def test_settled_takes_each_video_once_and_refuses_other_values():
    rows = pd.DataFrame(
        {"policy": "p", "video_id": [1, 1, 2, 3], "golden": [1.0, 1.0, np.nan, 0.0], "p_violating": 1.0}
    )
    assert settled_by_experts(rows)["video_id"].tolist() == [1, 3]
    told = settled_by_experts(rows.assign(consensus=[0.0, 0.0, 1.0, np.nan]))  # of 3 reviewers were unsure
    assert told[["video_id", "p_violating"]].to_numpy().tolist() == [[1, 0.0]]
    assert settled_by_experts(rows.drop(columns="golden")).empty
    with pytest.raises(ValueError, match=r"golden: 0\.5 in row 2"):
        settled_by_experts(rows.assign(golden=[1.0, 1.0, 0.5, 0.0]))


def test_the_promise_holds_for_true_labels_of_credulous_reviewers():
    """120 days; precision falls from 1 at the highest score to .8, and reviewers pass half of what is wrongly removed.

    They miss more the lower the score, and experts settle what looks like a miss as they please. Uncorrected, most days
    miss the target; corrected, at most one in ten may.
    """
    rng = np.random.default_rng(3)
    missed, uncorrected, certified = 0, 0, 0
    edges = np.arange(500, 1000) / 1000
    for _ in range(120):
        score = rng.uniform(0.5, 1.0, 4_000)
        truth = rng.random(4_000) < 0.6 + 0.4 * score
        said = np.where(truth, rng.random(4_000) < 0.9 + 0.1 * score, rng.random(4_000) < 0.5)
        sample = pd.DataFrame({"score": score, "p_violating": said.astype(float), "inclusion_probability": 0.5})
        expert = rng.random(4_000) < 0.6
        aim = aim_at(sample[expert].assign(golden=truth[expert] * 1.0), 0.92, confidence=0.9, correct=True)
        looked = ~said & (truth | (rng.random(4_000) < 0.3))  # the worst picks there are: all that is missed
        sample["p_violating"] = np.where(looked, truth, said).astype(float)
        found = certify(sample, Goal("precision", at_least=aim.share), confidence=aim.confidence, candidates=edges)
        plain = certify(sample, Goal("precision", at_least=0.92), confidence=0.9, candidates=edges)
        # Scores are uniform, so the precision from t on is .6 + .2 (1 + t): .92 needs t >= .6.
        certified += found.threshold is not None
        missed += found.threshold is not None and found.threshold < 0.6
        uncorrected += plain.threshold is not None and plain.threshold < 0.6
    assert missed <= 12
    assert certified > 45
    assert uncorrected > 60
