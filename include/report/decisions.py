"""What became of each cell's thresholds."""

from __future__ import annotations

from typing import Any

from include import wording
from include.contract.cell import cell_of, records
from include.contract.change import DAILY
from include.contract.tables import CELL
from include.contract.terms import PUBLISHED, ProposalStatus
from include.report.data import ReportData
from include.report.parts import Kind, PageTable, Section, Value, cell_value, labels_value

MOST_CELLS = 200
"""Cells shown one by one; a page with more is slow to open and nobody reads it."""

SHOWN_CHANGED = (*PUBLISHED, ProposalStatus.WHAT_IF)
"""Shown with the volumes they would lead to."""

STATUS: dict[ProposalStatus, tuple[str, Kind]] = {
    ProposalStatus.AWAITING_APPROVAL: ("Waiting for approval", "warn"),
    ProposalStatus.HELD: ("Held by a guardrail", "warn"),
    ProposalStatus.TIMED_OUT: ("Approval timed out", "warn"),
    ProposalStatus.REJECTED: ("Rejected", "warn"),
    ProposalStatus.STALE: ("Refused: out of date", "warn"),
    ProposalStatus.APPROVED: ("Changed, approved", "good"),
    ProposalStatus.WITHIN_LIMITS: ("Changed", "good"),
    ProposalStatus.WHAT_IF: ("Only asked what if", "info"),
    ProposalStatus.REFUSED: ("Not certifiable", "info"),
    ProposalStatus.UNCHANGED: ("Kept", "plain"),
}
"""Every status in the order in which it concerns a reader."""


def daily(data: ReportData) -> list[dict[str, Any]]:
    """The proposals the page is about, most urgent status first, then by cell."""
    urgency = {status: position for position, status in enumerate(STATUS)}
    rows = records(data.proposals[data.proposals["origin"] == data.origin])
    return sorted(rows, key=lambda row: (urgency[row["status"]], *cell_of(row)))


def rows_shown(data: ReportData, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most MOST_CELLS of the proposals: what changed or was stopped before the rest, then by the day's videos."""
    if len(rows) <= MOST_CELLS:
        return rows
    videos = data.histogram.groupby(list(CELL))["n_videos"].sum().to_dict()
    quiet = (ProposalStatus.REFUSED, ProposalStatus.UNCHANGED)
    kept = sorted(rows, key=lambda row: (row["status"] in quiet, -videos.get(cell_of(row), 0), cell_of(row)))
    chosen = {cell_of(row) for row in kept[:MOST_CELLS]}
    return [row for row in rows if cell_of(row) in chosen]


def status_badge(row: dict[str, Any]) -> Value:
    """The status as a badge, with who answered."""
    text, kind = STATUS[row["status"]]
    return Value(text, f"by {row['answered_by']}" if row["answered_by"] else "", kind)


def proposed_name(row: dict[str, Any]) -> str:
    """What the proposed thresholds are called beside those in force."""
    return "New" if row["status"] in PUBLISHED else "Proposed"


def after(row: dict[str, Any], action: str) -> int:
    """Videos a day once the day's decisions hold; `action` is removes or reviews."""
    value = row[f"{action}_after"] if row["status"] in SHOWN_CHANGED else None
    return int(row[f"{action}_before"] if value is None else value)


def moves(row: dict[str, Any]) -> bool:
    """Whether anything else than the thresholds in force is proposed."""
    return any(row[f"proposed_{which}"] not in (None, row[f"current_{which}"]) for which in ("remove_at", "review_at"))


def thresholds(rows: list[dict[str, Any]], caption: str) -> PageTable:
    """Old and new thresholds with their certificates."""
    headings = (
        *("Cell", "Status", "Remove at", "Review at"),
        *("Certified precision", "Estimate", "Labels", "Removals a day", "Certified for"),
    )
    return PageTable(caption, headings, [_threshold_row(row) for row in rows], frozenset({2, 3, 4, 5, 6, 7}))


def by_hand(data: ReportData) -> list[PageTable]:
    """The same for each ad-hoc run of the day; they are not part of the counts."""
    if data.origin != DAILY:
        return []
    runs = data.proposals[data.proposals["origin"] != DAILY].sort_values(list(CELL)).groupby("origin")
    return [thresholds(records(rows), f"Asked for by hand, run {run}; not counted above") for run, rows in runs]


def refusals(data: ReportData, rows: list[dict[str, Any]]) -> Section:
    """The cells that cannot be certified, with the labels that would decide them."""
    refused = [row for row in rows if row["refusal"] is not None]
    lines = []
    for row in refused:
        policy = data.config.policies[row["policy"]]
        needed = row["labels_needed"]
        lines.append(
            (
                cell_value(cell_of(row)),
                Value(row["refusal"] or "no reason given"),
                Value("not stated" if needed is None else wording.count(needed)),
                Value("" if needed is None else wording.duration(needed * policy.minutes_per_label * policy.overlap)),
            )
        )
    remark = (
        "No precision could be certified for these cells with the labels there are. None removes more than before."
        if refused
        else "Every cell could be certified."
    )
    headings = ("Cell", "Why", "Labels missing", "Reviewer time")
    table = PageTable("Cells that cannot be certified", headings, lines, frozenset({2, 3}))
    return Section("refusals", "Not certifiable", remark, [table] if refused else [])


def _threshold_row(row: dict[str, Any]) -> tuple[Value, ...]:
    removes = (row["current_remove_at"] if row["proposed_remove_at"] is None else row["proposed_remove_at"]) < 1
    certified = removes and row["refusal"] is None and row["bound"] is not None
    return (
        cell_value(cell_of(row)),
        status_badge(row),
        _old_new(row, "remove_at"),
        _old_new(row, "review_at"),
        Value(
            f"at least {wording.percent(row['bound'], down=True)}" if certified else "none",
            f"target {wording.percent(row['target'])}",
        ),
        Value(wording.percent(row["estimate"]) if certified else ""),
        labels_value(row["n"]),
        _moved(row),
        Value(_population(row), _certainty(row)) if certified else Value(""),
    )


def _population(row: dict[str, Any]) -> str:
    return "this cell" if row["population"] == "cell" else f"pooled: {row['population']}"


def _certainty(row: dict[str, Any]) -> str:
    method = "" if row["method"] is None else f", {row['method']}"
    return f"{wording.percent(row['confidence'])} confidence{method}"


def _old_new(row: dict[str, Any], which: str) -> Value:
    current, proposed = row[f"current_{which}"], row[f"proposed_{which}"]
    if proposed is None or proposed == current:
        return Value(wording.score(current), "" if proposed is None else "unchanged")
    return Value(f"{wording.score(current)} → {wording.score(proposed)}")


def _moved(row: dict[str, Any]) -> Value:
    before, later = row["removes_before"], row["removes_after"]
    if later is None or later == before:
        return Value(wording.count(before))
    return Value(f"{wording.count(before)} → {wording.count(later)}", wording.change(before, later))
