"""Reviewers' votes to one probability per item: majority, Dawid-Skene and one-coin, blind to any classifier's score.

Source: A. P. Dawid and A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
Applied Statistics 28 (1979) 20-28; the one-coin form: Y. Zhang et al., JMLR 17 (2016) 1-44. Fitted by EM under Beta
priors, because one to three votes an item and a per cent of positives identify the model only weakly without them.

The rules, in one place:

- *One policy a call.* A reviewer's sensitivity and specificity belong to a policy; the caller groups.
- *Votes are a set.* A repeated (item, reviewer, answer) row counts once; a reviewer who gave both answers cast one
  vote each way. Which of two answers supersedes the other is decided before, by the label events.
- *Majority*: 1 above half the votes, 0 below, 0.5 at a tie.
- *Start* of EM: each item's share of violating votes. *Stop*: no item's probability moves by more than
  ``TOLERANCE``, or after ``MAX_ROUNDS``.
- *Golden answers* stand in for the estimated truth wherever reviewers' rates are counted, and centre the prior of
  reviewers without golden labels on the rates of those with. They never replace ``p_violating``, so the consensus
  itself can be graded on golden items; and golden items, picked by hand, do not count towards the class balance.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.special import expit, logit

Method = Literal["majority", "dawid_skene", "one_coin"]
Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-4
MAX_ROUNDS: Final = 500
EPSILON: Final = 1e-12  # far below any rate that votes can show; a rate of 0 or 1 has no logarithm


@dataclass(frozen=True)
class Priors:
    """Beta pseudo-counts, all positive: (right, wrong) per reviewer for each rate, (violating, not) for the balance.

    The defaults weigh as much as 10 violating and 50 other labels of a reviewer, and 10 items: they let a rare class
    stay rare and keep the classes from swapping names. Where half the items are violating and reviewers often answer
    "violating" wrongly, they cost accuracy; golden labels move their means.
    """

    sensitivity: tuple[float, float] = (8.0, 2.0)
    specificity: tuple[float, float] = (49.0, 1.0)
    prevalence: tuple[float, float] = (1.0, 9.0)

    def __post_init__(self) -> None:
        if not all(count > 0 for pair in astuple(self) for count in pair):
            raise ValueError(f"priors: pseudo-counts must be positive, got {self}")


DEFAULT_PRIORS: Final = Priors()
#: Textbook Dawid-Skene: a hundredth of a label keeps the logarithms finite. It can still decide a close item: of the
#: 4,999 in the public set `sp` one falls the other way (accuracy .9150, not .9148) with half as much or less.
FLAT_PRIORS: Final = Priors((0.01, 0.01), (0.01, 0.01), (0.01, 0.01))


@dataclass(frozen=True)
class VoteTable:
    """Distinct votes as a sparse matrix of ones.

    ``items`` (n) and ``reviewers`` (m) are sorted; ``cast`` is n x 2m, column 2r is reviewer r's "not violating" and
    column 2r + 1 the same reviewer's "violating"; ``answers`` (m x 2) counts each column.
    """

    items: pd.Index
    reviewers: pd.Index
    cast: sparse.csr_array
    answers: Floats

    def counts(self) -> tuple[Floats, Floats]:
        """Votes "not violating" and "violating" of each item, two arrays of length n."""
        not_violating, violating = (self.cast @ np.tile(answer, len(self.reviewers)) for answer in np.eye(2))
        return not_violating, violating


@dataclass(frozen=True)
class Fit:
    """A fitted model: ``p_violating`` per item (n), rates per reviewer (m), all in [0, 1], and the class balance."""

    p_violating: Floats
    sensitivity: Floats
    specificity: Floats
    prevalence: float

    def evidence(self) -> Floats:
        """Log likelihood ratio, violating against not, of a vote in each column of ``VoteTable.cast`` (2m)."""
        if_violating = np.column_stack([1 - self.sensitivity, self.sensitivity])
        if_not = np.column_stack([self.specificity, 1 - self.specificity])
        return np.log(if_violating / if_not).ravel()


def consensus(
    votes: pd.DataFrame,
    *,
    method: Method,
    golden: pd.DataFrame | None = None,
    priors: Priors = DEFAULT_PRIORS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One policy's consensus and what it says of the reviewers; the module's docstring states every rule.

    Args:
        votes: columns ``item``, ``reviewer`` (any sortable ids) and ``violating`` (0/1 or bool), one row a vote.
        method: ``majority``, ``dawid_skene`` (a sensitivity and a specificity each) or ``one_coin`` (one accuracy).
        golden: columns ``item`` and ``violating``; items without votes are ignored.
        priors: ``FLAT_PRIORS`` gives textbook Dawid-Skene.

    Returns:
        ``items``, sorted by item: ``item``; ``p_violating`` in [0, 1]; ``n_votes``; ``agreement``, the share of the
        item's pairs of votes that agree, in [0, 1], NaN with one vote.
        ``reviewers``, sorted by reviewer: ``reviewer``; ``sensitivity`` and ``specificity`` in (0, 1), posterior
        means given the consensus; ``n_labels``.

    Raises:
        ValueError: an unknown method, a missing column, a null id, a vote that is not 0 or 1 (each naming the column
            and the row), or an item whose golden answers contradict each other.
    """
    if method not in get_args(Method):
        raise ValueError(f"method: {method!r} is none of {', '.join(get_args(Method))}")
    table = vote_table(votes)
    fitted = fit(table, method, golden_truth(golden, table.items), priors)
    no, yes = table.counts()
    n_votes = no + yes
    pairs = n_votes * (n_votes - 1)
    agreeing = no * (no - 1) + yes * (yes - 1)
    items = pd.DataFrame(
        {
            "item": table.items,
            "p_violating": fitted.p_violating,
            "n_votes": n_votes.astype(np.int64),
            "agreement": np.divide(agreeing, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0),
        }
    )
    reviewers = pd.DataFrame(
        {
            "reviewer": table.reviewers,
            "sensitivity": fitted.sensitivity,
            "specificity": fitted.specificity,
            "n_labels": table.answers.sum(axis=1).astype(np.int64),
        }
    )
    return items, reviewers


