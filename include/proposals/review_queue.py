"""review_at of all cells of a market together: its reviewers' minutes go where they find most. Pure.

What shadow mode would remove comes first. The minutes left fill with the bins of scores that are expected to hold most
violating videos a minute, by the calibration curve, in whichever cell they lie. Expected shares rise with the score, so
what a cell is given is one stretch of scores, and taking the best bins first is the best use of the minutes (a
fractional knapsack). Reviewing needs no certificate: what it costs is known exactly, from the histogram, and what it
finds is decided by people. A certified recall is told, and asks for nothing: one policy's promise would starve the
others' queues.

**Hysteresis.** Volumes differ from day to day, so the queue is filled a little less than whole, and stays as it is as
long as it neither exceeds the minutes nor leaves much of them idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from include.config.model import Config
from include.contract.cell import Cell
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import N_BINS
from include.contract.terms import Ruling, Uncertified
from include.proposals.guardrails import Queue, Verdict
from include.proposals.plan import Plan

FILL = 0.93
"""Of the minutes, what the queue is filled to when it is filled anew."""
IDLE = 0.86
"""It is filled anew below this share of the minutes."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Stretch:
    """What of a cell may be reviewed, by bin: shape (N_BINS,).

    Attributes:
        minutes: that its videos take.
        found: expected violating videos a minute.
        order: 0 what shadow mode would remove, 1 the rest.
        lowest, end: bins that may be reviewed, `end` excluded.
    """

    minutes: Array
    found: Array
    order: npt.NDArray[np.int64]
    lowest: int
    end: int


def fit_queue(plans: list[Plan], curves: Mapping[Cell, Array], config: Config, market: str, others: float) -> Queue:
    """Settles review_at in `plans`, in place; the market's minutes before, after, and staffed for its review queues.

    Videos without a score are reviewed whatever the thresholds, and so is what cells outside `plans` send, so the queue
    may exceed the minutes all the same; guardrails then tell.

    Args:
        curves: by cell, the expected share of violating videos: no score first, then by bin, shape (1 + N_BINS,).
        others: minutes a day that cells outside `plans` take.
    """
    staffed = config.markets[market].reviewer_minutes * (1 - config.sampling.minutes_share)
    available = staffed * config.guardrails.max_review_ratio
    before = others + sum(plan.review_minutes(plan.old) for plan in plans)
    fixed = others + sum(plan.review_minutes(ThresholdPair(1.0, 1.0)) for plan in plans)
    shared = [plan.withdrawn and plan.policy.uncertified == Uncertified.REVIEW_ELSE_REMOVE for plan in plans]
    if any(shared):
        for plan, some, taken in zip(plans, shared, _taken(plans, curves, available * FILL - fixed), strict=True):
            if some and taken is not None:
                _remove_the_surest(plan, taken)
    standing = [_standing(plan) for plan in plans]
    total = others + sum(plan.review_minutes(pair) for plan, pair in zip(plans, standing, strict=True))
    kept = IDLE * available <= total <= available and all(
        plan.new.remove_at < 1 or pair.review_at <= plan.policy.initial.remove_at
        for plan, pair in zip(plans, standing, strict=True)
    )
    lowest = _taken(plans, curves, available * FILL - fixed)
    for plan, pair, edge in zip(plans, standing, lowest, strict=True):
        level = pair.review_at if kept or edge is None else edge / N_BINS
        plan.new = ThresholdPair(plan.new.remove_at, min(level, plan.new.remove_at))
        if plan.new.review_at != plan.old.review_at:
            plan.notes.append(Verdict("review_minutes", Ruling.PUBLISH, _why(plan, available)))
        if plan.recall_at is not None and plan.recall_at < plan.new.review_at:
            short = f"recall is certified at {plan.recall_at:g}, which the minutes do not reach"
            plan.notes.append(Verdict("recall_goal", Ruling.PUBLISH, short))
    return Queue(before, others + sum(plan.review_minutes(plan.new) for plan in plans), available)


