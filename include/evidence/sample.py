"""The labelled probability sample as of a day: the only frame that estimates may rest on."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, ESTIMATING_PROGRAMMES
from include.evidence.accepted import accepted, window_start
from include.evidence.golden import usable_golden
from include.evidence.response import adjusted_for_response, mature_draws
from include.project import Project

_DRAW = ["video_id", "policy", "sampled_on", "model_version"]


def labelled_sample(project: Project, day: date) -> ProbabilitySample:
    """Draws of each policy's window, by the programmes estimates rest on, that have a final consensus as of `day`.

    Columns of `review_sample`, p_violating, golden (what experts say, 1 or 0; NaN: nothing) and sampled_on (the day of
    the draw), sorted by cell, day and video. A video drawn by both programmes counts once, with the probability of
    their union; one drawn on several days counts once, on the day its consensus is about. Inclusion probabilities are
    those of being drawn and answered, see `include.evidence.response`.
    """
    rows = adjusted_for_response(_mature_draws(project, day, ESTIMATING_PROGRAMMES))
    known = usable_golden(project.warehouse.read("golden_labels", end=day), project.config)
    truth = dict(zip(zip(known["policy"], known["item"], strict=True), known["violating"].astype(float), strict=True))
    items = zip(rows["policy"], rows["video_id"], strict=True)
    rows["golden"] = np.array([truth.get(item, np.nan) for item in items], dtype=float)
    return probability_sample(rows.sort_values([*CELL, "sampled_on", "video_id"], ignore_index=True))


def probability_sample(rows: pd.DataFrame) -> ProbabilitySample:
    """`rows` as what estimates may rest on. Raises ValueError naming a row without a known inclusion probability."""
    unknown = ~rows["inclusion_probability"].between(0, 1, inclusive="right")
    if unknown.any():
        row = rows[unknown].iloc[0]
        raise ValueError(f"review_sample: inclusion_probability {row['inclusion_probability']} of {row['sample_id']}")
    return ProbabilitySample(rows)


def training_picks(project: Project, day: date) -> pd.DataFrame:
    """The videos of the window that only the training programme drew, answered: for training, and for nothing else."""
    picked = _mature_draws(project, day, ("training",))
    picked = picked[picked["p_violating"].notna()].sort_values([*CELL, "sampled_on", "video_id"])
    known = _mature_draws(project, day, ESTIMATING_PROGRAMMES)
    return picked[~pd.MultiIndex.from_frame(picked[_DRAW]).isin(pd.MultiIndex.from_frame(known[_DRAW]))].reset_index(
        drop=True
    )


def _mature_draws(project: Project, day: date, programmes: tuple[str, ...]) -> pd.DataFrame:
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    consensus = accepted(project, "label_consensus", "consensus", day, day)
    return mature_draws(drawn, consensus, programmes=programmes, day=day, config=project.config)


def of_cells(sample: ProbabilitySample, cells: pd.DataFrame) -> ProbabilitySample:
    """The rows of `sample` in one of `cells` (policy, market, model_version)."""
    return ProbabilitySample(sample.merge(cells[list(CELL)]))
