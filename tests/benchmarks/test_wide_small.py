"""The wide platform of bench_wide, a few cells for a few days."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.benchmarks.bench_wide import WAYS, Wide, held, lived, summary

pytestmark = pytest.mark.slow


def test_a_markets_budget_is_asked_and_chance_stops_no_day(tmp_path: Path) -> None:
    figures = summary(pd.concat(lived(Wide(policies=3, markets=2, videos=300), days=3, folder=tmp_path)))
    assert held(figures)
    now, before = (figures.loc[way] for way in WAYS)
    assert now["expected, least"] > 0.97
    assert before["expected, most"] < 0.8, "draws of two versions were asked once, and cost twice"
