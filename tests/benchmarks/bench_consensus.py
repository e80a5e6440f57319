"""Dawid-Skene here against crowd-kit's, on the same votes: ``python -m tests.benchmarks.bench_consensus [n_votes]``.

Each engine runs in a process of its own, so that its peak memory is its own. Three votes an item, 2,000 reviewers,
2 % of the items violating, votes sorted by item as the ingestion keeps them. Prints seconds, accuracy, log loss, peak
memory above the votes themselves, and the ratios; fails if ours is less than ten times faster or less accurate. A run
five times as large shows how time and memory grow; fails above 7.5 times the processor's time. Per vote nothing grows
but a few rounds of EM and what the processor's caches no longer hold. Linux.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from include.consensus.dawid_skene import Floats, consensus

REVIEWERS: Final = 2_000
VOTES_PER_ITEM: Final = 3
PREVALENCE: Final = 0.02
LEAST_RATIO: Final = 10
LARGER: Final = 5
MOST_GROWTH: Final = 7.5


class Result(NamedTuple):
    seconds: float
    processor_seconds: float
    accuracy: float
    log_loss: float
    peak_mib: float


def simulate(n_votes: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Votes and the truth of each item (bool)."""
    random = np.random.default_rng(20260101)
    truth = random.random(n_votes // VOTES_PER_ITEM) < PREVALENCE
    item = np.repeat(np.arange(len(truth)), VOTES_PER_ITEM)
    reviewer = random.integers(REVIEWERS, size=len(item))
    sensitivity, specificity = random.beta(8, 2, REVIEWERS), random.beta(97, 3, REVIEWERS)
    chance = np.where(truth[item], sensitivity[reviewer], 1 - specificity[reviewer])
    violating = (random.random(len(item)) < chance).astype(np.int64)
    return pd.DataFrame({"item": item, "reviewer": reviewer, "violating": violating}), truth


def plumbline(votes: pd.DataFrame) -> Floats:
    return consensus(votes, method="dawid_skene")[0]["p_violating"].to_numpy()


def crowd_kit(votes: pd.DataFrame) -> Floats:
    from crowdkit.aggregation import DawidSkene

    renamed = votes.set_axis(["task", "worker", "label"], axis=1)
    return DawidSkene().fit_predict_proba(renamed).sort_index()[1].to_numpy()


def measure(engine: Callable[[pd.DataFrame], Floats], n_votes: int) -> Result:
    """Run one engine in this process, which has run nothing else."""
    engine(simulate(3_000)[0])  # imports are not what is measured
    votes, truth = simulate(n_votes)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of simulating
    before = resident_mib("VmRSS")
    start, start_processor = time.perf_counter(), time.process_time()
    p = engine(votes)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - start_processor
    peak = resident_mib("VmHWM") - before
    bounded = p.clip(1e-6, 1 - 1e-6)
    log_loss = -np.log(np.where(truth, bounded, 1 - bounded)).mean()
    return Result(seconds, processor_seconds, float(((p > 0.5) == truth).mean()), float(log_loss), peak)


def resident_mib(field: str) -> float:
    """This process's resident memory (``VmRSS``) or its peak (``VmHWM``), as Linux tells it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 1024


def apart(engine: Callable[[pd.DataFrame], Floats], n_votes: int) -> Result:
    """``measure`` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(measure, (engine, n_votes))
    print(
        f"{engine.__name__:>10} {n_votes:>12,} votes: {result.seconds:8.2f} s ({result.processor_seconds:.2f} s of "
        f"processor)  accuracy {result.accuracy:.5f}  log loss {result.log_loss:.5f}  peak {result.peak_mib:,.0f} MiB",
        flush=True,
    )
    return result


def main(n_votes: int) -> int:
    """Compare, print, and return the process's exit status."""
    ours, theirs = apart(plumbline, n_votes), apart(crowd_kit, n_votes)
    larger = apart(plumbline, LARGER * n_votes)
    ratio = theirs.seconds / ours.seconds
    growth = larger.processor_seconds / ours.processor_seconds
    print(
        f"{ratio:.1f} times faster, {theirs.processor_seconds / ours.processor_seconds:.1f} times less processor time; "
        f"{theirs.peak_mib / ours.peak_mib:.1f} times less memory; "
        f"{LARGER} times the votes take {growth:.1f} times the processor's time and "
        f"{larger.peak_mib / ours.peak_mib:.1f} times the memory"
    )
    return int(ratio < LEAST_RATIO or ours.accuracy < theirs.accuracy or growth > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))
