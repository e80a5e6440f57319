"""Whether a challenger finds more than the champion, both at the precision that is asked for. Pure.

Both versions' scores of the same draws are compared: a *paired* comparison, in which what the draws have in common
cancels out. Each version is given, in each market, the lowest threshold at which its weighted precision is still the
one required; recall is then the share of what violates that lies at or above it. Both thresholds are chosen by the same
rule from the same labels, so that neither version profits from the choice.

The interval is a bootstrap's (Efron 1979) over draws, with independent Poisson(1) counts, which fit Poisson sampling
(Rao and Wu, JASA 83, 1988, have it for survey weights): every replicate weighs the draws anew and chooses both
thresholds anew, so that the noise of the choice is in the interval. The gain's lower limit is its percentile.

A challenger that is no better is therefore accepted with a chance of at most 1 - confidence, and a market in which it
finds less keeps it out, whatever it gains elsewhere: `Terms`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Outcome = Literal["better", "worse", "undecided", "unusable"]

COLUMNS = ("market", "champion", "challenger", "p_violating", "inclusion_probability")
"""Of a paired sample."""

REPLICATES = 600
MIN_ABOVE = 30
"""So many labels at least must lie at or above a threshold: the precision of fewer says little."""
MIN_VIOLATING = 40
"""So many violating videos, weights apart, must be labelled before recall is compared."""
MIN_IN_MARKET = 15
"""And so many in a market before it can speak against a challenger by itself."""
MOST_NEEDED = 100
"""More labels than so many times those there are is no advice."""
_AT_ONCE = 4_000_000
"""Counts that are held in memory together."""


@dataclass(frozen=True)
class Terms:
    """What a challenger has to show.

    Attributes:
        confidence: that its overall gain is above 0, in (0, 1).
        market_bound: recall that it may lose in a market, by the estimate, in [0, 1).
        max_unscored: share of the sample, by weight, that either version may have left without a row, in [0, 1].
    """

    confidence: float
    market_bound: float
    max_unscored: float


@dataclass(frozen=True)
class Compared:
    """Both versions in one market, or in all: recall in [0, 1], and the gain with limits that each hold at the terms'
    confidence. A threshold of 1: no score from which on removals are right often enough.
    """

    market: str
    labels: int
    violating: float
    recall_champion: float
    recall_challenger: float
    gain: float
    low: float
    high: float
    threshold_champion: float | None = None
    threshold_challenger: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What the paired sample says.

    Attributes:
        outcome: better: it may be accepted; worse: it finds less, in all or in a market; undecided: the labels do not
            tell; unusable: the sample cannot compare them.
        reason: in words.
        overall, markets: None and empty where it is unusable.
        sampled: draws in the sample, and of them those without a row of the champion, and of the challenger.
        labels_needed: more labels of the same kind that would decide it if the estimate holds; None: no number would.
    """

    outcome: Outcome
    reason: str
    sampled: int
    unscored_champion: int
    unscored_challenger: int
    overall: Compared | None = None
    markets: tuple[Compared, ...] = ()
    labels_needed: int | None = None


def compare(
    sample: pd.DataFrame,
    required: Mapping[str, float],
    terms: Terms,
    *,
    lowest: float,
    seed: int = 20261101,
    replicates: int = REPLICATES,
) -> Comparison:
    """Compares two model versions on the draws that both scored.

    Args:
        sample: one row a labelled draw: market; champion and challenger, each version's score in [0, 1], or NaN where
            it gave none; champion_scored and challenger_scored, whether it has a row at all; p_violating in [0, 1];
            inclusion_probability in (0, 1], of being drawn for either version and answered.
        required: the precision asked for in each market, as the labels show it, in (0, 1).
        lowest: the lowest score from which on anything may be removed.
        seed: of the bootstrap.

    Raises:
        ValueError: a missing column, a value out of range, or a market without a required precision.
    """
    _check(sample, required, lowest)
    missing = {name: ~sample[f"{name}_scored"].to_numpy(bool) for name in ("champion", "challenger")}
    lacking = {name: int(rows.sum()) for name, rows in missing.items()}
    counts = (len(sample), lacking["champion"], lacking["challenger"])
    if sample.empty:
        return Comparison("unusable", "no labelled draws that either version was sampled for", *counts)
    weight = 1.0 / sample["inclusion_probability"].to_numpy(float)
    for name, rows in missing.items():
        share = float(weight[rows].sum() / weight.sum())
        if share > terms.max_unscored or int(rows.sum()) > terms.max_unscored * len(sample):
            return Comparison(
                "unusable",
                f"the {name} has no row in video_scores for {lacking[name]:,} of {len(sample):,} labelled draws, more "
                f"than {terms.max_unscored:.0%}: have the platform score all of them with both versions",
                *counts,
            )
    paired = sample[~missing["champion"] & ~missing["challenger"]]
    unusable = _unusable(paired, lowest)
    if unusable:
        return Comparison("unusable", unusable, *counts)
    rng = np.random.default_rng(seed)
    markets, found, violating = [], np.zeros((2, replicates + 1)), np.zeros(replicates + 1)
    amounts: dict[str, tuple[Array, Array]] = {}
    for market, rows in paired.groupby("market", sort=True):
        one = _Market(rows, required[str(market)], lowest)
        amounts[str(market)] = one.resampled(rng, replicates)
        of_market, there = amounts[str(market)]
        found += of_market
        violating += there
        markets.append(_compared(str(market), rows, of_market, there, terms, thresholds=one.thresholds))
    overall = _compared("all", paired, found, violating, terms)
    return _judged(overall, tuple(markets), terms, counts)


