"""What the platform's review queue decided, as evidence. Pure.

Serving sends the videos of a stretch of scores to review, and its queue answers them whether or not anybody draws a
sample. Where it answered all of them on a day, they are a census of that stretch: draws with inclusion probability 1.

**Emptied.** A queue works in an order of its own, so what it did not get to is no random part, and no weighting makes
up for it. The queue of a cell and day counts only where at least `emptied_share` of its videos have a final answer; the
rest of them counts against any goal, as a wrongful removal and as a violation that was missed. Of a queue that was not
emptied nothing counts but what was also asked blindly, with the probability of that.

**Flagged.** Who answers there knows that the video was flagged. So a share of the videos, chosen by hash, is asked
blindly as well, and the pairs of answers are compared. Where both sides err alike, a pair that disagrees is as likely
to disagree one way as the other. A gambler who starts with 1, and bets on each such pair by what the pairs before
showed (Laplace's rule of succession), then owns

    2^n B(a + 1, b + 1)

after n = a + b of them, B being the beta function: of the n pairs a were violating to the queue alone. The bets are
fair, so that the chance of ever owning REFUSED_AT is at most 1 / REFUSED_AT (Ville's inequality), however often and
whenever one looks. From then on the queue of that policy and market is no evidence, by name.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from include.config.model import Config, QueueDecisions
from include.contract.cell import records
from include.contract.tables import CELL, REVIEW_QUEUE

REFUSED_AT = 20.0
"""A queue that answers as blind reviewers do is ever refused with a chance of at most 1 in so many."""

_DRAW = ["policy", "video_id", "sampled_on"]
_WHERE = ["policy", "market"]


def with_emptied_queues(rows: pd.DataFrame, settings: QueueDecisions | None) -> pd.DataFrame:
    """Draws with their answers, and the videos of the queues that were emptied in the place of draws among them.

    Args:
        rows: draws of `mature_draws` with `queued`, the rows of the programme review_queue; and asked_by, of their
            consensus.
        settings: None: no queue counts.

    Returns:
        The draws but those of queues that do not count. What queues answered stands for a draw that was to be asked
        blindly only where they were emptied.
    """
    blind, queue = rows[~rows["queued"]], rows[rows["queued"]]
    queue = queue.iloc[:0] if settings is None or queue.empty else _emptied(queue, settings)
    queue = queue.assign(inclusion_probability=1.0, undecided=queue["p_violating"].isna())
    counted = _among(blind, queue, [*_DRAW, "model_version"])
    flagged = (blind["asked_by"] == REVIEW_QUEUE) & ~_among(blind, queue, _DRAW)
    blind = blind.assign(p_violating=blind["p_violating"].mask(flagged), undecided=blind["undecided"] & ~flagged)
    return pd.concat([blind[~counted], queue]).sort_index()


def _emptied(queue: pd.DataFrame, settings: QueueDecisions) -> pd.DataFrame:
    """The rows of the queues, by cell and day, that were emptied."""
    looked_at = queue["p_violating"].notna() | queue["undecided"]
    share = looked_at.groupby([queue[name] for name in (*CELL, "sampled_on")]).transform("mean")
    return queue[share >= settings.emptied_share]


def evidence_of_difference(only_queue: ArrayLike, only_blind: ArrayLike) -> NDArray[np.float64]:
    """The gambler's fortune of the module, from counts of pairs that disagree, each >= 0. Broadcasts."""
    a, b = np.asarray(only_queue, dtype=float), np.asarray(only_blind, dtype=float)
    return np.asarray(np.exp((a + b) * np.log(2.0) + betaln(a + 1.0, b + 1.0)), dtype=np.float64)


def compared_so_far(decisions: pd.DataFrame, config: Config) -> pd.DataFrame:
    """By policy and market, and day: pairs so far (compared, only_queue, only_blind), e_value, and the highest so far.

    `decisions`: rows of queue_decisions with ds; those of days before `compared_from` count for nothing.
    """
    settings = config.sampling.queue_decisions
    rows = decisions.sort_values("ds").drop_duplicates([*CELL, "sampled_on"], keep="last")
    if settings is not None and settings.compared_from is not None:
        rows = rows[pd.to_datetime(rows["sampled_on"]) >= pd.Timestamp(settings.compared_from)]
    counts = ["compared", "only_queue", "only_blind"]
    by_day = rows.groupby([*_WHERE, "ds"], as_index=False)[counts].sum().sort_values("ds")
    by_day[counts] = by_day.groupby(_WHERE)[counts].cumsum()
    by_day["e_value"] = evidence_of_difference(by_day["only_queue"].astype(float), by_day["only_blind"].astype(float))
    by_day["highest"] = by_day.groupby(_WHERE)["e_value"].cummax()
    return by_day.reset_index(drop=True)


def refused_queues(decisions: pd.DataFrame, config: Config) -> dict[tuple[str, str], str]:
    """Why the queue of a policy in a market is no evidence, for those that are none; `decisions` as above."""
    so_far = compared_so_far(decisions, config)
    crossed = so_far[so_far["highest"] >= REFUSED_AT].drop_duplicates(_WHERE)
    return {
        (row["policy"], row["market"]): (
            f"its reviewers answer otherwise than blind ones: by {row['ds']}, of {row['compared']} videos answered by "
            f"both, {row['only_queue']} were violating to the queue alone and {row['only_blind']} to the blind alone "
            f"(e-value {row['e_value']:.3g}, refused at {REFUSED_AT:g})"
        )
        for row in records(crossed)
    }


def of_queues(events: pd.DataFrame, drawn: pd.DataFrame, queues: Collection[tuple[str, str]]) -> NDArray[np.bool_]:
    """Which of `events` (label_events) are answers of one of `queues` (policy, market); `drawn`: review_sample."""
    sent = drawn[drawn["programme"] == REVIEW_QUEUE].drop_duplicates(["policy", "video_id"])
    market = sent.set_index(["policy", "video_id"])["market"]
    where = market.reindex(pd.MultiIndex.from_frame(events[["policy", "video_id"]])).to_numpy()
    of_one = [pair in queues for pair in zip(events["policy"], where, strict=True)]
    return np.asarray((events["programme"] == REVIEW_QUEUE) & np.array(of_one, dtype=bool), dtype=bool)


def _among(rows: pd.DataFrame, others: pd.DataFrame, by: list[str]) -> pd.Series:
    return pd.Series(pd.MultiIndex.from_frame(rows[by]).isin(pd.MultiIndex.from_frame(others[by])), rows.index)
