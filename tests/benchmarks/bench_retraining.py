"""How often retraining is asked for where nothing is lost, how soon after an evasion wave, and how challengers fare.

A life is DAYS days of one platform's labels, drawn by their counts: the decision takes nothing else
(`include.retraining.reachable`). How many videos of a cell have a score in a band, and how many of them violate, is
counted on many simulated videos; how many of a band are labelled a day is what the loop drew and had answered in its
first days on the simulator. Per day, market and band, videos and labels are Poisson counts, and answers binomial ones.

- **calm**: no policy of the platform may be asked for in more than 5 % of the lives;
- **evasion wave**: the policy must be asked for within 14 days of the wave in at least 9 of 10;
- **equal models** (tests.benchmarks.rivals): accepted in at most 1 - confidence of the comparisons; **better** ones, by
  about ten points of recall, with 4,000 labels in at least 9 of 10.

Fails if one is missed beyond Monte-Carlo error. `make bench-retraining`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from include.config.load import load_config
from include.evidence.sample import labelled_sample
from include.retraining.comparison import Terms, compare
from include.retraining.reachable import N_BANDS, Bands, band_of, level_of, loss_of
from include.simulation.population import content, scores, uploads
from include.simulation.scenario import Scenario, load_scenario
from tests.benchmarks import rivals
from tests.history import START, History

Array = NDArray[np.float64]

DAYS: Final = 60
WAVE: Final = 20
"""The wave's first day in a life that has one."""
WITHIN: Final = 14
VIDEOS_PER_DAY: Final = 20_000
POPULATION: Final = 300_000
LIVED: Final = 9
SENSITIVITY, SPECIFICITY = 0.98, 0.997
"""Of a typical simulated reviewer."""
CHANCE_OF_FALSE_ALARM: Final = 0.001


@dataclass(frozen=True)
class Platform:
    """A policy's day: videos and the share of labels that say violating, and labels of calm days; (markets, bands)."""

    calm: tuple[Array, Array]
    wave: tuple[Array, Array]
    labels: Array
    required: Array
    lowest: float


def day_of(scenario: Scenario, policy: str, index: int, lowest: float) -> tuple[Array, Array]:
    """Videos a day, and the share of them that labels call violating, by market and band."""
    videos = uploads(scenario, START + timedelta(days=index), index)
    truth = content(scenario, videos, policy)
    scored = scores(scenario, videos, policy, next(iter(scenario.policies[policy].models)), truth)
    band = band_of(np.where(scored.missing, np.nan, scored.score), lowest)
    at, size = scored.market.astype(np.int64) * N_BANDS + band, len(scenario.markets) * N_BANDS
    counts, violating = (
        np.bincount(at, weights, size).astype(float).reshape(-1, N_BANDS)
        for weights in (np.ones(len(at)), truth.violating.astype(float))
    )
    share = np.divide(violating, counts, out=np.zeros_like(counts), where=counts > 0)
    return counts * VIDEOS_PER_DAY / POPULATION, share * SENSITIVITY + (1 - share) * (1 - SPECIFICITY)


def platforms(history: History) -> dict[str, Platform]:
    """By policy, from days that were lived."""
    calm, wave = (load_scenario(name, videos_per_day=POPULATION) for name in ("calm", "evasion_wave"))
    config, found = load_config(), {}
    labelled, markets = labelled_sample(history.project, history.day(LIVED - 1)), list(calm.markets)
    for name, spec in calm.policies.items():
        policy = config.policies[name]
        lowest, target = policy.limits.lowest_remove_at, policy.target_precision
        rows = labelled[(labelled["policy"] == name) & (labelled["model_version"] == next(iter(spec.models)))]
        place = rows["market"].map(markets.index).to_numpy(np.int64)
        band = band_of(rows["score"].to_numpy(float), lowest)
        labels = np.bincount(place * N_BANDS + band, minlength=len(markets) * N_BANDS).reshape(-1, N_BANDS)
        shown = target * SENSITIVITY + (1 - target) * (1 - SPECIFICITY)
        found[name] = Platform(
            day_of(calm, name, 0, lowest),
            day_of(wave, name, 10, lowest),
            labels / rows["sampled_on"].nunique(),
            np.full(len(markets), shown),
            lowest,
        )
    return found


