"""Whether a day costs as much after a year as after a month: ``python -m tests.benchmarks.bench_history [older days]``.

Two platforms live the same 30 days (History of the tests). One of them is older: 335 days lie before, made by copying
a lived day's files of every table, page and input, with golden labels of their own; and 690 versions of the ledger that
change a cell back and forth. Then every step of the next day's Dags but those that ask a person or MLflow, gates and
report among them, runs on both, each in a process of its own, forked from one that has imported everything, so that
nothing is remembered between steps. Prints the CPU seconds of both, step by step, the least of three times, and the
files each opened. Fails if the day of the older platform takes more than 1.1 times the CPU of the other's. Linux.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.tables import TABLES
from include.labels import stage as labels
from include.ledger.chain import TABLE, Acting, acting_after, listed, next_version
from include.ledger.publication import starting_thresholds
from include.orchestration.runbook import TASK_OF_GATE
from include.project import Project, open_project
from include.reading.folder import day_folder
from include.retraining import stage as retraining
from include.thresholds import stage as thresholds
from include.warehouse.base import Caller
from tests.history import SAMPLING, History

LIVED: Final = 30
OLDER: Final = 335
VERSIONS_A_DAY: Final = 2
VIDEOS: Final = 4_000
TIMES: Final = 3
MOST_TIMES: Final = 1.1
GAP: Final = 30
"""Days between the older ones and the first that is lived: more than a threshold's window, so that both live alike."""
EVIDENCE: Final = 90
"""Partitions that a version names: those of four weeks."""

Step = Callable[[Project, date], object]


def ingest(project: Project, day: date) -> None:
    labels.gate_labels(project, day, labels.ingest_events(project, day))


STEPS: Final[tuple[Step, ...]] = (
    *SAMPLING,
    labels.gate_golden_labels,
    ingest,
    labels.form_consensus,
    labels.gate_consensus,
    thresholds.gate_appeals,
    thresholds.gate_enforcement_log,
    thresholds.measure,
    thresholds.watch_published,
    thresholds.propose_thresholds,
    thresholds.gate_proposals,
    thresholds.lift_expired,
    thresholds.publish_within_limits,
    thresholds.advance_canaries,
    thresholds.compare_forecasts,
    thresholds.write_report,
    retraining.decide_retraining,
    retraining.write_snapshots,
    retraining.gate_snapshots,
)


class Spent(NamedTuple):
    """CPU seconds, and how many files below the platform's folder were opened."""

    cpu: float
    opened: int


def age(history: History, model: date, days: int, gap: int = GAP) -> None:
    """Puts `days` days `gap` before the first, each a copy of the day `model` but for the ids of its golden labels."""
    settings, owned = history.project.settings, [t.name for t in TABLES.values() if t.owner == "plumbline"]
    root = Path(settings.warehouse)  # type: ignore[arg-type]
    folders = [root / name for name in owned if name != TABLE]
    folders += [settings.landing / t.name for t in TABLES.values() if t.owner == "platform"]
    for back in range(1, days + 1):
        for folder in folders:
            there, here = folder / day_folder(model), folder / day_folder(history.start - timedelta(days=gap + back))
            if not there.is_dir():
                continue
            if folder.name == "golden_labels":
                _with_own_ids(there, here, back)
            else:
                shutil.copytree(there, here, copy_function=os.link)


def write_pages(history: History, first: date, last: date) -> None:
    """A page for every gate of the days from `first` to `last`, as far as the index of all pages looks at them."""
    for number in range((last - first).days + 1):
        folder = history.project.settings.quality_docs / day_folder(first + timedelta(days=number))
        folder.mkdir(parents=True)
        for gate in TASK_OF_GATE:
            (folder / f"{gate}.html").write_text('<html><head><meta name="gate-status" content="pass"></head></html>')


def _with_own_ids(there: Path, here: Path, back: int) -> None:
    here.mkdir(parents=True)
    for file in there.iterdir():
        rows = pq.read_table(file)
        ids = pa.array([number + back * 10**9 for number in rows.column("video_id").to_pylist()], pa.int64())
        pq.write_table(rows.set_column(rows.column_names.index("video_id"), "video_id", ids), here / file.name)
        os.utime(here / file.name, (0, 0))  # it was delivered long ago


