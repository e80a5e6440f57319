"""What the platform's review queues decided on a day, and how that compares with blind answers: queue_decisions."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from include.config.model import Config
from include.contract.cell import cell_of, records
from include.contract.schema import empty_frame
from include.contract.tables import CELL, REVIEW_QUEUE, TABLES
from include.evidence.queue_decisions import compared_so_far, refused_queues

_TABLE = TABLES["queue_decisions"]
_ITEM = ["policy", "video_id"]


def decided(
    answers: pd.DataFrame, drawn: pd.DataFrame, earlier: pd.DataFrame, *, day: dt.date, config: Config
) -> pd.DataFrame:
    """Rows of queue_decisions of `day`: of each policy the queues of the day whose labels are final since then.

    Args:
        answers: of `include.consensus.asof.votes_asof`.
        drawn: review_sample of the window, with ds.
        earlier: queue_decisions of the days before, with ds.
        day, config: as of when; there are rows only where `sampling.queue_decisions` is set.
    """
    settings = config.sampling.queue_decisions
    queue = drawn[drawn["programme"] == REVIEW_QUEUE]
    final = {name: policy.final_through(day) for name, policy in config.policies.items()}
    queue = queue[(queue["ds"] == queue["policy"].map(final)).to_numpy(bool)]
    if settings is None or queue.empty:
        return empty_frame(_TABLE)
    found = queue.merge(_pairs(answers, queue), how="left", on=_ITEM)
    again = found.duplicated(_ITEM)  # sent there by several model versions: still one pair
    found.loc[again, ["compared", "only_queue", "only_blind"]] = 0
    rows = found.groupby([*CELL, "ds"], as_index=False).agg(
        sent=("video_id", "size"),
        decided=("decided", "sum"),
        compared=("compared", "sum"),
        only_queue=("only_queue", "sum"),
        only_blind=("only_blind", "sum"),
    )
    rows = rows.rename(columns={"ds": "sampled_on"})
    counts = ["sent", "decided", "compared", "only_queue", "only_blind"]
    rows = rows.astype(dict.fromkeys(counts, "int64"))
    rows["emptied"] = rows["decided"] >= settings.emptied_share * rows["sent"]
    everything = pd.concat([earlier, rows.assign(ds=day)], ignore_index=True) if len(earlier) else rows.assign(ds=day)
    newest = compared_so_far(everything, config).drop_duplicates(["policy", "market"], keep="last")
    e_values = {(row["policy"], row["market"]): row["e_value"] for row in records(newest)}
    refusals = refused_queues(everything, config)
    where = [cell_of(row)[:2] for row in records(rows)]
    rows["e_value"] = [e_values.get(pair, 1.0) for pair in where]
    rows["refusal"] = pd.Series([refusals.get(pair) for pair in where], index=rows.index, dtype="object")
    return rows[list(_TABLE.column_names)].astype(empty_frame(_TABLE).dtypes.to_dict())


def _pairs(answers: pd.DataFrame, queue: pd.DataFrame) -> pd.DataFrame:
    """By policy and video of `queue`: decided, compared, only_queue and only_blind, each 0 or 1.

    Who answered a video in the queue is not blind to it later.
    """
    asked = queue[[*_ITEM, "ds"]].drop_duplicates(_ITEM)
    there = answers.merge(asked, on=_ITEM)
    there = there[pd.to_datetime(there["sampled_on"]) == pd.to_datetime(there["ds"])]
    flagged, blind = there[there["purpose"] == REVIEW_QUEUE], there[there["purpose"] == "estimation"]
    who = [*_ITEM, "reviewer_id"]
    blind_to_it = ~pd.MultiIndex.from_frame(blind[who]).isin(pd.MultiIndex.from_frame(flagged[who]))
    said = asked[_ITEM].assign(
        decided=_among(asked, pd.concat([flagged, blind])),
        queue=_majority(flagged, asked),
        blind=_majority(blind[blind_to_it], asked),
    )
    both = said["queue"].notna() & said["blind"].notna()
    return said[_ITEM].assign(
        decided=said["decided"].astype("int64"),
        compared=both.astype("int64"),
        only_queue=(both & (said["queue"] > said["blind"])).astype("int64"),
        only_blind=(both & (said["queue"] < said["blind"])).astype("int64"),
    )


def _majority(answers: pd.DataFrame, asked: pd.DataFrame) -> pd.Series:
    """1 where most of the sure answers are violating, 0 where fewer, NaN where none is or they are split."""
    sure = answers[answers["decision"] != "unsure"]
    share = (sure["decision"] == "violating").groupby([sure[name] for name in _ITEM]).mean()
    found = share.reindex(pd.MultiIndex.from_frame(asked[_ITEM])).set_axis(asked.index)
    return (found > 0.5).astype(float).where(found.notna() & (found != 0.5))


def _among(asked: pd.DataFrame, answers: pd.DataFrame) -> pd.Series:
    known = pd.MultiIndex.from_frame(answers[_ITEM])
    return pd.Series(pd.MultiIndex.from_frame(asked[_ITEM]).isin(known), asked.index)
