"""Kills every step of every Dag at random file operations, and compares what is left with an undisturbed run.

Two homes live the same days. In one nothing is disturbed. In the other each step is killed, several times over, and
then run to its end, as a retry would. After every step both must hold the same files, byte for byte, names of killed
writers' leftovers included. Only what MLflow makes up, its ids and times, is compared by what it means.

The steps are those of the Dags, read from them. What Airflow does is played: it hands on what a step returned, and an
answer to who asked.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import yaml

from include.config.load import DEFAULT_CONFIG
from include.contract.tables import TABLES
from include.contract.terms import APPROVE
from include.labels.push import pushed
from include.labels.stage import drop_folder, land, missed
from include.local.environment import enter_airflow
from include.local.runs import DAILY_DAGS, load_dags
from include.orchestration.ending import ForAPerson
from include.project import Project
from include.proposals.approval import Answer
from include.proposals.questions import first_shown
from include.quality.gate import GateFailed
from include.simulation.scenario import SCENARIOS
from include.thresholds.request import Answered, FormRun
from include.thresholds.roll_back import CONFIRM
from include.thresholds.stage import measure, watch_published
from tests.history import History
from tests.kills import in_a_process, killed, operations
from tests.retraining.mlflow_store import content, run_ids
from tests.retraining.models import aliases, register

BROKEN = 2
"""The day of the benchmark whose feed is broken, and then delivered again."""

ACCEPTED = 3
"""The day from which on somebody asks for the challenger, and, once it is in service, to take it back."""

FEWEST = "include.quality.suites.LEAST_OF_A_CLASS"
"""What a snapshot's train and test set must hold of either class."""

RATE = 0.25
"""Kills of a task for each of its operations, at least one ..."""

MOST_KILLS = 8
"""... and no more than this: MLflow takes hundreds of operations to make a store."""

POLICIES, MARKETS = ("violence", "fraud"), ("BR", "IN")
VIDEOS = 2_000
REQUESTER, APPROVER = "bo", "ana"
EVENTS = 5
"""Label events pushed a day."""

INPUTS = [name for name, table in TABLES.items() if table.owner == "platform"]

Task = Callable[[Project, date | FormRun, Sequence[Any]], object]


@dataclass(frozen=True)
class Kill:
    """One kill: in which task, before which operation."""

    task: str
    before: str


@dataclass
class Killed:
    """What was done and found."""

    kills: list[Kill] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Homes:
    """Two homes that live the same days, `calm` and `killed`, over the Dags. `chance` draws where a task is killed."""

    calm: History
    killed: History
    dags: dict[str, Any]
    chance: random.Random
    found: Killed = field(default_factory=Killed)

    @property
    def both(self) -> tuple[History, History]:
        return self.calm, self.killed

    def begin(self, days: int) -> None:
        """Lives the first days in short: no kills, no reports, every gate passes."""
        for index in range(days):
            with clock_of(self.calm.day(index)):
                self.calm.run_day(index)
                measure(self.calm.project, self.calm.day(index))
                watch_published(self.calm.project, self.calm.day(index))
        place = self.calm.project.settings.mlflow
        register(place, "fraud", "fraud-v2", "champion")
        register(place, "fraud", "fraud-v3", "challenger")
        shutil.copytree(self.calm.home, self.killed.home)

    def live(self, index: int, rate: float) -> None:
        """One day of all Dags; `rate`: kills for each operation there is, in [0, 1]."""
        day = self.calm.day(index)
        self.land(day)
        with clock_of(day), retraining_asked():
            if not self.run("sample_for_review", day, rate):
                self.land(day, repaired=True)
                assert self.run("sample_for_review", day, rate), f"{day} was not healed"
            self.run("land_pushed_labels", day, rate)
            for dag_id in DAILY_DAGS[1:]:
                assert self.run(dag_id, day, rate), f"{dag_id} of {day} failed its gate"
            self.run("send_notifications", day, rate)
            if index:  # there are final labels
                self.run("recalibrate_ad_hoc", request(day, "propose" if index % 2 else "what_if"), rate)
            versions = len(self.calm.project.warehouse.read("threshold_ledger"))
            if index % 4 == 1 and versions > 2:
                self.run("roll_back_thresholds", rolling_back(day, versions - 1), rate)
            if index >= ACCEPTED:
                roles = aliases(self.calm.project.settings.mlflow, "fraud")
                if "challenger" in roles:
                    self.run("accept_model", accepting(day, "accept"), rate)
                elif "previous" in roles:
                    self.run("accept_model", accepting(day, "undo"), rate)

    def land(self, day: date, *, repaired: bool = False) -> None:
        """Lands the day in the calm home, and copies it."""
        self.calm.platform.land_day(day, repaired=repaired)
        for table in INPUTS:
            there, here = (home.project.settings.landing / table / f"ds={day}" for home in self.both)
            shutil.rmtree(here, ignore_errors=True)
            shutil.copytree(there, here)

    def run(self, dag_id: str, about: date | FormRun, rate: float) -> bool:
        """All tasks of the Dag; whether no gate stopped it."""
        calm, retried = Attempt(self.calm, about), Attempt(self.killed, about)
        for task in self.dags[dag_id].topological_sort():
            name = f"{dag_id}.{task.task_id}"
            count = len(operations(partial(calm.try_out, task), self.calm.home))
            kills = sum(self.chance.random() < rate for _ in range(count + 1))
            for _ in range(min(max(kills, 1), MOST_KILLS)):
                at, torn = self.chance.randint(0, count), self.chance.random() < 0.5
                before = killed(partial(retried.try_out, task), self.killed.home, at, torn=torn)
                if before is not None:
                    self.found.kills.append(Kill(name, before))
            retried.results[task.task_id], retried.stopped = in_a_process(partial(retried.try_out, task))
            wrong = differences(self.calm, self.killed)
            if retried.stopped != calm.stopped:
                wrong.append(f"stopped by {retried.stopped or 'nothing'} instead of {calm.stopped or 'nothing'}")
            day = about if isinstance(about, date) else about.run_id
            self.found.differences += [f"{name}, {day}: {what}" for what in wrong]
            if calm.stopped:
                return False
            if isinstance(calm.results[task.task_id], Answered):
                return True
        return True


