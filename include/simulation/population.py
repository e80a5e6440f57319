"""The day's videos, what is true of them, and how the classifiers score them. Pure functions of scenario and day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from include.simulation.randomness import generator
from include.simulation.scenario import BrokenFeed, Campaigns, Evasion, ModelVersion, Scenario, Shift, SimulatedPolicy

ID_SHIFT = 22
"""A video id is its upload time in milliseconds since 1970, then 10 bits of worker, then 12 bits of sequence."""

LAST_UPLOAD_MS = 24 * 3600 * 1000 - 600_000
"""Uploads end ten minutes before midnight, so that each is decided upon on its day."""

COMPONENTS = ("ordinary", "hard_negative", "clear_positive", "hard_positive")
_FIRST_POSITIVE = 2
_MAX_VIEWS = 2_000_000_000
_UNKNOWN_MARKET = "XX"


@dataclass(frozen=True)
class Videos:
    """The videos uploaded on one day, N of them, in order of id."""

    day: date
    index: int
    video_id: NDArray[np.int64]
    market: NDArray[np.int8]
    """Position in the scenario's markets."""
    source: NDArray[np.int64]
    """Row of the original; of an original, its own."""
    views: NDArray[np.int64]

    @property
    def cluster_id(self) -> NDArray[np.int64]:
        """The id of the original of each video that has copies or is one; -1 for a video that is alone."""
        copies = np.bincount(self.source, minlength=len(self.source))
        return np.where(copies[self.source] > 1, self.video_id[self.source], -1)


@dataclass(frozen=True)
class Content:
    """What the N videos are for one policy."""

    component: NDArray[np.int8]
    """Position in COMPONENTS."""
    shift: NDArray[np.float64] | float
    """Added to the evidence of each video."""
    evading: NDArray[np.bool_]
    """What violates and was made to look harmless."""

    @property
    def violating(self) -> NDArray[np.bool_]:
        return self.component >= _FIRST_POSITIVE

    @property
    def hard(self) -> NDArray[np.bool_]:
        """What looks otherwise than it is."""
        return (self.component == COMPONENTS.index("hard_negative")) | (
            self.component == COMPONENTS.index("hard_positive")
        )


@dataclass(frozen=True)
class Scores:
    """One version's rows of `video_scores`. `missing` rows have no score, whatever `score` says."""

    policy: str
    model_version: str
    markets: tuple[str, ...]
    video_id: NDArray[np.int64]
    market: NDArray[np.int8]
    score: NDArray[np.float64]
    missing: NDArray[np.bool_]
    views: NDArray[np.int64]
    cluster_id: NDArray[np.int64] | None
    """-1: the video is no copy and has none. None: the platform does not say."""

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Scores:
        """The same with the rows chosen."""
        return replace(
            self,
            video_id=self.video_id[rows],
            market=self.market[rows],
            score=self.score[rows],
            missing=self.missing[rows],
            views=self.views[rows],
            cluster_id=None if self.cluster_id is None else self.cluster_id[rows],
        )


