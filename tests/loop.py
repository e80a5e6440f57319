"""A small simulated platform and the daily Dags over it, for tests that need days of history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from include.config.settings import Settings
from include.contract.tables import TABLES
from include.local.metadata import declared_settings
from include.local.runs import DAILY_DAGS, Manager, run_dag
from include.project import Project, open_project
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario

START = date(2026, 11, 1)


def approve(subject: str, body: str) -> str:
    return "Approve"


def reject(subject: str, body: str) -> str:
    return "Reject"


def nobody(subject: str, body: str) -> None:
    return None


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

    def day(self, index: int) -> date:
        return START + timedelta(days=index)

    def run(self, dag_id: str, index: int, manager: Manager = approve) -> Any:
        return run_dag(self.dags[dag_id], self.day(index), manager)

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