def _standing(plan: Plan) -> ThresholdPair:
    """The thresholds proposed, with the review_at in force."""
    return ThresholdPair(plan.new.remove_at, min(plan.old.review_at, plan.new.remove_at))


def _videos(plan: Plan) -> Array:
    """The cell's videos by bin, shape (N_BINS,); those without a score are left out."""
    scored, videos = plan.histogram[plan.histogram["bin"] >= 0], np.zeros(N_BINS)
    videos[scored["bin"].to_numpy()] = scored["n_videos"].to_numpy()
    return videos


def _stretch(plan: Plan, curve: Array) -> _Stretch:
    each, end = plan.policy.minutes_per_label, first_bin(plan.new.remove_at)
    lowest = first_bin(plan.policy.limits.lowest_review_at)
    order = np.ones(N_BINS, dtype=np.int64)
    if plan.new.remove_at == 1:
        shadow = first_bin(plan.policy.initial.remove_at)
        order[shadow:] = 0
        lowest = min(lowest, shadow)
    return _Stretch(_videos(plan) * each, curve[1:] / each, order, min(lowest, end), end)


def _taken(plans: list[Plan], curves: Mapping[Cell, Array], room: float) -> list[int | None]:
    """The lowest bin of each plan that is reviewed where the queue has `room` minutes: the best bins first.

    A cell whose next bin does not fit gets no further one; the others go on. Bins without a video are passed over. A
    plan without a video to review has None, one of whose videos none is taken the bin of remove_at.
    """
    stretches = [_stretch(plan, curves[plan.cell]) for plan in plans]
    owner, bins = (
        np.concatenate([np.empty(0, dtype=np.int64), *parts])
        for parts in zip(
            *(
                (np.full(part.end - part.lowest, number), np.arange(part.end - 1, part.lowest - 1, -1))
                for number, part in enumerate(stretches)
            ),
            strict=True,
        )
    )
    minutes, found, order = (
        np.concatenate([np.empty(0), *(getattr(part, name)[part.lowest : part.end][::-1] for part in stretches)])
        for name in ("minutes", "found", "order")
    )
    filled = minutes > 0
    owner, bins, minutes, found, order = (column[filled] for column in (owner, bins, minutes, found, order))
    lowest: list[int | None] = [None] * len(plans)
    for number in np.unique(owner):
        lowest[number] = stretches[number].end
    ranked = np.lexsort((np.arange(len(bins)), -found, order))
    owner, bins, minutes = owner[ranked], bins[ranked], minutes[ranked]
    while len(bins):
        reached = np.cumsum(minutes)
        fits = int(np.searchsorted(reached, max(room, 0.0) + 1e-9, side="right"))
        for number in np.unique(owner[:fits]):
            lowest[number] = int(bins[:fits][owner[:fits] == number].min())
        if fits == len(bins):
            break
        room -= float(reached[fits - 1]) if fits else 0.0
        rest = np.arange(len(bins)) >= fits
        rest &= owner != owner[fits]
        owner, bins, minutes = owner[rest], bins[rest], minutes[rest]
    return lowest


def _remove_the_surest(plan: Plan, taken: int) -> None:
    """Of what an uncertified remove_at would remove, reviewers get the least sure: as many videos as they can take.

    remove_at never falls by it.

    Args:
        taken: the lowest bin that the minutes suffice for, the surest first.
    """
    start, counts = first_bin(plan.policy.initial.remove_at), _videos(plan)
    room = counts[max(taken, start) :].sum()
    edge = start + int(np.searchsorted(np.cumsum(counts[start:]), room, side="right"))
    level = max(edge / N_BINS, plan.old.remove_at)
    plan.new = ThresholdPair(level, min(plan.new.review_at, level))
    plan.withdrawn = plan.new.remove_at > plan.old.remove_at


def _why(plan: Plan, available: float) -> str:
    return (
        f"review_at {plan.new.review_at:g}: the market's {available:.0f} minutes a day for its review queues are "
        "filled with the scores that are expected to hold most violating videos a minute"
    )
