"""The snapshot's weights give back the population; the same rows give the same id."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.retraining.snapshot import COLUMNS, build_snapshot, snapshot_id, snapshot_row
from include.warehouse.frames import checked_rows


def draws(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "video_id": rng.permutation(n),
            "policy": "fraud",
            "market": rng.choice(["BR", "DE"], n),
            "model_version": np.where(rng.random(n) < 0.8, "v2", "v3"),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "views": 10,
            "p_violating": rng.random(n),
            "inclusion_probability": rng.uniform(0.01, 1, n),
            "sampled_on": [date(2026, 11, 1 + k) for k in rng.integers(0, 5, n)],
        }
    )


def test_rows_are_those_of_the_model_with_their_weight_in_order():
    sample = draws()
    snapshot = build_snapshot(sample, "fraud", "v2")
    assert tuple(snapshot.columns) == COLUMNS
    assert set(snapshot["video_id"]) == set(sample.loc[sample["model_version"] == "v2", "video_id"])
    assert snapshot[["sampled_on", "video_id"]].apply(tuple, axis=1).is_monotonic_increasing
    assert snapshot["probability_sample"].all()
    pi = sample.set_index("video_id")["inclusion_probability"]
    assert (snapshot["weight"] * pi[snapshot["video_id"]].to_numpy()).to_numpy() == pytest.approx(1.0)


def test_weighted_sums_estimate_the_population():
    rng = np.random.default_rng(1)
    n = 20_000
    violating = rng.random(n) < 0.05
    pi = np.where(violating, 0.5, 0.05)
    drawn = rng.random(n) < pi
    sample = draws(n).assign(p_violating=violating.astype(float), inclusion_probability=pi, model_version="v2")[drawn]
    snapshot = build_snapshot(sample, "fraud", "v2")
    assert (snapshot["weight"] * snapshot["p_violating"]).sum() == pytest.approx(violating.sum(), rel=0.1)
    assert snapshot["p_violating"].mean() > 0.3  # without weights it would be far off


def test_the_id_depends_on_the_rows_and_on_nothing_else():
    sample = draws()
    first = snapshot_id(build_snapshot(sample, "fraud", "v2"))
    assert first == snapshot_id(build_snapshot(sample.sample(frac=1, random_state=3), "fraud", "v2"))
    changed = sample.assign(p_violating=sample["p_violating"].where(sample["video_id"] != 7, 0.123))
    changed["model_version"] = sample["model_version"].where(sample["video_id"] != 7, "v2")
    assert first != snapshot_id(build_snapshot(changed, "fraud", "v2"))
    assert first.startswith("fraud-v2-")


def test_the_row_fits_the_contract_and_states_the_effective_size():
    snapshot = build_snapshot(draws(), "fraud", "v2")
    row = snapshot_row(snapshot, path="snapshots/a.parquet", sha256="ab", mlflow_run_id="run")
    checked_rows(TABLES["training_snapshots"], pd.DataFrame([row]))
    weight = snapshot["weight"]
    assert row["effective_n"] == pytest.approx(len(weight) / (1 + weight.var(ddof=0) / weight.mean() ** 2))
    assert row["n_rows"] == len(snapshot)
    assert row["n_positive"] == sum(p >= 0.5 for p in snapshot["p_violating"])
    assert snapshot_row(snapshot.assign(weight=3.0), path="", sha256="", mlflow_run_id="")["effective_n"] == (
        pytest.approx(len(snapshot))
    )


def test_picks_are_marked_and_have_no_weight():
    sample = draws()
    picked = sample["video_id"] % 5 == 0
    mixed = sample.assign(inclusion_probability=sample["inclusion_probability"].mask(picked))
    snapshot = build_snapshot(mixed, "fraud", "v2")
    assert len(snapshot) == (sample["model_version"] == "v2").sum()
    assert (snapshot["probability_sample"] == (snapshot["video_id"] % 5 != 0)).all()
    assert (snapshot["weight"].isna() == ~snapshot["probability_sample"]).all()
    without = build_snapshot(mixed[~picked], "fraud", "v2")
    rows = [snapshot_row(part, path="", sha256="", mlflow_run_id="") for part in (snapshot, without)]
    assert rows[0]["effective_n"] == rows[1]["effective_n"]
    alone = build_snapshot(mixed[picked], "fraud", "v2")
    assert snapshot_row(alone, path="", sha256="", mlflow_run_id="")["effective_n"] == 0


def test_bad_input_is_named():
    sample = draws()
    with pytest.raises(ValueError, match="no labelled draws of fraud v9"):
        build_snapshot(sample, "fraud", "v9")
    with pytest.raises(ValueError, match=r"inclusion_probability: 0.0 of video"):
        build_snapshot(sample.assign(inclusion_probability=0.0), "fraud", "v2")
    with pytest.raises(ValueError, match="is drawn twice on 2026-11-"):
        build_snapshot(pd.concat([sample, sample]), "fraud", "v2")
    assert len(build_snapshot(pd.concat([sample, sample.assign(sampled_on=date(2026, 12, 1))]), "fraud", "v2")) == (
        2 * (sample["model_version"] == "v2").sum()
    )
