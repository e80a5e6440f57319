"""A published change of one cell's thresholds, as the ledger holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.contract.cell import Cell, cell_of
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL

DAILY = "daily"
"""Origin of what the daily run proposes. A run that a person started has its Dag's name and its own."""


@dataclass(frozen=True)
class Bucket:
    """The videos that a canary acts on: those with bucket(video_id, salt) < share.

    Attributes:
        share: of the cell's videos, in (0, 1).
        salt: in [0, 2^31).
    """

    share: float
    salt: int


@dataclass(frozen=True)
class Change:
    """One entry of a version's `changes`.

    Attributes:
        old, new: the thresholds before it, and those it publishes.
        origin: the origin of the proposal it carries out, else the kind of its version.
        certificate: target, goal_weight, confidence, population, method, estimate, bound, n; None: it rests on no
            proposal.
        forecast: what it was forecast to do; None: it rests on no proposal.
        proposal_id: of the proposal it carries out.
        canary: the videos `new` acts on, `old` acting on all others; None: on all.
        continues: the version that began the canary that this change lets act on more videos.
        ends: the version whose canary it ends; `new` is then what acts on all videos already.
        lifts: the version whose change expired.
        reason: why, where the change has a reason of its own besides its version's.
    """

    cell: Cell
    old: ThresholdPair
    new: ThresholdPair
    origin: str
    certificate: Mapping[str, Any] | None = None
    forecast: Mapping[str, Any] | None = None
    proposal_id: str | None = None
    canary: Bucket | None = None
    continues: int | None = None
    ends: int | None = None
    lifts: int | None = None
    reason: str | None = None

    @property
    def is_lasting(self) -> bool:
        """Whether it changed the thresholds that act on all videos: no canary does, nor what ends one."""
        return self.canary is None and self.ends is None

    @property
    def promised_precision(self) -> float | None:
        """The precision its certificate promises; None: it has none."""
        return None if self.certificate is None else self.certificate.get("target")

    @property
    def promised_by_views(self) -> bool:
        """Whether that precision counts views."""
        return self.certificate is not None and self.certificate.get("goal_weight") == "views"

    @property
    def certified_bound(self) -> float | None:
        """The certified lower bound of precision at the new remove_at; None: nothing is certified, or removed."""
        return None if self.certificate is None or self.new.remove_at == 1 else self.certificate.get("bound")

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Change:
        """The change that `to_json` wrote. Raises KeyError, TypeError or ValueError if `item` is none."""
        canary = item.get("canary")
        return cls(
            cell_of(item),
            ThresholdPair(**item["old"]),
            ThresholdPair(**item["new"]),
            item["origin"],
            canary=None if canary is None else Bucket(**canary),
            **{name: item.get(name) for name in _OPTIONAL},
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it; what is None is left out."""
        values = {name: getattr(self, name) for name in _OPTIONAL}
        if self.canary is not None:
            values["canary"] = vars(self.canary)
        return {
            **dict(zip(CELL, self.cell, strict=True)),
            "old": self.old._asdict(),
            "new": self.new._asdict(),
            "origin": str(self.origin),
            **{name: value for name, value in values.items() if value is not None},
        }


_OPTIONAL = ("certificate", "forecast", "proposal_id", "continues", "ends", "lifts", "reason")


def changes_of(version: Mapping[str, Any]) -> list[Change]:
    """The changes that a version (a row of threshold_ledger) published."""
    return [Change.from_json(item) for item in json.loads(version["changes"])]
