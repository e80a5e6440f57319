"""The labelled probability sample as of a day: the only frame that estimates may rest on."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, ESTIMATING_PROGRAMMES, RANDOM
from include.evidence.accepted import accepted, window_start
from include.evidence.clusters import distinct_content
from include.evidence.golden import usable_golden
from include.evidence.response import adjusted_for_response, mature_draws
from include.project import Project

_ITEM = ["policy", "video_id"]
_DRAW = ["video_id", "policy", "sampled_on", "model_version"]


def labelled_sample(project: Project, day: date, *, queue_decisions: bool = True) -> ProbabilitySample:
    """What estimates rest on: each policy's window of draws that have a final consensus of reviewers as of `day`.

    Columns of `review_sample`, p_violating, golden (what experts say, 1 or 0, of the draws that they were asked about
    by chance; NaN: nothing) and sampled_on (the day of the draw), sorted by cell, day and video. A video drawn by both
    programmes counts once, with the probability of their union; one drawn on several days counts once, on the day its
    consensus is about. Inclusion probabilities are those of being drawn and answered, see `include.evidence.response`.
    What the platform's review queues decided counts too, where they were emptied; not if `queue_decisions` is False.
    """
    rows = _with_experts(project, day, queue_decisions=queue_decisions)
    return _answered(rows.drop(columns=["undecided", "settled"]))


def certifying_sample(project: Project, day: date) -> ProbabilitySample:
    """What certificates rest on: `labelled_sample`, with what experts settled in the place of the consensus.

    `consensus` is what reviewers said of a draw, `expert` what experts said, asked or unasked (1 or 0, NaN: nothing),
    and `p_violating` the latter, and elsewhere the former. A draw about which reviewers were only unsure, and experts
    said nothing, is kept and marked `undecided`, and so is what an emptied review queue left: it has a p_violating of
    0, since no certificate may rest on the hope that it violates. Of copies of one video in a cell, where the platform
    says which are, one draw is left (`include.evidence.clusters`).
    """
    rows = _with_experts(project, day)
    known = usable_golden(project.warehouse.read("golden_labels", end=day), project.config)
    truth = known.set_index(["policy", "item"])["violating"].astype(float)
    unasked = truth.reindex(pd.MultiIndex.from_frame(rows[["policy", "video_id"]])).set_axis(rows.index)
    rows["settled"] = rows["settled"].fillna(unasked).where(rows["p_violating"].notna() | rows["undecided"])
    rows["undecided"] &= rows["settled"].isna()
    rows["expert"] = rows["settled"]
    certain = rows["settled"].fillna(rows["p_violating"]).mask(rows["undecided"], 0.0)
    rows = rows.assign(consensus=rows["p_violating"], p_violating=certain).drop(columns="settled")
    return distinct_content(_answered(rows), CELL)


def _answered(rows: pd.DataFrame) -> ProbabilitySample:
    rows = adjusted_for_response(rows)
    return probability_sample(rows.sort_values([*CELL, "sampled_on", "video_id"], ignore_index=True))


def _with_experts(project: Project, day: date, *, queue_decisions: bool = True) -> pd.DataFrame:
    """`mature_draws` with golden."""
    drawn, consensus = _drawn_and_answered(project, day)
    rows = mature_draws(drawn, consensus, queue_decisions=queue_decisions, day=day, config=project.config)
    by_chance = drawn.loc[(drawn["programme"] == "second_look") & (drawn["stratum"] == RANDOM), _ITEM]
    chosen = pd.MultiIndex.from_frame(rows[_ITEM]).isin(pd.MultiIndex.from_frame(by_chance))
    return rows.assign(golden=rows["settled"].where(chosen))


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
    drawn, consensus = _drawn_and_answered(project, day)
    rows = mature_draws(drawn, consensus, programmes=programmes, queue_decisions=False, day=day, config=project.config)
    return rows.drop(columns=["undecided", "settled"])


def _drawn_and_answered(project: Project, day: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    return drawn, accepted(project, "label_consensus", "consensus", day, day)


def of_cells(sample: ProbabilitySample, cells: pd.DataFrame) -> ProbabilitySample:
    """The rows of `sample` in one of `cells` (policy, market, model_version)."""
    return ProbabilitySample(sample.merge(cells[list(CELL)]))
