"""Does the certificate keep its promise? ``python -m tests.benchmarks.bench_guarantee [days]``: 1,000 a scenario.

Each scenario of `worlds.py` is lived for so many independent days. Its truth is known, so that every threshold that the
ways of choosing one in `peers.py` take from the very same labels can be judged:

- misses: the share of all days on which the true precision at the chosen threshold is below the target, with its exact
  95 % Monte-Carlo interval;
- recall: the mean over all days of the true recall, as a share of what the best threshold that meets the target finds;
  a refusal counts as 0, and a threshold that misses may exceed 1;
- refused: the share of days without a threshold;
- short by: how many percentage points the true precision lacks, on average, when it misses;
- labels: the mean number a day.

The sample is drawn by `design` from a calibration curve and a threshold of an earlier day's labels, as in production;
that earlier day is lived anew `DESIGNS` times a scenario. "fixed once" is a notebook's threshold from the labels of
such a first day, never touched again. Where experts settle some of the draws, Plumbline corrects for reviewers' error,
and stands beside itself without that. Where the promise does not hold in principle the table says so and shows what
that costs. Fails if Plumbline misses more often than promised, beyond Monte-Carlo error, where it does hold.

Run with as many days as the default, it replaces its table in docs/measured.md, which shows misses and recall alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from include.certificates.certify import Goal
from tests.benchmarks import documented
from tests.benchmarks.peers import corrected, hajek_normal, looks_right, mapie, mapie_from, plumbline
from tests.benchmarks.worlds import SCENARIOS, Scenario, Truth, configure, first_draw, next_draw

DAYS: Final = 1_000
UNITS: Final = 1_000_000
DESIGNS: Final = 10
CHANCE_OF_FALSE_ALARM: Final = 0.001

Peer = Callable[[pd.DataFrame, Goal, float], float | None]
OURS: Final = "Plumbline"
PEERS: Final[dict[str, Peer]] = {
    OURS: plumbline,
    "looks right": looks_right,
    "MAPIE, as it comes": mapie,
    "MAPIE, sequence": mapie_from,
    "Hajek-normal": hajek_normal,
}
FIXED: Final = "fixed once"
UNCORRECTED: Final = "Plumbline, uncorrected"
"""Only where experts settle some of the draws, and Plumbline corrects for reviewers' error."""
DOCUMENTED: Final = {
    OURS: "Plumbline",
    "looks right": "lowest threshold that looks right",
    "MAPIE, as it comes": "MAPIE",
    "MAPIE, sequence": "MAPIE, fixed sequence",
    "Hajek-normal": "Hajek, normal bound",
    FIXED: "never recalibrated",
}
"""The columns of docs/measured.md."""


@dataclass(frozen=True)
class Outcome:
    """One way of choosing, one scenario, shape (days,): true precision and recall over the oracle's, NaN and 0 where
    it refused; labels it used.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    labels: NDArray[np.float64]
    target: float

    @property
    def missed(self) -> NDArray[np.bool_]:
        return self.precision < self.target

    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of the share missed."""
        ci = binomtest(int(self.missed.sum()), self.missed.size).proportion_ci()
        return float(ci.low), float(ci.high)

    def breaks(self, promised: float) -> bool:
        """Whether so many misses are beyond Monte-Carlo error if at most the share `promised` is missed."""
        return bool(binom.sf(int(self.missed.sum()) - 1, self.missed.size, promised) < CHANCE_OF_FALSE_ALARM)

    def cells(self) -> list[str]:
        low, high = self.interval()
        short = f"{100 * (self.target - self.precision[self.missed]).mean():.2f}" if self.missed.any() else ""
        return [
            f"{self.missed.mean():.1%} ({low:.1%} to {high:.1%})",
            f"{self.recall.mean():.3f}",
            f"{np.isnan(self.precision).mean():.1%}",
            short,
            f"{self.labels.mean():,.0f}",
        ]


