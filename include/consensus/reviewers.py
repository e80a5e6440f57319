"""Reviewers graded: each one's sensitivity and specificity with intervals, and how far a group of them agrees."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import beta

from include.consensus.dawid_skene import DEFAULT_PRIORS, Floats, VoteTable, fit, golden_truth, sorted_codes, vote_table

LEVEL: Final = 0.95
TOLERANCE: Final = 1e-6
MAX_ROUNDS: Final = 500
COLUMNS: Final = [
    *("policy", "reviewer_id", "labels", "golden_labels"),
    *("sensitivity", "sensitivity_low", "sensitivity_high"),
    *("specificity", "specificity_low", "specificity_high"),
    *("agreement", "basis"),
]


def reviewer_quality(votes: pd.DataFrame, *, golden: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each reviewer's sensitivity and specificity in each policy, on two bases that share no vote.

    - ``golden``: the votes on golden items against the golden answers; only for reviewers who have such votes.
    - ``consensus``: the votes on all other items that somebody else voted on too, against what the *others* say: the
      Dawid-Skene posterior under the default priors, the reviewer's own votes on the item left out, so that nobody is
      graded against himself. Those posteriors are uncertain: the rates are fitted to them by likelihood (EM under
      Jeffreys' prior), so that colleagues' doubts do not count against the reviewer, and the interval is as wide as
      the information is thin.

    Intervals are equal-tailed 95 % of the Beta posterior under Jeffreys' prior, reaching 0 or 1 where no vote or every
    vote is right (L. Brown, T. Cai and A. DasGupta, Statistical Science 16 (2001) 101-133). On the consensus basis a
    vote weighs what its Fisher information is of that of a vote on a known item. That the colleagues' rates are
    estimates too is not in the interval: golden labels are the better evidence.

    Args:
        votes: columns ``policy``, ``item``, ``reviewer`` and ``violating`` (0/1 or bool). Repeated rows count once.
        golden: columns ``policy``, ``item`` and ``violating``.

    Returns:
        A row per policy, reviewer and basis, sorted so: ``policy``; ``reviewer_id``; ``labels``, the reviewer's votes;
        ``golden_labels``, those on golden items; ``sensitivity``, ``sensitivity_low``, ``sensitivity_high`` and the
        same for ``specificity``, in [0, 1], NaN with the interval [0, 1] where there is nothing to judge by;
        ``agreement``, the share of the golden votes that are right, or of the colleagues' votes on the same items that
        are the same, in [0, 1] or NaN; ``basis``.

    Raises:
        ValueError: a missing column, a null id, a vote that is not 0 or 1, or contradicting golden answers.
    """
    policy, policies = sorted_codes(votes, "policy")
    if golden is not None:
        sorted_codes(golden, "policy")  # refuses a missing or null policy
    graded = [pd.DataFrame(columns=COLUMNS)]
    for code, name in enumerate(policies):
        table = vote_table(votes[policy == code])
        truth = golden_truth(None if golden is None else golden[golden["policy"] == name], table.items)
        ballots = _ballots(table, truth)
        for rows in (_against_golden(table, ballots), _against_others(table, truth, ballots)):
            graded.append(rows.assign(policy=name))
    present = [rows for rows in graded if len(rows)] or graded
    return pd.concat(present)[COLUMNS].sort_values(["policy", "reviewer_id", "basis"], ignore_index=True)


def krippendorff_alpha(votes: pd.DataFrame) -> float:
    """Krippendorff's alpha for nominal data with missing and unequally many votes; NaN where it is undefined.

    ``votes``: columns ``item``, ``reviewer``, ``violating``, one policy. 1 is perfect agreement, 0 chance. Undefined
    if no item has two votes or all such votes are the same. It collapses at rare classes; read it beside ``gwet_ac1``.
    Source: K. Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section on nominal data.
    """
    no, yes = vote_table(votes).counts()
    paired = no + yes >= 2
    no, yes = no[paired], yes[paired]
    chance = no.sum() * yes.sum()
    if chance == 0:
        return float("nan")
    observed = (no * yes / (no + yes - 1)).sum()
    return float(1 - (no.sum() + yes.sum() - 1) * observed / chance)


