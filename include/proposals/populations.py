"""Whom a certificate speaks for: the cell, else its policy in the region, else in all markets. Pure.

Where a cell lacks labels, those of the policy and model version in the cell's region
are pooled, then those of all markets. A pooled certificate says that the pooled videos above the threshold are
precise enough *together*; single markets among them may be worse. `population` therefore names it. It is not used where
the cell's own labels refute the target at that threshold, or show that more of them would not help; where they merely
disagree, a person is asked (`guardrails`). The confidence is each certificate's own: over a chain of three populations
the chance of a wrong one may, in the worst case, be up to three times as large.

Where experts settled enough draws of the markets it speaks for, the certificate of remove_at speaks
for true labels (`reviewer_error`), and `basis` is golden; elsewhere it speaks for the reviewers' consensus. Recall is
that of the labels: reviewers who overlook a share of what violates, whatever its score, hardly change it, and false
alarms, which mostly score low, only make it look worse. A draw nobody was sure about counts against either goal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd

from include.certificates.certify import Decision, Goal, certify
from include.certificates.reviewer_error import Aim, aim_at
from include.config.model import Config, Policy
from include.contract.cell import Cell
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS
from include.evidence.clusters import distinct_content
from include.forecasts.forecast import precision_at


@dataclass(frozen=True)
class PopulationDecision:
    """What certification says: the decision, whom it speaks for, that population's labels, and the precision aimed at.

    `own_needed`: labels the cell itself lacked, where others' were pooled.
    """

    decision: Decision
    population: str
    sample: pd.DataFrame
    aim: Aim
    own_needed: int | None = None


def aim_of(golden: pd.DataFrame, config: Config, cell: Cell, target: float | None = None) -> Aim:
    """What the cell's own certificate has to show for a precision of `target` (None: the policy's).

    Args:
        golden: settled draws with their policy, market and score.
    """
    policy = config.policies[cell[0]]
    own = golden[(golden["policy"] == cell[0]) & (golden["market"] == cell[1])]
    return _aim(own, policy, policy.target_precision if target is None else target)


def _aim(golden: pd.DataFrame, policy: Policy, target: float) -> Aim:
    """As `aim_of`; `golden`: settled draws of those whom the certificate is to speak for."""
    return aim_at(
        golden[golden["score"] >= policy.limits.lowest_remove_at],
        target,
        confidence=policy.confidence,
        correct=policy.correct_reviewer_error,
    )


Certifier = Callable[[str, str], PopulationDecision]


def certifier(sample: pd.DataFrame, golden: pd.DataFrame, policy: Policy, config: Config) -> Certifier:
    """Answers for one policy and model version, by market and metric; a pool is certified once for all its markets.

    Reviewers' error is that of the markets the answer speaks for: others' reviewers may err otherwise.
    """

    @cache
    def decide(population: str, markets: frozenset[str], metric: str) -> PopulationDecision:
        rows, known = (frame[frame["market"].isin(markets)] for frame in (sample, golden))
        rows = distinct_content(rows, ["policy"])  # copies in several markets are one content, too
        aim = _aim(known, policy, policy.target_precision)
        return PopulationDecision(_decide(rows, aim, config, metric), population, rows, aim)

    def answer(market: str, metric: str) -> PopulationDecision:
        region = config.markets[market].region
        regional = frozenset(name for name, other in config.markets.items() if other.region == region)
        levels = (
            ("cell", frozenset({market})),
            (f"region {region}", regional),
            ("policy", frozenset(config.markets)),
        )
        tried = [decide(*levels[0], metric)]
        for population, markets in levels[1:]:
            if tried[-1].decision.threshold is not None or not lacks_labels(tried[-1], config):
                break
            pooled = decide(population, markets, metric)
            if len(pooled.sample) > len(tried[-1].sample):
                tried.append(pooled)
        own, last = tried[0], tried[-1]
        if last.decision.threshold is None:
            return min(tried, key=lambda refused: refused.decision.labels_needed or math.inf)  # the cheapest way out
        refutation = _refutation(own, last, config) if metric == "precision" and last is not own else None
        if refutation:
            needed = own.decision.labels_needed
            return PopulationDecision(
                Decision.refused(refutation, n=own.decision.n, labels_needed=needed), "cell", own.sample, own.aim
            )
        return last if last is own else replace(last, own_needed=own.decision.labels_needed)

    return answer


def _decide(sample: pd.DataFrame, aim: Aim, config: Config, metric: str) -> Decision:
    """Certify one population, on thresholds that are histogram bin edges."""
    if sample.empty:
        return Decision.refused("no labels", n=0)
    policy = config.policies[sample["policy"].iloc[0]]
    if metric == "precision":
        return certify_precision(sample, aim, policy, policy.limits.lowest_remove_at)
    # Videos without a score are found if they go to review, and missed otherwise.
    scored = sample.assign(score=sample["score"].fillna(1.0 if policy.no_score == "review" else 0.0))
    if "undecided" in sample:  # against the goal: each counts as violating and missed
        scored.loc[sample["undecided"], ["score", "p_violating"]] = [0.0, 1.0]
    goal = Goal("recall", at_least=policy.target_recall, weight=_weight(policy))
    edges = _edges(policy.limits.lowest_review_at)
    return certify(scored, goal, confidence=policy.confidence, candidates=edges)


def certify_precision(sample: pd.DataFrame, aim: Aim, policy: Policy, lowest: float) -> Decision:
    """The lowest remove_at from `lowest` on whose precision is certified, by views where the policy's goals are."""
    goal = Goal("precision", at_least=aim.share, weight=_weight(policy))
    judged = sample[sample["score"] >= lowest]  # labels further down say nothing about a precision above
    return aim.on_truth(certify(judged, goal, confidence=aim.confidence, candidates=_edges(lowest)))


