"""What is known of the reviewers by the end of a day, and what follows from it for the consensus of that day.

Only golden labels decide whose votes count: they owe nothing to the consensus, so that neither a day nor a row of it
can feed back on itself. The record is kept of everybody, whatever was done with the votes.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import numpy as np
import pandas as pd

from include.config.model import Config
from include.consensus.conduct import RECENT_DAYS, drift, seconds_per_answer
from include.consensus.reviewers import gwet_ac1, krippendorff_alpha, reviewer_quality
from include.contract.schema import empty_frame
from include.contract.tables import TABLES

DOWN_WEIGHT: Final = 0.5
"""What the vote of a reviewer below the floor weighs where the policy says `down_weight`."""

_QUALITY: Final = TABLES["reviewer_quality"]
_AGREEMENT: Final = TABLES["label_agreement"]
_WHO: Final = ["policy", "reviewer_id"]


def graded(
    votes: pd.DataFrame, answers: pd.DataFrame, golden: pd.DataFrame | None, *, day: dt.date, config: Config
) -> pd.DataFrame:
    """`reviewer_quality` of `day`, sorted by (policy, reviewer_id, basis).

    Args:
        votes: policy, item, reviewer, violating and labelled_at: each reviewer's standing vote on each item.
        answers: policy, reviewer_id, labelled_at and event_id of every answer, unsure ones included.
        golden: policy, item, violating; no contradictions. None: there are none.
        day: the day as of which to look.
        config: the policies' floors.
    """
    since = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1 - RECENT_DAYS)
    rows = reviewer_quality(votes, golden=golden)
    rows = rows.merge(drift(votes, golden=golden, since=since), on=[*_WHO, "basis"], how="left")
    rows = rows.merge(seconds_per_answer(answers), on=_WHO, how="left")
    rows = rows.fillna({"recent_labels": 0, "drifted": False})
    rows["below_floor"] = _below_floor(rows, config)
    told = rows[rows["below_floor"] & (rows["basis"] == "golden")]
    actions = {(policy, who): config.policies[policy].below_floor for policy, who in told[_WHO].to_numpy()}
    rows["action"] = [actions.get((policy, who), "keep") for policy, who in rows[_WHO].to_numpy()]
    schema = empty_frame(_QUALITY)
    return rows[list(schema.columns)].astype(schema.dtypes)


def counted(votes: pd.DataFrame, quality: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One policy's votes that count towards the consensus, and the `weights` they count with.

    `votes`: reviewer and whatever else; `quality`: rows of `reviewer_quality` of the same policy.
    """
    actions = quality.drop_duplicates("reviewer_id").set_index("reviewer_id")["action"]
    kept = votes[~votes["reviewer"].isin(actions.index[actions == "leave_out"])]
    lighter = actions.index[actions == "down_weight"]
    return kept, pd.DataFrame({"reviewer": lighter, "weight": DOWN_WEIGHT})


def contradicted(items: pd.DataFrame, golden: pd.DataFrame | None, config: Config) -> pd.DataFrame:
    """Each policy's consensus held against golden labels, by the floor that a reviewer must keep.

    Golden labels never replace the consensus, so that it can be graded on them. Where it fails, the model of the
    reviewers is wrong: somebody answers all alike, or classes swapped names.

    Args:
        items: `label_consensus`; above one half is "violating".
        golden: policy, item, violating; no contradictions. None: there are none.

    Returns:
        policy, golden_labels, sensitivity, specificity and contradiction: what fails, None where nothing does. One row
        for each policy with golden labels among its items, sorted.
    """
    items = items[items["p_violating"].notna()]
    votes = items.rename(columns={"video_id": "item"})[["policy", "item"]]
    votes = votes.assign(reviewer="consensus", violating=items["p_violating"].to_numpy() > 0.5)
    rows = reviewer_quality(votes, golden=golden)
    rows = rows[rows["basis"] == "golden"].reset_index(drop=True)
    floors = {name: policy.reviewer_floor for name, policy in config.policies.items()}
    said = [
        f"sensitivity {row['sensitivity']:.3f} and specificity {row['specificity']:.3f} on {row['golden_labels']} "
        f"golden labels; the floor is {floors[row['policy']].sensitivity:g} and {floors[row['policy']].specificity:g}"
        for row in rows.to_dict("records")
    ]
    contradiction = pd.Series(said, dtype="object").where(_below_floor(rows, config), None)
    columns = ["policy", "golden_labels", "sensitivity", "specificity"]
    return rows[columns].assign(contradiction=contradiction.to_numpy())


def agreement(votes: pd.DataFrame) -> pd.DataFrame:
    """`label_agreement`: how far the reviewers of each policy agree. `votes`: policy, item, reviewer, violating."""
    rows = [
        {
            "policy": policy,
            "items": of_policy["item"].nunique(),
            "shared_items": int((of_policy.groupby("item").size() > 1).sum()),
            "reviewers": of_policy["reviewer"].nunique(),
            "krippendorff_alpha": krippendorff_alpha(of_policy),
            "gwet_ac1": gwet_ac1(of_policy),
        }
        for policy, of_policy in votes.groupby("policy", sort=True)
    ]
    schema = empty_frame(_AGREEMENT)
    return pd.DataFrame(rows, columns=schema.columns).astype(schema.dtypes)


def _below_floor(rows: pd.DataFrame, config: Config) -> np.ndarray:
    """Whether enough labels put a whole interval below the policy's floor."""
    floors = {name: policy.reviewer_floor for name, policy in config.policies.items()}

    def asked(field: str) -> pd.Series:
        return rows["policy"].map({name: getattr(floor, field) for name, floor in floors.items()}).astype("float64")

    golden = rows["basis"] == "golden"
    judged_on = rows["golden_labels"].where(golden, rows["labels"] - rows["golden_labels"])
    low = (rows["sensitivity_high"] < asked("sensitivity")) | (rows["specificity_high"] < asked("specificity"))
    return np.asarray(low & (judged_on >= asked("min_labels")), dtype=bool)
