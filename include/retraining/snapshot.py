"""A weighted training set from labelled draws. Pure: frames in, frames out."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from include.contract.tables import TABLES

_KEY = ["sampled_on", "video_id"]
COLUMNS = (
    "video_id",
    "policy",
    "market",
    "model_version",
    "score",
    "p_violating",
    "weight",
    "sampled_on",
    "probability_sample",
)


def build_snapshot(sample: pd.DataFrame, policy: str, model_version: str) -> pd.DataFrame:
    """The labelled draws of one policy and model version, weighted, sorted by day and video.

    Args:
        sample: labelled draws: video_id, policy, market, model_version, score, p_violating, inclusion_probability in
            (0, 1], or NaN for what was picked for training alone, sampled_on. A video drawn on two days is two draws.

    Returns:
        COLUMNS; weight is 1 / inclusion_probability, so that weighted sums estimate the platform's video-days.
        probability_sample is False for what was picked for training alone; its weight is NaN.

    Raises:
        ValueError: no such rows, a video drawn twice on a day, or an inclusion probability out of range.
    """
    rows = sample[(sample["policy"] == policy) & (sample["model_version"] == model_version)]
    if rows.empty:
        raise ValueError(f"no labelled draws of {policy} {model_version}")
    pi = rows["inclusion_probability"].to_numpy(dtype=float)
    picked = np.isnan(pi)
    bad = ~(((pi > 0) & (pi <= 1)) | picked)
    if bad.any():
        row = rows.iloc[int(np.argmax(bad))]
        raise ValueError(f"inclusion_probability: {pi[bad][0]} of video {row['video_id']} is not in (0, 1]")
    twice = rows.duplicated(_KEY)
    if twice.any():
        row = rows[twice].iloc[0]
        raise ValueError(f"video_id: {row['video_id']} is drawn twice on {row['sampled_on']}")
    weighted = rows.assign(weight=1 / pi, probability_sample=~picked)
    return weighted.sort_values(_KEY, ignore_index=True)[list(COLUMNS)]


def snapshot_id(snapshot: pd.DataFrame) -> str:
    """Policy, model version and a hash of the rows: the same rows give the same id."""
    digest = hashlib.sha256(snapshot.to_csv(index=False).encode()).hexdigest()
    return f"{snapshot['policy'].iloc[0]}-{snapshot['model_version'].iloc[0]}-{digest[:12]}"


def snapshot_row(snapshot: pd.DataFrame, *, path: str, sha256: str, mlflow_run_id: str) -> dict[str, Any]:
    """The row of training_snapshots for a non-empty `snapshot`, written to `path` with that hash."""
    weight = snapshot.loc[snapshot["probability_sample"], "weight"].to_numpy(dtype=float)
    values = {
        "snapshot_id": snapshot_id(snapshot),
        "policy": snapshot["policy"].iloc[0],
        "model_version": snapshot["model_version"].iloc[0],
        "n_rows": len(snapshot),
        "n_positive": int((snapshot["p_violating"] >= 0.5).sum()),
        "effective_n": float(weight.sum() ** 2 / (weight @ weight)) if len(weight) else 0.0,
        "path": path,
        "sha256": sha256,
        "mlflow_run_id": mlflow_run_id,
    }
    return {name: values[name] for name in TABLES["training_snapshots"].column_names}
