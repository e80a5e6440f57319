"""One cell on its way to a proposal: what is certified or under alarm, and the thresholds that follow; pure.

**remove_at** is the lowest threshold whose precision is certified, where that means removing less. Where it means
removing more, it falls only to the highest of the certificates of several days in a row (`guardrails.loosen_days`): the
first day on which a lower threshold is certified is a lucky day more often than others, and one that every day bears
out is not. It ends on a threshold of the same fixed-sequence search, cut off there, so what is proposed carries a
certificate of its own and no multiplicity is paid.

**Earned autonomy.** A remove_at that no certificate ever allowed, as the configuration may let cells start with, and
that the day's labels do not certify either, is withdrawn unless the policy's `uncertified` says that it stays.

**Alarms.** Where the watch says that a remove_at breaks its promise (`watch`), the thresholds to go back to take the
place of what is proposed, unless that is at least as safe. Both look at other labels: the watch at those since the
change, however many days that is.

**review_at** is settled for all cells of a market together (`review_queue`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from include.certificates.certify import Decision
from include.certificates.reviewer_error import Aim
from include.config.model import Config, Policy
from include.contract.cell import Cell
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS
from include.contract.terms import Ruling, Uncertified
from include.forecasts.forecast import precision_at, volumes
from include.proposals.guardrails import Alarm, Verdict
from include.proposals.populations import (
    Certifier,
    PopulationDecision,
    certify_precision,
    lacks_labels,
    supported_by_own_labels,
)

_DISTINCT = (
    "copies of one video count once, so what is certified speaks for distinct content: where wrongful removals are "
    "copied more often, a larger share of the removals is wrong"
)

_BY_VIEWS = (
    "the goals count views: so much of the views of what is removed is rightly taken; what a single video is viewed "
    "beyond what a sample bounds counts as wrong"
)


@dataclass
class Plan:
    """One cell on its way to a proposal.

    Attributes:
        answer: of precision, and whom it speaks for.
        aim: of a certificate of the cell's own.
        evidence: the certificate at the proposed remove_at.
        new: what is proposed; its review_at is the one in force until the market's queue is settled.
        recall_at: the highest review_at at which recall is certified; None: at none.
        steady: the highest of the lowest certified remove_at of the days that bear a lower one out; None: nothing was
            certified on one of them.
        withdrawn: whether remove_at rises as nothing allows it.
        alarm: what the watch says of the remove_at in force; `new` then raises it.
    """

    cell: Cell
    policy: Policy
    old: ThresholdPair
    sample: pd.DataFrame
    histogram: pd.DataFrame
    answer: PopulationDecision
    aim: Aim
    evidence: Decision
    new: ThresholdPair
    notes: list[Verdict]
    recall_at: float | None = None
    steady: float | None = None
    withdrawn: bool = False
    alarm: Alarm | None = None

    @property
    def certified(self) -> float | None:
        """The lowest remove_at that the day's labels certify; None: none."""
        threshold = self.answer.decision.threshold
        return None if threshold is None else on_edge(threshold)

    @property
    def proposes(self) -> bool:
        """Whether there is a change to judge."""
        return self.certified is not None or self.new != self.old

    def review_minutes(self, pair: ThresholdPair) -> float:
        return volumes(self.histogram, pair, self.policy.no_score).reviews * self.policy.minutes_per_label


