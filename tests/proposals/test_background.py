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
from include.proposals.background import certified_before, contested_removals, mean_removals

ONE, OTHER, NEW = ("fraud", "BR", "v1"), ("fraud", "DE", "v1"), ("fraud", "IN", "v2")


def removals(*days: dict[tuple[str, str, str], int]) -> pd.DataFrame:
    rows = [(*cell, n) for day in days for cell, n in day.items()]
    return pd.DataFrame(rows, columns=[*CELL, "n_videos"]).astype({"n_videos": "int64"})


def test_a_cells_usual_removals_are_the_mean_of_the_days_that_have_it():
    assert mean_removals(removals({ONE: 20, OTHER: 5}, {ONE: 60, NEW: 0})) == {ONE: 40.0, OTHER: 5.0, NEW: 0.0}
    assert mean_removals(removals()) == {}


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
    days = removals({ONE: 30, OTHER: 10, ("spam", "DE", "v1"): 8, ("hate", "DE", "v1"): 0}, {ONE: 5, OTHER: 1})
    appeals = pd.DataFrame(
        [(1, "fraud", "overturned"), (1, "fraud", "overturned"), (2, "fraud", "upheld"), (9, "spam", "overturned")],
        columns=["video_id", "policy", "outcome"],
    )
    found = contested_removals(days, appeals)
    assert found == {"fraud": ContestedRemovals(46, 1), "spam": ContestedRemovals(8, 1)}
    assert contested_removals(removals(), appeals) == {}
