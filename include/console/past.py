"""What the ledger says of the past, worked out once for the same ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import pandas as pd

from include.console.history import Version, version_of
from include.console.kept import Kept
from include.contract.cell import Cell, Row
from include.contract.change import changes_of
from include.ledger.canaries import Canary, canaries
from include.ledger.chain import in_order, verify

_PASTS: Kept[Past] = Kept(2)


@dataclass(frozen=True)
class Past:
    """The ledger.

    Attributes:
        chain: its versions in order.
        problems: what is wrong with it, each naming version and column; empty: nothing.
        certified: the certified lower bound behind each cell's remove_at; a cell whose remove_at has none is not there.
        changed: version and day of each cell's last change.
        canaries: what acts on a share of a cell's videos.
        versions: for the timeline, the newest first.
    """

    chain: Sequence[Row]
    problems: tuple[str, ...]
    certified: Mapping[Cell, float]
    changed: Mapping[Cell, tuple[int, date]]
    canaries: Mapping[Cell, Canary]
    versions: Sequence[Version]


def past(ledger: pd.DataFrame) -> Past:
    """What the rows of threshold_ledger say. One that cannot be read at all has no versions, and says so."""
    return _PASTS.get(digest(ledger), lambda: _past(ledger))


def digest(frame: pd.DataFrame) -> str:
    """SHA-256 (hex) over the hashes of a frame's rows."""
    return sha256(pd.util.hash_pandas_object(frame).to_numpy().tobytes()).hexdigest()


def _past(ledger: pd.DataFrame) -> Past:
    chain, problems = in_order(ledger), tuple(verify(ledger))
    try:
        return Past(
            chain,
            problems,
            certificates(chain),
            {change.cell: (row["version"], row["ds"]) for row in chain for change in changes_of(row)},
            canaries(chain),
            [version_of(row) for row in reversed(chain)],
        )
    except (KeyError, TypeError, ValueError):
        if not problems:
            raise
        return Past([], problems, {}, {}, {}, [])


def certificates(chain: Sequence[Row]) -> dict[Cell, float]:
    """The certified lower bound behind each cell's remove_at; what was taken back, or is a canary, has none."""
    bounds: dict[Cell, float] = {}
    for version in chain:
        for change in (change for change in changes_of(version) if change.is_lasting):
            if change.certified_bound is not None:
                bounds[change.cell] = change.certified_bound
            elif change.new.remove_at != change.old.remove_at:
                bounds.pop(change.cell, None)
    return bounds
