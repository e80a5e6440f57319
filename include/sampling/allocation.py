"""Allocation of a budget of labels: over strata (Neyman), under floors and caps, and over those who share it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def neyman(population: Array, deviation: Array, cost: Array, budget: float) -> Array:
    """Labels per stratum that minimise the variance of an estimated total at a given cost.

    n_h ~ N_h S_h / sqrt(c_h), scaled so that sum c_h n_h = budget (Cochran, Sampling Techniques, 1977, sec. 5.5).

    `population`: N_h >= 0. `deviation`: S_h >= 0, the standard deviation within the stratum, sqrt(p(1-p)) for a
    proportion. `cost`: c_h > 0 per label. `budget`: in the unit of `cost`. All of shape (strata,), as is the result,
    which is not rounded. Raises ValueError if no stratum has both a population and a deviation.
    """
    wanted = population * deviation / np.sqrt(cost)
    spent = float(np.sum(wanted * cost))
    if not spent > 0:
        raise ValueError("neyman: no stratum has a population and a deviation above 0")
    return wanted * budget / spent


def inclusion_probabilities(population: Array, base: Array, floor: Array, labels: float) -> Array:
    """Inclusion probabilities min(1, max(floor_h, a base_h)) with the a at which sum N_h pi_h is `labels`.

    `population` > 0, `base` > 0 and `floor` in [0, 1], all of shape (strata,). If the floors alone exceed `labels` they
    are lowered by one factor; if `labels` reaches the population every probability is 1. sum N_h pi_h never exceeds
    `labels`.
    """
    if labels >= population.sum():
        return np.ones_like(population)
    reserved = float(population @ floor)
    if reserved >= labels:
        return floor * (labels / reserved)

    def at(scale: Array | float) -> Array:
        return np.minimum(1.0, np.maximum(floor, np.multiply.outer(scale, base)))

    return at(_reaching(labels, np.concatenate([floor / base, 1 / base]), lambda scales: at(scales) @ population))


def share_out(wanted: Array, weight: Array, budget: float) -> Array:
    """Max-min fair shares min(wanted_i, a weight_i) of `budget`: what one cannot use goes to the others.

    `wanted` >= 0 and `weight` > 0, of shape (claimants,). The shares never add up to more than `budget`.
    """
    if wanted.sum() <= budget:
        return wanted.copy()

    def at(level: Array | float) -> Array:
        return np.minimum(wanted, np.multiply.outer(level, weight))

    return at(_reaching(budget, wanted / weight, lambda levels: at(levels).sum(axis=1)))


class Search:
    """The largest x in (0, most] that was tried whose f(x) does not exceed `goal`, for an increasing f with f(x) <= x,
    which is expensive and about concave: it asks for a few values, one after the other. `ended` within TOLERANCE.

    `at`: where the value is asked for next; `all_of_it`: begin with `most`, else with x = `goal`, which is low enough.
    Steps are along the chord through the last two points, on a logarithmic scale, to just below the goal: where f is
    concave they stay below it.
    """

    def __init__(self, goal: float, *, most: float, all_of_it: bool) -> None:
        self.goal, self.most = goal, most
        self.at = most if all_of_it else min(goal, most)
        self.ended = False
        self._last: tuple[float, float] | None = None
        self._best = -1.0

    def found(self, value: float) -> bool:
        """Takes f(`at`), and says whether it is the best so far; the first always is."""
        best = self._best < value <= self.goal * (1 + 1e-9) or self._best < 0
        self._best = value if best else self._best
        filled = self.goal * (1 - TOLERANCE) <= value <= self.goal * (1 + 1e-9)
        self.ended = filled or value <= 0 or (self.at == self.most and value <= self.goal)
        if not self.ended:
            slope = 1.0
            if self._last is not None and self._last[0] != self.at:
                slope = math.log(value / self._last[1]) / math.log(self.at / self._last[0])
            self._last = (self.at, value)
            aim = self.goal * (1 - TOLERANCE / 2)
            self.at = min(self.most, self.at * (aim / value) ** (1 / min(max(slope, 0.1), 1.0)))
        return best


TOLERANCE = 0.01
"""How far below the goal a search may end, as a share of it."""


def _reaching(goal: float, corners: Array, total: Callable[[Array], Array]) -> float:
    """The x >= 0 with total(x) = `goal`, for a non-decreasing `total` that is linear between 0 and the `corners` and
    reaches the goal at the last of them. It takes and gives shape (values,).
    """
    x = np.append(0.0, np.sort(corners))
    reached = total(x)
    after = min(int(np.searchsorted(reached, goal)), len(x) - 1)
    if after == 0 or reached[after] <= goal:
        return float(x[after])
    low, high = reached[after - 1], reached[after]
    return float(x[after - 1] + (x[after] - x[after - 1]) * (goal - low) / (high - low))
