"""Certified thresholds: against oracles, against the promise, and against bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from include.certificates.bounds import mean_p_value
from include.certificates.certify import EXACT_BINOMIAL, EXACT_WEIGHTED, Goal, certify, curve, weights
from tests.untested import real_data

pytestmark = pytest.mark.slow


BY_VIEWS = Goal("precision", at_least=0.9, weight="views")


def decide(sample, goal, confidence=0.9, candidates=None):
    return certify(sample, goal, confidence=confidence, candidates=candidates)


def frame(score, y, pi=0.2, views=None):
    data = {"score": score, "p_violating": np.asarray(y, dtype=float), "inclusion_probability": pi}
    return pd.DataFrame(data if views is None else data | {"views": views})


def draw(rng, n, slope=12.0, middle=0.3):
    score = rng.random(n)
    return score, (rng.random(n) < 1.0 / (1.0 + np.exp(-slope * (score - middle)))).astype(float)


def goal_of(metric, share, weight=None):
    if metric == "false_positive_rate":
        return Goal(metric, at_most=1.0 - share, weight=weight)
    return Goal(metric, at_least=share, weight=weight)


def risk(decision, metric):
    """Low is risky; a refusal is safest."""
    if decision.threshold is None:
        return np.inf
    return -decision.threshold if metric == "recall" else decision.threshold


# Oracles ----------------------------------------------------------------------------------------------------------


def test_equal_weights_agree_with_mapie():
    from mapie.risk_control import BinaryClassificationController

    score, y = draw(np.random.default_rng(3), 700)
    grid = np.arange(1, 100) / 100
    goal = Goal("precision", at_least=0.9)
    decision = decide(frame(score, y), goal, candidates=grid)
    table = curve(frame(score, y), goal, confidence=0.9, candidates=grid)
    first = table.threshold[table.certified].max()  # MAPIE's fixed sequence is told where to start
    controller = BinaryClassificationController(
        lambda x: np.column_stack([1 - x, x]),
        risk="precision",
        target_level=0.9,
        confidence_level=0.9,
        list_predict_params=grid[grid <= first][::-1],
        fwer_method="fixed_sequence",
    )
    with pytest.warns(UserWarning, match="monotonic risk"):
        controller.calibrate(score, y.astype(int))
    assert decision.threshold == np.min(controller.valid_predict_params)
    assert decision.method == EXACT_BINOMIAL


def test_bound_is_clopper_pearson_where_weights_are_equal():
    from statsmodels.stats.proportion import proportion_confint

    score, y = draw(np.random.default_rng(5), 900)
    decision = decide(frame(score, y), Goal("precision", at_least=0.85), confidence=0.95)
    above = score >= decision.threshold
    low, _ = proportion_confint(int(y[above].sum()), int(above.sum()), alpha=0.1, method="beta")
    assert decision.bound == pytest.approx(low, abs=1e-9)
    assert decision.estimate == pytest.approx(y[above].mean())
    assert decision.n == above.sum()


@pytest.mark.parametrize("metric", ["precision", "recall", "false_positive_rate"])
@pytest.mark.parametrize("seed", range(4))
def test_search_is_the_plain_fixed_sequence(metric, seed):
    """The search passes many candidates at once; testing each one in turn must end at the same place."""
    rng = np.random.default_rng(seed)
    score, y = draw(rng, 300)
    y = np.clip(y + rng.normal(0, 0.05, 300), 0, 1)
    pi = np.where(score > 0.5, 0.4, 0.1 + 0.3 * rng.random(300))
    share = 0.8
    sample, goal = frame(score, y, pi), goal_of(metric, share)
    decision = decide(sample, goal)
    assert decision.threshold is not None
    assert decision.method == EXACT_WEIGHTED

    def passes(t: float) -> bool:
        a, w = (score >= t).astype(float), 1 / pi
        values, against = {
            "precision": (a * (y - share), a > 0),
            "recall": (y * (a - share), a == 0),
            "false_positive_rate": ((1 - y) * ((1 - a) - share), a > 0),
        }[metric]
        return mean_p_value(w * values, share * w[against].max()) <= 0.1

    riskier = np.sort(score)[:: 1 if metric == "recall" else -1]
    at = int(np.flatnonzero(riskier == decision.threshold)[0])
    assert passes(riskier[at])
    assert not passes(riskier[at + 1])
    table = curve(sample, goal, confidence=0.9, candidates=score)
    assert all(passes(t) for t in table.threshold[table.certified])


def test_curve_shows_the_decision_and_the_approximate_interval():
    rng = np.random.default_rng(2)
    score, y = draw(rng, 800)
    pi = np.where(score > 0.6, 0.5, 0.1)
    sample, goal = frame(score, y, pi), Goal("false_positive_rate", at_most=0.2)
    decision, table = decide(sample, goal), curve(sample, goal, confidence=0.9)
    row = table[table.threshold == decision.threshold].iloc[0]
    assert table.threshold.is_monotonic_increasing
    assert row.certified
    assert table.threshold[table.certified].min() == decision.threshold
    assert row.estimate == pytest.approx(decision.estimate)
    assert row.bound == pytest.approx(decision.bound, abs=1e-4)
    w, a = (1 - y) / pi, score >= decision.threshold
    rate = (w * a).sum() / w.sum()
    half = 1.6448536 * np.sqrt((w**2 * (a - rate) ** 2).sum()) / w.sum()
    assert (row.approximate_low, row.approximate_high) == pytest.approx((rate - half, rate + half))


# The promise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "share", "design", "weight"),
    [
        ("precision", 0.9, "equal", None),
        ("precision", 0.9, "bands", None),
        ("precision", 0.85, "views", "views"),
        ("recall", 0.5, "bands", None),
        ("false_positive_rate", 0.99, "bands", None),
    ],
)
def test_misses_stay_at_or_below_the_promised_rate(metric, share, design, weight):
    """200 days from a population whose truth is known; a tenth may miss, and four standard errors."""
    rng = np.random.default_rng(11)
    n = 60_000
    y = rng.random(n) < 0.08
    score = 1 / (1 + np.exp(-1.7 * (rng.standard_normal(n) + 3.2 * y - 2.2)))  # not a probability
    order = np.argsort(-score)
    score, y = score[order], y[order]
    views = np.ceil(np.exp(0.7 * rng.standard_normal(n)))
    relative = {
        "equal": np.where(score > 0.5, 1.0, 0.02),
        "bands": np.where(score > 0.8, 0.5, np.where(score > 0.5, 1.0, 0.05)),
        "views": np.minimum(views, 20) * np.where(score > 0.5, 1.0, 0.02),
    }[design]
    pi = np.minimum(1.0, relative * 1_000 / relative.sum())
    mass = views if weight else np.ones(n)
    bad, good = np.cumsum(mass * y), np.cumsum(mass * ~y)
    ratio = {"precision": bad / (bad + good), "recall": bad / bad[-1], "false_positive_rate": 1 - good / good[-1]}[
        metric
    ]
    certified, missed = 0, 0.0
    for _ in range(200):
        drawn = rng.random(n) < pi
        sample = frame(score[drawn], y[drawn], pi[drawn], views[drawn])
        decision = decide(sample, goal_of(metric, share, weight))
        if decision.threshold is not None:
            certified += 1
            missed += ratio[np.searchsorted(-score, -decision.threshold, side="right") - 1] < share
    assert certified > 100
    assert missed / 200 <= 0.1 + 4 * np.sqrt(0.1 * 0.9 / 200)


def test_a_looking_right_threshold_would_have_missed():
    """The same kind of days break the naive rule, so the test above can fail."""
    rng = np.random.default_rng(1)
    missed: float = 0
    for _ in range(200):
        score = rng.random(400)
        y = rng.random(400) < 0.5 + 0.5 * score  # precision above t: 0.75 + t / 4, so 0.9 needs t >= 0.6
        order = np.argsort(-score)
        looks_right = np.cumsum(y[order]) / np.arange(1, 401) >= 0.9
        missed += looks_right.any() and score[order][np.flatnonzero(looks_right)[-1]] < 0.6
    assert missed > 60


def test_recall_given_up_is_small_where_the_design_is_good():
    """4,000 labels of a million, 2 % violating, precision .95 at 90 %: 97 % of the best recall there is, on average."""
    rng = np.random.default_rng(8)
    n, distance, low, cut = 10**6, 3.545, 1.5, 16_000  # only the 80,000 or so units above `low` are drawn
    kept = []
    for _ in range(100):
        violating = rng.binomial(n, 0.02)
        others = rng.binomial(n - violating, stats.norm.sf(low))
        top = np.append(
            rng.standard_normal(violating) + distance, stats.norm.isf(rng.random(others) * stats.norm.sf(low))
        )
        order = np.argsort(-top)
        score, y = 1 / (1 + np.exp(-2.2 * (top[order] - 3.0))), order < violating
        found = np.cumsum(y)
        best = found[np.flatnonzero(found / np.arange(1, y.size + 1) >= 0.95)[-1]]
        pi = np.where(np.arange(y.size) < cut, 3_400 / cut, 600 / (n - cut))
        drawn = rng.random(y.size) < pi
        sample = frame(score[drawn], y[drawn], pi[drawn])
        decision = decide(sample, Goal("precision", at_least=0.95))
        kept.append(found[np.sum(score >= decision.threshold) - 1] / best)
    assert np.mean(kept) >= 0.97


# Properties -------------------------------------------------------------------------------------------------------

rows = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def samples(draw_) -> pd.DataFrame:
    rng = draw_(rows)
    n = draw_(st.sampled_from([20, 80, 200, 400]))
    score = np.round(rng.random(n), draw_(st.sampled_from([1, 2, 6])))
    chance = 1 / (1 + np.exp(-draw_(st.sampled_from([3.0, 10.0, 30.0])) * (score - draw_(st.floats(-0.3, 0.6)))))
    y = (rng.random(n) < chance).astype(float)
    if draw_(st.booleans()):
        y = np.clip(y + rng.normal(0, 0.1, n), 0, 1)
    pi = {
        "equal": np.full(n, 0.3),
        "bands": np.where(score > 0.7, 0.1, np.where(score > 0.4, 0.4, 0.05)),
        "any": np.exp(-np.abs(rng.standard_normal(n))),
    }[draw_(st.sampled_from(["equal", "bands", "any"]))]
    return frame(score, y, pi, rng.integers(0, 50, n))


metrics = st.sampled_from(["precision", "recall", "false_positive_rate"])
levels = st.sampled_from([0.5, 0.7, 0.8, 0.9, 0.95, 0.99])


@settings(max_examples=60, deadline=None)
@given(samples(), metrics, st.tuples(levels, levels), levels, st.sampled_from([None, "views"]))
def test_stricter_targets_are_never_riskier(sample, metric, shares, confidence, weight):
    goals = [goal_of(metric, share, weight) for share in sorted(shares)]
    lax, strict = (decide(sample, goal, confidence=confidence) for goal in goals)
    assert risk(lax, metric) <= risk(strict, metric)


@settings(max_examples=60, deadline=None)
@given(samples(), metrics, levels, levels, levels)
def test_more_confidence_is_never_riskier(sample, metric, share, a, b):
    lax, strict = (decide(sample, goal_of(metric, share), confidence=c) for c in sorted((a, b)))
    assert risk(lax, metric) <= risk(strict, metric)


@settings(max_examples=40, deadline=None)
@given(samples(), metrics, levels, st.integers(0, 99))
def test_row_order_is_irrelevant(sample, metric, share, seed):
    goal = goal_of(metric, share)
    shuffled = sample.sample(frac=1.0, random_state=seed)
    assert decide(sample, goal) == decide(shuffled, goal)


@settings(max_examples=60, deadline=None)
@given(samples(), metrics, levels, levels)
def test_a_decision_is_a_threshold_or_a_refusal(sample, metric, share, confidence):
    goal = goal_of(metric, share)
    decision = decide(sample, goal, confidence=confidence)
    assert (decision.threshold is None) != (decision.refusal is None)
    if decision.threshold is not None:
        assert decision.labels_needed is None
        assert 1 - decision.bound >= 1 - goal.at_most - 1e-9 if goal.at_most else decision.bound >= share
    if decision.labels_needed is not None:
        assert f"needs about {decision.labels_needed} more label" in decision.refusal


# Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("metric", "share"), [("precision", 0.97), ("recall", 0.993)])
def test_the_labels_asked_for_would_decide_it(metric, share):
    """With as many more labels of the same kind it certifies, with half as many it does not."""
    score = np.repeat([0.9, 0.1], [240, 30])
    y = np.append(np.arange(240) % 60 != 30, np.zeros(30))  # one wrong in 60; nothing violating below
    sample, goal = frame(score, y), goal_of(metric, share)
    refused = decide(sample, goal, confidence=0.95)
    basis = sample[sample.score > 0.5] if metric == "precision" else sample
    for part, decided in ((1.05, True), (0.5, False)):
        times = 1 + part * refused.labels_needed / len(basis)
        more = pd.concat([sample, *[basis] * (int(times) - 1), basis.iloc[: int(times % 1 * len(basis))]])
        assert (decide(more, goal, confidence=0.95).threshold is not None) == decided


def test_refusal_names_labels_and_score():
    goal = Goal("precision", at_least=0.95)
    refused = decide(frame(np.linspace(0.8, 0.9, 20), np.ones(20)), goal)
    assert refused.threshold is None
    assert refused.labels_needed_above == pytest.approx(0.8)
    needed = refused.labels_needed
    assert 25 <= needed <= 45  # 45 labels without an error certify .95 at 90 %; half an error is allowed for
    assert refused.refusal.startswith(f"needs about {needed} more labels above 0.8 for a precision of at least 0.95")
    assert refused.bound < 0.95 < refused.estimate
    for more, certified in ((needed, True), (needed - 2, False)):
        sample = frame(np.linspace(0.8, 0.9, 20 + more), np.ones(20 + more))
        assert (decide(sample, goal).threshold is not None) == certified


def test_out_of_reach_is_said_and_priced_at_nothing():
    rng = np.random.default_rng(6)
    score = rng.random(2_000)
    decision = decide(frame(score, rng.random(2_000) < 0.5), Goal("precision", at_least=0.99))
    assert decision.threshold is None
    assert decision.labels_needed is None
    assert "out of reach at any threshold" in decision.refusal
    assert decision.estimate < 0.99


def test_a_bad_top_is_named():
    score = np.linspace(0.0, 1.0, 2_000)
    y = score < 0.9  # the highest scores are wrong, the rest right
    decision = decide(frame(score, y), Goal("precision", at_least=0.8))
    assert decision.threshold is None
    assert decision.labels_needed is None
    assert "fails among the highest scores" in decision.refusal


@pytest.mark.parametrize("metric", ["precision", "recall", "false_positive_rate"])
@pytest.mark.parametrize(
    ("score", "y", "said"),
    [
        ([], [], "holds no label"),
        ([0.9], [1], None),
        ([0.9], [0], None),
        ([0.5] * 3_000, [0] * 3_000, None),
        (np.linspace(0, 1, 500), np.zeros(500), None),
        (np.linspace(0, 1, 30), np.full(30, 0.5), None),
    ],
)
def test_hopeless_samples_are_refused_by_name(metric, score, y, said):
    decision = decide(frame(np.asarray(score, dtype=float), y), goal_of(metric, 0.95))
    if metric == "false_positive_rate" and len(score) and not np.any(y) and len(np.unique(score)) > 1:
        assert decision.threshold > 0.95  # nothing is violating: only the very top keeps 95 % of it
        return
    assert decision.threshold is None
    assert decision.refusal
    assert said is None or said in decision.refusal


@pytest.mark.parametrize(
    ("metric", "y", "kind"), [("recall", 0.0, "violating"), ("false_positive_rate", 1.0, "non-viol")]
)
def test_no_positives_or_no_negatives(metric, y, kind):
    decision = decide(frame(np.linspace(0, 1, 200), np.full(200, y)), goal_of(metric, 0.9))
    assert f"none of 200 labels is {kind}" in decision.refusal


def test_thousands_of_ties_are_one_candidate():
    score = np.append(np.full(4_000, 0.7), np.full(400, 0.9))
    y = np.append(np.arange(4_000) % 2, np.ones(400))
    decision = decide(frame(score, y), Goal("precision", at_least=0.95))
    assert decision.threshold == 0.9
    assert decision.n == 400


def test_one_stratum_never_certifies_scores_it_has_not_seen():
    sample = frame(np.linspace(0.8, 1.0, 400), np.ones(400))
    decision = decide(sample, Goal("precision", at_least=0.9), candidates=np.arange(1, 100) / 100)
    assert decision.threshold == 0.8
    assert decide(sample, Goal("precision", at_least=0.9), candidates=[0.1, 0.2]).threshold == 0.2


def test_what_single_videos_are_viewed_beyond_the_cap_counts_as_wrong():
    """All labels are right; what one video is viewed is believed up to what others are viewed as well."""
    views, score = np.concatenate([np.full(879, 100), np.full(20, 300), [1_200]]), np.linspace(0.5, 1, 900)
    goal = Goal("precision", at_least=0.9, weight="views")
    found = decide(frame(score, np.ones(900), 0.5, views), goal)
    assert found.threshold == 0.5
    beyond = 900 / (87_900 + 6_000 + 1_200)  # 0.9 % of the views
    assert 0.97 < found.bound <= 1 - beyond
    cells = curve(frame(score, np.ones(900), 0.5, views), goal, confidence=0.9, candidates=[0.5])
    assert cells["estimate"].tolist() == [1.0]
    assert cells["bound"].iloc[0] == pytest.approx(found.bound, abs=2e-4)
    strict = decide(frame(score, np.ones(900), 0.5, views), Goal("precision", at_least=0.993, weight="views"))
    assert strict.threshold is None or strict.threshold > 0.5
    assert decide(frame(score, np.ones(900), 0.5, np.full(900, 100)), goal).bound > found.bound


def test_a_tail_that_no_sample_bounds_is_refused_by_name():
    """A fifth of the views are of one rightly removed video: nobody knows what the next such video is."""
    views = np.append(np.full(899, 100), 22_000)
    found = decide(frame(np.append(np.linspace(0.5, 0.9, 899), 0.95), np.ones(900), 0.5, views), BY_VIEWS)
    assert found.threshold is None
    assert "view-weighted precision of at least 0.9 cannot be judged" in found.refusal
    assert "no sample bounds how often the next such video is wrong" in found.refusal
    assert found.labels_needed is None


def test_weights_by_views_stop_at_the_cap():
    sample = frame(np.full(4, 0.9), np.ones(4), [0.5, 0.5, 0.25, 1.0], np.array([1.0, 1.0, 1.0, 1e6]))
    assert weights(sample, by_views=False).tolist() == [2, 2, 4, 1]
    assert weights(sample, by_views=True)[:3].tolist() == [2, 2, 4]
    assert weights(sample, by_views=True)[3] in (1.0, 1e6)


def test_views_that_dominate_are_not_hidden_by_many_small_videos():
    """One wrong video carries most views: right by videos, wrong by views."""
    views = np.append(np.ones(500), 5_000)
    sample = frame(np.append(np.linspace(0.5, 1, 500), 0.9), np.append(np.ones(500), 0), 0.5, views)
    assert decide(sample, Goal("precision", at_least=0.9)).threshold == 0.5
    by_views = decide(sample, Goal("precision", at_least=0.9, weight="views"))
    assert by_views.threshold is None or by_views.threshold > 0.9


# Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("inclusion_probability", 0.0),
        ("inclusion_probability", -0.1),
        ("inclusion_probability", 1.1),
        ("inclusion_probability", np.nan),
        ("score", -0.01),
        ("score", 1.01),
        ("score", np.nan),
        ("p_violating", 1.5),
        ("p_violating", -1.0),
        ("p_violating", np.nan),
        ("views", -1.0),
        ("views", np.inf),
        ("views", np.nan),
    ],
)
def test_bad_values_name_column_and_row(column, value):
    sample = frame(np.linspace(0, 1, 5), [0, 0, 1, 1, 1], views=np.ones(5)).set_index(pd.Index(list("abcde")))
    sample.loc["d", column] = value
    with pytest.raises(ValueError, match=rf"{column}: .* row 'd'"):
        decide(sample, Goal("precision", at_least=0.9, weight="views"))


def test_missing_and_textual_columns_are_named():
    sample = frame([0.1, 0.9], [0, 1])
    with pytest.raises(ValueError, match="views: the sample has no such column"):
        decide(sample, Goal("precision", at_least=0.9, weight="views"))
    with pytest.raises(ValueError, match="score: not a column of numbers"):
        decide(sample.assign(score=["low", "high"]), Goal("precision", at_least=0.9))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"metric": "precision", "at_least": 1.0}, "at_least"),
        ({"metric": "recall", "at_least": 0.0}, "at_least"),
        ({"metric": "recall", "at_least": float("nan")}, "at_least"),
        ({"metric": "false_positive_rate", "at_most": 0.0}, "at_most"),
        ({"metric": "false_positive_rate", "at_least": 0.9}, "at_most"),
        ({"metric": "precision", "at_most": 0.9}, "at_least"),
        ({"metric": "precision", "at_least": 0.9, "at_most": 0.9}, "at_least"),
        ({"metric": "accuracy", "at_least": 0.9}, "metric"),
        ({"metric": "precision", "at_least": 0.9, "weight": "likes"}, "weight"),
    ],
)
def test_bad_goals_name_the_argument(arguments, named):
    with pytest.raises(ValueError, match=rf"^{named}:"):
        Goal(**arguments)


def test_bad_confidence_and_candidates():
    sample, goal = frame([0.1, 0.9], [0, 1]), Goal("precision", at_least=0.9)
    for confidence in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="confidence"):
            decide(sample, goal, confidence=confidence)
    for candidates in ([0.5, 1.5], [float("nan")]):
        with pytest.raises(ValueError, match="candidates"):
            decide(sample, goal, candidates=candidates)


# Size and real data -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [(0.1, 0.2), (0.05, 0.1, 0.15, 0.2, 0.3)])
def test_the_search_takes_few_exact_tests(monkeypatch, spread):
    """Small cells in the slow case, fractional labels of unequal weight: far fewer tests than candidates, the bound's
    included.
    """
    tests: list[int] = []

    def counted(*given, **more) -> float:
        tests.append(1)
        return mean_p_value(*given, **more)

    monkeypatch.setattr("include.certificates.certify.mean_p_value", counted)
    rng = np.random.default_rng(9)
    grid, goal, certified = np.arange(1000) / 1000, Goal("precision", at_least=0.8), 0
    for _ in range(60):
        score, y = draw(rng, 133, slope=25.0)
        cell = frame(score, np.clip(y, 0.02, 0.97), rng.choice(spread, 133))
        certified += decide(cell, goal, candidates=grid).threshold is not None
    assert certified > 30
    assert len(tests) / 60 < 55


def test_real_classifiers_get_their_own_threshold_or_a_refusal():
    """Perspective is certified, or priced, for each platform apart; Davidson reaches no target and is refused."""
    hot = real_data("hot")
    votes = pd.read_csv(hot / "votes.csv").groupby("item_id").toxic.mean()
    items = pd.read_csv(hot / "scores.csv").set_index("item_id").join(votes)
    found = {}
    for platform, cell in items.groupby("platform"):
        for consensus in ((cell.toxic > 0.5).astype(float), cell.toxic):
            for target in (0.6, 0.7):
                goal = Goal("precision", at_least=target)
                certified = decide(frame(cell.perspective_score, consensus, 0.01), goal)
                if certified.threshold is None:
                    assert certified.labels_needed is None or certified.labels_needed > 0
                else:
                    above = cell.perspective_score >= certified.threshold
                    assert consensus[above].mean() > target
                refused = decide(frame(cell.davidson_score, consensus, 0.01), goal)
                assert refused.threshold is None
                assert "out of reach" in refused.refusal
        majority = frame(cell.perspective_score, (cell.toxic > 0.5).astype(float), 0.01)
        found[platform] = decide(majority, Goal("precision", at_least=0.6))
    thresholds = {platform: decision.threshold for platform, decision in found.items() if decision.threshold}
    assert len(set(thresholds.values())) == len(thresholds) >= 2
