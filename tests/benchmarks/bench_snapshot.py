"""Ten million rows of a training snapshot, streamed: ``python -m tests.benchmarks.bench_snapshot [rows]``.

Beside pyarrow, which writes the same rows into the same kind of Parquet file and does nothing else: no digest, no
profile, no look for golden items, for videos twice or on the wrong side. Each runs in a process of its own, so that its
peak memory is its own. Prints seconds, peak memory, and the ratio of processor time; fails above MOST_RATIO times
pyarrow's, or above MOST_MIB. Linux.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from include.retraining.snapshot import GROUP_ROWS, arrow_schema, snapshot_rows, write_snapshot
from tests.benchmarks.bench_consensus import resident_mib

ROWS: Final = 10_000_000
CHUNK: Final = 200_000
MOST_RATIO: Final = 4.0
MOST_MIB: Final = 256
GOLDEN: Final = frozenset(range(0, 1_000_000, 997))


class Result(NamedTuple):
    seconds: float
    processor_seconds: float
    peak_mib: float


def chunks(rows: int) -> Iterator[pd.DataFrame]:
    """So many rows of a snapshot, by rising day and video."""
    random = np.random.default_rng(20261101)
    sample = pd.DataFrame(
        {
            "video_id": np.arange(CHUNK, dtype=np.int64),
            "policy": "fraud",
            "market": random.choice(["BR", "DE", "IN"], CHUNK),
            "model_version": "v2",
            "score": random.random(CHUNK),
            "p_violating": (random.random(CHUNK) < 0.1).astype(float),
            "votes": 1,
            "programme": "audit",
            "inclusion_probability": random.uniform(0.01, 1, CHUNK),
            "sampled_on": date(2026, 11, 1),
        }
    )
    made, left = snapshot_rows(sample, set(), "fraud", "v2", "2026-1")
    assert sum(left.values()) == 0
    for number in range(rows // CHUNK):
        yield made.assign(sampled_on=date(2026, 1, 1) + timedelta(days=number))


def plumbline(rows: int, file: Path) -> None:
    assert write_snapshot(chunks(rows), file, GOLDEN).rows == rows


def bare(rows: int, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, arrow_schema(), compression="zstd") as writer:
        for chunk in chunks(rows):
            writer.write_table(pa.Table.from_pandas(chunk, arrow_schema(), preserve_index=False), GROUP_ROWS)


def measure(engine: Callable[[int, Path], None], rows: int) -> Result:
    """Run one engine in this process, which has run nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        engine(CHUNK, Path(folder) / "first.parquet")  # imports are not what is measured
        Path("/proc/self/clear_refs").write_text("5")
        before = resident_mib("VmRSS")
        start, processor = time.perf_counter(), time.process_time()
        engine(rows, Path(folder) / "rows.parquet")
        return Result(time.perf_counter() - start, time.process_time() - processor, resident_mib("VmHWM") - before)


def apart(engine: Callable[[int, Path], None], rows: int) -> Result:
    """`measure` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result = pool.apply(measure, (engine, rows))
    print(
        f"{engine.__name__:>10} {rows:>12,} rows: {result.seconds:7.1f} s ({result.processor_seconds:.1f} s of "
        f"processor), peak {result.peak_mib:,.0f} MiB",
        flush=True,
    )
    return result


def main(rows: int) -> int:
    """Compare, print, and return the process's exit status."""
    ours, peer = apart(plumbline, rows), apart(bare, rows)
    ratio = ours.processor_seconds / peer.processor_seconds
    print(
        f"{ratio:.1f} times a bare write's processor time (at most {MOST_RATIO:g}), in {ours.peak_mib:,.0f} MiB "
        f"(at most {MOST_MIB})"
    )
    return int(ratio > MOST_RATIO or ours.peak_mib > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
