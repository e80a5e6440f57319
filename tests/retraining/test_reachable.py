"""A loss of reachable recall is seen where a model was evaded, and not where more or less violates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from include.retraining.reachable import N_BANDS, Bands, band_of, bands_of, level_of, loss_of

REQUIRED = np.array([0.9, 0.9])
LEVEL = level_of(0.05, 5, 3)


def draw(rng: np.random.Generator, days: int, *, prevalence: float = 0.02, evaded: float = 0.0) -> pd.DataFrame:
    """Videos of a market pair with scores; `evaded`: share of what violates that looks harmless."""
    n = 8000 * days
    violating = rng.random(n) < prevalence
    evidence = np.where(violating, 4.0, 0.0) - 2.5 * (violating & (rng.random(n) < evaded))
    score = expit(1.3 * (evidence + rng.standard_normal(n)) - 2.5)
    return pd.DataFrame({"market": np.where(rng.random(n) < 0.5, "BR", "IN"), "score": score, "violating": violating})


def periods(seed: int, **recent: float) -> Bands:
    rng = np.random.default_rng(seed)
    parts = [draw(rng, 20).assign(recent=False), draw(rng, 5, **recent).assign(recent=True)]
    videos = pd.concat(parts, ignore_index=True)
    asked = rng.random(len(videos)) < np.where(videos["score"] >= 0.5, 0.5, 0.02)
    labelled = videos[asked].assign(p_violating=videos["violating"][asked].astype(float))
    bins = np.floor(videos["score"] * 1000).clip(0, 999).astype(int)
    histogram = videos.assign(bin=bins, n_videos=1)
    return bands_of(labelled, histogram, 0.5)


def test_bands_hold_every_video_once() -> None:
    bands = periods(1)
    assert bands.markets == ("BR", "IN")
    assert bands.videos.shape == (2, 2, N_BANDS)
    assert bands.videos.sum() == 8000 * 25
    assert (bands.violating <= bands.labels).all()
    assert band_of(np.array([np.nan, 0.0, 0.499, 0.5, 1.0]), 0.5).tolist() == [0, 1, 10, 11, N_BANDS - 1]


def test_evasion_is_a_real_loss_and_calm_or_more_of_the_same_is_none() -> None:
    calm = [loss_of(periods(seed), REQUIRED, level=LEVEL, threshold=0.1) for seed in range(12)]
    assert not any(loss.real for loss in calm)
    more = [loss_of(periods(50 + seed, prevalence=0.06), REQUIRED, level=LEVEL, threshold=0.1) for seed in range(6)]
    assert not any(loss.real for loss in more)
    wave = [loss_of(periods(80 + seed, evaded=0.6), REQUIRED, level=LEVEL, threshold=0.1) for seed in range(6)]
    assert all(loss.real for loss in wave)
    assert all(loss.lost > 0.2 for loss in wave)
    assert all(fall.p_value is not None for fall in wave[0].falls)


def test_too_few_labels_are_named_and_the_same_input_gives_the_same_answer() -> None:
    bands = periods(3, evaded=0.6)
    assert loss_of(bands, REQUIRED, level=LEVEL) == loss_of(bands, REQUIRED, level=LEVEL)
    few = Bands(bands.markets, bands.videos, bands.labels / 200, bands.violating / 200, bands.lowest)
    refused = loss_of(few, REQUIRED, level=LEVEL)
    assert (refused.real, refused.lost) == (False, 0.0)
    assert "violating videos are labelled in the reference days, 40 are needed" in str(refused.refusal)


def test_the_level_shares_the_promise_among_looks_and_models() -> None:
    assert level_of(0.05, 5, 3) == pytest.approx(0.05 / 12 / 3)
    assert level_of(0.05, 45, 1) == pytest.approx(0.05 / (60 / 45))
