"""The days: which gates each passed, what failed and was healed, and what there is to read of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pandas as pd

from include.contract.cell import Row, records
from include.orchestration.runbook import TASK_OF_GATE
from include.wording import failed_before, healed

GATES = tuple(TASK_OF_GATE)
"""In the order of the day."""


@dataclass(frozen=True)
class GateResult:
    """What a gate found on a day.

    Attributes:
        word: passed, warning, failed.
        remark: what became of earlier failures of the day; empty: there were none.
        messages: the checks that do not hold, critical ones first.
    """

    gate: str
    word: Literal["passed", "warning", "failed"]
    remark: str
    messages: tuple[str, ...]


@dataclass(frozen=True)
class Day:
    """A day: its gates by name, and whether its report is there."""

    day: date
    gates: dict[str, GateResult]
    has_report: bool

    @property
    def stopped_at(self) -> list[GateResult]:
        """The gates that stop the day."""
        return [found for found in self.gates.values() if found.word == "failed"]

    @property
    def verdict(self) -> str:
        """The day in a few words."""
        if self.stopped_at:
            return f"Stopped at {', '.join(found.gate.replace('_', ' ') for found in self.stopped_at)}"
        if any(found.remark for found in self.gates.values()):
            return "Passed after a failure"
        if any(found.word == "warning" for found in self.gates.values()):
            return "Passed with warnings"
        return "Passed"


def day_of(day: date, quality: pd.DataFrame, failures: pd.DataFrame, *, has_report: bool) -> Day:
    """A day from its rows of quality_results and gate_failures."""
    return _days([day], quality, failures, {day} if has_report else set())[0]


def newest_days(quality: pd.DataFrame, failures: pd.DataFrame, reports: Collection[date], most: int) -> list[Day]:
    """The newest days that were judged, the newest first."""
    judged = sorted(set(quality["ds"]) | set(failures["ds"]), reverse=True)
    return _days(judged[:most], quality, failures, reports)


def _days(days: Sequence[date], quality: pd.DataFrame, failures: pd.DataFrame, reports: Collection[date]) -> list[Day]:
    judged = set(zip(quality["ds"], quality["gate"], strict=True))
    attempts = failures.groupby(["ds", "gate"])["attempt"].nunique().to_dict()
    wrong: dict[tuple[date, str], list[Row]] = {}
    for row in records(quality[~quality["success"].astype(bool)].sort_values(["severity", "position"])):
        wrong.setdefault((row["ds"], row["gate"]), []).append(row)
    names = (*GATES, *sorted({gate for _, gate in judged} - set(GATES)))
    return [
        Day(
            day,
            {
                gate: _result(gate, wrong.get((day, gate), []), int(attempts.get((day, gate), 0)))
                for gate in names
                if (day, gate) in judged
            },
            day in reports,
        )
        for day in days
    ]


def _result(gate: str, wrong: Sequence[Row], attempts: int) -> GateResult:
    """`attempts`: failures that are recorded of the day; the one that stands is among them."""
    failed = any(row["severity"] == "critical" for row in wrong)
    earlier = attempts - failed
    remark = "" if earlier <= 0 else (failed_before if failed else healed)(earlier)
    messages = tuple(f"{row['observed']}. Must hold: {row['expectation']}." for row in wrong)
    return GateResult(gate, "failed" if failed else "warning" if wrong else "passed", remark, messages)
