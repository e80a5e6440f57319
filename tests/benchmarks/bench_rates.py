"""How well is the violative view rate known from 4,000 labels? ``python -m tests.benchmarks.bench_rates [days]``: 400.

Worlds with a true rate near 0.3 % and heavy-tailed views (lognormal, sigma 2: one video in a hundred has a third of the
views), each lived for so many independent days, after a week whose labels the design knows:

- uniform: as many videos drawn with equal probability, the rate being the ratio of their violating to all their views;
- audit: our audit alone, the prevalence programme being off, with our estimator;
- Plumbline: audit and prevalence as shipped, with our estimator.

Relative error: the root of the mean squared error over days, as a share of the true rate. Uniform sampling's is
computed, not simulated: with tails as heavy as these a few hundred days would not show it. Cover: how often the 95 %
interval holds the true rate, of the days on which one is stated. Fails if, beyond Monte-Carlo error, Plumbline's error
is not `TIMES_SMALLER` than uniform's or its intervals do not cover as they say, in a world whose assumptions hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri
from scipy.stats import binom, chi2

from include.certificates.certify import Goal
from include.config.model import Config, Programmes
from include.contract.sample import ProbabilitySample
from include.metrics.policy_metrics import policy_metrics
from tests.benchmarks.worlds import (
    POLICY,
    VERSION,
    Draw,
    Population,
    Worlds,
    configure,
    first_draw,
    histogram,
    next_draw,
    population,
    risks,
)

Array = NDArray[np.float64]

UNITS: Final = 6_000_000
LABELS: Final = 4_000
DAYS_SEEN: Final = 7
"""Days whose labels the design knows; in production those of the policy's window."""
DESIGNS: Final = 8
TIMES_SMALLER: Final = 8.0
"""Than uniform sampling's our error must be."""
COVERAGE: Final = (0.93, 0.97)
CHANCE_OF_FALSE_ALARM: Final = 0.001
GOAL: Final = Goal("precision", at_least=0.95)

_RARE: Final = [(0.9945, 0.25, 400.0), (0.0030, 1.0, 6.0), (0.0025, 12.0, 1.2)]  # 0.33 % violating
_OFTEN: Final = [(0.9890, 0.5, 400.0), (0.0060, 1.0, 6.0), (0.0050, 12.0, 1.2)]  # 0.66 %
_SELDOM: Final = [(0.9973, 0.125, 400.0), (0.0015, 1.0, 6.0), (0.00125, 12.0, 1.2)]  # 0.16 %


def _calm(rng: np.random.Generator, n: int) -> Population:
    return _watched(rng, risks(rng, n, _RARE))


def _watched(rng: np.random.Generator, risk: Array, score: Array | None = None, appeal: float = 1.0) -> Population:
    """Lognormal views; what violates is watched `appeal` times as much.

    The views of what violates, and of the rest, are the quantiles of their law in random order: of so heavy a tail a
    random draw may be anything.
    """
    violating = rng.random(risk.size) < risk
    views = np.empty(risk.size)
    for kind, factor in ((violating, appeal), (~violating, 1.0)):
        n = int(kind.sum())
        views[kind] = factor * np.exp(2.0 * ndtri((rng.permutation(n) + 0.5) / n))
    return population(risk if score is None else score, violating, views=np.ceil(10 * views))


def _unpopular(rng: np.random.Generator, n: int) -> Population:
    return _watched(rng, risks(rng, n, _OFTEN), appeal=0.5)


def _popular(rng: np.random.Generator, n: int) -> Population:
    return _watched(rng, risks(rng, n, _SELDOM), appeal=2.0)


def _noisy(rng: np.random.Generator, n: int) -> Population:
    risk = risks(rng, n, _RARE)
    latent = logit(np.clip(risk, 1e-9, 1 - 1e-9)) + 0.5 * rng.standard_t(4, n)
    return _watched(rng, risk, expit(0.8 * latent - 0.5))


def _blind(rng: np.random.Generator, n: int) -> Population:
    """A twentieth of what violates scores like any other video."""
    risk = risks(rng, n, _RARE)
    units = _watched(rng, risk)
    score = units.score.copy()
    unseen = units.violating & (rng.random(n) < 0.05)
    score[unseen] = rng.choice(units.score, unseen.sum())
    return population(score, units.violating, views=units.views)


@dataclass(frozen=True)
class World:
    name: str
    says: str
    build: Callable[[np.random.Generator, int], Population]
    holds: bool = True


WORLDS: Final = (
    World("calm", "the score is the risk", _calm),
    World("noisy", "the score is a distorted risk with heavy-tailed noise", _noisy),
    # At the same rate twice as many videos violate, which helps whoever draws videos uniformly.
    World("unpopular", "what violates is watched half as much", _unpopular),
    World("popular", "what violates is watched twice as much", _popular),
    World("blind spot", "a twentieth of what violates scores like any other video", _blind, holds=False),
)


