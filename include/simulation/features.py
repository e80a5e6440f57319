"""What a model may learn from: numbers that are known of every video, in the place of its pixels and words. Pure.

`evidence` is what the versions of a scenario score by, each with noise of its own. `disguise` says how much a video was
made to look harmless; it says nothing until somebody evades, so that a model trained before makes no use of it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.simulation.population import Content, Videos, evidence_of
from include.simulation.randomness import generator
from include.simulation.scenario import Scenario

FEATURES = ("evidence", "disguise")
"""Besides the market."""

_DISGUISE = 2.5
"""Of what evades, in standard deviations of the rest."""


def features(scenario: Scenario, videos: Videos, policy: str, truth: Content) -> pd.DataFrame:
    """One row a video, in order of id: FEATURES, in standard deviations of ordinary videos, and market."""
    rng = generator(scenario.seed, videos.day, "features", policy)
    n = len(videos.video_id)
    disguise = rng.standard_normal(n, dtype=np.float32) + np.float32(_DISGUISE) * truth.evading
    evidence = evidence_of(scenario, videos, policy, truth)
    copies = np.flatnonzero(videos.source != np.arange(n))
    evidence[copies] += scenario.videos.repost_noise * rng.standard_normal(len(copies))
    names = np.array(list(scenario.markets), dtype=object)
    return pd.DataFrame(
        {
            "evidence": evidence.astype(np.float64),
            "disguise": disguise[videos.source].astype(np.float64),
            "market": names[videos.market],
        }
    )
