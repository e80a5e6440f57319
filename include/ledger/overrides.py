"""Changes that expire: which cells they hold, and what the cells go back to. Pure.

A change published with an expiry holds its cell until the end of that day: the daily run leaves the cell alone. The
daily run of the last day, or of the first later one, then lifts it: a new version gives the cell back the thresholds of
the last change that was made to last, unless anything newer was published for it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from include.contract.cell import Cell, Row
from include.contract.change import Change, changes_of
from include.contract.grid import ThresholdPair
from include.contract.terms import VersionKind


@dataclass(frozen=True)
class Override:
    """A cell whose newest change expires.

    Attributes:
        version, requester, reason, expires_on: of the version that made the change; expires_on is the last day.
        now, lasting: thresholds while it holds and after it.
    """

    cell: Cell
    version: int
    requester: str
    reason: str
    expires_on: date
    now: ThresholdPair
    lasting: ThresholdPair

    def __str__(self) -> str:
        """E.g. "version 7, asked for by ana, holds this cell until 2026-12-01: election week"."""
        return f"version {self.version}, asked for by {self.requester}, holds this cell until {self.expires_on}: " + (
            self.reason
        )


def overrides(chain: Sequence[Row]) -> dict[Cell, Override]:
    """The overrides at the end of `chain`, expired ones too if they were not lifted yet, by cell."""
    found: dict[Cell, Override] = {}
    for row in chain:
        for change in changes_of(row):
            cell = change.cell
            if row["expires_on"] is None:
                found.pop(cell, None)
                continue
            lasting = found[cell].lasting if cell in found else change.old
            found[cell] = Override(
                cell, row["version"], row["requester"], row["reason"], row["expires_on"], change.new, lasting
            )
    return found


def lifting(chain: Sequence[Row], day: date) -> list[Change]:
    """The changes that give every cell whose override ended by `day` its lasting thresholds back."""
    return [
        Change(cell, held.now, held.lasting, VersionKind.EXPIRY, lifts=held.version)
        for cell, held in sorted(overrides(chain).items())
        if held.expires_on <= day
    ]
