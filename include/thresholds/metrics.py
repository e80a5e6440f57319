"""Precision and recall of automatic removal, prevalence and violative view rate of every cell, with 95 % intervals.

Estimates are post-stratified: score bands, and videos without score, are weighted to their exact totals in the score
histogram (Sarndal, Swensson and Wretman, Model Assisted Survey Sampling, 1992, sec. 7.6), so that labels still missing
do no harm as long as those present are typical of their band. Within a band a label weighs 1 / inclusion probability.

Intervals: violating videos are rare, and where the weights are large a sample usually holds none of them, so the
variance seen in the sample is too small just when the estimate is. The variance expected from the calibration curve has
no such gap but knows nothing of surprises. Rates put together what labels and curve say of each band (`rare.py`);
recall takes the mean of the two variances, on the logit scale. Precision has no such gap and gets the Korn-Graubard
interval with the Taylor variance (Survey Methodology 24, 1998).

What is not worth stating is refused, after the presentation standards for proportions of the US National Center for
Health Statistics (Parker et al., Vital and Health Statistics 2(175), 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from include.calibration import bin_of, curve_by_cell
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, N_BINS, NO_SCORE_BIN, TABLES
from include.thresholds.rare import rate_interval

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_LABELS = 30
WIDEST = 0.30
NARROW = 0.05
"""An interval at most this wide is stated whatever its relative width."""
WIDEST_RELATIVE = 1.30

CONFIDENCE = 0.95
MAX_BANDS = 8

_Z = float(norm.ppf((1 + CONFIDENCE) / 2))
_NUMBERS = ["score", "views", "inclusion_probability", "p_violating"]
_SAMPLE = (*CELL, *_NUMBERS, "sampled_on")
_HISTOGRAM = ("ds", *CELL, "bin", "n_videos", "n_views")
_THRESHOLDS = (*CELL, "remove_at")


@dataclass(frozen=True)
class Estimate:
    """A metric with its interval, or why it is not stated; `high` alone is an upper bound."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class _Labels:
    """Labels of one cell; arrays of shape (labels,). `r`: the calibration curve at the label's score."""

    bin: Ints
    p: Array
    views: Array
    weight: Array
    r: Array

    def where(self, keep: npt.NDArray[np.bool_]) -> _Labels:
        return _Labels(self.bin[keep], self.p[keep], self.views[keep], self.weight[keep], self.r[keep])


