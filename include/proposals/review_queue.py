"""review_at raised until a market's review queues fit into its reviewers' minutes. Pure.

**review_at** is the highest threshold at which removal and review together find the asked share of what violates,
raised until the market's queues fit into the minutes the audit sample leaves.
"""

from __future__ import annotations

from include.config.model import Config
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS
from include.contract.terms import Ruling
from include.forecasts.forecast import recall_at
from include.proposals.guardrails import Queue, Verdict
from include.proposals.plan import Plan


def fit_queue(plans: list[Plan], config: Config, market: str, others: float) -> Queue:
    """Raise review_at in `plans`, in place, until the market's queues fit; the minutes before, after, and staffed.

    What the review_at in force take comes first; of what lower ones would add, every cell gets the same share. If even
    the former does not fit, every cell keeps the same share of it: a cell that asks for much more takes nothing from
    those that ask for nothing, which would find no way back down. Videos without a score are reviewed whatever the
    thresholds, and a refused cell keeps its own, so the queue may still not fit; guardrails then tell.
    """
    staffed = config.markets[market].reviewer_minutes * (1 - config.sampling.minutes_share)
    available = staffed * config.guardrails.max_review_ratio
    before = others + sum(plan.review_minutes(plan.old) for plan in plans)
    fixed = {plan.cell: plan.review_minutes(ThresholdPair(plan.new.remove_at, plan.new.remove_at)) for plan in plans}
    wanted = {plan.cell: plan.review_minutes(plan.new) - fixed[plan.cell] for plan in plans}
    standing = {plan.cell: plan.review_minutes(_standing(plan.old, plan.new)) - fixed[plan.cell] for plan in plans}
    total, first, room = sum(wanted.values()), sum(standing.values()), available - others - sum(fixed.values())
    if total > room:
        kept = min(max(room, 0.0) / first, 1.0) if first else 0.0
        added = max(room - first, 0.0) / (total - first) if total > first else 0.0
        for plan in plans:
            if plan.proposes:
                own = standing[plan.cell]
                _raise_review(plan, fixed[plan.cell] + kept * own + added * (wanted[plan.cell] - own))
    return Queue(before, others + sum(plan.review_minutes(plan.new) for plan in plans), available)


def _standing(old: ThresholdPair, new: ThresholdPair) -> ThresholdPair:
    """`new`, its review_at no lower than the old one's."""
    return ThresholdPair(new.remove_at, min(max(old.review_at, new.review_at), new.remove_at))


def _raise_review(plan: Plan, minutes: float) -> None:
    """The lowest review_at, from the wanted one up, whose queue takes at most `minutes`."""
    wanted = plan.new.review_at
    for edge in range(first_bin(wanted), first_bin(plan.new.remove_at) + 1):
        pair = ThresholdPair(plan.new.remove_at, edge / N_BINS)
        if plan.review_minutes(pair) <= minutes + 1e-9:
            break
    if pair.review_at > wanted:
        plan.new = pair
        recall = recall_at(plan.sample, pair.review_at, plan.policy.no_score)
        found = "" if recall.value is None else f"; recall there is estimated at {recall.value:.3f}"
        plan.notes.append(
            Verdict(
                "review_minutes",
                Ruling.PUBLISH,
                f"review_at is raised from {wanted:g} to {pair.review_at:g} to fit{found}",
            )
        )