def _weight(policy: Policy) -> Literal["views"] | None:
    return "views" if policy.by_views else None


def _edges(lowest: float) -> np.ndarray:
    """Histogram bin edges from `lowest` up, below 1."""
    return np.arange(first_bin(lowest), N_BINS) / N_BINS


def lacks_labels(answer: PopulationDecision, config: Config) -> bool:
    """Whether a refusal is for want of labels; if not, pooling would only hide a cell that misses the target."""
    decision = answer.decision
    return decision.labels_needed is not None or decision.estimate is None or decision.n < config.guardrails.min_labels


def _refutation(own: PopulationDecision, pooled: PopulationDecision, config: Config) -> str | None:
    """Why a pooled certificate must not be used for the cell: its own labels speak against it."""
    at = pooled.decision.threshold
    if at is None or own.sample.empty:
        return None
    policy = config.policies[own.sample["policy"].iloc[0]]
    local = precision_at(own.sample, at, level=two_sided(policy.confidence), by_views=policy.by_views)
    if local.value is None or local.high >= own.aim.refuted_below:
        return None
    return (
        f"{pooled.population} certifies {at:g}, but this cell's own {local.n} labels above it give a precision of "
        f"{local.value:.3f}, at most {local.high:.3f} at {policy.confidence:.0%} confidence"
    )


def supported_by_own_labels(
    answer: PopulationDecision, old: ThresholdPair, own: pd.DataFrame, aim: Aim, config: Config
) -> PopulationDecision:
    """`answer`, or a refusal where labels of other markets alone would remove more of this cell's videos."""
    at = answer.decision.threshold
    if answer.population == "cell" or at is None or at >= old.remove_at:
        return answer
    by_views = len(own) > 0 and config.policies[own["policy"].iloc[0]].by_views
    local, needed = precision_at(own, at, by_views=by_views), config.guardrails.min_labels
    if local.n >= needed and local.value is not None and local.value >= aim.expected:
        return answer
    found = f"a precision of {local.value:.3f}" if local.value is not None else "no precision"
    refusal = (
        f"{answer.population} certifies {at:g}, but it lowers no threshold unless at least {needed} of the cell's own "
        f"labels bear it out; {local.n} above it give {found}"
    )
    missing = answer.own_needed or max(needed - local.n, 0) or None
    return PopulationDecision(Decision.refused(refusal, n=local.n, labels_needed=missing), "cell", own, aim)


def two_sided(confidence: float) -> float:
    """The level of a two-sided interval either end of which holds at `confidence`."""
    return max(2 * confidence - 1, 0.0)
