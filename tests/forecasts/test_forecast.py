"""Volumes against a count of every video; quality against the whole population's truth."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contract.grid import ThresholdPair, first_bin
from include.forecasts.forecast import ContestedRemovals, flips, forecast, share, volumes
from include.simulation.population import content, scores, uploads
from include.simulation.scenario import load_scenario

edges = st.integers(0, 1000).map(lambda k: k / 1000)


def platform(seed: int, n: int = 4000) -> pd.DataFrame:
    """Every video of a cell with its truth."""
    rng = np.random.default_rng(seed)
    violating = rng.random(n) < 0.2
    score = np.where(violating, rng.beta(4, 1.5, n), rng.beta(1, 5, n))
    score[rng.random(n) < 0.03] = np.nan
    return pd.DataFrame(
        {
            "sample_id": [f"draw-{i:05d}" for i in range(n)],
            "score": score,
            "p_violating": violating.astype(float),
            "views": rng.integers(0, 500, n),
            "inclusion_probability": 1.0,
        }
    )


def histogram(videos: pd.DataFrame) -> pd.DataFrame:
    bins = np.minimum(np.floor(videos["score"] * 1000), 999).fillna(-1).astype(int)
    frame = pd.DataFrame({"bin": bins, "n_videos": 1, "n_views": videos["views"]})
    return frame.groupby("bin", as_index=False).sum()


def effect(
    videos: pd.DataFrame, sample: pd.DataFrame, old: ThresholdPair, new: ThresholdPair, no_score="review", **given
) -> dict:
    given = {"contested": ContestedRemovals(1000, 20), **given}
    return forecast(histogram(videos), sample, old, new, no_score=no_score, minutes_per_label=1.5, **given)


def test_every_histogram_edge_is_exact():
    assert [first_bin(k / 1000) for k in range(1001)] == list(range(1001))
    on_edges = pd.DataFrame({"score": np.arange(1000) / 1000, "views": 1})
    for k in range(0, 1000, 37):
        assert volumes(histogram(on_edges), ThresholdPair(k / 1000, k / 1000), "allow").removes == 1000 - k


@pytest.mark.parametrize("bad", [0.9855, 1.001, -0.001])
def test_a_threshold_between_edges_is_refused(bad):
    with pytest.raises(ValueError, match=r"multiple of 0.001"):
        first_bin(bad)


@settings(max_examples=40, deadline=None)
@given(old=st.tuples(edges, edges), new=st.tuples(edges, edges), no_score=st.sampled_from(["review", "allow"]))
def test_volumes_are_a_count_of_every_video(old, new, no_score):
    videos = platform(1, 500)
    score, views = videos["score"].to_numpy(), videos["views"].to_numpy()
    old, new = ThresholdPair(max(old), min(old)), ThresholdPair(max(new), min(new))
    result = effect(videos, videos.iloc[:0], old, new, no_score)
    for when, pair in (("before", old), ("after", new)):
        actions = np.where(
            np.isnan(score),
            no_score,
            np.where(score >= pair.remove_at, "remove", np.where(score >= pair.review_at, "review", "allow")),
        )
        for action, videos_key, views_key in (
            ("remove", "removes", "remove_views"),
            ("review", "reviews", "review_views"),
            ("allow", "allows", "allow_views"),
        ):
            assert result[videos_key][when] == (actions == action).sum()
            assert result[views_key][when] == views[actions == action].sum()
        assert result["reviewer_minutes"][when] == 1.5 * (actions == "review").sum()


@pytest.mark.parametrize(
    ("old", "new"),
    [(ThresholdPair(0.9, 0.5), ThresholdPair(0.6, 0.4)), (ThresholdPair(0.6, 0.4), ThresholdPair(0.9, 0.5))],
)
def test_with_every_video_labelled_quality_is_the_truth(old, new):
    videos = platform(2)
    result = effect(videos, videos, old, new)
    score, violating = videos["score"], videos["p_violating"] == 1
    wrongful = [int(((score >= pair.remove_at) & ~violating).sum()) for pair in (old, new)]
    prevented = [int(videos["views"][(score >= pair.remove_at) & violating].sum()) for pair in (old, new)]
    assert result["wrongful_removals_change"]["estimate"] == pytest.approx(wrongful[1] - wrongful[0])
    assert result["violative_views_prevented_change"]["estimate"] == pytest.approx(prevented[1] - prevented[0])
    for when, pair in (("before", old), ("after", new)):
        removed, found = score >= pair.remove_at, (score >= pair.review_at) | score.isna()
        assert result["precision"][when]["estimate"] == pytest.approx(violating[removed].mean())
        assert result["recall"][when]["estimate"] == pytest.approx(found[violating].mean())
    for change in (result["wrongful_removals_change"], result["violative_views_prevented_change"]):
        assert change["low"] < change["estimate"] < change["high"]


def test_videos_without_a_score_are_missed_where_the_policy_allows_them():
    videos = platform(3)
    pair = ThresholdPair(0.9, 0.0)
    reviewed = effect(videos, videos, pair, pair, "review")["recall"]["after"]["estimate"]
    allowed = effect(videos, videos, pair, pair, "allow")["recall"]["after"]["estimate"]
    violating = videos["p_violating"] == 1
    assert reviewed == pytest.approx(1.0)
    assert allowed == pytest.approx(videos["score"][violating].notna().mean())


def test_intervals_cover_the_truth_under_unequal_inclusion_probabilities():
    videos = platform(4, 20_000)
    pi = np.where(videos["score"].fillna(0) > 0.7, 0.3, 0.06)
    old, new = ThresholdPair(0.9, 0.5), ThresholdPair(0.5, 0.3)
    truth = effect(videos, videos, old, new)
    rng = np.random.default_rng(5)
    covered = {"wrongful_removals_change": 0, "violative_views_prevented_change": 0, "precision_change": 0}
    counted = histogram(videos)
    for _ in range(200):
        drawn = rng.random(len(videos)) < pi
        sample = videos[drawn].assign(inclusion_probability=pi[drawn])
        result = forecast(counted, sample, old, new, no_score="review", minutes_per_label=1.5, contested="unknown")
        for name in covered:
            covered[name] += result[name]["low"] <= truth[name]["estimate"] <= result[name]["high"]
    assert min(covered.values()) >= 0.92 * 200, covered


def test_equal_weights_give_the_clopper_pearson_interval():
    from statsmodels.stats.proportion import proportion_confint

    for hits, n in ((0, 12), (3, 40), (40, 40)):
        estimate = share([1.0] * hits + [0.0] * (n - hits), np.full(n, 7.0))
        assert (estimate.low, estimate.high) == pytest.approx(proportion_confint(hits, n, method="beta"), abs=1e-12)
        assert (estimate.value, estimate.n, estimate.effective_n) == pytest.approx((hits / n, n, n))


def test_unequal_weights_widen_the_interval():
    equal = share([1, 0] * 20, np.ones(40))
    unequal = share([1, 0] * 20, [1, 1, 10, 10] * 10)
    assert unequal.high - unequal.low > equal.high - equal.low


def test_without_labels_in_the_band_all_that_is_possible_is_stated():
    videos = platform(6)
    result = effect(videos, videos[videos["score"] >= 0.95], ThresholdPair(0.9, 0.5), ThresholdPair(0.7, 0.5))
    unknown = result["wrongful_removals_change"]
    assert (unknown["estimate"], unknown["low"], unknown["high"]) == (None, 0.0, result["band"]["videos"])
    assert unknown["labels_needed"] > 0
    assert result["band"]["labels"] == 0
    assert result["precision_change"]["estimate"] is None
    tightened = effect(videos, videos.iloc[:0], ThresholdPair(0.7, 0.5), ThresholdPair(0.9, 0.5))[
        "wrongful_removals_change"
    ]
    assert (tightened["estimate"], tightened["low"], tightened["high"]) == (None, -result["band"]["videos"], 0.0)


def test_the_keys_are_always_the_same_and_json_can_hold_them():
    videos, pair = platform(7), ThresholdPair(0.9, 0.5)
    nothing = effect(videos.iloc[:0], videos.iloc[:0], pair, pair)
    something = effect(videos, videos, pair, ThresholdPair(0.8, 0.4))
    assert json.loads(json.dumps(nothing, allow_nan=False)) == nothing
    assert json.loads(json.dumps(something, allow_nan=False)) == something
    assert list(nothing) == list(something)
    assert all(list(nothing[key]) == list(something[key]) for key in nothing)
    none = {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert nothing["wrongful_removals_change"] == {**none, "labels_needed": None}
    assert nothing["appeals_overturned_change"] == {**none, "refusal": None}


def poisson(videos: pd.DataFrame, pi: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    drawn = rng.random(len(videos)) < pi
    return videos[drawn].assign(inclusion_probability=pi[drawn])


@pytest.mark.parametrize(
    ("old", "new"),
    [(ThresholdPair(0.95, 0.5), ThresholdPair(0.9, 0.5)), (ThresholdPair(0.9, 0.5), ThresholdPair(0.95, 0.5))],
)
def test_intervals_cover_rare_wrongful_removals(old, new):
    """Some 2 % of a small band are wrong and a draw meets about one of them; Wald's interval covers 3 times in 4."""
    rng = np.random.default_rng(11)
    score = rng.random(20_000)
    violating = rng.random(20_000) > np.where(score >= 0.85, 0.02, 0.97)
    frame = {"sample_id": "x", "score": score, "p_violating": violating * 1.0, "views": rng.integers(1, 99, 20_000)}
    videos = pd.DataFrame({**frame, "inclusion_probability": 1.0})
    pi = np.where(score > 0.92, 0.1, 0.04)
    truth, counted = effect(videos, videos, old, new), histogram(videos)
    covered = {"wrongful_removals_change": 0, "violative_views_prevented_change": 0, "precision_change": 0}
    for _ in range(150):
        sample = poisson(videos, pi, rng)
        result = forecast(counted, sample, old, new, no_score="allow", minutes_per_label=1.0, contested="unknown")
        for name in covered:
            covered[name] += result[name]["low"] <= truth[name]["estimate"] <= result[name]["high"]
    assert min(covered.values()) >= 0.92 * 150, covered


