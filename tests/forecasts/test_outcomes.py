"""Forecasts beside what happened, on days whose every video is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.contract.cell import NO_DRAWS
from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.tables import TABLES
from include.forecasts.forecast import forecast
from include.forecasts.outcomes import bias, due, frame_of, outcome
from include.warehouse.duckdb import checked_rows

CONFIG = load_config()
CELL_OF = ("fraud", "BR", "fraud-v2")
MATURITY = CONFIG.policies["fraud"].maturity_days
RESTS_ON = date(2026, 11, 10)
OLD, NEW = ThresholdPair(0.9, 0.5), ThresholdPair(0.7, 0.4)


def videos(day: date, n: int, wrong: float) -> pd.DataFrame:
    """A day's videos of the cell; from .6 up, `wrong` of them do not violate."""
    rng = np.random.default_rng(day.toordinal())
    score = rng.random(n)
    violating = rng.random(n) > np.where(score >= 0.6, wrong, 0.99)
    names = [f"{day}-{i}" for i in range(n)]
    frame = {"sample_id": names, "score": score, "views": rng.integers(1, 50, n), "inclusion_probability": 1.0}
    return pd.DataFrame({**frame, "p_violating": violating * 1.0, "sampled_on": day})


def histogram(rows: pd.DataFrame) -> pd.DataFrame:
    bins = np.floor(rows["score"] * 1000).astype(int)
    frame = pd.DataFrame({"bin": bins, "n_videos": 1, "n_views": rows["views"]})
    return frame.groupby("bin", as_index=False).sum()


def version(number: int, rests_on: date, changes: list[Change]) -> dict[str, Any]:
    return {"ds": rests_on, "version": number, "changes": json.dumps([change.to_json() for change in changes])}


def change(effect: dict[str, Any] | None, **other: Any) -> Change:
    return replace(Change(CELL_OF, OLD, NEW, "daily", forecast=effect), **other)


@pytest.fixture(scope="module")
def effect() -> dict[str, Any]:
    rows = videos(RESTS_ON, 4000, 0.1)
    return forecast(histogram(rows), rows, OLD, NEW, no_score="allow", minutes_per_label=1.0, contested="unknown")


@pytest.fixture(scope="module")
def ledger(effect: dict[str, Any]) -> pd.DataFrame:
    lifted, gone = change(None), change(effect, cell=("spam", *CELL_OF[1:]))
    return pd.DataFrame([version(4, RESTS_ON, [change(effect), lifted, gone]), version(1, date(2026, 11, 1), [])])


@pytest.mark.parametrize("horizon", [1, 7, 28])
def test_a_change_is_due_once_a_horizon_when_that_days_labels_are_final(ledger: pd.DataFrame, horizon: int) -> None:
    final = RESTS_ON + timedelta(days=horizon + MATURITY)
    (item,) = due(ledger, CONFIG, final)
    assert (item.version, item.cell, item.horizon_days) == (4, CELL_OF, horizon)
    assert item.measured_on == RESTS_ON + timedelta(days=horizon)
    assert (item.old, item.new) == (OLD, NEW)
    for other in (-1, 1):
        assert due(ledger, CONFIG, final + timedelta(days=other)) == []


def rows_of(ledger: pd.DataFrame, later: pd.DataFrame, sample: pd.DataFrame, **given: Any) -> dict[str, dict[str, Any]]:
    (item,) = due(ledger, CONFIG, RESTS_ON + timedelta(days=7 + MATURITY))
    given = {"in_force": True, "enforced": None, **given}
    frame = frame_of(outcome(item, later, sample, config=CONFIG, **given))
    checked_rows(TABLES["forecast_outcomes"], frame)
    assert set(frame["version"]) == {4}
    return {str(row["measure"]): {str(k): v for k, v in row.items()} for row in frame.to_dict("records")}


