"""The recall that any threshold could reach at the required precision, and whether its loss is real. Pure.

Thresholds follow the scores by themselves; what they cannot win back is lost until the model is trained anew. So two
periods of final labels are compared by the best that *any* threshold could do in each: of what violates, the share that
lies at or above the lowest score at which removals would be right as often as asked; once of all that violates, and
once of what may be removed at all (from the policy's lowest remove_at up), which is known better: below, violating
videos are rare and reviewers' false alarms many beside them. Markets count by what violates in the recent period, so
that a change of mix is not taken for a change of recall.

How many videos of a market have a score is known exactly; which share of them violates is a smooth curve of the score,
that of `include.evidence.calibration`, fitted to each period's labels: a market's leans on that of all markets. A
threshold read off single labels would jump where precision hardly changes with it; read off a curve it does not. All
this needs of the labels are counts by band of scores (`Bands`), so that a benchmark can draw the counts themselves and
live thousands of days in minutes.

Whether a loss is real is told by its spread over bootstrap samples of the labels (independent Poisson counts, band by
band), for each of which the curves are fitted and the thresholds chosen anew: it has to exceed so many standard errors
that false asks stay rare for HORIZON days of looking every day (`level_of`). Each of the two recalls has half of that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from include.contract.tables import N_BINS, NO_SCORE_BIN
from include.evidence.calibration import CELL_PENALTY, IDENTITY, MODEL_PENALTY

Array = NDArray[np.float64]

BELOW, ABOVE = 10, 25
"""Bands of scores below the lowest score from which on may be removed, and from there up to 1."""
N_BANDS = 1 + BELOW + ABOVE
"""The first holds videos without a score, the others go up."""

REMOVABLE, ALL = slice(1 + BELOW, None), slice(None)
"""The bands of what may be removed at all, and all of them."""

HORIZON = 60
"""Days over which false asks are promised to be rare."""
MIN_VIOLATING = 40
"""So many violating videos must be labelled in each period."""
MIN_ABOVE = 20
"""So many labels at least must lie at or above a threshold."""
REPLICATES = 200
_PERIODS = ("reference", "recent")
_INFLATED = 1.25
"""The loss varies so much more between calm platforms than its bootstrap says: true shares lie on no such curve."""
_RECALLS = ("of what may be removed", "of all")
_STEPS = 25
"""Of Newton's method at most; it needs fewer than ten."""


@dataclass(frozen=True)
class Bands:
    """Counts of each period (reference, recent), market and band; arrays of shape (2, markets, N_BANDS).

    Attributes:
        markets: names, sorted.
        videos: all videos of the period's days.
        labels: labelled ones.
        violating: of these, those that violate, fractional where the consensus is unsure.
        lowest: the lowest score from which on may be removed, in (0, 1).
    """

    markets: tuple[str, ...]
    videos: Array
    labels: Array
    violating: Array
    lowest: float

    @property
    def centres(self) -> Array:
        """The middle of each band but that without a score."""
        below = (np.arange(BELOW) + 0.5) / BELOW * self.lowest
        above = self.lowest + (np.arange(ABOVE) + 0.5) / ABOVE * (1.0 - self.lowest)
        return np.clip(np.concatenate([below, above]), 1e-6, 1.0 - 1e-6)


@dataclass(frozen=True)
class Fall:
    """The reachable recall of both periods, in [0, 1], of part of what violates or of all.

    `p_value`: of the hypothesis that it did not fall; None: not worked out.
    """

    what: str
    reference: float
    recent: float
    p_value: float | None = None


@dataclass(frozen=True)
class Loss:
    """What was lost of the reachable recall.

    Attributes:
        falls: of what may be removed, and of all that violates; empty where nothing is stated.
        real: whether one of them is as large as asked, and for sure.
        refusal: why nothing is stated.
    """

    falls: tuple[Fall, ...] = ()
    real: bool = False
    refusal: str | None = None

    @property
    def lost(self) -> float:
        """The larger of the two, by the estimate; 0 where nothing is stated."""
        return max((fall.reference - fall.recent for fall in self.falls), default=0.0)


def band_of(score: Array, lowest: float) -> NDArray[np.int64]:
    """The band of each score; 0 where it is NaN. `lowest`: the lowest score from which on may be removed, in (0, 1]."""
    below = np.floor(score / lowest * BELOW)
    above = BELOW + np.floor((score - lowest) / max(1.0 - lowest, 1e-9) * ABOVE)
    bands = 1 + np.where(score < lowest, np.minimum(below, BELOW - 1), np.minimum(above, BELOW + ABOVE - 1))
    return np.where(np.isnan(score), 0, np.nan_to_num(bands)).astype(np.int64)


def bands_of(labelled: pd.DataFrame, histogram: pd.DataFrame, lowest: float) -> Bands:
    """The counts.

    Args:
        labelled: market, score (0..1, NaN: none), p_violating (0..1), recent (whether of the recent period).
        histogram: market, bin, n_videos, recent; rows of score_histogram of the days that `labelled` is of.
        lowest: the lowest score from which on may be removed.
    """
    markets = tuple(sorted(set(labelled["market"]) | set(histogram["market"])))
    number = {name: n for n, name in enumerate(markets)}

    def summed(frame: pd.DataFrame, score: Array, values: Array) -> Array:
        place = frame["recent"].to_numpy(bool) * len(markets) + frame["market"].map(number).to_numpy(np.int64)
        at = place * N_BANDS + band_of(score, lowest)
        return np.bincount(at, values, 2 * len(markets) * N_BANDS).astype(float).reshape(2, len(markets), N_BANDS)

    score, bins = labelled["score"].to_numpy(float), histogram["bin"].to_numpy(np.int64)
    centre = np.where(bins == NO_SCORE_BIN, np.nan, (bins + 0.5) / N_BINS)
    return Bands(
        markets=markets,
        videos=summed(histogram, centre, histogram["n_videos"].to_numpy(float)),
        labels=summed(labelled, score, np.ones(len(labelled))),
        violating=summed(labelled, score, labelled["p_violating"].to_numpy(float)),
        lowest=lowest,
    )