def test_the_sign_of_the_precision_change_and_its_size_are_those_of_all_videos():
    videos = platform(2)
    score, violating = videos["score"], videos["p_violating"] == 1
    for old, new in ((0.9, 0.6), (0.6, 0.9)):
        result = effect(videos, videos, ThresholdPair(old, 0.3), ThresholdPair(new, 0.3))["precision_change"]
        assert result["estimate"] == pytest.approx(violating[score >= new].mean() - violating[score >= old].mean())
        assert result["low"] < result["estimate"] < result["high"]


def test_the_labels_it_asks_for_settle_a_change():
    """A change estimated from few labels: with as many more as it asks for, it is known to about half of itself."""
    videos, rng = platform(8, 60_000), np.random.default_rng(9)
    old, new = ThresholdPair(0.9, 0.5), ThresholdPair(0.5, 0.3)
    few = poisson(videos, np.full(len(videos), 0.01), rng)
    first = effect(videos, few, old, new)
    needed = first["wrongful_removals_change"]["labels_needed"]
    assert needed > 0
    more = min(0.01 * (1 + needed / first["band"]["labels"]), 1.0)
    second = effect(videos, poisson(videos, np.full(len(videos), more), rng), old, new)["wrongful_removals_change"]
    half = (second["high"] - second["low"]) / 2
    small = 0.01 * first["removes"]["before"]
    assert 0.5 <= half / max(0.5 * second["estimate"], small) <= 1.5
    assert effect(videos, videos, old, new)["wrongful_removals_change"]["labels_needed"] == 0


