"""The grid that thresholds lie on: the edges of the score histogram's bins, multiples of 0.001.

No score reaches a threshold of 1, not even a score of exactly 1, as classifiers that saturate give: it stands for
"none", and is what a cell that removes nothing has. `thresholds.json` says it as null (include.ledger.serving).
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from include.contract.tables import N_BINS, NO_SCORE_BIN


class ThresholdPair(NamedTuple):
    """The two thresholds of a cell, each in [0, 1] and a multiple of 0.001; 1: no score reaches it."""

    remove_at: float
    review_at: float


class RemovalLevel(NamedTuple):
    """From which histogram bin on a cell's videos were removed, from the day `since` to the day `until`, inclusive."""

    policy: str
    market: str
    model_version: str
    since: date
    until: date
    remove_bin: int


def first_bin(threshold: float) -> int:
    """The lowest histogram bin at or above `threshold`; N_BINS, which there is not, for 1.0.

    Raises:
        ValueError: outside [0, 1], or not a multiple of 0.001, for which the histogram would not be exact.
    """
    edge = round(threshold * N_BINS)
    if not 0 <= edge <= N_BINS or abs(edge / N_BINS - threshold) > 1e-9:
        raise ValueError(f"threshold {threshold} is not a multiple of {1 / N_BINS:g} in [0, 1]")
    return edge


def reaches(score: npt.NDArray[np.float64], threshold: float | npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which scores reach a threshold: those at or above it, and none if it is 1. NaN reaches nothing. Broadcasts."""
    return np.asarray((score >= threshold) & (np.asarray(threshold) < 1), dtype=bool)


def bin_of(score: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Histogram bin of each score: floor(score x N_BINS), at most N_BINS - 1; -1 where the score is NaN."""
    bins = np.minimum(np.floor(score * N_BINS), N_BINS - 1)
    return np.where(np.isnan(bins), NO_SCORE_BIN, bins).astype(np.int64)
