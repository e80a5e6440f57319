"""What the engine adds up over days is what pandas adds up of the rows themselves."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.contract.grid import RemovalLevel
from include.contract.tables import CELL
from include.evidence import histograms
from include.evidence.histograms import (
    folded_histogram,
    histogram_by_period,
    histogram_of,
    removals_of,
    scored_policies,
)
from include.warehouse.base import UnreadablePartition
from include.warehouse.duckdb import DuckDBWarehouse

START = date(2026, 11, 1)
DAYS = [START + timedelta(days=n) for n in range(6)]
WANTED = DAYS[1:]
CELLS = [("fraud", "BR", "v2"), ("fraud", "DE", "v2"), ("spam", 'it\'s "one"', "v1"), ("hate", "BR", "v1")]
BINS = ["n_videos", "n_views"]


def histogram(day: date) -> pd.DataFrame:
    """Some bins of the cells that have videos on that day; two do not on each."""
    rng = np.random.default_rng(day.toordinal())
    rows = [
        (*cell, b, int(rng.integers(1, 50)), int(rng.integers(0, 10**10)))
        for n, cell in enumerate(CELLS)
        if (day.toordinal() + n) % 3
        for b in sorted(rng.choice(1001, 40, replace=False) - 1)
    ]
    return pd.DataFrame(rows, columns=[*CELL, "bin", *BINS])


@pytest.fixture
def project(tmp_path: Path) -> Any:
    warehouse = DuckDBWarehouse(tmp_path / "landing", tmp_path / "a=b[1]")
    for day in DAYS:
        warehouse.replace("score_histogram", day, histogram(day))
    return SimpleNamespace(warehouse=warehouse)


ALL = pd.concat([histogram(day).assign(ds=day) for day in WANTED], ignore_index=True)
LEVELS = [
    RemovalLevel(*CELLS[0], DAYS[0], DAYS[2], 400),
    RemovalLevel(*CELLS[0], DAYS[3], DAYS[5], 700),
    RemovalLevel(*CELLS[2], DAYS[0], DAYS[5], 1000),
]
STARTS = {"fraud": 900, "spam": 100}


def level(row: Any) -> int | None:
    """By hand: the level of a row's cell and day, else its policy's start."""
    found = [one.remove_bin for one in LEVELS if one[:3] == row[:3] and one.since <= row.ds <= one.until]
    return found[0] if found else STARTS.get(row.policy)


LEVEL = [level(row) for row in ALL[[*CELL, "ds"]].itertuples(index=False)]
BY_HAND = ALL.assign(remove_bin=pd.Series(LEVEL, dtype=float))


def test_videos_and_views_of_the_cells_asked_for_are_added_up_over_the_days_asked_for(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = pd.DataFrame([*CELLS[:3], ("none", "BR", "v1")], columns=list(CELL))
    found = histogram_of(project, WANTED, cells)
    wanted = ALL.merge(cells).groupby([*CELL, "bin"], as_index=False)[BINS].sum()
    pd.testing.assert_frame_equal(found, wanted)
    monkeypatch.setattr(histograms, "MOST_CELLS", 1)  # asked in parts
    pd.testing.assert_frame_equal(histogram_of(project, WANTED, cells), wanted)
    assert histogram_of(project, [], cells).empty
    assert scored_policies(project, WANTED) == {"fraud", "hate", "spam"}
    assert histogram_of(project, [START - timedelta(days=1)], cells).empty


def test_removals_follow_the_level_of_their_day_and_else_the_policys_start(project: Any) -> None:
    found = removals_of(project, WANTED, LEVELS, STARTS)
    known = BY_HAND.dropna(subset="remove_bin")
    removed = known["n_videos"].where(known["bin"] >= known["remove_bin"], 0)
    wanted = known.assign(n_videos=removed).groupby(["ds", *CELL])["n_videos"].sum().reset_index()
    pd.testing.assert_frame_equal(found, wanted)
    assert (found["n_videos"] == 0).any()
    assert "hate" not in set(found["policy"])
    assert removals_of(project, [], LEVELS, STARTS).empty


def test_what_was_removed_is_folded_into_the_upper_half(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = BY_HAND.dropna(subset="remove_bin")
    half = known["bin"] // 2 + 500 * (known["bin"] >= known["remove_bin"])
    moved = known.assign(bin=half.where(known["bin"] >= 0, -1))
    wanted = moved.groupby([*CELL, "bin"], as_index=False)[BINS].sum()
    found = folded_histogram(project, WANTED, LEVELS, STARTS)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    monkeypatch.setattr(histograms, "MOST_LEVELS", 1)  # asked in parts
    parts = folded_histogram(project, WANTED, LEVELS, STARTS)
    pd.testing.assert_frame_equal(parts, wanted, check_dtype=False)
    pd.testing.assert_frame_equal(
        removals_of(project, WANTED, LEVELS, STARTS)[["ds", *CELL, "n_videos"]].sort_values(["ds", *CELL]),
        BY_HAND.dropna(subset="remove_bin")
        .assign(n_videos=lambda f: f["n_videos"].where(f["bin"] >= f["remove_bin"], 0))
        .groupby(["ds", *CELL])["n_videos"]
        .sum()
        .reset_index(),
    )


def test_periods_are_kept_apart_and_count_the_days_that_have_the_market(project: Any) -> None:
    found = histogram_by_period(project, WANTED, "fraud", "v2", DAYS[4])
    own = ALL[ALL["policy"] == "fraud"].assign(recent=lambda f: f["ds"] >= DAYS[4])
    own["n_days"] = own.groupby(["market", "recent"])["ds"].transform("nunique")
    wanted = own.groupby(["market", "recent", "bin", "n_days"])["n_videos"].sum().reset_index()
    pd.testing.assert_frame_equal(found, wanted)
    assert len(set(found["n_days"])) > 1


def test_a_damaged_day_is_named(project: Any) -> None:
    file = project.warehouse.root / "score_histogram" / f"ds={DAYS[2]}" / "part.parquet"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UnreadablePartition, match=f"score_histogram of {DAYS[2]}"):
        removals_of(project, WANTED, LEVELS, STARTS)
    assert len(removals_of(project, DAYS[3:], LEVELS, STARTS)) > 0