def policy_metrics(sample: ProbabilitySample, histogram: pd.DataFrame, thresholds: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `policy_metrics`, four for every cell of the histogram, sorted by cell and metric.

    `sample`: labelled draws of the days of the window: policy, market, model_version, score (0..1, null: none), views
    (>= 0), inclusion_probability (0..1], p_violating (0..1), sampled_on.
    `histogram`: the population of the same days: ds, policy, market, model_version, bin (-1: no score, 0..999),
    n_videos, n_views.
    `thresholds`: policy, market, model_version, remove_at in force; every cell of the histogram present. Removal is
    measured at remove_at rounded up to a bin's bound, which column `threshold` states.

    Raises ValueError naming column and row, cell or day where the input breaks these ranges or does not fit together.
    """
    _require(sample, histogram, thresholds)
    remove_at = thresholds.set_index(list(CELL))["remove_at"].to_dict()
    populations = histogram.groupby([*CELL, "bin"], sort=True)[["n_videos", "n_views"]].sum().reset_index()
    totals = populations.groupby(list(CELL), sort=True)[["bin", "n_videos", "n_views"]]
    cells = [(tuple(map(str, key)), part) for key, part in totals]
    labelled = dict(list(sample.groupby(list(CELL), sort=False)[_NUMBERS]))
    curves = curve_by_cell(sample, [key for key, _ in cells])
    rows = []
    for key, part in cells:
        index = part["bin"].to_numpy(np.int64) + 1
        videos, views = np.zeros(N_BINS + 1), np.zeros(N_BINS + 1)
        videos[index], views[index] = part["n_videos"], part["n_views"]
        labels = _labels(labelled.get(key, sample[_NUMBERS].iloc[:0]), curves[key])
        remove_bin = math.ceil(remove_at[key] * N_BINS)
        removed = labels.where(labels.bin >= remove_bin)
        seen = labels.where(labels.views > 0)
        found = {
            "precision": (precision(removed, float(videos[remove_bin + 1 :].sum())), len(removed.p)),
            "prevalence": (rate(labels, videos, np.ones_like(labels.p), remove_bin), len(labels.p)),
            "recall": (recall(labels, videos, remove_bin), len(labels.p)),
            "violative_view_rate": (rate(seen, views, seen.views, remove_bin), len(seen.p)),
        }
        for metric, (estimate, n) in found.items():
            cell = dict(zip(CELL, key, strict=True))
            rows.append({**cell, "metric": metric, **vars(estimate), "n": n, "threshold": remove_bin / N_BINS})
    frame = pd.DataFrame(rows, columns=list(TABLES["policy_metrics"].column_names))
    return frame.astype({"value": float, "low": float, "high": float, "refusal": "str"})


def precision(removed: _Labels, population: float) -> Estimate:
    """Share of violating videos among the removed. `removed`: labels there. `population`: how many videos that is."""
    n = len(removed.p)
    if population == 0:
        return Estimate(refusal="no video at or above remove_at")
    if n < MIN_LABELS:
        return Estimate(refusal=_too_few(n))
    value = float(np.average(removed.p, weights=removed.weight))
    variance = taylor_variance(removed.p, removed.weight)
    kish = float(removed.weight.sum() ** 2 / (removed.weight**2).sum())
    # A few large weights on equal answers show no variance at all; Kish's size does not fall for that.
    n_effective = min(kish, value * (1 - value) / variance) if variance > 0 else kish
    return _stated(value, *korn_graubard(value, n_effective), n_effective)


def rate(labels: _Labels, totals: Array, size: Array, remove_bin: int) -> Estimate:
    """Share of violating videos (size 1 each) or views (size: the video's views) in the whole cell.

    `totals`: the population's size by bin, no score first, shape (1 + N_BINS,). `size`: of each label, > 0.
    """
    n = len(labels.p)
    if totals.sum() == 0:
        return Estimate(refusal="no views")
    if n < MIN_LABELS:
        return Estimate(refusal=_too_few(n))
    # Removed videos tend to be answered sooner than others, so they are a band of their own where any is labelled.
    cuts = (remove_bin,) if (labels.bin >= remove_bin).any() else ()
    scaled = poststratified(labels.bin, labels.weight * size, totals, cuts)
    if isinstance(scaled, str):
        return Estimate(refusal=scaled)
    share, band = scaled
    if not labels.p.any():
        bound = float(1 - (1 - CONFIDENCE) ** np.sum(share**2))
        return Estimate(high=bound, refusal=f"no violating video among {n} labels: at most {bound:.2%}")
    unsampled = np.clip(1 - size / (share * totals.sum()), 0, 1)
    low, high = rate_interval(share, band, labels.p, labels.r, unsampled, confidence=CONFIDENCE)
    value = min(float(share @ labels.p), 1.0)
    variance = ((high - low) / (2 * _Z)) ** 2
    n_effective = min(n, value * (1 - value) / variance) if variance > 0 else n
    return _stated(value, low, high, n_effective)


def recall(labels: _Labels, videos: Array, remove_bin: int) -> Estimate:
    """Share of the violating videos that is removed. `videos`: by bin, no score first, shape (1 + N_BINS,)."""
    n = len(labels.p)
    if videos[remove_bin + 1 :].sum() == 0:
        return Estimate(refusal="no video at or above remove_at")
    if n < MIN_LABELS:
        return Estimate(refusal=_too_few(n))
    scaled = poststratified(labels.bin, labels.weight, videos, cuts=(remove_bin,))
    if isinstance(scaled, str):
        return Estimate(refusal=scaled)
    share, band = scaled
    if not labels.p.any():
        return Estimate(refusal=f"no violating video among {n} labels")
    removed = labels.bin >= remove_bin
    found, violating = float(share @ (labels.p * removed)), float(share @ labels.p)
    value = found / violating
    unsampled = np.clip(1 - 1 / (share * videos.sum()), 0, 1)
    influence = share * (removed - value) / violating
    variance = float(influence**2 @ (_variances(labels, share, band) * unsampled))
    by_curve = float(share @ (labels.r * removed)) / float(share @ labels.r)
    return _on_logit_scale(value, by_curve, variance, n)


def poststratified(bins: Ints, weight: Array, totals: Array, cuts: tuple[int, ...]) -> tuple[Array, Ints] | str:
    """Each label's share of the whole, weights scaled within bands to the bands' known totals, and its band.

    `bins`: of the labels. `weight`: size / inclusion probability, > 0. `totals`: of size, by bin, no score first. Bands
    are separated at `cuts` and, between those, at quantiles of the labels' bins, which labels' answers cannot move. A
    band with a total but no label makes the whole unknown: the result is then the reason in words.
    """
    edges = [NO_SCORE_BIN, 0]
    for start, end in pairwise([0, *cuts, N_BINS]):
        inside = np.sort(bins[(bins >= start) & (bins < end)])
        bands = int(np.clip(len(inside) // MIN_LABELS, 1, MAX_BANDS))
        edges += [int(inside[len(inside) * i // bands]) for i in range(1, bands)] + [end]
    bounds = np.unique(edges)
    band = np.searchsorted(bounds, bins, side="right") - 1
    by_band = np.add.reduceat(totals, bounds[:-1] + 1)
    labelled = np.bincount(band, weight, minlength=len(by_band))
    if (unknown := (labelled == 0) & (by_band > 0)).any():
        i = int(np.argmax(unknown))
        where = "without score" if bounds[i] < 0 else f"scored {bounds[i] / N_BINS:.3f} to {bounds[i + 1] / N_BINS:.3f}"
        return f"no label among videos {where}, {by_band[i] / totals.sum():.2%} of all"
    return weight * (by_band / np.where(labelled > 0, labelled, 1))[band] / totals.sum(), band


def _variances(labels: _Labels, share: Array, band: Ints) -> Array:
    """Variance of each label's answer: the mean of what the curve expects and what the sample shows within the band."""
    mean = np.bincount(band, share * labels.p) / np.maximum(np.bincount(band, share), np.finfo(float).tiny)
    return (labels.r * (1 - labels.r) + (labels.p - mean[band]) ** 2) / 2


def taylor_variance(p: Array, weight: Array) -> float:
    """Variance of the weighted mean by linearisation, independent draws: n/(n-1) sum w^2 (p - mean)^2 / (sum w)^2."""
    mean = np.average(p, weights=weight)
    return float(len(p) / (len(p) - 1) * np.sum((weight * (p - mean)) ** 2) / weight.sum() ** 2)


def korn_graubard(value: float, n_effective: float) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion at an effective sample size (Korn and Graubard, 1998)."""
    tail, x = (1 - CONFIDENCE) / 2, value * n_effective
    low = beta_distribution.ppf(tail, x, n_effective - x + 1) if value > 0 else 0.0
    high = beta_distribution.ppf(1 - tail, x + 1, n_effective - x) if value < 1 else 1.0
    return float(low), float(high)


def _on_logit_scale(value: float, by_curve: float, variance: float, n: int) -> Estimate:
    """An estimate with its logit interval; at 0 or 1, which have no logit, about the curve's own value."""
    centre = value if 0 < value < 1 else by_curve
    spread = centre * (1 - centre)
    half = _Z * math.sqrt(variance) / spread
    low, high = (float(expit(logit(centre) + sign * half)) for sign in (-1, 1))
    n_effective = min(n, spread / variance) if variance > 0 else n
    return _stated(value, min(low, value), max(high, value), n_effective)


def _stated(value: float, low: float, high: float, n_effective: float) -> Estimate:
    """The estimate, unless the presentation standards refuse it."""
    width = high - low
    if n_effective < MIN_LABELS:
        return Estimate(refusal=f"effective sample size {n_effective:.1f}, {MIN_LABELS} needed")
    if width >= WIDEST:
        return Estimate(refusal=f"interval {low:.3f} to {high:.3f} is wider than {WIDEST}")
    if width > NARROW and width > WIDEST_RELATIVE * value:
        return Estimate(refusal=f"interval {low:.3f} to {high:.3f} is wider than {WIDEST_RELATIVE:.0%} of {value:.3f}")
    return Estimate(value, low, high)


def _too_few(n: int) -> str:
    return f"{n} labels, {MIN_LABELS} needed"


def _labels(part: pd.DataFrame, curve: Array) -> _Labels:
    bins = bin_of(part["score"].to_numpy(np.float64))
    return _Labels(
        bins,
        part["p_violating"].to_numpy(np.float64),
        part["views"].to_numpy(np.float64),
        1 / part["inclusion_probability"].to_numpy(np.float64),
        curve[bins + 1],
    )


def _require(sample: pd.DataFrame, histogram: pd.DataFrame, thresholds: pd.DataFrame) -> None:
    """Raises ValueError as `policy_metrics` says."""
    for name, frame, columns in (
        ("sample", sample, _SAMPLE),
        ("histogram", histogram, _HISTOGRAM),
        ("thresholds", thresholds, _THRESHOLDS),
    ):
        for column in columns:
            if column not in frame:
                raise ValueError(f"{name}: column {column} is missing")
    pi = sample["inclusion_probability"]
    for column, good in (
        ("score", sample["score"].between(0, 1) | sample["score"].isna()),
        ("views", sample["views"] >= 0),
        ("inclusion_probability", (pi > 0) & (pi <= 1)),
        ("p_violating", sample["p_violating"].between(0, 1)),
    ):
        if not good.all():
            row = int(np.argmin(good.to_numpy(bool)))
            raise ValueError(f"sample: {column} {sample[column].iloc[row]} in row {row} is out of range")
    cells = _cells(histogram)
    for name, missing in (
        ("thresholds: cell", cells - _cells(thresholds)),
        ("histogram: cell of the sample", _cells(sample) - cells),
    ):
        if missing:
            raise ValueError(f"{name} {'/'.join(min(missing))} is missing")
    if absent := set(sample["sampled_on"].unique()) - set(histogram["ds"].unique()):
        raise ValueError(f"histogram: day {min(absent)} of the sample is missing")


def _cells(frame: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(frame[list(CELL)].drop_duplicates().itertuples(index=False, name=None))
