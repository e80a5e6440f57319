"""The memory that steps take which ask about many days: ``python -m tests.benchmarks.bench_memory [cells] [days]``.

Makes the tables of so many cells (5,000 unless told otherwise), with every bin of every day's score histogram (14 days:
70 million rows) and 40 final labels a cell, in a temporary folder. Then the steps that rest on a window of histograms,
each in a process of its own so that its peak is its own, on both engines: the embedded one, and BigQuery's through
Google's client against the emulator (`make emulator`), of which the peak is that of the client. Beside them, what they
took when they read the rows: reading the window. Fails above 2 GiB. Linux.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from include.config.settings import BigQueryPlace
from include.contract.tables import CELL, N_BINS
from include.evidence.accepted import scored_cells
from include.evidence.histograms import folded_histogram
from include.ledger.in_force import removal_levels, starting_bins, thresholds_before
from include.project import Project
from include.proposals.collect import background
from include.retraining.collect import evidence_of, trainable
from include.thresholds.stage import measure
from include.warehouse.base import Caller
from include.warehouse.remembered import Remembered
from tests.benchmarks.bench_page import LAST, made
from tests.warehouse.frames import profile_of

MOST_MIB: Final = 2_048
CELLS: Final = 5_000
DAYS: Final = 14
COPIED: Final = ("score_profile", "quality_results", "review_sample", "label_consensus", "threshold_ledger")


class Peak(NamedTuple):
    seconds: float
    mib: float


def days_of(n: int) -> list[date]:
    return [LAST - timedelta(days=back) for back in reversed(range(n))]


def measured_metrics(project: Project, days: int) -> None:
    measure(project, LAST)


def gathered_background(project: Project, days: int) -> None:
    in_force = thresholds_before(project, LAST, scored_cells(project, LAST))
    found = background(project, LAST, in_force)
    assert len(found.usual_removals) == len(in_force)


def gathered_evidence(project: Project, days: int) -> None:
    found = evidence_of(project, LAST, trainable(project, LAST).rows)
    assert any(item.bands is not None for item in found)


def folded_period(project: Project, days: int) -> None:
    asked, ledger = days_of(days), project.warehouse.read("threshold_ledger")
    levels = removal_levels(ledger, asked, project.config)
    assert len(folded_histogram(project, asked, levels, starting_bins(project.config)))


def read_window(project: Project, days: int) -> None:
    """What `measure` did before: all rows of the window."""
    project.warehouse.read("score_histogram", days_of(days)[0], LAST)


STEPS: Final[dict[str, Callable[[Project, int], None]]] = {
    "measure": measured_metrics,
    "background of the proposals": gathered_background,
    "evidence for retraining": gathered_evidence,
    "account of the period": folded_period,
}


def world(home: Path, cells: int, days: int) -> Project:
    """The tables of so many cells and days, in the embedded warehouse."""
    project = made(home, cells, days)
    frame = pd.DataFrame([*_cells(project)], columns=list(CELL))
    counts = np.random.default_rng(1).integers(1, 1_000, (len(frame) * (N_BINS + 1)))
    histogram = frame.loc[frame.index.repeat(N_BINS + 1)].reset_index(drop=True)
    histogram["bin"] = np.tile(np.arange(-1, N_BINS), len(frame))
    project.warehouse.replace("score_histogram", LAST, histogram.assign(n_videos=counts, n_views=40 * counts))
    profile = profile_of(frame.assign(n_videos=1, n_views=1))
    table = Path(project.settings.warehouse) / "score_histogram"  # type: ignore[arg-type]
    for day in days_of(days):
        project.warehouse.replace("score_profile", day, profile)
        if day != LAST:
            (table / f"ds={day}").mkdir()
            os.link(table / f"ds={LAST}" / "part.parquet", table / f"ds={day}" / "part.parquet")
    return project


def _cells(project: Project) -> Iterator[tuple[str, str, str]]:
    for name, policy in project.config.policies.items():
        for market in project.config.markets:
            yield name, market, policy.model_versions[0]


@contextmanager
def copied(project: Project, days: int) -> Iterator[BigQueryPlace]:
    """A dataset of the emulator with what the steps read."""
    from tests.bigquery.conftest import GOOGLE_PROJECT, start_emulator, stop
    from tests.bigquery.landing import deliver
    from tests.bigquery.proxy import proxied

    with tempfile.TemporaryDirectory() as folder:
        process, rest, rpc = start_emulator(Path(folder))
        try:
            with proxied(rest, rpc) as proxy:
                place = BigQueryPlace(
                    project=GOOGLE_PROJECT,
                    dataset=f"d{uuid.uuid4().hex[:12]}",
                    location="US",
                    max_gigabytes=1_000,
                    api_endpoint=proxy.url,
                    storage_endpoint=proxy.storage,
                    retry_seconds=3_600,
                )
                warehouse = remote(place)
                warehouse.jobs._client.create_dataset(place.dataset)
                for table in COPIED:
                    parts = ((day, project.warehouse.read(table, day, day).drop(columns="ds")) for day in days_of(days))
                    warehouse.replace_all(table, ((day, rows) for day, rows in parts if len(rows)))
                histogram = project.warehouse.read("score_histogram", LAST, LAST).drop(columns="ds")
                for day in days_of(days):
                    warehouse.replace("score_histogram", day, histogram)
                golden = project.warehouse.read("golden_labels", LAST, LAST).drop(columns="ds")
                deliver(warehouse, "golden_labels", LAST, golden)
                proxy.requests.clear()
                yield place
        finally:
            stop(process)


def remote(place: BigQueryPlace):
    from include.warehouse.bigquery import BigQueryWarehouse
    from include.warehouse.bigquery_jobs import Jobs

    return BigQueryWarehouse(Jobs(place, Caller("bench", "memory", str(LAST), uuid.uuid4().hex)))


def peak_of(step: Callable[[Project, int], None], project: Project, place: BigQueryPlace | None, days: int) -> Peak:
    """Runs the step in this process, which runs no other."""
    warehouse = project.warehouse if place is None else remote(place)
    began = time.perf_counter()
    step(replace(project, warehouse=Remembered(warehouse)), days)
    return Peak(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def alone(step: Callable[[Project, int], None], project: Project, place: BigQueryPlace | None, days: int) -> Peak:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak_of, (step, project, place, days))


def main(cells: int = CELLS, days: int = DAYS) -> int:
    """Make, measure, print, and return the process's exit status."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            project = pool.apply(world, (Path(folder), cells, days))
        print(f"{cells:,} cells, {days} days: {cells * days * (N_BINS + 1):,} rows; at most {MOST_MIB:,} MiB")
        print(f"{'engine':10}{'step':30}{'seconds':>9}{'peak MiB':>10}")

        def shown(engine: str, place: BigQueryPlace | None) -> None:
            for name, step in STEPS.items():
                found = alone(step, project, place, days)
                print(f"{engine:10}{name:30}{found.seconds:9.1f}{found.mib:10,.0f}", flush=True)
                if found.mib > MOST_MIB:
                    failed.append(f"{name} on {engine}")

        shown("embedded", None)
        before = alone(read_window, project, None, days)
        print(f"{'embedded':10}{'reading the window instead':30}{before.seconds:9.1f}{before.mib:10,.0f}", flush=True)
        with copied(project, days) as place:
            shown("BigQuery", place)
    if failed:
        print(f"Too much memory: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
