"""Whether chance alone may have put a count outside its limit, over all the cells that are judged at once.

A cell of twenty rows a day has ten of them now and then though nothing is wrong. A count counts as outside only where
chance would put it there once in FALSE_ALARM days, all cells of the day together (Bonferroni's inequality: the
probability of each, times their number, bounds that of any).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FALSE_ALARM = 1e-4
"""Probability that a day of cells that all keep the limit exactly has any outside it. Those that keep it with room, as
clean cells do, have far less."""


def fewer_than_chance(counts: ArrayLike, limits: ArrayLike) -> NDArray[np.bool_]:
    """Which counts are too small for Poisson counts of mean `limits` or more.

    Args:
        counts: one a cell, whole numbers >= 0.
        limits: the least mean allowed, one a cell, >= 0; NaN: the cell is not judged.
    """
    from scipy.stats import poisson

    means = np.asarray(limits, dtype=float)
    return _few(poisson.cdf(np.asarray(counts, dtype=float), means), means)


def more_than_chance(counts: ArrayLike, limits: ArrayLike) -> NDArray[np.bool_]:
    """Which counts are too large for Poisson counts of mean `limits` or less; the same arguments."""
    from scipy.stats import poisson

    means = np.asarray(limits, dtype=float)
    return _few(poisson.sf(np.asarray(counts, dtype=float) - 1, means), means)


def shares_beyond_chance(counts: ArrayLike, wholes: ArrayLike, limit: float) -> NDArray[np.bool_]:
    """Which counts are too large for binomial counts among `wholes` of a share of at most `limit`, in [0, 1].

    Args:
        counts, wholes: one a cell, whole numbers, 0 <= counts; wholes that are 0 or NaN: the cell is not judged.
    """
    from scipy.stats import binom

    trials = np.asarray(wholes, dtype=float)
    judged = np.where(trials > 0, trials, np.nan)
    return _few(binom.sf(np.asarray(counts, dtype=float) - 1, np.round(judged), limit), judged)


def _few(tails: NDArray[np.float64], judged: NDArray[np.float64]) -> NDArray[np.bool_]:
    there = ~np.isnan(judged)
    return there & (np.where(there, tails, 1.0) < FALSE_ALARM / max(int(there.sum()), 1))
