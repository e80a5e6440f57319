"""Drift of the scores, told by what it does to volumes, with the population stability index beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS

PARTS = 10
"""Of the index: bins that hold a tenth of the reference's videos each, and one of videos without a score."""
_LEAST = 1e-4
"""Share that an empty part counts as."""


def drift(histogram: pd.DataFrame, thresholds: Mapping[str, ThresholdPair]) -> dict[str, Any]:
    """By market, what changed between the reference and the recent days at the thresholds in force.

    Volumes are those of a day. The index (PSI) says how far the distribution of scores moved, not whether it matters:
    below 0.1 is often called small and above 0.25 large, whatever the number of videos.

    Args:
        histogram: market, recent, bin (-1: no score, 0..999), n_videos, and n_days: of the period, those it sums up.
        thresholds: in force, by market.
    """
    found: dict[str, Any] = {}
    for market, rows in histogram.groupby("market", sort=True):
        before, now = (_a_day(rows[rows["recent"] == recent]) for recent in (False, True))
        if not before.sum() or not now.sum():
            continue
        pair = thresholds[str(market)]
        remove, review = (first_bin(level) + 1 for level in (pair.remove_at, pair.review_at))
        found[str(market)] = {
            "psi": round(stability(before, now), 4),
            "removes": [round(float(one[remove:].sum()), 1) for one in (before, now)],
            "reviews": [round(float(one[review:remove].sum()), 1) for one in (before, now)],
            "videos": [round(float(one.sum()), 1) for one in (before, now)],
        }
    return found


def stability(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """The population stability index of two histograms of 1 + N_BINS bins, the first of videos without a score."""
    cuts = np.searchsorted(np.cumsum(before[1:]), np.arange(1, PARTS) / PARTS * before[1:].sum()) + 1
    edges = np.unique(np.concatenate([[0, 1], cuts + 1, [N_BINS + 1]]))
    p, q = (np.maximum(np.add.reduceat(one, edges[:-1]) / one.sum(), _LEAST) for one in (before, now))
    return float(((q - p) * np.log(q / p)).sum())


def _a_day(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Videos a day by bin, no score first."""
    counts = np.bincount(rows["bin"].to_numpy(np.int64) + 1, rows["n_videos"].to_numpy(float), N_BINS + 1)
    return np.asarray(counts / (rows["n_days"].max() if len(rows) else 1))
