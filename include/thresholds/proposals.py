"""The day's answer for every cell: keep, change, or why neither can be certified.

**remove_at** is the lowest threshold whose precision is certified, or a step towards it (`guardrails.loosen_step`) when
that means removing more. A step ends on a threshold of the same fixed-sequence search, cut off there, so what is
proposed carries a certificate of its own and no multiplicity is paid.

**Whom a certificate speaks for.** Where a cell lacks labels, those of the policy and model version in the cell's region
are pooled, then those of all markets. A pooled certificate says that the pooled videos above the threshold are
precise enough *together*; single markets among them may be worse. `population` therefore names it. It is not used where
the cell's own labels refute the target at that threshold, or show that more of them would not help; where they merely
disagree, a person is asked (`guardrails`). The confidence is each certificate's own: over a chain of three populations
the chance of a wrong one may, in the worst case, be up to three times as large.

**Reviewers err.** Where experts settled enough draws of the markets it speaks for, the certificate of remove_at speaks
for true labels (`reviewer_error`), and `basis` is golden; elsewhere it speaks for the reviewers' consensus. Recall is
that of the consensus: reviewers who overlook a share of what violates, whatever its score, do not change it, and false
alarms, which mostly score low, only make it look worse.

**Alarms.** Where the watch says that a published remove_at breaks its promise (`watch`), the thresholds to go back to
take the place of what is proposed, unless that is at least as safe: the day's own certificate, or the lowest threshold
its labels do not refute. Both look at other labels: the watch at those since the change, however many days that is.

**review_at** is the highest threshold at which removal and review together find the asked share of what violates,
raised until the market's queues fit into the minutes the audit sample leaves.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from include.certificates.certify import Decision, Goal, certify
from include.certificates.reviewer_error import Aim, aim_at, settled
from include.config.model import Config, Policy
from include.contract.cell import Cell, by_cell
from include.contract.grid import Pair, first_bin
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, N_BINS, TABLES
from include.files import canonical_json
from include.forecasts.forecast import Contested, Estimate, forecast, precision_at, recall_at, volumes
from include.proposals.guardrails import Alarm, Change, Queue, Verdict, breaker, judge, overall, status_of
from include.thresholds.background import Background

_COUNTS = ("n", "labels_needed", "removes_before", "removes_after", "reviews_before", "reviews_after")
_SAMPLE_COLUMNS = (*CELL, "sample_id", "score", "views", "inclusion_probability", "p_violating")
NO_APPEALS = "switched off: the platform delivers no appeals"


@dataclass(frozen=True)
class _Answer:
    """What certification says: the decision, whom it speaks for, that population's labels, and the precision aimed at.

    `own_needed`: labels the cell itself lacked, where others' were pooled.
    """

    decision: Decision
    population: str
    sample: pd.DataFrame
    aim: Aim
    own_needed: int | None = None


@dataclass
class _Plan:
    """One cell on its way to a proposal.

    `refuted`: precision at the remove_at in force, where the cell's labels refute it and nothing can be certified.
    `alarm`: what the watch says of the remove_at in force; `new` then raises it.
    """

    cell: Cell
    policy: Policy
    old: Pair
    sample: pd.DataFrame
    histogram: pd.DataFrame
    answer: _Answer  # precision
    aim: Aim  # of a certificate of the cell's own
    evidence: Decision  # the certificate at the proposed remove_at
    new: Pair
    notes: list[Verdict]
    refuted: Estimate | None = None
    alarm: Alarm | None = None

    @property
    def certified(self) -> bool:
        return self.answer.decision.threshold is not None

    @property
    def proposes(self) -> bool:
        """Whether there are thresholds to judge: certified ones, or tighter ones than those refuted or under alarm."""
        return self.certified or self.refuted is not None or self.alarm is not None

    def review_minutes(self, pair: Pair) -> float:
        return volumes(self.histogram, pair, self.policy.no_score).reviews * self.policy.minutes_per_label


def propose(
    sample: ProbabilitySample,
    histogram: pd.DataFrame,
    current: pd.DataFrame,
    config: Config,
    *,
    day: date,
    origin: str = "daily",
    background: Background | None = None,
    other_minutes: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row of threshold_proposals for each cell of `current`, sorted by cell.

    Args:
        sample: labelled draws of the window: policy, market, model_version, sample_id, score in [0, 1] or missing,
            views >= 0, inclusion_probability in (0, 1], p_violating in [0, 1]; where experts settled some, also
            video_id and golden (1, 0, or NaN: not settled). Further columns count as evidence.
        histogram: score_histogram of the newest day.
        current: thresholds in force: policy, market, model_version, remove_at, review_at.
        config: targets, limits, guardrails and staffed minutes.
        day: what the proposals are for.
        origin: daily, or the id of an ad-hoc run.
        background: days before, appeals, earlier changes; None: nothing is known of them.
        other_minutes: reviewer minutes a day that the queues of cells outside `current` take, by market.

    Raises:
        ValueError: a missing column, a value out of range, a cell whose policy or market is not configured, or a
            threshold in force that is not a multiple of 0.001.
    """
    _check(sample, current, config)
    background = background or Background()
    samples, histograms, golden = by_cell(sample), by_cell(histogram), settled(sample)
    answers = {
        (policy, version): _certifier(
            sample[(sample["policy"] == policy) & (sample["model_version"] == version)],
            golden[golden["policy"] == policy],
            config.policies[policy],
            config,
        )
        for policy, version in sorted(set(current[["policy", "model_version"]].itertuples(index=False, name=None)))
    }
    plans = []
    for row in current.sort_values(list(CELL)).to_dict("records"):
        cell = (row["policy"], row["market"], row["model_version"])
        plan = _plan(
            cell,
            Pair(row["remove_at"], row["review_at"]),
            sample=samples.get(cell, sample.iloc[:0]),
            histogram=histograms.get(cell, histogram.iloc[:0]),
            answer=answers[cell[0], cell[2]],
            aim=aim_of(golden, config, cell),
            config=config,
        )
        alarm = background.alarms.get(cell)
        plans.append(plan if alarm is None else _under_alarm(plan, alarm))
    evidence = {
        key: _digest(
            *(frame[(frame["policy"] == key[0]) & (frame["model_version"] == key[1])] for frame in (sample, histogram)),
            golden[golden["policy"] == key[0]],
        )
        for key in answers
    }
    judged = []
    for market in sorted({plan.cell[1] for plan in plans}):
        local = [plan for plan in plans if plan.cell[1] == market]
        queue = _fit_queue(local, config, market, (other_minutes or {}).get(market, 0.0))
        judged += [_judged(plan, queue, config, day, background) for plan in local]
    changes = [(done.change, overall(done.verdicts)) for done in judged if done.change is not None]
    tripped = breaker(changes, config.guardrails)
    rows = []
    for done in judged:
        identity = {"day": day.isoformat(), "origin": origin, "evidence": evidence[done.plan.cell[::2]]}
        judged_together = done.change is not None and done.change.alarm is None
        if tripped is not None and judged_together and overall(done.verdicts) == "publish":
            done.verdicts.append(tripped)
        rows.append(_row(done, identity, config))
    frame = pd.DataFrame(rows, columns=list(TABLES["threshold_proposals"].column_names))
    frame = frame.astype({**dict.fromkeys(_COUNTS, "Int64"), "estimate": float, "bound": float})
    frame = frame.astype(dict.fromkeys(("proposed_remove_at", "proposed_review_at", "canary_share"), float))
    return frame.sort_values(list(CELL), ignore_index=True)


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


