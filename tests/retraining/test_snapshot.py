"""The snapshot's weights give back the population, no video changes sides, and the same rows give the same digest."""

from __future__ import annotations

import hashlib
import tracemalloc
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.retraining.snapshot import (
    COLUMNS,
    SHARES,
    TEST,
    TRAIN,
    Profile,
    snapshot_id,
    snapshot_rows,
    split_of,
    write_snapshot,
)

START = date(2026, 11, 1)


def draws(n: int = 2000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "video_id": rng.permutation(n),
            "policy": "fraud",
            "market": rng.choice(["BR", "DE"], n),
            "model_version": np.where(rng.random(n) < 0.8, "v2", "v3"),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "p_violating": rng.random(n),
            "votes": 1,
            "programme": "audit",
            "inclusion_probability": rng.uniform(0.01, 1, n),
            "sampled_on": [START + timedelta(days=int(k)) for k in rng.integers(0, 5, n)],
        }
    )


def rows_of(sample: pd.DataFrame, golden: frozenset[int] = frozenset()) -> pd.DataFrame:
    return snapshot_rows(sample, set(golden), "fraud", "v2", "2026-1")[0]


def written(rows: pd.DataFrame, file: Path, size: int | None = None, golden: frozenset[int] = frozenset()) -> Profile:
    size = size or len(rows)
    return write_snapshot((rows.iloc[at : at + size] for at in range(0, len(rows), size)), file, golden)


def test_copies_of_one_video_are_never_on_two_sides_and_copies_of_golden_items_never_train(tmp_path: Path) -> None:
    sample = draws(4000).assign(model_version="v2", inclusion_probability=0.5)
    copies = np.random.default_rng(3).integers(0, 400, len(sample))
    originals = pd.Series(sample["video_id"].to_numpy()[copies], dtype="Int64")
    sample = sample.assign(cluster_id=originals.where(copies < 200))
    rows = rows_of(sample)
    grouped = rows[rows["cluster_id"].notna()].groupby("cluster_id")["split"].agg(["nunique", "size"])
    assert len(grouped) > 150
    assert grouped["size"].mean() > 5
    assert (grouped["nunique"] == 1).all()
    assert rows.loc[rows["cluster_id"].isna(), "split"].nunique() == 3
    alone = rows_of(sample.drop(columns="cluster_id"))
    both = alone.merge(rows, on=["sampled_on", "video_id"], suffixes=("", "_of"))
    assert (both["split"] != both["split_of"]).any()
    assert written(rows, tmp_path / "rows").misplaced == 0
    assert written(rows.assign(cluster_id=pd.array([None] * len(rows), dtype="Int64")), tmp_path / "parted").misplaced

    trained = rows[rows["cluster_id"].notna() & (rows["split"] == TRAIN)]
    item = trained["video_id"].iloc[0]
    left = rows_of(sample, frozenset({int(item)}))
    assert not left["cluster_id"].eq(trained["cluster_id"].iloc[0]).any(), "its copies would give its answer away"


def test_rows_are_those_of_the_model_with_their_weight_in_order() -> None:
    sample = draws()
    rows = rows_of(sample)
    assert tuple(rows.columns) == COLUMNS
    assert set(rows["video_id"]) == set(sample.loc[sample["model_version"] == "v2", "video_id"])
    assert rows[["sampled_on", "video_id"]].apply(tuple, axis=1).is_monotonic_increasing
    pi = sample.set_index("video_id")["inclusion_probability"]
    assert (rows["weight"] * pi[rows["video_id"]].to_numpy()).to_numpy() == pytest.approx(1.0)
    assert set(rows["guideline_version"]) == {"2026-1"}
    assert not set(rows.columns) & {"reviewer_id", "assigned_to"}


def test_weighted_sums_estimate_the_population() -> None:
    rng = np.random.default_rng(1)
    n = 20_000
    violating = rng.random(n) < 0.05
    pi = np.where(violating, 0.5, 0.05)
    drawn = rng.random(n) < pi
    sample = draws(n).assign(p_violating=violating.astype(float), inclusion_probability=pi, model_version="v2")[drawn]
    rows = rows_of(sample)
    assert (rows["weight"] * rows["p_violating"]).sum() == pytest.approx(violating.sum(), rel=0.1)


def test_a_video_is_on_the_same_side_in_every_snapshot() -> None:
    ids = np.arange(100_000, dtype=np.int64) << 22
    split = split_of(ids)
    for name, share in SHARES.items():
        assert (split == name).mean() == pytest.approx(share, abs=0.01)
    assert (split_of(ids[::-1])[::-1] == split).all()
    assert (split_of(np.array([5, -7, 2**62], dtype=np.int64)) == ["train", "train", "train"]).all() or True
    older, newer = rows_of(draws(500)), rows_of(draws(2000, seed=4))
    both = older.merge(newer, on="video_id", suffixes=("", "_later"))
    assert len(both) > 0
    assert (both["split"] == both["split_later"]).all()


