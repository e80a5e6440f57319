"""A type of its own for what estimates may rest on, so that the type checker refuses any other frame."""

from __future__ import annotations

from typing import NewType

import pandas as pd

ProbabilitySample = NewType("ProbabilitySample", pd.DataFrame)
"""Labelled draws whose inclusion probability is known: rows of `review_sample` of the programmes estimates rest on, a
video and model version once a day, with p_violating and sampled_on. Made by `include.evidence.sample` alone.
"""
