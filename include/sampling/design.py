"""The sampling design of one day: strata of score bins in every cell, and how likely a video of each is drawn.

What a cell's labels are for, and what that asks of the design:

- a certificate for `remove_at`: one inclusion probability throughout the candidate action region, the scores to which
  `remove_at` may move, so that the exact binomial test applies at every threshold in it;
- recall, prevalence and violative view rate: everything below that region, by Neyman allocation over score bands;
- surprises: part of every probability ignores the scores, and no stratum goes without labels.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from include.config.model import Config, Policy
from include.contract.tables import CELL, N_BINS, NO_SCORE_BIN, TABLES
from include.sampling.allocation import inclusion_probabilities, neyman, share_out

Array = npt.NDArray[np.float64]

ALLOW_BANDS = 4
REVIEW_BANDS = 2

ACTION_SHARE = (0.45, 0.65)
"""Share of a cell's labels for the candidate action region: at least, and at most for the sake of `remove_share`.

In simulations with 4,000 labels a share of .25 certifies 95.6-97.6 % of the best recall possible, .45 97.2-98.1 %.
"""

STRATUM_SHARE = 0.02
"""Share of a cell's labels that goes at least to every other stratum, the one without scores included."""

PRECISION_SLACK = 2.0
"""The region starts where the share of errors above is expected to be this many times what the target allows ..."""

REMOVE_AT_STEP = 0.05
"""... and at least this far below the remove_at in force, but never below the policy's lowest_remove_at."""

P_RANGE = (1e-4, 0.99)
"""Expected shares of violating videos are clipped to this, so that no deviation is 0."""

_HISTOGRAM = (*CELL, "bin", "n_videos", "n_views")
_THRESHOLDS = (*CELL, "remove_at", "review_at")
_CALIBRATION = (*CELL, "bin", "p_violating")

Bins = tuple[int, int]
"""First and last bin, both inclusive."""


@dataclass(frozen=True)
class _Cell:
    """A cell's population by bin: index 0 is bin -1 (no score), index 1 + b is bin b; shapes (N_BINS + 1,)."""

    key: tuple[str, str, str]
    policy: Policy
    videos: Array
    views: Array
    p: Array
    remove_bin: int
    review_bin: int

    @property
    def minutes(self) -> float:
        """Reviewer minutes a drawn video costs."""
        return self.policy.minutes_per_label * self.policy.overlap

    def total(self, of: Array, bins: Bins) -> float:
        return float(of[bins[0] + 1 : bins[1] + 2].sum())

    def region(self, bins: Bins) -> str:
        if bins[0] == NO_SCORE_BIN:
            return "no_score"
        if bins[0] >= self.remove_bin:
            return "remove"
        return "review" if bins[0] >= self.review_bin else "allow"


@dataclass(frozen=True)
class _Group:
    """Strata with one inclusion probability."""

    strata: list[Bins]
    action: bool = False


def design(
    histogram: pd.DataFrame, thresholds: pd.DataFrame, calibration: pd.DataFrame, config: Config
) -> pd.DataFrame:
    """The day's audit design: the rows of table `sampling_design`, sorted by cell and first bin.

    `histogram`: policy, market, model_version, bin (-1: no score, 0..999), n_videos, n_views of one day.
    `thresholds`: policy, market, model_version, remove_at, review_at in force, for every cell of the histogram.
    `calibration`: policy, market, model_version, bin, p_violating (0..1) from labels of earlier days. A bin it does not
    cover is expected to be violating as often as its score says, and one without score as often as the cell's mean.

    A market's minutes (reviewer_minutes x audit_share) are shared max-min fairly: every policy with videos that day
    gets the same number, its model versions equal parts of it, and what one cannot use goes to the others. Expected
    minutes never exceed the budget. What it cannot afford is said in `reason`. A bin that a threshold cuts in two
    belongs to the region below.

    Raises ValueError naming what is missing or wrong: a column, a cell's thresholds, a policy or market that is not
    configured, a bin twice, a bin, count, threshold or probability out of range.
    """
    cells = _cells(histogram, thresholds, calibration, config)
    rows = [
        row for cell, labels in zip(cells, _labels(cells, config), strict=True) for row in _rows(cell, labels, config)
    ]
    columns = list(TABLES["sampling_design"].column_names)
    frame = pd.DataFrame(rows, columns=[name for name in columns if name not in {"design_id", "programme"}])
    identity = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()[:16]
    return frame.assign(design_id=identity, programme="audit")[columns]


