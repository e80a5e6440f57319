"""A small simulated platform and the daily Dags over it, for tests that need days of history."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from include.config.declared import declared_settings
from include.config.settings import Settings
from include.contract.cell import Cell, cell_of
from include.contract.grid import ThresholdPair
from include.contract.tables import TABLES
from include.local.runs import DAILY_DAGS, Manager, run_dag, run_form
from include.project import Project, open_project
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario
from tests.history import START, History

DAYS = 5
"""Labels of the first day are final on the fourth; on the fifth the first changes wait for a person."""

LAST = DAYS - 1

FORM: dict[str, Any] = {
    "policies": ["fraud"],
    "markets": ["BR"],
    "goal": "as_configured",
    "precision_percent": None,
    "window_days": None,
    "mode": "what_if",
    "emergency": False,
    "reason": "election week",
    "expires_on": None,
}
"""Every field of recalibrate_ad_hoc: a Dag run in this process keeps what the run before was given as its defaults."""


def approve(subject: str, body: str) -> str:
    return "Approve"


def reject(subject: str, body: str) -> str:
    return "Reject"


def nobody(subject: str, body: str) -> None:
    return None


def levels(cells: Iterable[Mapping[str, Any]]) -> dict[Cell, ThresholdPair]:
    """The thresholds of cells as the ledger or the serving file lists them, where null stands for 1."""
    found = {}
    for item in cells:
        pair = [1.0 if item[name] is None else item[name] for name in ("remove_at", "review_at")]
        found[cell_of(item)] = ThresholdPair(*pair)
    return found


@dataclass(frozen=True)
class Loop:
    """The loop in `home`, which PLUMBLINE_HOME must name while it is used."""

    home: Path
    dags: dict[str, Any]
    scenario: str = "calm"
    videos_per_day: int = 20_000

    @property
    def settings(self) -> Settings:
        return declared_settings()

    @property
    def project(self) -> Project:
        return open_project(self.settings)

    @property
    def platform(self) -> Platform:
        return Platform(
            load_scenario(self.scenario, videos_per_day=self.videos_per_day),
            landing=self.home / "data" / "landing",
            queue=self.settings.queue,
            thresholds=self.settings.thresholds,
            truth=self.home / "data" / "truth",
            start=START,
        )

    @property
    def steps(self) -> History:
        """The same loop without Airflow and gates: what the Dags call."""
        return History(self.home / "data", self.scenario, self.videos_per_day)

    def copied_to(self, home: Path) -> Loop:
        """A copy of the loop and of what it left behind, in another home."""
        shutil.copytree(self.home / "data", home / "data")
        return replace(self, home=home)

    def day(self, index: int) -> date:
        return START + timedelta(days=index)

    def run(self, dag_id: str, index: int, manager: Manager = approve) -> Any:
        return run_dag(self.dags[dag_id], self.day(index), manager)

    def fill_in(self, dag_id: str, manager: Manager = approve, *, user: str = "ana", **form: Any) -> Any:
        return run_form(self.dags[dag_id], form, manager, user)

    def run_day(self, index: int, manager: Manager = approve) -> None:
        self.platform.land_day(self.day(index))
        for dag_id in DAILY_DAGS:
            self.run(dag_id, index, manager)

    def read(self, table: str, index: int | None = None) -> pd.DataFrame:
        day = None if index is None else self.day(index)
        return self.project.warehouse.read(table, day, day)

    def fingerprints(self) -> dict[tuple[str, date], str | None]:
        """Content hash of every partition Plumbline owns."""
        warehouse = self.project.warehouse
        owned = [name for name, table in TABLES.items() if table.owner == "plumbline"]
        return {(name, day): warehouse.fingerprint(name, day) for name in owned for day in warehouse.days(name)}
