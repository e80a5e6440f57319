"""Intervals of a proportion estimated from unequally weighted labels: approximate, so no certificate rests on one."""

from __future__ import annotations

from scipy import special


def korn_graubard(value: float, effective_n: float, *, level: float) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval of a proportion, with an effective sample size in place of n.

    Args:
        value: the estimate, in [0, 1].
        effective_n: labels of equal weight that would tell as much, > 0.
        level: of the interval, in (0, 1).

    Source: E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Survey Methodology 24 (1998) 193-201.
    """
    hits, misses, tail = effective_n * value, effective_n * (1 - value), (1 - level) / 2
    low = float(special.betaincinv(hits, misses + 1, tail)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return low, high