Certifier = Callable[[str, str], _Answer]


def _certifier(sample: pd.DataFrame, golden: pd.DataFrame, policy: Policy, config: Config) -> Certifier:
    """Answers for one policy and model version, by market and metric; a pool is certified once for all its markets.

    Reviewers' error is that of the markets the answer speaks for: others' reviewers may err otherwise.
    """

    @cache
    def decide(population: str, markets: frozenset[str], metric: str) -> _Answer:
        rows, known = (frame[frame["market"].isin(markets)] for frame in (sample, golden))
        aim = _aim(known, policy, policy.target_precision)
        return _Answer(_decide(rows, aim, config, metric), population, rows, aim)

    def answer(market: str, metric: str) -> _Answer:
        region = config.markets[market].region
        regional = frozenset(name for name, other in config.markets.items() if other.region == region)
        levels = (
            ("cell", frozenset({market})),
            (f"region {region}", regional),
            ("policy", frozenset(config.markets)),
        )
        tried = [decide(*levels[0], metric)]
        for population, markets in levels[1:]:
            if tried[-1].decision.threshold is not None or not _lacks_labels(tried[-1], config):
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
            return _Answer(
                Decision(None, refutation, needed, None, None, None, own.decision.n), "cell", own.sample, own.aim
            )
        return last if last is own else replace(last, own_needed=own.decision.labels_needed)

    return answer


