from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import beta
from statsmodels.stats.inter_rater import fleiss_kappa

from include.consensus.dawid_skene import DEFAULT_PRIORS, consensus
from include.consensus.reviewers import gwet_ac1, krippendorff_alpha, reviewer_quality
from tests.untested import real_data


def units(*answers: str) -> pd.DataFrame:
    """One string an item, one character a reviewer: 0, 1 or '.' for missing."""
    return pd.DataFrame(
        [(i, r, int(x)) for i, unit in enumerate(answers) for r, x in enumerate(unit) if x != "."],
        columns=["item", "reviewer", "violating"],
    )


def test_alpha_of_krippendorff_s_binary_example():
    """K. Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), A: alpha = .095."""
    votes = units(*map("".join, zip("0100000000", "1110010010", strict=True)))
    assert krippendorff_alpha(votes) == pytest.approx(1 - 19 * 4 / (14 * 6))
    assert round(krippendorff_alpha(votes), 3) == 0.095


def test_alpha_of_the_hot_data():
    votes = pd.read_csv(real_data("hot") / "votes.csv").set_axis(["item", "reviewer", "violating"], axis=1)
    assert round(krippendorff_alpha(votes), 3) == 0.439


def test_ac1_where_kappa_fails():
    """K. Gwet (2008): 118 and 0 agreements, 5 and 2 disagreements of two raters; AC1 = .941 while kappa is below 0."""
    votes = units(*["11"] * 118, *["10"] * 5, *["01"] * 2)
    assert gwet_ac1(votes) == pytest.approx(0.9408, abs=5e-5)
    assert krippendorff_alpha(votes) < 0


def test_ac1_with_missing_votes_by_hand():
    votes = units("11.", "100", "0..", "00.")
    observed, violating = (1 + 1 / 3 + 1) / 3, (1 + 1 / 3 + 0 + 0) / 4
    chance = 2 * violating * (1 - violating)
    assert gwet_ac1(votes) == pytest.approx((observed - chance) / (1 - chance))


def test_alpha_is_fleiss_kappa_with_its_small_sample_correction():
    votes = units("111", "110", "000", "010", "000", "001", "111", "000")
    counts = np.array([[3 - sum(map(int, u)), sum(map(int, u))] for u in votes_text(votes)])
    kappa, n = fleiss_kappa(counts), counts.sum()
    assert krippendorff_alpha(votes) == pytest.approx(kappa + (1 - kappa) / n)


def votes_text(votes: pd.DataFrame) -> list[str]:
    return ["".join(map(str, unit)) for _, unit in votes.groupby("item")["violating"]]