def gwet_ac1(votes: pd.DataFrame) -> float:
    """Gwet's AC1 for two categories with missing and unequally many votes; NaN if no item has two votes.

    ``votes``: columns ``item``, ``reviewer``, ``violating``, one policy. 1 is perfect agreement, 0 chance. Source:
    K. Gwet, "Computing inter-rater reliability and its variance in the presence of high agreement", British Journal
    of Mathematical and Statistical Psychology 61 (2008) 29-48; items with one vote count for the class shares only.
    """
    no, yes = vote_table(votes).counts()
    n = no + yes
    paired = n >= 2
    if not paired.any():
        return float("nan")
    observed = ((no * (no - 1) + yes * (yes - 1))[paired] / (n * (n - 1))[paired]).mean()
    violating = (yes / n).mean()
    chance = 2 * violating * (1 - violating)
    return float((observed - chance) / (1 - chance))


class _Ballots(NamedTuple):
    """The distinct votes one by one; arrays of one length except ``labels`` and ``golden_labels`` (m)."""

    item: npt.NDArray[np.intp]
    reviewer: npt.NDArray[np.intp]
    violating: npt.NDArray[np.bool_]
    truth: Floats  # 1, 0 or NaN
    labels: npt.NDArray[np.intp]
    golden_labels: npt.NDArray[np.intp]


def _ballots(table: VoteTable, truth: Floats) -> _Ballots:
    m, column = len(table.reviewers), table.columns.astype(np.intp)
    item = np.repeat(np.arange(len(table.items)), np.diff(table.starts))
    reviewer, known = column // 2, ~np.isnan(truth[item])
    labels, golden_labels = np.bincount(reviewer, minlength=m), np.bincount(reviewer[known], minlength=m)
    return _Ballots(item, reviewer, column % 2 == 1, truth[item], labels, golden_labels)


def _against_golden(table: VoteTable, ballots: _Ballots) -> pd.DataFrame:
    """The ``golden`` rows but for the policy."""
    right = ballots.violating == (ballots.truth == 1)

    def count(votes: npt.NDArray[np.bool_]) -> Floats:
        return _sums(ballots.reviewer, votes, len(table.reviewers))

    positives, negatives = ballots.truth == 1, ballots.truth == 0
    rows = _rows(
        table,
        ballots,
        sensitivity=(count(positives & right), count(positives), count(positives)),
        specificity=(count(negatives & right), count(negatives), count(negatives)),
        agreement=_ratio(count((positives | negatives) & right), ballots.golden_labels),
        basis="golden",
    )
    return rows[ballots.golden_labels > 0]


