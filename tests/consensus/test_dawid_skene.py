from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from include.consensus.dawid_skene import FLAT_PRIORS, Priors, consensus
from tests.untested import real_data

METHODS = ["majority", "dawid_skene", "one_coin"]


def votes_of(*rows: tuple[object, object, object]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["item", "reviewer", "violating"])


def simulated(seed: int, *, items: int, prevalence: float, reviewers: int = 30, per_item=(0.4, 0.3, 0.3)):
    """Votes with known truth (n), sensitivity and specificity (m); one to three votes an item."""
    random = np.random.default_rng(seed)
    truth = random.random(items) < prevalence
    item = np.repeat(np.arange(items), random.choice([1, 2, 3], size=items, p=per_item))
    reviewer = random.integers(reviewers, size=len(item))
    sensitivity, specificity = random.beta(8, 2, reviewers), random.beta(97, 3, reviewers)
    chance = np.where(truth[item], sensitivity[reviewer], 1 - specificity[reviewer])
    votes = pd.DataFrame({"item": item, "reviewer": reviewer, "violating": random.random(len(item)) < chance})
    return votes, truth, sensitivity, specificity


def shared_set(name: str) -> tuple[pd.DataFrame, pd.Series]:
    folder = real_data("truth_inference") / name
    votes = pd.read_csv(folder / "label.csv").set_axis(["item", "reviewer", "violating"], axis=1)
    return votes, pd.read_csv(folder / "truth.csv").set_index("item")["truth"]


def accuracy(items: pd.DataFrame, truth: pd.Series) -> float:
    p, answer = items["p_violating"].to_numpy(), truth.reindex(items["item"]).to_numpy()
    return float(np.where(p == 0.5, 0.5, (p > 0.5) == answer).mean())


@pytest.mark.parametrize(
    ("name", "published_majority", "published_dawid_skene", "dawid_skene", "one_coin"),
    [
        ("sentiment_1k", 0.9335, 0.9600, 0.9610, 0.9490),
        ("rte", 0.8969, 0.9275, 0.9325, 0.9263),
        ("sp", 0.8859, 0.9148, 0.9150, 0.9142),
        ("zencrowd_us", 0.8615, 0.8211, 0.8225, 0.8951),
    ],
)
def test_published_accuracies_and_ours(name, published_majority, published_dawid_skene, dawid_skene, one_coin):
    """The published figures with flat priors, and, as docs/consensus.md states them, those of the default priors."""
    votes, truth = shared_set(name)
    by_majority, _ = consensus(votes, method="majority")
    by_em, _ = consensus(votes, method="dawid_skene", priors=FLAT_PRIORS)
    assert round(accuracy(by_majority, truth), 4) == published_majority
    assert round(accuracy(by_em, truth), 4) == published_dawid_skene
    assert round(accuracy(consensus(votes, method="dawid_skene")[0], truth), 4) == dawid_skene
    assert round(accuracy(consensus(votes, method="one_coin")[0], truth), 4) == one_coin
    stated = [published_majority, published_dawid_skene, dawid_skene, one_coin]
    row = " | ".join([f"`{name}`", *(f"{value:.4f}".removeprefix("0") for value in stated)])
    assert row in (Path(__file__).parents[2] / "docs/consensus.md").read_text(encoding="utf-8")


def test_majority_positives_of_the_hot_data_by_platform():
    hot = real_data("hot")
    votes = pd.read_csv(hot / "votes.csv").set_axis(["item", "reviewer", "violating"], axis=1)
    platform = pd.read_csv(hot / "scores.csv").set_index("item_id")["platform"]
    items, _ = consensus(votes, method="majority")
    positives = items["p_violating"].gt(0.5).groupby(items["item"].map(platform)).sum()
    assert positives.to_dict() == {"reddit": 152, "twitter": 206, "youtube": 236}