def live(scenario: Scenario, days: int, peers: Mapping[str, Peer], *, units: int, designs: int) -> dict[str, Outcome]:
    """The days of one scenario, for each of `peers` and for a threshold fixed once."""
    rng = np.random.default_rng([20261101, *scenario.name.encode()])
    worlds = scenario.build(rng, units)
    goal, confidence = scenario.goal, scenario.confidence
    config = configure(dict(scenario.labels), goal, confidence)
    truth, first = Truth(worlds.acted, goal), first_draw(worlds.before, config)
    chosen: dict[str, list[float | None]] = {name: [] for name in [*peers, FIXED]}
    labels = []
    for part in np.array_split(np.arange(days), designs):
        seen = first.sample(rng)
        draw = next_draw(
            worlds, seen, goal, config, scenario.experts, cluster_ids=scenario.cluster_ids, queue=scenario.queue
        )
        for _ in part:
            sample = draw.sample(rng)
            labels.append(float(len(sample)))
            for name, peer in peers.items():
                chosen[name].append(peer(sample, goal, confidence))
            chosen[FIXED].append(looks_right(first.sample(rng), goal, confidence))
    used = {FIXED: np.zeros(days)}
    return {name: _judge(found, used.get(name, np.array(labels)), truth, goal) for name, found in chosen.items()}


def _judge(found: Sequence[float | None], labels: NDArray[np.float64], truth: Truth, goal: Goal) -> Outcome:
    at = [None if threshold is None else truth.at(threshold) for threshold in found]
    return Outcome(
        precision=np.array([np.nan if j is None else truth.precision[j] for j in at]),
        recall=np.array([0.0 if j is None else truth.recall[j] / truth.oracle for j in at]),
        labels=labels,
        target=goal.share,
    )


def title_of(scenario: Scenario) -> str:
    return scenario.name if scenario.holds else f"{scenario.name} (no promise)"


def documented_row(scenario: Scenario, outcomes: Mapping[str, Outcome]) -> list[str]:
    """The scenario's row of docs/measured.md: misses / recall of each way of choosing; what is promised is bold."""
    misses = {way: f"{outcomes[way].missed.mean():.1%}" for way in DOCUMENTED}
    if scenario.holds:
        misses[OURS] = f"**{misses[OURS]}**"
    return [title_of(scenario), *(f"{misses[way]} / {outcomes[way].recall.mean():.0%}" for way in DOCUMENTED)]


def main(days: int) -> int:
    """Live all scenarios, print the table, and return the process's exit status."""
    rows, broken, summary = [], [], []
    for scenario in SCENARIOS:
        start = time.perf_counter()
        peers = {**PEERS, OURS: corrected, UNCORRECTED: plumbline} if scenario.experts else PEERS
        outcomes = live(scenario, days, peers, units=UNITS, designs=DESIGNS)
        ours, promised = outcomes[OURS], 1.0 - scenario.confidence
        if scenario.holds and ours.breaks(promised):
            broken.append(scenario.name)
        rows += [[title_of(scenario), name, *outcome.cells()] for name, outcome in outcomes.items()]
        summary.append(documented_row(scenario, outcomes))
        seconds = time.perf_counter() - start
        print(f"{scenario.name}: missed {ours.missed.mean():.1%}, {seconds:.0f} s", file=sys.stderr, flush=True)
    print(f"{days:,} days a scenario.\n")
    for scenario in SCENARIOS:
        goal = f"{scenario.goal} at {scenario.confidence:.0%}"
        print(f"- {scenario.name}: {scenario.says}; {goal}{'' if scenario.holds else '; no promise'}")
    header = ["scenario", "chosen by", "misses (95 % interval)", "recall", "refused", "short by", "labels"]
    print(f"\n{documented.table(header, rows)}")
    if days == DAYS:
        documented.keep("bench-guarantee", documented.table(["scenario", *DOCUMENTED.values()], summary))
    print(f"\nPromise broken: {', '.join(broken) or 'nowhere'}.")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS))
