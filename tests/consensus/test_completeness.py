from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from include.config.load import load_config
from include.consensus.asof import consensus_asof
from include.consensus.completeness import label_completeness
from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.evidence.response import mature_draws, response_rates

CONFIG = load_config()  # maturity 3 days
DRAWN = date(2026, 11, 10)
DAY = DRAWN + timedelta(days=9)


def draws(n: int, region: str, first: int, policy: str = "violence") -> pd.DataFrame:
    rows = pd.DataFrame({"video_id": np.arange(first, first + n), "region": region, "policy": policy})
    return rows.assign(market="BR", model_version="violence-v3", programme="audit", ds=DRAWN)


def answered(video: int, age: int, **values: Any) -> dict[str, Any]:
    row = {
        "event_id": f"{video}-{age}-{sorted(values.items())}",
        "video_id": video,
        "policy": "violence",
        "reviewer_id": "anna",
        "decision": "violating",
        "labelled_at": pd.Timestamp(DRAWN, tz="UTC") + pd.Timedelta(hours=30),
        "guideline_version": "2026-1",
        "programme": "audit",
        "sampled_on": DRAWN,
        "source_file": "a.jsonl",
        "source_line": 1,
        "ds": DRAWN + timedelta(days=age),
    }
    return row | values


def of_week(*events: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(label_completeness, mature draws) of ten removed and five allowed videos."""
    schema = empty_frame(TABLES["label_events"])
    frame = pd.DataFrame(list(events), columns=[*schema.columns, "ds"]).astype(schema.dtypes.to_dict())
    drawn = pd.concat([draws(10, "remove", 0), draws(5, "allow", 100)], ignore_index=True)
    consensus = consensus_asof(frame, None, day=DAY, config=CONFIG)
    mature = mature_draws(drawn, consensus, day=DAY, config=CONFIG)
    return label_completeness(mature, frame, CONFIG), mature


def test_completeness_by_age_and_what_came_too_late():
    found, mature = of_week(
        *[answered(video, 1) for video in range(6)],
        answered(6, 2),
        answered(6, 2, decision="unsure", reviewer_id="ben"),
        answered(0, 3, reviewer_id="ben"),  # a second vote
        answered(7, 5),  # too late
        answered(0, 5, reviewer_id="cem"),
        answered(8, 1, decision="unsure"),  # no vote, no answer
        answered(9, 2, programme="golden"),
        answered(100, 3),
    )
    columns = ["region", "age_days", "drawn", "answered", "arrived", "counted"]
    assert found[columns].to_numpy().tolist() == [
        ["allow", 1, 5, 0, 0, True],
        ["allow", 2, 5, 0, 0, True],
        ["allow", 3, 5, 1, 1, True],
        ["remove", 1, 10, 6, 7, True],
        ["remove", 2, 10, 7, 2, True],
        ["remove", 3, 10, 7, 1, True],
        ["remove", 4, 10, 7, 0, False],
        ["remove", 5, 10, 7, 2, False],
    ]
    assert (found["completeness"] == found["answered"] / found["drawn"]).all()
    pd.testing.assert_series_equal(found.dtypes, empty_frame(TABLES["label_completeness"]).dtypes)
    at_maturity = found[found["age_days"] == 3].set_index("region")["answered"]
    assert at_maturity.to_dict() == response_rates(mature).set_index("region")["answered"].to_dict()


def test_without_draws_or_events_there_is_nothing_to_say():
    found, mature = of_week()
    assert found["answered"].sum() == 0
    assert list(found["age_days"]) == [1, 2, 3] * 2
    none = label_completeness(mature.iloc[:0], pd.DataFrame([answered(1, 1)]), CONFIG)
    pd.testing.assert_frame_equal(none, empty_frame(TABLES["label_completeness"]))


def test_a_vote_given_to_an_earlier_draw_of_the_video_counts_from_maturity_on():
    earlier = answered(3, 1, sampled_on=DRAWN - timedelta(days=1))
    found, _ = of_week(earlier, answered(3, 1, decision="unsure", reviewer_id="ben"))
    assert found.loc[found["region"] == "remove", "answered"].tolist() == [0, 0, 1]
