"""A type of its own for what estimates may rest on, so that the type checker refuses any other frame; and its cost."""

from __future__ import annotations

from typing import NewType

import pandas as pd

from include.contract.tables import REVIEW_QUEUE

ProbabilitySample = NewType("ProbabilitySample", pd.DataFrame)
"""Labelled draws whose inclusion probability is known: rows of `review_sample` of the programmes estimates rest on, a
video and model version once a day, with p_violating and sampled_on. Made by `include.evidence.sample` alone.
"""

BESIDE_SAMPLING = ("second_look", REVIEW_QUEUE)
"""Programmes that take no minutes of sampling: experts' instead, or those of the review queue."""


def sampling_minutes(design: pd.DataFrame) -> pd.Series:
    """Expected reviewer minutes of a day's `sampling_design`, by market."""
    return design[~design["programme"].isin(BESIDE_SAMPLING)].groupby("market")["expected_minutes"].sum()
