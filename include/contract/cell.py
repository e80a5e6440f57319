"""The cell, the unit a threshold belongs to, and frames whose rows are about cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from include.contract.tables import CELL

Cell = tuple[str, str, str]
"""policy, market, model_version."""

Row = dict[str, Any]
"""A table's row by column; None where a value is missing."""

NO_DRAWS = pd.DataFrame(
    columns=[
        *("sample_id", "score", "views", "inclusion_probability", "p_violating", "consensus", "expert", "sampled_on")
    ],
    dtype=float,
)
"""The labelled draws of a cell that has none."""


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that something with policy, market and model_version is about."""
    return row["policy"], row["market"], row["model_version"]


def by_cell(frame: pd.DataFrame) -> dict[Cell, pd.DataFrame]:
    """The frame's rows by cell, cells sorted."""
    return dict(list(frame.groupby(list(CELL), sort=True)))  # type: ignore[arg-type]


def records(frame: pd.DataFrame) -> list[Row]:
    """The rows as dicts by column name, None for every missing value."""
    columns = []
    for name in frame.columns:
        values, missing = frame[name].tolist(), frame[name].isna()
        if missing.any():
            values = [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]
        columns.append(values)
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
