"""The draw against the same rule in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.contract.tables import CELL
from include.warehouse.base import Parameter
from include.warehouse.duckdb import DuckDBWarehouse
from tests.sampling.test_profile import faulty, land
from tests.warehouse.frames import DAY, scores
from tests.warehouse.reference import permanent_random

SALT = 20261101
BANDS = {"no_score": (-1, -1), "low": (0, 199), "middle": (200, 599), "high": (600, 999)}
PI = {"no_score": 0.02, "low": 0.05, "middle": 0.3, "high": 1.0}


def strata(pi: dict[str, float]) -> pd.DataFrame:
    cells = scores(1000)[list(CELL)].drop_duplicates(ignore_index=True)
    numbers = dict.fromkeys(("population", "population_views", "expected_labels", "expected_minutes"), 1)
    return pd.concat(
        [
            cells.assign(
                design_id="d",
                programme="audit",
                stratum=name,
                region="allow",
                first_bin=first,
                last_bin=last,
                score_low=None,
                score_high=None,
                inclusion_probability=pi[name],
                reason="all",
                **numbers,
            )
            for name, (first, last) in BANDS.items()
        ],
        ignore_index=True,
    )


def draw(warehouse: DuckDBWarehouse, pi: dict[str, float], salt: int = SALT) -> pd.DataFrame:
    warehouse.replace("sampling_design", DAY, strata(pi))
    asked: dict[str, Parameter] = {"ds": DAY, "programme": "audit", "salt": salt, "max_probability": max(pi.values())}
    drawn = warehouse.query("draw", asked)
    return drawn.sort_values(["video_id", "policy", "model_version"], ignore_index=True)


def oracle(rows: pd.DataFrame, pi: dict[str, float], salt: int = SALT) -> pd.DataFrame:
    """Every row that is drawn, with stratum, pi and number; a key that came twice is still there twice."""
    rows = rows.dropna(subset=["video_id", *CELL])
    score = rows["score"].to_numpy("float64")
    usable = ~rows["null_score"].to_numpy() & (score >= 0) & (score <= 1)
    bins = np.where(usable, np.minimum(np.floor(np.where(usable, score, 0) * 1000), 999), -1)
    name = np.array(list(BANDS))[np.searchsorted([first for first, _ in BANDS.values()], bins, side="right") - 1]
    rows = rows.assign(
        stratum=name,
        score=np.where(usable, score, np.nan),
        views=rows["views"].fillna(0).clip(lower=0),
        inclusion_probability=[pi[n] for n in name],
        permanent_random=permanent_random(rows["video_id"].to_numpy("int64"), salt),
    )
    return rows[rows["permanent_random"] < rows["inclusion_probability"]]


@pytest.fixture
def clean() -> pd.DataFrame:
    rows = scores(20_000)
    return rows.assign(null_score=rows["score"].isna())


@pytest.mark.parametrize("salt", [SALT, 0, 2**31 - 1])
def test_the_drawn_rows_are_exactly_those_the_rule_names(tmp_path: Path, clean: pd.DataFrame, salt: int):
    drawn = draw(land(tmp_path, clean, files=2), PI, salt)
    wanted = oracle(clean, PI, salt).sort_values(["video_id", "policy", "model_version"], ignore_index=True)
    columns = ["video_id", *CELL, "stratum", "score", "views", "inclusion_probability", "permanent_random"]
    pd.testing.assert_frame_equal(drawn[columns], wanted[columns], check_dtype=False, rtol=0, atol=0)
    assert set(drawn["design_id"]) == {"d"}


def test_faulty_rows_are_drawn_once_a_key_and_never_without_a_key(tmp_path: Path):
    rows = faulty(4)
    drawn = draw(land(tmp_path, rows, files=3), PI)
    wanted = oracle(rows, PI)
    key = ["video_id", "policy", "model_version"]
    assert not drawn.duplicated(key).any()
    assert set(map(tuple, drawn[key].to_numpy())) == set(map(tuple, wanted[key].to_numpy()))
    assert wanted.duplicated(key).any()
    assert drawn["views"].min() >= 0
    assert drawn["score"].dropna().between(0, 1).all()
    assert (drawn["score"].isna() == (drawn["stratum"] == "no_score")).all()


def test_strata_are_drawn_as_often_as_their_inclusion_probability_says(tmp_path: Path, clean: pd.DataFrame):
    drawn = draw(land(tmp_path, clean, files=1), PI)
    population = oracle(clean, dict.fromkeys(PI, 1.0))["stratum"].value_counts().to_dict()
    for name, count in drawn["stratum"].value_counts().items():
        stratum = str(name)
        assert stats.binom.cdf(count, population[stratum], PI[stratum]) > 1e-4
        assert stats.binom.sf(count - 1, population[stratum], PI[stratum]) > 1e-4
    assert (drawn["stratum"] == "high").sum() == population["high"]


def test_the_same_draw_twice_is_the_same_and_another_salt_draws_others(tmp_path: Path, clean: pd.DataFrame):
    warehouse = land(tmp_path, clean, files=2)
    first = draw(warehouse, PI)
    pd.testing.assert_frame_equal(draw(warehouse, PI), first)
    other = draw(warehouse, PI, salt=SALT + 1)
    middle = lambda f: set(f.loc[f["stratum"] == "middle", "video_id"])  # noqa: E731
    both = len(middle(first) & middle(other)) / len(middle(first))
    assert both == pytest.approx(PI["middle"], abs=0.05)


def test_raising_a_probability_only_adds_videos(tmp_path: Path, clean: pd.DataFrame):
    warehouse = land(tmp_path, clean, files=2)
    small = set(draw(warehouse, PI)["video_id"])
    large = set(draw(warehouse, {name: min(1.0, 1.5 * pi) for name, pi in PI.items()})["video_id"])
    assert small < large
