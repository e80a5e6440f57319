"""What a change of thresholds would do to one cell in a day.

Volumes are exact: they are read off the score histogram, whose bin edges every threshold lies on. Quality comes from
labelled draws, and only from those between the old and the new remove_at, the band: the videos on either side are
treated the same before and after, so they cancel. That makes the comparison paired, and its interval as narrow as the
labels allow. Within the band a label weighs 1 / inclusion probability and the weights are scaled to the band's exact
total, so a stretch of scores that was sampled more heavily counts no more than it should.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from include.certificates.intervals import korn_graubard
from include.contract.grid import ThresholdPair, first_bin, reaches

NoScore = Literal["review", "allow"]
Floats = NDArray[np.float64]

ACTIONS = ("allow", "review", "remove")
MOST_EXAMPLES = 10
"""Drawn videos a forecast names."""
TOLERANCE = (0.5, 0.01)
"""A change is known well enough if its interval ends within this share of itself, or of what is removed today."""

_Z = float(special.ndtri(0.975))


@dataclass(frozen=True)
class Volumes:
    """Videos a day, and their views, by what is done with them."""

    removes: int
    remove_views: int
    reviews: int
    review_views: int
    allows: int
    allow_views: int


@dataclass(frozen=True)
class ShareEstimate:
    """A share with its interval from `n` labels, worth `effective_n` of equal weight. Without any: None and [0, 1]."""

    value: float | None
    low: float
    high: float
    n: int
    effective_n: float


class ContestedRemovals(NamedTuple):
    """Removals of a policy in a market, old enough that appeals against them are decided, and those overturned."""

    removals: int
    overturned: int


def volumes(histogram: pd.DataFrame, pair: ThresholdPair, no_score: NoScore) -> Volumes:
    """What `pair` does with the videos of one cell and day.

    Args:
        histogram: one cell's rows of score_histogram: bin, n_videos, n_views.
        pair: thresholds; a review_at above remove_at leaves nothing to review.
        no_score: what serving does with videos without a score.

    Raises:
        ValueError: see `first_bin`.
    """
    bins = histogram["bin"].to_numpy()
    remove = bins >= first_bin(pair.remove_at)
    review = (bins >= first_bin(pair.review_at)) & ~remove
    if no_score == "review":
        review |= bins < 0
    videos, views = histogram["n_videos"].to_numpy(), histogram["n_views"].to_numpy()
    counts = [int(column[where].sum()) for where in (remove, review, ~remove & ~review) for column in (videos, views)]
    return Volumes(*counts)


def share(p: ArrayLike, weight: ArrayLike, *, level: float = 0.95) -> ShareEstimate:
    """Hajek estimate of a share, with an *approximate* two-sided interval.

    Args:
        p: shape (n,), each unit's value in [0, 1].
        weight: shape (n,), non-negative: 1 / inclusion probability, times views for a share of views.
        level: of the interval.

    The interval is Korn and Graubard's (1998): Clopper-Pearson's with an effective sample size for n, here the smaller
    of the one by the linearised variance, which knows how weights and values go together, and Kish's, which still says
    something where all values are equal. It is never degenerate.
    """
    values, weights = np.asarray(p, dtype=float), np.asarray(weight, dtype=float)
    total = fsum(weights)  # exact, so that the order of rows does not matter
    if total <= 0:
        return ShareEstimate(None, 0.0, 1.0, 0, 0.0)
    value = min(fsum(weights * values) / total, 1.0)
    effective_n = total**2 / fsum(weights**2)
    variance = fsum(np.square(weights * (values - value))) / total**2
    if variance > 0:
        effective_n = min(effective_n, value * (1 - value) / variance)
    low, high = korn_graubard(value, effective_n, level=level)
    return ShareEstimate(value, low, high, int((weights > 0).sum()), effective_n)


def precision_at(
    sample: pd.DataFrame, remove_at: float, *, level: float = 0.95, by_views: bool = False
) -> ShareEstimate:
    """Share of violating videos among those with score >= remove_at, or of their views; `sample` as in `forecast`."""
    return _precision(_drawn(sample, by_views=by_views), remove_at, level)


def recall_at(sample: pd.DataFrame, at: float, no_score: NoScore, *, by_views: bool = False) -> ShareEstimate:
    """Share of the violating videos, or of their views, that removal or review finds from score `at` on.

    `sample` as in `forecast`.
    """
    return _recall(_drawn(sample, by_views=by_views), at, no_score)


class _Drawn(NamedTuple):
    """The columns of a sample as arrays, each of shape (labels,).

    `weight`: 1 / inclusion probability; `mass`: the same, times views where shares are of views.
    """

    score: Floats
    p: Floats
    weight: Floats
    views: Floats
    mass: Floats


def _drawn(sample: pd.DataFrame, *, by_views: bool = False) -> _Drawn:
    score, p, pi, views = (
        sample[name].to_numpy(dtype=float) for name in ("score", "p_violating", "inclusion_probability", "views")
    )
    return _Drawn(score, p, 1 / pi, views, views / pi if by_views else 1 / pi)


def _precision(drawn: _Drawn, remove_at: float, level: float = 0.95) -> ShareEstimate:
    above = reaches(drawn.score, remove_at)
    return share(drawn.p[above], drawn.mass[above], level=level)


def _recall(drawn: _Drawn, at: float, no_score: NoScore) -> ShareEstimate:
    found = reaches(drawn.score, at) | (np.isnan(drawn.score) & (no_score == "review"))
    return share(found, drawn.p * drawn.mass)


def actions(score: Floats, pair: ThresholdPair, no_score: NoScore) -> NDArray[np.int64]:
    """What `pair` does with videos of these scores (NaN: none), as places in ACTIONS; shape of `score`."""
    by_score = reaches(score, pair.review_at).astype(np.int64)
    by_score[reaches(score, pair.remove_at)] = 2
    by_score[np.isnan(score)] = ACTIONS.index(no_score)
    return by_score


def flips(sample: pd.DataFrame, old: ThresholdPair, new: ThresholdPair, no_score: NoScore) -> pd.DataFrame:
    """The drawn videos that `new` treats otherwise than `old`, most views first.

    Args:
        sample: as in `forecast`.

    Returns:
        sample_id, score, views, p_violating, old and new (remove, review or allow).
    """
    score = sample["score"].to_numpy(dtype=float)
    before, after = (actions(score, pair, no_score) for pair in (old, new))
    moved = np.flatnonzero(before != after)
    names, views = (sample[name].to_numpy(dtype=kind) for name, kind in (("sample_id", object), ("views", None)))
    order = moved[np.lexsort((names[moved], -views[moved]))]
    columns = {
        "sample_id": names[order],
        "score": score[order],
        "views": views[order],
        "p_violating": sample["p_violating"].to_numpy(dtype=float)[order],
        "old": np.take(ACTIONS, before[order]),
        "new": np.take(ACTIONS, after[order]),
    }
    return pd.DataFrame(columns)


def forecast(
    histogram: pd.DataFrame,
    sample: pd.DataFrame,
    old: ThresholdPair,
    new: ThresholdPair,
    *,
    no_score: NoScore,
    minutes_per_label: float,
    by_views: bool = False,
    contested: ContestedRemovals | str,
) -> dict[str, Any]:
    """What replacing `old` by `new` does to one cell in a day like the histogram's.

    Args:
        histogram: the cell's rows of score_histogram: bin, n_videos, n_views.
        sample: the cell's labelled draws: sample_id, score (NaN: none), p_violating, inclusion_probability, views.
        old, new: thresholds.
        no_score: what serving does with videos without a score.
        minutes_per_label: reviewer minutes a video in the review queue takes.
        by_views: whether precision and recall are shares of views.
        contested: what became of earlier removals, or why that is not known.

    Returns:
        A dict that JSON can hold, always with the same keys: removes, remove_views, reviews, review_views, allows,
        allow_views, reviewer_minutes, precision (of removal) and recall (of removal and review together), each as
        {before, after}; band: the videos whose removal changes; precision_change (of removal),
        wrongful_removals_change and violative_views_prevented_change, a day, each {estimate, low, high,
        labels_needed} at 95 % with the sign of the change; appeals_overturned_change, {estimate, low, high, refusal};
        flips: how many drawn videos are treated otherwise, what share of them violates, and the most viewed of them.
        Where no label lies in the band, estimate is null, and low and high are all that is possible. labels_needed:
        about how many more labels would tell the sign of a change of precision, and the others within TOLERANCE;
        0: none; null: nothing changes, or no number would.

    Raises:
        ValueError: a threshold that is not a multiple of 0.001.
    """
    before, after = volumes(histogram, old, no_score), volumes(histogram, new, no_score)
    low, high = sorted((old.remove_at, new.remove_at))
    sign = 1 if new.remove_at < old.remove_at else -1
    drawn = _drawn(sample, by_views=by_views)
    inside = (drawn.score >= low) & (drawn.score < high)
    p, weight = drawn.p[inside], drawn.weight[inside]
    wrongful = share(1 - p, weight)
    violative = share(p, weight * drawn.views[inside])
    precision_now = _precision(drawn, old.remove_at)
    band_videos = abs(after.removes - before.removes)
    band_views = abs(after.remove_views - before.remove_views)
    moved, most = band_videos, max(before.removes, after.removes)
    if by_views:
        moved, most = band_views, max(before.remove_views, after.remove_views)
    return {
        **{
            name: {"before": getattr(before, name), "after": getattr(after, name)}
            for name in Volumes.__dataclass_fields__
        },
        "reviewer_minutes": {
            "before": before.reviews * minutes_per_label,
            "after": after.reviews * minutes_per_label,
        },
        "precision": {
            "before": _stated(precision_now),
            "after": _stated(_precision(drawn, new.remove_at)),
        },
        "recall": {
            "before": _stated(_recall(drawn, min(old), no_score)),
            "after": _stated(_recall(drawn, min(new), no_score)),
        },
        "band": {
            "low": low,
            "high": high,
            "videos": band_videos,
            "views": band_views,
            "labels": len(p),
            "effective_n": wrongful.effective_n,
        },
        "precision_change": _precision_change(share(p, drawn.mass[inside]), _precision(drawn, high), moved, most, sign),
        "wrongful_removals_change": _scaled(wrongful, sign * band_videos, before.removes),
        "violative_views_prevented_change": _scaled(violative, sign * band_views, before.remove_views),
        "appeals_overturned_change": _overturned(
            wrongful, _precision(_drawn(sample), old.remove_at), sign * band_videos, contested
        ),
        "flips": _examples(flips(sample, old, new, no_score)),
    }


def _stated(estimate: ShareEstimate) -> dict[str, float | None]:
    return {"estimate": estimate.value, "low": estimate.low, "high": estimate.high, "labels": estimate.n}


def _scaled(estimate: ShareEstimate, total: int, removed: int) -> dict[str, float | None]:
    """A share of `total` (negative: of what is lost) as an amount; nothing changes where `total` is 0.

    `removed`: what is removed today, in the same unit.
    """
    if total == 0:
        return {"estimate": 0.0, "low": 0.0, "high": 0.0, "labels_needed": None}
    low, high = sorted((estimate.low * total, estimate.high * total))
    amount = None if estimate.value is None else estimate.value * total
    needed = _labels_needed(estimate, TOLERANCE[1] * removed / abs(total))
    return {"estimate": amount, "low": low, "high": high, "labels_needed": needed}


def _labels_needed(estimate: ShareEstimate, small: float) -> int:
    """About how many more labels like those there are would bring the ends within half the share, or `small`, of it."""
    p = (estimate.effective_n * (estimate.value or 0.0) + 0.5) / (estimate.effective_n + 1.0)  # Jeffreys: never 0 or 1
    enough = _Z**2 * p * (1 - p) / max(TOLERANCE[0] * p, small) ** 2
    worth = estimate.effective_n / estimate.n if estimate.n else 1.0  # of a label; unequal weights are worth less
    return max(math.ceil((enough - estimate.effective_n) / worth), 0)


def _precision_change(
    band: ShareEstimate, core: ShareEstimate, band_videos: int, removed: int, sign: int
) -> dict[str, Any]:
    """Change of the precision of removal: the band joins or leaves what is removed in either case, the core.

    The difference of two independent shares, with Zou and Donner's (2008) interval from those of the shares.
    """
    if band_videos == 0:
        return {"estimate": 0.0, "low": 0.0, "high": 0.0, "labels_needed": None}
    part = sign * band_videos / removed
    if band.value is None or core.value is None:
        low, high = sorted(((band.low - core.high) * part, (band.high - core.low) * part))
        return {"estimate": None, "low": low, "high": high, "labels_needed": None}
    difference = band.value - core.value
    below = math.hypot(band.value - band.low, core.high - core.value)
    above = math.hypot(band.high - band.value, core.value - core.low)
    low, high = sorted(((difference - below) * part, (difference + above) * part))
    towards_zero = below if difference > 0 else above
    needed = None
    if difference:
        needed = max(math.ceil((band.n + core.n) * ((towards_zero / difference) ** 2 - 1)), 0)
    return {"estimate": difference * part, "low": low, "high": high, "labels_needed": needed}


def _overturned(
    band: ShareEstimate, precision_now: ShareEstimate, total: int, contested: ContestedRemovals | str
) -> dict[str, Any]:
    """Expected change of removals that an appeal overturns, were wrongful ones contested as they are now.

    Overturned removals a wrongful removal, times the band's wrongful ones. The interval is on the log scale, from the
    variances of the three shares.
    """

    def refused(why: str) -> dict[str, Any]:
        return {"estimate": None, "low": None, "high": None, "refusal": why}

    if isinstance(contested, str):
        return refused(contested)
    if total == 0:
        return {"estimate": 0.0, "low": 0.0, "high": 0.0, "refusal": None}
    if contested.overturned == 0:
        return refused(f"no appeal was overturned among {contested.removals} removals old enough to tell")
    wrongful_now = 1 - precision_now.value if precision_now.value is not None else 0.0
    if wrongful_now <= 0:
        return refused(f"no wrongful removal among the {precision_now.n} labels above the remove_at in force")
    if not band.value:
        return refused(f"no wrongful removal among the {band.n} labels between the old and the new remove_at")
    rate = contested.overturned / contested.removals
    variance = (1 - rate) / contested.overturned
    variance += (1 - wrongful_now) / (wrongful_now * precision_now.effective_n)
    variance += (1 - band.value) / (band.value * band.effective_n)
    estimate, spread = total * rate * band.value / wrongful_now, math.exp(_Z * math.sqrt(variance))
    low, high = sorted((estimate / spread, estimate * spread))
    return {"estimate": estimate, "low": low, "high": high, "refusal": None}


def _examples(moved: pd.DataFrame) -> dict[str, Any]:
    few = moved.head(MOST_EXAMPLES)
    return {
        "videos": len(moved),
        "violating": float(moved["p_violating"].mean()) if len(moved) else None,
        "examples": [
            dict(zip(few.columns, row, strict=True)) for row in zip(*(few[c].tolist() for c in few), strict=True)
        ],
    }
