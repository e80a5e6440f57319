"""The metrics of a cell: against svy, against known truth, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.contract.tables import CELL, TABLES
from include.thresholds.metrics import korn_graubard, policy_metrics, poststratified, taylor_variance

BR, DE = ("violence", "BR", "v3"), ("violence", "DE", "v3")
DAY = dt.date(2026, 11, 1)


def platform(n=60_000, seed=1, prevalence=0.02, unscored=0.02) -> pd.DataFrame:
    """Videos of one cell with known truth."""
    random = np.random.default_rng(seed)
    violating = random.random(n) < prevalence
    score = np.where(violating, random.beta(4, 1.5, n), random.beta(0.6, 7, n))
    bins = np.where(random.random(n) < unscored, -1, np.minimum((score * 1000).astype(int), 999))
    views = np.floor(50 * np.exp(random.normal(0, 1, n))).astype(int)
    return pd.DataFrame({"bin": bins, "violating": violating, "views": views})


def histogram(videos, cell=BR) -> pd.DataFrame:
    counts = videos.groupby("bin")["views"].agg(n_videos="size", n_views="sum").reset_index()
    return counts.assign(ds=DAY, **dict(zip(CELL, cell, strict=True)))


def labels(videos, pi, cell=BR) -> pd.DataFrame:
    """Sample rows of `videos` as they were drawn with probabilities `pi`; scores are bin centres."""
    return pd.DataFrame(
        {
            "score": np.where(videos["bin"] < 0, np.nan, (videos["bin"] + 0.5) / 1000),
            "views": videos["views"],
            "inclusion_probability": pi,
            "p_violating": videos["violating"].astype(float),
            "sampled_on": DAY,
            **dict(zip(CELL, cell, strict=True)),
        }
    )


def thresholds(remove_at=0.6, *cells) -> pd.DataFrame:
    return pd.DataFrame(cells or [BR], columns=list(CELL)).assign(remove_at=remove_at, review_at=0.3)


def metrics(sample, population, limits=None) -> Any:
    rows = policy_metrics(sample, population, thresholds() if limits is None else limits)
    assert list(rows.columns) == list(TABLES["policy_metrics"].column_names)
    return rows.set_index("metric")


VIDEOS = platform()
PI = np.select([VIDEOS["bin"] < 0, VIDEOS["bin"] < 50, VIDEOS["bin"] < 300], [0.05, 0.01, 0.04], 0.3)
TRUTH = {
    "precision": VIDEOS.loc[VIDEOS["bin"] >= 600, "violating"].mean(),
    "prevalence": VIDEOS["violating"].mean(),
    "recall": VIDEOS.loc[VIDEOS["violating"], "bin"].ge(600).mean(),
    "violative_view_rate": np.average(VIDEOS["violating"], weights=VIDEOS["views"]),
}


def draw(seed) -> Any:
    drawn = np.random.default_rng(1000 + seed).random(len(VIDEOS)) < PI
    return labels(VIDEOS[drawn], PI[drawn])


def test_taylor_variance_and_korn_graubard_agree_with_svy():
    import polars as pl
    import svy

    random = np.random.default_rng(1)
    for n, p in [(200, 0.9), (150, 0.6), (1000, 0.03)]:
        answer, weight = (random.random(n) < p).astype(float), random.uniform(1, 30, n)
        data = svy.Sample(pl.DataFrame({"y": answer.astype(int), "w": weight}), svy.Design(wgt="w"))
        (oracle,) = [
            level for level in data.estimation.prop("y", ci_method="korn-graubard").estimates if level.y_level == 1
        ]
        value, variance = np.average(answer, weights=weight), taylor_variance(answer, weight)
        assert value == pytest.approx(oracle.est)
        assert variance == pytest.approx(oracle.se**2, rel=1e-9)
        interval = korn_graubard(value, min(n, value * (1 - value) / variance))
        assert interval == pytest.approx((oracle.lci, oracle.uci), rel=1e-9)


def test_precision_with_equal_weights_is_clopper_pearson():
    from statsmodels.stats.proportion import proportion_confint

    for right in (80, 77):
        answers = pd.DataFrame({"bin": 700, "violating": np.arange(80) < right, "views": 1})
        row = metrics(labels(answers, 0.1), histogram(VIDEOS)).loc["precision"]
        low, high = proportion_confint(right, 80, method="beta")
        assert (row["value"], row["n"]) == (right / 80, 80)
        assert (row["low"], row["high"]) == pytest.approx((low, high), abs=2e-3)


def test_a_census_is_exact():
    rows = metrics(labels(VIDEOS, 1.0), histogram(VIDEOS))
    for metric, truth in TRUTH.items():
        assert rows.loc[metric, "value"] == pytest.approx(truth)
        assert rows.loc[metric, "high"] - rows.loc[metric, "low"] < (0.03 if metric == "precision" else 1e-6)


def test_intervals_cover_the_truth_as_often_as_claimed():
    """250 samples of about 2,000 labels; 95 % is claimed. Three standard errors of the share are 4 %."""
    population = histogram(VIDEOS)
    samples = {f"policy-{seed}": draw(seed) for seed in range(250)}
    rows = policy_metrics(
        pd.concat([sample.assign(policy=name) for name, sample in samples.items()], ignore_index=True),
        pd.concat([population.assign(policy=name) for name in samples], ignore_index=True),
        pd.concat([thresholds().assign(policy=name) for name in samples], ignore_index=True),
    )
    for metric, truth in TRUTH.items():
        stated = rows[(rows["metric"] == metric) & rows["value"].notna()]
        assert len(stated) >= 245
        covered = ((stated["low"] <= truth) & (truth <= stated["high"])).mean()
        assert 0.91 <= covered <= 0.99, (metric, covered)
        assert stated["value"].mean() == pytest.approx(truth, rel=0.03), metric
        # A normal interval from the true spread is the shortest that could be asked for.
        assert (stated["high"] - stated["low"]).median() < 1.5 * 3.92 * stated["value"].std(), metric


def test_missing_labels_do_no_harm_if_those_present_are_typical_of_their_band():
    """Two labels in three are late, and removed videos are answered first: 1 / inclusion probability is far off."""
    sample = pd.concat([draw(seed) for seed in range(8)], ignore_index=True)
    late = np.random.default_rng(2000).random(len(sample)) < np.where(sample["score"] >= 0.6, 0.2, 0.67)
    rows = metrics(sample[~late], histogram(VIDEOS))
    for metric, truth in TRUTH.items():
        assert rows.loc[metric, "low"] <= truth <= rows.loc[metric, "high"]
        assert rows.loc[metric, "value"] == pytest.approx(truth, rel=0.12)


def test_violative_view_rate_weighs_by_views():
    videos = platform(20_000, seed=3, prevalence=0.1)
    videos["views"] = np.where(videos["violating"], 400, 100)
    rows = metrics(labels(videos, 1.0), histogram(videos))
    p = videos["violating"].mean()
    assert rows.loc["prevalence", "value"] == pytest.approx(p)
    assert rows.loc["violative_view_rate", "value"] == pytest.approx(4 * p / (4 * p + 1 - p))


def test_bands_follow_scores_only_and_every_band_has_its_total():
    random = np.random.default_rng(5)
    bins, weight = random.integers(-1, 1000, 400), random.uniform(1, 9, 400)
    totals = random.integers(1, 50, 1001).astype(float)
    found = poststratified(bins, weight, totals, cuts=(900,))
    assert not isinstance(found, str)
    share, band = found
    assert share.sum() == pytest.approx(1)
    assert share[bins >= 900].sum() == pytest.approx(totals[901:].sum() / totals.sum())
    assert share[bins < 0].sum() == pytest.approx(totals[0] / totals.sum())
    for one in np.unique(band):
        assert np.ptp(share[band == one] / weight[band == one]) == pytest.approx(0, abs=1e-12)


def test_refusals_are_named():
    population = histogram(VIDEOS)
    few = metrics(draw(1)[:12], population)
    assert few["value"].isna().all()
    assert few.loc["prevalence", "refusal"] == "12 labels, 30 needed"
    none = metrics(draw(1).iloc[:0], population)
    assert none["refusal"].tolist() == ["0 labels, 30 needed"] * 4

    nothing_removed = metrics(draw(1), population, thresholds(1.0))
    for metric in ("precision", "recall"):
        assert nothing_removed.loc[metric, "refusal"] == "no video at or above remove_at"
    assert pd.notna(nothing_removed.loc["prevalence", "value"])

    scored = metrics(draw(1).dropna(), population)
    assert scored.loc["prevalence", "refusal"].startswith("no label among videos without score, 2.03% of")
    unseen = metrics(draw(1).assign(views=0), population.assign(n_views=0))
    assert unseen.loc["violative_view_rate", "refusal"] == "no views"

    uneven = draw(1)
    uneven.loc[uneven.index[uneven["score"] > 0.6][:3], "inclusion_probability"] = 1e-4
    assert metrics(uneven, population).loc["precision", "refusal"].startswith("effective sample size 3.")
    coarse = metrics(draw(1).sample(60, random_state=1), population)
    assert coarse.loc["recall", "refusal"].startswith("effective sample size")
    split = labels(pd.DataFrame({"bin": 700, "violating": np.arange(40) < 24, "views": 1}), 0.1)
    wide = metrics(split, population).loc["precision", "refusal"]
    assert wide.startswith("interval 0.4")
    assert wide.endswith("is wider than 0.3")


def test_no_violating_video_gives_an_upper_bound_only():
    videos = platform(20_000, seed=4, prevalence=0.0)
    sample = labels(videos[:600], 0.03)
    rows = metrics(sample, histogram(videos))
    row = rows.loc["prevalence"]
    assert pd.isna(row["value"])
    assert pd.isna(row["low"])
    assert row["high"] == pytest.approx(3 / 600, rel=0.1)  # the rule of three
    assert row["refusal"] == f"no violating video among 600 labels: at most {row['high']:.2%}"
    assert rows.loc["recall", "refusal"] == "no violating video among 600 labels"


def test_recall_of_one_still_has_a_lower_end():
    sample = draw(2)
    sample["p_violating"] = (sample["score"] >= 0.6).astype(float)
    row = metrics(sample, histogram(VIDEOS)).loc["recall"]
    assert row["value"] == pytest.approx(1)
    assert 0.7 < row["low"] < 1
    assert row["high"] == pytest.approx(1)


def test_remove_at_between_two_bins_is_measured_at_the_upper_one():
    rows = metrics(draw(1), histogram(VIDEOS), thresholds(0.5995))
    pd.testing.assert_frame_equal(rows, metrics(draw(1), histogram(VIDEOS)))
    assert (rows["threshold"] == 0.6).all()


def test_every_cell_of_the_window_has_its_rows_and_order_is_irrelevant():
    population = pd.concat([histogram(VIDEOS), histogram(VIDEOS[:3000], DE)])
    limits = thresholds(0.6, DE, BR)
    rows = policy_metrics(draw(1), population, limits)
    assert rows[[*CELL, "metric"]].to_numpy().tolist() == [[*cell, metric] for cell in (BR, DE) for metric in TRUTH]
    shuffled = policy_metrics(draw(1).sample(frac=1, random_state=1), population.sample(frac=1, random_state=2), limits)
    pd.testing.assert_frame_equal(rows, shuffled, rtol=1e-9)
    alone = policy_metrics(draw(1), histogram(VIDEOS), limits)
    pd.testing.assert_frame_equal(rows[:4], alone)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("inclusion_probability", 0.0, "sample: inclusion_probability 0.0 in row 5 is out of range"),
        ("inclusion_probability", 1.1, "sample: inclusion_probability 1.1 in row 5"),
        ("p_violating", np.nan, "sample: p_violating nan in row 5"),
        ("score", 1.7, "sample: score 1.7 in row 5"),
        ("views", -1, "sample: views -1 in row 5"),
        ("market", "FR", "histogram: cell of the sample violence/FR/v3 is missing"),
        ("sampled_on", dt.date(2026, 10, 1), "histogram: day 2026-10-01 of the sample is missing"),
    ],
)
def test_bad_rows_are_refused_by_name(column, value, message):
    sample = draw(1)
    sample.iloc[5, sample.columns.get_loc(column)] = value
    with pytest.raises(ValueError, match=message):
        metrics(sample, histogram(VIDEOS))


def test_bad_tables_are_refused_by_name():
    sample, population = draw(1), histogram(VIDEOS)
    with pytest.raises(ValueError, match="sample: column views is missing"):
        metrics(sample.drop(columns="views"), population)
    with pytest.raises(ValueError, match="thresholds: cell violence/BR/v3 is missing"):
        metrics(sample, population, thresholds(0.6, DE))