def asked_on(rng: np.random.Generator, platform: Platform, models: int, days: int, wave: int | None) -> int | None:
    """The first day on which the model of one life is asked for; None: never."""
    config = load_config()
    settings, policy = config.retraining, next(iter(config.policies.values()))
    level = level_of(settings.false_ask, settings.recent_days, models)
    counts = [np.zeros((days, *platform.labels.shape)) for _ in range(3)]
    for day in range(days):
        videos, share = platform.calm if wave is None or day < wave else platform.wave
        more = np.divide(videos, platform.calm[0], out=np.ones_like(videos), where=platform.calm[0] > 0)
        counts[0][day] = rng.poisson(videos)
        counts[1][day] = rng.poisson(np.minimum(platform.labels * more, videos))
        counts[2][day] = rng.binomial(counts[1][day].astype(np.int64), share)
    for day in range(wave or policy.maturity_days + settings.recent_days + 1, days):
        end, first = day - policy.maturity_days, max(0, day - policy.window_days + 1)
        start = end - settings.recent_days + 1
        if start <= first:
            continue
        both = [np.stack([one[first:start].sum(axis=0), one[start : end + 1].sum(axis=0)]) for one in counts]
        markets = tuple(map(str, range(len(platform.labels))))
        bands = Bands(markets, both[0], both[1], both[2], platform.lowest)
        if loss_of(bands, platform.required, level=level, threshold=settings.recall_drop, seed=day).real:
            return day
    return None


def outcomes(comparisons: int, labels: int, better: float, seed: int) -> list[str]:
    """What becomes of so many challengers."""
    terms, lowest = Terms(0.9, 0.05, 0.05), 0.3
    return [
        compare(
            rivals.sample(labels, seed + number, better=better), rivals.REQUIRED, terms, lowest=lowest, replicates=200
        ).outcome
        for number in range(comparisons)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench-retraining", description=__doc__)
    parser.add_argument("--lives", type=int, default=100)
    parser.add_argument("--comparisons", type=int, default=1000)
    given = parser.parse_args(arguments)
    began, problems = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="plumbline-retraining-") as folder:
        history = History(Path(folder), "calm", VIDEOS_PER_DAY)
        for index in range(LIVED):
            history.run_day(index)
        found = platforms(history)
    asked, delays = np.zeros(given.lives, dtype=bool), []
    for number in range(given.lives):
        for place, platform in enumerate(found.values()):
            rng = np.random.default_rng([number, place])
            asked[number] |= asked_on(rng, platform, len(found), DAYS, None) is not None
        day = asked_on(np.random.default_rng([number, 99]), found["fraud"], len(found), WAVE + WITHIN + 6, WAVE)
        delays.append(np.inf if day is None else day - WAVE)
    soon = np.array(delays) <= WITHIN
    print(f"calm: asked in {asked.mean():.1%} of {given.lives} lives of {DAYS} days")
    print(f"evasion wave: asked within {WITHIN} days in {soon.mean():.1%}, median {np.median(delays):.0f} days")
    if binom.sf(asked.sum() - 1, given.lives, 0.05) < CHANCE_OF_FALSE_ALARM:
        problems.append("calm platforms are asked too often")
    if binom.cdf(soon.sum(), given.lives, 0.9) < CHANCE_OF_FALSE_ALARM:
        problems.append("the wave is noticed too late")
    equal = outcomes(given.comparisons, 2000, 0.0, 10_000)
    better = outcomes(max(given.comparisons // 10, 1), 4000, 0.45, 50_000)
    worse = outcomes(max(given.comparisons // 10, 1), 4000, -0.2, 90_000)
    print(f"equal models accepted: {equal.count('better') / len(equal):.1%} of {len(equal)}")
    print(f"better ones accepted: {better.count('better') / len(better):.1%} of {len(better)}")
    print(f"worse ones refused as worse: {worse.count('worse') / len(worse):.1%}, accepted: {worse.count('better')}")
    if binom.sf(equal.count("better") - 1, len(equal), 0.1) < CHANCE_OF_FALSE_ALARM:
        problems.append("equal models are accepted more often than promised")
    if binom.cdf(better.count("better"), len(better), 0.9) < CHANCE_OF_FALSE_ALARM:
        problems.append("better models are accepted too rarely")
    print(f"{time.monotonic() - began:.0f} s. " + ("; ".join(problems) or "All as promised."))
    return min(len(problems), 1)


if __name__ == "__main__":
    raise SystemExit(main())