def _decide(sample: pd.DataFrame, aim: Aim, config: Config, metric: str) -> Decision:
    """Certify one population, on thresholds that are histogram bin edges."""
    if sample.empty:
        return Decision(None, "no labels", None, None, None, None, 0)
    policy = config.policies[sample["policy"].iloc[0]]
    if metric == "precision":
        return _certify_precision(sample, aim, policy.limits.lowest_remove_at)
    # Videos without a score are found if they go to review, and missed otherwise.
    scored = sample.assign(score=sample["score"].fillna(1.0 if policy.no_score == "review" else 0.0))
    goal = Goal("recall", at_least=policy.target_recall)
    edges = _edges(policy.limits.lowest_review_at)
    return certify(scored, goal, confidence=policy.confidence, candidates=edges)


def _certify_precision(sample: pd.DataFrame, aim: Aim, lowest: float) -> Decision:
    goal = Goal("precision", at_least=aim.share)
    judged = sample[sample["score"] >= lowest]  # labels further down say nothing about a precision above
    return aim.on_truth(certify(judged, goal, confidence=aim.confidence, candidates=_edges(lowest)))


def _edges(lowest: float) -> np.ndarray:
    """Histogram bin edges from `lowest` up, below 1."""
    return np.arange(first_bin(lowest), N_BINS) / N_BINS


def _lacks_labels(answer: _Answer, config: Config) -> bool:
    """Whether a refusal is for want of labels; if not, pooling would only hide a cell that misses the target."""
    decision = answer.decision
    return decision.labels_needed is not None or decision.estimate is None or decision.n < config.guardrails.min_labels


def _refutation(own: _Answer, pooled: _Answer, config: Config) -> str | None:
    """Why a pooled certificate must not be used for the cell: its own labels speak against it."""
    at = pooled.decision.threshold
    if at is None or own.sample.empty:
        return None
    policy = config.policies[own.sample["policy"].iloc[0]]
    local = precision_at(own.sample, at, level=_two_sided(policy.confidence))
    if local.value is None or local.high >= own.aim.refuted_below:
        return None
    return (
        f"{pooled.population} certifies {at:g}, but this cell's own {local.n} labels above it give a precision of "
        f"{local.value:.3f}, at most {local.high:.3f} at {policy.confidence:.0%} confidence"
    )


def _supported(answer: _Answer, old: Pair, own: pd.DataFrame, aim: Aim, config: Config) -> _Answer:
    """`answer`, or a refusal where labels of other markets alone would remove more of this cell's videos."""
    at = answer.decision.threshold
    if answer.population == "cell" or at is None or at >= old.remove_at:
        return answer
    local, needed = precision_at(own, at), config.guardrails.min_labels
    if local.n >= needed and local.value is not None and local.value >= aim.expected:
        return answer
    found = f"a precision of {local.value:.3f}" if local.value is not None else "no precision"
    refusal = (
        f"{answer.population} certifies {at:g}, but it lowers no threshold unless at least {needed} of the cell's own "
        f"labels bear it out; {local.n} above it give {found}"
    )
    missing = answer.own_needed or max(needed - local.n, 0) or None
    return _Answer(Decision(None, refusal, missing, None, None, None, local.n), "cell", own, aim)


