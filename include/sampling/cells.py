"""A cell's population by score bin, as the sampling programmes divide it into strata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from include.config.model import Config, Policy
from include.contract.cell import Cell
from include.contract.grid import first_bin
from include.contract.tables import CELL, N_BINS, NO_SCORE_BIN

Array = npt.NDArray[np.float64]

P_RANGE = (1e-4, 0.99)
"""Expected shares of violating videos are clipped to this, so that no deviation is 0."""

_HISTOGRAM = (*CELL, "bin", "n_videos", "n_views")
_THRESHOLDS = (*CELL, "remove_at", "review_at")
_CALIBRATION = (*CELL, "bin", "p_violating")

Bins = tuple[int, int]
"""First and last bin, both inclusive."""

NOTHING = np.zeros(N_BINS + 1, dtype=bool)
NOTHING.setflags(write=False)

NO_SCORE: Bins = (NO_SCORE_BIN, NO_SCORE_BIN)


@dataclass(frozen=True)
class Stratum:
    """Videos of some bins, each drawn with `probability` or with min(1, `per_view` x views); the other is None."""

    bins: Bins
    reason: str
    probability: float | None = None
    per_view: float | None = None


@dataclass(frozen=True)
class Queued:
    """What serving sent to review of a cell: shape (N_BINS + 1,) from bin -1 on. `left`: to its queue, see there."""

    bins: npt.NDArray[np.bool_]
    left: bool


@dataclass(frozen=True)
class CellPopulation:
    """A cell's population by bin: index 0 is bin -1 (no score), index 1 + b is bin b; shapes (N_BINS + 1,)."""

    key: tuple[str, str, str]
    policy: Policy
    videos: Array
    views: Array
    p: Array
    remove_bin: int
    review_bin: int
    queued: npt.NDArray[np.bool_]
    """Bins whose videos serving sent to review, all of which are draws."""
    answered: npt.NDArray[np.bool_]
    """Of these, the bins left to the review queue: nobody else is asked about their videos, but for the overlap."""
    action: int | None = None
    """First bin of the candidate action region; None: to be found."""

    @property
    def minutes(self) -> float:
        """Reviewer minutes a drawn video costs."""
        return self.policy.minutes_per_label * self.policy.overlap

    @property
    def deviation(self) -> Array:
        """Expected standard deviation of a video's truth, by bin, shape (N_BINS + 1,)."""
        return np.sqrt(self.p * (1 - self.p))

    def total(self, of: Array, bins: Bins) -> float:
        return float(of[bins[0] + 1 : bins[1] + 2].sum())

    def totals(self, of: Array, strata: list[Bins]) -> Array:
        return np.array([self.total(of, bins) for bins in strata])

    def region(self, bins: Bins) -> str:
        if bins == NO_SCORE:
            return "no_score"
        if bins[0] >= self.remove_bin:
            return "remove"
        return "review" if bins[0] >= self.review_bin else "allow"


def bands(load: Array, start: int, end: int, count: int) -> list[Bins]:
    """Bins start .. end - 1 cut into at most `count` bands of about the same share of `load` >= 0, shape (N_BINS + 1,).

    Dalenius and Hodges (1959), with the load expected from the calibration curve in place of the unknown density.
    """
    if end <= start:
        return []
    reached = np.cumsum(load[start + 1 : end + 1])
    inner = start + 1 + np.searchsorted(reached, reached[-1] * np.arange(1, count) / count)
    cuts = sorted({start, *(int(b) for b in inner if b < end), end})
    return [(first, stop - 1) for first, stop in pairwise(cuts)]


def stretches(chosen: npt.NDArray[np.bool_], cuts: Sequence[int] = ()) -> list[Bins]:
    """The runs of bins that are `chosen`, shape (N_BINS + 1,) from bin -1 on, which ends a run; cut before `cuts`."""
    starts = np.diff(chosen.astype(np.int8), prepend=0) == 1
    ends = np.diff(chosen.astype(np.int8), append=0) == -1
    inner = [0, *(cut for cut in cuts if 0 < cut < N_BINS)]
    for cut in inner:
        if chosen[cut + 1] and chosen[cut]:
            starts[cut + 1], ends[cut] = True, True
    return [(int(a) - 1, int(b) - 1) for a, b in zip(np.flatnonzero(starts), np.flatnonzero(ends), strict=True)]


