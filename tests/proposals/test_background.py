"""What bears on a change besides the day's evidence, counted again by hand."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd
import pytest

from include.config.load import load_config
from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.forecasts.forecast import ContestedRemovals
from include.proposals.background import certified_before, contested_removals, mean_removals, removals_at

ONE, OTHER, NEW = ("fraud", "BR", "v1"), ("fraud", "DE", "v1"), ("fraud", "IN", "v2")


def histogram(**videos: int) -> pd.DataFrame:
    """Bins 899, 900 and 999 of each market."""
    cells = {"BR": ONE, "DE": OTHER, "IN": NEW}
    rows = [(*cells[market], b, n) for market, n in videos.items() for b in (-1, 899, 900, 999)]
    return pd.DataFrame(rows, columns=[*CELL, "bin", "n_videos"])


def test_removals_of_the_week_are_counted_at_the_thresholds_in_force_today():
    in_force = pd.DataFrame([(*ONE, 0.9), (*OTHER, 0.999), (*NEW, 1.0)], columns=[*CELL, "remove_at"])
    days = [removals_at(histogram(BR=10, DE=5), in_force), removals_at(histogram(BR=30, IN=7), in_force)]
    assert mean_removals(days) == {ONE: (20 + 60) / 2, OTHER: 5.0, NEW: 0.0}
    assert mean_removals([]) == {}


CONFIG = load_config()
TODAY = date(2026, 11, 10)


def proposals(levels: dict[int, float | None], cell=ONE, target: float | None = None) -> pd.DataFrame:
    """What the daily runs certified, by day of November."""
    policy = CONFIG.policies[cell[0]]
    goals = {"target": target or policy.target_precision, "confidence": policy.confidence}
    days = [
        {"ds": date(2026, 11, day), **dict(zip(CELL, cell, strict=True)), **goals, "certified_remove_at": level}
        for day, level in levels.items()
    ]
    return pd.DataFrame(days)


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        ({9: 0.9, 8: 0.8}, [0.9, 0.8]),
        ({9: 0.9, 8: 0.8, 7: 0.7}, [0.9, 0.8]),
        ({9: None, 8: 0.8}, [None, 0.8]),
        ({8: 0.8}, []),
        ({9: 0.9, 7: 0.8}, [0.9]),
    ],
)
def test_the_days_before_count_as_far_as_they_are_known_without_a_gap(levels, found):
    assert certified_before(proposals(levels), [], CONFIG, day=TODAY) == {ONE: found}


def test_days_with_another_goal_certify_nothing_for_this_one():
    assert certified_before(proposals({9: 0.9, 8: 0.8}, target=0.5), [], CONFIG, day=TODAY) == {ONE: [None, None]}


@pytest.mark.parametrize(("bound", "found"), [(None, [0.9]), (0.91, [0.9, 0.8])])
def test_what_was_taken_back_without_a_certificate_has_to_be_certified_anew(bound, found):
    certificate = {"target": 0.9, "bound": bound}
    change = Change(ONE, ThresholdPair(0.8, 0.5), ThresholdPair(0.95, 0.5), "daily", certificate=certificate)
    chain = [{"version": 2, "ds": date(2026, 11, 8), "changes": json.dumps([change.to_json()])}]
    assert certified_before(proposals({9: 0.9, 8: 0.8}), chain, CONFIG, day=TODAY) == {ONE: found}


def test_overturned_appeals_are_counted_once_against_the_removals_of_their_policy():
    cells = pd.MultiIndex.from_tuples([ONE, OTHER, ("spam", "DE", "v1"), ("hate", "DE", "v1")], names=CELL)
    appeals = pd.DataFrame(
        [(1, "fraud", "overturned"), (1, "fraud", "overturned"), (2, "fraud", "upheld"), (9, "spam", "overturned")],
        columns=["video_id", "policy", "outcome"],
    )
    found = contested_removals([pd.Series([30, 10, 8, 0], cells), pd.Series([5, 1], cells[:2])], appeals)
    assert found == {"fraud": ContestedRemovals(46, 1), "spam": ContestedRemovals(8, 1)}
    assert contested_removals([], appeals) == {}
