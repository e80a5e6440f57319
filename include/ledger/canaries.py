"""A change that removes more may act first on a share of its cell's videos, and on more once labels bear it out. Pure.

The share is a hash bucket: bucket(video_id, salt) < share, the salt being the change's own, so that every step's videos
are among the next one's. Labels are drawn and answered whatever acts on a video, so all draws at or above the canary's
remove_at since it began speak of it, not only those in its bucket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.config.model import Canary as Settings
from include.contract.cell import Cell, Row, cell_of
from include.contract.grid import Pair
from include.contract.tables import CELL

KIND = "canary"


def canary_salt(proposal_id: str) -> int:
    """In [0, 2^31): what the bucket of the change that carries out a proposal is drawn with."""
    return int.from_bytes(hashlib.sha256(f"{proposal_id}:canary".encode()).digest()[:4], "big") >> 1


@dataclass(frozen=True)
class Canary:
    """A change that acts on a share of its cell's videos.

    Attributes:
        version, began: the version that began it, and its day; it acts from the day after.
        stepped: day of the version that gave it its present share.
        share: of the cell's videos, in (0, 1).
        change: the entry of `changes` that began it.
    """

    cell: Cell
    version: int
    began: date
    stepped: date
    share: float
    change: Mapping[str, Any]

    @property
    def old(self) -> Pair:
        """The thresholds on all other videos."""
        return Pair(**self.change["old"])

    @property
    def new(self) -> Pair:
        """The thresholds on its share."""
        return Pair(**self.change["new"])

    @property
    def promised(self) -> float | None:
        """The precision its certificate promises; None: it has none."""
        found: float | None = (self.change.get("certificate") or {}).get("target")
        return found

    def __str__(self) -> str:
        """E.g. "the canary of version 7 lets remove_at 0.951 act on 1% of the cell's videos since 2026-11-12"."""
        return (
            f"the canary of version {self.version} lets remove_at {self.new.remove_at:g} act on "
            f"{percent(self.share)} of the cell's videos since {self.stepped}"
        )


def canaries(chain: Sequence[Row]) -> dict[Cell, Canary]:
    """What acts on a share of the videos at the end of `chain`, by cell."""
    found: dict[Cell, Canary] = {}
    for row in chain:
        for change in json.loads(row["changes"]):
            cell, before = cell_of(change), found.pop(cell_of(change), None)
            if "canary" not in change:
                continue
            share = change["canary"]["share"]
            if "continues" in change and before is not None:
                found[cell] = Canary(cell, before.version, before.began, row["ds"], share, before.change)
            else:
                found[cell] = Canary(cell, row["version"], row["ds"], row["ds"], share, change)
    return found


def stepped(canary: Canary, settings: Settings, reason: str) -> dict[str, Any]:
    """The change that lets the canary act on the next share of the videos, or on all."""
    further = [share for share in settings.steps if share > canary.share]
    change = {**canary.change, "origin": KIND, "continues": canary.version, "reason": reason}
    if further:
        return change | {"canary": {**canary.change["canary"], "share": further[0]}}
    del change["canary"]
    return change


def ended(canary: Canary, reason: str) -> dict[str, Any]:
    """The change that ends the canary: the thresholds before it act on all videos."""
    old = dict(canary.change["old"])
    named = dict(zip(CELL, canary.cell, strict=True))
    return {**named, "old": old, "new": old, "origin": KIND, "ends": canary.version, "reason": reason}


def percent(share: float) -> str:
    """E.g. "1%", "0.5%"."""
    return f"{100 * share:.3g}%"


def in_words(changes: Sequence[Mapping[str, Any]]) -> str:
    """What a version made of `stepped` and `ended` changes does, cell by cell."""
    return "; ".join(f"{' '.join(change[name] for name in CELL)} {_doing(change)}" for change in changes)


def _doing(change: Mapping[str, Any]) -> str:
    if "ends" in change:
        return f"ends the canary of version {change['ends']}: {change['reason']}"
    where = f"{percent(change['canary']['share'])} of its videos" if "canary" in change else "all its videos"
    return f"lets remove_at {change['new']['remove_at']:g} act on {where}: {change['reason']}"
