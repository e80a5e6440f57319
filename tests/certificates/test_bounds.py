"""The exact test: against the binomial, against its own definition, and against the level it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from include.certificates.bounds import binomial_lower_bound, binomial_p_value, mean_p_value


@pytest.mark.parametrize(
    ("k", "n", "target"),
    [(1, 1, 0.5), (45, 45, 0.95), (98, 100, 0.95), (965, 1000, 0.95), (60, 100, 0.5), (2900, 3000, 0.96), (0, 7, 0.1)],
)
def test_equal_weights_and_binary_labels_are_the_exact_binomial(k, n, target):
    expected = stats.binomtest(k, n, target, alternative="greater").pvalue
    assert binomial_p_value(k, n, target) == pytest.approx(expected, rel=1e-9)
    values = np.repeat([1.0 - target, -target], [k, n - k])
    assert mean_p_value(values, target) == pytest.approx(expected, rel=1e-6)
    assert mean_p_value(40.0 * values, 40.0 * target) == pytest.approx(expected, rel=1e-6)


def test_lower_bound_is_clopper_pearson():
    from statsmodels.stats.proportion import proportion_confint

    for k, n in [(0, 5), (3, 5), (5, 5), (380, 400)]:
        low, _ = proportion_confint(k, n, alpha=0.2, method="beta")  # two-sided 80 % has the one-sided 90 % limit
        assert binomial_lower_bound(k, n, 0.9) == pytest.approx(low, abs=1e-12)


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
def test_unequal_weights_follow_the_definition(spread):
    rng = np.random.default_rng(7)
    weight = np.exp(spread * rng.standard_normal(60))
    for labels in ((rng.random(60) < 0.9).astype(float), rng.random(60)):
        values, floor = weight * (labels - 0.6), 0.6 * weight.max()
        draws = rng.exponential(size=(200_000, 61))
        by_definition = np.mean(draws[:, 1:] @ values <= floor * draws[:, 0])
        assert mean_p_value(values, floor) == pytest.approx(by_definition, abs=4e-3)


@pytest.mark.parametrize("gain", [0.02, 0.3, 1.0, 5.0, 60.0])
@pytest.mark.parametrize("n", [1, 8, 40])
def test_level_is_kept_exactly_for_two_point_values(n, gain):
    """Values are `gain` or -1 with mean 0: every outcome is enumerated, so no Monte-Carlo error hides a failure."""
    lucky = 1.0 / (1.0 + gain)
    p = np.array([mean_p_value(np.repeat([gain, -1.0], [k, n - k]), 1.0) for k in range(n + 1)])
    chance = stats.binom.pmf(np.arange(n + 1), n, lucky)
    for level in (0.01, 0.05, 0.1, 0.3):
        assert chance[p <= level].sum() <= level + 1e-9


def test_level_is_kept_for_three_point_values():
    """Two weights, ten to one: the rare heavy loss is what a normal interval overlooks."""
    n, chance = 80, np.array([0.86, 0.1, 0.04])
    values = np.array([0.05 / 0.86, -0.1, -1.0])  # mean 0
    floor, missed = -values.min(), 0.0
    for heavy in range(n + 1):
        for light in range(n + 1 - heavy):
            counts = [n - heavy - light, light, heavy]
            if mean_p_value(np.repeat(values, counts), floor) <= 0.1:
                missed += stats.multinomial.pmf(counts, n, chance)
    assert 0.0 < missed <= 0.1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), min_size=1, max_size=30),
    st.floats(0.05, 0.9),
    st.floats(0.01, 0.09),
)
def test_p_value_rises_with_the_target(rows, target, step):
    weight, y = np.array(rows).T
    p = [mean_p_value(weight * (y - t), t * weight.max()) for t in (target, target + step)]
    assert 0.0 <= p[0] <= p[1] + 1e-7 <= 1.0 + 1e-7


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 15, 16, 17, 133, 2000]), st.floats(0.1, 3.0))
def test_values_that_all_differ_are_multiplied_out_exactly(seed, n, spread):
    rng = np.random.default_rng(seed)
    target, weight = rng.uniform(0.05, 0.97), np.exp(spread * rng.standard_normal(n))
    values, floor = weight * ((rng.random(n) < target**0.8) - target), target * weight.max()
    one_by_one = mean_p_value(values, floor, copies=1.0 + 1e-13)  # a weight that is not 1 takes logarithms of them all
    assert mean_p_value(values, floor) == pytest.approx(one_by_one, rel=1e-9, abs=1e-14)


def test_copies_are_copies():
    values = np.array([0.3, -0.5, 1.2, 0.1, -0.2])
    assert mean_p_value(values, 0.7, copies=3.0) == pytest.approx(mean_p_value(np.tile(values, 3), 0.7), rel=1e-9)


def test_nothing_in_favour_is_no_evidence():
    assert mean_p_value(np.array([]), 1.0) == 1.0
    assert mean_p_value(np.array([-0.2, 0.0]), 1.0) == 1.0


@pytest.mark.parametrize("n", [3, 30, 3000])
def test_extreme_inputs_stay_probabilities(n):
    rng = np.random.default_rng(1)
    weight = rng.pareto(0.6, n) + 1e-6  # infinite mean
    p = mean_p_value(weight * (rng.random(n) - 0.4), 0.4 * weight.max())
    assert 0.0 <= p <= 1.0
    assert mean_p_value(np.full(n, 1.0), 1e-9) < 1e-6
    assert mean_p_value(np.append(np.full(n, -1.0), 1e-9), 1.0) > 0.99
