"""How reviewers work, against counts by hand and scipy's own Fisher test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from include.consensus.conduct import BREAK_SECONDS, DRIFT_LEVEL, drift, seconds_per_answer

SINCE = pd.Timestamp("2026-11-10", tz="UTC")
BEFORE, AFTER = SINCE - pd.Timedelta(seconds=1), SINCE


def answers(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """(reviewer, policy, seconds)."""
    return pd.DataFrame(
        {
            "reviewer_id": [row[0] for row in rows],
            "policy": [row[1] for row in rows],
            "labelled_at": [SINCE + pd.Timedelta(seconds=row[2]) for row in rows],
            "event_id": [f"e{i}" for i in range(len(rows))],
        }
    )


def test_seconds_between_answers_without_breaks_and_by_the_later_policy() -> None:
    rows = answers(
        ("ana", "fraud", 0),
        ("ana", "fraud", 40),
        ("ana", "fraud", 60),
        ("ana", "hate", 65),
        ("ana", "fraud", 95 + BREAK_SECONDS),  # a break of more than half an hour
        ("ana", "fraud", 195 + BREAK_SECONDS),
        ("bo", "hate", 10),
    )
    found = seconds_per_answer(rows.sample(frac=1, random_state=1))
    assert found.to_dict("records") == [
        {"policy": "fraud", "reviewer_id": "ana", "seconds_per_answer": 40.0},  # the median of 40, 20 and 100
        {"policy": "hate", "reviewer_id": "ana", "seconds_per_answer": 5.0},
    ]


def votes(reviewer: str, *, right: tuple[int, int], of: tuple[int, int], truth: bool, first: int) -> pd.DataFrame:
    """`right` of `of` votes, earlier and recent, on items from `first` whose golden answer is `truth`."""
    says = [truth] * right[0] + [not truth] * (of[0] - right[0]) + [truth] * right[1] + [not truth] * (of[1] - right[1])
    return pd.DataFrame(
        {
            "policy": "fraud",
            "item": np.arange(first, first + sum(of)),
            "reviewer": reviewer,
            "violating": says,
            "labelled_at": [BEFORE] * of[0] + [AFTER] * of[1],
        }
    )


def golden(rows: pd.DataFrame, truth: bool) -> pd.DataFrame:
    return rows[["policy", "item"]].drop_duplicates().assign(violating=truth)


def test_drift_is_fishers_test_on_golden_items_class_by_class() -> None:
    missed = votes("ana", right=(28, 14), of=(30, 30), truth=True, first=0)
    spared = votes("ana", right=(95, 94), of=(100, 100), truth=False, first=1000)
    steady = votes("bo", right=(90, 88), of=(100, 100), truth=False, first=5000)
    truth = pd.concat([golden(missed, True), golden(spared, False), golden(steady, False)])
    found = drift(pd.concat([missed, spared, steady]), golden=truth, since=SINCE).set_index("reviewer_id")
    assert set(found["basis"]) == {"golden"}
    table = np.array([[14, 16], [28, 2]])
    one_sided = min(fisher_exact(table, alternative=side).pvalue for side in ("less", "greater"))
    assert found.loc["ana", "drift_p_value"] == pytest.approx(3 * 2 * one_sided)  # three comparisons in the policy
    assert found["drifted"].to_dict() == {"ana": True, "bo": False}
    assert found.loc["ana", "recent_labels"] == 130
    assert found.loc["ana", "recent_agreement"] == pytest.approx((14 + 94) / 130)
    assert found.loc["ana", "earlier_agreement"] == pytest.approx((28 + 95) / 130)


def test_without_golden_labels_the_others_majority_is_the_reference() -> None:
    """Item by item: the others' majority, ties and lone votes left out."""
    cast = pd.DataFrame(
        [
            ("a", "ana", True, AFTER), ("a", "bo", True, AFTER), ("a", "cy", False, BEFORE),
            ("b", "ana", False, BEFORE), ("b", "bo", True, AFTER),
            ("c", "ana", True, AFTER),
        ],
        columns=["item", "reviewer", "violating", "labelled_at"],
    ).assign(policy="fraud")  # fmt: skip
    found = drift(cast, golden=None, since=SINCE).set_index("reviewer_id")
    # On a the others of ana tie (bo yes, cy no), as do those of bo; cy is alone against two.
    assert found["recent_labels"].to_dict() == {"ana": 0, "bo": 1, "cy": 0}
    assert found["earlier_agreement"].fillna(-1).to_dict() == {"ana": 0.0, "bo": -1, "cy": 0.0}
    assert found["drift_p_value"].isna().all()
    assert not found["drifted"].any()


def test_reviewers_who_do_not_change_are_seldom_called_drifting() -> None:
    days_with_alarm = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        n = 4_000
        truth = random.random(n) < 0.2
        cast = pd.DataFrame(
            {
                "policy": "fraud",
                "item": np.arange(n),
                "reviewer": random.integers(20, size=n),
                "violating": truth ^ (random.random(n) < 0.1),
                "labelled_at": [BEFORE if before else AFTER for before in random.random(n) < 0.5],
            }
        )
        known = cast[["policy", "item"]].assign(violating=truth)
        days_with_alarm += bool(drift(cast, golden=known, since=SINCE)["drifted"].any())
    assert days_with_alarm <= 7  # 60 x 5 % = 3 are allowed; 8 or more have a chance of about 1 %
    assert DRIFT_LEVEL == 0.05


def test_no_votes_no_rows() -> None:
    none = votes("ana", right=(1, 0), of=(1, 0), truth=True, first=0).head(0)
    assert drift(none, golden=None, since=SINCE).empty
    assert seconds_per_answer(answers(("ana", "fraud", 0)).head(0)).empty
