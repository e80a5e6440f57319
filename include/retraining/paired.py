"""The probability sample that two model versions are compared on: what was drawn for either. Pure.

A video is drawn for a version by that version's own design, and both designs use the same permanent random numbers. It
is drawn for at least one of them, in a programme, if its number lies below the larger of its two inclusion
probabilities; programmes draw independently. So the union of both samples is a probability sample whose inclusion
probabilities are known, also of a video that only one of them holds. That matters: what one version finds and the other
does not is rare in the other's sample, and heavy where it is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.contract.grid import bin_of
from include.contract.tables import ESTIMATING_PROGRAMMES, N_BINS

Array = NDArray[np.float64]

_DRAW = ["sampled_on", "video_id"]


def paired_sample(
    labelled: pd.DataFrame, scores: pd.DataFrame, design: pd.DataFrame, *, champion: str, challenger: str
) -> pd.DataFrame:
    """One row a labelled draw of either version, of the days that both were sampled on, sorted by day and video.

    Args:
        labelled: rows of `include.evidence.sample.labelled_sample` of one policy.
        scores: video_scores of the drawn videos: ds, video_id, market, model_version, score (NaN: none), views.
        design: sampling_design of the same days and policy, with ds.
        champion, challenger: the model versions.

    Returns:
        What `include.retraining.comparison.compare` takes, with sampled_on and video_id. The inclusion probability
        holds the response rate that the draw has in `labelled`.
    """
    versions = {"champion": champion, "challenger": challenger}
    chances = _Chances(design)
    both = set.intersection(*(chances.days(version) for version in versions.values()))
    own = labelled[labelled["model_version"].isin(versions.values()) & labelled["sampled_on"].isin(both)]
    own = own.assign(second=own["model_version"] == challenger).sort_values([*_DRAW, "second"])
    drawn_with = chances.of(
        own.rename(columns={"sampled_on": "ds"})[["ds", "market", "model_version", "score", "views"]]
    )
    answered = own["inclusion_probability"].to_numpy(float) / _union(drawn_with)
    draws = own.assign(answered=np.clip(answered, 0.0, 1.0)).drop_duplicates(_DRAW)
    rows = draws[[*_DRAW, "market", "p_violating", "answered"]].reset_index(drop=True)
    largest = np.zeros((len(ESTIMATING_PROGRAMMES), len(rows)))
    for name, version in versions.items():
        of_version = scores.loc[scores["model_version"] == version, ["ds", "video_id", "score", "views"]]
        found = rows[_DRAW].merge(
            of_version.assign(scored=True),
            how="left",
            left_on=_DRAW,
            right_on=["ds", "video_id"],
            validate="one_to_one",
        )
        rows[name] = found["score"].to_numpy(float)
        rows[f"{name}_scored"] = found["scored"].eq(True).to_numpy()
        asked = pd.DataFrame(
            {
                "ds": rows["sampled_on"],
                "market": rows["market"],
                "model_version": version,
                "score": rows[name],
                "views": found["views"].fillna(0).to_numpy(float),
            }
        )
        largest = np.maximum(largest, np.where(rows[f"{name}_scored"].to_numpy(bool), chances.of(asked), 0.0))
    union = _union(np.maximum(largest, _of_draws(rows, own, drawn_with)))
    rows["inclusion_probability"] = np.clip(union * rows["answered"].to_numpy(float), 1e-12, 1.0)
    return rows.drop(columns="answered")


def _of_draws(rows: pd.DataFrame, own: pd.DataFrame, drawn_with: Array) -> Array:
    """The probabilities that each draw had when it was drawn, whatever video_scores says by now."""
    columns = [f"p{n}" for n in range(len(drawn_with))]
    known = own[_DRAW].assign(**dict(zip(columns, drawn_with, strict=True))).groupby(_DRAW)[columns].max()
    return known.loc[pd.MultiIndex.from_frame(rows[_DRAW])].to_numpy(float).T


def _union(by_programme: Array) -> Array:
    """The probability of being drawn by at least one programme; at least a tiny one, so that it can be divided by."""
    return np.maximum(1.0 - (1.0 - by_programme).prod(axis=0), 1e-12)


class _Chances:
    """Inclusion probabilities by the design."""

    def __init__(self, design: pd.DataFrame) -> None:
        self.design = design
        strata = ["first_bin", "last_bin", "inclusion_probability", "probability_per_view"]
        by_cell = design.groupby(["ds", "market", "model_version", "programme"])
        self.strata = {key: part[strata].to_numpy(float) for key, part in by_cell}

    def days(self, version: str) -> set[object]:
        audit = self.design["programme"] == ESTIMATING_PROGRAMMES[0]
        return set(self.design.loc[audit & (self.design["model_version"] == version), "ds"])

    def of(self, videos: pd.DataFrame) -> Array:
        """Shape (programmes, videos). `videos`: ds, market, model_version, score, views; 0 where nothing was drawn."""
        cell = ["ds", "market", "model_version"]
        bins, result = bin_of(videos["score"].to_numpy(float)), np.zeros((len(ESTIMATING_PROGRAMMES), len(videos)))
        places: dict[Any, NDArray[np.int64]] = {
            key: np.asarray(rows) for key, rows in videos.reset_index(drop=True).groupby(cell).indices.items()
        }
        views = videos["views"].to_numpy(float)
        for key, at in places.items():
            for number, programme in enumerate(ESTIMATING_PROGRAMMES):
                equal, per_view = np.zeros(N_BINS + 1), np.zeros(N_BINS + 1)
                for first, last, pi, by_views in self.strata.get((*key, programme), np.empty((0, 4))):
                    bins_of = slice(int(first) + 1, int(last) + 2)
                    equal[bins_of], per_view[bins_of] = np.nan_to_num(pi), np.nan_to_num(by_views)
                chance = equal[bins[at] + 1] + np.minimum(per_view[bins[at] + 1] * views[at], 1.0)
                result[number, at] = np.minimum(chance, 1.0)
        return result
