"""Golden videos asked again: which, how many, and that they rotate."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.config.load import load_config
from include.config.model import Config
from include.contract.tables import CELL, TABLES
from include.sampling.draw import sample_rows
from include.sampling.golden import draw_golden, golden_design, golden_pool
from include.warehouse.duckdb import checked_rows

DAY = date(2026, 11, 20)


def config(golden: float = 0.1, minutes: float = 1000.0) -> Config:
    raw = load_config().model_dump()
    raw["sampling"] |= {"minutes_share": 0.5}
    raw["sampling"]["programmes"] = {"audit": 0.5, "prevalence": 0.0, "golden": golden, "training": 0.0}
    for market in raw["markets"].values():
        market["reviewer_minutes"] = minutes
    return Config.model_validate(raw)


CONFIG = config()


def labels(videos, policy: str = "violence", **values) -> pd.DataFrame:
    frame = pd.DataFrame({"video_id": list(videos), "policy": policy, "violating": True, "guideline_version": "2026-1"})
    return frame.assign(**values)


def drawn(videos, policy: str = "violence", days: int = 9, **values) -> pd.DataFrame:
    frame = pd.DataFrame({"video_id": list(videos), "policy": policy, "market": "BR", "score": 0.4, "views": 7})
    version = CONFIG.policies[policy].model_versions[0]
    frame["cluster_id"] = None
    return frame.assign(model_version=version, ds=DAY - timedelta(days=days), programme="audit").assign(**values)


def test_only_settled_videos_of_matured_draws_are_asked_again():
    golden = pd.concat(
        [
            labels(range(10)),
            labels([3], violating=False),  # contradicts
            labels([4], guideline_version="2025-9"),
            labels([4], "fraud"),
            labels([99]),  # never drawn
            labels([5], "gambling"),
        ]
    )
    golden = golden[
        ~((golden["video_id"] == 4) & (golden["policy"] == "violence") & (golden["guideline_version"] == "2026-1"))
    ]
    earlier = pd.concat(
        [
            drawn(range(8)),
            drawn([5], days=CONFIG.policies["violence"].maturity_days),  # asked again lately
            drawn([6], days=30, market="DE", score=0.1),
            drawn([7], market="FR", days=8),
            drawn([4], "fraud"),
            drawn([4], "fraud", days=8, model_version="fraud-v3", score=0.9),
        ]
    )
    pool = golden_pool(golden, earlier, CONFIG, DAY)
    assert list(zip(pool["policy"], pool["video_id"], strict=True)) == [
        ("fraud", 4), ("violence", 0), ("violence", 1), ("violence", 2), ("violence", 6)
    ]  # fmt: skip
    assert pool["market"].tolist() == ["BR"] * 5  # the latest draw says where
    assert pool["model_version"].tolist()[0] == "fraud-v3"
    assert pool["score"].tolist()[0] == 0.9


def test_a_set_share_of_each_markets_minutes_is_asked():
    pool = golden_pool(
        pd.concat([labels(range(500)), labels(range(500), "fraud")]),
        pd.concat([drawn(range(500)), drawn(range(300), "fraud"), drawn(range(300, 310), "fraud", market="DE")]),
        CONFIG,
        DAY,
    )
    strata = golden_design(pool, CONFIG)
    checked_rows(TABLES["sampling_design"], strata)
    minutes = strata.groupby(["market", "policy"])["expected_minutes"].sum().to_dict()
    assert minutes == pytest.approx({("BR", "violence"): 25.0, ("BR", "fraud"): 25.0, ("DE", "fraud"): 25.0})
    assert strata["inclusion_probability"].max() <= 1
    assert golden_design(pool, config(golden=0.0)).empty
    assert golden_design(pool.iloc[:0], CONFIG).empty
    ample = golden_design(pool, config(minutes=1e6))
    assert ample["inclusion_probability"].tolist() == [1.0, 1.0, 1.0]


def test_the_questions_rotate_and_none_of_them_can_enter_an_estimate():
    pool = golden_pool(labels(range(4_000)), drawn(range(4_000)), config(minutes=8_000), DAY)
    strata = golden_design(pool, config(minutes=8_000))
    (pi,) = strata["inclusion_probability"]
    days = [draw_golden(pool, strata, CONFIG, DAY + timedelta(days=k)) for k in range(2)]
    for k, rows in enumerate(days):
        count = len(rows)
        assert stats.binom.cdf(count, 4_000, pi) > 1e-4
        assert stats.binom.sf(count - 1, 4_000, pi) > 1e-4
        assert rows["inclusion_probability"].isna().all()
        assert (rows["permanent_random"] < rows["programme_probability"]).all()
        assert rows["programme"].unique().tolist() == ["golden"]
        checked_rows(TABLES["review_sample"], sample_rows(rows, DAY + timedelta(days=k)))
    both = len(set(days[0]["video_id"]) & set(days[1]["video_id"]))
    assert stats.binom.cdf(both, 4_000, pi**2) > 1e-4
    assert stats.binom.sf(both - 1, 4_000, pi**2) > 1e-4
    pd.testing.assert_frame_equal(days[0], draw_golden(pool, strata, CONFIG, DAY))
    others = pd.concat([strata.assign(programme="audit", stratum=f"allow_{k}") for k in range(3)])
    pd.testing.assert_frame_equal(days[0], draw_golden(pool, pd.concat([others, strata]), CONFIG, DAY))
    assert draw_golden(pool, strata.assign(market="DE"), CONFIG, DAY).empty
    assert set(CELL) <= set(days[0].columns)
    assert np.isfinite(days[0]["score"]).all()