def read_cells(
    histogram: pd.DataFrame,
    thresholds: pd.DataFrame,
    calibration: pd.DataFrame,
    config: Config,
    queues: Mapping[Cell, Queued] | None = None,
) -> list[CellPopulation]:
    """The cells with their populations, sorted by key. Raises ValueError as `design` says."""
    _require("histogram", histogram, _HISTOGRAM, {"n_videos": (0, np.inf), "n_views": (0, np.inf)})
    _require("thresholds", thresholds, _THRESHOLDS, {"remove_at": (0, 1), "review_at": (0, 1)})
    _require("calibration", calibration, _CALIBRATION, {"p_violating": (0, 1)})
    in_force = thresholds.set_index(list(CELL))[["remove_at", "review_at"]].T.to_dict("list")
    curves = dict(list(calibration.groupby(list(CELL), sort=False)))
    cells = []
    for group, part in histogram.groupby(list(CELL), sort=True):
        policy, market, model_version = map(str, group)
        key = (policy, market, model_version)
        name = "/".join(key)
        if policy not in config.policies:
            raise ValueError(f"histogram: policy {policy!r} of cell {name} is not in policies.yaml")
        if market not in config.markets:
            raise ValueError(f"histogram: market {market!r} of cell {name} is not in policies.yaml")
        if key not in in_force:
            raise ValueError(f"thresholds: cell {name} of the histogram is missing")
        remove_at, review_at = in_force[key]
        if review_at > remove_at:
            raise ValueError(f"thresholds: review_at {review_at} is above remove_at {remove_at} in cell {name}")
        index = part["bin"].to_numpy() + 1
        videos, views = np.zeros(N_BINS + 1), np.zeros(N_BINS + 1)
        videos[index], views[index] = part["n_videos"], part["n_views"]
        queue = (queues or {}).get(key)
        cells.append(
            CellPopulation(
                key,
                config.policies[policy],
                videos,
                views,
                _expected(videos, curves.get(key)),
                first_bin(remove_at),
                first_bin(review_at),
                queued=NOTHING if queue is None else queue.bins,
                answered=queue.bins if queue is not None and queue.left else NOTHING,
            )
        )
    return cells


def _expected(videos: Array, curve: pd.DataFrame | None) -> Array:
    """Expected share of violating videos per bin, no score first: the curve, else the score, clipped to P_RANGE."""
    p = np.append(np.nan, (np.arange(N_BINS) + 0.5) / N_BINS)
    if curve is not None:
        p[curve["bin"].to_numpy() + 1] = curve["p_violating"]
    if np.isnan(p[0]):
        scored = videos[1:].sum()
        p[0] = videos[1:] @ p[1:] / scored if scored else 0.5
    return np.clip(p, *P_RANGE)


def _require(name: str, frame: pd.DataFrame, columns: tuple[str, ...], ranges: dict[str, tuple[float, float]]) -> None:
    """Raises ValueError unless `frame` has the columns, a unique key, and values within the ranges (NaN is not)."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{name}: column {missing[0]} is missing")
    if "bin" in columns:
        ranges = {"bin": (NO_SCORE_BIN, N_BINS - 1), **ranges}
    for column, (low, high) in ranges.items():
        bad = ~frame[column].between(low, high).to_numpy()
        if bad.any():
            row = frame[bad].iloc[0]
            raise ValueError(f"{name}: {column} {row[column]} is not in {low}..{high} in cell {_name(row)}")
    key = [*CELL, *(["bin"] if "bin" in columns else [])]
    twice = frame.duplicated(key).to_numpy()
    if twice.any():
        row = frame[twice].iloc[0]
        raise ValueError(f"{name}: {', '.join(f'{column} {row[column]}' for column in key)} occurs twice")


def _name(row: pd.Series) -> str:
    return "/".join(str(row[column]) for column in CELL)
