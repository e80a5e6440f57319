"""How often reviewers' consensus is wrong, from labels that experts settled too, and what follows for a certificate.

A label is what experts settled where they did, else what reviewers said. Of a share p of violating videos then at most
p + (1 - p)(1 - Sp) show as violating: what violates counts at most once, and any other video only where reviewers
raised a false alarm, with chance 1 - Sp (Sp: specificity), that no expert took back. Hence

    precision on the labels >= target + (1 - target)(1 - Sp)   =>   true precision >= target,

whatever reviewers miss, and whichever answers experts chose to settle: violations missed and not settled only make
removals look worse than they are. 1 - Sp is taken at its upper limit, which is missed with 0.15 of the error that the
certificate may make; it keeps the rest (Bonferroni). As the limit only ever raises the share to be certified, and all
that is certified for a larger share is also rejected for a smaller one in the same fixed sequence, the certificate's
promise then holds for true labels.

Assumed: experts are right, and were asked by chance about the draws that the rates are taken from; the specificity is
that of the policy in the market, or in all the markets that a pooled certificate speaks for, and does not depend on the
score within the scores where automatic removal is possible. It is taken from there only, since what the classifier
suspects misleads reviewers more than anything else does. One rate for all markets would not do: reviewers of one may
raise alarms that another's do not.

Estimates, and the watch on what was published, also need the sensitivity Se: a share p shows as p Se + (1 - p)(1 - Sp)
on reviewers' labels (Rogan and Gladen, American Journal of Epidemiology 107, 1978).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from include.certificates.bounds import mean_lower_bound
from include.certificates.certify import Decision

Array = NDArray[np.float64]

MIN_GOLDEN = 30
"""So many violating and so many other videos must be settled before both rates of reviewers are estimated."""

MIN_NEGATIVE = 40
"""So many videos must be settled as not violating before certificates are corrected for false alarms."""

GOLDEN_SHARE = 0.15
"""Part of a certificate's error that is spent on the limit of the specificity."""


@dataclass(frozen=True)
class Rate:
    """A sensitivity or specificity in [0, 1] with its limits, from n settled videos."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """With limits, in words."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, {self.n} videos)"


@dataclass(frozen=True)
class ReviewerError:
    """Sensitivity and specificity of the consensus."""

    sensitivity: Rate
    specificity: Rate

    def __str__(self) -> str:
        """Both with their limits, in words."""
        parts = (("sensitivity", self.sensitivity), ("specificity", self.specificity))
        return ", ".join(f"{name} {rate}" for name, rate in parts)


def settled_by_experts(sample: pd.DataFrame) -> pd.DataFrame:
    """The draws that reviewers answered and experts, asked by chance, settled; each video once.

    `sample`: video_id; golden (0, 1, or NaN: not); p_violating and, where experts' answers stand in there, consensus:
    what reviewers said, which is p_violating in the result.
    """
    if "golden" not in sample:
        return sample.iloc[:0].assign(golden=np.empty(0))
    rows = sample[sample["golden"].notna()]
    bad = ~rows["golden"].isin([0.0, 1.0])
    if bad.any():
        raise ValueError(f"golden: {rows['golden'][bad].iloc[0]} in row {rows.index[bad][0]!r} is neither 0 nor 1")
    if "consensus" in rows:
        rows = rows[rows["consensus"].notna()]
        rows = rows.assign(p_violating=rows["consensus"])
    return rows.drop_duplicates(["policy", "video_id"])


def reviewer_error(golden: pd.DataFrame, *, tail: float) -> ReviewerError | str:
    """Error rates from videos with p_violating in [0, 1] and golden (0 or 1), or why they are not stated.

    Each of the four limits is missed with a chance of at most `tail`: Clopper and Pearson's where the consensus is 0 or
    1, their generalisation for fractions elsewhere (`bounds.mean_lower_bound`).
    """
    found = _rates(golden, tail)
    n, others = found.sensitivity.n, found.specificity.n
    if min(n, others) < MIN_GOLDEN:
        return f"experts settled {n} violating and {others} other videos, {MIN_GOLDEN} of each are needed"
    if found.sensitivity.low + found.specificity.low <= 1.0:
        return f"reviewers cannot be told from chance: {found}"
    return found


def reviewer_error_by_band(
    golden: pd.DataFrame, split: float, *, tail: float
) -> tuple[ReviewerError, ReviewerError] | str:
    """Error rates below the score `split` (or without one) and from it on, or why they are not stated.

    Each rate is that of its band where MIN_GOLDEN videos of its kind are settled there, else that of all of them.
    Otherwise as `reviewer_error`.
    """
    overall = reviewer_error(golden, tail=tail)
    if isinstance(overall, str):
        return overall
    suspected, found = (golden["score"] >= split).to_numpy(bool), []
    for band in (golden[~suspected], golden[suspected]):
        p, violating = band["p_violating"].to_numpy(dtype=float), band["golden"].to_numpy(dtype=float) == 1.0
        rates = ReviewerError(
            _rate(p[violating], tail) if violating.sum() >= MIN_GOLDEN else overall.sensitivity,
            _rate(1.0 - p[~violating], tail) if (~violating).sum() >= MIN_GOLDEN else overall.specificity,
        )
        if rates.sensitivity.low + rates.specificity.low <= 1.0:
            return f"reviewers cannot be told from chance: {rates}"
        found.append(rates)
    return found[0], found[1]


