"""Draws that nobody answered must not bias what the answered ones say: weighting-class nonresponse adjustment.

What is removed is labelled sooner and more surely than what is allowed, so the answered draws show too much of it.
Draws are put into classes, policy x market x region of the design, within which those answered are taken to be typical
of all, and an answered draw's inclusion probability is multiplied by the share of its class that was answered: it then
stands for the unanswered ones, too. Rates are counts of draws, not weighted ones. Sources: R. Little, "Survey
nonresponse adjustments for estimates of means", International Statistical Review 54 (1986) 139-157; R. Little and S.
Vartivarian, "On weighting the rates in non-response weights", Statistics in Medicine 22 (2003) 1589-1599; on small
classes G. Kalton and I. Flores-Cervantes, "Weighting methods", Journal of Official Statistics 19 (2003) 81-97.

Within a region the factor is one number, so inclusion probabilities that were equal there stay equal.
"""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.config.model import Config
from include.contract.tables import ESTIMATING_PROGRAMMES, REVIEW_QUEUE
from include.evidence.queue_decisions import with_emptied_queues

RESPONSE_CLASS = ["policy", "market", "region"]
MIN_CLASS_DRAWS = 30
"""A smaller class takes the rate of its policy in its market: its own would say more of chance than of response."""


def mature_draws(
    drawn: pd.DataFrame,
    consensus: pd.DataFrame,
    *,
    programmes: tuple[str, ...] = ESTIMATING_PROGRAMMES,
    queue_decisions: bool = True,
    day: date,
    config: Config,
) -> pd.DataFrame:
    """Each policy's window of draws that are old enough to be final as of `day`, with their answers.

    A video drawn by several of the programmes counts once, and so does one drawn on several days, on the day its
    consensus is about.

    Args:
        drawn: `review_sample` with ds.
        consensus: `label_consensus` of `day`.
        programmes: whose draws.
        queue_decisions: whether review queues that were emptied count, too (`include.evidence.queue_decisions`).
        day, config: as of when, and each policy's window and maturity.

    Returns:
        The columns of `review_sample`, sampled_on (the day of the draw), p_violating (NaN without a final answer),
        undecided (all that answered finally are unsure, or an emptied queue left it) and settled (1 or 0, as experts
        said on a second look; NaN: nothing).
    """
    draws = drawn[drawn["programme"].isin([*programmes, REVIEW_QUEUE])].rename(columns={"ds": "sampled_on"})
    draws = draws.assign(queued=draws["programme"] == REVIEW_QUEUE)
    draws = draws.sort_values("programme", kind="stable")  # of two the same every time
    draws = draws.drop_duplicates(["video_id", "policy", "model_version", "sampled_on", "queued"]).sort_index()
    days, in_window = draws["sampled_on"].unique(), pd.Series(data=False, index=draws.index)
    for name, policy in config.policies.items():
        first, last = policy.window_start(day), policy.final_through(day)
        counted = [sampled for sampled in days if first <= sampled <= last]
        in_window |= (draws["policy"] == name) & draws["sampled_on"].isin(counted)
    draws = draws[in_window]
    final = consensus["status"] == "final"
    answers = consensus[["video_id", "policy", "sampled_on", "asked_by"]].assign(
        p_violating=consensus["p_violating"].where(final),
        undecided=final & consensus["p_violating"].isna(),
        settled=consensus["settled"].map({"violating": 1.0, "not_violating": 0.0}).astype(float),
    )
    rows = draws.merge(answers.rename(columns={"sampled_on": "about"}), how="left", on=["video_id", "policy"])
    rows = rows[rows["about"].isna() | (rows["about"] == rows["sampled_on"])].drop(columns="about")
    rows = rows.assign(undecided=rows["undecided"].eq(True))
    settings = config.sampling.queue_decisions if queue_decisions else None
    return with_emptied_queues(rows, settings).drop(columns=["queued", "asked_by"])


def response_rates(draws: pd.DataFrame) -> pd.DataFrame:
    """How many of the draws of `mature_draws` were answered, by class.

    Returns:
        policy, market, region, drawn, answered, response_rate (0..1, see MIN_CLASS_DRAWS) and refusal: why nothing can
        be said of the class, None where something can. Sorted by class.
    """
    by_class = draws.groupby(RESPONSE_CLASS)["p_violating"]
    counts = by_class.agg(drawn="size", answered="count").astype("int64").reset_index()
    whole = counts.groupby(["policy", "market"])[["drawn", "answered"]].transform("sum")
    small = counts["drawn"] < MIN_CLASS_DRAWS
    rate = (counts["answered"] / counts["drawn"]).where(~small, whole["answered"] / whole["drawn"])
    refusal = [
        None if share > 0 else f"none of {n} videos drawn from {region} has an answer"
        for share, n, region in zip(rate, counts["drawn"], counts["region"], strict=True)
    ]
    return counts.assign(response_rate=rate, refusal=pd.Series(refusal, dtype="object"))


def adjusted_for_response(draws: pd.DataFrame) -> pd.DataFrame:
    """The answered of `mature_draws`, each with the response rate of its class in its inclusion probability.

    A policy in a market with a class that has a refusal is left out: what the rest says of the whole would be a guess.
    """
    rates = response_rates(draws)
    rates["silent"] = rates["refusal"].notna().groupby([rates["policy"], rates["market"]]).transform("any")
    rates = rates[[*RESPONSE_CLASS, "response_rate", "silent"]]
    rows = draws[draws["p_violating"].notna()].merge(rates, on=RESPONSE_CLASS, validate="many_to_one")
    rows["inclusion_probability"] *= rows["response_rate"]
    return rows.loc[~rows["silent"], list(draws.columns)].reset_index(drop=True)