@dataclass
class Attempt:
    """A run of a Dag in a home, about a day or a form: what its tasks returned, and what stopped it."""

    home: History
    about: date | FormRun
    results: dict[str, object] = field(default_factory=dict)
    stopped: str = ""

    def try_out(self, task: Any) -> tuple[object, str]:
        """What the task returns, and the gate that stopped it, if one did."""
        given = [
            value if isinstance(value, str) else self.results[value.operator.task_id]
            for value in getattr(task, "given", [])
        ]
        result = None
        try:
            result = task_of(task)(self.home.project, self.about, given)
        except GateFailed as error:
            self.stopped = str(error)
        except ForAPerson as error:  # an alarm about the days that were lived in short; nothing hangs on it
            result = str(error)
        self.results[task.task_id] = result
        return result, self.stopped


def task_of(task: Any) -> Task:
    """What the task of a Dag does, given the project, its day or form, and what earlier tasks returned."""
    from include.orchestration.ask import AskAPerson
    from include.orchestration.steps import ClockStep, Step

    if isinstance(task, ClockStep):
        look = getattr(import_module(f"include.{task.module}"), task.function)
        return lambda project, about, given: look(project, noon_after(about), *given)
    if isinstance(task, Step):
        function = getattr(import_module(f"include.{task.module}"), task.function)
        return lambda project, about, given: function(project, about, *given)
    if isinstance(task, AskAPerson):
        return partial(ask, task)
    return {"land_pushed_labels": land_pushed_labels, "missed_by_ingestion": missed_by_ingestion}[task.task_id]


def ask(task: Any, project: Project, about: date | FormRun, given: Sequence[Any]) -> object:
    """Asks and settles as the operator does; somebody else than who asked says yes."""
    asks = import_module(f"include.{task.module}").approval(project, about, *given)
    unfinished, question = asks.unfinished(), asks.question()
    if question is None:
        return unfinished
    asked_in = f"{task.dag_id}/{about.run_id if isinstance(about, FormRun) else about}/{task.task_id}"
    assert first_shown(asks, question, asked_in, datetime(2026, 12, 1, tzinfo=UTC)) == question.digest
    answer = Answer(CONFIRM if CONFIRM in task.options else APPROVE, APPROVER, APPROVER)
    assert asks.objection(answer) is None
    return asks.settle(answer)


def land_pushed_labels(project: Project, about: date | FormRun, given: Sequence[Any]) -> list[tuple[date, str]]:
    """Two batches of what one more reviewer says of videos that were asked about before."""
    assert isinstance(about, date)
    batches = []
    for hour in (8, 9):
        moment = datetime(about.year, about.month, about.day, hour, tzinfo=UTC)
        events = [
            json.loads(line) | {"event_id": f"pushed-{about}-{hour}-{number}", "reviewer_id": "pia"}
            for number, line in enumerate(_lines(project, about)[hour::hour][:EVENTS])
        ]
        if events:
            batches.append(pushed(moment, {"events": events}))
            land(project, batches[-1])
    return [(batch.day, batch.name) for batch in batches]


