"""Several processes at once, some of them killed: every reader sees a partition whole."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections.abc import Iterable
from datetime import date, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.warehouse.duckdb import DuckDBWarehouse
from tests.waiting import HANG, wait_for
from tests.warehouse.frames import DAY, rows_of

TABLE = TABLES["score_histogram"]
SIZES = (4_000, 6_000)
ROWS = pd.concat([rows_of(TABLE, 1)] * max(SIZES), ignore_index=True)
FORK = multiprocessing.get_context("fork")


def content(version: int) -> pd.DataFrame:
    return ROWS.head(SIZES[version % 2]).assign(n_videos=version)


def whole(warehouse: DuckDBWarehouse, day: date = DAY) -> int:
    """The version the day holds; fails unless it is one version, complete."""
    read = warehouse.read(TABLE.name, day, day)
    versions = read["n_videos"].unique().tolist()
    assert len(versions) == 1
    assert len(read) == SIZES[versions[0] % 2]
    return versions[0]


def write(root: Path, day: date, versions: Iterable[int]) -> None:
    warehouse = DuckDBWarehouse(root, root)
    for version in versions:
        warehouse.replace(TABLE.name, day, content(version))


def race(root: Path, count: int, barrier: Barrier, won: Queue) -> None:
    warehouse = DuckDBWarehouse(root, root)
    row = {str(name): v for name, v in rows_of(TABLES["threshold_ledger"], 1).iloc[0].items()}
    barrier.wait()
    version = 1
    while version <= count:
        if warehouse.append_version("threshold_ledger", DAY + timedelta(days=version % 3), row | {"version": version}):
            won.put(version)
        version += 1


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path, tmp_path)


def test_a_reader_sees_the_old_rows_or_the_new_while_another_process_replaces(warehouse):
    write(warehouse.root, DAY, [0])
    seen = [whole(warehouse)]

    def seen_many() -> bool:
        seen.append(whole(warehouse))
        return len(set(seen)) > 30

    writer = FORK.Process(target=write, args=(warehouse.root, DAY, itertools.count(1)))
    writer.start()
    try:
        wait_for(seen_many, "the reader saw more than 30 versions beside the writer", every=0)
        assert writer.is_alive()
    finally:
        writer.kill()
        writer.join()
    assert seen == sorted(seen)


def test_a_writer_killed_at_any_moment_leaves_a_whole_partition(warehouse):
    write(warehouse.root, DAY, [0])
    left, chance = [0], random.Random(7)
    for _ in range(15):
        writer = FORK.Process(target=write, args=(warehouse.root, DAY, itertools.count(left[-1] + 1)))
        writer.start()
        wait_for(lambda: whole(warehouse) > left[-1], "the writer has got somewhere", every=0)
        time.sleep(chance.uniform(0, 0.1))  # so that it is killed anywhere in a later version
        writer.kill()
        writer.join()
        assert writer.exitcode == -9
        left.append(whole(warehouse))
    assert left == sorted(set(left))
    assert len(list((warehouse.root / TABLE.name / f"ds={DAY}").iterdir())) == 1
    write(warehouse.root, DAY, [left[-1] + 1])
    assert whole(warehouse) == left[-1] + 1


@pytest.mark.parametrize("apart", [True, False], ids=["different partitions", "the same partition"])
def test_two_writers_at_once(warehouse, apart):
    days = [DAY, DAY + timedelta(days=1) if apart else DAY]
    runs = [list(range(0, 40)), list(range(101, 141))]
    writers = [FORK.Process(target=write, args=(warehouse.root, *job)) for job in zip(days, runs, strict=True)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    if apart:
        assert [whole(warehouse, day) for day in days] == [39, 140]
    else:
        assert whole(warehouse) in {39, 140}
    assert not list((warehouse.root / ".staging").glob("*.parquet"))


def test_of_two_processes_with_the_same_version_one_appends_it(warehouse):
    barrier, won = FORK.Barrier(2), FORK.Queue()
    racers = [FORK.Process(target=race, args=(warehouse.root, 60, barrier, won)) for _ in range(2)]
    for racer in racers:
        racer.start()
    versions = [won.get(timeout=HANG) for _ in range(60)]
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    assert won.empty()
    assert sorted(versions) == list(range(1, 61))
    assert sorted(warehouse.read("threshold_ledger")["version"]) == list(range(1, 61))
