"""From the one scan's rows (a cell and bin each) to `score_profile` and `score_histogram`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.contract.tables import CELL, NO_SCORE_BIN, TABLES

MAX_CHECKED_KEYS = 250_000
"""About how many keys are held in memory to count duplicates; a larger day is checked on a share of its keys.

So many tell a share of duplicates of 0.0001, the default tolerance, from none: 25 are expected among them.
"""


def id_mask(rows: int) -> int:
    """2^k - 1 such that about 1 in 2^k of `rows` keys are at most MAX_CHECKED_KEYS; 0: every key is checked."""
    share = max(1, -(-rows // MAX_CHECKED_KEYS))
    return (1 << (share - 1).bit_length()) - 1


def score_histogram(bins: pd.DataFrame) -> pd.DataFrame:
    """The rows of table `score_histogram`, from those of profile_and_histogram.sql."""
    rows = bins.assign(bin=bins["bin"].clip(lower=NO_SCORE_BIN))
    return rows.groupby([*CELL, "bin"], as_index=False)[["n_videos", "n_views"]].sum()


def score_profile(bins: pd.DataFrame, mask: int) -> pd.DataFrame:
    """The rows of table `score_profile`, from those of profile_and_histogram.sql run with `mask`."""
    cell = list(CELL)
    unusable = bins["bin"] < 0
    rows = bins.assign(
        null_scores=bins["n_videos"].where(bins["bin"] == NO_SCORE_BIN, 0),
        out_of_range_scores=bins["n_videos"].where(bins["bin"] < NO_SCORE_BIN, 0),
        null_keys=np.where((bins[cell] == "").any(axis=1), bins["n_videos"], bins["n_videos"] - bins["n_ids"]),
        negative_views=bins["n_videos"] - bins["n_valid_views"],
        min_score=bins["min_score"].mask(unusable),
        max_score=bins["max_score"].mask(unusable),
        sum_score=bins["sum_score"].mask(unusable, 0.0),
        usable=bins["n_videos"].mask(unusable, 0),
    )
    profile = rows.groupby(cell, as_index=False).agg(
        n_rows=("n_videos", "sum"),
        null_scores=("null_scores", "sum"),
        out_of_range_scores=("out_of_range_scores", "sum"),
        null_keys=("null_keys", "sum"),
        negative_views=("negative_views", "sum"),
        min_score=("min_score", "min"),
        max_score=("max_score", "max"),
        sum_score=("sum_score", "sum"),
        usable=("usable", "sum"),
        views=("n_views", "sum"),
    )
    profile["mean_score"] = (profile["sum_score"] / profile["usable"].where(profile["usable"] > 0)).clip(0, 1)
    profile["checked_share"] = 1 / (mask + 1)
    profile["read_at"] = bins["read_at"].max()
    profile["set_aside"] = None
    profile = profile.merge(_duplicates(bins), on=cell, how="left")
    profile["duplicate_keys"] = profile["duplicate_keys"].fillna(0).astype("int64")
    return profile[list(TABLES["score_profile"].column_names)].sort_values(cell, ignore_index=True)


def score_panel(bins: pd.DataFrame) -> pd.DataFrame:
    """The rows of table `score_panel`, from those of profile_and_histogram.sql: a video once a cell, without those of
    a cell that has no name.
    """
    rows = _checked(bins[(bins[list(CELL)] != "").all(axis=1)])
    order = [*CELL, "video_id", "bin", "views"]
    rows = rows.assign(bin=rows["bin"].clip(lower=NO_SCORE_BIN)).sort_values(order, ignore_index=True)
    rows = rows.drop_duplicates([*CELL, "video_id"], ignore_index=True)
    return rows[list(TABLES["score_panel"].column_names)]


def _checked(bins: pd.DataFrame) -> pd.DataFrame:
    """A row a checked key, with its cell and bin, by cell and bin: video_id, views."""
    bins = bins[bins["checked_videos"].notna()].sort_values([*CELL, "bin"], ignore_index=True)
    sizes = bins["checked_videos"].map(len).to_numpy(np.int64)
    videos = [video for of_bin in bins["checked_videos"] for video in of_bin]
    rows = bins.loc[np.repeat(np.arange(len(bins)), sizes), [*CELL, "bin"]].reset_index(drop=True)
    return rows.assign(
        video_id=np.fromiter((video["video_id"] for video in videos), np.int64, len(videos)),
        views=np.fromiter((video["views"] for video in videos), np.int64, len(videos)),
    )


def _duplicates(bins: pd.DataFrame) -> pd.DataFrame:
    """Rows beyond the first of their key (video, policy, model version), counted in the cell of the later row."""
    rows = _checked(bins)
    again = rows.duplicated(["video_id", "policy", "model_version"])
    return again.groupby([rows[name] for name in CELL]).sum().rename("duplicate_keys").reset_index()
