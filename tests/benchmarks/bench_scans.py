"""The two scans of video_scores against a bare one: ``python -m tests.benchmarks.bench_scans [rows]``.

The simulator lands the rows (50 million unless told otherwise) in a temporary folder as one day. Then, each in a
process of its own so that its peak memory is its own: a bare scan of the same columns by DuckDB; profile-and-histogram;
the draw, by the design of that histogram and the shipped policies.yaml; and the same two jobs in pandas, on what fits.
Prints wall and CPU seconds (the best of three, taking turns; pandas once), their ratio to the bare scan, a row for a
row, and peak memory. Fails if the two scans together take more than 4 times the CPU seconds of the bare scan, or 4 GB.
Linux.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from include.config.load import load_config
from include.contract.salts import salt_of
from include.contract.tables import CELL, N_BINS, NO_SCORE_BIN, TABLES
from include.sampling.design import design
from include.sampling.draw import draw_parameters
from include.sampling.profile import id_mask, score_histogram, score_panel, score_profile
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario
from include.warehouse.duckdb import DuckDBWarehouse
from tests.warehouse.reference import permanent_random

DAY: Final = date(2026, 11, 1)
ROWS_PER_LANDING: Final = 10_000_000
TIMES: Final = 3
PANDAS_ROWS: Final = 5_000_000
MOST_TIMES: Final = 4.0
MOST_MIB: Final = 4_000
BARE: Final = """
    SELECT SUM(video_id::HUGEINT), SUM(LENGTH(policy)), SUM(LENGTH(market)), SUM(LENGTH(model_version)), SUM(score),
           SUM(views)
    FROM read_parquet(?)
