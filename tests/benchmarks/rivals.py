"""Labelled samples of two model versions of known quality, for tests and benchmarks of their comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

MARKETS = ("BR", "IN")
REQUIRED = dict.fromkeys(MARKETS, 0.9)
VIDEOS = 200_000


def sample(labels: int, seed: int, *, better: float = 0.0, worse_in: str | None = None) -> pd.DataFrame:
    """A paired sample of about so many labelled draws out of VIDEOS.

    Both versions see the same evidence with noise that they share in half; the challenger separates what violates
    by (1 + better) times as much, and on another scale. Each draws more where its scores are high. Reviewers miss 2.5 %
    and raise false alarms at 0.4 %. `worse_in`: a market in which the challenger separates by 0.55 times as much.
    """
    rng = np.random.default_rng(seed)
    violating = rng.random(VIDEOS) < 0.02
    evidence = np.where(violating, np.where(rng.random(VIDEOS) < 0.3, 1.8, 4.6), 0.0)
    evidence[~violating & (rng.random(VIDEOS) < 0.006)] = 2.4
    market = np.where(rng.random(VIDEOS) < 0.6, *MARKETS)
    separation = (1.0 + better) * np.where(market == worse_in, 0.55, 1.0)
    shared = rng.standard_normal(VIDEOS)
    noise = [np.sqrt(0.5) * (shared + rng.standard_normal(VIDEOS)) for _ in range(2)]
    champion, challenger = (
        expit(1.2 * (evidence + noise[0]) - 2.0),
        expit(0.9 * (evidence * separation + noise[1]) - 2.6),
    )
    highest = np.maximum(champion, challenger)
    load = 0.3 * (highest >= 0.5) + 0.02 * np.sqrt(highest) + 0.001
    pi = np.minimum(load * labels / load.sum(), 1.0)
    drawn = rng.random(VIDEOS) < pi
    said = np.where(violating, rng.random(VIDEOS) < 0.975, rng.random(VIDEOS) < 0.004)
    return pd.DataFrame(
        {
            "market": market[drawn],
            "champion": champion[drawn],
            "challenger": challenger[drawn],
            "champion_scored": True,
            "challenger_scored": True,
            "p_violating": said[drawn].astype(float),
            "inclusion_probability": pi[drawn],
        }
    )
