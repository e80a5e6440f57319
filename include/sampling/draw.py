"""What the draw statement is asked, and its answer as rows of `review_sample`."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.contract.salts import salt_of
from include.contract.tables import BY_VIDEO_AND_POLICY, REVIEW_QUEUE, TABLES
from include.sampling.queue import sample_ids
from include.warehouse.base import Parameter


def draw_parameters(strata: pd.DataFrame, day: date, salt: int) -> dict[str, Parameter]:
    """Parameters of `draw.sql` for `strata`, rows of `sampling_design`; `salt` is the configured one."""

    def largest(programme: str, column: str) -> float:
        of_programme = strata.loc[strata["programme"] == programme, column]
        return 0.0 if of_programme.empty else float(of_programme.max())

    of_queue = strata[strata["programme"] == REVIEW_QUEUE]
    return {
        "ds": day,
        "number_by_policy": int(numbers_by_policy(strata)),
        "audit_salt": salt_of(salt, "audit"),
        "prevalence_salt": salt_of(salt, "prevalence"),
        "training_salt": salt_of(salt, "training"),
        "max_audit": largest("audit", "inclusion_probability"),
        "max_prevalence": largest("prevalence", "probability_per_view"),
        "max_training": largest("training", "inclusion_probability"),
        "queued_from": float(of_queue["score_low"].min()) if of_queue["score_low"].notna().any() else 2.0,
        "unscored_queued": int(of_queue["score_low"].isna().any()),
    }


def numbers_by_policy(strata: pd.DataFrame) -> bool:
    """Whether the design of these `strata` draws by a number for each video and policy; else all policies share one.

    Raises ValueError where some of them say so and others do not.
    """
    found = strata["numbering"].eq(BY_VIDEO_AND_POLICY).unique()
    if len(found) > 1:
        raise ValueError("sampling_design: its strata differ in numbering")
    return bool(found.any())


def sample_rows(drawn: pd.DataFrame, day: date) -> pd.DataFrame:
    """`drawn` as rows of `review_sample`, each with its sample_id, sorted by it."""
    identity = drawn["programme"].astype("str") + f":{day}:" + drawn["policy"] + ":" + drawn["model_version"] + ":"
    rows = drawn.assign(sample_id=sample_ids(identity + drawn["video_id"].astype("str")))
    return rows.sort_values("sample_id", ignore_index=True)[list(TABLES["review_sample"].column_names)]
