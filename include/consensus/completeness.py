"""How complete the labels of a sample are at each age, by what was done with the videos: rows of `label_completeness`.

Removals tend to be labelled sooner than the rest. What is missing at maturity, `include.evidence.response` makes up
for; how it came about is seen here, and how much arrived too late to count.
"""

from __future__ import annotations

import pandas as pd

from include.config.model import Config
from include.contract.schema import empty_frame
from include.contract.tables import ESTIMATING_PROGRAMMES, REVIEW_QUEUE, TABLES
from include.evidence.response import RESPONSE_CLASS

_TABLE = TABLES["label_completeness"]
_DRAW = ["policy", "video_id", "sampled_on"]


def label_completeness(draws: pd.DataFrame, events: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Rows of `label_completeness`, sorted by key: ages 1 to the policy's maturity, and above while events arrived.

    Args:
        draws: of `include.evidence.response.mature_draws`.
        events: `label_events` with ds (the arrival day), of all days from the first draw's on.
        config: each policy's maturity.
    """
    asked = events[events["programme"].isin([*ESTIMATING_PROGRAMMES, REVIEW_QUEUE])]
    age = (pd.to_datetime(asked["ds"]) - pd.to_datetime(asked["sampled_on"])).dt.days
    arrivals = asked[[*_DRAW, "decision"]].assign(age_days=age.astype("int64"))
    first = arrivals[arrivals["decision"] != "unsure"].groupby(_DRAW)["age_days"].min().rename("first").reset_index()
    drawn = draws[[*RESPONSE_CLASS, *_DRAW[1:], "p_violating"]].merge(first, how="left", on=_DRAW)
    arrived = draws[[*RESPONSE_CLASS, *_DRAW[1:]]].merge(arrivals, on=_DRAW)
    rows = []
    for (policy, market, region), part in drawn.groupby(RESPONSE_CLASS, sort=True):
        maturity = config.policies[str(policy)].maturity_days
        here = (arrived[RESPONSE_CLASS] == [policy, market, region]).all(axis=1)
        by_age = arrived.loc[here, "age_days"].value_counts()
        # An answer whose vote was given to another day's draw counts from maturity on.
        answered_at = part.loc[part["p_violating"].notna(), "first"].fillna(maturity).clip(upper=maturity)
        for days in range(1, max(maturity, int(by_age.index.max() if len(by_age) else 0)) + 1):
            answered = int((answered_at <= days).sum())
            rows.append(
                {
                    "policy": policy,
                    "market": market,
                    "region": region,
                    "age_days": days,
                    "drawn": len(part),
                    "answered": answered,
                    "completeness": answered / len(part),
                    "arrived": int(by_age.get(days, 0)),
                    "counted": days <= maturity,
                }
            )
    return pd.DataFrame(rows, columns=list(_TABLE.column_names)).astype(empty_frame(_TABLE).dtypes.to_dict())
