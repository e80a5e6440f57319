"""What the metrics are now, from the tables."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from include.config.model import Config
from include.contract.cell import cell_of, records
from include.contract.change import DAILY
from include.contract.sample import sampling_minutes
from include.observability import names
from include.observability.emit import Reading
from include.project import Project
from include.report.decisions import queue_minutes


def readings(project: Project) -> Iterator[Reading]:
    """Every metric that the tables tell, of the newest day of each."""
    read, days = project.warehouse.read, project.warehouse.days
    if found := days("label_events"):
        yield from of_labels(*(read(name, found[-1], found[-1]) for name in ("label_events", "label_rejects")))
    if found := days("quality_results"):
        yield from of_gates(read("quality_results", found[-LATELY:][0], found[-1]))
    for day in reversed(days("threshold_proposals")[-LATELY:]):  # forms propose on a day as well
        proposals = read("threshold_proposals", day, day, slice_value=DAILY)
        if len(proposals):
            yield from of_cells(proposals, read("threshold_watch", day, day))
            yield from of_markets(proposals, read("sampling_design", day, day), project.config)
            break
    ledger = read("threshold_ledger")
    yield names.LEDGER_VERSION, (), float(ledger["version"].max()) if len(ledger) else 0.0


LATELY = 3
"""Newest days of a table that are looked at, for what not every one of them has."""


def of_labels(events: pd.DataFrame, rejects: pd.DataFrame) -> Iterator[Reading]:
    """Of a day's label_events and label_rejects."""
    for policy, count in events.groupby("policy").size().items():
        yield names.LABELS_ACCEPTED, (str(policy),), float(count)
    yield names.LABELS_REFUSED, (), float(len(rejects))


def of_gates(quality: pd.DataFrame) -> Iterator[Reading]:
    """Of quality_results."""
    for gate, rows in quality.groupby("gate"):
        newest = rows[rows["ds"] == rows["ds"].max()]
        wrong = newest.loc[~newest["success"].astype(bool), "severity"]
        yield names.GATE_FAILED, (str(gate),), float((wrong == "critical").sum())
        yield names.GATE_WARNINGS, (str(gate),), float((wrong == "warning").sum())


def of_cells(proposals: pd.DataFrame, watch: pd.DataFrame) -> Iterator[Reading]:
    """Of the daily run's threshold_proposals, and of threshold_watch of the same day."""
    alarmed = {cell_of(row) for row in records(watch[watch["alarm"].astype(bool)])}
    for row in records(proposals):
        cell, bound = cell_of(row), row["bound"]
        yield names.CELL_CERTIFIED, cell, float(bound is not None)
        yield names.CELL_BOUND, cell, bound or 0.0
        yield names.CELL_REMOVE_AT, cell, row["current_remove_at"]
        yield names.CELL_ALARM, cell, float(cell in alarmed)


def of_markets(proposals: pd.DataFrame, design: pd.DataFrame, config: Config) -> Iterator[Reading]:
    """Of the daily run's threshold_proposals, and of sampling_design of the same day."""
    drawn, sent = sampling_minutes(design).to_dict(), queue_minutes(records(proposals), config)
    for market, setting in sorted(config.markets.items()):
        minutes = float(drawn.get(market, 0.0))
        yield names.SAMPLE_MINUTES, (market,), minutes
        yield names.QUEUE_LOAD, (market,), (minutes + sent.get(market, 0.0)) / setting.reviewer_minutes
