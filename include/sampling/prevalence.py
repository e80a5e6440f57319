"""The prevalence programme: what the violative view rate asks for and the audit, which ignores views, does not give.

A label's part in the violative view rate is views x (truth - expectation), so the best inclusion probability is
proportional to views x the expected deviation sqrt(p (1 - p)) (Sarndal, Swensson and Wretman, Model Assisted Survey
Sampling, 1992, sec. 3.6.1). Within a stratum, a band of scores with about one p, that is min(1, b_h x views).

It stays below the candidate action region, where a certificate that counts videos asks for equal probabilities. Where a
policy's goals count views it draws everywhere: what holds most views is then in the sample, and no label stands for so
many that a certificate fails by it. A label of stratum h
stands for at most 1 / b_h views; since `defensive_share` of the labels goes by views alone, that is never more than
1 / (defensive_share x labels) of all the views there, however wrong the scores are. Videos with few views are left to
the audit, whose minimum for every stratum bounds their weight.
"""

from __future__ import annotations

import math

import numpy as np

from include.config.model import Config
from include.contract.tables import N_BINS
from include.sampling.allocation import inclusion_probabilities
from include.sampling.audit import action_bin
from include.sampling.cells import NO_SCORE, CellPopulation, Stratum, bands

ALLOW_BANDS = 16
REVIEW_BANDS = 8
"""With a quarter as many bands the relative error is about 6 % larger, with twice as many 2 % smaller."""

WIDEST_RELATIVE = 1.3
"""A 95 % interval wider than this share of the rate is not worth stating (NCHS, Vital and Health Statistics 2(175))."""


def prevalence(cell: CellPopulation, labels: float, config: Config) -> list[Stratum]:
    """The strata of the programme by first bin, of `labels` > 0 expected; none where nobody watches.

    `labels` is an upper bound: a video of more than 1 / b_h views is drawn once.
    """
    action, load = N_BINS if cell.policy.by_views else action_bin(cell), cell.views * cell.deviation
    split = min(cell.review_bin, action)
    strata = [NO_SCORE, *bands(load, 0, split, ALLOW_BANDS), *bands(load, split, action, REVIEW_BANDS)]
    strata = [bins for bins in strata if cell.total(cell.views, bins) > 0]
    if not strata:
        return []
    views, wanted = cell.totals(cell.views, strata), cell.totals(load, strata)
    defensive = config.sampling.defensive_share
    base = (1 - defensive) * wanted / wanted.sum() / views + defensive / views.sum()
    per_view = inclusion_probabilities(views, base, np.zeros_like(base), labels)
    reason = "views x expected deviation" + _shortage(cell, strata, per_view)
    return [Stratum(bins, reason, per_view=float(b)) for bins, b in zip(strata, per_view, strict=True)]


def _shortage(cell: CellPopulation, strata: list[tuple[int, int]], per_view: np.ndarray) -> str:
    """What the budget could not afford; empty if nothing."""
    variance = float(np.sum(cell.totals(cell.views * cell.deviation**2, strata) * (1 / per_view - 1)))
    rate = float(cell.views @ cell.p)
    error = math.sqrt(variance / cell.policy.window_days) / rate
    if 2 * 1.96 * error <= WIDEST_RELATIVE:
        return ""
    days = cell.policy.window_days
    return (
        f"; not afforded: a violative view rate of this cell alone, its standard error from these labels in {days} "
        f"days is {error:.0%} of it"
    )
