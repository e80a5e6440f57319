"""Profile and histogram against plain pandas, on scores with every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contract.tables import CELL, TABLES
from include.sampling.profile import MAX_CHECKED_KEYS, id_mask, score_histogram, score_panel, score_profile
from include.warehouse.duckdb import DuckDBWarehouse
from tests.warehouse.frames import DAY, scores

KEY = ["video_id", "policy", "model_version"]


def faulty(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = scores(4000, seed).astype({"video_id": "Int64", "views": "Int64", "policy": object, "market": object})
    rows["score"] = rows["score"].astype("Float64")
    twice = rows.sample(200, random_state=seed)
    moved = rows.sample(100, random_state=seed + 1).assign(market="DE", score=0.25)
    rows = pd.concat([rows, twice, moved, twice.head(20)], ignore_index=True)
    where = lambda n: random.choice(len(rows), n, replace=False)  # noqa: E731
    values = rows["score"].to_numpy("float64", na_value=np.nan)
    null = np.isnan(values)
    for value in (np.nan, 1.7, -0.1, np.inf, 1.0, 0.0):
        hit = where(30)
        values[hit], null[hit] = value, False
    rows["score"] = values
    rows["null_score"] = null
    faults: list[tuple[str, Any]] = [
        ("views", -5),
        ("views", pd.NA),
        ("video_id", pd.NA),
        ("policy", None),
        ("market", None),
    ]
    for column, fault in faults:
        rows.loc[where(25), column] = fault
    rows.loc[where(10), "model_version"] = None
    return rows.sample(frac=1, random_state=seed, ignore_index=True)


def land(folder: Path, rows: pd.DataFrame, files: int) -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(folder / "landing", folder / "root")
    day = warehouse.landing / "video_scores" / f"ds={DAY}"
    day.mkdir(parents=True)
    for i in range(files):
        part = rows.iloc[i::files]
        columns = {
            c.name: pa.array(
                part[c.name],
                from_pandas=c.name != "score",
                mask=None if c.name != "score" else part["null_score"].to_numpy(),
            )
            for c in TABLES["video_scores"].columns
            if c.name in part
        }
        pq.write_table(pa.table(columns), day / f"{i}.parquet")
    return warehouse


def oracle(rows: pd.DataFrame, mask: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    cell = list(CELL)
    score = rows["score"].to_numpy("float64")
    usable = ~rows["null_score"].to_numpy() & (score >= 0) & (score <= 1)
    rows = rows.assign(
        **{name: rows[name].fillna("") for name in cell},
        usable=np.where(usable, score, np.nan),
        out=~usable & ~rows["null_score"],
        null_key=rows[["video_id", *cell]].isna().any(axis=1),
        bad_views=rows["views"].isna() | (rows["views"].fillna(0) < 0),
        seen=rows["views"].fillna(0).clip(lower=0).astype("int64"),
        bin=np.where(usable, np.minimum(np.floor(np.where(usable, score, 0) * 1000), 999), -1).astype("int64"),
    )
    histogram = rows.groupby([*cell, "bin"]).agg(n_videos=("bin", "size"), n_views=("seen", "sum")).reset_index()
    profile = (
        rows.groupby(cell)
        .agg(
            n_rows=("bin", "size"),
            null_scores=("null_score", "sum"),
            out_of_range_scores=("out", "sum"),
            null_keys=("null_key", "sum"),
            negative_views=("bad_views", "sum"),
            min_score=("usable", "min"),
            mean_score=("usable", "mean"),
            max_score=("usable", "max"),
            views=("seen", "sum"),
        )
        .reset_index()
    )
    ids = rows["video_id"]
    checked = rows[ids.notna() & (((ids.fillna(0) ^ np.right_shift(ids.fillna(0).astype("int64"), 22)) & mask) == 0)]
    ordered = checked.sort_values([*cell, "bin"], kind="stable")
    again = ordered[ordered.duplicated(KEY)]
    counts = again.groupby(cell).size().rename("duplicate_keys").reset_index()
    profile = profile.merge(counts, on=cell, how="left").fillna({"duplicate_keys": 0})
    profile["read_at"], profile["set_aside"] = pd.NaT, None  # files have one state; the gate sets cells aside
    return profile.assign(checked_share=1 / (mask + 1)), histogram


def panel_of(rows: pd.DataFrame, mask: int) -> pd.DataFrame:
    """The checked rows that have a whole key; of a video that came twice in a cell the one of the lowest bin."""
    score = rows["score"].to_numpy("float64")
    usable = ~rows["null_score"].to_numpy() & (score >= 0) & (score <= 1)
    rows = rows.assign(
        bin=np.where(usable, np.minimum(np.floor(np.where(usable, score, 0) * 1000), 999), -1).astype("int64"),
        views=rows["views"].fillna(0).clip(lower=0).astype("int64"),
    ).dropna(subset=["video_id", *CELL])
    ids = rows["video_id"].astype("int64")
    kept = rows[((ids ^ (ids // 2**22)) & mask) == 0]
    kept = kept.sort_values([*CELL, "video_id", "bin", "views"], ignore_index=True)
    kept = kept.drop_duplicates([*CELL, "video_id"]).reset_index(drop=True)
    return kept[list(TABLES["score_panel"].column_names)]


@pytest.mark.parametrize("mask", [0, 3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_profile_and_histogram_are_those_of_plain_pandas(tmp_path, seed, mask):
    rows = faulty(seed)
    warehouse = land(tmp_path, rows, files=3)
    bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": mask})
    wanted_profile, wanted_histogram = oracle(rows, mask)
    histogram, profile = score_histogram(bins), score_profile(bins, mask)
    pd.testing.assert_frame_equal(histogram, wanted_histogram, check_dtype=False)
    pd.testing.assert_frame_equal(profile, wanted_profile[list(profile.columns)], check_dtype=False, rtol=1e-12)
    pd.testing.assert_frame_equal(score_panel(bins), panel_of(rows, mask), check_dtype=False)
    assert profile["duplicate_keys"].sum() > 20
    assert (profile[["null_scores", "out_of_range_scores", "null_keys", "negative_views"]].sum() > 20).all()
    warehouse.replace("score_profile", DAY, profile)
    warehouse.replace("score_histogram", DAY, histogram)


def test_a_clean_day_has_no_faults_and_a_day_without_scores_no_mean(tmp_path):
    rows = scores(500).assign(null_score=True)
    warehouse = land(tmp_path, rows, files=1)
    profile = score_profile(warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0}), 0)
    assert profile[["min_score", "mean_score", "max_score"]].isna().all(axis=None)
    assert (profile["null_scores"] == profile["n_rows"]).all()
    assert not profile[["duplicate_keys", "null_keys", "negative_views", "out_of_range_scores"]].any(axis=None)


def test_the_same_day_gives_the_same_bytes(tmp_path):
    warehouse = land(tmp_path, faulty(5), files=3)
    prints = set()
    for _ in range(4):
        bins = warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})
        warehouse.replace("score_profile", DAY, score_profile(bins, 0))
        warehouse.replace("score_histogram", DAY, score_histogram(bins))
        warehouse.replace("score_panel", DAY, score_panel(bins))
        tables = ("score_profile", "score_histogram", "score_panel")
        prints.add(tuple(warehouse.fingerprint(table, DAY) for table in tables))
    assert len(prints) == 1


def test_id_mask_keeps_to_its_limit_and_checks_all_it_can():
    assert id_mask(0) == id_mask(MAX_CHECKED_KEYS) == 0
    assert id_mask(MAX_CHECKED_KEYS + 1) == 1
    for rows in np.geomspace(1, 1e10, 200).astype(int).tolist():
        mask = id_mask(rows)
        assert (mask + 1).bit_count() == 1
        assert rows / (mask + 1) <= MAX_CHECKED_KEYS
        assert mask == 0 or rows / ((mask + 1) / 2) > MAX_CHECKED_KEYS


def test_the_mask_takes_its_share_of_ids_made_of_time_and_a_few_counters():
    ids = ((1_900_000_000_000 + np.arange(200_000) // 2) << 22) | (np.arange(200_000) % 2 << 12)
    share = (((ids ^ (ids >> 22)) & 63) == 0).mean()
    assert share == pytest.approx(1 / 64, rel=0.1)