@given(st.lists(st.text("01.", min_size=1, max_size=5), min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_alpha_is_its_definition_over_pairs(texts):
    votes = units(*texts)
    groups = [unit.tolist() for _, unit in votes.groupby("item")["violating"] if len(unit) > 1]
    pooled = [x for unit in groups for x in unit]
    alpha = krippendorff_alpha(votes)
    if len(set(pooled)) < 2:
        assert np.isnan(alpha)
        return
    observed = sum(np.mean([a != b for a, b in permutations(unit, 2)]) * len(unit) for unit in groups) / len(pooled)
    assert alpha == pytest.approx(1 - observed / np.mean([a != b for a, b in permutations(pooled, 2)]))


def test_ac1_is_undefined_without_pairs():
    assert np.isnan(gwet_ac1(units("1", "0.")))


def test_golden_rates_are_counts_with_jeffreys_intervals():
    votes = units(*["1."] * 7, *["0."] * 3, *["0."] * 20, *[".0"] * 2).assign(policy="hate")
    golden = pd.DataFrame({"policy": "hate", "item": range(30), "violating": [True] * 10 + [False] * 20})
    quality = reviewer_quality(votes, golden=golden)
    (row,) = quality[quality["basis"] == "golden"].to_dict("records")
    assert (row["reviewer_id"], row["labels"], row["golden_labels"]) == (0, 30, 30)
    assert row["sensitivity"] == 0.7
    assert row["sensitivity_low"] == pytest.approx(beta.ppf(0.025, 7.5, 3.5))
    assert row["sensitivity_high"] == pytest.approx(beta.ppf(0.975, 7.5, 3.5))
    assert (row["specificity"], row["specificity_high"]) == (1, 1)
    assert row["specificity_low"] == pytest.approx(beta.ppf(0.025, 20.5, 0.5))
    assert row["agreement"] == pytest.approx(27 / 30)
    # Nobody else voted on the other reviewer's items: nothing to judge by, said as such.
    (alone,) = quality[quality["reviewer_id"] == 1].to_dict("records")
    assert alone["basis"] == "consensus"
    assert np.isnan([alone["sensitivity"], alone["specificity"], alone["agreement"]]).all()
    assert (alone["sensitivity_low"], alone["specificity_high"]) == (0, 1)


def test_intervals_reach_the_end_when_no_vote_is_right():
    votes = units(*["1"] * 5).assign(policy="hate")
    golden = pd.DataFrame({"policy": "hate", "item": range(5), "violating": False})
    (row,) = reviewer_quality(votes, golden=golden).query("basis == 'golden'").to_dict("records")
    assert (row["specificity"], row["specificity_low"]) == (0, 0)
    assert row["specificity_high"] == pytest.approx(beta.ppf(0.975, 0.5, 5.5))
    assert np.isnan(row["sensitivity"])
    assert (row["sensitivity_low"], row["sensitivity_high"]) == (0, 1)


def simulated(seed: int, *, items: int, prevalence: float, votes_each: int):
    random = np.random.default_rng(seed)
    truth = random.random(items) < prevalence
    reviewer = np.argsort(random.random((items, 20)), axis=1)[:, :votes_each]
    sensitivity, specificity = random.beta(8, 2, 20), random.beta(97, 3, 20)
    chance = np.where(truth[:, None], sensitivity[reviewer], 1 - specificity[reviewer])
    votes = pd.DataFrame(
        {
            "policy": "hate",
            "item": np.repeat(np.arange(items), votes_each),
            "reviewer": reviewer.ravel(),
            "violating": (random.random(reviewer.shape) < chance).ravel(),
        }
    )
    return votes, truth, sensitivity, specificity


@pytest.mark.parametrize("votes_each", [2, 3])
def test_consensus_intervals_cover_the_true_rates(votes_each):
    covered, width = [], []
    for seed in range(10):
        votes, _, sensitivity, specificity = simulated(seed, items=4000, prevalence=0.1, votes_each=votes_each)
        rows = reviewer_quality(votes)
        assert (rows["basis"] == "consensus").all()
        for name, rate in (("sensitivity", sensitivity), ("specificity", specificity)):
            covered.append(rows[f"{name}_low"].le(rate) & rows[f"{name}_high"].ge(rate))
            width.append(rows[f"{name}_high"] - rows[f"{name}_low"])
    assert 0.92 <= np.mean(covered) <= 0.985
    assert np.mean(width[1::2]) < 0.08


def test_nobody_is_graded_against_himself():
    """One reviewer's rates against the likelihood, item by item, given what only the others said."""
    votes, _, _, _ = simulated(7, items=1500, prevalence=0.3, votes_each=2)
    items, rates = consensus(votes, method="dawid_skene")
    prevalence = (items["p_violating"].sum() + DEFAULT_PRIORS.prevalence[0]) / (
        len(items) + sum(DEFAULT_PRIORS.prevalence)
    )
    rate = {row["reviewer"]: (row["sensitivity"], row["specificity"]) for row in rates.to_dict("records")}
    told = []
    for _, cast in votes.groupby("item"):
        answers = dict(zip(cast["reviewer"], cast["violating"], strict=True))
        if 3 in answers:
            mine = answers.pop(3)
            yes, no = prevalence, 1 - prevalence
            for other, answer in answers.items():
                sensitivity, specificity = rate[other]
                yes *= sensitivity if answer else 1 - sensitivity
                no *= 1 - specificity if answer else specificity
            told.append((yes / (yes + no), mine))
    p, mine = np.array(told).T

    def unlikely(theta: np.ndarray) -> float:
        says_yes = p * theta[0] + (1 - p) * (1 - theta[1])
        jeffreys = 0.5 * np.log(theta * (1 - theta)).sum()
        return float(-np.log(np.where(mine == 1, says_yes, 1 - says_yes)).sum() - jeffreys)

    sensitivity, specificity = minimize(unlikely, [0.7, 0.9], bounds=[(1e-6, 1 - 1e-6)] * 2).x
    yes = p * np.where(mine == 1, sensitivity, 1 - sensitivity)
    no = (1 - p) * np.where(mine == 1, 1 - specificity, specificity)
    violating = yes / (yes + no)
    expected = (violating @ mine / violating.sum(), (1 - violating) @ (1 - mine) / (1 - violating).sum())
    (row,) = reviewer_quality(votes).query("reviewer_id == 3").to_dict("records")
    assert (row["sensitivity"], row["specificity"]) == pytest.approx(expected, abs=1e-3)

    slope, says_yes = np.array([p, p - 1]), p * sensitivity + (1 - p) * (1 - specificity)
    variance = np.diag(np.linalg.inv(slope / (says_yes * (1 - says_yes)) @ slope.T))
    for name, rate, spread in zip(("sensitivity", "specificity"), (sensitivity, specificity), variance, strict=True):
        weight = rate * (1 - rate) / spread + 1
        low, high = beta.ppf([0.025, 0.975], rate * weight, (1 - rate) * weight)
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((low, high), abs=2e-3)


def test_a_careless_reviewer_shows_on_both_bases():
    votes, truth, _, _ = simulated(2, items=6000, prevalence=0.2, votes_each=3)
    careless = votes["reviewer"] == 4
    votes.loc[careless, "violating"] = np.random.default_rng(0).random(careless.sum()) < 0.3
    golden = pd.DataFrame({"policy": "hate", "item": np.arange(0, 6000, 4)})
    rows = reviewer_quality(votes, golden=golden.assign(violating=truth[golden["item"]]))
    for basis in ("golden", "consensus"):
        records = rows[rows["basis"] == basis].to_dict("records")
        for column in ("sensitivity", "specificity", "agreement"):
            worst = min(records, key=lambda row: row[column])
            assert worst["reviewer_id"] == 4
        assert worst["sensitivity_low"] < 0.3 < worst["sensitivity_high"]
        assert worst["specificity_low"] < 0.7 < worst["specificity_high"]


def test_policies_are_graded_apart_and_golden_votes_never_enter_the_consensus_rows():
    hate, truth, _, _ = simulated(4, items=500, prevalence=0.3, votes_each=2)
    golden = pd.DataFrame({"policy": "hate", "item": range(100), "violating": truth[:100]})
    spam = hate.assign(policy="spam", violating=~hate["violating"])
    both = reviewer_quality(pd.concat([spam, hate]), golden=golden)
    assert both["policy"].is_monotonic_increasing
    assert not both.duplicated(["policy", "reviewer_id", "basis"]).any()
    assert set(both.loc[both["policy"] == "spam", "basis"]) == {"consensus"}
    alone = reviewer_quality(hate, golden=golden)
    pd.testing.assert_frame_equal(both[both["policy"] == "hate"].reset_index(drop=True), alone)
    shared = hate[hate["item"] >= 100]
    assert alone.loc[alone["basis"] == "consensus", "agreement"].to_numpy() == pytest.approx(
        agreement_by_hand(shared).to_numpy()
    )


def agreement_by_hand(votes: pd.DataFrame) -> pd.Series:
    pairs = votes.merge(votes, on="item").query("reviewer_x != reviewer_y")
    return (pairs["violating_x"] == pairs["violating_y"]).groupby(pairs["reviewer_x"]).mean().sort_index()


def test_repeated_rows_and_both_answers_stay_finite():
    votes = pd.concat([units("11", "10", "00", "01", "11")] * 2).assign(policy="hate")
    contrary = pd.DataFrame({"policy": "hate", "item": [0, 2], "reviewer": [0, 1], "violating": [0, 1]})
    rows = reviewer_quality(pd.concat([votes, contrary]))
    assert rows["labels"].tolist() == [6, 6]
    # Seven pairs by hand: items 0 and 2 have two each, one of them alike; of the other three items only 4 is alike.
    assert rows["agreement"].tolist() == pytest.approx([3 / 7, 3 / 7])
    assert rows[["sensitivity", "specificity"]].notna().all().all()


def test_no_votes_give_an_empty_table_and_bad_input_is_refused():
    empty = reviewer_quality(units().assign(policy=pd.Series(dtype=str)))
    assert len(empty) == 0
    assert empty.columns[0] == "policy"
    with pytest.raises(ValueError, match="policy: the column is missing"):
        reviewer_quality(units("11"))
    with pytest.raises(ValueError, match="policy: null in row 1"):
        reviewer_quality(units("11").assign(policy=pd.Series(["hate", None])))