def literal_em(votes: pd.DataFrame, truth: dict, priors: Priors, *, one_coin: bool, rounds: int) -> dict:
    """The model's equations, vote by vote, in plain Python."""
    items, reviewers = sorted(set(votes["item"])), sorted(set(votes["reviewer"]))
    cast = list(votes.itertuples(index=False, name=None))
    of_item = {i: [x for j, _, x in cast if j == i] for i in items}
    p = {i: sum(xs) / len(xs) for i, xs in of_item.items()}
    kinds = {1: (priors.sensitivity, (1,)), 0: (priors.specificity, (0,)), "one": (priors.accuracy, (0, 1))}
    prior = {}
    for kind, ((right, wrong), answers) in kinds.items():
        graded = [(s, x == truth[i]) for i, s, x in cast if truth.get(i) in answers]
        mean = (right + sum(good for _, good in graded)) / (right + wrong + len(graded))
        for r in reviewers:
            own = any(s == r for s, _ in graded)
            prior[kind, r] = (right if own else mean * (right + wrong), right + wrong)

    def rates(votes_of_known: list) -> dict:
        rate = {}
        for r in reviewers:
            mine = [(w, x) for w, s, x in votes_of_known if s == r]
            right_1, all_1 = sum(w * x for w, x in mine), sum(w for w, _ in mine)
            right_0, all_0 = sum((1 - w) * (1 - x) for w, x in mine), sum(1 - w for w, _ in mine)
            (good_1, of_1), (good_0, of_0), (good, of) = (prior[kind, r] for kind in (1, 0, "one"))
            accuracy_of_r = max((good + right_1 + right_0) / (of + all_1 + all_0), 0.5)
            each = ((good_1 + right_1) / (of_1 + all_1), (good_0 + right_0) / (of_0 + all_0))
            rate[r] = (accuracy_of_r, accuracy_of_r) if one_coin else each
        return rate

    for number in range(rounds):
        weight = {i: truth.get(i, p[i]) for i in items}
        start = truth and number == 0
        rate = rates([(weight[i], s, x) for i, s, x in cast if not start or i in truth])
        unknown = [p[i] for i in items if i not in truth]
        balance = (priors.prevalence[0] + sum(unknown)) / (sum(priors.prevalence) + len(unknown))
        if start:
            balance = priors.prevalence[0] / sum(priors.prevalence)
        for i in items:
            yes, no = balance, 1 - balance
            for j, r, x in cast:
                if j == i:
                    sensitivity, specificity = rate[r]
                    yes *= sensitivity if x else 1 - sensitivity
                    no *= 1 - specificity if x else specificity
            p[i] = yes / (yes + no)
    return p


@pytest.mark.parametrize("method", ["dawid_skene", "one_coin"])
@pytest.mark.parametrize("with_golden", [False, True])
def test_em_is_the_model_s_equations(method, with_golden):
    votes, answers, _, _ = simulated(3, items=40, prevalence=0.4, reviewers=5)
    votes = votes.drop_duplicates().astype({"violating": int})
    known = {i: int(answers[i]) for i in (0, 1, 5, 9)} if with_golden else {}
    golden = pd.DataFrame({"item": list(known), "violating": list(known.values())}) if with_golden else None
    priors = Priors((3, 1), (4, 2), (1, 2), (7, 3))
    items, _ = consensus(votes, method=method, golden=golden, priors=priors)
    expected = literal_em(votes, known, priors, one_coin=method == "one_coin", rounds=300)
    assert items["p_violating"].to_numpy() == pytest.approx([expected[i] for i in items["item"]], abs=2e-3)


def test_majority_counts_and_agreement_by_hand():
    votes = votes_of(
        *[("b", r, x) for r, x in zip("pqrs", (1, 1, 1, 0), strict=True)],
        *[("a", r, x) for r, x in zip("pq", (1, 0), strict=True)],
        *[("c", "p", 0)],
    )
    items, reviewers = consensus(votes, method="majority")
    assert_frame_equal(
        items,
        pd.DataFrame(
            {"item": list("abc"), "p_violating": [0.5, 1.0, 0.0], "n_votes": [2, 4, 1], "agreement": [0, 0.5, np.nan]}
        ),
        check_dtype=False,
    )
    assert reviewers["reviewer"].tolist() == list("pqrs")
    assert reviewers["n_labels"].tolist() == [3, 2, 1, 1]
    # p: right on b (weight 1) and half on a; never wrong on c nor wholly wrong on a; prior 8:2 and 9.8:0.2
    assert reviewers["sensitivity"][0] == pytest.approx((8 + 1.5) / (10 + 1.5))
    assert reviewers["specificity"][0] == pytest.approx((9.8 + 1) / (10 + 1.5))


@pytest.mark.parametrize("method", METHODS)
def test_repeated_rows_and_order_change_nothing(method):
    votes, _, _, _ = simulated(1, items=200, prevalence=0.1)
    votes = votes.drop_duplicates()
    again = pd.concat([votes, votes.sample(frac=0.5, random_state=1)]).sample(frac=1, random_state=2)
    for one, other in zip(consensus(votes, method=method), consensus(again, method=method), strict=True):
        assert_frame_equal(one, other, rtol=1e-9)