def test_more_labels_tell_the_sign_of_a_small_precision_change():
    """Of the labels above .9, 28 of 30 are right, of those from .8 to there 17 of 20: worse, but not surely."""

    def labelled(times: int) -> pd.DataFrame:
        right = np.array(([1.0] * 28 + [0.0] * 2) * times + ([1.0] * 17 + [0.0] * 3) * times)
        score = np.repeat([0.95, 0.85], [30 * times, 20 * times])
        return pd.DataFrame(
            {"sample_id": "x", "score": score, "p_violating": right, "views": 1, "inclusion_probability": 0.1}
        )

    counted = pd.DataFrame({"bin": [850, 950], "n_videos": [200, 300], "n_views": 1})

    def change(times: int) -> dict:
        old, new = ThresholdPair(0.9, 0.3), ThresholdPair(0.8, 0.3)
        return forecast(
            counted, labelled(times), old, new, no_score="allow", minutes_per_label=1.0, contested="unknown"
        )["precision_change"]

    unsure = change(1)
    assert unsure["low"] < 0 < unsure["high"]
    enough = unsure["labels_needed"] / 50 + 1
    assert change(int(enough / 2))["high"] > 0
    told = change(int(np.ceil(enough)))
    assert told["high"] <= 0
    assert told["labels_needed"] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [(ThresholdPair(0.9, 0.5), ThresholdPair(0.6, 0.4)), (ThresholdPair(0.6, 0.4), ThresholdPair(0.9, 0.5))],
)
def test_overturned_appeals_are_foreseen_where_wrongful_removals_are_contested_alike(old, new):
    """A third of the wrongful removals, and no other, are overturned: more of them come with a less precise band."""
    rng = np.random.default_rng(12)
    score = rng.random(10_000)
    violating = rng.random(10_000) < np.where(score >= 0.9, 0.95, 0.8)
    frame = {"sample_id": "x", "score": score, "p_violating": violating * 1.0, "views": 1}
    videos = pd.DataFrame({**frame, "inclusion_probability": 1.0})
    above, now = videos["score"] >= min(old.remove_at, new.remove_at), videos["score"] >= old.remove_at
    overturned = (videos["p_violating"] == 0) & (rng.random(len(videos)) < 1 / 3)
    truth = int((overturned & (videos["score"] >= new.remove_at)).sum() - (overturned & now).sum())
    contested = ContestedRemovals(int(now.sum()), int((overturned & now).sum()))
    result = effect(videos, videos[above], old, new, contested=contested)["appeals_overturned_change"]
    assert result["refusal"] is None
    assert result["low"] < truth < result["high"]
    assert result["estimate"] == pytest.approx(truth, rel=0.35)


