"""Which remove_at are watched, and what an alarm goes back to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from include.contract.cell import Cell, Row
from include.contract.change import Change, changes_of
from include.contract.grid import ThresholdPair
from include.ledger.canaries import canaries


@dataclass(frozen=True)
class WatchedChange:
    """The change that brought a remove_at that acts, or the first version, for a remove_at that cells start with.

    Attributes:
        version, rests_on: the version and its day; it acts from the day after.
        remove_at: acts since then.
        before: thresholds of the cell before that day; of one that it started with, the same without a remove_at.
        target: precision its certificate promised; None: it had none.
        share: of the cell's videos it acts on; below 1 for a canary.
        by_views: whether the precision promised counts views.
    """

    cell: Cell
    version: int
    rests_on: date
    remove_at: float
    before: ThresholdPair
    target: float | None
    share: float = 1.0
    by_views: bool = False


def watched_changes(chain: Sequence[Row], in_force: Mapping[Cell, ThresholdPair]) -> list[WatchedChange]:
    """By cell, the last change of remove_at that outlived its day, or what it started with; and the canaries.

    What began as a canary and acts on all videos now is watched since it began. Where nothing is removed, nothing is
    watched.

    Args:
        chain: the ledger in order, up to the day before that on which is looked.
        in_force: the thresholds of each cell.
    """
    found = {
        cell: WatchedChange(
            cell, chain[0]["version"], chain[0]["ds"], pair.remove_at, ThresholdPair(1.0, pair.review_at), None
        )
        for cell, pair in (in_force.items() if chain else ())
    }
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
                    cell,
                    since,
                    days[since],
                    change.new.remove_at,
                    first[cell],
                    change.promised_precision,
                    by_views=change.promised_by_views,
                )
    return [
        *(item for cell, item in found.items() if cell in in_force and item.remove_at < 1),
        *(
            WatchedChange(
                cell,
                canary.version,
                canary.began,
                canary.change.new.remove_at,
                canary.change.old,
                canary.change.promised_precision,
                canary.share,
                canary.change.promised_by_views,
            )
            for cell, canary in canaries(chain).items()
            if cell in in_force
        ),
    ]


def safer(remove_at: float, before: ThresholdPair, start: ThresholdPair) -> ThresholdPair:
    """The thresholds an alarm goes back to: never looser ones.

    Those before the change; if these were riskier, those that cells start with; if these are, too, no remove_at.
    """
    nothing = ThresholdPair(1.0, before.review_at)
    return next(pair for pair in (before, start, nothing) if pair.remove_at > remove_at)