def test_both_answers_of_a_reviewer_are_one_vote_each_way():
    items, _ = consensus(votes_of((1, "p", 1), (1, "p", 0), (1, "p", 0)), method="majority")
    assert items[["p_violating", "n_votes"]].to_numpy().tolist() == [[0.5, 2]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("per_item", [(1, 0, 0), (0.4, 0.3, 0.3)])
def test_a_rare_class_stays_rare_and_keeps_its_name(seed, per_item):
    votes, truth, _, _ = simulated(seed, items=3000, prevalence=0.01, per_item=per_item)
    items, reviewers = consensus(votes, method="dawid_skene")
    majority, _ = consensus(votes, method="majority")
    p = items["p_violating"].to_numpy()
    assert p[truth].mean() > 10 * p[~truth].mean()
    assert ((p - truth) ** 2).mean() < 0.75 * ((majority["p_violating"] - truth) ** 2).mean()
    assert p.mean() < 0.03
    assert (reviewers["sensitivity"] > 0.5).all()
    assert (reviewers["specificity"] > 0.85).all()


def test_rates_are_recovered_with_many_votes():
    votes, _, sensitivity, specificity = simulated(5, items=40_000, prevalence=0.3, per_item=(0, 0, 1))
    items, reviewers = consensus(votes, method="dawid_skene")
    assert np.abs(reviewers["sensitivity"] - sensitivity).max() < 0.04
    assert np.abs(reviewers["specificity"] - specificity).max() < 0.02
    assert items["p_violating"].mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("known", [30, 200])
@pytest.mark.parametrize("method", ["one_coin", "dawid_skene"])
@pytest.mark.parametrize("honest", [1, 2])
def test_one_who_always_says_yes_does_not_beat_golden_answers(honest, method, known):
    """A video has the votes of one or two honest reviewers, and of one who always answers "violating"."""
    shares, wrong = [], []
    for seed in range(3):
        random = np.random.default_rng(seed)
        truth = random.random(3000) < 0.02
        cast = [votes_of(*[(i, "click", 1) for i in range(3000)])]
        for who in range(honest):
            answers = random.random(3000) < np.where(truth, 0.9, 0.01)
            cast.append(pd.DataFrame({"item": range(3000), "reviewer": f"honest {who}", "violating": answers}))
        golden = pd.DataFrame({"item": range(known), "violating": truth[:known]})
        votes = pd.concat(cast).astype({"violating": int})
        items, reviewers = consensus(votes, method=method, golden=golden)
        shares.append(items["p_violating"].mean() / truth.mean())
        wrong.append((items["p_violating"].gt(0.5) != truth).mean())
        assert reviewers.set_index("reviewer")["specificity"]["click"] <= 0.5
    assert 0.3 < np.mean(shares) < 2
    assert np.mean(wrong) <= 0.025


def test_golden_answers_grade_reviewers_and_not_the_item():
    votes = votes_of(*[(i, r, 1) for i in range(40) for r in "pqr"])
    golden = pd.DataFrame({"item": range(30), "violating": False})
    items, reviewers = consensus(votes, method="dawid_skene", golden=golden)
    _, before = consensus(votes, method="dawid_skene")
    assert (before["specificity"] > 0.9).all()
    assert (reviewers["specificity"] < 0.25).all()
    # A golden and another item with the same votes get the same probability: golden never replaces the votes.
    assert np.ptp(items["p_violating"]) == 0
    by_majority, _ = consensus(votes, method="majority", golden=golden)
    assert (by_majority["p_violating"] == 1).all()


def test_golden_items_do_not_count_towards_the_class_balance():
    votes, _, _, _ = simulated(8, items=2000, prevalence=0.02)
    planted = votes_of(*[(10_000 + i, r, 1) for i in range(1000) for r in range(3)])
    golden = pd.DataFrame({"item": 10_000 + np.arange(1000), "violating": True})
    items, _ = consensus(pd.concat([votes, planted]), method="dawid_skene", golden=golden)
    assert items.loc[items["item"] < 10_000, "p_violating"].mean() < 0.04


def test_golden_labels_of_some_centre_the_prior_of_the_others():
    votes = votes_of(*[(i, "known", int(i % 2)) for i in range(400)], *[(1000 + i, "new", 0) for i in range(5)])
    golden = pd.DataFrame({"item": range(400), "violating": 1})
    _, reviewers = consensus(votes, method="dawid_skene", golden=golden)
    assert reviewers.set_index("reviewer").loc["new", "sensitivity"] == pytest.approx((200 + 8) / 410, abs=0.02)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=60),
    st.sampled_from(METHODS),
)
@settings(max_examples=60, deadline=None)
def test_any_votes_give_probabilities_sorted_by_item(rows, method):
    items, reviewers = consensus(votes_of(*rows), method=method)
    assert items["item"].tolist() == sorted({row[0] for row in rows})
    assert items["p_violating"].between(0, 1).all()
    assert items["n_votes"].sum() == reviewers["n_labels"].sum() == len(set(rows))
    assert reviewers[["sensitivity", "specificity"]].to_numpy().min() > 0
    assert reviewers[["sensitivity", "specificity"]].to_numpy().max() < 1