def older_versions(project: Project, first: date, days: int) -> None:
    """Versions of the days before `first`, of which the last has the thresholds that cells start with."""
    acting: Acting = dict(starting_thresholds(project.config))
    cells, row = sorted(acting), None
    evidence = {f"review_sample/{first - timedelta(days=n)}": "0" * 64 for n in range(EVIDENCE)}
    for number in range(days * VERSIONS_A_DAY):
        changes = []
        if number:
            cell = cells[(number - 1) // 2 % len(cells)]
            old = ThresholdPair(*acting[cell][:2])
            new = ThresholdPair(round(old.remove_at - 0.01 if number % 2 else old.remove_at + 0.01, 3), old.review_at)
            promise = {"target": 0.9, "bound": None, "n": 100, "population": "cell", "method": "exact binomial"}
            changes = [Change((cell[0], cell[1], cell[2]), old, new, "daily", certificate=promise)]
            acting = acting_after(acting, changes)
        day = first - timedelta(days=days - number // VERSIONS_A_DAY)
        row = next_version(
            row,
            day=day,
            changes=changes,
            thresholds=listed(acting),
            proposal_ids=[],
            evidence=evidence,
            code_version="0.1.0",
            requester="recalibrate_thresholds",
            approver=None,
            reason="within the guardrails",
            expires_on=None,
            request={"kind": "daily", "day": str(day)},
            published_at=datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC),
        )
        assert project.warehouse.append_version(TABLE, day, {name: row[name] for name in row if name != "ds"})


def opened(history: History, step: str, day: date) -> Project:
    """The project as a task has it."""
    return open_project(history.project.settings, Caller("bench", step, str(day), step))


def forked(work: Callable[[], Spent]) -> Spent:
    """What `work` gives in a fork of this process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(write, pickle.dumps(work()))
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise RuntimeError("the step failed, see above")
    spent: Spent = pickle.loads(answer)
    return spent


_opened: list[str] | None = None


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(args[0], str | bytes | os.PathLike):
        _opened.append(os.fsdecode(args[0]))


sys.addaudithook(_hear)  # cannot be taken back


def spend(history: History, step: Step, day: date) -> Spent:
    """Runs the step in this process."""
    global _opened
    project, home = opened(history, step.__name__, day), str(history.home)
    _opened, began = [], _cpu()
    step(project, day)
    found, _opened = _opened, None
    return Spent(_cpu() - began, sum(path.startswith(home) for path in found))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def spent_by_step(history: History, index: int, times: int = TIMES) -> dict[str, Spent]:
    """Every step of a landed day, the least of so many times; the days before it were lived."""
    found = {}
    for step in STEPS:
        runs = [forked(lambda step=step: spend(history, step, history.day(index))) for _ in range(times)]  # type: ignore[misc]
        found[step.__name__] = Spent(min(run.cpu for run in runs), max(run.opened for run in runs))
    return found


def platforms(home: Path, older: int) -> Iterator[History]:
    """The young one, which lives first, and the older one, which lives the same days."""
    young = History(home / "young", "calm", VIDEOS)
    for index in range(LIVED):
        young.run_day(index)
    young.platform.land_day(young.day(LIVED))
    write_pages(young, young.start, young.day(LIVED - 1))
    yield young
    old = History(home / "old", "calm", VIDEOS)
    for place in ("landing", "warehouse", "output"):
        for folder in (young.home / place).rglob(day_folder(young.day(LIVED - 1))):
            if folder.parent.name != TABLE:
                shutil.copytree(folder, old.home / folder.relative_to(young.home), copy_function=os.link)
    older_versions(old.project, old.start, older)
    age(old, young.day(LIVED - 1), older)
    for place in ("landing", "warehouse", "output"):  # the model goes before the day is lived
        for folder in (old.home / place).rglob(day_folder(young.day(LIVED - 1))):
            shutil.rmtree(folder)
    for index in range(LIVED):
        old.run_day(index)
    old.platform.land_day(old.day(LIVED))
    write_pages(old, old.start - timedelta(days=older), old.day(LIVED - 1))
    yield old


def main(older: int = OLDER) -> int:
    """Live, measure, print, and return the process's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        young, old = platforms(Path(folder), older)
        warm = History(Path(folder) / "warm", "calm", VIDEOS)
        shutil.copytree(young.home, warm.home)
        for step in STEPS:
            spend(warm, step, warm.day(LIVED))
        spent = {name: spent_by_step(one, LIVED) for name, one in (("young", young), ("old", old))}
        versions = {name: len(one.project.warehouse.read(TABLE)) for name, one in (("young", young), ("old", old))}
        files = {
            name: sum(1 for path in one.home.rglob("*") if path.is_file())
            for name, one in (("young", young), ("old", old))
        }
    print(f"{'step':24}{'CPU s':>9}{'opened':>8}{'CPU s':>9}{'opened':>8}")
    for name, before in spent["young"].items():
        after = spent["old"][name]
        print(f"{name:24}{before.cpu:9.2f}{before.opened:8,}{after.cpu:9.2f}{after.opened:8,}")
    total = {name: sum(one.cpu for one in steps.values()) for name, steps in spent.items()}
    ratio = total["old"] / total["young"]
    said = {"ratio": round(ratio, 3), "bound": MOST_TIMES, "cpu": total, "versions": versions, "files": files}
    print(
        f"a day after {LIVED + older} days takes {ratio:.2f} times the CPU of the same day after {LIVED}; "
        f"bound {MOST_TIMES}"
    )
    print(json.dumps(said))
    return int(ratio > MOST_TIMES)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
