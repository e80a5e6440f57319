from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from scipy.stats import binom, norm

from include.simulation.population import content, scores, uploads
from include.simulation.scenario import Scenario, load_scenario
from tests.simulation.home import START


def analytic(
    scenario: Scenario, policy: str, market: str, version: str, t: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of removal at t, from the normal mixture the scenario states, without drawing anything."""
    spec, p = scenario.policies[policy], scenario.policies[policy].prevalence[market]
    model, hard = spec.models[version], spec.hard_negatives[market]
    weights = {
        "ordinary": (1 - p) * (1 - hard),
        "hard_negative": (1 - p) * hard,
        "clear_positive": p * (1 - spec.hard_positives),
        "hard_positive": p * spec.hard_positives,
    }
    above = {}
    for name, weight in weights.items():
        normal = getattr(spec.evidence, name)
        mean = model.offset + model.market_offsets.get(market, 0) + model.slope * model.separation * normal.mean
        above[name] = weight * norm.sf((logit(t) - mean) / (model.slope * normal.sd)) * (1 - model.missing_share)
    right = above["clear_positive"] + above["hard_positive"]
    return right / sum(above.values()), right / p


def test_ids_are_unique_ordered_and_carry_the_upload_time():
    scenario = load_scenario("calm", videos_per_day=20_000)
    days = [uploads(scenario, START + timedelta(days=i), i) for i in range(3)]
    ids = np.concatenate([videos.video_id for videos in days])
    assert ids.dtype == np.int64
    assert (np.diff(ids) > 0).all()
    for videos in days:
        first, last = (datetime.fromtimestamp((i >> 22) / 1000, tz=UTC).date() for i in videos.video_id[[0, -1]])
        assert first == last == videos.day
    assert len(np.unique(ids >> 12 & 1023)) == 1024


def test_two_uploads_in_one_millisecond_get_different_ids():
    ids = uploads(load_scenario("calm", videos_per_day=500_000), START, 0).video_id
    assert (np.diff(ids >> 22) == 0).sum() > 100
    assert (np.diff(ids) > 0).all()


@pytest.mark.parametrize("policy", ["violence", "pornography", "fraud"])
def test_prevalence_is_the_scenarios(policy):
    scenario = load_scenario("calm", videos_per_day=200_000)
    videos = uploads(scenario, START, 0)
    original = videos.source == np.arange(len(videos.source))  # only these are independent
    violating = content(scenario, videos, policy).violating
    for code, market in enumerate(scenario.markets):
        here = original & (videos.market == code)
        p = scenario.policies[policy].prevalence[market]
        low, high = binom.ppf([1e-5, 1 - 1e-5], here.sum(), p)
        assert low <= violating[here].sum() <= high
        assert abs((videos.market == code).mean() - scenario.markets[market].share) < 0.005


def test_reposts_share_truth_market_and_nearly_the_score():
    scenario = load_scenario("calm", videos_per_day=50_000)
    videos = uploads(scenario, START, 0)
    copies = np.flatnonzero(videos.source != np.arange(len(videos.source)))
    assert abs(len(copies) / len(videos.source) - 0.06) < 0.005
    assert np.bincount(videos.source).max() >= 4
    assert (videos.source[copies] < copies).all()
    assert (videos.market[copies] == videos.market[videos.source[copies]]).all()
    truth = content(scenario, videos, "violence")
    assert (truth.violating[copies] == truth.violating[videos.source[copies]]).all()
    got = scores(scenario, videos, "violence", "violence-v3", truth).score
    usable = (got[copies] > 1e-4) & (got[copies] < 1 - 1e-4)
    gap = logit(got[copies][usable]) - logit(got[videos.source[copies]][usable])
    assert 0.9 < gap.std() / (1.6 * 0.05) < 1.1
    assert (gap != 0).mean() > 0.9


def test_views_are_heavy_tailed():
    views = np.sort(uploads(load_scenario("calm"), START, 0).views)
    assert views[0] >= 0
    assert views[-len(views) // 100 :].sum() > 0.25 * views.sum()
    assert 35 <= np.median(views) <= 45


def test_scores_follow_the_stated_mixture():
    scenario = load_scenario("calm", videos_per_day=300_000)
    videos = uploads(scenario, START, 0)
    for policy, version in (("violence", "violence-v3"), ("pornography", "pornography-v5"), ("fraud", "fraud-v2")):
        truth = content(scenario, videos, policy)
        rows = scores(scenario, videos, policy, version, truth)
        missing = scenario.policies[policy].models[version].missing_share
        assert abs(rows.missing.mean() - missing) < 5 * np.sqrt(missing / len(rows.missing))
        assert ((rows.score >= 0) & (rows.score <= 1)).all()
        for code, market in enumerate(scenario.markets):
            here = videos.market == code
            removed = here & ~rows.missing & (rows.score >= 0.95)
            right = (removed & truth.violating).sum()
            precision, recall = analytic(scenario, policy, market, version, 0.95)
            # 6 standard errors; reposts make the effective sample smaller, by less than half
            tolerance = 6 * np.sqrt(2)
            assert abs(right / removed.sum() - precision) < tolerance * np.sqrt(
                precision * (1 - precision) / removed.sum()
            )
            n = (here & truth.violating).sum()
            assert abs(right / n - recall) < tolerance * np.sqrt(recall * (1 - recall) / n)


def test_calm_has_cells_that_can_be_certified_and_one_that_cannot():
    scenario = load_scenario("calm")
    grid = np.arange(0.5, 0.9999, 0.0001)
    best = {}
    for policy, spec in scenario.policies.items():
        for market in scenario.markets:
            precision, recall = analytic(scenario, policy, market, next(iter(spec.models)), grid)
            best[policy, market] = recall[precision >= 0.95].max(initial=0.0)
    assert sum(0.4 <= recall <= 0.85 for recall in best.values()) >= 7
    assert best["fraud", "DE"] < 0.10


def test_versions_agree_more_than_chance_but_not_fully():
    scenario = load_scenario("new_model_version", videos_per_day=60_000)
    videos = uploads(scenario, START + timedelta(days=6), 6)
    truth = content(scenario, videos, "fraud")
    old, new = (scores(scenario, videos, "fraud", v, truth).score for v in ("fraud-v2", "fraud-v3"))
    ordinary = truth.component == 0
    assert 0.4 < pd.Series(old[ordinary]).corr(pd.Series(new[ordinary]), method="spearman") < 0.9


@pytest.mark.parametrize(
    ("name", "policy", "version", "measure"),
    [
        ("market_shift", "violence", "violence-v3", "precision"),
        ("evasion_wave", "fraud", "fraud-v2", "recall"),
    ],
)
def test_an_event_bites_from_its_day_and_where_it_says(name, policy, version, measure):
    scenario = load_scenario(name, videos_per_day=120_000)

    def quality(index: int, market: str) -> float:
        videos = uploads(scenario, START + timedelta(days=index), index)
        truth = content(scenario, videos, policy)
        rows = scores(scenario, videos, policy, version, truth)
        here = videos.market == list(scenario.markets).index(market)
        removed = here & ~rows.missing & (rows.score >= 0.9)
        whole = removed if measure == "precision" else here & truth.violating
        return (removed & truth.violating).sum() / whole.sum()

    assert quality(6, "IN") - quality(7, "IN") > 0.1
    assert quality(7, "IN") == pytest.approx(quality(8, "IN"), abs=0.05)


def test_a_shift_changes_volume_only_from_its_day():
    scenario = load_scenario("market_shift", videos_per_day=60_000)
    before, after = (uploads(scenario, START + timedelta(days=i), i) for i in (6, 7))
    india = list(scenario.markets).index("IN")
    assert 1.2 < (after.market == india).sum() / (before.market == india).sum() < 1.4


def test_campaigns_post_groups_of_copies_and_the_platform_knows_which():
    scenario = load_scenario("reposts", videos_per_day=20_000)
    alone = load_scenario("calm", videos_per_day=20_000)
    videos, ordinary = uploads(scenario, START, 0), uploads(alone, START, 0)
    n = len(videos.source)
    copies = np.bincount(videos.source, minlength=n)[videos.source]
    assert 0.25 < (copies >= 4).mean() < 0.45  # of the campaigns, and what was reposted besides
    assert (np.bincount(ordinary.source)[ordinary.source] >= 4).mean() < 0.02
    rows = scores(scenario, videos, "fraud", "fraud-v2", content(scenario, videos, "fraud"))
    assert rows.cluster_id is not None
    assert ((rows.cluster_id >= 0) == (copies > 1)).all()
    assert (rows.cluster_id[copies > 1] == videos.video_id[videos.source[copies > 1]]).all()
    assert scores(alone, ordinary, "fraud", "fraud-v2", content(alone, ordinary, "fraud")).cluster_id is None


def test_a_silent_retraining_moves_scores_from_its_day():
    scenario, calm = (load_scenario(name, videos_per_day=20_000) for name in ("silent_retraining", "calm"))
    for index, same in ((19, True), (20, False)):
        videos = uploads(scenario, START + timedelta(days=index), index)
        found = [scores(s, videos, "violence", "violence-v3", content(s, videos, "violence")) for s in (scenario, calm)]
        assert np.array_equal(found[0].score, found[1].score) == same
