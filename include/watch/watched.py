"""Which published changes are watched, and what an alarm goes back to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from include.contract.cell import Cell, Row
from include.contract.change import Change, changes_of
from include.contract.grid import ThresholdPair
from include.ledger.canaries import canaries


@dataclass(frozen=True)
class WatchedChange:
    """The change that brought a remove_at that acts.

    Attributes:
        version, rests_on: the version and its day; the change acts from the day after.
        remove_at: acts since then.
        before: thresholds of the cell before that day.
        target: precision its certificate promised; None: it had none.
        share: of the cell's videos it acts on; below 1 for a canary.
    """

    cell: Cell
    version: int
    rests_on: date
    remove_at: float
    before: ThresholdPair
    target: float | None
    share: float = 1.0


def watched_changes(chain: Sequence[Row]) -> list[WatchedChange]:
    """By cell, the last change of remove_at that outlived its day; and the canaries. What never changed is not watched.

    What began as a canary and acts on all videos now is watched since it began.

    Args:
        chain: the ledger in order, up to the day before that on which is looked.
    """
    found: dict[Cell, WatchedChange] = {}
    days = {row["version"]: row["ds"] for row in chain}
    for _, rows in groupby(chain, key=lambda row: row["ds"]):
        first: dict[Cell, ThresholdPair] = {}
        last: dict[Cell, tuple[int, Change]] = {}
        for row in rows:
            for change in (change for change in changes_of(row) if change.is_lasting):
                first.setdefault(change.cell, change.old)
                last[change.cell] = (row["version"], change)
        for cell, (version, change) in last.items():
            if change.new.remove_at != first[cell].remove_at:
                since = version if change.continues is None else change.continues
                found[cell] = WatchedChange(
                    cell, since, days[since], change.new.remove_at, first[cell], change.promised_precision
                )
    return [
        *found.values(),
        *(
            WatchedChange(
                cell,
                canary.version,
                canary.began,
                canary.change.new.remove_at,
                canary.change.old,
                canary.change.promised_precision,
                canary.share,
            )
            for cell, canary in canaries(chain).items()
        ),
    ]


def safer(remove_at: float, before: ThresholdPair, initial: ThresholdPair) -> ThresholdPair | None:
    """The thresholds an alarm goes back to: those before the change or, if riskier, the initial ones. Never looser."""
    return next((pair for pair in (before, initial) if pair.remove_at > remove_at), None)
