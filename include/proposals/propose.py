"""The day's answer for every cell: keep, change, or why neither can be certified. Pure.

Whom a certificate speaks for is in `populations`, what becomes of one cell in `plan`, what the cells of a market ask of
its reviewers together in `review_queue`, and what may be published without a person in `guardrails`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from include.certificates.reviewer_error import settled_by_experts
from include.config.model import Config
from include.contract.cell import by_cell
from include.contract.change import DAILY
from include.contract.grid import ThresholdPair, first_bin
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, TABLES
from include.contract.terms import ProposalStatus, Ruling
from include.evidence.calibration import curve_by_cell
from include.files import canonical_json, digest_of
from include.forecasts.forecast import ContestedRemovals, forecast, precision_at
from include.proposals.background import Background
from include.proposals.guardrails import CellChange, Queue, Verdict, breaker, overall, proposal_status, verdicts_on
from include.proposals.plan import Plan, plan_cell, under_alarm
from include.proposals.populations import (
    aim_of,
    certifier,
)
from include.proposals.review_queue import fit_queue

_COUNTS = ("n", "labels_needed", "removes_before", "removes_after", "reviews_before", "reviews_after")
_SAMPLE_COLUMNS = (*CELL, "sample_id", "score", "views", "inclusion_probability", "p_violating")
NO_APPEALS = "switched off: the platform delivers no appeals"


def propose(
    sample: ProbabilitySample,
    histogram: pd.DataFrame,
    current: pd.DataFrame,
    config: Config,
    *,
    day: date,
    origin: str = DAILY,
    background: Background | None = None,
    other_minutes: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row of threshold_proposals for each cell of `current`, sorted by cell.

    Args:
        sample: labelled draws of the window: policy, market, model_version, sample_id, score in [0, 1] or missing,
            views >= 0, inclusion_probability in (0, 1], p_violating in [0, 1]; where experts settled some, also
            video_id, golden (1, 0, or NaN: not settled) and consensus; where nobody was sure of some, undecided (bool).
            Further columns count as evidence.
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
    samples, histograms, golden = by_cell(sample), by_cell(histogram), settled_by_experts(sample)
    answers = {
        (policy, version): certifier(
            sample[(sample["policy"] == policy) & (sample["model_version"] == version)],
            golden[golden["policy"] == policy],
            config.policies[policy],
            config,
        )
        for policy, version in sorted(set(current[["policy", "model_version"]].itertuples(index=False, name=None)))
    }
    curves = curve_by_cell(_decided(sample), sorted(set(current[list(CELL)].itertuples(index=False, name=None))))
    plans = []
    for row in current.sort_values(list(CELL)).to_dict("records"):
        cell = (row["policy"], row["market"], row["model_version"])
        plan = plan_cell(
            cell,
            ThresholdPair(row["remove_at"], row["review_at"]),
            sample=samples.get(cell, sample.iloc[:0]),
            histogram=histograms.get(cell, histogram.iloc[:0]),
            answer=answers[cell[0], cell[2]],
            aim=aim_of(golden, config, cell),
            config=config,
            earlier=background.certified.get(cell, ()),
            at_once=origin != DAILY,
            allowed=cell not in background.uncertified,
        )
        alarm = background.alarms.get(cell)
        plans.append(plan if alarm is None else under_alarm(plan, alarm))
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
        queue = fit_queue(local, curves, config, market, (other_minutes or {}).get(market, 0.0))
        judged += [_judged(plan, queue, config, day, background) for plan in local]
    changes = [(done.change, overall(done.verdicts)) for done in judged if done.change is not None]
    tripped = breaker(changes, config.guardrails)
    rows = []
    for done in judged:
        identity = {"day": day.isoformat(), "origin": origin, "evidence": evidence[done.plan.cell[::2]]}
        judged_together = done.change is not None and done.change.alarm is None
        if tripped is not None and judged_together and overall(done.verdicts) == Ruling.PUBLISH:
            done.verdicts.append(tripped)
        rows.append(_row(done, identity, config))
    frame = pd.DataFrame(rows, columns=list(TABLES["threshold_proposals"].column_names))
    frame = frame.astype({**dict.fromkeys(_COUNTS, "Int64"), "estimate": float, "bound": float})
    levels = ("proposed_remove_at", "proposed_review_at", "certified_remove_at", "canary_share")
    frame = frame.astype(dict.fromkeys(levels, float))
    return frame.sort_values(list(CELL), ignore_index=True)


@dataclass(frozen=True)
class _Judged:
    """A plan with its forecast and verdicts; `change`: None where nothing is proposed."""

    plan: Plan
    effect: dict[str, Any]
    change: CellChange | None
    verdicts: list[Verdict]


def _judged(plan: Plan, queue: Queue, config: Config, day: date, background: Background) -> _Judged:
    policy, before = plan.policy, background.contested
    effect = forecast(
        plan.histogram,
        plan.sample,
        plan.old,
        plan.new,
        no_score=policy.no_score,
        minutes_per_label=policy.minutes_per_label,
        by_views=policy.by_views,
        contested=NO_APPEALS if before is None else before.get(plan.cell[0], ContestedRemovals(0, 0)),
    )
    effect["market_minutes"] = vars(queue)
    if not plan.proposes:
        return _Judged(plan, effect, None, plan.notes)
    change = CellChange(
        cell=plan.cell,
        day=day,
        old=plan.old,
        new=plan.new,
        certified=plan.certified,
        steady=plan.steady,
        labels=plan.evidence.n,
        precision_now=precision_at(plan.answer.sample, plan.old.remove_at, by_views=policy.by_views),
        target=plan.answer.aim.expected,  # as precision_now is, on reviewers' labels
        removes_before=effect["removes"]["before"],
        removes_after=effect["removes"]["after"],
        reviews_before=effect["reviews"]["before"],
        reviews_after=effect["reviews"]["after"],
        removes_usual=background.usual_removals.get(plan.cell),
        queue=queue,
        emergency=background.emergency,
        alarm=plan.alarm,
    )
    return _Judged(plan, effect, change, [*plan.notes, *verdicts_on(change, policy.limits, config.guardrails)])


def _canary_share(change: CellChange | None, config: Config) -> float | None:
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
        "goal_weight": policy.goal_weight,
        "population": plan.answer.population,
    }
    return {
        "proposal_id": digest_of({**values, **identity})[:16],
        "origin": identity["origin"],
        **values,
        "method": decision.method if decision.refusal is None else None,
        "estimate": decision.estimate,
        "bound": decision.bound if decision.refusal is None else None,
        "basis": "consensus" if plan.answer.aim.errors is None else "golden",
        "n": decision.n,
        "refusal": decision.refusal,
        "labels_needed": decision.labels_needed,
        "certified_remove_at": plan.certified,
        "removes_before": effect["removes"]["before"],
        "removes_after": effect["removes"]["after"] if plan.proposes else None,
        "reviews_before": effect["reviews"]["before"],
        "reviews_after": effect["reviews"]["after"] if plan.proposes else None,
        "canary_share": _canary_share(done.change, config),
        "forecast": canonical_json(effect),
        "verdicts": canonical_json([vars(verdict) for verdict in done.verdicts]),
        "status": ProposalStatus.REFUSED if done.change is None else proposal_status(done.change, done.verdicts),
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


def _decided(sample: ProbabilitySample) -> ProbabilitySample:
    """The draws about which somebody was sure."""
    return ProbabilitySample(sample[~sample["undecided"]]) if "undecided" in sample else sample


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
