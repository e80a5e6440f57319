"""The queues of reviewers and experts: what they are asked, without anything that would sway them.

Neither the score nor what follows from it is in the queue, nor why a video was drawn: a golden item looks like any
other. What is there is what it takes to judge: the question, the guideline, and the video with its title and
description, where the platform delivers them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import nsmallest

import pandas as pd

from include.config.model import Config
from include.contract.tables import PROGRAMMES
from include.wording import as_csv_text

SHOWN = ("question", "guideline_text", "guideline_url", "video_url", "title", "description")
"""Texts for people; empty where there is none. Those of the platform are anybody's: they are text and nothing else."""
COLUMNS = (
    *("sample_id", "video_id", "policy", "market", "guideline_version"),
    *("overlap", "minutes", "assigned_to"),
    *SHOWN,
)

SEPARATOR = ";"
"""Between the reviewers in `assigned_to`."""


def sample_ids(identities: pd.Series) -> list[str]:
    """Ids of draws that tell nothing of the programme or the model, unlike the `identities` they are hashed from."""
    return [hashlib.sha256(identity.encode()).hexdigest()[:24] for identity in identities]


def review_queue(drawn: pd.DataFrame, config: Config, *, answered: pd.DataFrame, details: pd.DataFrame) -> pd.DataFrame:
    """One row a (video, policy) drawn, in an order that says nothing about scores: that of hashed sample ids.

    A video drawn in several programmes or under several model versions is asked once, as the draw of the first
    programme in the contract's order, under the smallest of its sample ids.

    Where a market names its reviewers, `assigned_to` names as many of them as the policy's overlap: nobody who answered
    the question before, somebody who has not seen the video for another policy if there is anybody, and who has the
    fewest minutes so far. Where fewer are left, fewer are asked (`overlap`); where nobody is left, the row is left out.
    Elsewhere `assigned_to` is empty and `overlap` is for the review tool to see to.

    Args:
        drawn: `review_sample` of the day.
        config: policies and markets.
        answered: video_id, policy and reviewer_id of earlier answers.
        details: `review_details` of the day.
    """
    order = drawn["programme"].map(PROGRAMMES.index)
    asked = drawn.assign(order=order).sort_values(["order", "sample_id"]).drop_duplicates(["video_id", "policy"])
    asked["overlap"] = [config.policies[name].overlap for name in asked["policy"]]
    rosters = {name: market.reviewers for name, market in config.markets.items()}
    return _queue(asked, config, rosters, answered, details)


def expert_queue(drawn: pd.DataFrame, config: Config, *, answered: pd.DataFrame, details: pd.DataFrame) -> pd.DataFrame:
    """`review_queue` for experts: each row to one of those the market names, if it names any, who did not answer it.

    `drawn`: rows of `review_sample` of the programme second_look.
    """
    rosters = {name: market.experts.names if market.experts else [] for name, market in config.markets.items()}
    return _queue(drawn.assign(overlap=1), config, rosters, answered, details)


def as_csv(queue: pd.DataFrame) -> bytes:
    """The queue as a CSV file, in which no text is a formula to a spreadsheet."""
    texts = queue.assign(**{name: queue[name].map(as_csv_text) for name in SHOWN})
    return texts.to_csv(index=False, lineterminator="\n").encode()


def _queue(
    asked: pd.DataFrame,
    config: Config,
    rosters: Mapping[str, Sequence[str]],
    answered: pd.DataFrame,
    details: pd.DataFrame,
) -> pd.DataFrame:
    """The queue of what is `asked`, its rows assigned to the people of their market, where these are known."""
    settings = asked["policy"].map(config.policies)
    queue = asked.assign(
        guideline_version=[policy.guideline_version for policy in settings],
        each=[policy.minutes_per_label for policy in settings],
        order=[hashlib.sha256(sample_id.encode()).hexdigest() for sample_id in asked["sample_id"]],
    ).sort_values("order", ignore_index=True)
    assigned = _assigned(queue, rosters, answered)
    known = queue["market"].map({name: bool(people) for name, people in rosters.items()})
    queue["overlap"] = queue["overlap"].where(~known.astype(bool), [len(names) for names in assigned])
    queue["minutes"] = queue["each"] * queue["overlap"]
    queue["assigned_to"] = [SEPARATOR.join(names) for names in assigned]
    queue = _with_texts(queue[queue["overlap"] > 0], config, details)
    return queue[list(COLUMNS)].reset_index(drop=True)


def _with_texts(queue: pd.DataFrame, config: Config, details: pd.DataFrame) -> pd.DataFrame:
    """The queue with the columns SHOWN."""
    settings = [config.policies[name] for name in queue["policy"]]
    known = details.set_index("video_id").reindex(queue["video_id"])
    return queue.assign(
        question=[f"{policy.description}?" for policy in settings],
        guideline_text=[policy.guideline_text or "" for policy in settings],
        guideline_url=[policy.guideline_url or "" for policy in settings],
        video_url=[config.review_tool.video_url.format(video_id=video) for video in queue["video_id"]],
        **{name: known[name].fillna("").to_numpy(dtype=object) for name in ("title", "description")},
    )


def _assigned(queue: pd.DataFrame, rosters: Mapping[str, Sequence[str]], answered: pd.DataFrame) -> list[list[str]]:
    """The people of each row, in the order of the queue."""
    answers: dict[tuple[int, str], set[str]] = defaultdict(set)
    seen: dict[int, set[str]] = defaultdict(set)
    for video, policy, reviewer in answered[["video_id", "policy", "reviewer_id"]].itertuples(index=False, name=None):
        answers[video, policy].add(reviewer)
        seen[video].add(reviewer)
    minutes: dict[str, float] = defaultdict(float)
    result = []
    columns = ["video_id", "policy", "market", "overlap", "each"]
    for video, policy, market, overlap, each in queue[columns].itertuples(index=False, name=None):
        free = [name for name in rosters[market] if name not in answers[video, policy]]
        ranked = nsmallest(overlap, ((name in seen[video], minutes[name], place) for place, name in enumerate(free)))
        chosen = [free[place] for *_, place in ranked]
        for name in chosen:
            minutes[name] += each
            seen[video].add(name)
        result.append(chosen)
    return result
