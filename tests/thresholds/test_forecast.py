"""Volumes against a count of every video; quality against the whole population's truth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.thresholds.forecast import Contested, Pair, first_bin, forecast, share, volumes

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


def effect(videos: pd.DataFrame, sample: pd.DataFrame, old: Pair, new: Pair, no_score="review", **given) -> dict:
    given = {"contested": Contested(1000, 20), **given}
    return forecast(histogram(videos), sample, old, new, no_score=no_score, minutes_per_label=1.5, **given)


def test_every_histogram_edge_is_exact():
    assert [first_bin(k / 1000) for k in range(1001)] == list(range(1001))
    on_edges = pd.DataFrame({"score": np.arange(1000) / 1000, "views": 1})
    for k in range(0, 1000, 37):
        assert volumes(histogram(on_edges), Pair(k / 1000, k / 1000), "allow").removes == 1000 - k


@pytest.mark.parametrize("bad", [0.9855, 1.001, -0.001])
def test_a_threshold_between_edges_is_refused(bad):
    with pytest.raises(ValueError, match=r"multiple of 0.001"):
        first_bin(bad)


@settings(max_examples=40, deadline=None)
@given(old=st.tuples(edges, edges), new=st.tuples(edges, edges), no_score=st.sampled_from(["review", "allow"]))
def test_volumes_are_a_count_of_every_video(old, new, no_score):
    videos = platform(1, 500)
    score, views = videos["score"].to_numpy(), videos["views"].to_numpy()
    old, new = Pair(max(old), min(old)), Pair(max(new), min(new))
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


@pytest.mark.parametrize(("old", "new"), [(Pair(0.9, 0.5), Pair(0.6, 0.4)), (Pair(0.6, 0.4), Pair(0.9, 0.5))])
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
    pair = Pair(0.9, 0.0)
    reviewed = effect(videos, videos, pair, pair, "review")["recall"]["after"]["estimate"]
    allowed = effect(videos, videos, pair, pair, "allow")["recall"]["after"]["estimate"]
    violating = videos["p_violating"] == 1
    assert reviewed == pytest.approx(1.0)
    assert allowed == pytest.approx(videos["score"][violating].notna().mean())


def test_intervals_cover_the_truth_under_unequal_inclusion_probabilities():
    videos = platform(4, 20_000)
    pi = np.where(videos["score"].fillna(0) > 0.7, 0.3, 0.06)
    old, new = Pair(0.9, 0.5), Pair(0.5, 0.3)
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
    result = effect(videos, videos[videos["score"] >= 0.95], Pair(0.9, 0.5), Pair(0.7, 0.5))
    unknown = result["wrongful_removals_change"]
    assert (unknown["estimate"], unknown["low"], unknown["high"]) == (None, 0.0, result["band"]["videos"])
    assert unknown["labels_needed"] > 0
    assert result["band"]["labels"] == 0
    assert result["precision_change"]["estimate"] is None
    tightened = effect(videos, videos.iloc[:0], Pair(0.7, 0.5), Pair(0.9, 0.5))["wrongful_removals_change"]
    assert (tightened["estimate"], tightened["low"], tightened["high"]) == (None, -result["band"]["videos"], 0.0)


def test_the_keys_are_always_the_same_and_json_can_hold_them():
    videos, pair = platform(7), Pair(0.9, 0.5)
    nothing = effect(videos.iloc[:0], videos.iloc[:0], pair, pair)
    something = effect(videos, videos, pair, Pair(0.8, 0.4))
    assert json.loads(json.dumps(nothing, allow_nan=False)) == nothing
    assert json.loads(json.dumps(something, allow_nan=False)) == something
    assert list(nothing) == list(something)
    assert all(list(nothing[key]) == list(something[key]) for key in nothing)
    none = {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert nothing["wrongful_removals_change"] == {**none, "labels_needed": None}
    assert nothing["appeals_overturned_change"] == {**none, "refusal": None}
