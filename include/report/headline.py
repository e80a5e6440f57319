"""The first screen of the day's page: what changed, what that does, what needs whom, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include import wording
from include.contract.cell import cell_of, records
from include.contract.terms import PUBLISHED, ProposalStatus
from include.report.data import ReportData
from include.report.decisions import STATUS, after, missing, moves, why
from include.report.operations import enforced_otherwise, loads
from include.report.outlook import ALARM_ACTIONS
from include.report.parts import Kind, Value, name_of, short
from include.report.reviewers import below_floor, drifted
from include.report.versions import newcomers

MOST_LINES = 5
"""Lines of a box; what is left out is counted, and stands below."""

_TURNED_DOWN = (ProposalStatus.REJECTED, ProposalStatus.TIMED_OUT, ProposalStatus.STALE)


@dataclass(frozen=True)
class Notice:
    """Something to look at: whose it is (empty: nobody's in particular), and the id of the section with the details."""

    kind: Kind
    whose: str
    text: str
    section: str


@dataclass(frozen=True)
class FirstScreen:
    """What a reader sees first.

    Attributes:
        verdict: the day in a sentence.
        changed: a line a changed or turned-down cell.
        does: what the day's changes do in a day, by what is counted.
        needs, wrong: the urgent ones first.
        more: lines that `changed` leaves out.
    """

    verdict: str
    changed: list[str]
    more: int
    does: list[tuple[str, Value]]
    needs: list[Notice]
    wrong: list[Notice]


def first_screen(data: ReportData, rows: Sequence[dict[str, Any]]) -> FirstScreen:
    """The day's first screen."""
    lines, needs, wrong = _changed(rows), _needs(data, rows), _wrong(data, rows)
    return FirstScreen(
        _verdict(rows, needs, wrong),
        lines[:MOST_LINES],
        max(len(lines) - MOST_LINES, 0),
        _does(rows),
        needs,
        wrong,
    )


def _verdict(rows: Sequence[dict[str, Any]], needs: Sequence[Notice], wrong: Sequence[Notice]) -> str:
    if not rows:
        return "No threshold was considered on this day."
    changed = sum(row["status"] in PUBLISHED for row in rows)
    waiting = sum(row["status"] == ProposalStatus.AWAITING_APPROVAL for row in rows)
    parts = [
        f"Thresholds changed in {wording.count(changed)} of {wording.plural(len(rows), 'cell')}"
        if changed
        else f"No threshold changed; {wording.plural(len(rows), 'cell was', 'cells were')} considered"
    ]
    if waiting:
        parts.append(f"{wording.plural(waiting, 'change waits', 'changes wait')} for approval")
    bad = sum(notice.kind == "bad" for notice in (*needs, *wrong))
    parts.append(f"{wording.plural(bad, 'thing is', 'things are')} wrong" if bad else "nothing is wrong")
    return f"{'; '.join(parts)}."


def _changed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What was published, then what was turned down."""
    moved = [row for row in rows if moves(row)]
    found = []
    for row in (row for row in moved if row["status"] in PUBLISHED):
        levels = [
            f"{verb} at {wording.score(row[f'proposed_{key}'])}, was {wording.score(row[f'current_{key}'])}"
            for key, verb in (("remove_at", "removes"), ("review_at", "reviews"))
            if row[f"proposed_{key}"] not in (None, row[f"current_{key}"])
        ]
        by = f", approved by {row['answered_by']}" if row["answered_by"] else ""
        found.append(f"{row['policy']}, {row['market']}: {'; '.join(levels)}{by}")
    for row in (row for row in moved if row["status"] in _TURNED_DOWN):
        by = f" by {row['answered_by']}" if row["answered_by"] else ""
        found.append(f"{row['policy']}, {row['market']} stays: {STATUS[row['status']][0].lower()}{by}")
    return found


def _does(rows: Sequence[dict[str, Any]]) -> list[tuple[str, Value]]:
    """Videos removed and reviewed of all cells, and what the day's changes do to what labels speak of."""
    found = []
    published = [json.loads(row["forecast"]) for row in rows if row["status"] in PUBLISHED]
    for label, key, column in (
        ("Removed", "removes", "removes_before"),
        ("Sent to review", "reviews", "reviews_before"),
    ):
        before, now = sum(int(row[column]) for row in rows), sum(after(row, key) for row in rows)
        moved = f"{wording.count(before)} → {wording.count(now)}" if now != before else wording.count(now)
        found.append((label, Value(moved, wording.change(before, now))))
    for label, key in (
        ("Wrongly removed", "wrongful_removals_change"),
        ("Violative views prevented", "violative_views_prevented_change"),
    ):
        changes = [effect[key]["estimate"] for effect in published]
        known = [change for change in changes if change is not None]
        if known:
            left = len(changes) - len(known)
            of = "" if not left else f"not known for {wording.plural(left, 'cell')}"
            found.append((label, Value(f"about {wording.signed(sum(known))}", of)))
    return found


def _needs(data: ReportData, rows: Sequence[dict[str, Any]]) -> list[Notice]:
    found = []
    waiting = [row for row in rows if row["status"] == ProposalStatus.AWAITING_APPROVAL]
    held = [row for row in rows if row["status"] == ProposalStatus.HELD]
    if waiting:
        who = ", ".join(data.config.approval.assigned_users) or "Whoever may approve"
        text = f"{wording.plural(len(waiting), 'change waits', 'changes wait')} for an answer: {_cells(waiting)}"
        found.append(Notice("warn", who, text, "thresholds"))
    if held:
        back = f"{wording.plural(len(held), 'change is', 'changes are')} held back"
        text = f"{back}: {_cells(held)}. {short(why(held[0]), 120)}"
        found.append(Notice("warn", "Who sets the limits", text, "thresholds"))
    for load in loads(data, rows):
        if load.total > load.capacity:
            over = wording.duration(load.total - load.capacity)
            text = f"{load.market}: {over} a day more review than there is time for ({wording.percent(load.used)})"
            found.append(Notice("bad", "Who staffs review", text, "load"))
    lacking = [lack for row in rows if (lack := missing(row, data.config)) is not None]
    if lacking:
        labels, minutes = sum(lack[0] for lack in lacking), sum(lack[1] for lack in lacking)
        text = (
            f"about {wording.plural(labels, 'more label')}, {wording.duration(minutes)}, would decide "
            f"{wording.plural(len(lacking), 'cell')} without a certificate"
        )
        found.append(Notice("info", "Reviewers", text, "thresholds"))
    for low, says in ((below_floor(data), "surely below the floor"), (drifted(data), "changed in the last week")):
        names = sorted({row["reviewer_id"] for row in low})
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            text = f"{wording.plural(len(names), 'reviewer')} {says}: {listed}"
            found.append(Notice("warn", "Who leads reviewers", text, "reviewers"))
    return _urgent_first(found)


def _wrong(data: ReportData, rows: Sequence[dict[str, Any]]) -> list[Notice]:
    found: list[Notice] = []
    failed = records(data.quality[~data.quality["success"].astype(bool)])
    kinds: tuple[tuple[str, Kind], ...] = (("critical", "bad"), ("warning", "warn"))
    for severity, kind in kinds:
        of = [row for row in failed if row["severity"] == severity]
        if of:
            where = ", ".join(sorted({row["gate"].replace("_", " ") for row in of}))
            text = f"{where}: {short(of[0]['observed'], 160)}"
            more = f" and {wording.plural(len(of) - 1, 'more check')}" if len(of) > 1 else ""
            found.append(Notice(kind, "", f"{text}{more}", "gates"))
    # A day's estimate below the target is not: it counts what reviewers overlook as wrong, and of many cells one is low
    # by chance on many days. The watch allows for both.
    for row in [] if data.watch is None else records(data.watch[data.watch["alarm"].astype(bool)]):
        text = f"{name_of(cell_of(row))} breaks its promise; {ALARM_ACTIONS[row['action']]}"
        found.append(Notice("bad", "", text, "watch"))
    for new in newcomers(rows):
        found.append(Notice("info" if new.challenger else "warn", "", f"{new.verdict}. {new.reason}", "thresholds"))
    if differing := enforced_otherwise(data, rows):
        text = f"The platform acted otherwise than the thresholds say in {wording.plural(differing, 'cell')}"
        found.append(Notice("warn", "", text, "enforcement"))
    return _urgent_first(found)


def _urgent_first(notices: list[Notice]) -> list[Notice]:
    order: tuple[Kind, ...] = ("bad", "warn", "info")
    return sorted(notices, key=lambda notice: order.index(notice.kind))


def _cells(rows: Sequence[dict[str, Any]]) -> str:
    names = [f"{row['policy']}, {row['market']}" for row in rows]
    return "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