@pytest.mark.parametrize("method", METHODS)
def test_no_votes_give_empty_tables(method):
    items, reviewers = consensus(votes_of().astype({"violating": int}), method=method)
    assert items.columns.tolist() == ["item", "p_violating", "n_votes", "agreement"]
    assert len(items) == len(reviewers) == 0


def test_flat_priors_and_flawless_golden_labels_stay_finite():
    votes = votes_of(*[(i, "p", i % 2) for i in range(30_000)], *[(i, "q", 1) for i in range(30_000, 30_020)])
    golden = votes.loc[votes["reviewer"] == "p", ["item", "violating"]]
    contrary = pd.concat([votes, votes_of((30_000, "p", 0), (30_001, "p", 1))])
    items, reviewers = consensus(contrary, method="dawid_skene", golden=golden, priors=FLAT_PRIORS)
    assert items["p_violating"].between(0, 1).all()
    assert reviewers["reviewer"][0] == "p"
    assert reviewers["specificity"][0] > 0.999


def test_agreement_is_the_share_of_agreeing_pairs():
    answers = [1, 0, 1, 1, 0]
    items, _ = consensus(votes_of(*[(1, r, x) for r, x in enumerate(answers)]), method="one_coin")
    assert items["agreement"][0] == pytest.approx(np.mean([a == b for a, b in permutations(answers, 2)]))


@pytest.mark.parametrize("method", METHODS)
def test_ids_may_be_text_and_one_reviewer_may_label_everything(method):
    items, reviewers = consensus(votes_of(*[(f"v{i:03}", "only", int(i < 2)) for i in range(200)]), method=method)
    assert (items["p_violating"] > 0.1).to_numpy().nonzero()[0].tolist() == [0, 1]
    assert len(reviewers) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), (1, 3)),
        (1, "a"),
        (0.5, 1.5),
        (-(2**63), 5),
        (0, 2**64 - 1),
        (pd.Timestamp("2026-11-01"), pd.Timestamp("2026-11-02")),
    ],
)
def test_ids_may_be_of_any_sortable_type(one, other):
    for order in ([one, one, other, other], [other, one, one, other]):
        votes = pd.DataFrame({"item": order, "reviewer": list("pqpq"), "violating": [1, 1, 1, 1]})
        items, _ = consensus(votes, method="dawid_skene")
        assert items["item"].tolist() == [one, other]
        assert items["n_votes"].tolist() == [2, 2]
        mirrored, _ = consensus(votes.rename(columns={"item": "reviewer", "reviewer": "item"}), method="one_coin")
        assert mirrored["n_votes"].sum() == 4


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (votes_of((1, "p", 1), (2, "p", 2)), r"votes\.violating: .*2.* in row 1"),
        (votes_of((1, "p", 1), (2, "p", None)), r"votes\.violating: .* in row 1"),
        (votes_of((1, "p", 1), (2, "p", -1)), r"votes\.violating: .*-1.* in row 1"),
        (votes_of((1, "p", True), (2, "p", None)).astype({"violating": "boolean"}), r"votes\.violating: .* in row 1"),
        (votes_of((1, "p", "1")), r"votes\.violating: '1' in row 0"),
        (votes_of((1, "p", 1), (2, None, 1)), "reviewer: null in row 1"),
        (votes_of((None, "p", 1)), "item: null in row 0"),
        (pd.DataFrame({"item": [1], "violating": [1]}), "reviewer: the column is missing"),
        (pd.DataFrame({"item": [1], "reviewer": [1]}), r"votes\.violating: the column is missing"),
    ],
)
def test_bad_votes_are_refused_by_column_and_row(votes, message):
    with pytest.raises(ValueError, match=message):
        consensus(votes, method="majority")


