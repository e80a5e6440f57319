"""Precision, recall and false-positive rate of automatic removal, prevalence and violative view rate, with 95 %
intervals: of every cell, of every region's cells together, and of all markets'.

Estimates are post-stratified: score bands, and videos without score, are weighted to their exact totals in the score
histogram (Sarndal, Swensson and Wretman, Model Assisted Survey Sampling, 1992, sec. 7.6), so that labels still missing
do no harm as long as those present are typical of their band. Within a band a label weighs 1 / inclusion probability.

Intervals: violating videos are rare, and where the weights are large a sample usually holds none of them, so the
variance seen in the sample is too small just when the estimate is. The variance expected from the calibration curve has
no such gap but knows nothing of surprises. Rates put together what labels and curve say of each band (`rare.py`);
recall takes the mean of the two variances, on the logit scale. Precision has no such gap and gets the Korn-Graubard
interval with the Taylor variance (Survey Methodology 24, 1998).

A difference estimator (prediction-powered inference) from a curve fitted on the other folds was tried in place of
post-stratification and beside it: over 150 samples of 2,000 labels its relative error was .0322 against .0322 for
prevalence, .0311 against .0313 for recall and .0625 against .0600 for the violative view rate; on top of
post-stratification it gained 1 %. It is left out.

All this is about the reviewers' consensus. Where experts settled enough draws, each metric is also *corrected* for the
error of reviewers (Rogan and Gladen, 1978), separately for the scores that may be removed and those below. The interval
adds up, by MOVER (Zou and Donner, Statistics in Medicine 27, 2008), what the metric's own limits and those of
sensitivity and specificity each do to it. A rate below 1 - specificity could be false alarms alone: it is refused.

What is not worth stating is refused, after the presentation standards for proportions of the US National Center for
Health Statistics (Parker et al., Vital and Health Statistics 2(175), 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from include.certificates.intervals import korn_graubard
from include.certificates.reviewer_error import ReviewerError, reviewer_error_by_band, settled_by_experts
from include.config.model import Config
from include.contract.grid import bin_of, first_bin
from include.contract.sample import ProbabilitySample
from include.contract.tables import ALL_MARKETS, CELL, N_BINS, NO_SCORE_BIN, TABLES
from include.evidence.calibration import curve_by_cell
from include.metrics.rare_rates import rate_interval

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_LABELS = 30
WIDEST = 0.30
NARROW = 0.05
"""An interval at most this wide is stated whatever its relative width."""
WIDEST_RELATIVE = 1.30

CONFIDENCE = 0.95
MAX_BANDS = 8

_TINY = np.finfo(float).tiny
_Z = float(norm.ppf((1 + CONFIDENCE) / 2))
_NUMBERS = ["score", "views", "inclusion_probability", "p_violating"]
_SAMPLE = (*CELL, *_NUMBERS, "sampled_on")
_HISTOGRAM = (*CELL, "bin", "n_videos", "n_views")
_THRESHOLDS = (*CELL, "remove_at")


@dataclass(frozen=True)
class MetricEstimate:
    """A metric with its interval, or why it is not stated; `high` alone is an upper bound."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class _Labels:
    """Labels of one population; arrays of shape (labels,). `r`: the calibration curve at the label's score.

    `suspected`: whether the score is one at which the policy may remove.
    """

    bin: Ints
    p: Array
    views: Array
    weight: Array
    r: Array
    suspected: npt.NDArray[np.bool_]

    def where(self, keep: npt.NDArray[np.bool_]) -> _Labels:
        return _Labels(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Population:
    """Labels, and by bin (no score first) all videos and views; those from remove_bin on are removed.

    `suspected`: the share of videos, and of views, at scores at which the policy may remove.
    """

    labels: _Labels
    videos: Array
    views: Array
    remove_bin: int
    suspected: tuple[float, float]


Errors = tuple[ReviewerError, ReviewerError] | str
"""Reviewers' error below the lowest score that may be removed, and from it on; or why it is not known."""


def policy_metrics(
    sample: ProbabilitySample, histogram: pd.DataFrame, thresholds: pd.DataFrame, config: Config | None
) -> pd.DataFrame:
    """Rows of table `policy_metrics`, five for every cell of the histogram, sorted by cell, population and metric.

    Five more for every region in which a policy and model version have several markets, and for all their markets.

    `sample`: labelled draws of the days of the window: policy, market, model_version, score (0..1, null: none), views
    (>= 0), inclusion_probability (0..1], p_violating (0..1), sampled_on; where experts settled some, also video_id and
    golden (1, 0, or NaN: not settled).
    `histogram`: the population of the same days together: policy, market, model_version, bin (-1: no score, 0..999),
    n_videos, n_views; several rows of a bin are added up.
    `thresholds`: policy, market, model_version, remove_at in force, a multiple of 0.001; every cell of the histogram
    present.
    `config`: the markets' regions, and which policies correct for reviewers' error. None: nothing is pooled or
    corrected, and policies and markets may be any.

    Raises ValueError naming column and row, cell or day where the input breaks these ranges or does not fit together.
    """
    _require(sample, histogram, thresholds, config)
    remove_at = thresholds.set_index(list(CELL))["remove_at"].to_dict()
    totals = histogram.groupby(list(CELL), sort=True)[["bin", "n_videos", "n_views"]]
    parts = {(str(key[0]), str(key[1]), str(key[2])): part for key, part in totals}
    labelled = dict(list(sample.groupby(list(CELL), sort=False)[_NUMBERS]))
    curves = curve_by_cell(sample, list(parts))
    golden = settled_by_experts(sample)
    cells = {}
    for key, part in parts.items():
        index = part["bin"].to_numpy(np.int64) + 1
        videos, views = (
            np.bincount(index, part[name], N_BINS + 1).astype(np.float64) for name in ("n_videos", "n_views")
        )
        lowest = first_bin(config.policies[key[0]].limits.lowest_remove_at) if config else 0
        labels = _labels(labelled.get(key, sample[_NUMBERS].iloc[:0]), curves[key], lowest)
        suspected = (_share(videos[lowest + 1 :], videos), _share(views[lowest + 1 :], views))
        cells[key] = _Population(labels, videos, views, first_bin(remove_at[key]), suspected)
    rows = []
    for key, cell in cells.items():
        errors = _errors(golden, key[0], [key[1]], config)
        rows += _rows(cell, errors, dict(zip(CELL, key, strict=True)), "cell", cell.remove_bin / N_BINS)
    known = config.markets if config else {}
    for policy, version in sorted({key[::2] for key in cells}) if config else ():
        markets = [key[1] for key in cells if key[::2] == (policy, version)]
        regions = {market: known[market].region for market in markets}
        pools = {f"region {name}": [m for m in markets if regions[m] == name] for name in sorted(set(regions.values()))}
        for population, members in {**pools, "policy": markets}.items():
            if len(members) > 1:
                pool = _pool([cells[policy, market, version] for market in members])
                of = {"policy": policy, "market": ALL_MARKETS, "model_version": version}
                rows += _rows(pool, _errors(golden, policy, members, config), of, population, None)
    frame = pd.DataFrame(rows, columns=list(TABLES["policy_metrics"].column_names))
    numbers = dict.fromkeys(
        ("value", "low", "high", "threshold", "corrected", "corrected_low", "corrected_high"), float
    )
    frame = frame.astype({**numbers, "refusal": "str", "correction": "str"})
    return frame.sort_values([*CELL, "population", "metric"], ignore_index=True)


def _rows(
    population: _Population, errors: Errors, cell: dict[str, str], name: str, threshold: float | None
) -> list[dict[str, object]]:
    """The five rows of one population."""
    labels, videos, remove_bin = population.labels, population.videos, population.remove_bin
    removed, seen = labels.where(labels.bin >= remove_bin), labels.where(labels.views > 0)
    removed_share = _share(videos[remove_bin + 1 :], videos)
    of_removed = precision(removed, float(videos[remove_bin + 1 :].sum()))
    of_videos = rate(labels, videos, np.ones_like(labels.p), remove_bin)
    of_views = rate(seen, population.views, seen.views, remove_bin)
    of_violating = recall(labels, videos, remove_bin)
    ones = np.ones_like(labels.p)
    by_videos = _Correction(errors, population.suspected[0], _found_suspected(labels, ones, videos, remove_bin))
    by_views = _Correction(
        errors, population.suspected[1], _found_suspected(seen, seen.views, population.views, remove_bin)
    )
    found = {
        "precision": (of_removed, len(removed.p), by_videos.of_precision(of_removed)),
        "prevalence": (of_videos, len(labels.p), by_videos.of_rate(of_videos)),
        "recall": (of_violating, len(labels.p), by_videos.of_recall(of_violating, of_videos, removed_share)),
        "false_positive_rate": (
            false_positive_rate(of_removed, of_videos, removed_share),
            len(labels.p),
            by_videos.of_false_positives(of_removed, of_videos, removed_share),
        ),
        "violative_view_rate": (of_views, len(seen.p), by_views.of_rate(of_views)),
    }
    rows: list[dict[str, object]] = []
    for metric, (estimate, n, corrected) in found.items():
        stated = {"corrected": corrected.value, "corrected_low": corrected.low, "corrected_high": corrected.high}
        rows.append(
            {
                **cell,
                "population": name,
                "metric": metric,
                **vars(estimate),
                "n": n,
                "threshold": threshold,
                **stated,
                "correction": corrected.refusal,
            }
        )
    return rows


def _pool(cells: list[_Population]) -> _Population:
    """Several cells as one population. Its bins are N_BINS of kept videos and, above, N_BINS of removed ones, so that
    every cell's own remove_at counts.
    """
    bins, videos, views = [], np.zeros(2 * N_BINS + 1), np.zeros(2 * N_BINS + 1)
    for cell in cells:
        moved = np.arange(NO_SCORE_BIN, N_BINS)
        moved[cell.remove_bin + 1 :] += N_BINS
        videos[moved + 1] += cell.videos
        views[moved + 1] += cell.views
        bins.append(np.where(cell.labels.bin >= cell.remove_bin, cell.labels.bin + N_BINS, cell.labels.bin))
    joined = {name: np.concatenate([getattr(cell.labels, name) for cell in cells]) for name in ("p", "views", "weight")}
    joined |= {name: np.concatenate([getattr(cell.labels, name) for cell in cells]) for name in ("r", "suspected")}
    sizes = np.array([[cell.videos.sum(), cell.views.sum()] for cell in cells])
    suspected = np.array([cell.suspected for cell in cells])
    shares = np.divide((sizes * suspected).sum(axis=0), sizes.sum(axis=0), out=np.zeros(2), where=sizes.sum(axis=0) > 0)
    labels = _Labels(bin=np.concatenate(bins), **joined)
    return _Population(labels, videos, views, N_BINS, (float(shares[0]), float(shares[1])))


def _share(part: Array, whole: Array) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else 0.0


def _errors(golden: pd.DataFrame, policy: str, markets: Sequence[str], config: Config | None) -> Errors:
    if config is None or not config.policies[policy].correct_reviewer_error:
        return "the policy does not ask for it"
    settings = config.policies[policy]
    own = golden[(golden["policy"] == policy) & golden["market"].isin(markets)]
    return reviewer_error_by_band(own, settings.limits.lowest_remove_at, tail=(1 - CONFIDENCE) / 2)


def precision(removed: _Labels, population: float) -> MetricEstimate:
    """Share of violating videos among the removed. `removed`: labels there. `population`: how many videos that is."""
    n = len(removed.p)
    if population == 0:
        return MetricEstimate(refusal="no video at or above remove_at")
    if n < MIN_LABELS:
        return MetricEstimate(refusal=_too_few(n))
    value = float(np.average(removed.p, weights=removed.weight))
    variance = taylor_variance(removed.p, removed.weight)
    kish = float(removed.weight.sum() ** 2 / (removed.weight**2).sum())
    # A few large weights on equal answers show no variance at all; Kish's size does not fall for that.
    n_effective = min(kish, value * (1 - value) / variance) if variance > 0 else kish
    return _stated(value, *korn_graubard(value, n_effective, level=CONFIDENCE), n_effective)


def false_positive_rate(precision: MetricEstimate, prevalence: MetricEstimate, removed: float) -> MetricEstimate:
    """Share of the non-violating videos that is removed, of which `removed` is the exact share of all videos removed.

    It is removed (1 - precision) / (1 - prevalence), and has their refusals.
    """
    for of in (precision, prevalence):
        if of.value is None:
            return MetricEstimate(refusal=of.refusal)
    if prevalence.value == 1:
        return MetricEstimate(refusal="no video that does not violate")

    def share(right: float, rate: float) -> float:
        wrong = removed * (1 - right)
        return wrong / max(1 - rate, wrong, _TINY)

    return _stated(*_recovered(share, [_limits(precision), _limits(prevalence)]), math.inf)


def rate(labels: _Labels, totals: Array, size: Array, remove_bin: int) -> MetricEstimate:
    """Share of violating videos (size 1 each) or views (size: the video's views) in the whole cell.

    `totals`: the population's size by bin, no score first, shape (1 + N_BINS,). `size`: of each label, > 0.
    """
    n = len(labels.p)
    if totals.sum() == 0:
        return MetricEstimate(refusal="no views")
    if n < MIN_LABELS:
        return MetricEstimate(refusal=_too_few(n))
    scaled = poststratified(labels.bin, labels.weight * size, totals, _cuts(labels, remove_bin))
    if isinstance(scaled, str):
        return MetricEstimate(refusal=scaled)
    share, band = scaled
    if not labels.p.any():
        bound = float(1 - (1 - CONFIDENCE) ** np.sum(share**2))
        return MetricEstimate(high=bound, refusal=f"no violating video among {n} labels: at most {bound:.2%}")
    unsampled = np.clip(1 - size / (share * totals.sum()), 0, 1)
    low, high = rate_interval(share, band, labels.p, labels.r, unsampled, confidence=CONFIDENCE)
    value = min(float(share @ labels.p), 1.0)
    variance = ((high - low) / (2 * _Z)) ** 2
    n_effective = min(n, value * (1 - value) / variance) if variance > 0 else n
    return _stated(value, low, high, n_effective)


def recall(labels: _Labels, videos: Array, remove_bin: int) -> MetricEstimate:
    """Share of the violating videos that is removed. `videos`: by bin, no score first, shape (1 + N_BINS,)."""
    n = len(labels.p)
    if videos[remove_bin + 1 :].sum() == 0:
        return MetricEstimate(refusal="no video at or above remove_at")
    if n < MIN_LABELS:
        return MetricEstimate(refusal=_too_few(n))
    scaled = poststratified(labels.bin, labels.weight, videos, cuts=(remove_bin,))
    if isinstance(scaled, str):
        return MetricEstimate(refusal=scaled)
    share, band = scaled
    if not labels.p.any():
        return MetricEstimate(refusal=f"no violating video among {n} labels")
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
    for start, end in pairwise([0, *cuts, len(totals) - 1]):
        inside = np.sort(bins[(bins >= start) & (bins < end)])
        bands = int(np.clip(len(inside) // MIN_LABELS, 1, MAX_BANDS))
        edges += [int(inside[len(inside) * i // bands]) for i in range(1, bands)] + [end]
    bounds = np.unique(edges)
    band = np.searchsorted(bounds, bins, side="right") - 1
    by_band = np.add.reduceat(totals, bounds[:-1] + 1)
    labelled = np.bincount(band, weight, minlength=len(by_band))
    if (unknown := (labelled == 0) & (by_band > 0)).any():
        i = int(np.argmax(unknown))
        where = (
            "removed"
            if bounds[i] >= N_BINS
            else "without score"
            if bounds[i] < 0
            else f"scored {bounds[i] / N_BINS:.3f} to {bounds[i + 1] / N_BINS:.3f}"
        )
        return f"no label among videos {where}, {by_band[i] / totals.sum():.2%} of all"
    return weight * (by_band / np.where(labelled > 0, labelled, 1))[band] / totals.sum(), band


def _variances(labels: _Labels, share: Array, band: Ints) -> Array:
    """Variance of each label's answer: the mean of what the curve expects and what the sample shows within the band."""
    mean = np.bincount(band, share * labels.p) / np.maximum(np.bincount(band, share), _TINY)
    return (labels.r * (1 - labels.r) + (labels.p - mean[band]) ** 2) / 2


def taylor_variance(p: Array, weight: Array) -> float:
    """Variance of the weighted mean by linearisation, independent draws: n/(n-1) sum w^2 (p - mean)^2 / (sum w)^2."""
    mean = np.average(p, weights=weight)
    return float(len(p) / (len(p) - 1) * np.sum((weight * (p - mean)) ** 2) / weight.sum() ** 2)


def _on_logit_scale(value: float, by_curve: float, variance: float, n: int) -> MetricEstimate:
    """An estimate with its logit interval; at 0 or 1, which have no logit, about the curve's own value."""
    centre = value if 0 < value < 1 else by_curve
    spread = centre * (1 - centre)
    if spread == 0:  # nothing is on the other side, not even in the curve's eyes
        return _stated(value, value, value, n)
    half = _Z * math.sqrt(variance) / spread
    low, high = (float(expit(logit(centre) + sign * half)) for sign in (-1, 1))
    n_effective = min(n, spread / variance) if variance > 0 else n
    return _stated(value, min(low, value), max(high, value), n_effective)


Limits = tuple[float, float, float]
"""A value with its lower and upper limit."""


def _limits(estimate: MetricEstimate) -> Limits:
    """Of a stated estimate."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        raise ValueError(f"the estimate is not stated: {estimate.refusal}")
    return estimate.value, estimate.low, estimate.high


def _recovered(of: Callable[..., float], parts: list[Limits]) -> Limits:
    """`of` the parts' values in [0, 1], with limits that add up the squares of what each part's limits do (MOVER)."""
    at = [part[0] for part in parts]
    value, down, up = float(of(*at)), 0.0, 0.0
    for i, part in enumerate(parts):
        moves = [float(of(*at[:i], end, *at[i + 1 :])) - value for end in part[1:]]
        down, up = down + min(0.0, *moves) ** 2, up + max(0.0, *moves) ** 2
    low, middle, high = np.clip([value - math.sqrt(down), value, value + math.sqrt(up)], 0, 1).tolist()
    return middle, low, high


@dataclass(frozen=True)
class _Correction:
    """Metrics of one population's true labels, from those of the reviewers' consensus and how often it errs.

    With f = 1 - specificity, a share x of what reviewers call violating in a band of share w holds (x - f w) / (Se - f)
    of truly violating. Bands: below the lowest score that may be removed, and from it on.

    `suspected`: the upper band's share of all; `found_suspected`: its share of what reviewers call violating.
    """

    errors: Errors
    suspected: float
    found_suspected: float

    def of_precision(self, shown: MetricEstimate) -> MetricEstimate:
        return self._corrected([shown], self._removed_violating, suspected=1.0)

    def of_rate(self, shown: MetricEstimate) -> MetricEstimate:
        return self._corrected([shown], self._violating, suspected=self.suspected)

    def of_recall(self, shown: MetricEstimate, prevalence: MetricEstimate, removed: float) -> MetricEstimate:
        def true(recall: float, rate: float, *errors: float) -> float:
            found = removed * self._removed_violating(recall * rate / max(removed, _TINY), *errors)
            return found / max(self._violating(rate, *errors), found, _TINY)

        return self._corrected([shown, prevalence], true, suspected=self.suspected)

    def of_false_positives(
        self, precision: MetricEstimate, prevalence: MetricEstimate, removed: float
    ) -> MetricEstimate:
        def true(right: float, rate: float, *errors: float) -> float:
            wrong = removed * (1 - min(self._removed_violating(right, *errors), 1.0))
            return wrong / max(1 - self._violating(rate, *errors), wrong, _TINY)

        return self._corrected([precision, prevalence], true, suspected=self.suspected)

    def _corrected(self, shown: list[MetricEstimate], of: Callable[..., float], *, suspected: float) -> MetricEstimate:
        """`of` the shown values, then sensitivity and 1 - specificity of the lower band, then of the upper.

        `suspected`: share of the upper band in what the last of the shown values is a rate of.
        """
        if isinstance(self.errors, str):
            return MetricEstimate(refusal=self.errors)
        if any(estimate.value is None for estimate in shown):
            return MetricEstimate(refusal="the metric itself, or what its correction needs, is not stated")
        parts = [_limits(estimate) for estimate in shown]
        rate = parts[-1][0]
        for error in self.errors:
            sensitivity, right = error.sensitivity, error.specificity
            parts.append((sensitivity.value, sensitivity.low, sensitivity.high))
            parts.append((1 - right.value, 1 - right.high, 1 - right.low))
        alarms = (1 - suspected) * parts[-3][0] + suspected * parts[-1][0]
        if rate <= alarms:
            return MetricEstimate(refusal=f"{rate:.3%} is not above 1 - specificity, {alarms:.3%}")
        return _stated(*_recovered(of, parts), math.inf)

    def _violating(self, shown: float, *errors: float) -> float:
        """The true rate behind a shown one, which keeps its distribution over the bands."""
        below, below_alarm, above, above_alarm = errors
        low = (shown * (1 - self.found_suspected) - (1 - self.suspected) * below_alarm) / (below - below_alarm)
        high = (shown * self.found_suspected - self.suspected * above_alarm) / (above - above_alarm)
        return max(low, 0.0) + max(high, 0.0)

    @staticmethod
    def _removed_violating(shown: float, *errors: float) -> float:
        """The true precision behind a shown one: all that is removed lies in the upper band."""
        *_, above, alarm = errors
        return max((shown - alarm) / (above - alarm), 0.0)


def _found_suspected(labels: _Labels, size: Array, totals: Array, remove_bin: int) -> float:
    """`_Correction.found_suspected`; arguments as of `rate`."""
    scaled = (
        poststratified(labels.bin, labels.weight * size, totals, _cuts(labels, remove_bin)) if labels.p.any() else ""
    )
    if isinstance(scaled, str):
        return 0.0
    found = scaled[0] * labels.p
    return float(found[labels.suspected].sum() / found.sum())


def _cuts(labels: _Labels, remove_bin: int) -> tuple[int, ...]:
    """Removed videos tend to be answered sooner than others, so they are a band of their own where any is labelled."""
    return (remove_bin,) if (labels.bin >= remove_bin).any() else ()


def _stated(value: float, low: float, high: float, n_effective: float) -> MetricEstimate:
    """The estimate, unless the presentation standards refuse it."""
    width = high - low
    if n_effective < MIN_LABELS:
        return MetricEstimate(refusal=f"effective sample size {n_effective:.1f}, {MIN_LABELS} needed")
    if width >= WIDEST:
        return MetricEstimate(refusal=f"interval {low:.3f} to {high:.3f} is wider than {WIDEST}")
    if width > NARROW and width > WIDEST_RELATIVE * value:
        return MetricEstimate(
            refusal=f"interval {low:.3f} to {high:.3f} is wider than {WIDEST_RELATIVE:.0%} of {value:.3f}"
        )
    return MetricEstimate(value, low, high)


def _too_few(n: int) -> str:
    return f"{n} labels, {MIN_LABELS} needed"


def _labels(part: pd.DataFrame, curve: Array, lowest: int) -> _Labels:
    """Labels of one cell, in which the policy may remove from bin `lowest` on."""
    bins = bin_of(part["score"].to_numpy(np.float64))
    p, r = part["p_violating"].to_numpy(np.float64), curve[bins + 1]
    if np.isnan(r).any():  # the model version has no label with a score, so the curve is silent on those without
        r = np.full(len(p), (p.sum() + 0.5) / (len(p) + 1))
    return _Labels(
        bins,
        p,
        part["views"].to_numpy(np.float64),
        1 / part["inclusion_probability"].to_numpy(np.float64),
        r,
        bins >= lowest,
    )


def _require(sample: pd.DataFrame, histogram: pd.DataFrame, thresholds: pd.DataFrame, config: Config | None) -> None:
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
    for column, known in (("policy", config.policies), ("market", config.markets)) if config else ():
        if unknown := set(histogram[column].unique()) - set(known):
            raise ValueError(f"histogram: {column} {min(unknown)!r} is not configured")


def _cells(frame: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(frame[list(CELL)].drop_duplicates().itertuples(index=False, name=None))