@dataclass(frozen=True)
class Outcome:
    """Estimates of the days, shape (days,), NaN where refused, their intervals, and the true rate."""

    truth: float
    value: Array
    low: Array
    high: Array
    labels: Array

    @property
    def error(self) -> float:
        return float(np.sqrt(np.nanmean((self.value / self.truth - 1) ** 2)))

    @property
    def stated(self) -> int:
        return int(np.isfinite(self.value).sum())

    @property
    def covered(self) -> int:
        return int(((self.low <= self.truth) & (self.truth <= self.high)).sum())

    def misses(self, error: float) -> bool:
        """Whether the mean squared error is beyond Monte-Carlo error of that of a normal estimator of this `error`."""
        return bool(chi2.sf(self.stated * (self.error / error) ** 2, self.stated) < CHANCE_OF_FALSE_ALARM)

    def coverage_is_wrong(self) -> bool:
        """Whether so many covered are beyond Monte-Carlo error if the chance is anywhere within COVERAGE."""
        too_few = binom.cdf(self.covered, self.stated, COVERAGE[0])
        too_many = binom.sf(self.covered - 1, self.stated, COVERAGE[1])
        return bool(min(too_few, too_many) < CHANCE_OF_FALSE_ALARM)


def uniform_error(units: Population, labels: int) -> float:
    """Relative error of the ratio of violating to all views among `labels` videos drawn alike, linearised."""
    truth = (units.views @ units.violating) / units.views.sum()
    return float(np.sqrt(np.mean((units.views * (units.violating - truth)) ** 2) / labels) / units.views.mean() / truth)


def without_prevalence(config: Config) -> Config:
    shares = config.sampling.programmes
    alone = Programmes(audit=shares.audit + shares.prevalence, prevalence=0.0, golden=0.0, training=0.0)
    return config.model_copy(update={"sampling": config.sampling.model_copy(update={"programmes": alone})})


def live(units: Population, days: int, config: Config, rng: np.random.Generator, *, designs: int = DESIGNS) -> Outcome:
    """The estimates of `days` days, after a first week of the same world for each of so many designs."""
    worlds = Worlds(*[{"all": units}] * 3)
    totals = histogram(worlds.labelled).assign(ds=pd.Timestamp("2026-11-01"))
    first = first_draw(worlds.before, config)
    rows = []
    for part in np.array_split(np.arange(days), designs):
        seen = pd.concat([first.sample(rng) for _ in range(DAYS_SEEN)], ignore_index=True)
        draw = next_draw(worlds, seen, GOAL, config)
        rows += [estimate(draw, totals, rng) for _ in part]
    value, low, high, labels = np.array(rows, dtype=float).T
    truth = float((units.views @ units.violating) / units.views.sum())
    return Outcome(truth, value, low, high, labels)


def estimate(draw: Draw, totals: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float, float, int]:
    """The violative view rate of a day with its interval, and how many labels it took."""
    sample = draw.sample(rng).assign(policy=POLICY, model_version=VERSION, sampled_on=totals["ds"].iloc[0])
    in_force = pd.DataFrame({"policy": [POLICY], "market": "all", "model_version": VERSION, "remove_at": 0.9})
    metrics = policy_metrics(ProbabilitySample(sample), totals, in_force, None)
    metrics = metrics[metrics["population"] == "cell"].set_index("metric")
    value, low, high = metrics[["value", "low", "high"]].to_numpy(float)[metrics.index == "violative_view_rate"][0]
    return value, low, high, len(sample)


def main(days: int) -> int:
    """Live all worlds, print the table, and return the process's exit status."""
    config = configure({"all": float(LABELS)}, GOAL, 0.9)
    failed = []
    print(f"{days:,} days a world, {LABELS:,} labels, views lognormal with sigma 2.\n")
    print("| world | true rate | drawn by | relative error | times smaller | cover | refused | labels |")
    print("|---|---|---|---|---|---|---|---|")
    for world in WORLDS:
        rng = np.random.default_rng([20261101, *world.name.encode()])
        units = world.build(rng, UNITS)
        uniform = uniform_error(units, LABELS)
        ours = live(units, days, config, rng)
        alone = live(units, days // 4, without_prevalence(config), rng)
        print(f"| {world.name} | {ours.truth:.3%} | uniform | {uniform:.3f} | 1 | | | {LABELS:,} |")
        for name, found in (("audit", alone), ("Plumbline", ours)):
            print(
                f"| {world.name} | {found.truth:.3%} | {name} | {found.error:.3f} | {uniform / found.error:.1f} | "
                f"{found.covered / found.stated:.1%} | {1 - found.stated / len(found.value):.1%} | "
                f"{found.labels.mean():,.0f} |",
                flush=True,
            )
        if world.holds and (ours.misses(uniform / TIMES_SMALLER) or ours.coverage_is_wrong()):
            failed.append(world.name)
    print()
    for world in WORLDS:
        print(f"- {world.name}: {world.says}{'' if world.holds else '; no promise'}")
    bounds = f"{TIMES_SMALLER:g} times smaller, cover {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%}"
    print(f"\nBounds: {bounds}. Broken: {', '.join(failed) or 'nowhere'}.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
