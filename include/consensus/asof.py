"""What reviewers together said by the end of a day: a pure function of the label events that had arrived by then.

The rules, applied in this order to the events that arrived on or before the day:

1. One event per event_id: the first in the order (arrival day, file, line). Ingestion refuses the others already; this
   makes the result independent of the order in which days were backfilled.
2. Events of a policy that is no longer configured, or made under another guideline version than the policy's now, are
   left out: they answer another question.
3. Events that arrived after their sample day had closed, `maturity_days` after `sampled_on`, are left out: a final
   answer does not change. `arrived_late` marks them, so that they can be counted and shown.
4. An event that another one supersedes drops out, whichever arrived first, unless the correction came after the sample
   day of the corrected event had closed. Two that supersede each other both drop out.
5. Of a reviewer's answers on one video for one policy, asked for one purpose, the latest (labelled_at, then event_id)
   stands. An unsure answer can thereby withdraw a vote. Purposes are estimation (the programmes audit and prevalence,
   which ask the same question), review_queue, training, golden and second_look: a reviewer who is shown a golden video
   again answers anew.
6. The consensus on a video rests on the answers given for estimation; where there are none, on those of the platform's
   review queue, whose reviewers know that the video was flagged; where there are none either, on those for training, so
   that a later draw for training neither displaces the estimate's draw nor changes its final answer. `asked_by` says
   which. Answers to golden draws are for grading reviewers alone: their truth is known, and their draws estimate
   nothing.
7. Unsure is no vote, but it is counted. A video with unsure answers only has no probability: p_violating is NULL.
8. Experts' answers on a second look do not vote: they stand beside the consensus, as `settled`. Where experts disagree,
   nothing is settled.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd

from include.config.model import Config
from include.consensus.dawid_skene import consensus
from include.consensus.grading import counted
from include.contract.schema import empty_frame
from include.contract.tables import REVIEW_QUEUE, TABLES
from include.evidence.golden import usable_golden

_CONSENSUS = TABLES["label_consensus"]
_ITEM = ["policy", "video_id"]
_PURPOSE = {
    "audit": "estimation",
    "prevalence": "estimation",
    REVIEW_QUEUE: REVIEW_QUEUE,
    "training": "training",
    "golden": "golden",
    "second_look": "second_look",
}
_ASKED_BY = {"estimation": "sample", REVIEW_QUEUE: REVIEW_QUEUE, "training": "training"}
"""Purposes whose answers a consensus may rest on, the first that there are, and how `asked_by` says it."""
_BESIDE = ("golden", "second_look")
"""Purposes whose answers are in no consensus."""


def arrived_late(events: pd.DataFrame, config: Config) -> pd.Series:
    """Whether each event arrived after its sample day had closed. `events`: `label_events` with ds (arrival day)."""
    return _days(events["ds"]) > _closed_on(events, config)


def votes_asof(events: pd.DataFrame, *, day: dt.date, config: Config) -> pd.DataFrame:
    """The answers that stand at the end of `day` (rules 1 to 5), one row a policy, video, reviewer and purpose.

    Args:
        events: `label_events` of any arrival days with ds (the arrival day); days after `day` are ignored.
        day: the day as of which to look.
        config: policies, their guideline versions and maturity.

    Returns:
        policy, video_id, reviewer_id, purpose (estimation, review_queue, training, golden or second_look), decision
        (unsure included), sampled_on (datetime64) and labelled_at, sorted by the first four.
    """
    events = events[_days(events["ds"]) <= pd.Timestamp(day)]
    events = events.sort_values(["ds", "source_file", "source_line"], kind="stable").drop_duplicates("event_id")
    guideline = events["policy"].map({name: policy.guideline_version for name, policy in config.policies.items()})
    events = events[(events["guideline_version"] == guideline) & ~arrived_late(events, config)]
    corrected_on = _days(events["ds"]).groupby(events["supersedes"]).min().reindex(events["event_id"])
    events = events[~(corrected_on.to_numpy() <= _closed_on(events, config))]
    events = events.assign(purpose=events["programme"].map(_PURPOSE))
    answer = [*_ITEM, "reviewer_id", "purpose"]
    events = events.sort_values([*answer, "labelled_at", "event_id"]).drop_duplicates(answer, keep="last")
    columns = [*answer, "decision", "sampled_on", "labelled_at"]
    return events[columns].assign(sampled_on=_days(events["sampled_on"])).reset_index(drop=True)


def answers_that_count(answers: pd.DataFrame) -> pd.DataFrame:
    """Of `answers` (of `votes_asof`) those the consensus rests on (rule 6)."""
    asked = answers[~answers["purpose"].isin(_BESIDE)]
    rank = asked["purpose"].map({name: place for place, name in enumerate(_ASKED_BY)}).astype("int64")
    return asked[rank == rank.groupby([asked[name] for name in _ITEM]).transform("min")]


def cast_votes(answers: pd.DataFrame) -> pd.DataFrame:
    """`answers` (of `votes_asof`) without the unsure, as the consensus and the reviewers' grading take them: policy,
    item, reviewer, violating (bool) and labelled_at. Grading takes those to golden draws too, the consensus does not;
    neither takes experts' second looks.
    """
    cast = answers[(answers["decision"] != "unsure") & (answers["purpose"] != "second_look")]
    named = cast.rename(columns={"video_id": "item", "reviewer_id": "reviewer"})
    columns = ["policy", "item", "reviewer", "violating", "labelled_at"]
    return named.assign(violating=cast["decision"] == "violating")[columns].reset_index(drop=True)


def consensus_asof(
    events: pd.DataFrame,
    golden: pd.DataFrame | None,
    *,
    day: dt.date,
    config: Config,
    quality: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """`label_consensus` of `day`, sorted by (video_id, policy), each policy by its configured method.

    `sampled_on` is the latest among the answers it rests on; the status is final when `sampled_on` +
    maturity_days <= `day`.

    Args:
        events: `label_events` of the window with ds (the arrival day); days after `day` are ignored.
        golden: `golden_labels` as known on `day`, or None.
        day: the day as of which to look.
        config: policies.
        quality: `reviewer_quality` of `day`: its `action` says whose votes weigh less or are left out. None: nobody's.
    """
    standing = votes_asof(events, day=day, config=config)
    answers = answers_that_count(standing)
    known = None if golden is None else usable_golden(golden, config)
    votes = cast_votes(answers)
    by_item = answers.assign(unsure=answers["decision"] == "unsure").groupby(_ITEM, as_index=False)
    counts = by_item.agg(unsure=("unsure", "sum"), sampled_on=("sampled_on", "max"), asked_by=("purpose", "first"))
    counts["asked_by"] = counts["asked_by"].map(_ASKED_BY)
    settled = second_looks(standing)
    schema = empty_frame(_CONSENSUS)
    parts = [schema]
    for policy, of_policy in counts.groupby("policy", sort=True):
        settings, cast = config.policies[str(policy)], votes[votes["policy"] == policy]
        truth = None if known is None else known.loc[known["policy"] == policy, ["item", "violating"]]
        weights = None
        if quality is not None:
            cast, weights = counted(cast, quality[quality["policy"] == policy])
        items, _ = consensus(cast, method=settings.consensus, golden=truth, weights=weights)
        items = items.rename(columns={"item": "video_id", "n_votes": "votes"})
        items = of_policy.merge(items, how="left", on="video_id", validate="one_to_one")
        items = items[items["votes"].notna() | (items["unsure"] > 0)].fillna({"votes": 0})
        final = items["sampled_on"] <= pd.Timestamp(settings.final_through(day))
        items["status"] = final.map({True: "final", False: "provisional"})
        items["method"] = settings.consensus
        items = items.merge(settled[settled["policy"] == policy].drop(columns="policy"), how="left", on="video_id")
        items["sampled_on"] = items["sampled_on"].dt.date
        parts.append(items[list(schema.columns)].astype(schema.dtypes))
    return pd.concat(parts).sort_values(["video_id", "policy"], ignore_index=True)


def second_looks(answers: pd.DataFrame) -> pd.DataFrame:
    """What experts settled: policy, video_id and settled, their decision. `answers`: of `votes_asof`."""
    said = answers[(answers["purpose"] == "second_look") & (answers["decision"] != "unsure")]
    found = said.rename(columns={"decision": "settled"})[[*_ITEM, "settled"]].drop_duplicates()
    return found.drop_duplicates(_ITEM, keep=False)


def _closed_on(events: pd.DataFrame, config: Config) -> pd.Series:
    """The last arrival day that still counts for the sample day of each event; NaT for unknown policies."""
    maturity = events["policy"].map({name: policy.maturity_days for name, policy in config.policies.items()})
    return _days(events["sampled_on"]) + pd.to_timedelta(maturity, unit="D")


def _days(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values).astype("datetime64[us]")
