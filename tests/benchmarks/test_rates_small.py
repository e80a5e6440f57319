"""The measurement of rates in small: without the prevalence programme the violative view rate is not known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.bench_rates import GOAL, LABELS, WORLDS, live, uniform_error, without_prevalence
from tests.benchmarks.worlds import configure, population

UNITS = 600_000


def test_sampling_by_views_makes_the_rate_known():
    rng = np.random.default_rng(8)
    units = WORLDS[0].build(rng, UNITS)
    config = configure({"all": float(LABELS)}, GOAL, 0.9)
    uniform = uniform_error(units, LABELS)
    ours = live(units, 60, config, rng, designs=2)
    alone = live(units, 30, without_prevalence(config), rng, designs=1)
    assert ours.labels.mean() == pytest.approx(LABELS, rel=0.02)
    assert alone.labels.mean() == pytest.approx(LABELS, rel=0.02)
    assert ours.truth == pytest.approx(0.003, rel=0.3)
    assert uniform / ours.error > 5  # 8 and more in the large measurement: the fewer the videos, the lighter the tail
    assert uniform / alone.error < 4
    assert ours.covered >= 0.85 * ours.stated
    assert ours.stated == 60


def test_uniform_error_is_that_of_counting():
    rng = np.random.default_rng(3)
    violating = rng.random(2_000) < 0.1
    units = population(rng.random(2_000), violating, views=rng.integers(1, 50, 2_000).astype(float))
    drawn = rng.integers(0, 2_000, (4_000, 400))
    ratios = (units.views * units.violating)[drawn].sum(axis=1) / units.views[drawn].sum(axis=1)
    truth = units.views @ units.violating / units.views.sum()
    assert uniform_error(units, 400) == pytest.approx(np.std(ratios) / truth, rel=0.06)
