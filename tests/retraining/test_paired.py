"""The union of two versions' draws is a probability sample whose inclusion probabilities are known."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.retraining.paired import paired_sample

DAY = date(2026, 11, 3)
EDGES = {"old": 0.9, "new": 0.6}
"""From this score on a version's design draws with probability .8, below with .1; by views 1 / 1000 a view."""


def stratum(version: str, first: int, last: int, programme: str, **chance: float) -> dict[str, object]:
    return {
        "ds": DAY,
        "programme": programme,
        "market": "BR",
        "model_version": version,
        "first_bin": first,
        "last_bin": last,
        "inclusion_probability": chance.get("equal", np.nan),
        "probability_per_view": chance.get("by_views", np.nan),
    }


def designs() -> pd.DataFrame:
    rows = []
    for version, edge in EDGES.items():
        cut = round(edge * 1000)
        rows += [stratum(version, -1, cut - 1, "audit", equal=0.1), stratum(version, cut, 999, "audit", equal=0.8)]
        rows.append(stratum(version, -1, 999, "prevalence", by_views=0.001))
    return pd.DataFrame(rows)


def world(seed: int, n: int = 4000) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """All videos, those drawn and labelled as labelled_sample has them, and video_scores of the drawn."""
    rng = np.random.default_rng(seed)
    videos = pd.DataFrame({"video_id": np.arange(n), "old": rng.random(n), "new": rng.random(n)})
    videos["views"] = rng.integers(0, 300, n)
    audit, prevalence = rng.random(n), rng.random(n)
    parts = []
    for version, edge in EDGES.items():
        a = np.where(videos[version] >= edge, 0.8, 0.1)
        p = videos["views"] / 1000
        drawn = (audit < a) | (prevalence < p)
        part = videos[drawn].assign(model_version=version, score=videos[version][drawn], p_violating=1.0)
        parts.append(part.assign(inclusion_probability=(1 - (1 - a) * (1 - p))[drawn]))
    labelled = pd.concat(parts).assign(market="BR", sampled_on=DAY, policy="fraud")
    ids = set(labelled["video_id"])
    scored = videos[videos["video_id"].isin(ids)]
    scores = pd.concat(
        scored[["video_id", "views"]].assign(score=scored[version], model_version=version, market="BR", ds=DAY)
        for version in EDGES
    )
    return videos, labelled, scores


def test_weighted_counts_estimate_the_population_wherever_it_is_drawn_for_one_version_only() -> None:
    estimates = []
    for seed in range(40):
        videos, labelled, scores = world(seed)
        sample = paired_sample(labelled, scores, designs(), champion="old", challenger="new")
        assert sample["video_id"].is_unique
        assert sample["champion_scored"].all()
        only = sample[(sample["champion"] < 0.5) & (sample["challenger"] >= 0.6)]
        truth = ((videos["old"] < 0.5) & (videos["new"] >= 0.6)).sum()
        estimates.append((1 / only["inclusion_probability"]).sum() / truth)
    assert np.mean(estimates) == pytest.approx(1, abs=0.02)


def test_the_response_rate_of_a_draw_is_kept() -> None:
    _, labelled, scores = world(1)
    half = labelled.assign(inclusion_probability=labelled["inclusion_probability"] * 0.5)
    full, answered = (
        paired_sample(rows, scores, designs(), champion="old", challenger="new") for rows in (labelled, half)
    )
    assert (answered["inclusion_probability"] / full["inclusion_probability"]).to_numpy() == pytest.approx(0.5)


def test_what_a_version_did_not_score_says_so_and_days_of_one_version_are_left_out() -> None:
    _, labelled, scores = world(2)
    lost = scores[(scores["model_version"] == "old") | (scores["video_id"] % 2 == 0)]
    sample = paired_sample(labelled, lost, designs(), champion="old", challenger="new")
    assert (sample["challenger_scored"] == (sample["video_id"] % 2 == 0)).all()
    assert sample.loc[~sample["challenger_scored"], "challenger"].isna().all()
    alone = designs()
    alone = alone[alone["model_version"] == "old"]
    assert paired_sample(labelled, scores, alone, champion="old", challenger="new").empty
