"""Reviewers' votes to one probability per item: majority, Dawid-Skene and one-coin, blind to any classifier's score.

Source: A. P. Dawid and A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
Applied Statistics 28 (1979) 20-28; the one-coin form: Y. Zhang et al., JMLR 17 (2016) 1-44. Fitted by EM under Beta
priors, because one to three votes an item and a per cent of positives identify the model only weakly without them.

The rules, in one place:

- *One policy a call.* A reviewer's sensitivity and specificity belong to a policy; the caller groups.
- *Votes are a set.* A repeated (item, reviewer, answer) row counts once; a reviewer who gave both answers cast one
  vote each way. Which of two answers supersedes the other is decided before, by the label events.
- *Majority*: 1 above half the votes, 0 below, 0.5 at a tie.
- *Start* of EM: each item's share of violating votes; with golden answers, the rates that reviewers show on these, so
  that a reviewer whom golden answers contradict cannot lead the fit. *Stop*: neither a reviewer's rate nor the class
  balance moves by more than ``TOLERANCE``, or after ``MAX_ROUNDS``. (The largest move of any item would take more
  rounds the more items there are, to no effect on the others.)
- *Weights* say how much a reviewer's votes count for the items: the share of votes is a weighted one, and a vote's log
  likelihood ratio is multiplied by the weight. What the votes say of the reviewer is not weighted.
- *Golden answers* stand in for the estimated truth wherever reviewers' rates are counted, and centre the prior of
  reviewers without golden answers of a kind on the rates of those with. They never replace ``p_violating``, so the
  consensus itself can be graded on golden items; and golden items, picked by hand, do not count towards the class
  balance.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.special import logit

Method = Literal["majority", "dawid_skene", "one_coin"]
Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-5
MAX_ROUNDS: Final = 500
EPSILON: Final = 1e-12  # far below any rate that votes can show; a rate of 0 or 1 has no logarithm
BLOCK: Final = 2**15  # items at a time: what is computed of them stays in the processor's cache


@dataclass(frozen=True)
class Priors:
    """Beta pseudo-counts, all positive: (right, wrong) per reviewer for each rate, (violating, not) for the balance.

    ``accuracy`` is the one rate of the one-coin form, in place of the first two.

    The defaults weigh as much as 10 labels of a reviewer for each rate, 60 for the one accuracy, and 10 items: they let
    a rare class stay rare and keep the classes from swapping names where reviewers are mostly right. They cannot tell a
    reviewer who always answers alike from one who is always right: golden labels can, and move their means. The weight
    was chosen by measurement (docs/consensus.md): heavier ones fell below textbook Dawid-Skene on public sets.
    """

    sensitivity: tuple[float, float] = (8.0, 2.0)
    specificity: tuple[float, float] = (9.8, 0.2)
    prevalence: tuple[float, float] = (1.0, 9.0)
    accuracy: tuple[float, float] = (57.0, 3.0)

    def __post_init__(self) -> None:
        if not all(count > 0 for pair in astuple(self) for count in pair):
            raise ValueError(f"priors: pseudo-counts must be positive, got {self}")


DEFAULT_PRIORS: Final = Priors()
#: Textbook Dawid-Skene: a hundredth of a label keeps the logarithms finite. It can still decide a close item: of the
#: 4,999 in the public set `sp` one falls the other way (accuracy .9150, not .9148) with half as much or less.
FLAT_PRIORS: Final = Priors((0.01, 0.01), (0.01, 0.01), (0.01, 0.01), (0.02, 0.02))


@dataclass(frozen=True)
class VoteTable:
    """Distinct votes, grouped by item.

    ``items`` (n) and ``reviewers`` (m) are sorted. Item i's votes are ``columns[starts[i] : starts[i + 1]]``, in
    increasing order: 2r for reviewer r's "not violating", 2r + 1 for the same reviewer's "violating". ``answers``
    (m x 2) counts each column.
    """

    items: pd.Index
    reviewers: pd.Index
    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    answers: Floats

    @cached_property
    def blocks(self) -> tuple[tuple[slice, sparse.csr_array], ...]:
        """Spans of items, each with its votes as a sparse matrix of ones (items of the span x 2m)."""
        n, width = len(self.items), 2 * len(self.reviewers)
        size = max(BLOCK, width)  # a pass over a block costs its columns too
        edges = [*range(0, n, size), n]
        spans = [(slice(a, b), slice(*self.starts[[a, b]])) for a, b in pairwise(edges)]
        ones = np.ones(max((votes.stop - votes.start for _, votes in spans), default=0))
        return tuple(
            (
                span,
                sparse.csr_array(
                    (
                        ones[: votes.stop - votes.start],
                        self.columns[votes],
                        (self.starts[span.start : span.stop + 1] - votes.start).astype(np.int32),
                    ),
                    shape=(span.stop - span.start, width),
                ),
            )
            for span, votes in spans
        )

    def totals(self, weights: Floats) -> Floats:
        """The sum over each item's votes (n) of a weight for each column (2m)."""
        result = np.empty(len(self.items))
        for span, cast in self.blocks:
            result[span] = cast @ weights
        return result

    def tallies(self, weights: Floats) -> Floats:
        """Each reviewer's votes "not violating" and "violating" (m x 2), each counting its item's weight (n)."""
        result = np.zeros(2 * len(self.reviewers))
        for span, cast in self.blocks:
            result += cast.T @ weights[span]
        return result.reshape(-1, 2)

    def counts(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Votes "not violating" and "violating" of each item, two arrays of n, ``weights`` (m) weighing the votes."""
        per_reviewer = np.ones(len(self.reviewers)) if weights is None else weights
        not_violating, violating = (self.totals(np.outer(per_reviewer, answer).ravel()) for answer in np.eye(2))
        return not_violating, violating


@dataclass(frozen=True)
class Fit:
    """A fitted model: ``p_violating`` per item (n), rates per reviewer (m), all in [0, 1], and the class balance."""

    p_violating: Floats
    sensitivity: Floats
    specificity: Floats
    prevalence: float

    def evidence(self) -> Floats:
        """Log likelihood ratio, violating against not, of a vote in each column of a ``VoteTable`` (2m)."""
        if_violating = np.column_stack([1 - self.sensitivity, self.sensitivity])
        if_not = np.column_stack([self.specificity, 1 - self.specificity])
        return np.log(if_violating / if_not).ravel()

    def moved(self, before: Fit) -> float:
        """The largest change of a rate or of the class balance."""
        pairs = ((self.sensitivity, before.sensitivity), (self.specificity, before.specificity))
        changes = [float(np.abs(now - then).max(initial=0.0)) for now, then in pairs]
        return max(*changes, abs(self.prevalence - before.prevalence))


def consensus(
    votes: pd.DataFrame,
    *,
    method: Method,
    golden: pd.DataFrame | None = None,
    priors: Priors = DEFAULT_PRIORS,
    weights: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One policy's consensus and what it says of the reviewers; the module's docstring states every rule.

    Args:
        votes: columns ``item``, ``reviewer`` (any sortable ids) and ``violating`` (0/1 or bool), one row a vote.
        method: ``majority``, ``dawid_skene`` (a sensitivity and a specificity each) or ``one_coin`` (one accuracy).
        golden: columns ``item`` and ``violating``; items without votes are ignored.
        priors: ``FLAT_PRIORS`` gives textbook Dawid-Skene.
        weights: columns ``reviewer`` and ``weight``, above 0 and at most 1; who is not named weighs 1. To leave a
            reviewer out, leave out the votes.

    Returns:
        ``items``, sorted by item: ``item``; ``p_violating`` in [0, 1]; ``n_votes``; ``agreement``, the share of the
        item's pairs of votes that agree, in [0, 1], NaN with one vote.
        ``reviewers``, sorted by reviewer: ``reviewer``; ``sensitivity`` and ``specificity`` in (0, 1), posterior
        means given the consensus; ``n_labels``.

    Raises:
        ValueError: an unknown method, a missing column, a null id, a vote that is not 0 or 1 (each naming the column
            and the row), an item whose golden answers contradict each other, or a weight out of range or given twice.
    """
    if method not in get_args(Method):
        raise ValueError(f"method: {method!r} is none of {', '.join(get_args(Method))}")
    table = vote_table(votes)
    truth = golden_truth(golden, table.items)
    fitted = fit(table, method, truth, priors, _vote_weights(weights, table.reviewers))
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
    column = reviewer
    column *= 2  # in place: at fifty million votes each further copy is felt
    column += _binary(votes, "votes")
    shape = (len(items), 2 * len(reviewers))
    cast = sparse.coo_array((np.ones(len(votes), dtype=np.int8), (item, column)), shape=shape).tocsr()
    cast.sum_duplicates()
    answers = np.bincount(cast.indices, minlength=shape[1]).reshape(-1, 2).astype(np.float64)
    return VoteTable(items, reviewers, cast.indptr.astype(np.int64), cast.indices.astype(np.int32, copy=False), answers)


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


def fit(table: VoteTable, method: Method, truth: Floats, priors: Priors, weights: Floats | None = None) -> Fit:
    """Fit ``method``; ``truth`` (n) is 1, 0 or NaN as ``golden_truth`` gives it, ``weights`` (m) are in (0, 1]."""
    centred = _centred(table, truth, priors)
    one_coin = method == "one_coin"
    no, yes = table.counts(weights)
    p_violating = yes / (no + yes)
    if method == "majority":
        p_violating = np.where(p_violating == 0.5, 0.5, p_violating > 0.5)
        return _rates(table, p_violating, _tally(table, p_violating, truth), centred, one_coin=False)
    golden = None if np.isnan(truth).all() else truth
    if golden is None:
        fitted = _rates(table, p_violating, _tally(table, p_violating, truth), centred, one_coin=one_coin)
    else:
        fitted = _on_golden(table, p_violating, truth, centred, one_coin=one_coin)
    for _ in range(MAX_ROUNDS):
        evidence = fitted.evidence()
        if weights is not None:
            evidence *= np.repeat(weights, 2)
        tally = _expect(table, p_violating, golden, evidence, float(logit(fitted.prevalence)))
        before, fitted = fitted, _rates(table, p_violating, tally, centred, one_coin=one_coin)
        if fitted.moved(before) <= TOLERANCE:
            break
    return fitted


class _Tally(NamedTuple):
    """What the M-step needs of the items: each reviewer's votes, weighted by how violating their items are (m x 2), and
    how many items have no golden answer, with the sum of their ``p_violating``.
    """

    on_violating: Floats
    unknown: int
    violating: float


def _tally(table: VoteTable, p_violating: Floats, truth: Floats) -> _Tally:
    known = ~np.isnan(truth)
    return _Tally(
        table.tallies(np.where(known, truth, p_violating)), int((~known).sum()), float(p_violating[~known].sum())
    )


def _expect(table: VoteTable, p_violating: Floats, truth: Floats | None, evidence: Floats, prior_odds: float) -> _Tally:
    """The E-step, which updates ``p_violating`` in place, and the tally of its result.

    One pass, block by block: whole columns of intermediate results would cost more time a vote the more there are.
    """
    on_violating, unknown, violating = np.zeros(len(evidence)), len(p_violating), 0.0
    with np.errstate(over="ignore"):  # exp() may be infinite: the probability is 0 then
        for span, cast in table.blocks:
            p_violating[span] = p = 1 / (1 + np.exp(-prior_odds - cast @ evidence))
            violating += float(p.sum())
            if truth is not None:
                known = ~np.isnan(truth[span])
                unknown -= int(known.sum())
                violating -= float(p[known].sum())
                p[known] = truth[span][known]
            on_violating += cast.T @ p
    return _Tally(on_violating.reshape(-1, 2), unknown, violating)


def _rates(table: VoteTable, p_violating: Floats, tally: _Tally, priors: _ReviewerPriors, *, one_coin: bool) -> Fit:
    """The M-step: rates and class balance; ``p_violating`` is handed through."""
    rates = _reviewers(tally.on_violating, table.answers - tally.on_violating, priors, one_coin=one_coin)
    violating, not_violating = priors.prevalence
    balance = (tally.violating + violating) / (tally.unknown + violating + not_violating)
    return Fit(p_violating, *rates, float(balance))


def _on_golden(table: VoteTable, p_violating: Floats, truth: Floats, priors: _ReviewerPriors, *, one_coin: bool) -> Fit:
    """Where EM starts with golden answers: the rates on these alone, and the class balance of the prior."""
    on_violating, on_other = (table.tallies((truth == answer).astype(np.float64)) for answer in (1, 0))
    rates = _reviewers(on_violating, on_other, priors, one_coin=one_coin)
    violating, not_violating = priors.prevalence
    return Fit(p_violating, *rates, violating / (violating + not_violating))


def _reviewers(
    on_violating: Floats, on_other: Floats, priors: _ReviewerPriors, *, one_coin: bool
) -> tuple[Floats, Floats]:
    """Sensitivity and specificity (m each), from the votes "not violating" and "violating" (m x 2) on items of either
    kind.
    """
    wrong_on_violating, right_on_violating = on_violating.T
    right_on_other, wrong_on_other = on_other.T
    if one_coin:
        accuracy = _share(
            right_on_violating + right_on_other,
            wrong_on_violating + wrong_on_other,
            priors.accuracy,
        )
        accuracy = np.maximum(
            accuracy, 0.5
        )  # nobody answers the opposite of what they see: at worst a vote says nothing
        return accuracy, accuracy
    return (
        _share(right_on_violating, wrong_on_violating, priors.sensitivity),
        _share(right_on_other, wrong_on_other, priors.specificity),
    )


def _share(right: Floats, wrong: Floats, prior: Floats) -> Floats:
    """Posterior mean rate of right answers (m) under a Beta prior of (right, wrong) pseudo-counts; never 0 or 1."""
    return np.clip((right + prior[0]) / (right + wrong + prior[0] + prior[1]), EPSILON, 1 - EPSILON)


class _ReviewerPriors(NamedTuple):
    """Pseudo-counts (right, wrong) of each reviewer (2 x m each), and of the class balance."""

    sensitivity: Floats
    specificity: Floats
    prevalence: tuple[float, float]
    accuracy: Floats


def _centred(table: VoteTable, truth: Floats, priors: Priors) -> _ReviewerPriors:
    """For reviewers without golden answers of a kind, priors as heavy as before, their means moved to what the others
    together did on these: an error that is common is likely theirs, too. Golden answers speak for who gave them.
    """
    on_violating, on_other = (table.tallies((truth == answer).astype(np.float64)) for answer in (1, 0))

    def centre(prior: tuple[float, float], wrong_right: Floats) -> Floats:
        wrong, right = wrong_right.sum(axis=0)
        mean = (right + prior[0]) / (right + wrong + sum(prior))
        others = np.array([mean * sum(prior), (1 - mean) * sum(prior)])
        return np.where(wrong_right.sum(axis=1) > 0, np.array(prior)[:, None], others[:, None])

    return _ReviewerPriors(
        centre(priors.sensitivity, on_violating),
        centre(priors.specificity, on_other[:, ::-1]),
        priors.prevalence,
        centre(priors.accuracy, on_violating + on_other[:, ::-1]),
    )


def sorted_codes(frame: pd.DataFrame, column: str) -> tuple[npt.NDArray[np.int32], pd.Index]:
    """Codes into the sorted distinct values of a column. Raises ValueError if it is absent or holds a null."""
    if column not in frame.columns:
        raise ValueError(f"{column}: the column is missing")
    values = frame[column]
    if values.dtype.kind in "iu" and values.is_monotonic_increasing:  # hashing would be most of the time
        first = np.diff(values.to_numpy(), prepend=values.iloc[:1] - 1) != 0
        return np.cumsum(first, dtype=np.int32) - np.int32(1), pd.Index(values.to_numpy()[first])
    codes, distinct = pd.factorize(values, sort=True)
    if len(codes) and codes.min() < 0:
        raise ValueError(f"{column}: null in row {frame.index[int(codes.argmin())]}")
    return codes.astype(np.int32), pd.Index(distinct)


def _vote_weights(weights: pd.DataFrame | None, reviewers: pd.Index) -> Floats | None:
    """The weight of each of ``reviewers`` (m). Raises ValueError naming the row that cannot be used."""
    if weights is None:
        return None
    given = weights["weight"].to_numpy(dtype=np.float64)
    bad = ~((given > 0) & (given <= 1)) | weights["reviewer"].duplicated().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"weights: {given[row]} of reviewer {weights['reviewer'].iloc[row]!r} in row {weights.index[row]}; "
            "a reviewer has one weight, above 0 and at most 1"
        )
    return pd.Series(given, index=weights["reviewer"]).reindex(reviewers).fillna(1.0).to_numpy()


def _binary(frame: pd.DataFrame, name: str) -> npt.NDArray[np.int32]:
    """The column ``violating`` as 0/1. Raises ValueError naming the first row that is neither."""
    if "violating" not in frame.columns:
        raise ValueError(f"{name}.violating: the column is missing")
    answer = frame["violating"]
    numbers = answer.dtype.kind in "biu" and not answer.hasnans
    in_range = numbers and (answer.empty or (answer.min() >= 0 and answer.max() <= 1))  # quicker than isin()
    if not in_range and (bad := ~answer.isin([0, 1]).to_numpy(dtype=bool)).any():
        row = int(bad.argmax())
        raise ValueError(f"{name}.violating: {answer.iloc[row]!r} in row {frame.index[row]} is not 0 or 1")
    return answer.to_numpy(dtype=np.int32)
