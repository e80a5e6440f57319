"""What the main page is made from: the project's tables as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import pandas as pd

from include.config.model import Config
from include.console.past import Past, past
from include.contract.cell import Cell, Row, records
from include.contract.change import DAILY
from include.contract.grid import ThresholdPair
from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES
from include.ledger.chain import TABLE, thresholds_of
from include.project import Project

FORTNIGHT = 14
"""Days that are shown."""
OUTCOME_DAYS = 90
"""Days whose comparisons of forecasts are summed up."""
_DAYS_TRIED = 10
"""Newest days of proposals among which the daily run's newest is looked for; forms of a day propose, too."""


@dataclass(frozen=True)
class Standing:
    """The tables, read once.

    Attributes:
        day: the newest day that the daily run proposed on; None: there is none yet.
        ledger, past: `threshold_ledger`, as a frame and read.
        proposals: the daily run's of that day.
        design, completeness, watch: of that day.
        quality, failures: `quality_results` and `gate_failures` of the last fortnight that has any.
        outcomes: `forecast_outcomes` of the last quarter.
        usage: `warehouse_usage` of the last fortnight; no rows: the warehouse bills nothing.
    """

    project: Project
    day: date | None
    ledger: pd.DataFrame
    past: Past
    proposals: pd.DataFrame
    design: pd.DataFrame
    completeness: pd.DataFrame
    watch: pd.DataFrame
    quality: pd.DataFrame
    failures: pd.DataFrame
    outcomes: pd.DataFrame
    usage: pd.DataFrame

    @property
    def config(self) -> Config:
        return self.project.config

    @property
    def chain(self) -> Sequence[Row]:
        return self.past.chain

    @cached_property
    def in_force(self) -> dict[Cell, ThresholdPair]:
        """The thresholds of every configured cell, those of the newest version or those it starts with; sorted."""
        known = thresholds_of(self.chain[-1]) if self.chain else {}
        return {
            (name, market, version): known.get((name, market, version), policy.start)
            for name, policy in sorted(self.config.policies.items())
            for market in sorted(self.config.markets)
            for version in sorted(policy.model_versions)
        }

    @cached_property
    def daily(self) -> list[Row]:
        """The daily run's proposals of the day, by cell."""
        return records(self.proposals.sort_values(list(CELL)))


def standing(project: Project) -> Standing:
    """Reads what the page shows."""
    warehouse = project.warehouse
    day, proposals = _newest_proposals(project)
    judged = warehouse.days("quality_results")
    last = judged[-1] if judged else date.min
    first = last - timedelta(days=FORTNIGHT - 1) if judged else date.min
    ledger = warehouse.read(TABLE)
    shown = day or date.min
    quarter = max(shown.toordinal() - OUTCOME_DAYS + 1, 1)
    return Standing(
        project=project,
        day=day,
        ledger=ledger,
        past=past(ledger),
        proposals=proposals,
        design=warehouse.read("sampling_design", shown, shown),
        completeness=warehouse.read("label_completeness", shown, shown),
        watch=warehouse.read("threshold_watch", shown, shown),
        quality=warehouse.read("quality_results", first, last),
        failures=warehouse.read("gate_failures", first, last),
        outcomes=warehouse.read("forecast_outcomes", date.fromordinal(quarter), shown),
        usage=_usage(project, first),
    )


def _usage(project: Project, first: date) -> pd.DataFrame:
    if not project.warehouse.remote:
        return empty_frame(TABLES["warehouse_usage"]).assign(ds=None)
    return project.warehouse.read("warehouse_usage", first)


def _newest_proposals(project: Project) -> tuple[date | None, pd.DataFrame]:
    table = "threshold_proposals"
    for day in reversed(project.warehouse.days(table)[-_DAYS_TRIED:]):
        rows = project.warehouse.read(table, day, day, slice_value=DAILY)
        if len(rows):
            return day, rows
    return None, project.warehouse.read(table, date.min, date.min, slice_value=DAILY)
