"""The page that answers a person's request: what was asked, the verdict first, and nothing else of the day. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from include import wording
from include.config.model import Config
from include.contract.terms import PUBLISHED, ProposalStatus
from include.report import cells, decisions
from include.report.page import rendered

OPENED = 3
"""Cells whose details stand open."""

_NO = (ProposalStatus.REFUSED,)
_BECAME = {
    ProposalStatus.AWAITING_APPROVAL: ("waits", "wait", "for somebody else's approval"),
    ProposalStatus.HELD: ("is", "are", "held back by a guardrail"),
    ProposalStatus.REJECTED: ("was", "were", "rejected"),
    ProposalStatus.TIMED_OUT: ("was", "were", "not answered in time"),
    ProposalStatus.STALE: ("was", "were", "overtaken by newer thresholds or labels"),
}
"""What became of a change that was wanted and is not published."""


@dataclass(frozen=True)
class AnswerData:
    """What an answer is built from.

    Attributes:
        day: whose data it rests on.
        config: that it was computed under, with the goals asked for.
        rows: of threshold_proposals, of this request.
        curves, histogram: CURVE_COLUMNS of include.report.data, and score_histogram, of its cells.
        asked: who asked for what, as a sentence.
        reason: as it was given.
    """

    day: date
    config: Config
    rows: Sequence[dict[str, Any]]
    curves: pd.DataFrame
    histogram: pd.DataFrame
    asked: str
    reason: str


def build_answer(data: AnswerData) -> str:
    """The answer as one HTML document that needs no network and runs no script; write it as UTF-8."""
    rows = sorted(data.rows, key=lambda row: (decisions.stays(row), row["policy"], row["market"], row["model_version"]))
    shown = rows[: decisions.MOST_CELLS]
    return rendered(
        "answer.html.j2",
        title=verdict(rows, data.config),
        day=data.day,
        asked=data.asked,
        reason=data.reason,
        n_cells=len(rows),
        thresholds=decisions.thresholds(shown, data.config, "Thresholds by cell"),
        cells=cells.cells(shown, curves=data.curves, histogram=data.histogram),
        opened=OPENED,
    )


def verdict(rows: Sequence[dict[str, Any]], config: Config) -> str:
    """The answer in one line.

    E.g. "No. About 390 more reviewed videos, 9.7 reviewer hours, would decide it. Nothing changed."

    Args:
        rows: of threshold_proposals, of one request.
        config: for the time that labels take.
    """
    no = [row for row in rows if row["status"] in _NO]
    yes, one = len(rows) - len(no), len(rows) == 1
    if not no:
        first = "Yes." if one else f"Yes, in all {len(rows)} cells."
    elif not yes:
        first = "No." if one else f"No, in none of the {len(rows)} cells."
    else:
        first = f"Yes in {wording.count(yes)} of {len(rows)} cells, no in {wording.count(len(no))}."
    return " ".join(part for part in (first, _lacking(no, config), _became(rows)) if part)


def _lacking(no: Sequence[dict[str, Any]], config: Config) -> str:
    """What would decide the cells that nothing can be certified for; where nobody can say, why nothing can be."""
    lacks = [lack for row in no if (lack := decisions.missing(row, config)) is not None]
    if lacks:
        labels, minutes = sum(lack[0] for lack in lacks), sum(lack[1] for lack in lacks)
        what = "it" if len(no) == 1 else "them" if len(lacks) == len(no) else f"{len(lacks)} of them"
        time = f"{minutes:,.0f} reviewer minutes" if minutes < 120 else f"{minutes / 60:,.1f} reviewer hours"
        return f"About {wording.plural(labels, 'more reviewed video')}, {time}, would decide {what}."
    if len(no) == 1:
        text = str(no[0]["refusal"] or "no reason is recorded").rstrip(".")
        return f"{text[:1].upper()}{text[1:]}."
    return ""


def _became(rows: Sequence[dict[str, Any]]) -> str:
    """What the request led to."""
    published = sum(row["status"] in PUBLISHED for row in rows)
    would = sum(row["status"] == ProposalStatus.WHAT_IF for row in rows)
    kept = sum(row["status"] == ProposalStatus.UNCHANGED for row in rows)
    said = []
    if published:
        said.append(f"{wording.plural(published, 'cell is', 'cells are')} changed.")
    for status, (one, many, what) in _BECAME.items():
        if n := sum(row["status"] == status for row in rows):
            said.append(f"{wording.plural(n, f'change {one}', f'changes {many}')} {what}.")
    if would:
        said.append(f"{wording.plural(would, 'cell')} would change.")
    if kept:
        said.append(f"{wording.plural(kept, 'cell stays as it is', 'cells stay as they are')}.")
    if not published:
        said.append("Nothing changed.")
    return " ".join(said)
