"""What bears on a change besides the day's evidence, counted again by hand."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd

from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.forecasts.forecast import ContestedRemovals
from include.proposals.background import contested_removals, last_tightened, mean_removals, removals_at

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


def test_the_last_version_that_raised_a_threshold_counts():
    def version(number: int, day: int, cell: tuple[str, str, str], old: float, new: float) -> dict[str, object]:
        change = Change(cell, ThresholdPair(old, 0.5), ThresholdPair(new, 0.5), "daily")
        return {"version": number, "ds": date(2026, 11, day), "changes": json.dumps([change.to_json()])}

    ledger = pd.DataFrame(
        [
            version(4, 5, ONE, 0.97, 0.96),
            version(2, 3, ONE, 0.95, 0.96),
            version(3, 4, ONE, 0.96, 0.97),
            version(5, 6, OTHER, 0.97, 0.9),
        ]
    )
    assert last_tightened(ledger) == {ONE: date(2026, 11, 4)}


def test_overturned_appeals_are_counted_once_against_the_removals_of_their_policy():
    cells = pd.MultiIndex.from_tuples([ONE, OTHER, ("spam", "DE", "v1"), ("hate", "DE", "v1")], names=CELL)
    appeals = pd.DataFrame(
        [(1, "fraud", "overturned"), (1, "fraud", "overturned"), (2, "fraud", "upheld"), (9, "spam", "overturned")],
        columns=["video_id", "policy", "outcome"],
    )
    found = contested_removals([pd.Series([30, 10, 8, 0], cells), pd.Series([5, 1], cells[:2])], appeals)
    assert found == {"fraud": ContestedRemovals(46, 1), "spam": ContestedRemovals(8, 1)}
    assert contested_removals([], appeals) == {}