def _rates(golden: pd.DataFrame, tail: float) -> ReviewerError:
    p, violating = golden["p_violating"].to_numpy(dtype=float), golden["golden"].to_numpy(dtype=float) == 1.0
    return ReviewerError(_rate(p[violating], tail), _rate(1.0 - p[~violating], tail))


def _rate(right: Array, tail: float) -> Rate:
    if not right.size:
        return Rate(0.5, 0.0, 1.0, 0)
    low, high = mean_lower_bound(right, 1.0 - tail), 1.0 - mean_lower_bound(1.0 - right, 1.0 - tail)
    return Rate(float(right.mean()), low, high, right.size)


@dataclass(frozen=True)
class Aim:
    """The precision that the labels must show for the true one to be at least `target`.

    Attributes:
        share: what to certify on the labels ...
        confidence: ... and at which confidence. Without `errors`: the target itself at the asked confidence.
        errors: what it rests on; None where the certificate speaks for the reviewers' consensus.
        reason: how it came about, for the proposal.
    """

    target: float
    share: float
    confidence: float
    errors: ReviewerError | None
    reason: str

    @property
    def refuted_below(self) -> float:
        """A precision on the labels below this means a true one below the target: no more can be missed than that.

        Where experts settled too few violating videos to say what is missed it is the target itself, in (0, 1): second
        looks then find most of it.
        """
        if self.errors is None or self.errors.sensitivity.n < MIN_GOLDEN or self.errors.sensitivity.low <= 0.0:
            return self.target
        return self.target * self.errors.sensitivity.low

    @property
    def expected(self) -> float:
        """What a true precision of `target` is expected to show as, where experts settle what reviewers miss."""
        return self.target if self.errors is None else _shown(self.target, self.errors.specificity.value)

    def true_estimate(self, shown: ArrayLike) -> Array:
        """The true shares behind shares on the labels."""
        if self.errors is None:
            return np.asarray(shown, dtype=float)
        return _true(shown, self.errors.specificity.value)

    def true_bound(self, shown: ArrayLike) -> Array:
        """Lower limits of the true shares behind lower limits on the labels."""
        if self.errors is None:
            return np.asarray(shown, dtype=float)
        return _true(shown, self.errors.specificity.low)

    def on_truth(self, decision: Decision) -> Decision:
        """A decision about `share` as one about `target`."""
        if self.errors is None:
            return decision
        refusal, bound = decision.refusal, None if decision.bound is None else float(self.true_bound(decision.bound))
        if bound is not None and decision.threshold is not None:
            bound = max(bound, self.target)  # it is, but for rounding
        if refusal is not None and decision.estimate is not None:
            refusal += f"; on the labels {self.share:.4f} stands for a true precision of {self.target:g}"
        return replace(
            decision,
            refusal=refusal,
            estimate=None if decision.estimate is None else float(self.true_estimate(decision.estimate)),
            bound=bound,
        )


def aim_at(golden: pd.DataFrame, target: float, *, confidence: float, correct: bool) -> Aim:
    """How to certify a true precision of `target`, both in (0, 1).

    Args:
        golden: videos that experts, asked by chance, settled among those that may be removed, as in `reviewer_error`.
        correct: whether reviewers' error is to be corrected for at all.
    """
    error = 1.0 - confidence
    refusal = None if correct else "the policy does not ask for it"
    found = _rates(golden, tail=GOLDEN_SHARE * error)
    if refusal is None and found.specificity.n < MIN_NEGATIVE:
        settled = f"{found.specificity.n} videos as not violating"
        refusal = f"experts asked by chance settled {settled}, {MIN_NEGATIVE} are needed"
    if refusal is None and found.specificity.low <= 0.0:
        refusal = f"reviewers cannot be told from chance: {found}"
    if refusal is not None:
        reason = f"the certificate speaks for the reviewers' consensus, not corrected for their error: {refusal}"
        return Aim(target, target, confidence, None, reason)
    share = _shown(target, found.specificity.low)
    reason = (
        f"the certificate speaks for true labels: with a specificity of reviewers of {found.specificity}, a precision "
        f"of {target:g} is certified as {share:.4f} on labels in which experts settled what they were asked"
    )
    return Aim(target, share, 1.0 - (1.0 - GOLDEN_SHARE) * error, found, reason)


def _shown(share: float, specificity: float) -> float:
    return share + (1.0 - share) * (1.0 - specificity)


def _true(shown: ArrayLike, specificity: float) -> Array:
    """The inverse of `_shown`, kept in [0, 1]."""
    alarm = 1.0 - specificity
    return np.clip((np.asarray(shown, dtype=float) - alarm) / (1.0 - alarm), 0.0, 1.0)