def _labels(cells: list[_Cell], config: Config) -> list[float]:
    """The expected number of labels each cell may have."""
    labels = [0.0] * len(cells)
    for market in sorted({cell.key[1] for cell in cells}):
        members = [i for i, cell in enumerate(cells) if cell.key[1] == market and cell.videos.sum() > 0]
        versions = Counter(cells[i].key[0] for i in members)
        wanted = np.array([cells[i].videos.sum() * cells[i].minutes for i in members])
        weight = np.array([1 / versions[cells[i].key[0]] for i in members])
        minutes = config.markets[market].reviewer_minutes * config.sampling.audit_share
        for i, share in zip(members, share_out(wanted, weight, minutes), strict=True):
            labels[i] = float(share) / cells[i].minutes
    return labels


def _rows(cell: _Cell, labels: float, config: Config) -> list[dict[str, object]]:
    """The strata of one cell, of expected size `labels`: its rows without design_id and programme."""
    groups = _groups(cell)
    if not groups:
        return []
    rows: list[dict[str, object]] = []
    for group, pi, reason in zip(groups, *_inclusion(cell, groups, labels, config), strict=True):
        for bins in group.strata:
            region, scored = cell.region(bins), bins[0] != NO_SCORE_BIN
            low, high = bins[0] / N_BINS, (bins[1] + 1) / N_BINS
            population = cell.total(cell.videos, bins)
            rows.append(
                {
                    **dict(zip(CELL, cell.key, strict=True)),
                    "stratum": f"{region}_{bins[0]:03d}_{bins[1]:03d}" if scored else region,
                    "region": region,
                    "first_bin": bins[0],
                    "last_bin": bins[1],
                    "score_low": low if scored else np.nan,
                    "score_high": high if scored else np.nan,
                    "population": int(population),
                    "population_views": int(cell.total(cell.views, bins)),
                    "inclusion_probability": pi,
                    "expected_labels": population * pi,
                    "expected_minutes": population * pi * cell.minutes,
                    "reason": reason,
                }
            )
    return rows


def _inclusion(cell: _Cell, groups: list[_Group], labels: float, config: Config) -> tuple[list[float], list[str]]:
    """Inclusion probability of each group, and what fixed it."""
    sampling = config.sampling
    population = np.array([sum(cell.total(cell.videos, bins) for bins in group.strata) for group in groups])
    violating = np.array([sum(cell.total(cell.videos * cell.p, bins) for bins in group.strata) for group in groups])
    p = violating / population
    best = neyman(population, np.sqrt(p * (1 - p)), np.full(len(groups), cell.minutes), labels * cell.minutes)
    base = (1 - sampling.defensive_share) * best / population + sampling.defensive_share * labels / population.sum()

    floor = np.minimum(1.0, STRATUM_SHARE * labels / population)
    why = ["minimum of a stratum"] * len(groups)
    allow = np.array([not group.action and cell.region(group.strata[0]) == "allow" for group in groups])
    if allow.any():
        raised = np.minimum(1.0, base * sampling.allow_share * labels / (base * population)[allow].sum())
        why = ["share of what is allowed" if a else w for a, w in zip(allow & (raised > floor), why, strict=True)]
        floor = np.where(allow, np.maximum(floor, raised), floor)
    removed = cell.total(cell.videos, (cell.remove_bin, N_BINS - 1))
    for i, group in enumerate(groups):
        if group.action:
            room = max(labels - float(np.delete(floor * population, i).sum()), STRATUM_SHARE * labels)
            for_removed = sampling.remove_share * labels * population[i] / removed if removed else 0.0
            least, most = (share * labels for share in ACTION_SHARE)
            floor[i] = min(1.0, min(room, max(least, min(most, for_removed))) / population[i])
    pi = inclusion_probabilities(population, base, floor, labels)

    reasons = []
    for i, group in enumerate(groups):
        if pi[i] == 1:
            reason = "every video"
        elif group.action:
            reason = "equal probability in the candidate action region"
        else:
            reason = why[i] if pi[i] <= floor[i] else "Neyman allocation"
        if group.action:
            reason += _shortage(cell, group, float(pi[i]), labels, config)
        reasons.append(reason)
    return [float(value) for value in pi], reasons