def vote_table(votes: pd.DataFrame) -> VoteTable:
    """Code and deduplicate ``votes`` (see ``consensus``). Raises ValueError naming the column and the row."""
    item, items = sorted_codes(votes, "item")
    reviewer, reviewers = sorted_codes(votes, "reviewer")
    column = 2 * reviewer + _binary(votes, "votes")
    shape = (len(items), 2 * len(reviewers))
    cast = sparse.coo_array((np.ones(len(votes)), (item, column)), shape=shape).tocsr()
    cast.data[:] = 1.0  # tocsr added repeated rows up
    answers = np.bincount(cast.indices, minlength=shape[1]).reshape(-1, 2).astype(np.float64)
    return VoteTable(items, reviewers, cast, answers)


def golden_truth(golden: pd.DataFrame | None, items: pd.Index) -> Floats:
    """1, 0 or, without a golden answer, NaN for each of ``items`` (n). Raises ValueError on contradictions."""
    if golden is None:
        return np.full(len(items), np.nan)
    item, known = sorted_codes(golden, "item")
    answers = np.bincount(2 * item + _binary(golden, "golden"), minlength=2 * len(known)).reshape(-1, 2)
    both = answers.all(axis=1)
    if both.any():
        raise ValueError(f"golden.violating: item {known[int(both.argmax())]} is labelled both 0 and 1")
    truth = np.append(answers[:, 1] > 0, np.nan)  # the last one is for items not found, place -1
    return truth[known.get_indexer(items)]