def _plan(
    cell: Cell,
    old: Pair,
    *,
    sample: pd.DataFrame,
    histogram: pd.DataFrame,
    answer: Certifier,
    aim: Aim,
    config: Config,
) -> _Plan:
    """`aim`: the cell's own."""
    policy = config.policies[cell[0]]
    precision = _supported(answer(cell[1], "precision"), old, sample, aim, config)
    decision, basis = precision.decision, Verdict("reviewer_error", "publish", precision.aim.reason)
    if decision.threshold is None:
        refuted = _refuted(sample, old.remove_at, aim, policy, config)
        if refuted is not None:
            own, basis = _Answer(decision, "cell", sample, aim), Verdict("reviewer_error", "publish", aim.reason)
            evidence, new = _tightened(own, old, policy)
            return _Plan(cell, policy, old, sample, histogram, own, aim, evidence, new, [basis], refuted=refuted)
    recall, goal = answer(cell[1], "recall"), f"recall of removal and review of {policy.target_recall:g}"
    if decision.threshold is None:
        if recall.decision.threshold is None and not _lacks_labels(recall, config):
            both = f"{decision.refusal}; {goal} cannot be certified either ({recall.decision.refusal})"
            decision = replace(decision, refusal=both)
        notes = [Verdict("certificate", "hold", f"{decision.refusal}; the thresholds in force stay"), basis]
        return _Plan(cell, policy, old, sample, histogram, precision, aim, decision, old, notes)
    evidence = _step(old.remove_at, precision, config.guardrails.loosen_step)
    remove_at = _on_edge(evidence.threshold)
    if recall.decision.threshold is None:
        review_at = old.review_at
        note = f"{goal} cannot be certified ({recall.decision.refusal}); review_at starts from the one in force"
    else:
        review_at = _on_edge(recall.decision.threshold)
        note = f"{goal} is certified at {review_at:g} for {recall.population}"
    new = Pair(remove_at, min(review_at, remove_at))
    notes = [basis, Verdict("recall_goal", "publish", note)]
    return _Plan(cell, policy, old, sample, histogram, precision, aim, evidence, new, notes)


def _refuted(own: pd.DataFrame, remove_at: float, aim: Aim, policy: Policy, config: Config) -> Estimate | None:
    """Precision at `remove_at`, where enough of the cell's own labels say that it is below the target."""
    found = precision_at(own, remove_at, level=_two_sided(policy.confidence))
    return found if found.n >= config.guardrails.min_labels and found.high < aim.refuted_below else None


def _tightened(own: _Answer, old: Pair, policy: Policy) -> tuple[Decision, Pair]:
    """The lowest remove_at above a refuted one, from the initial one on, that no label refutes; what is known of it."""
    first = max(first_bin(old.remove_at) + 1, first_bin(policy.initial.remove_at))
    for edge in range(min(first, N_BINS), N_BINS + 1):
        found = precision_at(own.sample, edge / N_BINS, level=_two_sided(policy.confidence))
        if found.high >= own.aim.refuted_below:
            break
    estimate = None if found.value is None else float(own.aim.true_estimate(found.value))
    evidence = replace(own.decision, estimate=estimate, bound=None, method=None, n=found.n)
    return evidence, Pair(edge / N_BINS, old.review_at)


def _under_alarm(plan: _Plan, alarm: Alarm) -> _Plan:
    """`plan`, or the way back to what the alarm calls safe where that is safer."""
    tightens = plan.proposes and plan.new.remove_at > plan.old.remove_at
    if alarm.safe is None and not tightens:
        stays = "no safer thresholds are known: neither those before it nor the initial ones"
        return replace(plan, notes=[*plan.notes, Verdict("watch", "hold", f"{alarm.reason}; {stays}")])
    if alarm.safe is None or (tightens and plan.new.remove_at >= alarm.safe.remove_at):
        return replace(plan, alarm=alarm)
    own = replace(plan.answer, population="cell", sample=plan.sample, aim=plan.aim)
    found = precision_at(plan.sample, alarm.safe.remove_at)
    estimate = None if found.value is None else float(own.aim.true_estimate(found.value))
    evidence = Decision(None, alarm.reason, None, estimate, None, None, found.n)
    basis = Verdict("reviewer_error", "publish", own.aim.reason)
    return replace(
        plan,
        answer=replace(own, decision=evidence),
        evidence=evidence,
        new=alarm.safe,
        notes=[basis],
        refuted=None,
        alarm=alarm,
    )


