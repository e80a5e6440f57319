"""Rows that fit any table of the contract, for tests that hold for every table."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd

from include.contract.tables import CELL, TABLES, Column, Table

DAY = date(2026, 11, 1)


def value(column: Column, row: int) -> object:
    """A value of the column that differs from row to row; NULL in row 1 where that is allowed."""
    if column.nullable and row == 1:
        return None
    return {
        "INT64": 2**62 + row,
        "FLOAT64": 0.1 + row,
        "STRING": f"{row} é 日本 🙂 'quoted'\n\"twice\", NULL",
        "BOOL": row % 2 == 0,
        "TIMESTAMP": datetime(2026, 11, 1, 23, 59, 59, 123456 + row, tzinfo=UTC),
        "DATE": date(2024, 2, 29 - row),
    }[column.type]


def rows_of(table: Table, n: int = 3) -> pd.DataFrame:
    return pd.DataFrame({c.name: pd.Series([value(c, i) for i in range(n)], dtype="object") for c in table.columns})


def scores(n: int, seed: int = 1) -> pd.DataFrame:
    """Clean video_scores of six cells."""
    import numpy as np

    random = np.random.default_rng(seed)
    policy = random.integers(0, 2, n)
    return pd.DataFrame(
        {
            "video_id": (random.permutation(n) << 12) + (1_900_000_000_000 << 22),
            "policy": np.array(["fraud", "violence"])[policy],
            "market": random.choice(["BR", "DE", "IN"], n),
            "model_version": np.array(["fraud-v2", "violence-v3"])[policy],
            "score": np.where(random.random(n) < 0.02, np.nan, random.beta(1, 4, n)),
            "views": random.integers(0, 1000, n),
        }
    )


def profile_of(histogram: pd.DataFrame) -> pd.DataFrame:
    """A faultless score_profile of the cells of a score_histogram."""
    counts = histogram.groupby(list(CELL))[["n_videos", "n_views"]].sum().reset_index()
    profile = counts.rename(columns={"n_videos": "n_rows", "n_views": "views"})
    zeros = [name for name in TABLES["score_profile"].column_names if name not in profile]
    profile = profile.assign(**dict.fromkeys(zeros, 0)).assign(checked_share=1.0)
    profile["read_at"], profile["set_aside"] = pd.NaT, None
    return profile[list(TABLES["score_profile"].column_names)]
