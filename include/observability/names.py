"""Every metric once: its name, what tells its series apart, and what it says. Names never change; new ones come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from include.contract.tables import CELL

PREFIX = "plumbline"


@dataclass(frozen=True)
class Metric:
    """A gauge.

    Attributes:
        name: below PREFIX; Airflow puts its own prefix in front.
        labels: what tells its series apart; their values follow the name, in this order.
        unit: as Grafana calls it.
        meaning: in a sentence.
    """

    name: str
    labels: tuple[str, ...]
    unit: str
    meaning: str

    def series(self, *values: str) -> str:
        """The full name of one of its series. Raises ValueError where a value is missing or too many."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} is told apart by {', '.join(self.labels) or 'nothing'}, got {values}")
        return ".".join([PREFIX, self.name, *(re.sub(r"[^A-Za-z0-9_-]", "_", value) for value in values)])


LABELS_ACCEPTED = Metric("labels.accepted", ("policy",), "short", "Label events accepted on the newest day.")
LABELS_REFUSED = Metric("labels.refused", (), "short", "Label events refused on the newest day.")
GATE_FAILED = Metric("gate.failed", ("gate",), "short", "Critical checks that do not hold, on the gate's newest day.")
GATE_WARNINGS = Metric("gate.warnings", ("gate",), "short", "Other checks that do not hold, on the gate's newest day.")
CELL_CERTIFIED = Metric("cell.certified", CELL, "bool", "1 where the newest day certifies a threshold that removes.")
CELL_BOUND = Metric("cell.precision_bound", CELL, "percentunit", "Certified lower limit of precision; 0: none.")
CELL_REMOVE_AT = Metric("cell.remove_at", CELL, "none", "Score from which on videos are removed; 1: none is.")
CELL_ALARM = Metric("cell.alarm", CELL, "bool", "1 while labels or appeals say that the cell breaks its promise.")
QUEUE_LOAD = Metric("market.queue_load", ("market",), "percentunit", "Minutes given to reviewers, of those they have.")
SAMPLE_MINUTES = Metric("market.sample_minutes", ("market",), "m", "Reviewers' minutes that the newest sample takes.")
LEDGER_VERSION = Metric("ledger.version", (), "none", "The newest published version.")
DAYS_LATE = Metric("days.late", (), "short", "Days that are missing or unfinished and should not be.")
MESSAGES_UNSENT = Metric("messages.unsent", (), "short", "Messages of the last days that could not be sent.")
SCAN_SECONDS = Metric("scan.seconds", ("query",), "s", "How long the query took when it ran last.")
SCAN_BYTES = Metric("scan.bytes", ("query",), "bytes", "What it read then: files on disk, or bytes that were billed.")

METRICS = (
    *(LABELS_ACCEPTED, LABELS_REFUSED, GATE_FAILED, GATE_WARNINGS),
    *(CELL_CERTIFIED, CELL_BOUND, CELL_REMOVE_AT, CELL_ALARM),
    *(QUEUE_LOAD, SAMPLE_MINUTES, LEDGER_VERSION, DAYS_LATE, MESSAGES_UNSENT),
    *(SCAN_SECONDS, SCAN_BYTES),
)
