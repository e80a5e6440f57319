"""Scores of exactly 1.0, as a sigmoid in single precision gives them: serving acts as the forecast says."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.contract.grid import bin_of
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL
from include.proposals.background import Background
from include.proposals.propose import propose
from include.quality import suites
from include.quality.gate import run_gate

DAY, CONFIG = date(2026, 11, 25), load_config()
SATURATED, BELOW = ("violence", "BR", "violence-v3"), ("violence", "DE", "violence-v3")


def proposed(remove_at: float) -> pd.DataFrame:
    """Of a cell with 90 labels at 1.0, of which 54 violate, 400 labels further down, and another cell like it."""
    rng = np.random.default_rng(1)
    score = np.r_[np.ones(90), rng.uniform(0, 0.7, 400)]
    violating = np.r_[np.repeat([1.0, 0.0], [54, 36]), (rng.random(400) < 0.05).astype(float)]
    cells = [dict(zip(CELL, cell, strict=True)) for cell in (SATURATED, BELOW)]
    draws = {"views": 1, "inclusion_probability": 0.1, "p_violating": violating, "golden": np.nan, "sampled_on": DAY}
    ids = {"sample_id": [f"s{i}" for i in range(490)], "video_id": range(490)}
    sample = pd.concat([pd.DataFrame({**cell, **ids, "score": score, **draws}) for cell in cells])
    bins = pd.Series(bin_of(score)).value_counts()
    counts = {"bin": bins.index, "n_videos": bins.to_numpy() * 10, "n_views": bins.to_numpy() * 10}
    histogram = pd.concat([pd.DataFrame({**cell, **counts}) for cell in cells])
    in_force = pd.DataFrame([{**cell, "remove_at": remove_at, "review_at": 0.8} for cell in cells])
    background = Background(uncertified=frozenset({SATURATED, BELOW}))
    return propose(ProbabilitySample(sample), histogram, in_force, CONFIG, day=DAY, background=background)


def test_what_no_certificate_allows_rises_to_none_and_nothing_is_removed_any_more() -> None:
    row = proposed(0.98).set_index("market").loc["BR"]
    assert (row["proposed_remove_at"], row["removes_before"], row["removes_after"]) == (1.0, 900, 0)
    assert row["status"] == "within_limits"


@pytest.mark.parametrize("remove_at", [0.98, 1.0])
def test_a_cell_that_removes_nothing_is_named_and_stops_nobody(remove_at: float) -> None:
    rows = proposed(remove_at)
    outcome = run_gate("thresholds", DAY, suites.thresholds(rows, CONFIG))
    assert outcome.passed, outcome.failures
    assert (rows["proposed_remove_at"] == 1.0).all()
    assert rows["refusal"].notna().all()
    if remove_at == 1.0:
        assert rows["verdicts"].str.contains("shadow mode: nothing is removed").all()