def uploads(scenario: Scenario, day: date, index: int) -> Videos:
    """The videos of `day`, the scenario's day `index`."""
    rng = generator(scenario.seed, day, "videos")
    weights = np.array([market.share for market in scenario.markets.values()])
    for event in _shifts(scenario, index):
        weights[[name in event.markets for name in scenario.markets]] *= event.volume_factor
    n = max(1, round(scenario.videos_per_day * weights.sum() * np.exp(0.02 * rng.standard_normal())))

    created = np.sort(rng.integers(0, LAST_UPLOAD_MS, n))
    created += int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    first_of_ms = np.maximum.accumulate(np.where(np.diff(created, prepend=-1) > 0, np.arange(n), 0))
    sequence = np.arange(n) - first_of_ms
    if sequence.max() >= 1 << 12:
        raise ValueError(f"{day}: more than 4096 uploads in a millisecond")
    video_id = np.sort((created << ID_SHIFT) | (rng.integers(0, 1 << 10, n) << 12) | sequence)

    # A repost copies an earlier video, early ones more often; copies of copies go back to the original.
    source = np.arange(n)
    reposts = np.flatnonzero(rng.random(n) < scenario.videos.repost_share)
    source[reposts] = reposts * rng.random(len(reposts)) ** 2
    for number, campaigns in enumerate(scenario.events):
        if isinstance(campaigns, Campaigns) and campaigns.active(index):
            posted = generator(scenario.seed, day, "campaigns", number).permutation(n)[: round(campaigns.share * n)]
            for campaign in np.array_split(posted, max(1, len(posted) // campaigns.copies)):
                source[campaign] = campaign.min(initial=n)
    while not np.array_equal(source, source[source]):
        source = source[source]

    market = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(n), side="right").astype(np.int8)
    views = scenario.videos.median_views * np.exp(scenario.videos.views_sigma * rng.standard_normal(n))
    viral = np.flatnonzero(rng.random(n) < scenario.videos.viral_share)
    views[viral] *= (1 - rng.random(len(viral))) ** (-1 / scenario.videos.viral_alpha)
    return Videos(
        day=day,
        index=index,
        video_id=video_id,
        market=market[source],
        source=source,
        views=np.minimum(views, _MAX_VIEWS).astype(np.int64),
    )


def content(scenario: Scenario, videos: Videos, policy: str) -> Content:
    """What is true of the videos for `policy`; copies share it with their original."""
    spec = scenario.policies[policy]
    prevalence = np.array([spec.prevalence[name] for name in scenario.markets])
    hard_negatives = np.array([spec.hard_negatives[name] for name in scenario.markets])
    shift = np.zeros(len(prevalence))
    for event in _shifts(scenario, videos.index):
        if policy in event.policies:
            hit = np.array([name in event.markets for name in scenario.markets])
            prevalence[hit] *= event.prevalence_factor
            hard_negatives[hit] *= event.hard_negatives_factor
            shift[hit] += event.evidence_shift
    evasions = [
        event
        for event in scenario.events
        if isinstance(event, Evasion) and event.active(videos.index) and policy in event.policies
    ]
    for evasion in evasions:
        prevalence[[name in evasion.markets for name in scenario.markets]] *= evasion.prevalence_factor

    # One uniform number decides: [0, p) violates, its first part hard; then the hard negatives; then the ordinary.
    rng = generator(scenario.seed, videos.day, "content", policy)
    u = rng.random(len(videos.video_id))
    p = prevalence[videos.market]
    component = (u < p + (1 - p) * hard_negatives[videos.market]).astype(np.int8)
    component[u < p] = 2
    component[u < p * spec.hard_positives] = 3
    component = component[videos.source]

    by_video: NDArray[np.float64] | float = shift[videos.market] if shift.any() else 0.0
    hidden = np.zeros(len(u), dtype=bool)
    for evasion in evasions:
        by_market = np.array([evasion.share if name in evasion.markets else 0.0 for name in scenario.markets])
        evading = (rng.random(len(u)) < by_market[videos.market])[videos.source] & (component >= _FIRST_POSITIVE)
        by_video = by_video - evasion.evidence_drop * evading
        hidden |= evading
    return Content(component, by_video, hidden)


def evidence_of(scenario: Scenario, videos: Videos, policy: str, truth: Content) -> NDArray[np.float64]:
    """What there is to see of each video, without any model's own noise; copies show what their original shows."""
    noise = _shared_noise(scenario, videos, policy)
    by_component = [getattr(scenario.policies[policy].evidence, name) for name in COMPONENTS]
    mean, sd = (np.array([getattr(one, what) for one in by_component])[truth.component] for what in ("mean", "sd"))
    return np.asarray(mean + sd * noise[videos.source] + truth.shift, dtype=np.float64)


def scores(scenario: Scenario, videos: Videos, policy: str, model_version: str, truth: Content) -> Scores:
    """The version's scores of all videos, rounded to six decimals."""
    spec = scenario.policies[policy]
    model = scenario.model_on(policy, model_version, videos.index)
    n = len(videos.video_id)
    shared = _shared_noise(scenario, videos, policy)
    rng = generator(scenario.seed, videos.day, "score", policy, model_version)
    noise = np.float32(np.sqrt(1 - model.noise)) * shared
    noise += np.float32(np.sqrt(model.noise)) * rng.standard_normal(n, dtype=np.float32)
    mean, sd = _logit_parameters(scenario, spec, model)
    cell = videos.market * np.int16(len(COMPONENTS)) + truth.component
    logit = mean.ravel()[cell] + sd.ravel()[cell] * noise[videos.source] + model.slope * truth.shift
    copies = np.flatnonzero(videos.source != np.arange(n))
    logit[copies] += model.slope * scenario.videos.repost_noise * rng.standard_normal(len(copies))
    missing = rng.random(n, dtype=np.float32) < model.missing_share
    score: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
    return rows_of(scenario, videos, policy=policy, model_version=model_version, score=score, missing=missing)


def rows_of(
    scenario: Scenario,
    videos: Videos,
    *,
    policy: str,
    model_version: str,
    score: NDArray[np.float64],
    missing: NDArray[np.bool_],
) -> Scores:
    """A version's scores, in [0, 1] and in order of id, as rows of video_scores; rounded to six decimals."""
    return Scores(
        policy=policy,
        model_version=model_version,
        markets=tuple(scenario.markets),
        video_id=videos.video_id,
        market=videos.market,
        score=np.round(score, 6),
        missing=missing,
        views=videos.views,
        cluster_id=videos.cluster_id if scenario.videos.cluster_ids else None,
    )


def broken(scenario: Scenario, videos: Videos, good: Scores) -> Scores:
    """The rows as a broken feed delivers them on that day; the same rows if none of the day's events breaks it."""
    for number, event in enumerate(scenario.events):
        if not (isinstance(event, BrokenFeed) and event.active(videos.index)):
            continue
        rng = generator(scenario.seed, videos.day, "broken", number, good.model_version)
        n, faults = len(good.video_id), event.faults
        score, views, market = good.score.copy(), good.views.copy(), good.market.copy()
        score[rng.random(n) < faults.out_of_range_scores] += 1.5
        score[rng.random(n) < faults.nan_scores] = np.nan
        missing = good.missing | (rng.random(n) < faults.null_scores)
        negative = rng.random(n) < faults.negative_views
        views[negative] = -1 - views[negative]
        market[rng.random(n) < faults.unknown_market] = len(good.markets)
        good = replace(
            good,
            score=score,
            views=views,
            missing=missing,
            market=market,
            markets=(*good.markets, _UNKNOWN_MARKET),
        )
        rows = np.flatnonzero(rng.random(n) >= faults.lost_rows)
        good = good.take(np.concatenate([rows, rows[rng.random(len(rows)) < faults.duplicate_rows]]))
    return good


def _shared_noise(scenario: Scenario, videos: Videos, policy: str) -> NDArray[np.float32]:
    """What makes one video look other than the next of its kind, to every model alike."""
    return generator(scenario.seed, videos.day, "evidence", policy).standard_normal(
        len(videos.video_id), dtype=np.float32
    )


def _shifts(scenario: Scenario, index: int) -> list[Shift]:
    return [event for event in scenario.events if isinstance(event, Shift) and event.active(index)]


def _logit_parameters(
    scenario: Scenario, policy: SimulatedPolicy, model: ModelVersion
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the logit score, each of shape (markets, components)."""
    components = [getattr(policy.evidence, name) for name in COMPONENTS]
    offsets = np.array([[model.offset + model.market_offsets.get(name, 0.0)] for name in scenario.markets])
    mean = offsets + model.slope * model.separation * np.array([c.mean for c in components])
    sd = model.slope * np.array([c.sd for c in components])
    return mean, np.broadcast_to(sd, mean.shape)
