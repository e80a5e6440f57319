"""How reviewers work: how fast they answer, and whether this week's answers are worse or better than those before."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

BREAK_SECONDS: Final = 1_800
"""A longer pause between two answers of a reviewer is a break, not work."""

RECENT_DAYS: Final = 7
DRIFT_LEVEL: Final = 0.05

_WHO: Final = ["policy", "reviewer_id"]


def seconds_per_answer(answers: pd.DataFrame) -> pd.DataFrame:
    """Median seconds between a reviewer's consecutive answers, breaks left out, by the policy of the later answer.

    Args:
        answers: policy, reviewer_id, labelled_at and event_id, any order; a reviewer's policies may alternate.

    Returns:
        policy, reviewer_id, seconds_per_answer (at least 0); no row where no two answers follow each other.
    """
    ordered = answers.sort_values(["reviewer_id", "labelled_at", "event_id"], kind="stable")
    gap = ordered.groupby("reviewer_id", sort=False)["labelled_at"].diff().dt.total_seconds()
    timed = ordered[_WHO].assign(seconds_per_answer=gap)[gap <= BREAK_SECONDS]
    return timed.groupby(_WHO, as_index=False)["seconds_per_answer"].median()


def drift(votes: pd.DataFrame, *, golden: pd.DataFrame | None, since: pd.Timestamp) -> pd.DataFrame:
    """Each reviewer's agreement since `since` against before, and whether the difference is beyond chance.

    Votes on golden items are held against the golden answer (basis `golden`), votes on other items against the
    majority of the others' votes on the item, ties and lone votes left out (basis `consensus`). On violating and on
    other items apart, so that a change of what is reviewed is no drift: the share of right votes is compared by
    Fisher's exact test, two-sided by doubling the smaller tail. The smaller p-value counts, times the comparisons made
    for all reviewers of the policy on the basis (Bonferroni): among reviewers none of whom has changed, somebody is
    called drifting on at most one day in twenty.

    Args:
        votes: policy, item, reviewer, violating (bool) and labelled_at.
        golden: policy, item, violating; no contradictions. None: there are none.
        since: when the recent time begins (UTC).

    Returns:
        policy, reviewer_id, basis; recent_labels; recent_agreement, earlier_agreement in [0, 1] (NaN without votes);
        drift_p_value in [0, 1] (NaN where nothing can be compared); drifted. A row per reviewer, policy and basis with
        any vote to compare with.
    """
    judged = _judged(votes, golden)
    recent, right = judged["labelled_at"] >= since, judged["violating"] == judged["reference"]
    keys = ["policy", "reviewer", "basis"]
    counts = judged[[*keys, "reference"]].assign(
        recent_labels=recent, earlier_labels=~recent, recent_right=recent & right, earlier_right=~recent & right
    )
    by_class = counts.groupby([*keys, "reference"]).sum()
    tested = (by_class["recent_labels"] > 0) & (by_class["earlier_labels"] > 0)
    by_class["p"] = _fisher(by_class).where(tested)
    by_class["comparisons"] = tested
    found = by_class.groupby(level=keys).agg({name: "min" if name == "p" else "sum" for name in by_class})
    comparisons = found.groupby(level=["policy", "basis"])["comparisons"].transform("sum")
    found["drift_p_value"] = np.minimum(1, found["p"] * comparisons)
    found["drifted"] = found["drift_p_value"] <= DRIFT_LEVEL
    for when in ("recent", "earlier"):
        found[f"{when}_agreement"] = found[f"{when}_right"] / found[f"{when}_labels"].replace(0, np.nan)
    found = found.reset_index().rename(columns={"reviewer": "reviewer_id"})
    numbers = ["recent_labels", "recent_agreement", "earlier_agreement", "drift_p_value", "drifted"]
    return found[[*_WHO, "basis", *numbers]]


def _fisher(counts: pd.DataFrame) -> pd.Series:
    """Fisher's exact p-value, the smaller tail doubled, of each row's right votes among recent and earlier ones."""
    all_labels = counts["recent_labels"] + counts["earlier_labels"]
    all_right = counts["recent_right"] + counts["earlier_right"]
    given = (all_labels, all_right, counts["recent_labels"])
    fewer, more = hypergeom.cdf(counts["recent_right"], *given), hypergeom.sf(counts["recent_right"] - 1, *given)
    return pd.Series(np.minimum(1, 2 * np.minimum(fewer, more)), index=counts.index)


def _judged(votes: pd.DataFrame, golden: pd.DataFrame | None) -> pd.DataFrame:
    """The votes that can be held against something: policy, reviewer, violating, labelled_at, reference, basis."""
    item = ["policy", "item"]
    truth = pd.DataFrame(columns=[*item, "truth"]) if golden is None else golden.rename(columns={"violating": "truth"})
    rows = votes.merge(truth[[*item, "truth"]].astype({"truth": "boolean"}), on=item, how="left")
    of_item, own = (rows.groupby(by)["violating"] for by in (item, [*item, "reviewer"]))
    others = of_item.transform("size") - own.transform("size")
    others_yes = of_item.transform("sum") - own.transform("sum")
    majority = (2 * others_yes > others).astype("boolean").mask(2 * others_yes == others)
    rows["reference"] = rows["truth"].fillna(majority)
    rows["basis"] = np.where(rows["truth"].isna(), "consensus", "golden")
    judged = rows[rows["reference"].notna()]
    return judged[["policy", "reviewer", "violating", "labelled_at", "basis"]].assign(
        reference=judged["reference"].astype(bool)
    )
