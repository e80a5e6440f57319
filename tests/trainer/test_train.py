"""The example's training: weights make it learn the platform, and what cannot be trained on is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.retraining.snapshot import split_of
from include.trainer.train import NotTrainable, probability, train


def population(n: int, seed: int = 1) -> pd.DataFrame:
    """Videos whose evidence alone does not tell: a part of what violates is disguised."""
    rng = np.random.default_rng(seed)
    violating = rng.random(n) < 0.05
    hidden = violating & (rng.random(n) < 0.5)
    return pd.DataFrame(
        {
            "video_id": np.arange(n, dtype=np.int64) * 4097 + 1,
            "evidence": rng.normal(4.0 * violating - 2.0 * hidden, 1.0),
            "disguise": rng.normal(2.5 * hidden, 1.0),
            "market": np.where(rng.random(n) < 0.5, "BR", "IN"),
            "violating": violating,
        }
    )


def snapshot(videos: pd.DataFrame, *, labels: int = 4000, seed: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled draws of the videos, suspicious ones twenty times as often; their rows and their features."""
    size = np.where(videos["evidence"] > 1.5, 20.0, 1.0)
    pi = np.minimum(size * labels / size.sum(), 1.0)
    drawn = videos[np.random.default_rng(seed).random(len(videos)) < pi].index
    rows = pd.DataFrame(
        {
            "p_violating": videos["violating"][drawn].astype(float).to_numpy(),
            "weight": 1 / pi[drawn],
            "split": split_of(videos["video_id"][drawn].to_numpy(np.int64)),
        }
    )
    return rows, videos.loc[drawn, ["evidence", "disguise", "market"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def videos() -> pd.DataFrame:
    return population(60_000)


def test_scores_state_the_odds_on_the_platform_not_in_the_queue(videos: pd.DataFrame) -> None:
    rows, features = snapshot(videos)
    queue = rows["p_violating"].mean()
    assert queue > 0.2, "the queue holds far more of what violates"
    fresh = population(60_000, seed=9)
    said = probability(train(rows, features).model.predict_proba(fresh[["evidence", "disguise", "market"]])[:, 1])
    assert said.mean() == pytest.approx(fresh["violating"].mean(), rel=0.2)
    for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 1.0)):
        band = (said >= low) & (said < high)
        assert band.sum() > 100
        assert fresh["violating"][band].mean() == pytest.approx(said[band].mean(), abs=0.12)
    unweighted = probability(train(rows.assign(weight=np.nan), features).model.predict_proba(features)[:, 1])
    assert unweighted.mean() == pytest.approx(queue, rel=0.1), "what the weights are for"


def test_it_finds_what_was_disguised(videos: pd.DataFrame) -> None:
    rows, features = snapshot(videos)
    fresh = population(60_000, seed=9)
    model = train(rows, features).model
    violating = fresh["violating"].to_numpy()

    def recall(score: np.ndarray) -> float:
        order = np.argsort(-score)
        precision = np.cumsum(violating[order]) / np.arange(1, len(order) + 1)
        last = np.flatnonzero(precision >= 0.9)[-1]
        return float(violating[order][: last + 1].sum() / violating.sum())

    learnt = recall(model.predict_proba(fresh[["evidence", "disguise", "market"]])[:, 1])
    assert learnt > recall(fresh["evidence"].to_numpy()) + 0.1


def test_the_same_rows_give_the_same_model_and_unsure_labels_count_in_part(videos: pd.DataFrame) -> None:
    rows, features = snapshot(videos)
    once, again = (train(rows, features).model.predict_proba(features) for _ in range(2))
    assert np.array_equal(once, again)
    halved = train(rows.assign(p_violating=rows["p_violating"] * 0.5), features).model.predict_proba(features)[:, 1]
    weight, sure, unsure = rows["weight"].to_numpy(), probability(once[:, 1]), probability(halved)
    assert np.average(unsure, weights=weight) == pytest.approx(0.5 * np.average(sure, weights=weight), rel=0.1)


def test_what_cannot_be_trained_on_is_refused(videos: pd.DataFrame) -> None:
    rows, features = snapshot(videos)
    with pytest.raises(NotTrainable, match="0 videos of the training set violate, 20 are needed"):
        train(rows.assign(p_violating=0.0), features)
    with pytest.raises(NotTrainable, match="0 videos of the training set do not violate"):
        train(rows.assign(p_violating=1.0), features)
    with pytest.raises(NotTrainable, match="the test set is empty"):
        train(rows.assign(split=rows["split"].replace("test", "train")), features)
