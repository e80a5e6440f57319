"""What became of each cell's thresholds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from include import wording
from include.config.model import Config
from include.contract.cell import cell_of, records
from include.contract.change import DAILY
from include.contract.tables import CELL
from include.contract.terms import OPEN, PUBLISHED, ProposalStatus, Ruling
from include.report.data import ReportData
from include.report.parts import Kind, PageTable, Section, Value, cell_value

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
    rows = records(data.proposals[data.proposals["origin"] == DAILY])
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


def queue_minutes(rows: Sequence[dict[str, Any]], config: Config) -> dict[str, float]:
    """Reviewers' minutes a day that the review queue takes once the day's decisions hold, by market.

    `rows`: the daily run's of threshold_proposals.
    """
    queue: dict[str, float] = {}
    for row in rows:
        minutes = after(row, "reviews") * config.policies[row["policy"]].minutes_per_label
        queue[row["market"]] = queue.get(row["market"], 0.0) + minutes
    return queue


def moves(row: dict[str, Any]) -> bool:
    """Whether anything else than the thresholds in force is proposed."""
    return any(row[f"proposed_{which}"] not in (None, row[f"current_{which}"]) for which in ("remove_at", "review_at"))


def stays(row: dict[str, Any]) -> bool:
    """Whether nothing was to be moved: what is in force is what is called for, or nothing can be certified."""
    return row["status"] in (ProposalStatus.REFUSED, ProposalStatus.UNCHANGED)


def thresholds(rows: list[dict[str, Any]], config: Config, caption: str) -> PageTable:
    """Old and new thresholds, what is certified of them, and why each cell came to what it did."""
    headings = ("Cell", "What became of it", "Removes at", "Reviews at", "Right at least", "Removed a day", "Why")
    return PageTable(caption, headings, [_threshold_row(row, config) for row in rows], frozenset({2, 3, 4, 5}))


def requests(data: ReportData) -> Section:
    """What people asked for on the day; each answer has a page of its own."""
    rows = data.proposals[data.proposals["origin"] != DAILY].sort_values(list(CELL))
    lines = []
    for origin, of_run in rows.groupby("origin"):
        became = [STATUS[status][0].lower() for status in of_run["status"]]
        said = "; ".join(f"{text}: {wording.plural(became.count(text), 'cell')}" for text in dict.fromkeys(became))
        lines.append((Value(str(origin).rpartition("/")[2]), Value(said)))
    remark = (
        f"{wording.plural(len(lines), 'request')} of people; none is counted above. Each answer has a page of its own."
        if lines
        else "Nobody asked for anything on this day."
    )
    table = PageTable("Requests", ("Run", "What became of it"), lines)
    return Section("requests", "Requests", remark, [table] if lines else [])


def missing(row: dict[str, Any], config: Config) -> tuple[int, float] | None:
    """Labels that would decide a cell, and the reviewers' minutes they take; None: not known, or none is missing."""
    if row["labels_needed"] is None or pd.isna(row["labels_needed"]):
        return None
    policy, labels = config.policies[row["policy"]], int(row["labels_needed"])
    return labels, labels * policy.minutes_per_label * policy.overlap


def _threshold_row(row: dict[str, Any], config: Config) -> tuple[Value, ...]:
    removes = (row["current_remove_at"] if row["proposed_remove_at"] is None else row["proposed_remove_at"]) < 1
    certified = removes and row["refusal"] is None and row["bound"] is not None
    lacks, lacking = missing(row, config), ""
    if lacks is not None:
        lacking = f"{wording.plural(lacks[0], 'label')} missing, {wording.duration(lacks[1])} of review"
    return (
        cell_value(cell_of(row)),
        status_badge(row),
        _old_new(row, "remove_at"),
        _old_new(row, "review_at"),
        Value(
            wording.percent(row["bound"], down=True) if certified else "not certified",
            f"asked: {wording.percent(row['target'])}{' of views' if row.get('goal_weight') == 'views' else ''}",
        ),
        _moved(row),
        Value(why(row), lacking),
    )


def why(row: dict[str, Any]) -> str:
    """Why a cell was not moved, or why a person is asked; empty where nothing is to be explained."""
    if row["refusal"] is not None:
        return str(row["refusal"])
    ruling = Ruling.ASK if row["status"] in OPEN else Ruling.HOLD
    return "; ".join(v["reason"] for v in json.loads(row["verdicts"]) if v["outcome"] == ruling)


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