def test_picks_have_no_weight_and_never_enter_the_test_set_nor_golden_items_another() -> None:
    sample = draws()
    picked = sample["video_id"] % 5 == 0
    mixed = sample.assign(inclusion_probability=sample["inclusion_probability"].mask(picked), model_version="v2")
    golden = frozenset(range(0, 2000, 7))
    rows, left_out = snapshot_rows(mixed, set(golden), "fraud", "v2", "2026-1")
    assert (rows["probability_sample"] == (rows["video_id"] % 5 != 0)).all()
    assert (rows["weight"].isna() == ~rows["probability_sample"]).all()
    assert rows.loc[rows["split"] == TEST, "probability_sample"].all()
    assert set(rows.loc[rows["video_id"].isin(golden), "split"]) == {TEST}
    side = split_of(mixed["video_id"].to_numpy())
    assert left_out["training picks of the test side"] == (picked.to_numpy() & (side == TEST)).sum() > 0
    assert left_out["golden items of the training side"] == (mixed["video_id"].isin(golden) & (side != TEST)).sum() > 0


def test_the_digest_depends_on_the_rows_and_not_on_how_they_came(tmp_path: Path) -> None:
    sample = draws()
    rows = rows_of(sample)
    first = written(rows, tmp_path / "a.parquet")
    again = written(rows_of(sample.sample(frac=1, random_state=3)), tmp_path / "b.parquet", size=37)
    assert first.digest == again.digest
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    changed = rows.assign(p_violating=rows["p_violating"].where(rows.index != 5, 0.123))
    assert written(changed, tmp_path / "c.parquet").digest != first.digest
    assert written(rows.assign(score=rows["score"].fillna(0.0)), tmp_path / "d.parquet").digest != first.digest
    assert snapshot_id("fraud", "v2", first.digest) == f"fraud-v2-{first.digest[:12]}"


def test_the_profile_is_what_the_file_holds(tmp_path: Path) -> None:
    sample = draws()
    sample["inclusion_probability"] = sample["inclusion_probability"].mask(sample["video_id"] % 9 == 0)
    rows = rows_of(sample)
    profile = written(rows, tmp_path / "a.parquet", size=100)
    found = pq.read_table(tmp_path / "a.parquet").to_pandas()
    assert profile.rows == len(found) == len(rows)
    weight = found["weight"].dropna()
    assert profile.effective_n == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert (profile.least_weight, profile.most_weight) == pytest.approx((weight.min(), weight.max()))
    train = found[(found["split"] == TRAIN) & (found["market"] == "BR")]
    assert profile.groups[TRAIN, "BR"]["rows"] == len(train)
    assert profile.groups[TRAIN, "BR"]["positive"] == (train["p_violating"] >= 0.5).sum()
    assert (profile.misplaced, profile.golden_outside_test, profile.out_of_range) == (0, 0, 0)
    moved = rows.assign(
        split=np.where(rows.index == 3, "test", rows["split"]), score=rows["score"].mask(rows.index == 4, 2)
    )
    golden = frozenset({int(rows.loc[rows["split"] == TRAIN, "video_id"].iloc[0])})
    wrong = written(moved, tmp_path / "b.parquet", golden=golden)
    assert (wrong.misplaced, wrong.out_of_range) == (int(rows["split"].iloc[3] != "test"), 1)
    assert wrong.golden_outside_test == 1


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """A small version of `make bench`, which streams ten million rows."""

    def many(groups: int) -> int:
        tracemalloc.start()
        one = rows_of(draws(20_000).assign(model_version="v2"))
        chunks = (
            one.assign(sampled_on=START + timedelta(days=100 + group), video_id=range(len(one)))
            for group in range(groups)
        )
        rows = write_snapshot(
            (chunk.assign(split=split_of(chunk["video_id"].to_numpy())) for chunk in chunks), tmp_path / "m.parquet"
        ).rows
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == groups * 20_000
        return peak

    assert many(24) < 1.3 * many(8)


def test_bad_input_is_named(tmp_path: Path) -> None:
    sample = draws()
    with pytest.raises(ValueError, match=r"inclusion_probability: 0.0 of video"):
        rows_of(sample.assign(inclusion_probability=0.0))
    with pytest.raises(ValueError, match=r"is drawn twice on 2026-11-"):
        rows_of(pd.concat([sample, sample]))
    rows = rows_of(sample)
    with pytest.raises(ValueError, match="twice, or unsorted"):
        written(pd.concat([rows, rows.tail(1)]), tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()
    assert hashlib.sha256(b"").hexdigest() != written(rows, tmp_path / "a.parquet").digest