def _two_sided(confidence: float) -> float:
    """The level of a two-sided interval either end of which holds at `confidence`."""
    return max(2 * confidence - 1, 0.0)


def _step(current: float, answer: _Answer, loosen_step: float) -> Decision:
    """The certificate at the proposed remove_at: all the way up, but only a step of the way down.

    The step ends where the same search, cut off at the step, ends. If that search tests nothing below the threshold in
    force, all that is certified is proposed, and the loosen_step guardrail asks a person.
    """
    certified = answer.decision
    way = first_bin(current) - first_bin(_on_edge(certified.threshold))
    if way <= 1:
        return certified
    lowest = first_bin(current) - max(math.floor(way * loosen_step + 1e-9), 1)
    stepped = _certify_precision(answer.sample, answer.aim, lowest / N_BINS)
    return stepped if stepped.threshold is not None and stepped.threshold < current else certified


def _on_edge(threshold: float | None) -> float:
    """A certified threshold as the exact multiple of 0.001 it is."""
    if threshold is None:
        raise ValueError("threshold: nothing is certified")
    return first_bin(threshold) / N_BINS


def _fit_queue(plans: list[_Plan], config: Config, market: str, others: float) -> Queue:
    """Raise review_at in `plans`, in place, until the market's queues fit; the minutes before, after, and staffed.

    What the review_at in force take comes first; of what lower ones would add, every cell gets the same share. If even
    the former does not fit, every cell keeps the same share of it: a cell that asks for much more takes nothing from
    those that ask for nothing, which would find no way back down. Videos without a score are reviewed whatever the
    thresholds, and a refused cell keeps its own, so the queue may still not fit; guardrails then tell.
    """
    staffed = config.markets[market].reviewer_minutes * (1 - config.sampling.minutes_share)
    available = staffed * config.guardrails.max_review_ratio
    before = others + sum(plan.review_minutes(plan.old) for plan in plans)
    fixed = {plan.cell: plan.review_minutes(Pair(plan.new.remove_at, plan.new.remove_at)) for plan in plans}
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


def _standing(old: Pair, new: Pair) -> Pair:
    """`new`, its review_at no lower than the old one's."""
    return Pair(new.remove_at, min(max(old.review_at, new.review_at), new.remove_at))


def _raise_review(plan: _Plan, minutes: float) -> None:
    """The lowest review_at, from the wanted one up, whose queue takes at most `minutes`."""
    wanted = plan.new.review_at
    for edge in range(first_bin(wanted), first_bin(plan.new.remove_at) + 1):
        pair = Pair(plan.new.remove_at, edge / N_BINS)
        if plan.review_minutes(pair) <= minutes + 1e-9:
            break
    if pair.review_at > wanted:
        plan.new = pair
        recall = recall_at(plan.sample, pair.review_at, plan.policy.no_score)
        found = "" if recall.value is None else f"; recall there is estimated at {recall.value:.3f}"
        plan.notes.append(
            Verdict(
                "review_minutes", "publish", f"review_at is raised from {wanted:g} to {pair.review_at:g} to fit{found}"
            )
        )


@dataclass(frozen=True)
class _Judged:
    """A plan with its forecast and verdicts; `change`: None where nothing is proposed."""

    plan: _Plan
    effect: dict[str, Any]
    change: Change | None
    verdicts: list[Verdict]


