"""One cell on its way to a proposal: what is certified, refuted or under alarm, and the thresholds that follow; pure.

**remove_at** is the lowest threshold whose precision is certified, or a step towards it (`guardrails.loosen_step`) when
that means removing more. A step ends on a threshold of the same fixed-sequence search, cut off there, so what is
proposed carries a certificate of its own and no multiplicity is paid.

**Alarms.** Where the watch says that a published remove_at breaks its promise (`watch`), the thresholds to go back to
take the place of what is proposed, unless that is at least as safe: the day's own certificate, or the lowest threshold
its labels do not refute. Both look at other labels: the watch at those since the change, however many days that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pandas as pd

from include.certificates.certify import Decision
from include.certificates.reviewer_error import Aim
from include.config.model import Config, Policy
from include.contract.cell import Cell
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS
from include.contract.terms import Ruling
from include.forecasts.forecast import ShareEstimate, precision_at, volumes
from include.proposals.guardrails import Alarm, Verdict
from include.proposals.populations import (
    Certifier,
    PopulationDecision,
    certify_precision,
    lacks_labels,
    supported_by_own_labels,
    two_sided,
)


@dataclass
class Plan:
    """One cell on its way to a proposal.

    `refuted`: precision at the remove_at in force, where the cell's labels refute it and nothing can be certified.
    `alarm`: what the watch says of the remove_at in force; `new` then raises it.
    """

    cell: Cell
    policy: Policy
    old: ThresholdPair
    sample: pd.DataFrame
    histogram: pd.DataFrame
    answer: PopulationDecision  # precision
    aim: Aim  # of a certificate of the cell's own
    evidence: Decision  # the certificate at the proposed remove_at
    new: ThresholdPair
    notes: list[Verdict]
    refuted: ShareEstimate | None = None
    alarm: Alarm | None = None

    @property
    def certified(self) -> bool:
        return self.answer.decision.threshold is not None

    @property
    def proposes(self) -> bool:
        """Whether there are thresholds to judge: certified ones, or tighter ones than those refuted or under alarm."""
        return self.certified or self.refuted is not None or self.alarm is not None

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
) -> Plan:
    """`aim`: the cell's own."""
    policy = config.policies[cell[0]]
    precision = supported_by_own_labels(answer(cell[1], "precision"), old, sample, aim, config)
    decision, basis = precision.decision, Verdict("reviewer_error", Ruling.PUBLISH, precision.aim.reason)
    if decision.threshold is None:
        refuted = _refuted(sample, old.remove_at, aim, policy, config)
        if refuted is not None:
            own, basis = (
                PopulationDecision(decision, "cell", sample, aim),
                Verdict("reviewer_error", Ruling.PUBLISH, aim.reason),
            )
            evidence, new = _tightened(own, old, policy)
            return Plan(cell, policy, old, sample, histogram, own, aim, evidence, new, [basis], refuted=refuted)
    recall, goal = answer(cell[1], "recall"), f"recall of removal and review of {policy.target_recall:g}"
    if decision.threshold is None:
        if recall.decision.threshold is None and not lacks_labels(recall, config):
            both = f"{decision.refusal}; {goal} cannot be certified either ({recall.decision.refusal})"
            decision = replace(decision, refusal=both)
        notes = [Verdict("certificate", Ruling.HOLD, f"{decision.refusal}; the thresholds in force stay"), basis]
        return Plan(cell, policy, old, sample, histogram, precision, aim, decision, old, notes)
    evidence = _step(old.remove_at, precision, config.guardrails.loosen_step)
    remove_at = on_edge(evidence.threshold)
    if recall.decision.threshold is None:
        review_at = old.review_at
        note = f"{goal} cannot be certified ({recall.decision.refusal}); review_at starts from the one in force"
    else:
        review_at = on_edge(recall.decision.threshold)
        note = f"{goal} is certified at {review_at:g} for {recall.population}"
    new = ThresholdPair(remove_at, min(review_at, remove_at))
    notes = [basis, Verdict("recall_goal", Ruling.PUBLISH, note)]
    return Plan(cell, policy, old, sample, histogram, precision, aim, evidence, new, notes)


def _refuted(own: pd.DataFrame, remove_at: float, aim: Aim, policy: Policy, config: Config) -> ShareEstimate | None:
    """Precision at `remove_at`, where enough of the cell's own labels say that it is below the target."""
    found = precision_at(own, remove_at, level=two_sided(policy.confidence))
    return found if found.n >= config.guardrails.min_labels and found.high < aim.refuted_below else None


def _tightened(own: PopulationDecision, old: ThresholdPair, policy: Policy) -> tuple[Decision, ThresholdPair]:
    """The lowest remove_at above a refuted one, from the initial one on, that no label refutes; what is known of it."""
    first = max(first_bin(old.remove_at) + 1, first_bin(policy.initial.remove_at))
    for edge in range(min(first, N_BINS), N_BINS + 1):
        found = precision_at(own.sample, edge / N_BINS, level=two_sided(policy.confidence))
        if found.high >= own.aim.refuted_below:
            break
    estimate = None if found.value is None else float(own.aim.true_estimate(found.value))
    evidence = replace(own.decision, estimate=estimate, bound=None, method=None, n=found.n)
    return evidence, ThresholdPair(edge / N_BINS, old.review_at)


def under_alarm(plan: Plan, alarm: Alarm) -> Plan:
    """`plan`, or the way back to what the alarm calls safe where that is safer."""
    tightens = plan.proposes and plan.new.remove_at > plan.old.remove_at
    if alarm.safe is None and not tightens:
        stays = "no safer thresholds are known: neither those before it nor the initial ones"
        return replace(plan, notes=[*plan.notes, Verdict("watch", Ruling.HOLD, f"{alarm.reason}; {stays}")])
    if alarm.safe is None or (tightens and plan.new.remove_at >= alarm.safe.remove_at):
        return replace(plan, alarm=alarm)
    own = replace(plan.answer, population="cell", sample=plan.sample, aim=plan.aim)
    found = precision_at(plan.sample, alarm.safe.remove_at)
    estimate = None if found.value is None else float(own.aim.true_estimate(found.value))
    evidence = Decision.refused(alarm.reason, n=found.n, estimate=estimate)
    basis = Verdict("reviewer_error", Ruling.PUBLISH, own.aim.reason)
    return replace(
        plan,
        answer=replace(own, decision=evidence),
        evidence=evidence,
        new=alarm.safe,
        notes=[basis],
        refuted=None,
        alarm=alarm,
    )


def _step(current: float, answer: PopulationDecision, loosen_step: float) -> Decision:
    """The certificate at the proposed remove_at: all the way up, but only a step of the way down.

    The step ends where the same search, cut off at the step, ends. If that search tests nothing below the threshold in
    force, all that is certified is proposed, and the loosen_step guardrail asks a person.
    """
    certified = answer.decision
    way = first_bin(current) - first_bin(on_edge(certified.threshold))
    if way <= 1:
        return certified
    lowest = first_bin(current) - max(math.floor(way * loosen_step + 1e-9), 1)
    stepped = certify_precision(answer.sample, answer.aim, lowest / N_BINS)
    return stepped if stepped.threshold is not None and stepped.threshold < current else certified


def on_edge(threshold: float | None) -> float:
    """A certified threshold as the exact multiple of 0.001 it is."""
    if threshold is None:
        raise ValueError("threshold: nothing is certified")
    return first_bin(threshold) / N_BINS
