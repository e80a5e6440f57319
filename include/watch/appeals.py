"""Collects removals and overturned appeals since a published change, day by day, from enforcement_log and appeals.

A day counts once its log is there; the days after a missing log wait for it, so that no appeal is counted against a
removal that is not. Only removals under versions that have the watched remove_at act on all videos of the cell count,
and only the appeals that name such a version. A log that grows after its day was counted counts as it was, until that
day is run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from include.contract.cell import Cell, Row, by_cell
from include.contract.tables import CELL
from include.evidence.enforcement import enforced
from include.ledger.chain import acting_of, canary_of
from include.project import Project
from include.watch.e_values import AppealsEvidence
from include.watch.watched import WatchedChange

REPEAT_DAYS = 28
"""Within so many days an overturned removal of a video is not counted again; before a change, in so many days an
appeal must have named its cell."""

_NAMED = [*CELL, "threshold_version"]
_Removals = Mapping[tuple[str, str, str, int], int]
"""Videos by cell and version."""
_NONE = pd.DataFrame(columns=["ds", "video_id", *_NAMED])


@dataclass(frozen=True)
class WatchedAppeals:
    """What is known of one change from appeals, and why no more.

    Attributes:
        contested: what was counted.
        through: last day counted; None: the change's appeals are not watched.
        remark: why they are not watched, or not up to the day; None: they are.
    """

    contested: AppealsEvidence
    through: date | None
    remark: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> WatchedAppeals:
        """Those of a row of threshold_watch."""
        through, remark = row["appeals_through"], row["appeals_remark"]
        return cls(
            AppealsEvidence(row["removals"], row["overturned"], row["appeals_e_value"], row["highest_appeals_e_value"]),
            None if pd.isna(through) else pd.Timestamp(through).date(),
            None if pd.isna(remark) else remark,
        )


@dataclass(frozen=True)
class Known:
    """What is watched, its appeals as they were last (None: nothing was counted yet), and the precision promised."""

    item: WatchedChange
    last: WatchedAppeals | None
    promised: float


def appeals_counted(project: Project, chain: Sequence[Row], known: Sequence[Known], day: date) -> list[WatchedAppeals]:
    """The appeals of each change as of `day`, in the order of `known`.

    Whether a change's appeals are watched rests on the days before it acts, and stays.

    Args:
        chain: the ledger in order, up to the day before.
    """
    unwatched = _unwatched(project)
    found = [each.last or _at_start(each.item, unwatched(each.item)) for each in known]
    through = [appeals.through for appeals in found if appeals.through is not None]
    if not through:
        return found
    overturned = by_cell(_overturned(project, min(through) + timedelta(days=1 - REPEAT_DAYS), day))
    removed, versions = cache(partial(_removed, project)), _acting(chain, [each.item for each in known])
    return [
        _advanced(
            appeals,
            partial(_under, removed, each.item.cell, acting),
            _first_decided(overturned.get(each.item.cell, _NONE), acting),
            target=each.promised,
            day=day,
            canary=each.item.share < 1,
        )
        for appeals, each, acting in zip(found, known, versions, strict=True)
    ]


def _advanced(
    appeals: WatchedAppeals,
    removals: Callable[[date], int | None],
    overturned: Mapping[date, int],
    *,
    target: float,
    day: date,
    canary: bool,
) -> WatchedAppeals:
    """With every day up to `day`, or up to the first that cannot be counted."""
    contested, through = appeals.contested, appeals.through
    if through is None:
        return appeals
    while through < day:
        on = through + timedelta(days=1)
        removed, wrong = removals(on), overturned.get(on, 0)
        if removed is None:
            return WatchedAppeals(contested, through, f"waits for enforcement_log of {on}")
        if (most := contested.removals + removed) < contested.overturned + wrong:
            said = f"by {on} appeals overturned {contested.overturned + wrong} removals, enforcement_log has {most}"
            return WatchedAppeals(contested, through, f"stands still: {said}")
        contested, through = contested.after(removed, wrong, target=target), on
    return WatchedAppeals(contested, through, "nothing counts before it acts on all videos" if canary else None)


def _at_start(item: WatchedChange, unwatched: str | None) -> WatchedAppeals:
    # A version may act on the day it rests on, if a person published it before that day was over.
    return WatchedAppeals(AppealsEvidence(), None if unwatched else item.rests_on - timedelta(days=1), unwatched)


def _unwatched(project: Project) -> Callable[[WatchedChange], str | None]:
    """Why a change's appeals cannot be watched; None: they can."""
    absent = [table for table in ("appeals", "enforcement_log") if not project.warehouse.delivers(table)]

    @cache
    def naming(last: date) -> set[str]:
        rows = project.warehouse.read("appeals", last - timedelta(days=REPEAT_DAYS - 1), last)
        return set(rows[_NAMED].dropna()["policy"])

    def why(item: WatchedChange) -> str | None:
        if item.by_views:
            return "switched off: appeals are counted by video, the precision promised by view"
        if absent:
            return f"switched off: the platform delivers no {absent[0]}"
        if item.cell[0] not in naming(item.rests_on):
            return (
                f"switched off: in the {REPEAT_DAYS} days to {item.rests_on} no appeal about {item.cell[0]} named "
                "market, model_version and threshold_version"
            )
        return None

    return why


def _acting(chain: Sequence[Row], items: Sequence[WatchedChange]) -> list[set[int]]:
    """By item, the versions from its own on under which its remove_at acted on all videos of the cell.

    Where a canary acts, the log does not say which thresholds removed a video, so that it speaks of neither.
    """
    first = min(item.version for item in items)
    levels = [(row["version"], acting_of(row)) for row in chain if row["version"] >= first]
    return [
        {
            version
            for version, acting in levels
            if version >= item.version and acting[item.cell][0] == item.remove_at and canary_of(item.cell) not in acting
        }
        for item in items
    ]


def _removed(project: Project, day: date) -> _Removals | None:
    """None: the day has no log."""
    counts = enforced(project, day)
    if counts is None:
        return None
    removals = counts[counts["action"] == "remove"]
    return dict(zip(removals[_NAMED].itertuples(index=False, name=None), removals["n_videos"].tolist(), strict=True))


def _under(removed: Callable[[date], _Removals | None], cell: Cell, versions: Iterable[int], day: date) -> int | None:
    """The cell's removals of `day` under one of `versions`."""
    found = removed(day)
    return None if found is None else sum(found.get((*cell, version), 0) for version in versions)


def _overturned(project: Project, first: date, last: date) -> pd.DataFrame:
    """ds, video_id and what names the removal, of the overturned appeals that name it."""
    rows = project.warehouse.read("appeals", first, last)
    return rows.loc[rows["outcome"] == "overturned", ["ds", "video_id", *_NAMED]].dropna()


def _first_decided(overturned: pd.DataFrame, versions: set[int]) -> dict[date, int]:
    """Videos removed under `versions`, by the day they were overturned on if not within REPEAT_DAYS before, too."""
    rows = overturned[overturned["threshold_version"].isin(versions)]
    rows = rows.drop_duplicates(["video_id", "ds"]).sort_values(["video_id", "ds"], ignore_index=True)
    since = pd.to_datetime(rows["ds"]).groupby(rows["video_id"]).diff()
    return dict(Counter(rows.loc[~(since <= np.timedelta64(REPEAT_DAYS, "D")), "ds"]))
