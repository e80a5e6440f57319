"""Retraining is asked for when reachable recall is lost for sure, or the guideline changed, and not before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from include.config.load import load_config
from include.contract.tables import TABLES
from include.retraining.decision import Evidence, decide
from include.warehouse.frames import checked_rows
from tests.retraining.test_reachable import REQUIRED, periods

DAY = date(2026, 11, 28)
CONFIG = load_config()


@pytest.fixture(scope="module")
def evaded() -> Evidence:
    return Evidence(
        "fraud", "fraud-v2", periods(80, evaded=0.6), REQUIRED, labels=3000, new_labels=3000, recall_in_force=0.2
    )


def answer(one: Evidence) -> tuple[str, str | None, dict]:
    frame = decide([one], day=DAY, config=CONFIG)
    checked_rows(TABLES["retraining_decisions"], frame)
    (row,) = frame.to_dict("records")
    return row["decision"], row["asked_for"], json.loads(row["reasons"])


def test_what_no_threshold_wins_back_is_asked_for_with_its_numbers(evaded: Evidence) -> None:
    decision, asked, reasons = answer(evaded)
    assert (decision, asked) == ("retrain", "recall")
    assert "no threshold reaches the recall" in reasons["why"]
    assert reasons["recall"]["holds"]
    assert reasons["recall"]["lost"] >= 0.2
    main = reasons["recall"]["falls"][0]
    assert reasons["recall"]["won_back"] == pytest.approx(main["recent"] - 0.2)
    assert reasons["labels"] == {"available": 3000, "new": 3000, "required": 500, "holds": True}


def test_a_calm_model_is_kept(evaded: Evidence) -> None:
    decision, asked, reasons = answer(replace(evaded, bands=periods(1)))
    assert (decision, asked) == ("keep", None)
    assert "recall lost" in reasons["why"]


@pytest.mark.parametrize(
    ("change", "decision", "asked", "why"),
    [
        ({"new_labels": 499}, "keep", "recall", "499 new labels are fewer than 500"),
        (
            {"handed_over": DAY - timedelta(days=13)},
            "keep",
            "recall",
            "handed over on 2026-11-15; wait until 2026-11-29",
        ),
        ({"handed_over": DAY - timedelta(days=14)}, "retrain", "recall", "new labels are enough"),
        ({"challenger": True}, "keep", "recall", "it is a challenger"),
        ({"bands": None}, "undecided", None, "no label is final"),
        ({"bands": None, "other_guideline": "2025-2"}, "retrain", "guideline", "trained under guideline 2025-2"),
        ({"bands": None, "other_guideline": "2025-2", "new_labels": 3}, "keep", "guideline", "3 new labels are fewer"),
    ],
)
def test_every_condition_is_named(
    evaded: Evidence, change: dict[str, object], decision: str, asked: str | None, why: str
) -> None:
    found = answer(replace(evaded, **change))  # type: ignore[arg-type]
    assert found[:2] == (decision, asked)
    assert why in found[2]["why"]


def test_every_model_gets_a_row_and_the_promise_is_shared_among_those_looked_at(evaded: Evidence) -> None:
    others = [Evidence("violence", f"v{n}", None, np.empty(0), labels=0, new_labels=0) for n in range(3)]
    frame = decide([*others, evaded], day=DAY, config=CONFIG)
    assert frame[["policy", "model_version"]].to_numpy().tolist()[0] == ["fraud", "fraud-v2"]
    assert frame["decision"].tolist() == ["retrain", *["undecided"] * 3]
    assert frame["recall_now"].isna().tolist() == [False, True, True, True]