def _lines(project: Project, day: date) -> list[str]:
    file = drop_folder(project.settings, day) / "labels.jsonl"
    return [line for line in file.read_text().splitlines() if line.startswith("{")] if file.exists() else []


def missed_by_ingestion(project: Project, about: date | FormRun, given: Sequence[Any]) -> None:
    """Of the day before, which has been ingested; today's batches are still to come."""
    assert isinstance(about, date)
    yesterday = about - timedelta(days=1)
    for file in drop_folder(project.settings, yesterday).glob("push-*"):
        missed(project, yesterday, file.name)


def request(day: date, mode: str) -> FormRun:
    """Somebody asks what a lower precision would bring, or for it."""
    form = {
        "policies": list(POLICIES),
        "markets": list(MARKETS[:1]),
        "goal": "own",
        "precision_percent": 60,
        "window_days": None,
        "mode": mode,
        "emergency": False,
        "reason": "election week",
        "expires_on": (day + timedelta(days=1)).isoformat() if mode == "propose" else None,
    }
    return FormRun("recalibrate_ad_hoc", f"manual__{day}", REQUESTER, form)


def rolling_back(day: date, version: int) -> FormRun:
    """Somebody wants an earlier version back."""
    return FormRun("roll_back_thresholds", f"manual__{day}", REQUESTER, {"version": version, "reason": "complaints"})


def accepting(day: date, mode: str) -> FormRun:
    """Somebody asks for the challenger, or to have it taken back."""
    form = {"policy": "fraud", "challenger": None, "mode": mode, "reason": "trained anew"}
    return FormRun("accept_model", f"manual__{day}", REQUESTER, form)


@contextmanager
def retraining_asked() -> Iterator[None]:
    """Within, a model is to be retrained, since its guideline changed, and few labels are enough."""

    def other(project: Project, name: str, *_: object) -> str | None:
        return "2025-2" if name == "violence" else None

    with patch("include.retraining.collect._other_guideline", other), patch(FEWEST, 5):
        yield


def noon_after(day: date | FormRun) -> datetime:
    """Noon of the day after, UTC."""
    assert isinstance(day, date)
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)


@contextmanager
def clock_of(day: date) -> Iterator[None]:
    """Within, the ledger's clock stands at noon of the day after."""
    noon = noon_after(day)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return noon

    with (
        patch("include.thresholds.stage.datetime", Clock),
        patch("include.thresholds.run.datetime", Clock),
        patch("include.thresholds.roll_back.datetime", Clock),
        patch("include.thresholds.accept.datetime", Clock),
    ):
        yield


def differences(calm: History, other: History) -> list[str]:
    """Files and folders that differ between the homes, and what of MLflow's runs does."""
    ours, theirs = files(calm), files(other)
    found = [f"{path} differs" for path in sorted(ours.keys() & theirs.keys()) if ours[path] != theirs[path]]
    found += [f"{path} is missing" for path in sorted(ours.keys() - theirs.keys())]
    found += [f"{path} is left over" for path in sorted(theirs.keys() - ours.keys())]
    stores = [content(home.home / "mlflow" / "mlflow.db") for home in (calm, other)]
    found += ["MLflow's runs differ"] * (stores[0] != stores[1])
    return found


def files(home: History) -> dict[str, object]:
    """Every file and folder of the home that a step may write, by its path; an id of MLflow's as whether it has it.

    What is kept of inputs stands for their files, and holds their inodes and times: there, and no more, is compared.
    """
    settings = home.project.settings
    assert isinstance(settings.warehouse, Path)
    roots = (settings.warehouse, settings.output, settings.landing / "reviewer_labels")
    found: dict[str, object] = {}
    for path in [path for root in roots for path in root.rglob("*")]:
        name = path.relative_to(home.home).as_posix()
        if path.is_dir():
            found[name] = "folder"
        elif "/.kept/" in name:
            found[name] = "kept"
        elif "training_snapshots/ds=" in name and path.parents[2] == settings.warehouse:
            rows = pd.read_parquet(path)
            known = run_ids(home.home / "mlflow" / "mlflow.db")
            found[name] = rows.assign(mlflow_run_id=rows["mlflow_run_id"].isin(known)).to_csv()
        else:
            found[name] = path.read_bytes()
    return found