def fit(table: VoteTable, method: Method, truth: Floats, priors: Priors) -> Fit:
    """Fit ``method``; ``truth`` (n) is 1, 0 or NaN as ``golden_truth`` gives it."""
    known = ~np.isnan(truth)
    priors = _centred(table, truth, priors)
    no, yes = table.counts()
    share = yes / (no + yes)
    if method == "majority":
        majority = np.where(share == 0.5, 0.5, share > 0.5)
        return _rates(table, majority, truth, known, priors, one_coin=False)
    p_violating = share
    for _ in range(MAX_ROUNDS):
        fitted = _rates(table, p_violating, truth, known, priors, one_coin=method == "one_coin")
        before, p_violating = p_violating, expit(logit(fitted.prevalence) + table.cast @ fitted.evidence())
        if np.abs(p_violating - before).max(initial=0.0) <= TOLERANCE:
            break
    return Fit(p_violating, fitted.sensitivity, fitted.specificity, fitted.prevalence)


def _rates(
    table: VoteTable,
    p_violating: Floats,
    truth: Floats,
    known: npt.NDArray[np.bool_],
    priors: Priors,
    *,
    one_coin: bool,
) -> Fit:
    """The M-step: rates and class balance given ``p_violating``, which is handed through."""
    on_violating = _tallies(table, np.where(known, truth, p_violating))
    on_other = table.answers - on_violating
    wrong_on_violating, right_on_violating = on_violating.T
    right_on_other, wrong_on_other = on_other.T
    sensitivity = _share(right_on_violating, wrong_on_violating, priors.sensitivity)
    specificity = _share(right_on_other, wrong_on_other, priors.specificity)
    if one_coin:
        sensitivity = specificity = _share(
            right_on_violating + right_on_other,
            wrong_on_violating + wrong_on_other,
            np.add(priors.sensitivity, priors.specificity),
        )
    violating, not_violating = priors.prevalence
    balance = (p_violating[~known].sum() + violating) / ((~known).sum() + violating + not_violating)
    return Fit(p_violating, sensitivity, specificity, float(balance))


def _share(right: Floats, wrong: Floats, prior: tuple[float, float] | Floats) -> Floats:
    """Posterior mean rate of right answers (m) under a Beta prior of (right, wrong) pseudo-counts; never 0 or 1."""
    return np.clip((right + prior[0]) / (right + wrong + prior[0] + prior[1]), EPSILON, 1 - EPSILON)


def _tallies(table: VoteTable, weights: Floats) -> Floats:
    """Each reviewer's votes "not violating" and "violating" (m x 2), each vote counting its item's weight (n)."""
    return (table.cast.T @ weights).reshape(-1, 2)


def _centred(table: VoteTable, truth: Floats, priors: Priors) -> Priors:
    """Priors as heavy as before, their means moved to what all reviewers together did on golden items."""
    missed, caught = _tallies(table, (truth == 1).astype(np.float64)).sum(axis=0)
    spared, accused = _tallies(table, (truth == 0).astype(np.float64)).sum(axis=0)

    def centre(prior: tuple[float, float], right: float, wrong: float) -> tuple[float, float]:
        mean = (right + prior[0]) / (right + wrong + sum(prior))
        return mean * sum(prior), (1 - mean) * sum(prior)

    return Priors(
        centre(priors.sensitivity, caught, missed),
        centre(priors.specificity, spared, accused),
        priors.prevalence,
    )


def sorted_codes(frame: pd.DataFrame, column: str) -> tuple[npt.NDArray[np.int32], pd.Index]:
    """Codes into the sorted distinct values of a column. Raises ValueError if it is absent or holds a null."""
    if column not in frame.columns:
        raise ValueError(f"{column}: the column is missing")
    codes, values = pd.factorize(frame[column], sort=True)
    if len(codes) and codes.min() < 0:
        raise ValueError(f"{column}: null in row {frame.index[int(codes.argmin())]}")
    return codes.astype(np.int32), pd.Index(values)


def _binary(frame: pd.DataFrame, name: str) -> npt.NDArray[np.int32]:
    """The column ``violating`` as 0/1. Raises ValueError naming the first row that is neither."""
    if "violating" not in frame.columns:
        raise ValueError(f"{name}.violating: the column is missing")
    answer = frame["violating"]
    bad = ~answer.isin([0, 1]).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{name}.violating: {answer.iloc[row]!r} in row {frame.index[row]} is not 0 or 1")
    return answer.to_numpy(dtype=np.int32)
