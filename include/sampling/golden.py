"""The golden programme: videos whose answer experts settled, asked again to grade reviewers.

They come from earlier samples, which say their market, score and views; video_scores is not read. Their salt changes by
day, so that the questions rotate. Their answers are in no estimate and in no consensus.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from include.config.model import Config
from include.contract.salts import hash32, salt_of
from include.contract.tables import CELL, TABLES
from include.evidence.golden import usable_golden
from include.sampling.allocation import share_out
from include.sampling.design import WHOLE_CELL, identified
from include.sampling.draw import numbers_by_policy

LOOKBACK_DAYS = 90
"""Draws older than this are not asked again."""

_ITEM = ["policy", "video_id"]


def golden_pool(golden: pd.DataFrame, drawn: pd.DataFrame, config: Config, day: date) -> pd.DataFrame:
    """What may be asked again on `day`, sorted.

    Columns policy, video_id, market, model_version, score, views, cluster_id.

    `golden`: `golden_labels` known the day before. `drawn`: `review_sample` of earlier days, with ds. A video is left
    out while answers to an earlier draw may still come in, under another guideline version than the policy's now, and
    where experts contradict each other.
    """
    known = usable_golden(golden, config).rename(columns={"item": "video_id"})[_ITEM]
    latest = drawn.sort_values(["ds", "model_version"]).drop_duplicates(_ITEM, keep="last")
    pool = latest.merge(known, on=_ITEM)
    matured = [
        sampled < config.policies[policy].final_through(day)
        for policy, sampled in zip(pool["policy"], pool["ds"], strict=True)
    ]
    pool = pool[np.array(matured, dtype=bool) & pool["market"].isin(list(config.markets)).to_numpy()]
    return pool[[*_ITEM, "market", "model_version", "score", "views", "cluster_id"]].sort_values(
        _ITEM, ignore_index=True
    )


def golden_design(pool: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Rows of `sampling_design`: one a cell of the `pool`, every video of a policy and market as likely as another.

    A market's golden minutes are shared max-min fairly among the policies that have such videos.
    """
    sampling = config.sampling
    pool = pool if sampling.programmes.golden else pool.iloc[:0]
    counts = pool.groupby(list(CELL), as_index=False).agg(
        population=("views", "size"), population_views=("views", "sum")
    )
    minutes = {name: policy.minutes_per_label * policy.overlap for name, policy in config.policies.items()}
    cost = counts["policy"].map(minutes).astype(float)
    counts["inclusion_probability"] = 0.0
    for market, part in counts.groupby("market"):
        budget = config.markets[str(market)].reviewer_minutes * sampling.minutes_share * sampling.programmes.golden
        wanted = (part["population"] * cost[part.index]).groupby(part["policy"]).sum()
        given = share_out(wanted.to_numpy(float), np.ones(len(wanted)), budget)
        share = dict(zip(wanted.index, given / wanted.to_numpy(float), strict=True))
        counts.loc[part.index, "inclusion_probability"] = part["policy"].map(share)
    counts = counts[counts["inclusion_probability"] > 0]
    expected = counts["population"] * counts["inclusion_probability"]
    return identified(
        counts.assign(
            programme="golden",
            stratum="golden",
            **WHOLE_CELL,
            expected_labels=expected,
            expected_minutes=expected * cost,
            reason="equal probability of every video whose answer is known",
        )
    )


def draw_golden(pool: pd.DataFrame, strata: pd.DataFrame, config: Config, day: date) -> pd.DataFrame:
    """Rows of `review_sample` without sample_id, of the `pool` under the day's `strata`."""
    salt = salt_of(config.sampling.salt, f"golden of {day}")
    columns = [*CELL, "design_id", "programme", "stratum", "region", "inclusion_probability"]
    rows = pool.merge(strata.loc[strata["programme"] == "golden", columns], on=list(CELL)).rename(
        columns={"inclusion_probability": "programme_probability"}
    )
    item = ["policy", "video_id"] if numbers_by_policy(strata) else ["video_id"]
    rows["permanent_random"] = [
        hash32(salt, *parts) / 2**32 for parts in zip(*(rows[name] for name in item), strict=True)
    ]
    drawn = rows[rows["permanent_random"] < rows["programme_probability"]].assign(inclusion_probability=np.nan)
    return drawn[[name for name in TABLES["review_sample"].column_names if name != "sample_id"]]