def test_what_happened_is_the_truth_of_the_later_day(ledger: pd.DataFrame, effect: dict[str, Any]) -> None:
    """Twice the videos, and three times the share of wrong ones; every one of them labelled."""
    measured_on = RESTS_ON + timedelta(days=7)
    later = videos(measured_on, 8000, 0.3)
    rows = rows_of(ledger, histogram(later), later)
    above = {at: later[later["score"] >= at] for at in (OLD.remove_at, NEW.remove_at)}
    wrongful = {at: (1 - some["p_violating"]).sum() for at, some in above.items()}
    assert rows["removes"]["forecast"] == effect["removes"]["after"]
    assert rows["removes"]["happened"] == len(above[NEW.remove_at])
    assert rows["precision"]["happened"] == pytest.approx(above[NEW.remove_at]["p_violating"].mean())
    change_of = rows["wrongful_removals_change"]
    assert change_of["happened"] == pytest.approx(wrongful[NEW.remove_at] - wrongful[OLD.remove_at])
    assert change_of["forecast"] == effect["wrongful_removals_change"]["estimate"]
    assert change_of["happened_low"] < change_of["happened"] < change_of["happened_high"]
    assert change_of["labels"] == ((later["score"] >= 0.7) & (later["score"] < 0.9)).sum()
    assert "enforced_removes" not in rows


def test_only_labels_drawn_since_the_change_count(ledger: pd.DataFrame) -> None:
    measured_on = RESTS_ON + timedelta(days=7)
    later = videos(measured_on, 500, 0.3)
    days = [RESTS_ON, RESTS_ON + timedelta(days=1), measured_on, measured_on + timedelta(days=1)]
    labelled = pd.concat([videos(day, 500, 0.3) for day in days])
    counted = labelled[labelled["sampled_on"].isin(days[1:3]) & labelled["score"].between(0.7, 0.9, inclusive="left")]
    assert rows_of(ledger, histogram(later), labelled)["wrongful_removals_change"]["labels"] == len(counted)
    unknown = rows_of(ledger, histogram(later), NO_DRAWS)
    assert unknown["removes"]["happened"] > 0
    assert np.isnan(unknown["wrongful_removals_change"]["happened"])
    assert "no label" in unknown["wrongful_removals_change"]["refusal"]


def test_enforcement_is_compared_while_the_version_is_in_force(ledger: pd.DataFrame) -> None:
    later = videos(RESTS_ON + timedelta(days=7), 500, 0.3)
    assert rows_of(ledger, histogram(later), later, enforced=123)["enforced_removes"]["happened"] == 123
    replaced = rows_of(ledger, histogram(later), later, enforced=123, in_force=False)
    assert "enforced_removes" not in replaced
    assert not replaced["removes"]["in_force"]


def test_a_day_without_accepted_scores_is_refused_by_name(ledger: pd.DataFrame) -> None:
    later = videos(RESTS_ON + timedelta(days=7), 500, 0.3)
    for row in rows_of(ledger, histogram(later).iloc[:0], later).values():
        assert row["refusal"] == "no accepted scores of the cell on 2026-11-17"
        assert np.isnan(row["happened"])


def test_bias_is_of_all_changes_together() -> None:
    ends = ("forecast_low", "forecast_high", "happened_low", "happened_high")

    def row(measure: str, said: float, was: float | None, *interval: float, horizon: int = 7) -> dict[str, Any]:
        between = dict(zip(ends, interval or [None] * 4, strict=True))
        return {"measure": measure, "horizon_days": horizon, "forecast": said, "happened": was, **between}

    rows = [
        row("removes", 100, 110),
        row("removes", 10, 22),
        row("removes", 5, None),
        row("removes", 100, 50, horizon=28),
        row("precision", 0.9, 0.8, 0.85, 0.95, 0.7, 0.84),
        row("precision", 0.9, 0.9, 0.85, 0.95, 0.8, 0.95),
    ]
    found = bias(pd.DataFrame(rows)).set_index(["measure", "horizon_days"])
    assert found.loc[("removes", 7), "changes"] == 2
    assert found.loc[("removes", 7), "bias"] == pytest.approx(132 / 110 - 1)
    assert found.loc[("removes", 28), "bias"] == pytest.approx(-0.5)
    assert found["covered"].isna().tolist() == [True, True, False]
    assert found.loc[("precision", 7), "bias"] == pytest.approx(0.85 / 0.9 - 1)
    assert found.loc[("precision", 7), "covered"] == 0.5
    assert len(found) == 3