class _Market:
    """The draws of a market, ordered for either version, from the highest score down."""

    def __init__(self, rows: pd.DataFrame, required: float, lowest: float) -> None:
        self.required = required
        weight = 1.0 / rows["inclusion_probability"].to_numpy(float)
        self.weight, self.right = weight, weight * rows["p_violating"].to_numpy(float)
        self.orders: list[NDArray[np.int64]] = []
        self.ends: list[NDArray[np.int64]] = []
        self.scores: list[Array] = []
        for name in ("champion", "challenger"):
            score = rows[name].to_numpy(float)
            order = np.argsort(-score, kind="stable")  # no score comes last
            order = order[score[order] >= lowest]
            above = score[order]
            last = np.flatnonzero(np.append(above[1:] != above[:-1], True)) if above.size else np.empty(0, int)
            self.orders.append(order)
            self.ends.append(last[last >= MIN_ABOVE - 1])
            self.scores.append(above)
        self.thresholds: tuple[float, float] = (1.0, 1.0)

    def resampled(self, rng: np.random.Generator, replicates: int) -> tuple[Array, Array]:
        """What each version finds, shape (2, 1 + replicates), and all that violate; the estimate first."""
        n = len(self.weight)
        found, violating, done = np.zeros((2, replicates + 1)), np.zeros(replicates + 1), 0
        while done <= replicates:
            size = min(replicates + 1 - done, max(1, _AT_ONCE // max(n, 1)))
            counts = rng.poisson(1.0, (size, n)).astype(np.float64)
            if done == 0:
                counts[0] = 1.0
            part = slice(done, done + size)
            violating[part] = counts @ self.right
            for version in (0, 1):
                found[version, part] = self._found(version, counts, remember=done == 0)
            done += size
        return found, violating

    def _found(self, version: int, counts: Array, *, remember: bool) -> Array:
        order, ends = self.orders[version], self.ends[version]
        if not ends.size:
            return np.zeros(len(counts))
        chosen = counts[:, order]
        right = np.cumsum(chosen * self.right[order], axis=1)[:, ends]
        removed = np.cumsum(chosen * self.weight[order], axis=1)[:, ends]
        fine = np.asarray((right >= self.required * removed) & (removed > 0), dtype=bool)
        last = ends.size - 1 - np.argmax(fine[:, ::-1], axis=1)
        some = np.asarray(fine.any(axis=1), dtype=bool)
        if remember and some[0]:
            at = float(self.scores[version][ends[last[0]]])
            self.thresholds = (at, self.thresholds[1]) if version == 0 else (self.thresholds[0], at)
        return np.where(some, right[np.arange(len(counts)), last], 0.0)


def _compared(
    market: str,
    rows: pd.DataFrame,
    found: Array,
    violating: Array,
    terms: Terms,
    *,
    thresholds: tuple[float | None, float | None] = (None, None),
) -> Compared:
    recall = np.divide(found, violating, out=np.zeros_like(found), where=violating > 0)
    gains = recall[1] - recall[0]
    low, high = (float(np.quantile(gains[1:], q)) for q in (1.0 - terms.confidence, terms.confidence))
    return Compared(
        market=market,
        labels=len(rows),
        violating=float(rows["p_violating"].sum()),
        recall_champion=float(recall[0, 0]),
        recall_challenger=float(recall[1, 0]),
        gain=float(gains[0]),
        low=low,
        high=high,
        threshold_champion=thresholds[0],
        threshold_challenger=thresholds[1],
    )


def _judged(overall: Compared, markets: tuple[Compared, ...], terms: Terms, counts: tuple[int, int, int]) -> Comparison:
    if overall.violating < MIN_VIOLATING:
        more = math.ceil(overall.labels * (MIN_VIOLATING / max(overall.violating, 1.0) - 1.0))
        needed = more if more <= MOST_NEEDED * overall.labels else None
        reason = f"only {overall.violating:.0f} violating videos are labelled, {MIN_VIOLATING} are needed"
        return Comparison("undecided", reason, *counts, overall, markets, needed)
    said = _gain_in_words(overall, terms)
    worse = [one for one in markets if one.gain < -terms.market_bound and one.violating >= MIN_IN_MARKET]
    if overall.high < 0:
        return Comparison("worse", f"it finds less than the champion: {said}", *counts, overall, markets)
    if worse:
        names = "; ".join(f"{one.market}: {_gain_in_words(one, terms)}" for one in worse)
        reason = f"a market may lose at most {terms.market_bound:g} of recall, and {names}"
        sure = any(one.high < 0 for one in worse)
        needed = None if sure else _needed(min(worse, key=lambda one: one.gain))
        return Comparison("worse" if sure else "undecided", reason, *counts, overall, markets, needed)
    if overall.low <= 0:
        reason = f"that it finds more is not sure: {said}"
        return Comparison("undecided", reason, *counts, overall, markets, _needed(overall))
    return Comparison("better", f"it finds more: {said}", *counts, overall, markets)


def _needed(one: Compared) -> int | None:
    """More labels of the same kind with which the gain's lower limit would leave 0 behind, if the estimate holds."""
    spread = (one.high - one.low) / 2.0
    if one.gain <= 0 or spread <= 0:
        return None
    more = math.ceil(one.labels * ((spread / one.gain) ** 2 - 1.0))
    return max(more, 1) if more <= MOST_NEEDED * one.labels else None


def _gain_in_words(one: Compared, terms: Terms) -> str:
    return (
        f"recall {one.recall_champion:.3f} becomes {one.recall_challenger:.3f}, a gain of {one.gain:+.3f} "
        f"({one.low:+.3f} to {one.high:+.3f}, each at {terms.confidence:.0%} confidence, {one.labels:,} labels)"
    )


def _unusable(paired: pd.DataFrame, lowest: float) -> str:
    """Why these scores cannot be compared; empty if they can."""
    if paired.empty:
        return "no labelled draw has a row of both versions"
    violating, n = float(paired["p_violating"].sum()), len(paired)
    if violating in (0, n):
        return f"one class only: of {n:,} labelled draws {violating:.0f} violate; recall and precision need both"
    for name in ("champion", "challenger"):
        score = paired[name].to_numpy(float)
        if np.isnan(score).all():
            return f"the {name} gave no usable score: a score is a number from 0 to 1"
        if not (score >= lowest).any():
            return (
                f"no score of the {name} reaches {lowest:g}, from which on videos may be removed (its highest is "
                f"{np.nanmax(score):.3g}): is its scale another?"
            )
    return ""


def _check(sample: pd.DataFrame, required: Mapping[str, float], lowest: float) -> None:
    wanted = (*COLUMNS, "champion_scored", "challenger_scored")
    if missing := [name for name in wanted if name not in sample.columns]:
        raise ValueError(f"sample: no column {', '.join(missing)}")
    if unknown := sorted(set(sample["market"]) - set(required)):
        raise ValueError(f"required: no precision is given for market {unknown[0]!r}")
    if bad := [name for name, share in required.items() if not 0 < share < 1]:
        raise ValueError(f"required: {required[bad[0]]} of market {bad[0]!r} is not in (0, 1)")
    if not 0 <= lowest <= 1:
        raise ValueError(f"lowest: {lowest} is not in [0, 1]")
    for name, low in (("champion", 0.0), ("challenger", 0.0), ("p_violating", 0.0), ("inclusion_probability", 1e-300)):
        values = sample[name].to_numpy(float)
        good = (values >= low) & (values <= 1) | (np.isnan(values) & (name in ("champion", "challenger")))
        if not good.all():
            raise ValueError(f"{name}: {values[~good][0]} in row {sample.index[~good][0]!r} is not in [0, 1]")
