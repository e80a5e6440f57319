"""The draw against the same rule in numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from include.contract.salts import salt_of
from include.contract.tables import BY_VIDEO_AND_POLICY, CELL, TABLES
from include.sampling.draw import draw_parameters
from include.warehouse.duckdb import DuckDBWarehouse
from include.warehouse.frames import checked_rows, content_hash
from tests.sampling.test_profile import faulty, land
from tests.warehouse.frames import DAY, scores
from tests.warehouse.reference import programme_random

pytestmark = pytest.mark.slow

SALT = 20261101
BANDS = {"no_score": (-1, -1), "low": (0, 199), "middle": (200, 599), "high": (600, 999)}
PI = {"no_score": 0.02, "low": 0.05, "middle": 0.3, "high": 1.0}
VIEW_BANDS = {"no_score": (-1, -1), "few": (0, 99), "many": (100, 599)}
PER_VIEW = {"no_score": 1e-5, "few": 2e-4, "many": 2e-3}
PICKED = {"allow": (0, 499), "remove": (900, 999)}
PICKS = {"allow": 0.01, "remove": 0.4}
KEY = ["video_id", "policy", "model_version"]


def design(
    pi: dict[str, float],
    *,
    programmes: tuple[str, ...] = ("audit", "prevalence", "training"),
    numbering: str | None = BY_VIDEO_AND_POLICY,
) -> pd.DataFrame:
    cells = scores(1000)[list(CELL)].drop_duplicates(ignore_index=True)
    numbers = dict.fromkeys(("population", "population_views", "expected_labels", "expected_minutes"), 1)
    strata = [
        *(("audit", name, bins, pi[name], np.nan) for name, bins in BANDS.items()),
        *(("prevalence", name, bins, np.nan, PER_VIEW[name]) for name, bins in VIEW_BANDS.items()),
        *(("training", name, bins, PICKS[name], np.nan) for name, bins in PICKED.items()),
    ]
    return pd.concat(
        [
            cells.assign(
                design_id="d",
                programme=programme,
                stratum=name,
                region="allow",
                first_bin=first,
                last_bin=last,
                score_low=None,
                score_high=None,
                inclusion_probability=probability,
                probability_per_view=per_view,
                reason="all",
                numbering=numbering,
                **numbers,
            )
            for programme, name, (first, last), probability, per_view in strata
            if programme in programmes
        ],
        ignore_index=True,
    )


def draw(warehouse: DuckDBWarehouse, strata: pd.DataFrame, salt: int = SALT) -> pd.DataFrame:
    warehouse.replace("sampling_design", DAY, strata)
    drawn = warehouse.query("draw", draw_parameters(strata, DAY, salt))
    return drawn.sort_values(["programme", *KEY], ignore_index=True)


def oracle(rows: pd.DataFrame, strata: pd.DataFrame, salt: int = SALT) -> pd.DataFrame:
    """Every row that is drawn, by programme, with stratum, probabilities and number; a key that came twice is still
    there twice.
    """
    rows = rows.dropna(subset=["video_id", *CELL])
    score = rows["score"].to_numpy("float64")
    usable = ~rows["null_score"].to_numpy() & (score >= 0) & (score <= 1)
    bins = np.where(usable, np.minimum(np.floor(np.where(usable, score, 0) * 1000), 999), -1)
    rows = rows.assign(score=np.where(usable, score, np.nan), views=rows["views"].fillna(0).clip(lower=0))
    salts = {name: salt_of(salt, name) for name in ("audit", "prevalence", "training")}
    chance = {name: np.zeros(len(rows)) for name in salts}
    found = {name: np.full(len(rows), "", dtype=object) for name in salts}
    cells = np.array(["/".join(cell) for cell in rows[list(CELL)].itertuples(index=False)])
    for row in strata.to_dict("records"):
        of_cell = cells == "/".join(row[name] for name in CELL)
        inside = of_cell & (bins >= row["first_bin"]) & (bins <= row["last_bin"])
        by_views = np.minimum(1.0, row["probability_per_view"] * rows["views"].to_numpy("float64"))
        pi = by_views if np.isnan(row["inclusion_probability"]) else row["inclusion_probability"]
        chance[row["programme"]] = np.where(inside, pi, chance[row["programme"]])
        found[row["programme"]] = np.where(inside, row["stratum"], found[row["programme"]])
    union = chance["audit"] + chance["prevalence"] - chance["audit"] * chance["prevalence"]
    by_policy = strata["numbering"].notna().all()
    drawn = []
    for name in salts:
        numbers = np.zeros(len(rows))
        for policy in rows["policy"].unique():
            of_policy = (rows["policy"] == policy).to_numpy()
            ids = rows.loc[of_policy, "video_id"].to_numpy("int64")
            numbers[of_policy] = programme_random(ids, policy if by_policy else None, salts, name)
        part = rows.assign(
            programme=name,
            stratum=found[name],
            programme_probability=chance[name],
            inclusion_probability=np.nan if name == "training" else union,
            permanent_random=numbers,
        )
        drawn.append(part[part["permanent_random"] < part["programme_probability"]])
    return pd.concat(drawn, ignore_index=True)


@pytest.fixture
def clean() -> pd.DataFrame:
    rows = scores(20_000)
    copies = (rows["video_id"] % 1_000).astype("Int64").mask(rows["video_id"] % 3 == 0)
    return rows.assign(null_score=rows["score"].isna(), cluster_id=copies)


@pytest.mark.parametrize(
    ("salt", "numbering"),
    [(SALT, BY_VIDEO_AND_POLICY), (0, BY_VIDEO_AND_POLICY), (2**31 - 1, BY_VIDEO_AND_POLICY), (SALT, None)],
)
def test_the_drawn_rows_are_exactly_those_the_rule_names(
    tmp_path: Path, clean: pd.DataFrame, salt: int, numbering: str | None
):
    strata = design(PI, numbering=numbering)
    drawn = draw(land(tmp_path, clean, files=2), strata, salt)
    wanted = oracle(clean, strata, salt).sort_values(["programme", *KEY], ignore_index=True)
    columns = ["programme", "video_id", *CELL, "stratum", "score", "views", "programme_probability"]
    columns += ["inclusion_probability", "permanent_random", "cluster_id"]
    pd.testing.assert_frame_equal(drawn[columns], wanted[columns], check_dtype=False, rtol=0, atol=0)
    assert set(drawn["design_id"]) == {"d"}
    assert drawn["programme"].value_counts().min() > 30


def test_a_design_from_before_keeps_its_fingerprint_and_is_drawn_by_its_own_numbering(
    tmp_path: Path, clean: pd.DataFrame
):
    warehouse, table = land(tmp_path, clean, files=1), TABLES["sampling_design"]
    before = replace(table, columns=tuple(column for column in table.columns if not column.later))
    content = checked_rows(before, design(PI).drop(columns="numbering"))
    partition = warehouse.root / table.name / f"ds={DAY}"
    partition.mkdir(parents=True)
    pq.write_table(content, partition / "part.parquet")
    strata = warehouse.read(table.name, DAY, DAY).drop(columns="ds")
    assert warehouse.fingerprint(table.name, DAY) == content_hash(before, content)
    drawn = warehouse.query("draw", draw_parameters(strata, DAY, SALT))
    wanted = oracle(clean, design(PI, numbering=None))
    key = ["programme", *KEY]
    assert set(map(tuple, drawn[key].to_numpy())) == set(map(tuple, wanted[key].to_numpy()))
    warehouse.replace(table.name, DAY, design(PI))
    assert warehouse.fingerprint(table.name, DAY) != content_hash(before, content)
    mixed = pd.concat([design(PI), design(PI, numbering=None)])
    with pytest.raises(ValueError, match="sampling_design: its strata differ in numbering"):
        draw_parameters(mixed, DAY, SALT)


def test_faulty_rows_are_drawn_once_a_key_and_never_without_a_key(tmp_path: Path):
    rows = faulty(4)
    drawn = draw(land(tmp_path, rows, files=3), design(PI))
    wanted = oracle(rows, design(PI))
    key = ["programme", *KEY]
    assert not drawn.duplicated(key).any()
    assert set(map(tuple, drawn[key].to_numpy())) == set(map(tuple, wanted[key].to_numpy()))
    assert wanted.duplicated(key).any()
    assert drawn["views"].min() >= 0
    assert drawn["score"].dropna().between(0, 1).all()
    assert (drawn["score"].isna() == (drawn["stratum"] == "no_score")).all()


def test_strata_are_drawn_as_often_as_their_inclusion_probability_says(tmp_path: Path, clean: pd.DataFrame):
    drawn = draw(land(tmp_path, clean, files=1), design(PI, programmes=("audit",)))
    everyone = design(dict.fromkeys(PI, 1.0), programmes=("audit",))
    population = oracle(clean, everyone)["stratum"].value_counts().to_dict()
    for name, count in drawn["stratum"].value_counts().items():
        stratum = str(name)
        assert stats.binom.cdf(count, population[stratum], PI[stratum]) > 1e-4
        assert stats.binom.sf(count - 1, population[stratum], PI[stratum]) > 1e-4
    assert (drawn["stratum"] == "high").sum() == population["high"]


def test_programmes_hit_the_same_video_no_more_and_no_less_than_by_chance(tmp_path: Path, clean: pd.DataFrame):
    """Of many salts together, so that a dependence of a few percent shows."""
    warehouse = land(tmp_path, clean, files=1)
    both = dict.fromkeys([("audit", "prevalence"), ("audit", "training"), ("prevalence", "training")], 0)
    expected = dict.fromkeys(both, 0.0)
    chances = {name: clean.assign(pi=_probabilities(clean, name)).set_index(KEY)["pi"] for name, _ in both}
    for salt in range(12):
        drawn = draw(warehouse, design(PI), salt)
        drawn = drawn[~drawn["stratum"].isin(["high", "remove"])]  # where pi is 1 there is nothing to see
        by = {name: part.set_index(KEY)["programme_probability"] for name, part in drawn.groupby("programme")}
        salts = {name: salt_of(salt, name) for name in ("audit", "prevalence", "training")}
        assert len(set(salts.values())) == 3
        for one, other in both:
            both[one, other] += len(by[one].index.intersection(by[other].index))
            # Of each video drawn by the other, the probability with which this one draws it.
            expected[one, other] += chances[one].reindex(by[other].index).sum()
    for pair, count in both.items():
        assert stats.poisson.cdf(count, expected[pair]) > 1e-3, (pair, count, expected[pair])
        assert stats.poisson.sf(count - 1, expected[pair]) > 1e-3, (pair, count, expected[pair])


def _probabilities(rows: pd.DataFrame, programme: str) -> np.ndarray:
    bins = np.where(rows["score"].isna(), -1, np.floor(rows["score"].fillna(0) * 1000))
    bands, chances = {"audit": (BANDS, PI), "prevalence": (VIEW_BANDS, PER_VIEW), "training": (PICKED, PICKS)}[
        programme
    ]
    result = np.zeros(len(rows))
    for name, (first, last) in bands.items():
        factor = rows["views"] if programme == "prevalence" else 1.0
        result = np.where((bins >= first) & (bins <= last), np.minimum(1.0, chances[name] * factor), result)
    return result


def test_the_same_draw_twice_is_the_same_and_another_salt_draws_others(tmp_path: Path, clean: pd.DataFrame):
    warehouse = land(tmp_path, clean, files=2)
    first = draw(warehouse, design(PI))
    pd.testing.assert_frame_equal(draw(warehouse, design(PI)), first)
    other = draw(warehouse, design(PI), salt=SALT + 1)
    middle = lambda f: set(f.loc[f["stratum"] == "middle", "video_id"])  # noqa: E731
    both = len(middle(first) & middle(other)) / len(middle(first))
    assert both == pytest.approx(PI["middle"], abs=0.05)


def test_a_new_probability_keeps_most_of_yesterdays_sample(tmp_path: Path, clean: pd.DataFrame):
    warehouse, strata = land(tmp_path, clean, files=2), design(PI)
    before = draw(warehouse, strata)
    numbers = strata[["inclusion_probability", "probability_per_view"]]
    keys = lambda drawn, name: set(map(tuple, drawn.loc[drawn["programme"] == name, KEY].to_numpy()))  # noqa: E731
    more = draw(warehouse, strata.assign(**(numbers * 1.25).clip(upper=1.0)))
    less = draw(warehouse, strata.assign(**(numbers * 0.8)))
    for name in ("audit", "prevalence", "training"):
        assert keys(less, name) < keys(before, name) < keys(more, name)
        assert len(keys(less, name)) > 0.7 * len(keys(before, name))
