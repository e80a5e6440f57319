"""Of each group of copies one draw is evidence; which one, labels have no say in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evidence.clusters import distinct_content


def draws(n: int = 400, copies: int = 4, seed: int = 3) -> pd.DataFrame:
    """`n` videos, every other group of `copies` of which is a cluster."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) // copies
    pi = rng.choice([0.1, 0.5, 1.0], n)
    clusters = pd.array(group, dtype="Int64")
    clusters[group % 2 == 0] = pd.NA
    return pd.DataFrame(
        {
            "market": "BR",
            "video_id": rng.permutation(n),
            "cluster_id": clusters,
            "permanent_random": rng.random(n) * pi,
            "programme_probability": pi,
            "p_violating": rng.integers(0, 2, n).astype(float),
        }
    )


def test_one_draw_of_each_group_stays_and_all_that_are_alone():
    rows = draws()
    kept = distinct_content(rows, ["market"])
    assert kept["cluster_id"].isna().sum() == rows["cluster_id"].isna().sum() == 200
    assert kept["cluster_id"].nunique() == kept["cluster_id"].notna().sum() == 50
    pd.testing.assert_frame_equal(kept, rows[rows["video_id"].isin(kept["video_id"])].reset_index(drop=True))


def test_neither_labels_nor_the_order_of_rows_choose_and_every_copy_is_as_likely():
    rows = draws(n=8_000)
    kept = set(distinct_content(rows, ["market"])["video_id"])
    shuffled = rows.assign(p_violating=1 - rows["p_violating"]).sample(frac=1, random_state=1)
    assert set(distinct_content(shuffled, ["market"])["video_id"]) == kept
    clustered = rows[rows["cluster_id"].notna()]
    chosen = clustered["video_id"].isin(kept)
    share = chosen.groupby(clustered["programme_probability"]).mean()
    assert (abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1_300)).all(), share.to_dict()


def test_groups_are_told_apart_within_the_columns_asked_for():
    rows = draws(n=16)
    twice = pd.concat([rows, rows.assign(market="DE", video_id=rows["video_id"] + 100)], ignore_index=True)
    assert distinct_content(twice, ["market"])["cluster_id"].notna().sum() == 4
    assert distinct_content(twice, [])["cluster_id"].notna().sum() == 2


def test_without_clusters_the_sample_is_the_same_object():
    rows = draws()
    for given in (
        rows.drop(columns="cluster_id"),
        rows.assign(cluster_id=pd.array([pd.NA] * len(rows), dtype="Int64")),
    ):
        assert distinct_content(given, ["market"]) is given
