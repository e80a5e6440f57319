"""A challenger is accepted when it finds more for sure, and refused by name otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from include.retraining.comparison import Comparison, Terms, compare
from tests.benchmarks.rivals import REQUIRED, sample

TERMS = Terms(confidence=0.9, market_bound=0.05, max_unscored=0.05)


def judged(rows: pd.DataFrame) -> Comparison:
    return compare(rows, REQUIRED, TERMS, lowest=0.3, replicates=200)


def test_a_better_challenger_is_better() -> None:
    found = judged(sample(4000, 1, better=0.3))
    assert found.outcome == "better"
    assert found.overall is not None
    assert found.overall.low > 0
    assert found.overall.gain == pytest.approx(found.overall.recall_challenger - found.overall.recall_champion)
    assert [one.market for one in found.markets] == ["BR", "IN"]
    assert found.overall.labels == sum(one.labels for one in found.markets) == found.sampled


def test_the_same_scores_gain_nothing_at_all() -> None:
    rows = sample(2000, 3)
    found = judged(rows.assign(challenger=rows["champion"]))
    assert (found.outcome, found.labels_needed) == ("undecided", None)
    assert found.overall is not None
    assert (found.overall.gain, found.overall.low, found.overall.high) == (0, 0, 0)


def test_another_scale_of_the_same_order_is_the_same_model() -> None:
    rows = sample(2000, 3)
    found = judged(rows.assign(challenger=0.3 + 0.7 * rows["champion"] ** 2))
    assert found.overall is not None
    assert found.overall.gain == pytest.approx(0, abs=0.02)


def test_equal_models_are_accepted_no_more_often_than_promised_and_better_ones_are() -> None:
    """A small version of bench_retraining: 10 % of 40 would be 4, and at 15 chance alone is out of the question."""
    equal = [judged(sample(2000, 100 + seed)).outcome for seed in range(40)]
    assert equal.count("better") <= 8
    better = [judged(sample(4000, 200 + seed, better=0.3)).outcome for seed in range(10)]
    assert better.count("better") >= 9
    worse = [judged(sample(4000, 300 + seed, better=-0.2)) for seed in range(5)]
    assert all(one.outcome == "worse" for one in worse)
    assert all("finds less than the champion" in one.reason or "a market may lose" in one.reason for one in worse)


def test_a_market_that_loses_keeps_it_out_whatever_is_gained_elsewhere() -> None:
    found = judged(sample(6000, 5, better=0.6, worse_in="IN"))
    assert found.outcome == "worse"
    assert "a market may lose at most 0.05 of recall, and IN: recall" in found.reason


def test_what_more_labels_would_decide_is_said() -> None:
    tried = (judged(sample(700, seed, better=0.08)) for seed in range(20))
    found = next(one for one in tried if one.outcome == "undecided" and one.overall and one.overall.gain > 0.02)
    assert found.labels_needed is not None
    assert found.labels_needed > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.iloc[:0], "no labelled draws that either version was sampled for"),
        (lambda rows: rows.assign(p_violating=0.0), "one class only: of .* 0 violate"),
        (lambda rows: rows.assign(p_violating=1.0), "one class only"),
        (
            lambda rows: rows.assign(challenger_scored=np.arange(len(rows)) % 2 == 0),
            "the challenger has no row in video_scores for .* labelled draws, more than 5%",
        ),
        (lambda rows: rows.assign(champion_scored=False), "the champion has no row in video_scores"),
        (lambda rows: rows.assign(challenger=np.nan), "the challenger gave no usable score"),
        (lambda rows: rows.assign(challenger=rows["challenger"] / 10), "no score of the challenger reaches 0.3.*scale"),
    ],
)
def test_what_cannot_be_compared_is_named(change: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    found = judged(change(sample(2000, 3)))
    assert found.outcome == "unusable"
    assert re.search(said, found.reason), found.reason
    assert found.overall is None


def test_too_few_violating_labels_are_priced() -> None:
    rows = sample(2000, 3)
    few = rows[(rows["p_violating"] == 0) | (np.arange(len(rows)) % 20 == 0)]
    found = judged(few)
    assert found.outcome == "undecided"
    assert "violating videos are labelled, 40 are needed" in found.reason
    assert found.labels_needed


def test_bad_values_are_named() -> None:
    rows = sample(500, 3)
    for column, value in (("challenger", 1.2), ("p_violating", -0.1), ("inclusion_probability", 0.0)):
        with pytest.raises(ValueError, match=f"{column}: "):
            judged(rows.assign(**{column: value}))
    with pytest.raises(ValueError, match="no column challenger_scored"):
        judged(rows.drop(columns="challenger_scored"))
    with pytest.raises(ValueError, match="no precision is given for market 'IN'"):
        compare(rows, {"BR": 0.9}, TERMS, lowest=0.3)