@pytest.mark.parametrize(
    ("contested", "said"),
    [
        ("switched off: the platform delivers no appeals", "switched off: the platform delivers no appeals"),
        (ContestedRemovals(70, 0), "no appeal was overturned among 70 removals"),
    ],
)
def test_what_appeals_cannot_tell_is_refused_by_name(contested, said):
    videos = platform(3)
    result = effect(videos, videos, ThresholdPair(0.9, 0.5), ThresholdPair(0.6, 0.4), contested=contested)[
        "appeals_overturned_change"
    ]
    assert said in result["refusal"]
    assert result["estimate"] is None


def test_without_a_wrongful_removal_among_the_labels_appeals_are_not_foreseen():
    videos = platform(3)
    flawless = videos.assign(p_violating=1.0)
    result = effect(videos, flawless, ThresholdPair(0.9, 0.5), ThresholdPair(0.6, 0.4))["appeals_overturned_change"]
    assert "no wrongful removal among the" in result["refusal"]


def test_flips_name_every_drawn_video_that_is_treated_otherwise():
    videos, old, new = platform(14, 600), ThresholdPair(0.9, 0.5), ThresholdPair(0.7, 0.6)
    found = flips(videos, old, new, "review")
    score = videos["score"]
    expected = {
        ("review", "remove"): videos[(score >= 0.7) & (score < 0.9)],
        ("review", "allow"): videos[(score >= 0.5) & (score < 0.6)],
    }
    assert set(zip(found["old"], found["new"], strict=True)) == set(expected)
    for (before, after), rows in expected.items():
        same = found[(found["old"] == before) & (found["new"] == after)]
        assert set(same["sample_id"]) == set(rows["sample_id"])
    assert found["views"].is_monotonic_decreasing
    summary = effect(videos, videos, old, new)["flips"]
    assert summary["videos"] == len(found)
    assert summary["violating"] == pytest.approx(found["p_violating"].mean())
    assert [row["sample_id"] for row in summary["examples"]] == found["sample_id"].head(10).tolist()


def test_intervals_cover_the_simulators_truth_with_its_viral_videos():
    scenario = load_scenario("calm", videos_per_day=60_000)
    day = uploads(scenario, date(2026, 11, 1), 0)
    truth = content(scenario, day, "fraud")
    scored = scores(scenario, day, "fraud", "fraud-v2", truth)
    here = day.market == list(scenario.markets).index("IN")
    score = np.where(scored.missing[here], np.nan, scored.score[here])
    frame = {"sample_id": "x", "score": score, "p_violating": truth.violating[here] * 1.0, "views": day.views[here]}
    videos = pd.DataFrame({**frame, "inclusion_probability": 1.0})
    pi, rng = np.where(np.nan_to_num(score) >= 0.85, 0.3, 0.01), np.random.default_rng(21)
    for old, new in (
        (ThresholdPair(0.98, 0.8), ThresholdPair(0.94, 0.7)),
        (ThresholdPair(0.9, 0.5), ThresholdPair(0.97, 0.5)),
    ):
        exact = effect(videos, videos, old, new)
        covered = {"wrongful_removals_change": 0, "violative_views_prevented_change": 0, "precision_change": 0}
        for _ in range(60):
            result = effect(videos, poisson(videos, pi, rng), old, new)
            for name in covered:
                covered[name] += result[name]["low"] <= exact[name]["estimate"] <= result[name]["high"]
        assert min(covered.values()) >= 0.9 * 60, covered
