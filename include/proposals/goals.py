"""What each goal would do to a cell: what a request for it would find today, computed for every goal at once. Pure.

The answer to a goal names amounts, never a threshold: who chose a threshold after seeing the labels, and not a goal
before them, would void the certificate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.certificates.reviewer_error import settled_by_experts
from include.config.model import Config
from include.contract.cell import Cell
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS
from include.forecasts.effects import Effect, effect_of
from include.proposals.populations import aim_of, certifier, supported_by_own_labels

COARSE, FINE = 0.01, 0.005
"""Between two goals of the slider: FINE from NEAR below the configured one on."""
NEAR = 0.05
LOWEST, HIGHEST = 0.7, 0.995
"""The goals it offers; lower ones where the configured goal is lower."""

_UNUSED = ["sample_id", "design_id", "programme", "stratum", "region"]
"""Columns of a draw that no answer needs; taking rows of fewer columns is quicker."""


@dataclass(frozen=True)
class GoalAnswer:
    """What a goal would do in a day.

    Attributes:
        goal: precision asked for.
        certified: whether the labels bear it out; if not, `effect` is what the estimate alone would lead to.
        population: whom the certificate speaks for: cell, or what was pooled.
        effect: None: not even by the estimate is there a score from which removals are right so often.
        labels, minutes: missing for a certificate, and the reviewers' time they take; None: no number would do.
        refusal: why nothing is certified; empty if it is.
    """

    goal: float
    certified: bool
    population: str
    effect: Effect | None
    labels: int | None
    minutes: float | None
    refusal: str


def goals_of(configured: float) -> list[float]:
    """The goals of the slider, rising, the configured one among them."""
    lowest, near = max(min(LOWEST, configured - 2 * NEAR), COARSE), configured - NEAR
    coarse = np.arange(round(lowest / COARSE), round(near / COARSE)) * COARSE
    fine = np.arange(round(max(near, lowest) / FINE), round(HIGHEST / FINE) + 1) * FINE
    return sorted({*(round(float(goal), 4) for goal in (*coarse, *fine)), configured})


def goal_answers(
    cell: Cell, pair: ThresholdPair, sample: pd.DataFrame, histogram: pd.DataFrame, config: Config
) -> list[GoalAnswer]:
    """The answer to every goal, rising.

    Args:
        pair: thresholds in force; review_at stays, or falls with remove_at.
        sample: labelled draws of all cells, as of `certifying_sample`.
        histogram: the cell's rows of score_histogram.
    """
    policy_name, market, version = cell
    policy = config.policies[policy_name]
    sample = sample[sample["policy"] == policy_name]
    of_policy = sample[sample["model_version"] == version].drop(columns=_UNUSED, errors="ignore")
    own = of_policy[of_policy["market"] == market]
    golden = settled_by_experts(sample)
    known: dict[float, Effect] = {}

    def effect(remove_at: float) -> Effect:
        if remove_at not in known:
            there = ThresholdPair(remove_at, min(pair.review_at, remove_at))
            known[remove_at] = effect_of(histogram, own, there, policy)
        return known[remove_at]

    estimated, found = _Estimates(own, policy.limits.lowest_remove_at, by_views=policy.by_views), []
    for goal in goals_of(policy.target_precision):
        wanted = policy.model_copy(update={"target_precision": goal})
        under = config.model_copy(update={"policies": {**config.policies, policy_name: wanted}})
        aim = aim_of(golden, under, cell)
        tried = certifier(of_policy, golden, wanted, under)(market, "precision")
        answer = supported_by_own_labels(tried, pair, own, aim, under)
        decision = answer.decision
        certified = decision.threshold is not None
        at = estimated.lowest(aim.expected) if decision.threshold is None else decision.threshold
        needed = decision.labels_needed
        found.append(
            GoalAnswer(
                goal,
                certified,
                answer.population,
                None if at is None else effect(first_bin(at) / N_BINS),
                needed,
                None if needed is None else needed * policy.minutes_per_label * policy.overlap,
                decision.refusal or "",
            )
        )
    return found


class _Estimates:
    """Estimated precision of a cell at every bin edge that may be a remove_at."""

    def __init__(self, sample: pd.DataFrame, lowest: float, *, by_views: bool) -> None:
        score, p = sample["score"].to_numpy(float), sample["p_violating"].to_numpy(float)
        weight = 1 / sample["inclusion_probability"].to_numpy(float)
        if by_views:
            weight = weight * sample["views"].to_numpy(float)
        self.edges = np.arange(first_bin(lowest), N_BINS) / N_BINS
        order = np.argsort(-score, kind="stable")
        order = order[~np.isnan(score[order])]
        right, all_of_them = (np.append(0.0, np.cumsum(part[order])) for part in (weight * p, weight))
        above = np.searchsorted(-score[order], -self.edges, side="right")
        self.share = np.divide(
            right[above], all_of_them[above], out=np.full(self.edges.shape, np.nan), where=all_of_them[above] > 0
        )

    def lowest(self, goal: float) -> float | None:
        """The lowest edge from which on removals are estimated to be right so often; None: from none."""
        reached = np.flatnonzero(self.share >= goal)
        return float(self.edges[reached[0]]) if reached.size else None
