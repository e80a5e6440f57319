"""The second look: answers that experts are asked to settle, in minutes of their own.

Reviewers' missed violations count as wrongful removals, so what they called "not violating" is worth an expert's minute
where it decides a certificate: at scores from a little below remove_at upwards. So is what nobody was sure about, at
any score, since it counts against recall as well. What experts settle replaces the consensus there.

These picks depend on the answer, so they say nothing of how often reviewers err; for that, a share of all answered
draws is settled whatever the answer was, chosen by hash. Which is which stays in the stratum of the draw.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from include.config.model import Config
from include.contract.cell import cell_of, records
from include.contract.salts import hash32, salt_of
from include.contract.tables import CELL, DECISIVE, ESTIMATING_PROGRAMMES, RANDOM, REVIEW_QUEUE, TABLES
from include.sampling.design import WHOLE_CELL, identified

_ITEM = ["policy", "video_id"]
_REASONS = {
    RANDOM: "answered draws, chosen by hash, from which reviewers' error is estimated",
    DECISIVE: 'answered "not violating" at scores that decide a certificate, or unsure',
}


def second_look_pool(
    drawn: pd.DataFrame,
    consensus: pd.DataFrame,
    remove_at: pd.DataFrame,
    config: Config,
    *,
    known: pd.DataFrame,
    day: date,
) -> pd.DataFrame:
    """What experts are asked on `day`, as far as their minutes go: random draws first, then from high scores down.

    Draws without a score come last.

    Args:
        drawn: `review_sample` of the days before `day`, with ds.
        consensus: `label_consensus` of the day before.
        remove_at: policy, market, model_version, remove_at: from where videos are removed, or would be in shadow mode.
        known: policy and video_id of what experts have answered unasked.

    Returns:
        policy, video_id, market, model_version, score, views, cluster_id, stratum and permanent_random, each video once
        a policy, sorted by policy and video. Empty where no market has experts.
    """
    minutes = {name: market.experts.minutes for name, market in config.markets.items() if market.experts}
    asked = drawn.loc[drawn["programme"] == "second_look", _ITEM]
    rows = drawn[drawn["programme"].isin([*ESTIMATING_PROGRAMMES, REVIEW_QUEUE]) & drawn["market"].isin(list(minutes))]
    rows = rows[~_among(rows, asked) & ~_among(rows, known)]
    rows = rows.merge(consensus[[*_ITEM, "p_violating", "sampled_on"]], on=_ITEM)
    in_window = [
        policy in config.policies and config.policies[policy].window_start(day) <= ds == sampled_on
        for policy, ds, sampled_on in zip(rows["policy"], rows["ds"], rows["sampled_on"], strict=True)
    ]
    rows = rows[np.array(in_window, dtype=bool)].drop_duplicates([*_ITEM, "model_version"])
    look, salt = config.sampling.second_look, salt_of(config.sampling.salt, "second look")
    rows["permanent_random"] = [
        hash32(salt, *item) / 2**32 for item in zip(rows["policy"], rows["video_id"], strict=True)
    ]
    levels = {cell_of(row): row["remove_at"] for row in records(remove_at)}
    zone = np.array([levels.get(cell_of(row), 1.0) - look.margin for row in records(rows[list(CELL)])], dtype=float)
    random = (rows["permanent_random"] < look.random_share) & rows["p_violating"].notna()
    undecided = rows["p_violating"].isna()
    decisive = undecided | (~(rows["p_violating"] > 0.5) & (rows["score"] >= zone))
    rows = rows.assign(stratum=np.where(random, RANDOM, DECISIVE), rank=rows["score"].where(~random, 2.0))[
        random | decisive
    ]
    rows = rows.sort_values(["rank", "permanent_random", *_ITEM, "model_version"], ascending=[False, *[True] * 4])
    rows = rows.drop_duplicates(_ITEM)
    cost = (
        rows["policy"].map({name: policy.minutes_per_label for name, policy in config.policies.items()}).astype(float)
    )
    within = cost.groupby(rows["market"]).cumsum() <= rows["market"].map(minutes).astype(float)
    columns = [*_ITEM, "market", "model_version", "score", "views", "cluster_id", "stratum", "permanent_random"]
    return rows.loc[within, columns].sort_values(_ITEM, ignore_index=True)


def second_look_design(pool: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Rows of `sampling_design`: one a cell and stratum of the `pool`, all of which is asked, in experts' minutes."""
    key = [*CELL, "stratum"]
    counts = pool.groupby(key, as_index=False).agg(population=("views", "size"), population_views=("views", "sum"))
    minutes = {name: policy.minutes_per_label for name, policy in config.policies.items()}
    return identified(
        counts.assign(
            programme="second_look",
            **WHOLE_CELL,
            inclusion_probability=1.0,
            expected_labels=counts["population"].astype(float),
            expected_minutes=counts["population"] * counts["policy"].map(minutes).astype(float),
            reason=counts["stratum"].map(_REASONS),
        )
    )


def draw_second_look(pool: pd.DataFrame, strata: pd.DataFrame) -> pd.DataFrame:
    """Rows of `review_sample` without sample_id: all of the `pool`, under the day's `strata`."""
    key = [*CELL, "stratum"]
    of_programme = strata.loc[strata["programme"] == "second_look", [*key, "design_id", "programme", "region"]]
    drawn = pool.merge(of_programme, on=key).assign(programme_probability=1.0, inclusion_probability=np.nan)
    return drawn[[name for name in TABLES["review_sample"].column_names if name != "sample_id"]]


def _among(rows: pd.DataFrame, items: pd.DataFrame) -> pd.Series:
    """Which of `rows` are a policy and video of `items`."""
    return pd.Series(pd.MultiIndex.from_frame(rows[_ITEM]).isin(pd.MultiIndex.from_frame(items[_ITEM])), rows.index)