"""


class Result(NamedTuple):
    rows: int
    wall: float
    cpu: float
    peak_mib: float


def land(home: Path, rows: int) -> None:
    """One partition of about so many rows: the simulator's days, each with ids of its own, moved into one."""
    landings = max(1, round(rows / ROWS_PER_LANDING))
    scenario = load_scenario("calm")
    per_video = sum(len(policy.models) for policy in scenario.policies.values())
    scenario = load_scenario("calm", videos_per_day=rows // landings // per_video)
    platform = Platform(
        scenario,
        landing=home / "simulated",
        queue=home / "queue",
        thresholds=home / "thresholds.json",
        truth=home / "truth",
        start=DAY,
    )
    target = home / "landing" / "video_scores" / f"ds={DAY}"
    target.mkdir(parents=True)
    for i in range(landings):
        day = DAY + timedelta(days=i)
        platform.land_day(day)
        for file in (home / "simulated" / "video_scores" / f"ds={day}").iterdir():
            file.rename(target / f"{i}-{file.name}")


def warehouse(home: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(home / "landing", home / "root")


def bare_scan(home: Path) -> None:
    import duckdb

    files = [str(path) for path in warehouse(home).landed_files("video_scores", DAY)]
    with duckdb.connect() as connection:
        connection.execute(BARE, [files]).fetchall()


def profile_and_histogram(home: Path) -> None:
    store = warehouse(home)
    mask = id_mask(store.row_count("video_scores", DAY))
    bins = store.query("profile_and_histogram", {"ds": DAY, "id_mask": mask})
    store.replace("score_profile", DAY, score_profile(bins, mask))
    store.replace("score_histogram", DAY, score_histogram(bins))
    store.replace("score_panel", DAY, score_panel(bins))


def draw(home: Path) -> None:
    store = warehouse(home)
    store.query("draw", draw_parameters(store.read("sampling_design", DAY, DAY), DAY, load_config().sampling.salt))


def plan(home: Path) -> None:
    """sampling_design, as sample_for_review computes it on a first day."""
    config = load_config()
    histogram = warehouse(home).read("score_histogram", DAY, DAY)
    cells = histogram[list(CELL)].drop_duplicates(ignore_index=True)
    initial = [config.policies[policy].initial for policy in cells["policy"]]
    thresholds = cells.assign(remove_at=[t.remove_at for t in initial], review_at=[t.review_at for t in initial])
    calibration = pd.DataFrame(columns=[*CELL, "bin", "p_violating"]).astype({"p_violating": float})
    panel = warehouse(home).read("score_panel", DAY, DAY)
    strata = design(histogram, thresholds, calibration, config, panel=panel)
    warehouse(home).replace("sampling_design", DAY, strata)


def pandas_peer(home: Path) -> int:
    """Reads, profiles, counts and draws in pandas, on the first files that make up PANDAS_ROWS; returns the rows."""
    store, frames, total = warehouse(home), [], 0
    for path in store.landed_files("video_scores", DAY):
        frames.append(pd.read_parquet(path))
        total += len(frames[-1])
        if total >= PANDAS_ROWS:
            break
    rows = pd.concat(frames, ignore_index=True).head(PANDAS_ROWS)
    usable = rows["score"].between(0, 1)
    bins = np.floor(rows["score"].where(usable, 0) * N_BINS).clip(upper=N_BINS - 1).astype("int64")
    rows["bin"] = bins.where(usable, NO_SCORE_BIN)
    cells = rows.groupby([*CELL, "bin"], observed=True)
    cells.agg(n_videos=("bin", "size"), n_views=("views", "sum"))
    rows.groupby(list(CELL), observed=True).agg(
        n=("bin", "size"), low=("score", "min"), mean=("score", "mean"), high=("score", "max"), views=("views", "sum")
    )
    rows.duplicated(list(TABLES["video_scores"].key)).sum()
    strata = store.read("sampling_design", DAY, DAY)
    strata["bin"] = [list(range(a, b + 1)) for a, b in zip(strata["first_bin"], strata["last_bin"], strict=True)]
    strata = strata.explode("bin").astype({"bin": "int64"})
    salt, columns = load_config().sampling.salt, [*CELL, "bin", "inclusion_probability", "probability_per_view"]
    for programme, part in strata.groupby("programme"):
        # As much work as one of Plumbline's numbers, though not the same one.
        rows["number"] = permanent_random(rows["video_id"].to_numpy(), salt_of(salt, str(programme)))
        most = part["inclusion_probability"].max(), part["probability_per_view"].max() * rows["views"]
        candidates = rows[(rows["number"] < most[0]) | (rows["number"] < most[1])]
        found = candidates.merge(part[columns], on=[*CELL, "bin"])
        by_views = (found["probability_per_view"] * found["views"]).clip(upper=1)
        found[found["number"] < found["inclusion_probability"].fillna(by_views)]
    return len(rows)


def measure(job: Callable[[Path], int | None], home: Path) -> Result:
    """Runs the job once in this process, which runs no other."""
    import duckdb  # noqa: F401  (imports are not what is measured)
    import pyarrow.parquet  # noqa: F401
    import sqlglot  # noqa: F401

    wall, cpu = time.perf_counter(), _cpu()
    rows = job(home)
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Result(rows or warehouse(home).row_count("video_scores", DAY), wall, cpu, peak)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def best(results: list[Result]) -> Result:
    """The least wall and CPU seconds, and the highest peak."""
    rows, wall, cpu, peak = zip(*results, strict=True)
    return Result(rows[0], min(wall), min(cpu), max(peak))


def rounds(home: Path) -> dict[str, Result]:
    """Each job's best, each in a process of its own; the jobs take turns, so that a busy machine is busy for all."""
    jobs = {"bare scan": bare_scan, "profile and histogram": profile_and_histogram, "draw": draw}
    with ExitStack() as stack:
        pools = {name: stack.enter_context(multiprocessing.get_context("spawn").Pool(1)) for name in jobs}
        results: dict[str, list[Result]] = {name: [] for name in jobs}
        for i in range(TIMES):
            for name, job in jobs.items():
                if i == 0 and name == "draw":
                    plan(home)
                results[name].append(pools[name].apply(measure, (job, home)))
    return {name: best(found) for name, found in results.items()}


def main(rows: int) -> int:
    """Land, measure, print, and return the process's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(land, (home, rows))
        results = rounds(home)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results["both in pandas"] = pool.apply(measure, (pandas_peer, home))
    bare, profile, drawn = (results[name] for name in ("bare scan", "profile and histogram", "draw"))
    results["profile, histogram and draw"] = Result(
        bare.rows, profile.wall + drawn.wall, profile.cpu + drawn.cpu, max(profile.peak_mib, drawn.peak_mib)
    )
    print(f"{'':28}{'rows':>12}{'wall s':>9}{'CPU s':>9}{'x wall':>8}{'x CPU':>8}{'peak MiB':>10}")
    times = {}
    for name, result in results.items():
        scale = bare.rows / result.rows
        times[name] = scale * result.cpu / bare.cpu
        print(
            f"{name:28}{result.rows:12,}{result.wall:9.2f}{result.cpu:9.2f}{scale * result.wall / bare.wall:8.2f}"
            f"{times[name]:8.2f}{result.peak_mib:10,.0f}"
        )
    ours = "profile, histogram and draw"
    peer = times["both in pandas"] / times[ours]
    print(f"bounds: {MOST_TIMES:g} x CPU, {MOST_MIB:,} MiB; pandas takes {peer:.1f} x ours")
    return int(times[ours] > MOST_TIMES or results[ours].peak_mib > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000_000))
