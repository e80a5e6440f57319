"""What forecasts said, beside what happened. Pure.

A day's forecast is judged by the same function on the later day's histogram and on the labels drawn since the change:
volumes are counted, quality is estimated anew from labels the forecast could not know. `in_force` tells a cell whose
thresholds were changed again in between; what the thresholds of the version would have done is still comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell, records
from include.contract.change import changes_of
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL, OUTCOME_MEASURES, TABLES
from include.forecasts.forecast import forecast

HORIZONS = (1, 7, 28)
"""Days after the day a version rests on."""
COUNTED = ("removes", "reviews")
ESTIMATED = ("wrongful_removals_change", "violative_views_prevented_change")
BIAS_COLUMNS = ("measure", "horizon_days", "changes", "forecast", "happened", "bias", "covered")


@dataclass(frozen=True)
class Due:
    """A published change of one cell whose forecast can be compared, and the day to compare it with."""

    version: int
    cell: Cell
    old: ThresholdPair
    new: ThresholdPair
    effect: Mapping[str, Any]
    horizon_days: int
    rests_on: date

    @property
    def measured_on(self) -> date:
        return self.rests_on + timedelta(days=self.horizon_days)


def due(ledger: pd.DataFrame, config: Config, day: date) -> list[Due]:
    """The changes whose later day's labels are final first on `day`, by version, cell and horizon.

    Args:
        ledger: ds, version and changes of threshold_ledger. Changes without a forecast, such as those of a version that
            only lifts another, are left out, and so are those of policies no longer configured. A canary is compared
            from the day on which it acts on all videos.
    """
    found = []
    for row in records(ledger.sort_values("version")):
        for change in changes_of(row):
            policy = config.policies.get(change.cell[0])
            if policy is None or not change.is_lasting or change.forecast is None:
                continue
            horizon = (policy.final_through(day) - row["ds"]).days
            if horizon in HORIZONS:
                due_change = Due(
                    int(row["version"]), change.cell, change.old, change.new, change.forecast, horizon, row["ds"]
                )
                found.append(due_change)
    return sorted(found, key=lambda item: (item.version, item.cell, item.horizon_days))


def outcome(
    item: Due,
    histogram: pd.DataFrame,
    sample: pd.DataFrame,
    *,
    in_force: bool,
    enforced: int | None,
    config: Config,
) -> list[dict[str, Any]]:
    """Rows of forecast_outcomes for one change, one a measure.

    Args:
        histogram: the cell's score_histogram of `item.measured_on`; empty: the day is missing or was not accepted.
        sample: the cell's labelled draws; those after `item.rests_on`, up to `item.measured_on`, count.
        in_force: whether the thresholds of `item` were still the cell's on that day.
        enforced: videos of the cell the platform removed that day; None: it does not say.
    """
    policy = config.policies[item.cell[0]]
    since = sample[(sample["sampled_on"] > item.rests_on) & (sample["sampled_on"] <= item.measured_on)]
    found = forecast(
        histogram,
        since,
        item.old,
        item.new,
        no_score=policy.no_score,
        minutes_per_label=policy.minutes_per_label,
        by_views=policy.by_views,
        contested="not compared",
    )
    missing = f"no accepted scores of the cell on {item.measured_on}" if histogram.empty else None
    rows: dict[str, dict[str, Any]] = {}
    for name in COUNTED:
        rows[name] = {"forecast": item.effect[name]["after"], "happened": found[name]["after"], "labels": 0}
    rows["precision"] = _estimated(
        item.effect["precision"]["after"], found["precision"]["after"], found["precision"]["after"]["labels"]
    )
    for name in ESTIMATED:
        rows[name] = _estimated(item.effect[name], found[name], found["band"]["labels"])
    if enforced is not None and in_force:
        rows["enforced_removes"] = {"forecast": item.effect["removes"]["after"], "happened": enforced, "labels": 0}
    shared = {
        "version": item.version,
        **dict(zip(CELL, item.cell, strict=True)),
        "horizon_days": item.horizon_days,
        "measured_on": item.measured_on,
        "in_force": in_force,
    }
    blank = dict.fromkeys(("forecast_low", "forecast_high", "happened_low", "happened_high", "refusal"))
    return [
        {**blank, **shared, "measure": name, **(row if missing is None else _refused(row, missing))}
        for name, row in rows.items()
    ]


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `outcome` as the table's frame."""
    frame = pd.DataFrame(rows, columns=list(TABLES["forecast_outcomes"].column_names))
    numbers = [c.name for c in TABLES["forecast_outcomes"].columns if c.type == "FLOAT64"]
    return frame.astype(
        {**dict.fromkeys(numbers, float), "version": "int64", "horizon_days": "int64", "labels": "int64"}
    )


def bias(outcomes: pd.DataFrame) -> pd.DataFrame:
    """How far forecasts were off together, by measure and horizon.

    Args:
        outcomes: forecast_outcomes of any days.

    Returns:
        BIAS_COLUMNS: changes, how many were compared; forecast and happened, their sums (of precision: means); bias,
        happened / forecast - 1 of those (NaN where the forecasts sum to 0); covered, the share whose interval of what
        happened meets the forecast's interval (NaN for counts). Only changes of which both are stated enter.
    """
    both = outcomes[outcomes["forecast"].notna() & outcomes["happened"].notna()]
    rows = []
    for measure in OUTCOME_MEASURES:
        for horizon in HORIZONS:
            some = both[(both["measure"] == measure) & (both["horizon_days"] == horizon)]
            if some.empty:
                continue
            together = "mean" if measure == "precision" else "sum"
            said, was = float(some["forecast"].agg(together)), float(some["happened"].agg(together))
            with_ends = some.dropna(subset=["forecast_low", "happened_low"])
            meets = (with_ends["forecast_low"] <= with_ends["happened_high"]) & (
                with_ends["happened_low"] <= with_ends["forecast_high"]
            )
            covered = float(meets.mean()) if len(meets) else np.nan
            rows.append((measure, horizon, len(some), said, was, was / said - 1 if said else np.nan, covered))
    return pd.DataFrame(rows, columns=list(BIAS_COLUMNS))


def _estimated(said: Mapping[str, Any], found: Mapping[str, Any], labels: int) -> dict[str, Any]:
    return {
        "forecast": said["estimate"],
        "forecast_low": said["low"],
        "forecast_high": said["high"],
        "happened": found["estimate"],
        "happened_low": found["low"],
        "happened_high": found["high"],
        "labels": labels,
        "refusal": "no label where it matters was drawn since the change" if found["estimate"] is None else None,
    }


def _refused(row: dict[str, Any], why: str) -> dict[str, Any]:
    return {**row, "happened": None, "happened_low": None, "happened_high": None, "refusal": why}
