"""Changes that expire: which cells they hold, and what the cells go back to. Pure.

A change published with an expiry holds its cell until the end of that day: the daily run leaves the cell alone. The
daily run of the last day, or of the first later one, then lifts it: a new version gives the cell back the thresholds of
the last change that was made to last, unless anything newer was published for it meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.contract.cell import Cell, Row, cell_of

ORIGIN = "expiry"


@dataclass(frozen=True)
class Override:
    """A cell whose newest change expires.

    Attributes:
        version, requester, reason, expires_on: of the version that made the change; expires_on is the last day.
        now, lasting: thresholds while it holds and after it, each {remove_at, review_at}.
    """

    cell: Cell
    version: int
    requester: str
    reason: str
    expires_on: date
    now: Mapping[str, float]
    lasting: Mapping[str, float]

    def __str__(self) -> str:
        """E.g. "version 7, asked for by ana, holds this cell until 2026-12-01: election week"."""
        return f"version {self.version}, asked for by {self.requester}, holds this cell until {self.expires_on}: " + (
            self.reason
        )


def overrides(chain: Sequence[Row]) -> dict[Cell, Override]:
    """The overrides at the end of `chain`, expired ones too if they were not lifted yet, by cell."""
    found: dict[Cell, Override] = {}
    for row in chain:
        for change in json.loads(row["changes"]):
            cell = cell_of(change)
            if row["expires_on"] is None:
                found.pop(cell, None)
                continue
            lasting = found[cell].lasting if cell in found else change["old"]
            found[cell] = Override(
                cell, row["version"], row["requester"], row["reason"], row["expires_on"], change["new"], lasting
            )
    return found


def lifting(chain: Sequence[Row], day: date) -> list[dict[str, Any]]:
    """The changes that give every cell whose override ended by `day` its lasting thresholds back."""
    return [
        {
            **dict(zip(("policy", "market", "model_version"), cell, strict=True)),
            "old": dict(held.now),
            "new": dict(held.lasting),
            "origin": ORIGIN,
            "lifts": held.version,
        }
        for cell, held in sorted(overrides(chain).items())
        if held.expires_on <= day
    ]
