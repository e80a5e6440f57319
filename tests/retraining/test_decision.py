"""Retraining is asked for when recall stayed lost and labels are enough, and not before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from include.config.load import load_config
from include.config.model import Config, Retraining
from include.contract.change import Bucket, Change
from include.contract.grid import ThresholdPair
from include.contract.tables import TABLES
from include.retraining.decision import at_certified_thresholds, decide
from include.warehouse.frames import checked_rows

DAY = date(2026, 11, 28)
SETTINGS = Retraining(recall_drop=0.1, consecutive_days=3, reference_days=28, min_labels=500)


@pytest.fixture
def config() -> Config:
    loaded = load_config()
    return loaded.model_copy(update={"retraining": SETTINGS, "policies": {"violence": loaded.policies["violence"]}})


def history(recalls: Mapping[str, Sequence[float | None]], prevalence: dict[str, float] | None = None) -> pd.DataFrame:
    """policy_metrics of the days up to DAY, by market; None: not stated."""
    rows = []
    for market, values in recalls.items():
        for back, recall in enumerate(reversed(values)):
            for metric, value in (("recall", recall), ("prevalence", (prevalence or {}).get(market, 0.01))):
                cell = {"policy": "violence", "market": market, "model_version": "violence-v3"}
                rows.append({"ds": DAY - timedelta(days=back), **cell, "metric": metric, "value": value})
    return pd.DataFrame(rows)


def volumes(**videos: int) -> pd.DataFrame:
    return pd.DataFrame(
        [{"policy": "violence", "market": m, "model_version": "violence-v3", "n_videos": n} for m, n in videos.items()]
    )


def labels(n: int) -> pd.DataFrame:
    return pd.DataFrame({"policy": ["violence"], "model_version": ["violence-v3"], "labels": [n]})


def answer(config: Config, recalls: list[float | None], n_labels: int = 500) -> tuple[str, dict]:
    frame = decide(history({"BR": recalls}), volumes(BR=100), labels(n_labels), day=DAY, config=config)
    checked_rows(TABLES["retraining_decisions"], frame)
    (row,) = frame.to_dict("records")
    return row["decision"], json.loads(row["reasons"])


@pytest.mark.parametrize(
    ("recalls", "n_labels", "decision", "why"),
    [
        ([0.7, 0.8, 0.7, 0.69, 0.6], 500, "retrain", "stayed lost for 3 days"),
        ([0.7, 0.8, 0.7, 0.69, 0.6], 499, "keep", "499 labels are fewer than 500"),
        ([0.7, 0.8, 0.71, 0.69, 0.6], 500, "keep", "not yet lost for 3 days"),
        ([0.7, 0.8, 0.6, 0.6, 0.71], 500, "keep", "recall lost 0.090"),
        ([0.7, 0.8, 0.6, None, 0.6], 500, "undecided", "recall of 2026-11-27 is not stated"),
        ([0.8, 0.8, 0.6, 0.6, None], 500, "undecided", "no market states recall today"),
        ([0.6, 0.6, 0.6], 500, "undecided", "no market states recall today and on a day before"),
        ([0.9] + [None] * 25 + [0.6, 0.6, 0.6], 500, "retrain", "stayed lost"),
        ([0.9] + [None] * 26 + [0.6, 0.6, 0.6], 500, "undecided", "no market states recall today and on a day before"),
    ],
)
def test_conditions(config, recalls, n_labels, decision, why):
    given, reasons = answer(config, recalls, n_labels)
    assert given == decision
    assert why in reasons["why"]


def test_reasons_carry_the_numbers(config):
    _, reasons = answer(config, [0.7, 0.8, 0.7, 0.69, 0.6], 700)
    assert reasons["recall"]["reference"] == pytest.approx(0.8)
    assert reasons["recall"]["reference_days"] == {"BR": "2026-11-25"}
    assert reasons["recall"]["lost"] == pytest.approx({"2026-11-26": 0.1, "2026-11-27": 0.11, "2026-11-28": 0.2})
    assert reasons["recall"]["holds"]
    assert reasons["labels"] == {"available": 700, "required": 500, "holds": True}


def test_markets_count_by_their_violating_videos(config):
    """900 violating videos found at .5 and 100 at .9 are 1,000 found at .54, the same mix on every day."""
    metrics = history({"BR": [0.8] * 3 + [0.5] * 3, "DE": [0.8] * 3 + [0.9] * 3}, {"BR": 0.09, "DE": 0.01})
    row = decide(metrics, volumes(BR=10_000, DE=10_000), labels(500), day=DAY, config=config).iloc[0]
    assert row["recall_now"] == pytest.approx(0.54)
    assert row["recall_reference"] == pytest.approx(0.8)
    assert row["decision"] == "retrain"
    swapped = decide(metrics, volumes(BR=100, DE=90_000), labels(500), day=DAY, config=config).iloc[0]
    assert swapped["recall_now"] == pytest.approx(0.9 - 0.4 * 9 / 909)
    assert swapped["decision"] == "keep"


def test_a_market_that_states_nothing_today_is_left_out_by_name(config):
    metrics = history({"BR": [0.8] * 6, "DE": [0.8, 0.8, 0.8, 0.8, 0.8, None]})
    row = decide(metrics, volumes(BR=100, DE=100, IN=100), labels(500), day=DAY, config=config).iloc[0]
    reasons = json.loads(row["reasons"])
    assert row["decision"] == "keep"
    assert reasons["markets"] == {"BR": 1.0}
    assert reasons["markets_left_out"] == {
        "DE": "no recall today",
        "IN": "no recall today and no prevalence today and no reference",
    }


def test_each_market_is_compared_with_its_own_best_day(config):
    """DE states recall from yesterday's reference day only; BR's earlier best still counts."""
    metrics = history({"BR": [0.9, 0.5, 0.5, 0.5, 0.5], "DE": [None, 0.6, 0.5, 0.5, 0.5]})
    row = decide(metrics, volumes(BR=100, DE=100), labels(500), day=DAY, config=config).iloc[0]
    assert row["recall_reference"] == pytest.approx((0.9 + 0.6) / 2)
    assert row["decision"] == "retrain"
    new = history({"BR": [0.9, 0.5, 0.5, 0.5, 0.5], "DE": [None, None, 0.5, 0.5, 0.5]})
    left_out = decide(new, volumes(BR=100, DE=100), labels(500), day=DAY, config=config).iloc[0]
    assert json.loads(left_out["reasons"])["markets_left_out"] == {"DE": "no reference"}


def test_a_day_on_which_a_counted_market_is_silent_is_not_stated(config):
    metrics = history({"BR": [0.8, 0.8, 0.6, 0.6, 0.6], "DE": [0.8, 0.8, 0.6, None, 0.6]})
    row = decide(metrics, volumes(BR=100, DE=100), labels(500), day=DAY, config=config).iloc[0]
    assert row["decision"] == "undecided"
    assert "recall of 2026-11-27 is not stated" in json.loads(row["reasons"])["why"]


def test_every_configured_model_gets_a_row_even_without_any_metric():
    config = load_config()
    empty = history({"BR": [0.5]}).iloc[:0]
    frame = decide(empty, volumes(BR=1).iloc[:0], labels(1).iloc[:0], day=DAY, config=config)
    expected = [(p, v) for p in sorted(config.policies) for v in sorted(config.policies[p].model_versions)]
    assert list(zip(frame["policy"], frame["model_version"], strict=True)) == expected
    assert set(frame["decision"]) == {"undecided"}
    checked_rows(TABLES["retraining_decisions"], frame)


def test_recall_counts_from_the_day_after_a_cell_was_first_certified():
    metrics = history({"BR": [0.9, 0.8, 0.7], "DE": [0.9, 0.8, 0.7]})
    change = Change(("violence", "BR", "violence-v3"), ThresholdPair(0.98, 0.8), ThresholdPair(0.95, 0.7), "daily")
    days = [DAY - timedelta(days=2), DAY - timedelta(days=1)]
    ledger = pd.DataFrame({"ds": days, "version": [1, 2], "changes": ["[]", json.dumps([change.to_json()])]})
    kept = at_certified_thresholds(metrics, ledger)
    recalls = kept[kept["metric"] == "recall"]
    assert recalls[["market", "ds", "value"]].to_numpy().tolist() == [["BR", DAY, 0.7]]
    assert (kept["metric"] == "prevalence").sum() == 6


def test_a_canary_is_no_certificate_of_the_thresholds_that_metrics_are_measured_at():
    metrics = history({"BR": [0.9, 0.8, 0.7]})
    pair = ThresholdPair(0.98, 0.8)
    ended = Change(("violence", "BR", "violence-v3"), pair, pair, "canary", ends=2)
    begun = replace(ended, new=ThresholdPair(0.95, 0.7), ends=None, canary=Bucket(0.1, 1))
    days = [DAY - timedelta(days=2), DAY - timedelta(days=1)]
    changes = [json.dumps([change.to_json()]) for change in (begun, ended)]
    ledger = pd.DataFrame({"ds": days, "version": [2, 3], "changes": changes})
    assert "recall" not in set(at_certified_thresholds(metrics, ledger)["metric"])
