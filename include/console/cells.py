"""The thresholds now: every cell, what it does, what is certified, and why it was not moved. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from include.config.model import Config
from include.console.past import Past
from include.contract.cell import Cell, Row, cell_of
from include.contract.grid import ThresholdPair
from include.contract.terms import PUBLISHED, ProposalStatus, Ruling
from include.forecasts.effects import Effect
from include.ledger.canaries import Canary
from include.wording import percent, score

LATELY = timedelta(days=7)
"""A cell whose thresholds changed within so many days counts as changed."""
MOST = 200
"""Cells shown at once; filters find the others."""


@dataclass(frozen=True)
class CellNow:
    """A cell, for the table.

    Attributes:
        pair: thresholds in force.
        shadow: whether it removes nothing until it has earned a certificate.
        certified: lower bound of the precision of what it removes, by its certificate; None: it has none.
        target: the precision asked for.
        by_views: whether the goals count views.
        effect: what it does in a day; None: it has no scores.
        why: why its thresholds are what they are.
        labels, minutes: that are missing for a certificate, and the reviewers' time they take; None: not known.
        changed, version: the day and version of its last change; None: it has what it started with.
        canary: what acts on a share of its videos.
    """

    cell: Cell
    pair: ThresholdPair
    shadow: bool
    certified: float | None
    target: float
    by_views: bool
    effect: Effect | None
    why: str
    labels: int | None
    minutes: float | None
    changed: date | None
    version: int | None
    canary: Canary | None


def cells_now(
    pairs: Mapping[Cell, ThresholdPair],
    past: Past,
    proposals: Sequence[Row],
    effects: Mapping[Cell, Effect],
    config: Config,
) -> list[CellNow]:
    """Every cell of `pairs`, in their order.

    Args:
        pairs: thresholds in force.
        past: the ledger.
        proposals: the daily run's of the newest day.
        effects: what the thresholds in force do.
    """
    rows, found = {cell_of(row): row for row in proposals}, []
    for cell, pair in pairs.items():
        policy, row = config.policies[cell[0]], rows.get(cell)
        needed = None if row is None else row["labels_needed"]
        version, day = past.changed.get(cell, (None, None))
        found.append(
            CellNow(
                cell,
                pair,
                pair.remove_at == 1,
                None if pair.remove_at == 1 else past.certified.get(cell),
                policy.target_precision,
                policy.by_views,
                effects.get(cell),
                why(row, pair),
                None if needed is None else int(needed),
                None if needed is None else needed * policy.minutes_per_label * policy.overlap,
                day,
                version,
                past.canaries.get(cell),
            )
        )
    return found


def why(row: Row | None, pair: ThresholdPair) -> str:
    """Why a cell's thresholds are what they are, by the daily run's newest proposal."""
    if row is None:
        return "No scores of this cell have arrived."
    shadow = pair.remove_at == 1
    mode = "Shadow mode: it removes nothing until a threshold is certified. " if shadow else ""
    if row["refusal"] is not None and row["status"] == ProposalStatus.REFUSED:
        return f"{mode}{sentence(row['refusal'])}"
    if row["status"] != ProposalStatus.UNCHANGED:
        return f"{mode}{_what_became(row)}."
    if shadow and row["certified_remove_at"] is not None:
        return f"{mode}{score(row['certified_remove_at'])} is certified today, but not yet on enough days in a row."
    return f"{mode}The labels call for these thresholds."


def _what_became(row: Row) -> str:
    """Of a proposal to move the thresholds."""
    asked, status = _moved(row), row["status"]
    if status in PUBLISHED:
        return f"Moved that day: {asked}"
    if status == ProposalStatus.AWAITING_APPROVAL:
        return f"A move ({asked}) waits for approval: {_reasons(row, Ruling.ASK)}"
    if status == ProposalStatus.REJECTED:
        return f"A move ({asked}) was rejected by {row['answered_by']}"
    if status == ProposalStatus.TIMED_OUT:
        return f"A move ({asked}) was not answered in time"
    return f"A move ({asked}) is held: {_reasons(row, Ruling.HOLD)}"


def _moved(row: Row) -> str:
    found = [
        f"{name} at {score(row[f'current_{key}'])} → {score(row[f'proposed_{key}'])}"
        for key, name in (("remove_at", "removes"), ("review_at", "reviews"))
        if row[f"proposed_{key}"] not in (None, row[f"current_{key}"])
    ]
    return ", ".join(found) or "as it is"


def _reasons(row: Row, ruling: Ruling) -> str:
    reasons = [verdict["reason"] for verdict in json.loads(row["verdicts"]) if verdict["outcome"] == ruling]
    return "; ".join(reasons) or "no reason is recorded"


def sentence(text: str) -> str:
    """Words that follow a colon as a sentence of their own; the name of a column keeps its small letter."""
    text = text.rstrip(".")
    first = text.partition(" ")[0]
    return f"{text if '_' in first else text[:1].upper() + text[1:]}."


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value


SORTS: dict[str, tuple[str, Callable[[CellNow], Any]]] = {
    "name": ("Name", lambda cell: cell.cell),
    "removes": ("Removals", lambda cell: -(cell.effect.removes if cell.effect else -1)),
    "wrong": ("Wrongful removals", lambda cell: -_number(cell.effect.wrong.estimate if cell.effect else None)),
    "views": ("Views prevented", lambda cell: -_number(cell.effect.views.estimate if cell.effect else None)),
    "labels": ("Labels missing", lambda cell: -_number(cell.labels)),
    "changed": ("Last change", lambda cell: -(cell.changed or date.min).toordinal()),
}
"""How the table can be sorted: what it is called, and by what."""


@dataclass(frozen=True)
class Choice:
    """What of the table is asked for; an unknown value counts as none given."""

    policy: str = ""
    market: str = ""
    changed: bool = False
    sort: str = "name"

    def of(self, cells: Sequence[CellNow], newest: date | None) -> list[CellNow]:
        """The cells that were asked for, sorted."""
        kept = [
            cell
            for cell in cells
            if self.policy in ("", cell.cell[0])
            and self.market in ("", cell.cell[1])
            and (not self.changed or _lately(cell, newest))
        ]
        return sorted(kept, key=SORTS.get(self.sort, SORTS["name"])[1])


def _lately(cell: CellNow, newest: date | None) -> bool:
    return cell.changed is not None and newest is not None and newest - cell.changed < LATELY


def right_at_least(cell: CellNow) -> str:
    """The certificate, as the table shows it."""
    return "" if cell.certified is None else percent(cell.certified, down=True)
