"""What the platform does with its scores: the thresholds in force, the actions they cause, and the appeals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.simulation.buckets import buckets
from include.simulation.population import ID_SHIFT, Scores
from include.simulation.randomness import mixed, uniform
from include.simulation.scenario import AppealRates

APPEAL_DAYS = 5
"""An appeal is decided at most this many days after the removal."""

_NEVER = np.inf


@dataclass(frozen=True)
class ServedCanary:
    """Thresholds for the videos with bucket(video_id, salt) < share."""

    thresholds: tuple[float, float]
    share: float
    salt: int


@dataclass(frozen=True)
class ThresholdsInForce:
    """What serving reads. Without a file: version 0, and nothing is removed or sent to review."""

    version: int
    cells: dict[tuple[str, str, str], tuple[float, float]]
    """(policy, market, model_version) -> (remove_at, review_at)"""
    canaries: dict[tuple[str, str, str], ServedCanary]
    """What acts on a share of a cell's videos instead."""
    defaults: dict[str, tuple[float, float]]
    no_score: dict[str, str]


def read_thresholds(path: Path) -> ThresholdsInForce:
    """The thresholds in `path`, which may not exist yet. Raises ValueError naming the file and the key."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ThresholdsInForce(0, {}, {}, {}, {})
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    try:
        return ThresholdsInForce(
            version=int(raw["version"]),
            cells={_cell(c): _pair(c) for c in raw["cells"]},
            canaries={_cell(c): _canary(c["canary"]) for c in raw["cells"] if "canary" in c},
            defaults={name: _pair(policy["default"]) for name, policy in raw["policies"].items()},
            no_score={name: policy["no_score"] for name, policy in raw["policies"].items()},
        )
    except KeyError as error:
        raise ValueError(f"{path}: key {error} is missing") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not of the form version, policies, cells: {error}") from error


def actions(scores: Scores, thresholds: ThresholdsInForce) -> pd.DataFrame:
    """Rows of `enforcement_log` for one version: what was removed or sent to review.

    Allowed videos are not logged: they are nearly all, and follow from the scores and the thresholds.
    """
    default = thresholds.defaults.get(scores.policy, (_NEVER, _NEVER))
    cells = [(scores.policy, market, scores.model_version) for market in scores.markets]
    limits = np.array([thresholds.cells.get(cell, default) for cell in cells])[scores.market]
    for number, cell in enumerate(cells):
        if (canary := thresholds.canaries.get(cell)) is not None:
            chosen = (scores.market == number) & (buckets(scores.video_id, canary.salt) < canary.share)
            limits[chosen] = canary.thresholds
    remove = ~scores.missing & (scores.score >= limits[:, 0])
    review = ~scores.missing & (scores.score >= limits[:, 1]) & ~remove
    if thresholds.no_score.get(scores.policy) == "review":
        review |= scores.missing
    rows = np.flatnonzero(remove | review)
    video_id = scores.video_id[rows]
    uploaded = pd.to_datetime(video_id >> ID_SHIFT, unit="ms", utc=True)
    seconds = 30 + (uniform(video_id.astype(np.uint64), "decided") * 300).astype(np.int64)
    return pd.DataFrame(
        {
            "video_id": video_id,
            "policy": scores.policy,
            "market": np.array(scores.markets, dtype=object)[scores.market[rows]],
            "model_version": scores.model_version,
            "action": np.where(remove[rows], "remove", "review"),
            "threshold_version": np.int64(thresholds.version),
            "decided_at": (uploaded + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us, UTC]"),
        }
    )


def appeals(
    removed: pd.DataFrame, violating: NDArray[np.bool_], *, removed_on: date, day: date, seed: int, rates: AppealRates
) -> pd.DataFrame:
    """Rows of `appeals` decided on `day` about videos removed on an earlier day.

    `removed`: columns video_id, policy, market, model_version, threshold_version, one row per removal; `violating`: the
    truth of each of its rows.
    """
    names = removed["policy"].to_numpy()
    keys = removed["video_id"].to_numpy().astype(np.uint64)
    for policy in sorted(set(names)):
        keys = np.where(names == policy, mixed(keys, seed, "appeal", policy), keys)
    appealed = uniform(keys, "appealed") < np.where(violating, rates.appealed_when_violating, rates.appealed_when_not)
    days = 1 + (uniform(keys, "days") * APPEAL_DAYS).astype(np.int64)
    rows = np.flatnonzero(appealed & (days == (day - removed_on).days))
    overturned = uniform(keys, "outcome") < np.where(
        violating, rates.overturned_when_violating, rates.overturned_when_not
    )
    midnight = pd.Timestamp(datetime(day.year, day.month, day.day, tzinfo=UTC))
    decided = midnight + pd.to_timedelta((uniform(keys, "time")[rows] * 86_400).astype(np.int64), unit="s")
    return pd.DataFrame(
        {
            "event_id": [f"appeal-{key:016x}" for key in keys[rows].tolist()],
            "video_id": removed["video_id"].to_numpy()[rows],
            "policy": names[rows],
            "outcome": np.where(overturned[rows], "overturned", "upheld"),
            "decided_at": pd.DatetimeIndex(decided).astype("datetime64[us, UTC]"),
            **{name: removed[name].to_numpy()[rows] for name in ("market", "model_version", "threshold_version")},
        }
    )


def days_before(day: date, count: int) -> list[date]:
    """The `count` days before `day`, oldest first."""
    return [day - timedelta(days=back) for back in range(count, 0, -1)]


def _cell(cell: dict[str, Any]) -> tuple[str, str, str]:
    return cell["policy"], cell["market"], cell["model_version"]


def _canary(canary: dict[str, Any]) -> ServedCanary:
    return ServedCanary(_pair(canary), float(canary["share"]), int(canary["salt"]))


def _pair(thresholds: dict[str, Any]) -> tuple[float, float]:
    remove_at, review_at = (
        _NEVER if thresholds[n] is None else float(thresholds[n]) for n in ("remove_at", "review_at")
    )
    return remove_at, review_at