def _judged(plan: _Plan, queue: Queue, config: Config, day: date, background: Background) -> _Judged:
    policy, before = plan.policy, background.contested
    effect = forecast(
        plan.histogram,
        plan.sample,
        plan.old,
        plan.new,
        no_score=policy.no_score,
        minutes_per_label=policy.minutes_per_label,
        contested=NO_APPEALS if before is None else before.get(plan.cell[0], Contested(0, 0)),
    )
    effect["market_minutes"] = vars(queue)
    if not plan.proposes:
        return _Judged(plan, effect, None, plan.notes)
    change = Change(
        cell=plan.cell,
        day=day,
        old=plan.old,
        new=plan.new,
        certified=_on_edge(plan.answer.decision.threshold) if plan.certified else None,
        labels=plan.evidence.n,
        precision_now=plan.refuted or precision_at(plan.answer.sample, plan.old.remove_at),
        target=plan.answer.aim.expected,  # as precision_now is, on reviewers' labels
        removes_before=effect["removes"]["before"],
        removes_after=effect["removes"]["after"],
        reviews_before=effect["reviews"]["before"],
        reviews_after=effect["reviews"]["after"],
        removes_usual=background.usual_removals.get(plan.cell),
        queue=queue,
        tightened_on=background.tightened.get(plan.cell),
        emergency=background.emergency,
        alarm=plan.alarm,
    )
    return _Judged(plan, effect, change, [*plan.notes, *judge(change, policy.limits, config.guardrails)])


def _canary_share(change: Change | None, config: Config) -> float | None:
    """The share of the videos on which the change acts first. What removes less, or is urgent, acts on all at once."""
    removes_more = change is not None and change.new.remove_at < change.old.remove_at and not change.emergency
    return config.canary.steps[0] if removes_more and config.canary.steps else None


def _row(done: _Judged, identity: Mapping[str, str], config: Config) -> dict[str, Any]:
    """The finished row of threshold_proposals."""
    plan, effect = done.plan, done.effect
    decision, policy = plan.evidence, plan.policy
    values: dict[str, Any] = {
        **dict(zip(CELL, plan.cell, strict=True)),
        "current_remove_at": plan.old.remove_at,
        "current_review_at": plan.old.review_at,
        "proposed_remove_at": plan.new.remove_at if plan.proposes else None,
        "proposed_review_at": plan.new.review_at if plan.proposes else None,
        "target": policy.target_precision,
        "confidence": policy.confidence,
        "population": plan.answer.population,
    }
    return {
        "proposal_id": hashlib.sha256(canonical_json({**values, **identity}).encode()).hexdigest()[:16],
        "origin": identity["origin"],
        **values,
        "method": decision.method,
        "estimate": decision.estimate,
        "bound": decision.bound,
        "basis": "consensus" if plan.answer.aim.errors is None else "golden",
        "n": decision.n,
        "refusal": decision.refusal,
        "labels_needed": decision.labels_needed,
        "removes_before": effect["removes"]["before"],
        "removes_after": effect["removes"]["after"] if plan.proposes else None,
        "reviews_before": effect["reviews"]["before"],
        "reviews_after": effect["reviews"]["after"] if plan.proposes else None,
        "canary_share": _canary_share(done.change, config),
        "forecast": canonical_json(effect),
        "verdicts": canonical_json([vars(verdict) for verdict in done.verdicts]),
        "status": "refused" if done.change is None else status_of(done.change, done.verdicts),
        "answered_by": None,
    }


def _digest(*frames: pd.DataFrame) -> str:
    """SHA-256 of the frames' rows, whatever their order."""
    digest = hashlib.sha256()
    for frame in frames:
        columns = sorted(frame.columns)
        lines = frame[columns].to_csv(index=False, header=False).splitlines()
        digest.update("\n".join([",".join(columns), *sorted(lines)]).encode())
    return digest.hexdigest()


def _check(sample: pd.DataFrame, current: pd.DataFrame, config: Config) -> None:
    missing = [name for name in _SAMPLE_COLUMNS if name not in sample.columns]
    if missing:
        raise ValueError(f"sample: no column {', '.join(missing)}")
    for column, known in (("policy", config.policies), ("market", config.markets)):
        unknown = sorted(set(current[column]) - set(known))
        if unknown:
            raise ValueError(f"current: {column} {unknown[0]!r} is not configured")
    for row in current.to_dict("records"):
        for name in ("remove_at", "review_at"):
            try:
                first_bin(row[name])
            except ValueError as error:
                raise ValueError(f"current: {name} of {row['policy']}/{row['market']}: {error}") from error
