"""A change that removes more may act first on a share of its cell's videos, and on more once labels bear it out. Pure.

The share is a hash bucket: bucket(video_id, salt) < share, the salt being the change's own, so that every step's videos
are among the next one's. Labels are drawn and answered whatever acts on a video, so all draws at or above the canary's
remove_at since it began speak of it, not only those in its bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from include.config.model import CanarySettings
from include.contract.cell import Cell, Row
from include.contract.change import Change, changes_of
from include.contract.terms import VersionKind
from include.wording import percent


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
    change: Change

    def __str__(self) -> str:
        """E.g. "the canary of version 7 lets remove_at 0.951 act on 1% of the cell's videos since 2026-11-12"."""
        return (
            f"the canary of version {self.version} lets remove_at {self.change.new.remove_at:g} act on "
            f"{percent(self.share)} of the cell's videos since {self.stepped}"
        )


def canaries(chain: Sequence[Row]) -> dict[Cell, Canary]:
    """What acts on a share of the videos at the end of `chain`, by cell."""
    found: dict[Cell, Canary] = {}
    for row in chain:
        for change in changes_of(row):
            cell, before = change.cell, found.pop(change.cell, None)
            if change.canary is None:
                continue
            if change.continues is not None and before is not None:
                began = replace(before, stepped=row["ds"], share=change.canary.share)
            else:
                began = Canary(cell, row["version"], row["ds"], row["ds"], change.canary.share, change)
            found[cell] = began
    return found


def step_change(canary: Canary, settings: CanarySettings, reason: str) -> Change:
    """The change that lets the canary act on the next share of the videos, or on all."""
    further = [share for share in settings.steps if share > canary.share]
    bucket = None if canary.change.canary is None or not further else replace(canary.change.canary, share=further[0])
    return replace(canary.change, origin=VersionKind.CANARY, continues=canary.version, reason=reason, canary=bucket)


def end_change(canary: Canary, reason: str) -> Change:
    """The change that ends the canary: the thresholds before it act on all videos."""
    old = canary.change.old
    return Change(canary.cell, old, old, VersionKind.CANARY, ends=canary.version, reason=reason)


def in_words(changes: Sequence[Change]) -> str:
    """What a version made of `step_change` and `end_change` changes does, cell by cell."""
    return "; ".join(f"{' '.join(change.cell)} {_doing(change)}" for change in changes)


def _doing(change: Change) -> str:
    if change.ends is not None:
        return f"ends the canary of version {change.ends}: {change.reason}"
    where = "all its videos" if change.canary is None else f"{percent(change.canary.share)} of its videos"
    return f"lets remove_at {change.new.remove_at:g} act on {where}: {change.reason}"
