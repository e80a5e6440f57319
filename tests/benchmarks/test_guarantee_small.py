"""The proof in small: two scenarios in which weights matter, and the ways to choose a threshold that get them wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.certificates.certify import Goal
from tests.benchmarks.bench_guarantee import Outcome, live
from tests.benchmarks.peers import hajek_normal, looks_right, plumbline, unweighted
from tests.benchmarks.worlds import EDGES, SCENARIOS, Draw, Truth, population

DAYS = 120
RECALL_DAYS = 240


@pytest.mark.parametrize("name", ["two markets", "scores fell"])
def test_promise_is_kept_where_looking_right_and_ignoring_weights_break_it(name):
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    peers = {"ours": plumbline, "looks right": looks_right, "unweighted": unweighted}
    outcomes = live(scenario, DAYS, peers, units=300_000, designs=2)
    promised = 1 - scenario.confidence
    ours = outcomes["ours"]
    assert not ours.breaks(promised), ours.cells()
    assert np.isfinite(ours.precision).mean() > 0.8  # it does not keep its promise by refusing
    assert ours.recall.mean() > 0.75
    for other in ("looks right", "unweighted"):
        assert outcomes[other].breaks(promised), (other, outcomes[other].cells())
        assert outcomes[other].missed.sum() > 2 * ours.missed.sum()


def test_our_design_keeps_97_percent_of_the_best_recall():
    """4,000 labels, 2 % violating, precision .95 at 90 %. Two bands, a quarter of the labels above .5, keep 94 %."""
    scenario = SCENARIOS[0]
    assert scenario.name == "calm"
    ours = live(scenario, RECALL_DAYS, {"ours": plumbline}, units=1_000_000, designs=12)["ours"]
    assert ours.recall.mean() >= 0.97
    rng = np.random.default_rng(5)
    world = scenario.build(rng, 1_000_000).labelled
    total, above = world["all"].score.size, (world["all"].score >= 0.5).sum()
    pi = [3_000 / (total - above), 1_000 / above]
    bands = pd.DataFrame({"market": "all", "first_bin": [0, 500], "last_bin": [499, 999], "inclusion_probability": pi})
    draw, truth = Draw(world, bands.assign(programme="audit", probability_per_view=np.nan)), Truth(world, scenario.goal)
    found = [plumbline(draw.sample(rng), scenario.goal, scenario.confidence) for _ in range(RECALL_DAYS // 3)]
    kept = [0.0 if threshold is None else truth.recall[truth.at(threshold)] / truth.oracle for threshold in found]
    assert np.mean(kept) < 0.96


def test_misses_are_counted_and_judged():
    precision = np.array([0.96, 0.95, 0.90, np.nan] * 25)
    outcome = Outcome(precision, np.ones(100), np.full(100, 10.0), target=0.95)
    assert outcome.missed.sum() == 25
    assert outcome.breaks(0.1)
    assert not outcome.breaks(0.2)
    assert outcome.interval() == pytest.approx((0.1688, 0.3466), abs=1e-4)  # Clopper-Pearson, published tables


def test_truth_is_that_of_counting():
    units = population(np.array([0.9, 0.5, 0.2, 0.5]), np.array([1, 0, 1, 1]), views=np.array([1.0, 3.0, 2.0, 4.0]))
    by_videos, by_views = Goal("precision", at_least=0.6), Goal("precision", at_least=0.6, weight="views")
    for goal, mass in ((by_videos, np.ones(4)), (by_views, units.views)):
        truth = Truth({"all": units}, goal)
        for threshold in (0.1, 0.2, 0.5, 0.501, 0.9):
            above = units.score >= threshold
            right = (mass * units.violating)[above].sum()
            assert truth.precision[truth.at(threshold)] == pytest.approx(right / mass[above].sum())
            assert truth.recall[truth.at(threshold)] == pytest.approx(right / (mass * units.violating).sum())
    assert truth.precision[-1] == 1.0  # nothing lies above, so nothing is wrong


def test_hajek_normal_is_a_weighted_mean_less_its_error():
    rng = np.random.default_rng(4)
    score, weight = rng.random(500), rng.choice([1.0, 4.0], 500)
    y = (rng.random(500) < score**0.3).astype(float)
    sample = pd.DataFrame({"score": score, "p_violating": y, "inclusion_probability": 1 / weight})
    goal = Goal("precision", at_least=0.85)
    passing = []
    for threshold in EDGES:
        w, v = weight[score >= threshold], y[score >= threshold]
        mean = np.average(v, weights=w) if w.size else np.nan
        error = np.sqrt((w**2 * (v - mean) ** 2).sum()) / w.sum() if w.size else np.nan
        if mean - 1.2815516 * error >= 0.85:
            passing.append(threshold)
    assert hajek_normal(sample, goal, 0.9) == min(passing)