def policies() -> dict[str, Any]:
    """Under which few small days of two policies hold all there is: changes, canaries, expiries, hand-overs."""
    settings: dict[str, Any] = yaml.safe_load(DEFAULT_CONFIG.read_text(encoding="utf-8"))
    settings["policies"] = {name: settings["policies"][name] for name in POLICIES}
    settings["markets"] = {name: settings["markets"][name] for name in MARKETS}
    settings["defaults"] |= {"maturity_days": 1, "initial": {"remove_at": 0.8, "review_at": 0.7}}
    settings["defaults"]["uncertified"] = "remove"
    settings["policies"]["fraud"]["initial"] = {"remove_at": 0.99, "review_at": 0.8}
    settings["canary"] = {"steps": [0.1], "days_per_step": 1}
    settings["guardrails"] |= {"loosen_days": 1, "max_volume_change": 0.3}
    settings["retraining"] |= {"recent_days": 1, "min_labels": 50}
    return settings


def scenario(broken: int) -> dict[str, Any]:
    """The calm one with those policies and markets, and a feed that is broken on a day."""
    calm: dict[str, Any] = yaml.safe_load((SCENARIOS / "calm.yaml").read_text(encoding="utf-8"))
    share = sum(calm["markets"][name]["share"] for name in MARKETS)
    calm["markets"] = {name: {"share": calm["markets"][name]["share"] / share} for name in MARKETS}
    calm["policies"] = {name: calm["policies"][name] for name in POLICIES}
    for policy in calm["policies"].values():
        for key in ("prevalence", "hard_negatives"):
            policy[key] = {name: policy[key][name] for name in MARKETS}
        for model in policy["models"].values():
            offsets = model.get("market_offsets", {})
            model["market_offsets"] = {name: offsets[name] for name in MARKETS if name in offsets}
    calm["reviewers"] = {
        name: reviewer for name, reviewer in calm["reviewers"].items() if set(reviewer["markets"]) <= set(MARKETS)
    }
    better = {"separation": 1.6, "noise": 0.1, "offset": -2.6}
    models = calm["policies"]["fraud"]["models"]
    models["fraud-v3"] = deepcopy(models["fraud-v2"]) | better
    faults = {"duplicate_rows": 0.03}
    calm["seed"] = 3  # with which forecasts are due on the day of the small version
    return calm | {"events": [{"kind": "broken_feed", "from_day": broken, "to_day": broken, "faults": faults}]}


def homes(folder: Path, dags: dict[str, Any], *, seed: int, broken: int) -> Homes:
    """Two homes to be in `folder`, under its policies.yaml, which PLUMBLINE_CONFIG must name while they live."""
    (folder / "policies.yaml").write_text(yaml.safe_dump(policies()), encoding="utf-8")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario(broken)), encoding="utf-8")
    calm, other = (History(folder / name, str(folder / "scenario.yaml"), VIDEOS) for name in ("calm", "killed"))
    calm.home.mkdir()
    return Homes(calm, other, dags, random.Random(seed))


def printed(found: Killed, seconds: float) -> str:
    """What was killed where, and every difference."""
    tasks = Counter(kill.task for kill in found.kills)
    kinds = Counter(kill.before.split()[0] for kill in found.kills)
    return "\n".join(
        [
            *(f"{count:>6}  {task}" for task, count in sorted(tasks.items())),
            f"{len(found.kills):>6}  kills of {len(tasks)} tasks in {seconds:.0f} s; before: "
            + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
            f"{sum(kill.before.endswith('half written') for kill in found.kills):>6}  of them with a file half written",
            f"{len(found.differences):>6}  differences from the undisturbed run",
            *found.differences,
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="kills at least (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="plumbline-kills-") as name:
        folder = Path(name)
        enter_airflow(folder / "airflow")
        logging.disable()
        warnings.simplefilter("ignore")
        both, index = homes(folder, load_dags(), seed=given.seed, broken=BROKEN), 0
        os.environ["PLUMBLINE_CONFIG"] = str(folder / "policies.yaml")
        both.begin(0)
        while len(both.found.kills) < given.kills:
            both.live(index, RATE)
            index, found = index + 1, both.found
            print(f"day {index}: {len(found.kills)} kills, {len(found.differences)} differences", flush=True)
    print(printed(both.found, time.monotonic() - began))
    return min(len(both.found.differences), 1)


if __name__ == "__main__":
    raise SystemExit(main())
