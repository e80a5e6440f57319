"""A type of its own for what estimates may rest on, so that the type checker refuses any other frame; and its cost."""

from __future__ import annotations

from typing import NewType

import pandas as pd

ProbabilitySample = NewType("ProbabilitySample", pd.DataFrame)
"""Labelled draws whose inclusion probability is known: rows of `review_sample` of the programmes estimates rest on, a
video and model version once a day, with p_violating and sampled_on. Made by `include.evidence.sample` alone.
"""


def sampling_minutes(design: pd.DataFrame) -> pd.Series:
    """Expected reviewer minutes of a day's `sampling_design`, by market; second looks take experts' minutes instead."""
    return design[design["programme"] != "second_look"].groupby("market")["expected_minutes"].sum()
