"""Score histograms added up by the engine: at 5,000 cells a day has five million rows, and a window seldom fits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

import pandas as pd

from include.contract.grid import RemovalLevel
from include.contract.tables import CELL, N_BINS
from include.files import canonical_json
from include.project import Project
from include.warehouse.base import Parameter

MOST_CELLS = 1_000
"""So many are added up at once: a million sums fit into what the embedded engine may use, five million do not."""
MOST_LEVELS = 50_000
"""So many go into one request, which BigQuery limits to 10 MB; for more, the days are asked about in parts."""


def histogram_of(project: Project, days: Collection[date], cells: pd.DataFrame) -> pd.DataFrame:
    """policy, market, model_version, bin, n_videos, n_views of `cells`, all days together, sorted.

    Args:
        cells: policy, market, model_version.
    """
    wanted = sorted(set(cells[list(CELL)].itertuples(index=False, name=None)))
    parts = [
        project.warehouse.over_days("histogram_sums", days, {"cells": canonical_json(wanted[at : at + MOST_CELLS])})
        for at in range(0, max(len(wanted), 1), MOST_CELLS)
    ]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def removals_of(
    project: Project, days: Collection[date], levels: Sequence[RemovalLevel], starts: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Videos in the bins that were removed: ds, policy, market, model_version, n_videos, also where it is 0.

    Args:
        levels: from which bin on a cell removed, and when.
        starts: the same of the cells without a level, by policy; cells of other policies are left out.
    """
    if not days:
        return pd.DataFrame(columns=["ds", *CELL, "n_videos"]).astype({"n_videos": "int64"})
    return pd.concat(_levelled(project, "histogram_removals", days, levels, starts or {}), ignore_index=True)


def folded_histogram(
    project: Project, days: Collection[date], levels: Sequence[RemovalLevel], starts: Mapping[str, int]
) -> pd.DataFrame:
    """policy, market, model_version, bin, n_videos, n_views, all days together, after bins were moved.

    What was removed lies in the upper half of the bins, all else in the lower one: bin b becomes b // 2, and
    N_BINS / 2 + b // 2 if it was removed. Policies that `starts` does not name are left out.
    """
    found = []
    for policy, start in sorted(starts.items()):
        own = [level for level in levels if level.policy == policy]
        more: dict[str, Parameter] = {"policy": policy, "half": N_BINS // 2}
        parts = list(_levelled(project, "histogram_folded", days, own, {policy: start}, more=more))
        together = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        found.append(together.groupby([*CELL, "bin"], as_index=False)[["n_videos", "n_views"]].sum())
    return pd.concat(found, ignore_index=True)


def scored_policies(project: Project, days: Collection[date]) -> set[str]:
    """The policies that have scores on some of the days."""
    return set(project.warehouse.over_days("histogram_policies", days)["policy"])


def histogram_by_period(
    project: Project, days: Collection[date], policy: str, model_version: str, recent_from: date
) -> pd.DataFrame:
    """market, recent, bin, n_days, n_videos of a model, the days from `recent_from` on apart from those before.

    n_days: on how many of these days the market had videos.
    """
    asked: dict[str, Parameter] = {"policy": policy, "model_version": model_version, "recent_from": recent_from}
    return project.warehouse.over_days("histogram_periods", days, asked)


def _levelled(
    project: Project,
    name: str,
    days: Collection[date],
    levels: Sequence[RemovalLevel],
    starts: Mapping[str, int],
    *,
    more: Mapping[str, Parameter] | None = None,
) -> Iterator[pd.DataFrame]:
    first = canonical_json(sorted(starts.items()))
    for part, here in _parts(sorted(days), levels):
        said = canonical_json([[*level[:3], str(level.since), str(level.until), level.remove_bin] for level in here])
        yield project.warehouse.over_days(name, part, {"levels": said, "starts": first, **(more or {})})


def _parts(
    days: Sequence[date], levels: Sequence[RemovalLevel]
) -> Iterator[tuple[Sequence[date], Sequence[RemovalLevel]]]:
    here = [level for level in levels if days and level.since <= days[-1] and level.until >= days[0]]
    if len(here) <= MOST_LEVELS or len(days) == 1:
        yield days, here
        return
    for part in (days[: len(days) // 2], days[len(days) // 2 :]):
        yield from _parts(part, here)
