"""What a pair of thresholds does in a day to one cell: counted from the histogram, estimated from the labels. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from include.config.model import Policy
from include.contract.grid import ThresholdPair, reaches
from include.forecasts.forecast import ShareEstimate, recall_at, share, volumes


@dataclass(frozen=True)
class Amount:
    """So many a day, with the 95 % interval; `estimate` None: no label speaks of it, and the interval is all."""

    estimate: float | None
    low: float
    high: float

    @classmethod
    def of(cls, found: ShareEstimate, total: float) -> Amount:
        """A share of `total`."""
        return cls(None if found.value is None else found.value * total, found.low * total, found.high * total)


@dataclass(frozen=True)
class Effect:
    """What a pair of thresholds does with one cell's videos in a day.

    Attributes:
        removes, reviews: videos, exact.
        minutes: that the reviews take.
        wrong: removals of videos that violate nothing.
        views: violative views that removal prevents.
        recall: share of the violating videos that removal finds; of their views where the goals count views.
    """

    removes: int
    reviews: int
    minutes: float
    wrong: Amount
    views: Amount
    recall: ShareEstimate


def effect_of(histogram: pd.DataFrame, sample: pd.DataFrame, pair: ThresholdPair, policy: Policy) -> Effect:
    """The effect of `pair`.

    Args:
        histogram: the cell's rows of score_histogram of a day.
        sample: its labelled draws: score, views, inclusion_probability, p_violating.
    """
    counts = volumes(histogram, pair, policy.no_score)
    above = sample[reaches(sample["score"].to_numpy(dtype=float), pair.remove_at)]
    p, weight = above["p_violating"].to_numpy(float), 1 / above["inclusion_probability"].to_numpy(float)
    return Effect(
        counts.removes,
        counts.reviews,
        counts.reviews * policy.minutes_per_label,
        Amount.of(share(1 - p, weight), counts.removes),
        Amount.of(share(p, weight * above["views"].to_numpy(float)), counts.remove_views),
        recall_at(sample, pair.remove_at, "allow", by_views=policy.by_views),
    )