def _against_others(table: VoteTable, truth: Floats, ballots: _Ballots) -> pd.DataFrame:
    """The ``consensus`` rows but for the policy."""
    m = len(table.reviewers)
    fitted = fit(table, "dawid_skene", truth, DEFAULT_PRIORS)
    evidence = fitted.evidence()
    # A reviewer's votes on one item (two, if both answers were given) are neighbours: the table is sorted.
    pair = np.cumsum(np.diff(ballots.item * m + ballots.reviewer, prepend=-1) != 0) - 1
    own_votes = np.bincount(pair)[pair]
    own_evidence = np.bincount(pair, evidence[2 * ballots.reviewer + ballots.violating])[pair]
    log_odds = logit(fitted.prevalence) + table.totals(evidence)[ballots.item] - own_evidence
    no, yes = table.counts()
    others = (no + yes)[ballots.item] - own_votes
    graded = np.isnan(ballots.truth) & (others > 0)
    reviewer, violating, p = ballots.reviewer[graded], ballots.violating[graded], expit(log_odds[graded])

    def total(weights: Floats) -> Floats:
        return _sums(reviewer, weights, m)

    sensitivity, specificity = fitted.sensitivity, fitted.specificity
    for _ in range(MAX_ROUNDS):  # EM for each reviewer's two rates, the others' posterior p being fixed
        if_violating = p * np.where(violating, sensitivity[reviewer], 1 - sensitivity[reviewer])
        if_not = (1 - p) * np.where(violating, 1 - specificity[reviewer], specificity[reviewer])
        posterior = if_violating / (if_violating + if_not)
        caught, positives = total(posterior * violating), total(posterior)
        spared, negatives = total((1 - posterior) * ~violating), total(1 - posterior)
        before = sensitivity, specificity
        sensitivity, specificity = _jeffreys(caught, positives), _jeffreys(spared, negatives)
        if max(np.abs(sensitivity - before[0]).max(), np.abs(specificity - before[1]).max()) <= TOLERANCE:
            break

    # Fisher information of the two rates in a vote that is "violating" with probability q.
    q = p * sensitivity[reviewer] + (1 - p) * (1 - specificity[reviewer])
    on_sensitivity, on_specificity, on_both = (
        total(weight / (q * (1 - q))) for weight in (p**2, (1 - p) ** 2, p * (1 - p))
    )
    known_sensitivity = on_sensitivity - on_both * _ratio(on_both, on_specificity, empty=0.0)
    known_specificity = on_specificity - on_both * _ratio(on_both, on_sensitivity, empty=0.0)
    same = np.where(ballots.violating, yes[ballots.item], no[ballots.item]) - 1
    return _rows(
        table,
        ballots,
        sensitivity=(caught, positives, sensitivity * (1 - sensitivity) * known_sensitivity),
        specificity=(spared, negatives, specificity * (1 - specificity) * known_specificity),
        agreement=_ratio(total(same[graded]), total(others[graded])),
        basis="consensus",
    )


def _rows(
    table: VoteTable,
    ballots: _Ballots,
    *,
    sensitivity: tuple[Floats, Floats, Floats],
    specificity: tuple[Floats, Floats, Floats],
    agreement: Floats,
    basis: str,
) -> pd.DataFrame:
    """A row per reviewer; each rate as (right votes, votes, votes on known items they are worth), arrays of m."""
    columns = {"reviewer_id": table.reviewers, "labels": ballots.labels, "golden_labels": ballots.golden_labels}
    for name, (right, votes, worth) in (("sensitivity", sensitivity), ("specificity", specificity)):
        weight = np.clip(worth, 0, votes) + 1
        a = _jeffreys(right, votes) * weight
        low, high = beta.ppf([[0.5 - LEVEL / 2], [0.5 + LEVEL / 2]], a, weight - a)
        rate = _ratio(right, votes)
        columns[name] = rate
        columns[f"{name}_low"] = np.where(votes > 0, np.minimum(low, rate), 0.0)
        columns[f"{name}_high"] = np.where(votes > 0, np.maximum(high, rate), 1.0)
    return pd.DataFrame({**columns, "agreement": agreement, "basis": basis})


def _sums(group: npt.NDArray[np.intp], weights: npt.NDArray[np.bool_] | Floats, groups: int) -> Floats:
    """The sum of ``weights`` in each of ``groups`` groups."""
    return np.bincount(group, weights, minlength=groups).astype(np.float64, copy=False)


def _jeffreys(right: Floats, votes: Floats) -> Floats:
    """Posterior mean of a rate under Jeffreys' prior, in (0, 1)."""
    return (right + 0.5) / (votes + 1)


def _ratio(above: Floats, below: Floats | npt.NDArray[np.intp], *, empty: float = np.nan) -> Floats:
    """``above / below``, and ``empty`` where ``below`` is 0."""
    return np.divide(above, below, out=np.full(len(above), empty), where=below > 0)