def level_of(false_ask: float, recent_days: int, models: int) -> float:
    """The level of a single look at one of so many models.

    None of them, if they lost nothing, is then asked for within HORIZON days but with a chance of `false_ask`: as many
    looks count as there are whole recent periods, for a look shares all but a day's labels with the next.
    """
    return false_ask / max(HORIZON / recent_days, 1.0) / models


def loss_of(bands: Bands, required: Array, *, level: float, threshold: float = 0.0, seed: int = 20261101) -> Loss:
    """What was lost of the reachable recall, and whether it is real.

    Args:
        required: precision asked for in each market, as the labels show it, shape (markets,), in (0, 1).
        level: chance that a single look takes luck for a loss.
        threshold: a loss has to be at least so large, by the estimate.
        seed: of the bootstrap.
    """
    for name, n in zip(_PERIODS, bands.violating.sum(axis=(1, 2)), strict=True):
        if n < MIN_VIOLATING:
            said = f"{n:.0f} violating videos are labelled in the {name} days, {MIN_VIOLATING} are needed"
            return Loss(refusal=said)
    seen = _reachable(bands, bands.violating[None], required)[0]
    falls = tuple(Fall(what, float(one[0]), float(one[1])) for what, one in zip(_RECALLS, seen, strict=True))
    loss = Loss(falls)
    if loss.lost < threshold:
        return loss
    rng, shape = np.random.default_rng(seed), (REPLICATES, *bands.labels.shape)
    violating = rng.poisson(bands.violating, shape).astype(float)
    labels = violating + rng.poisson(bands.labels - bands.violating, shape).astype(float)
    again = _reachable(bands, violating, required, labels)
    spread = np.maximum((again[..., 0] - again[..., 1]).std(axis=0), 1e-9)
    fell = seen[:, 0] - seen[:, 1]
    p_values = norm.sf(fell / (_INFLATED * spread))
    falls = tuple(replace(fall, p_value=float(p)) for fall, p in zip(falls, p_values, strict=True))
    return Loss(falls, real=bool(((p_values <= level / len(falls)) & (fell >= threshold)).any()))


def _reachable(bands: Bands, violating: Array, required: Array, labels: Array | None = None) -> Array:
    """Recall at each period's best threshold, shape (n, 2 recalls, 2 periods); counts: (n, 2, markets, N_BANDS)."""
    shares = _curves(bands, violating, bands.labels[None] if labels is None else labels)
    top = slice(None, BELOW, -1)
    found = np.cumsum((shares * bands.videos)[..., top], axis=-1)
    removed, judged = (np.cumsum(one[..., top], axis=-1) for one in (bands.videos, bands.labels))
    fine = (found >= removed * required[:, None]) & (judged >= MIN_ABOVE) & (removed > 0)
    last = ABOVE - 1 - np.argmax(fine[..., ::-1], axis=-1)
    best = np.where(fine.any(axis=-1), np.take_along_axis(found, last[..., None], axis=-1)[..., 0], 0.0)
    recalls = [_together(best, (shares * bands.videos)[..., among].sum(axis=-1)) for among in (REMOVABLE, ALL)]
    return np.stack(recalls, axis=1)


def _together(part: Array, whole: Array) -> Array:
    """part / whole by market, as a mean weighted by the recent whole; shape (n, 2, markets) to (n, 2)."""
    share = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    weight = np.where(whole[:, :1] > 0, whole[:, 1:], 0.0)
    total = weight.sum(axis=-1)
    return np.asarray((share * weight).sum(axis=-1) / np.where(total > 0, total, 1.0))


def _curves(bands: Bands, violating: Array, labels: Array) -> Array:
    """The share that violates in each band by the fitted curves, shape (n, 2, markets, N_BANDS).

    Videos without a score take the share of their labels, leaning on that of all of the period.
    """
    features = _features(bands.centres)
    scored, judged = violating[..., 1:], labels[..., 1:]
    prior = np.broadcast_to(IDENTITY, (*violating.shape[:2], 3))
    of_all = _fitted(features, scored.sum(axis=2), judged.sum(axis=2), prior, MODEL_PENALTY)
    prior = np.broadcast_to(of_all[:, :, None], (*violating.shape[:3], 3))
    of_market = _fitted(features, scored, judged, prior, CELL_PENALTY)
    mean = violating.sum(axis=(2, 3)) / np.maximum(labels.sum(axis=(2, 3)), 1.0)
    unscored = (violating[..., 0] + mean[..., None]) / (labels[..., 0] + 1.0)
    return np.concatenate([unscored[..., None], expit(of_market @ features.T)], axis=-1)


def _fitted(features: Array, violating: Array, labels: Array, prior: Array, penalty: Array) -> Array:
    """Coefficients of largest penalised likelihood, by Newton's method for all at once; shape (..., 3)."""
    beta = np.array(prior)
    for _ in range(_STEPS):
        share = expit(beta @ features.T)
        gradient = (violating - labels * share) @ features - penalty * (beta - prior)
        weight = labels * share * (1 - share)
        hessian = np.einsum("...b,bi,bj->...ij", weight, features, features) + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-6:
            break
    return beta


def _features(score: Array) -> Array:
    return np.column_stack([np.ones_like(score), np.log(score), -np.log1p(-score)])
