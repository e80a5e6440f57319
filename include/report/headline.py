"""The top of the page: the day in numbers, and what needs a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include import wording
from include.contract.cell import cell_of, records
from include.contract.terms import PUBLISHED, ProposalStatus
from include.report.data import ReportData
from include.report.decisions import STATUS, after
from include.report.operations import enforced_otherwise, loads
from include.report.outlook import ALARM_ACTIONS
from include.report.parts import Kind, name_of, short
from include.report.reviewers import below_floor, drifted

WAITING = (ProposalStatus.AWAITING_APPROVAL,)

STOPPED = (
    ProposalStatus.HELD,
    ProposalStatus.REJECTED,
    ProposalStatus.TIMED_OUT,
    ProposalStatus.STALE,
)


@dataclass(frozen=True)
class Notice:
    """Something to look at, with the id of the section that has the details."""

    kind: Kind
    text: str
    section: str


@dataclass(frozen=True)
class Tile:
    """One number of the headline."""

    label: str
    number: str
    kind: Kind


def tiles(rows: list[dict[str, Any]]) -> list[Tile]:
    """How many cells changed, wait, were stopped, cannot be certified, were kept; and how many are in shadow mode."""

    def number(statuses: tuple[str, ...]) -> int:
        return sum(row["status"] in statuses for row in rows)

    groups: tuple[tuple[str, tuple[str, ...], Kind], ...] = (
        ("Waiting for approval", WAITING, "warn"),
        ("Stopped", STOPPED, "warn"),
        ("Changed", PUBLISHED, "good"),
        ("Not certifiable", (ProposalStatus.REFUSED,), "info"),
        ("Kept", (ProposalStatus.UNCHANGED,), "plain"),
    )
    if number((ProposalStatus.WHAT_IF,)):
        groups = (("Only asked what if", (ProposalStatus.WHAT_IF,), "info"), *groups)
    counted = [(label, number(statuses), kind) for label, statuses, kind in groups]
    if shadows := sum(row["current_remove_at"] == 1 for row in rows):
        counted.append(("In shadow mode", shadows, "info"))
    return [Tile(label, wording.count(n), kind if n else "plain") for label, n, kind in counted]


def headline(rows: list[dict[str, Any]]) -> str:
    """The day in one or two sentences."""
    if not rows:
        return "No threshold was considered on this day."
    changed = sum(row["status"] in PUBLISHED for row in rows)
    sentence = (
        f"Thresholds changed in {wording.count(changed)} of {wording.plural(len(rows), 'cell')}."
        if changed
        else f"No threshold changed; {wording.plural(len(rows), 'cell was', 'cells were')} considered."
    )
    moves = []
    for noun, before_column, action in (
        ("Videos removed a day", "removes_before", "removes"),
        ("Videos sent to review a day", "reviews_before", "reviews"),
    ):
        before, now = sum(int(row[before_column]) for row in rows), sum(after(row, action) for row in rows)
        there = "" if now == before else f" → {wording.count(now)}"
        moves.append(f"{noun}: {wording.count(before)}{there} ({wording.change(before, now)}).")
    return " ".join((sentence, *moves))


def notices(data: ReportData, rows: list[dict[str, Any]]) -> list[Notice]:
    """What needs a look, red before amber."""
    found: list[Notice] = []
    failed = records(data.quality[~data.quality["success"].astype(bool)])
    for severity, kind in (("critical", "bad"), ("warning", "warn")):
        of = [r for r in failed if r["severity"] == severity]
        if of:
            where = ", ".join(sorted({r["gate"] for r in of}))
            found_there = f": {short(of[0]['observed'])}" if len(of) == 1 else ""
            text = f"{wording.plural(len(of), f'{severity} check')} failed at gate {where}{found_there}"
            found.append(Notice(kind, text, "gates"))  # type: ignore[arg-type]
    targets = {cell_of(row): row["target"] for row in rows}
    for metric in records(data.today):
        target = targets.get(cell_of(metric))
        if metric["metric"] == "precision" and target is not None and (metric["high"] or 1) < target:
            text = (
                f"{name_of(cell_of(metric))}: automatic removals are right only {wording.percent(metric['value'])} of "
                f"the time ({wording.interval(metric['low'], metric['high'])}); "
                f"{wording.percent(target)} is asked"
            )
            found.append(Notice("bad", text, "cells"))
    for row in [] if data.watch is None else records(data.watch[data.watch["alarm"].astype(bool)]):
        text = f"{name_of(cell_of(row))}: {row['reason']}; {ALARM_ACTIONS[row['action']]}"
        found.append(Notice("bad", text, "watch"))
    for load in loads(data, rows):
        if load.total > load.capacity:
            text = f"{load.market}: expected review work is {wording.percent(load.used)} of what reviewers can do"
            found.append(Notice("bad", text, "load"))
    for status in (
        ProposalStatus.AWAITING_APPROVAL,
        ProposalStatus.HELD,
        ProposalStatus.TIMED_OUT,
        ProposalStatus.REJECTED,
    ):
        cells = [name_of(cell_of(row)) for row in rows if row["status"] == status]
        if cells:
            listed = "; ".join(cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else "")
            found.append(Notice("warn", f"{STATUS[status][0]}: {listed}", "thresholds"))
    for low, says in ((below_floor(data), "surely below the floor"), (drifted(data), "changed in the last week")):
        names = sorted({row["reviewer_id"] for row in low})
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            found.append(Notice("warn", f"{wording.plural(len(names), 'reviewer')} {says}: {listed}", "reviewers"))
    if differing := enforced_otherwise(data, rows):
        text = f"Enforced actions differ from the thresholds in force in {wording.plural(differing, 'cell')}"
        found.append(Notice("warn", text, "enforcement"))
    return sorted(found, key=lambda notice: notice.kind != "bad")