def plan_cell(
    cell: Cell,
    old: ThresholdPair,
    *,
    sample: pd.DataFrame,
    histogram: pd.DataFrame,
    answer: Certifier,
    aim: Aim,
    config: Config,
    earlier: Sequence[float | None],
    at_once: bool,
    allowed: bool,
) -> Plan:
    """What the labels say of one cell.

    Args:
        aim: the cell's own.
        earlier: the lowest certified remove_at of the days before, the newest first, None for a day without.
        at_once: whether to propose what the day certifies, whatever the days before say; the guardrails then tell.
        allowed: whether a certificate once allowed the remove_at in force, or there is none in force.
    """
    policy = config.policies[cell[0]]
    precision = supported_by_own_labels(answer(cell[1], "precision"), old, sample, aim, config)
    decision = precision.decision
    recall, goal = answer(cell[1], "recall"), f"recall of removal and review of {policy.target_recall:g}"
    recall_at = None if recall.decision.threshold is None else on_edge(recall.decision.threshold)
    if recall_at is None:
        found = f"{goal} cannot be certified ({recall.decision.refusal})"
    else:
        found = f"{goal} is certified at {recall_at:g} for {recall.population}"
    notes = [
        *([Verdict("goal_weight", Ruling.PUBLISH, _BY_VIEWS)] if policy.by_views else []),
        Verdict("reviewer_error", Ruling.PUBLISH, precision.aim.reason),
        Verdict("recall_goal", Ruling.PUBLISH, found),
    ]
    if "cluster_id" in sample and sample["cluster_id"].notna().any():
        notes.append(Verdict("distinct_content", Ruling.PUBLISH, _DISTINCT))
    plan = Plan(cell, policy, old, sample, histogram, precision, aim, decision, old, notes, recall_at)
    if plan.certified is not None:
        days = config.guardrails.loosen_days
        known = [plan.certified, *earlier[: days - 1]]
        plan.steady = None if None in known or len(known) < days else max(level for level in known if level is not None)
        return _towards(plan, plan.certified, known, at_once)
    if recall_at is None and not lacks_labels(recall, config):
        both = f"{decision.refusal}; {goal} cannot be certified either ({recall.decision.refusal})"
        plan.evidence = replace(decision, refusal=both)
    stays = f"{plan.evidence.refusal}; the remove_at in force stays"
    if old.remove_at == 1:
        stays = f"{plan.evidence.refusal}; shadow mode: nothing is removed until something is certified"
    elif not allowed and policy.uncertified != Uncertified.REMOVE:
        plan.new, plan.withdrawn = ThresholdPair(1.0, old.review_at), True
        stays = f"{plan.evidence.refusal}; no certificate ever allowed the remove_at in force"
    notes.insert(0, Verdict("certificate", Ruling.PUBLISH, stays))
    return plan


def _towards(plan: Plan, certified: float, known: Sequence[float | None], at_once: bool) -> Plan:
    """`plan`, whose remove_at goes to what is certified: all the way up, but down only as far as every day allows."""
    now, wanted = plan.old.remove_at, certified
    if certified < now and not at_once:
        wanted = now if plan.steady is None else min(plan.steady, now)
        if wanted > certified:
            before = ", ".join("none" if level is None else f"{level:g}" for level in known[1:]) or "nothing"
            goes = "falls no lower than each of them certifies" if wanted < now else "stays until each of them is lower"
            says = f"the day's labels certify {certified:g}, those of the days before: {before}; remove_at {goes}"
            plan.notes.append(Verdict("certificate", Ruling.PUBLISH, says))
    if certified < wanted < 1:
        stepped = certify_precision(plan.answer.sample, plan.answer.aim, plan.policy, wanted)
        wanted = now
        if stepped.threshold is not None and stepped.threshold <= now:
            plan.evidence, wanted = stepped, on_edge(stepped.threshold)
    plan.new = ThresholdPair(wanted, min(plan.old.review_at, wanted))
    return plan


def under_alarm(plan: Plan, alarm: Alarm) -> Plan:
    """`plan`, or the way back to what the alarm calls safe where that is safer."""
    if plan.new.remove_at > plan.old.remove_at and plan.new.remove_at >= alarm.safe.remove_at:
        return replace(plan, alarm=alarm)
    own = replace(plan.answer, population="cell", sample=plan.sample, aim=plan.aim)
    found = precision_at(plan.sample, alarm.safe.remove_at, by_views=plan.policy.by_views)
    estimate = None if found.value is None else float(own.aim.true_estimate(found.value))
    evidence = Decision.refused(alarm.reason, n=found.n, estimate=estimate)
    basis = Verdict("reviewer_error", Ruling.PUBLISH, own.aim.reason)
    return replace(
        plan,
        answer=replace(own, decision=evidence),
        evidence=evidence,
        new=alarm.safe,
        notes=[basis],
        withdrawn=False,
        alarm=alarm,
    )


def on_edge(threshold: float | None) -> float:
    """A certified threshold as the exact multiple of 0.001 it is."""
    if threshold is None:
        raise ValueError("threshold: nothing is certified")
    return first_bin(threshold) / N_BINS
