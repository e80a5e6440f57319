"""The ledger as a timeline, and two versions beside each other. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from include.console.state import by_whom
from include.contract.cell import Cell, Row
from include.contract.change import Change, changes_of
from include.contract.grid import ThresholdPair
from include.contract.terms import VersionKind
from include.ledger.chain import thresholds_of

KINDS = {
    VersionKind.INITIAL: "Start",
    VersionKind.DAILY: "Daily run",
    VersionKind.AD_HOC: "Request",
    VersionKind.ROLL_BACK: "Rollback",
    VersionKind.EXPIRY: "Expiry",
    VersionKind.CANARY: "Canary",
    VersionKind.ACCEPTANCE: "New model",
}
"""What each kind of version is called."""


@dataclass(frozen=True)
class Version:
    """A published version, for the timeline.

    Attributes:
        day: that it rests on.
        whom: "by ... approved by ...".
        more, less: how many cells remove more than before, or less.
        changes: what it changed.
        evidence: inputs whose SHA-256 it holds.
        until: last day it holds; None: until something newer.
    """

    number: int
    day: date
    published: datetime
    kind: str
    whom: str
    reason: str
    changes: tuple[Change, ...]
    more: int
    less: int
    evidence: int
    until: date | None

    @property
    def says_more(self) -> bool:
        """Whether the reason says more than who approved."""
        return not self.whom.endswith(f", {self.reason}")


def version_of(row: Row) -> Version:
    """A row of the ledger as the timeline shows it."""
    changes = tuple(changes_of(row))
    kind = json.loads(row["request"]).get("kind", "")
    return Version(
        row["version"],
        row["ds"],
        row["published_at"],
        KINDS.get(kind, str(kind)),
        by_whom(row),
        row["reason"],
        changes,
        sum(change.new.remove_at < change.old.remove_at for change in changes),
        sum(change.new.remove_at > change.old.remove_at for change in changes),
        len(json.loads(row["evidence"])),
        row["expires_on"],
    )


@dataclass(frozen=True)
class Difference:
    """A cell whose thresholds differ between two versions; None: the version does not hold it."""

    cell: Cell
    one: ThresholdPair | None
    other: ThresholdPair | None

    @property
    def removes_more(self) -> bool:
        """Whether the other version removes more."""
        return self.one is not None and self.other is not None and self.other.remove_at < self.one.remove_at


def differences(chain: Sequence[Row], one: int, other: int) -> list[Difference]:
    """The cells that two versions of the ledger treat differently, sorted. Raises IndexError for no such version."""
    if not (1 <= one <= len(chain) and 1 <= other <= len(chain)):
        raise IndexError(f"the ledger holds versions 1 to {len(chain)}")
    before, after = thresholds_of(chain[one - 1]), thresholds_of(chain[other - 1])
    return [
        Difference(cell, before.get(cell), after.get(cell))
        for cell in sorted(before.keys() | after.keys())
        if before.get(cell) != after.get(cell)
    ]
