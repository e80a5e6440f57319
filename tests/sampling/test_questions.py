"""Expected questions against many independent draws, and against counting by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.contract.salts import salt_of
from include.contract.tables import CELL
from include.sampling.design import design
from tests.sampling.test_design import NO_CURVE, config, thresholds
from tests.warehouse.reference import programme_random

FRAUD = [("fraud", "BR", "fraud-v2"), ("fraud", "BR", "fraud-v3")]
CELLS = [*FRAUD, ("violence", "BR", "violence-v3")]
PROGRAMMES = {"audit": 0.5, "prevalence": 0.4, "golden": 0.0, "training": 0.1}


def population(videos: int, seed: int = 1) -> pd.DataFrame:
    """Rows of a complete score_panel: two versions of fraud that agree loosely, one of violence, heavy views."""
    rng = np.random.default_rng(seed)
    views = (10 ** rng.normal(1.5, 0.8, videos) + 20 * rng.pareto(1.2, videos)).astype("int64")
    ids = rng.permutation(videos) * 4096
    parts, seen = [], rng.normal(-2.5, 1.5, videos)
    for cell in CELLS:
        score = 1 / (1 + np.exp(-seen - rng.normal(0, 0.8, videos)))
        bins = np.where(rng.random(videos) < 0.02, -1, np.floor(score * 1000)).astype("int64")
        parts.append(pd.DataFrame({"video_id": ids, **dict(zip(CELL, cell, strict=True)), "bin": bins, "views": views}))
    return pd.concat(parts, ignore_index=True)


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby([*CELL, "bin"], as_index=False).agg(n_videos=("views", "size"), n_views=("views", "sum"))


def chances(rows: pd.DataFrame, strata: pd.DataFrame) -> dict[str, np.ndarray]:
    """Inclusion probability of each row in each programme."""
    found = {name: np.zeros(len(rows)) for name in strata["programme"].unique()}
    for row in strata.to_dict("records"):
        at = (rows[list(CELL)] == [row[name] for name in CELL]).all(axis=1)
        at &= rows["bin"].between(row["first_bin"], row["last_bin"])
        by_views = np.minimum(1.0, row["probability_per_view"] * rows["views"])
        found[row["programme"]][at] = (
            by_views[at] if np.isnan(row["inclusion_probability"]) else row["inclusion_probability"]
        )
    return found


def drawn(rows: pd.DataFrame, pi: dict[str, np.ndarray], salt: int) -> dict[str, np.ndarray]:
    """Which rows each programme draws, by the rule in numpy."""
    salts = {name: salt_of(salt, name) for name in ("audit", "prevalence", "training")}
    numbers = {name: np.zeros(len(rows)) for name in pi}
    for policy, at in rows.groupby("policy").indices.items():
        for name in pi:
            ids = rows["video_id"].to_numpy("int64")[at]
            numbers[name][at] = programme_random(ids, str(policy), salts, name)
    return {name: numbers[name] < pi[name] for name in pi}


def test_the_budget_is_met_by_the_questions_that_are_really_drawn_and_every_probability_is_kept() -> None:
    """Over many salts: the mean number of questions, its variance, and how often a row of either version is drawn."""
    rows, salts = population(1500), 300
    plan = config(PROGRAMMES, BR=1400)
    strata = design(counted(rows), thresholds(CELLS), NO_CURVE, plan, panel=rows)
    pi = chances(rows, strata)
    item = rows.groupby(["policy", "video_id"]).ngroup().to_numpy()
    minutes = rows["policy"].map({name: policy.minutes_per_label for name, policy in plan.policies.items()}).to_numpy()
    each = np.zeros(item.max() + 1)
    each[item] = minutes
    spent, often = [], {name: np.zeros(len(rows)) for name in pi}
    for salt in range(salts):
        found = drawn(rows, pi, salt)
        asked = np.zeros(len(each), dtype=bool)
        for name, hit in found.items():
            asked[item[hit]] = True
            often[name] += hit
        spent.append(each @ asked)
    budget = 1400 * 0.6
    assert strata["expected_minutes"].sum() == pytest.approx(budget, rel=0.02)
    assert strata["expected_minutes"].sum() <= budget * (1 + 1e-9)
    error = np.std(spent) / np.sqrt(salts)
    assert np.mean(spent) == pytest.approx(strata["expected_minutes"].sum(), abs=4 * error)
    assert error < 0.005 * budget
    for name, hits in often.items():
        p = stats.binom.cdf(hits, salts, pi[name])
        assert (p[pi[name] > 0] > 1e-7).all()
        assert (stats.binom.sf(hits - 1, salts, pi[name])[hits > 0] > 1e-7).all()
        assert hits[pi[name] == 0].sum() == 0
    blind = design(counted(rows), thresholds(CELLS), NO_CURVE, plan)
    assert blind["expected_minutes"].sum() == pytest.approx(budget), "draws were counted, each as a question"
    fraud, violence = (strata[strata["policy"] == name] for name in ("fraud", "violence"))
    assert fraud["expected_minutes"].sum() == pytest.approx(violence["expected_minutes"].sum(), rel=0.03)
    versions = fraud.groupby("model_version")["expected_labels"].sum()
    assert versions.iloc[0] == pytest.approx(versions.iloc[1], rel=0.02)


def test_policies_are_drawn_independently_and_versions_together() -> None:
    rows, both, expected = population(4000), 0, 0.0
    for salt in range(20):
        hit = drawn(rows, {"audit": np.full(len(rows), 0.1)}, salt)["audit"]
        by = {cell[2]: set(rows.loc[hit & (rows["model_version"] == cell[2]), "video_id"]) for cell in CELLS}
        assert by["fraud-v2"] == by["fraud-v3"]
        both += len(by["fraud-v2"] & by["violence-v3"])
        expected += 0.1 * len(by["violence-v3"])
    assert 1e-3 < stats.poisson.cdf(both, expected) < 1 - 1e-3


def test_a_share_of_the_videos_is_enough_of_a_panel() -> None:
    rows = population(20_000)
    plan = config(PROGRAMMES, BR=1400)
    panel = rows[rows["video_id"] // 4096 % 8 == 0]
    strata = design(counted(rows), thresholds(CELLS), NO_CURVE, plan, panel=panel)
    pi = chances(rows, strata)
    item = rows.groupby(["policy", "video_id"]).ngroup().to_numpy()
    missed = np.ones(item.max() + 1)
    for chance in pi.values():
        largest = np.zeros(len(missed))
        np.maximum.at(largest, item, chance)
        missed *= 1 - largest
    each = np.zeros(len(missed))
    each[item] = rows["policy"].map({name: policy.minutes_per_label for name, policy in plan.policies.items()})
    assert each @ (1 - missed) == pytest.approx(1400 * 0.6, rel=0.05)


def test_where_minutes_suffice_every_video_is_asked_once_and_the_rest_goes_to_other_policies() -> None:
    rows = population(300)
    few = rows[(rows["policy"] == "violence") | (rows["video_id"] < 40 * 4096)]
    plan = config(PROGRAMMES, BR=800)
    strata = design(counted(few), thresholds(CELLS), NO_CURVE, plan, panel=few)
    fraud = strata[strata["policy"] == "fraud"]
    assert set(fraud["inclusion_probability"]) == {1.0}
    assert fraud["expected_labels"].sum() == 80
    each = plan.policies["fraud"].minutes_per_label
    assert fraud["expected_minutes"].sum() == pytest.approx(40 * each)
    assert strata["expected_minutes"].sum() == pytest.approx(480, rel=0.02)


def test_a_policy_with_few_videos_in_the_panel_is_judged_by_its_like_in_the_market() -> None:
    """2,000 videos of fraud are in the panel, of another policy with two versions three, which happen to agree."""
    rows = population(2000)
    other = rows[rows["policy"] == "fraud"].assign(policy="pornography", video_id=lambda of: of["video_id"] + 1)
    cells = [*CELLS, *(("pornography", market, version) for _, market, version in FRAUD)]
    three = other[other["video_id"].isin(np.sort(other["video_id"].unique())[:3])].assign(bin=10)
    counts, panel = counted(pd.concat([rows, other])), pd.concat([rows, three])
    strata = design(counts, thresholds(cells), NO_CURVE, config(PROGRAMMES, BR=500), panel=panel)
    asked = strata.groupby("policy")[["expected_labels", "expected_minutes"]].sum()
    each = {name: policy.minutes_per_label for name, policy in config().policies.items()}
    share = asked["expected_minutes"] / asked["expected_labels"] / pd.Series(each)
    assert share["pornography"] == pytest.approx(share["fraud"], rel=0.1)
    assert share["violence"] > 1.3 * share["fraud"]