def test_bad_golden_method_and_priors_are_refused():
    votes = votes_of((1, "p", 1))
    golden = pd.DataFrame({"item": [7, 1, 7], "violating": [True, True, False]})
    with pytest.raises(ValueError, match="item 7 is labelled both 0 and 1"):
        consensus(votes, method="dawid_skene", golden=golden)
    with pytest.raises(ValueError, match="method: 'mean' is none of majority, dawid_skene, one_coin"):
        consensus(votes, method="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be positive"):
        Priors(sensitivity=(0, 1))


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_of_one_changes_nothing_and_a_lighter_vote_counts_less(method):
    votes, _, _, _ = simulated(6, items=300, prevalence=0.2, reviewers=8)
    votes = votes.drop_duplicates(["item", "reviewer"])
    plain, _ = consensus(votes, method=method)
    ones = pd.DataFrame({"reviewer": range(8), "weight": 1.0})
    assert_frame_equal(consensus(votes, method=method, weights=ones)[0], plain)
    # Reviewer 0 against reviewer 1, and nobody else: the heavier vote wins the tie.
    pair = votes_of(*[(i, 0, 1) for i in range(10)], *[(i, 1, 0) for i in range(10)])
    lighter = pd.DataFrame({"reviewer": [0], "weight": [0.25]})
    even, _ = consensus(pair, method=method)
    uneven, reviewers = consensus(pair, method=method, weights=lighter)
    assert (uneven["p_violating"] < even["p_violating"]).all()
    assert (uneven["n_votes"] == 2).all()
    assert (reviewers["n_labels"] == 10).all()


def test_a_weighted_log_likelihood_ratio_by_hand():
    """With flawless knowledge of the reviewers, a weight multiplies the evidence of the vote."""
    graded = votes_of(*[(1000 + i, r, int(i % 2)) for i in range(4000) for r in "pq"])
    golden = graded.drop_duplicates("item")[["item", "violating"]]
    votes = pd.concat([graded, votes_of((1, "p", 1), (2, "p", 1), (2, "q", 1))])
    light = pd.DataFrame({"reviewer": ["p", "q"], "weight": [0.5, 0.5]})
    full, _ = consensus(votes, method="dawid_skene", golden=golden)
    half, _ = consensus(votes, method="dawid_skene", golden=golden, weights=light)
    one, two = (np.log(p / (1 - p)) for p in (full["p_violating"].iloc[0], half["p_violating"].iloc[1]))
    assert two == pytest.approx(one, rel=0.05)  # two half votes weigh what one whole vote does


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("p", 0.0)], r"0\.0 of reviewer 'p' in row 0"),
        ([("p", 1.5)], r"1\.5 of reviewer 'p' in row 0"),
        ([("p", float("nan"))], r"nan of reviewer 'p' in row 0"),
        ([("p", 1.0), ("p", 1.0)], r"1\.0 of reviewer 'p' in row 1"),
    ],
)
def test_bad_weights_are_refused(rows, message):
    weights = pd.DataFrame(rows, columns=["reviewer", "weight"])
    with pytest.raises(ValueError, match=message):
        consensus(votes_of((1, "p", 1)), method="majority", weights=weights)


@pytest.mark.parametrize("method", ["dawid_skene", "one_coin"])
def test_blocks_of_items_give_what_one_block_gives(method, monkeypatch):
    votes, answers, _, _ = simulated(11, items=500, prevalence=0.2)
    golden = pd.DataFrame({"item": range(0, 500, 7), "violating": answers[::7]})
    whole = consensus(votes, method=method, golden=golden)
    monkeypatch.setattr("include.consensus.dawid_skene.BLOCK", 1)  # 60 items a block: twice the reviewers
    for one, other in zip(whole, consensus(votes, method=method, golden=golden), strict=True):
        assert_frame_equal(one, other, rtol=1e-9)


def test_sorted_ids_give_what_shuffled_ids_give():
    votes, _, _, _ = simulated(12, items=300, prevalence=0.2)
    votes["item"] = (votes["item"] * 982_451_653 - 2**40).astype("int64")
    votes = votes.sort_values("item", ignore_index=True)
    shuffled = votes.sample(frac=1, random_state=3)
    for one, other in zip(*(consensus(v, method="dawid_skene") for v in (votes, shuffled)), strict=True):
        assert_frame_equal(one, other, rtol=1e-9)


def test_a_million_reviewers_of_a_few_votes_each():
    random = np.random.default_rng(0)
    n = 1_000_000
    votes = pd.DataFrame(
        {"item": random.integers(400_000, size=n), "reviewer": np.arange(n), "violating": random.random(n) < 0.05}
    )
    items, reviewers = consensus(votes, method="dawid_skene")
    assert len(reviewers) == n
    assert items["p_violating"].between(0, 1).all()
