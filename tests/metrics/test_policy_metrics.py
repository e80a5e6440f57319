"""The metrics of a cell: against svy, against known truth, and what is refused."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.certificates.intervals import korn_graubard
from include.config.load import load_config
from include.config.model import Config
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, TABLES
from include.metrics.policy_metrics import policy_metrics, poststratified, taylor_variance
from include.warehouse.duckdb import checked_rows

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


def config_of(*policies: str, correct: bool = True) -> Config:
    """The shipped configuration with such policies, which may remove from score .5 on; FR is in the region of DE."""
    loaded = load_config()
    settings = loaded.policies["violence"].model_copy(update={"correct_reviewer_error": correct})
    markets = {**loaded.markets, "FR": loaded.markets["DE"]}
    return loaded.model_copy(update={"policies": dict.fromkeys(policies, settings), "markets": markets})


def metrics(sample, population, limits=None) -> Any:
    rows = policy_metrics(sample, population, thresholds() if limits is None else limits, config_of("violence"))
    assert list(rows.columns) == list(TABLES["policy_metrics"].column_names)
    checked_rows(TABLES["policy_metrics"], rows)
    return rows[rows["population"] == "cell"].set_index("metric")


VIDEOS = platform()
PI = np.select([VIDEOS["bin"] < 0, VIDEOS["bin"] < 50, VIDEOS["bin"] < 300], [0.05, 0.01, 0.04], 0.3)
TRUTH = {
    "precision": VIDEOS.loc[VIDEOS["bin"] >= 600, "violating"].mean(),
    "prevalence": VIDEOS["violating"].mean(),
    "recall": VIDEOS.loc[VIDEOS["violating"], "bin"].ge(600).mean(),
    "violative_view_rate": np.average(VIDEOS["violating"], weights=VIDEOS["views"]),
    "false_positive_rate": VIDEOS.loc[~VIDEOS["violating"], "bin"].ge(600).mean(),
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
        interval = korn_graubard(value, min(n, value * (1 - value) / variance), level=0.95)
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
        assert rows.loc[metric, "high"] - rows.loc[metric, "low"] < {
            "precision": 0.03,
            "false_positive_rate": 5e-4,
        }.get(metric, 1e-6)


def test_intervals_cover_the_truth_as_often_as_claimed():
    """250 samples of about 2,000 labels; 95 % is claimed. Three standard errors of the share are 4 %."""
    population = histogram(VIDEOS)
    samples = {f"policy-{seed}": draw(seed) for seed in range(250)}
    rows = policy_metrics(
        ProbabilitySample(pd.concat([part.assign(policy=name) for name, part in samples.items()], ignore_index=True)),
        pd.concat([population.assign(policy=name) for name in samples], ignore_index=True),
        pd.concat([thresholds().assign(policy=name) for name in samples], ignore_index=True),
        config_of(*samples),
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
    assert none["refusal"].tolist() == ["0 labels, 30 needed"] * 5

    nothing_removed = metrics(draw(1), population, thresholds(1.0))
    for metric in ("precision", "recall", "false_positive_rate"):
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


def test_remove_at_between_two_bins_is_refused_since_the_histogram_would_not_be_exact():
    with pytest.raises(ValueError, match=r"0\.5995 is not a multiple of 0\.001"):
        metrics(draw(1), histogram(VIDEOS), thresholds(0.5995))


def test_every_cell_of_the_window_has_its_rows_and_order_is_irrelevant():
    population = pd.concat([histogram(VIDEOS), histogram(VIDEOS[:3000], DE)])
    limits = thresholds(0.6, DE, BR)
    config = config_of("violence")
    rows = policy_metrics(draw(1), population, limits, config)
    ordered = [["violence", market, "v3", metric] for market in ("*", "BR", "DE") for metric in sorted(TRUTH)]
    assert rows[[*CELL, "metric"]].to_numpy().tolist() == ordered
    sample, mixed = draw(1).sample(frac=1, random_state=1), population.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(rows, policy_metrics(sample, mixed, limits, config), rtol=1e-9)
    alone = policy_metrics(draw(1), histogram(VIDEOS), limits, config)
    pd.testing.assert_frame_equal(rows[5:10].reset_index(drop=True), alone)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("inclusion_probability", 0.0, "sample: inclusion_probability 0.0 in row 5 is out of range"),
        ("inclusion_probability", 1.1, "sample: inclusion_probability 1.1 in row 5"),
        ("p_violating", np.nan, "sample: p_violating nan in row 5"),
        ("score", 1.7, "sample: score 1.7 in row 5"),
        ("views", -1, "sample: views -1 in row 5"),
        ("market", "FR", "histogram: cell of the sample violence/FR/v3 is missing"),
        ("views", np.nan, "sample: views nan in row 5"),
        ("inclusion_probability", np.nan, "sample: inclusion_probability nan in row 5"),
        ("inclusion_probability", -0.2, "sample: inclusion_probability -0.2 in row 5"),
        ("score", -0.1, "sample: score -0.1 in row 5"),
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
    with pytest.raises(ValueError, match="histogram: policy 'violence' is not configured"):
        policy_metrics(sample, population, thresholds(), config_of("spam"))
    with pytest.raises(ValueError, match=r"golden: 0\.5 in row .* is neither 0 nor 1"):
        metrics(sample.assign(golden=0.5, video_id=np.arange(len(sample))), population)


def test_pooled_metrics_are_those_of_the_cells_together_each_at_its_own_threshold():
    """A census of three markets, two of them in one region, is exact; a market alone in its region has no such row."""
    fr = ("violence", "FR", "v3")
    parts = {BR: (platform(8_000, seed=6), 0.7), DE: (platform(5_000, seed=7), 0.5), fr: (platform(9_000, seed=8), 0.6)}
    limits = pd.DataFrame([(*cell, at, 0.3) for cell, (_, at) in parts.items()], columns=[*CELL, "remove_at", "r"])
    given = [(videos, 1.0, cell) for cell, (videos, _) in parts.items()]
    rows = policy_metrics(
        ProbabilitySample(pd.concat([labels(*args) for args in given], ignore_index=True)),
        pd.concat([histogram(videos, cell) for cell, (videos, _) in parts.items()]),
        limits,
        config_of("violence"),
    )
    assert rows["population"].value_counts().to_dict() == {"cell": 15, "policy": 5, "region europe": 5}
    for population, cells in (("policy", list(parts)), ("region europe", [DE, fr])):
        videos = pd.concat([parts[cell][0].assign(at=parts[cell][1]) for cell in cells])
        removed, violating = videos["bin"] >= videos["at"] * 1000, videos["violating"]
        found = rows[rows["population"] == population].set_index("metric")
        truth = {
            "precision": violating[removed].mean(),
            "recall": removed[violating].mean(),
            "false_positive_rate": removed[~violating].mean(),
            "prevalence": violating.mean(),
            "violative_view_rate": np.average(violating, weights=videos["views"]),
        }
        assert found["value"].to_dict() == pytest.approx(truth)
        assert (found["low"] <= found["value"]).all()
        assert (found["value"] <= found["high"]).all()
        assert found["threshold"].isna().all()
        assert (found["market"] == "*").all()
        assert found.loc["precision", "n"] == removed.sum()


def noisy(sample, seed, *, sensitivity=0.85, specificity=0.97, golden=0.4) -> pd.DataFrame:
    """Labels of reviewers who err in the candidate region and hardly elsewhere, some of them settled."""
    random = np.random.default_rng(seed)
    truth = sample["p_violating"].to_numpy() == 1
    alarms = np.where(sample["score"] >= 0.5, 1 - specificity, 0.002)
    called = random.random(len(sample)) < np.where(truth, sensitivity, alarms)
    known = np.where(random.random(len(sample)) < golden, truth, np.nan)
    return sample.assign(p_violating=called.astype(float), golden=known, video_id=np.arange(len(sample)))


def test_corrected_metrics_cover_the_truth_that_reviewers_miss():
    """120 samples of about 2,000 labels, two fifths settled; 95 % is claimed, four standard errors are 8 %."""
    population = histogram(VIDEOS)
    samples = {f"policy-{seed}": noisy(draw(seed), seed) for seed in range(120)}
    rows = policy_metrics(
        ProbabilitySample(pd.concat([part.assign(policy=name) for name, part in samples.items()], ignore_index=True)),
        pd.concat([population.assign(policy=name) for name in samples], ignore_index=True),
        pd.concat([thresholds().assign(policy=name) for name in samples], ignore_index=True),
        config_of(*samples),
    )
    for metric, truth in TRUTH.items():
        stated = rows[(rows["metric"] == metric) & rows["corrected"].notna()]
        assert len(stated) >= 60, metric
        covered = ((stated["corrected_low"] <= truth) & (truth <= stated["corrected_high"])).mean()
        assert covered >= 0.9, (metric, covered)
        assert stated["corrected"].mean() == pytest.approx(truth, rel=0.25 if metric == "false_positive_rate" else 0.06)
        width = (stated["corrected_high"] - stated["corrected_low"]).median()
        assert width > (stated["high"] - stated["low"]).median(), metric
    precise = rows[rows["metric"] == "precision"]
    assert (precise["high"] < TRUTH["precision"]).mean() > 0.9  # the consensus makes removals look worse than they are


def test_what_cannot_be_corrected_says_why():
    population = histogram(VIDEOS)
    sample = noisy(draw(3), 3)
    asked = policy_metrics(ProbabilitySample(sample), population, thresholds(), config_of("violence", correct=False))
    assert asked["corrected"].isna().all()
    assert set(asked["correction"]) == {"the policy does not ask for it"}
    few = metrics(sample.assign(golden=sample["golden"].where(sample.index < sample.index[100])), population)
    assert few["corrected"].isna().all()
    assert few["correction"].str.fullmatch(r"experts settled \d+ violating and \d+ other videos, 30 of each .*").all()
    # Where one settled harmless video in five was called violating, the 2 % that are so called could all be harmless.
    wrong = (sample["p_violating"] == 1) & (draw(3)["p_violating"] == 0)
    golden = (
        sample["golden"].mask(wrong, 0.0).mask(~wrong & (sample["golden"] == 0) & (np.arange(len(sample)) % 40 > 0))
    )
    found = metrics(sample.assign(golden=golden), population)
    assert "is not above 1 - specificity" in found.loc["prevalence", "correction"]
    assert pd.isna(found.loc["prevalence", "corrected"])
    assert found.loc["prevalence", "value"] > 0


def test_prevalence_agrees_with_prediction_powered_inference():
    """With equal weights, ppi-python's difference estimator from the very same curve. Its interval is for infinitely
    many videos; here a tenth of all are labelled.
    """
    from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

    from include.contract.grid import bin_of
    from include.evidence.calibration import curve_by_cell

    drawn = np.random.default_rng(4).random(len(VIDEOS)) < 0.1
    sample = labels(VIDEOS[drawn], 0.1)
    row = metrics(sample, histogram(VIDEOS)).loc["prevalence"]
    curve = curve_by_cell(ProbabilitySample(sample), [BR])[BR]
    here, all_videos = (curve[bins + 1] for bins in (bin_of(sample["score"].to_numpy()), VIDEOS["bin"].to_numpy()))
    y = sample["p_violating"].to_numpy()
    point = ppi_mean_pointestimate(y, here, all_videos, lam=1.0)[0]
    low, high = (limit[0] for limit in ppi_mean_ci(y, here, all_videos, alpha=0.05, lam=1.0))
    assert row["value"] == pytest.approx(point, rel=0.05)
    assert row["high"] - row["low"] == pytest.approx((high - low) * math.sqrt(0.9), rel=0.12)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1).map(np.random.default_rng),
    st.sampled_from(["mixed", "all", "none", "half"]),
    st.sampled_from(["spread", "one score", "one stratum", "no score"]),
    st.sampled_from([0, 1, 29, 30, 300]),
    st.sampled_from([0.001, 0.5, 1.0]),
)
def test_whatever_the_labels_every_metric_is_stated_or_refused(random, answers, scores, n, remove_at):
    """No, all or half-sure violating; thousands of ties; one stratum; no score anywhere; one label and none."""
    videos = platform(5_000, seed=11)
    if scores == "one score":
        videos["bin"] = 700
    elif scores == "no score":
        videos["bin"] = -1
    drawn = videos[videos["bin"] >= 500] if scores == "one stratum" else videos
    sample = labels(drawn.sample(min(n, len(drawn)), random_state=random.integers(2**31)), 1.0)
    sample["inclusion_probability"] = random.choice([1e-4, 0.1, 1.0], len(sample))
    if answers != "mixed":
        sample["p_violating"] = {"all": 1.0, "none": 0.0, "half": 0.5}[answers]
    sample["golden"] = np.where(random.random(len(sample)) < 0.7, sample["p_violating"].round(), np.nan)
    sample["video_id"] = np.arange(len(sample))
    rows = metrics(sample, histogram(videos), thresholds(remove_at))
    assert len(rows) == 5
    for _, row in rows.iterrows():
        assert pd.isna(row["value"]) == pd.notna(row["refusal"])
        assert pd.isna(row["corrected"]) == pd.notna(row["correction"])
        for value, low, high in (("value", "low", "high"), ("corrected", "corrected_low", "corrected_high")):
            if pd.notna(row[value]):
                assert 0 <= row[low] <= row[value] <= row[high] <= 1
