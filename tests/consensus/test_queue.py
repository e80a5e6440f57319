"""queue_decisions: what a queue decided, and the pairs of answers that are compared."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from include.config.load import load_config
from include.config.model import QueueDecisions
from include.consensus.asof import consensus_asof, votes_asof
from include.consensus.queue import decided
from include.contract.schema import empty_frame
from include.contract.tables import REVIEW_QUEUE, TABLES
from tests.consensus.test_asof import SAMPLED, events_of

SHIPPED = load_config()
CONFIG = SHIPPED.model_copy(
    update={"sampling": SHIPPED.sampling.model_copy(update={"queue_decisions": QueueDecisions(emptied_share=0.8)})}
)
FINAL = SAMPLED + dt.timedelta(days=SHIPPED.policies["violence"].maturity_days)
NONE = empty_frame(TABLES["queue_decisions"])


def flagged(video: int, decision: str = "violating", who: str = "quinn") -> dict[str, Any]:
    return {"video_id": video, "decision": decision, "reviewer_id": who, "programme": REVIEW_QUEUE}


def blind(video: int, decision: str = "violating", who: str = "ben") -> dict[str, Any]:
    return {"video_id": video, "decision": decision, "reviewer_id": who, "programme": "audit"}


EVENTS = events_of(
    flagged(1),
    blind(1),
    flagged(2),
    blind(2, "not_violating"),
    flagged(3, "not_violating"),
    blind(3),
    flagged(4),
    blind(4, "unsure"),
    flagged(5),
    blind(5, "not_violating", who="quinn"),  # who saw it flagged is not blind to it
    flagged(6, "unsure"),
)
SENT = pd.DataFrame({"video_id": range(1, 8), "policy": "violence", "market": "BR", "model_version": "violence-v3"})
SENT = SENT.assign(programme=REVIEW_QUEUE, ds=SAMPLED)


def test_a_queues_day_is_counted_when_its_labels_are_final() -> None:
    answers = votes_asof(EVENTS, day=FINAL, config=CONFIG)
    (row,) = decided(answers, SENT, NONE, day=FINAL, config=CONFIG).to_dict("records")
    assert (row["sent"], row["decided"], row["emptied"]) == (7, 6, True)
    assert (row["compared"], row["only_queue"], row["only_blind"]) == (3, 1, 1)
    assert row["sampled_on"] == SAMPLED
    assert pd.isna(row["refusal"])
    assert decided(answers, SENT, NONE, day=FINAL + dt.timedelta(days=1), config=CONFIG).empty
    assert decided(answers, SENT, NONE, day=FINAL, config=SHIPPED).empty
    again = pd.concat([SENT, SENT.assign(model_version="violence-v4")])  # two versions sent it: one pair all the same
    found = decided(answers, again, NONE, day=FINAL, config=CONFIG)
    assert found["compared"].tolist() == [3, 0]
    assert found["sent"].tolist() == [7, 7]


def test_a_queue_refused_before_stays_refused() -> None:
    answers = votes_asof(EVENTS, day=FINAL, config=CONFIG)
    earlier = pd.DataFrame(
        [
            {
                "policy": "violence",
                "market": "BR",
                "model_version": "violence-v3",
                "sampled_on": SAMPLED - dt.timedelta(days=1),
                "sent": 400,
                "decided": 400,
                "emptied": True,
                "compared": 200,
                "only_queue": 30,
                "only_blind": 1,
                "e_value": 1.0,
                "refusal": None,
                "ds": FINAL - dt.timedelta(days=1),
            }
        ]
    )
    (row,) = decided(answers, SENT, earlier, day=FINAL, config=CONFIG).to_dict("records")
    assert "30 were violating to the queue alone" in row["refusal"]


def test_blind_answers_come_before_the_queues_and_these_before_training() -> None:
    events = pd.concat(
        [EVENTS, events_of({**blind(1, "not_violating", "t"), "programme": "training", "event_id": "t1"})]
    )
    events = pd.concat([events, events_of({**blind(9, "violating", "t"), "programme": "training", "event_id": "t2"})])
    items = consensus_asof(events, None, day=FINAL, config=CONFIG).set_index("video_id")
    assert items["asked_by"].to_dict() == {
        **dict.fromkeys((1, 2, 3, 4, 5), "sample"),
        6: REVIEW_QUEUE,
        9: "training",
    }
    assert items["p_violating"].to_dict()[2] == 0.0
    assert items.loc[3, "p_violating"] == 1.0
    only = consensus_asof(EVENTS[EVENTS["programme"] == REVIEW_QUEUE], None, day=FINAL, config=CONFIG)
    assert set(only["asked_by"]) == {REVIEW_QUEUE}
    assert only["p_violating"].notna().sum() == 5