def _shortage(cell: _Cell, group: _Group, pi: float, labels: float, config: Config) -> str:
    """What the budget could not afford in the candidate action region; empty if nothing."""
    policy = cell.policy
    said = ""
    removed = cell.total(cell.videos, (cell.remove_bin, N_BINS - 1))
    asked = min(removed, config.sampling.remove_share * labels)
    if pi * removed < asked * (1 - 1e-9):
        said += f"; not afforded: {asked:.1f} labels of removed videos, {pi * removed:.1f} expected"
    # Without a single error the exact binomial test needs this many labels.
    flawless = math.ceil(math.log(1 - policy.confidence) / math.log(policy.target_precision))
    needed = max(flawless, config.guardrails.min_labels)
    expected = pi * sum(cell.total(cell.videos, bins) for bins in group.strata) * policy.window_days
    if expected < needed:
        said += (
            f"; not afforded: a certificate of this cell alone, {expected:.1f} labels in {policy.window_days} days, "
            f"{needed} needed"
        )
    return said


def _groups(cell: _Cell) -> list[_Group]:
    """Groups of strata by first bin; strata without videos are left out."""
    action = _action_bin(cell)
    allow_end, review_end = min(cell.review_bin, action), action
    groups = [
        _Group([(NO_SCORE_BIN, NO_SCORE_BIN)]),
        *(_Group([bins]) for bins in _bands(cell, 0, allow_end, ALLOW_BANDS)),
        *(_Group([bins]) for bins in _bands(cell, allow_end, review_end, REVIEW_BANDS)),
    ]
    cuts = sorted({action, *(b for b in (cell.review_bin, cell.remove_bin) if action < b < N_BINS), N_BINS})
    groups.append(_Group([(first, end - 1) for first, end in pairwise(cuts)], action=True))
    kept = [_Group([b for b in group.strata if cell.total(cell.videos, b) > 0], group.action) for group in groups]
    return [group for group in kept if group.strata]


def _action_bin(cell: _Cell) -> int:
    """First bin of the candidate action region."""
    videos, violating = cell.videos[1:], (cell.videos * cell.p)[1:]
    above = np.cumsum(videos[::-1])[::-1]
    errors_above = above - np.cumsum(violating[::-1])[::-1]
    plausible = (above > 0) & (errors_above <= PRECISION_SLACK * (1 - cell.policy.target_precision) * above)
    by_precision = int(np.argmax(plausible)) if plausible.any() else N_BINS
    by_step = cell.remove_bin - round(REMOVE_AT_STEP * N_BINS)
    lowest = min(_first_bin(cell.policy.limits.lowest_remove_at), cell.remove_bin)
    return min(max(min(by_precision, by_step), lowest), N_BINS - 1)


def _bands(cell: _Cell, start: int, end: int, bands: int) -> list[Bins]:
    """Bins start .. end - 1 cut so that each band has about the same N x S, hence the same Neyman allocation.

    Dalenius and Hodges (1959) with the deviation expected from the calibration curve in place of the unknown density.
    """
    if end <= start:
        return []
    p = cell.p[start + 1 : end + 1]
    load = np.cumsum(cell.videos[start + 1 : end + 1] * np.sqrt(p * (1 - p)))
    inner = start + 1 + np.searchsorted(load, load[-1] * np.arange(1, bands) / bands)
    cuts = sorted({start, *(int(b) for b in inner if b < end), end})
    return [(first, stop - 1) for first, stop in pairwise(cuts)]


def _first_bin(threshold: float) -> int:
    """First bin that lies wholly at or above the threshold."""
    return math.ceil(threshold * N_BINS)


def _cells(histogram: pd.DataFrame, thresholds: pd.DataFrame, calibration: pd.DataFrame, config: Config) -> list[_Cell]:
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
        cells.append(
            _Cell(
                key,
                config.policies[policy],
                videos,
                views,
                _expected(videos, curves.get(key)),
                _first_bin(remove_at),
                _first_bin(review_at),
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
