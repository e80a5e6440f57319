"""Accuracy, precision and recall of automatic removal over a period whose thresholds changed on the way. Pure.

What counts is what was really removed: a video counts as removed if its score reached the remove_at in force on its own
day. Every day's scores are therefore moved so that its threshold comes to lie at one half (`folded_histogram` in
include.evidence.histograms): s becomes s / 2 below it, and 1/2 + s / 2 from it on. Order is kept on either side, so the
days can be added up and estimated as one, by the same estimators as every day's metrics: post-stratified over score
bands of the exact population (`metrics`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.contract.grid import bin_of, first_bin
from include.contract.sample import ProbabilitySample
from include.contract.tables import ALL_MARKETS, CELL, N_BINS, NO_SCORE_BIN
from include.metrics.policy_metrics import policy_metrics

INDICATORS = ("accuracy", "precision", "recall")
COLUMNS = (*CELL, "indicator", "value", "low", "high", "labels", "refusal", "videos", "removals")

_HALF = N_BINS // 2


def automated_means(population: pd.DataFrame, sample: pd.DataFrame, thresholds: pd.DataFrame) -> pd.DataFrame:
    """The indicators of every policy, market and model version, and of all markets together, with 95 % intervals.

    Args:
        population: include.evidence.histograms.folded_histogram of the period.
        sample: labelled draws of its days: policy, market, model_version, score, views, inclusion_probability,
            p_violating, sampled_on.
        thresholds: sampled_on, policy, market, model_version, remove_at in force on that day, for every draw.

    Returns:
        COLUMNS, three rows a cell, sorted; market "*": all markets together. Where an indicator is refused, value is
        missing and refusal says why; low or high may still bound it. videos and removals are exact counts.
    """
    merged = sample.merge(thresholds, on=["sampled_on", *CELL])
    bins = _moved(bin_of(merged["score"].to_numpy(np.float64)), merged["remove_at"])
    draws = merged.assign(score=np.where(bins == NO_SCORE_BIN, np.nan, (bins + 0.5) / N_BINS), sampled_on=0)
    draws = draws.merge(population[list(CELL)].drop_duplicates(), on=list(CELL))
    everywhere = [frame.assign(market=ALL_MARKETS) for frame in (draws, population)]
    parts = [_indicators(draws, population), _indicators(*everywhere)]
    found = pd.concat(parts, ignore_index=True)
    order = found["indicator"].map(INDICATORS.index)
    return found.assign(order=order).sort_values([*CELL, "order"], ignore_index=True)[list(COLUMNS)]


def _indicators(draws: pd.DataFrame, population: pd.DataFrame) -> pd.DataFrame:
    cells = population[list(CELL)].drop_duplicates(ignore_index=True).assign(remove_at=_HALF / N_BINS)
    measured = policy_metrics(ProbabilitySample(draws), population, cells, None)
    # The share of wrong decisions is a prevalence: of the removed that do not violate, and of the others that do.
    wrong = draws["p_violating"].where(~(draws["score"] >= _HALF / N_BINS), 1 - draws["p_violating"])
    errors = policy_metrics(ProbabilitySample(draws.assign(p_violating=wrong)), population, cells, None)
    errors = errors[errors["metric"] == "prevalence"]
    accuracy = errors.assign(
        metric="accuracy",
        value=1 - errors["value"],
        low=1 - errors["high"],
        high=1 - errors["low"],
        refusal=errors["refusal"].str.replace("violating video", "wrong decision"),
    )
    found = pd.concat([measured[measured["metric"].isin(INDICATORS)], accuracy], ignore_index=True)
    removed = population["n_videos"].where(population["bin"] >= _HALF, 0)
    counts = population.assign(removals=removed).groupby(list(CELL), as_index=False)[["n_videos", "removals"]].sum()
    return found.rename(columns={"metric": "indicator", "n": "labels"}).merge(
        counts.rename(columns={"n_videos": "videos"}), on=list(CELL)
    )


def _moved(bins: np.ndarray, remove_at: pd.Series) -> np.ndarray:
    removed = bins >= remove_at.map(first_bin).to_numpy(np.int64)
    return np.where(bins == NO_SCORE_BIN, NO_SCORE_BIN, bins // 2 + _HALF * removed)
