"""May a change of one cell's thresholds be published by itself, must a person be asked, or is it held?

Each guardrail gives one named verdict with its reason and numbers; the worst verdict counts. Guardrails know nothing of
how a change came about, so the daily run, a manager's request and a rollback are all judged alike, and again after an
approval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from include.config.model import Guardrails, ThresholdLimits
from include.thresholds.forecast import Estimate, Pair

Outcome = Literal["publish", "ask", "hold"]
_ORDER: tuple[Outcome, ...] = ("publish", "ask", "hold")
_STATUS = {"publish": "within_limits", "ask": "awaiting_approval", "hold": "held"}
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Verdict:
    """What one guardrail says."""

    name: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Queue:
    """Reviewer minutes a day in the cell's market: all review queues before and after, and what is staffed for them."""

    before: float
    after: float
    available: float


@dataclass(frozen=True)
class Change:
    """A change of one cell, with what the guardrails need to know.

    Attributes:
        old, new: thresholds in force and proposed.
        certified: the lowest remove_at for which the target precision is certified.
        labels: labels at or above new.remove_at in the certificate's population.
        precision_now: precision at old.remove_at in that population.
        target: the precision asked for.
        removes_before, removes_after, reviews_before, reviews_after: videos a day in this cell.
        queue: of the market, with the other cells' changes of the day carried out.
    """

    old: Pair
    new: Pair
    certified: float
    labels: int
    precision_now: Estimate
    target: float
    removes_before: int
    removes_after: int
    reviews_before: int
    reviews_after: int
    queue: Queue

    def misses_target_now(self, min_labels: int) -> bool:
        """Whether the thresholds in force are estimated, from enough labels, to remove less precisely than asked."""
        now = self.precision_now
        return now.value is not None and now.n >= min_labels and now.value < self.target


def judge(change: Change, limits: ThresholdLimits, config: Guardrails) -> list[Verdict]:
    """Every guardrail's verdict on `change`, in a fixed order."""
    return [
        _ordering(change),
        _limits(change, limits),
        _certified(change),
        _min_evidence(change, config),
        _loosen_step(change, config),
        _volume_change(change, config),
        _review_queue(change),
    ]


def overall(verdicts: Iterable[Verdict]) -> Outcome:
    """The worst outcome; publish if there is no verdict."""
    return max((verdict.outcome for verdict in verdicts), key=_ORDER.index, default="publish")


def status_of(change: Change, verdicts: Iterable[Verdict]) -> str:
    """The proposal's status: unchanged, within_limits, awaiting_approval or held."""
    return "unchanged" if change.new == change.old else _STATUS[overall(verdicts)]


def _ordering(change: Change) -> Verdict:
    remove_at, review_at = change.new
    if review_at > remove_at:
        return Verdict("ordering", "hold", f"review_at {review_at:g} is above remove_at {remove_at:g}")
    return Verdict("ordering", "publish", f"review_at {review_at:g} <= remove_at {remove_at:g}")


def _limits(change: Change, limits: ThresholdLimits) -> Verdict:
    problems = [
        f"{name} {value:g} is below its limit {lowest:g}"
        for name, value, lowest in (
            ("remove_at", change.new.remove_at, limits.lowest_remove_at),
            ("review_at", change.new.review_at, limits.lowest_review_at),
        )
        if value < lowest
    ]
    if problems:
        return Verdict("limits", "hold", "; ".join(problems))
    return Verdict("limits", "publish", "both thresholds are within their limits")


def _certified(change: Change) -> Verdict:
    new, certified = change.new.remove_at, change.certified
    if new < certified - _TOLERANCE:
        return Verdict("certified", "hold", f"remove_at {new:g} is below {certified:g}, the lowest certified")
    return Verdict("certified", "publish", f"remove_at {new:g} is not below {certified:g}, the lowest certified")


def _min_evidence(change: Change, config: Guardrails) -> Verdict:
    reason = f"{change.labels} labels at or above {change.new.remove_at:g}; {config.min_labels} are asked for"
    enough = change.new.remove_at == change.old.remove_at or change.labels >= config.min_labels
    return Verdict("min_evidence", "publish" if enough else "hold", reason)


def _loosen_step(change: Change, config: Guardrails) -> Verdict:
    """Loosen slowly: remove_at may fall by a share of the way to what is certified, or by one histogram bin."""
    fall, way = change.old.remove_at - change.new.remove_at, change.old.remove_at - change.certified
    if fall <= 0:
        return Verdict("loosen_step", "publish", "remove_at does not fall")
    most = max(config.loosen_step * way, 0.001)
    reason = f"remove_at falls by {fall:.3f}; at most {most:.3f} of the {way:.3f} to what is certified needs nobody"
    return Verdict("loosen_step", "publish" if fall <= most + _TOLERANCE else "ask", reason)


def _volume_change(change: Change, config: Guardrails) -> Verdict:
    before, after = change.removes_before, change.removes_after
    ratio = abs(after - before) / before if before else float("inf")
    moved = f"removals a day go from {before} to {after}" + (f" ({(after - before) / before:+.1%})" if before else "")
    if abs(after - before) <= config.small_change_videos:
        return Verdict("volume_change", "publish", f"{moved}; up to {config.small_change_videos} videos need nobody")
    if ratio <= config.max_volume_change:
        return Verdict("volume_change", "publish", f"{moved}; up to {config.max_volume_change:.0%} needs nobody")
    if change.new.remove_at > change.old.remove_at and change.misses_target_now(config.min_labels):
        return Verdict(
            "volume_change",
            "publish",
            f"{moved}; tightened at once, as {change.precision_now.n} labels put precision in force at "
            f"{change.precision_now.value:.3f}, below the target of {change.target:g}",
        )
    return Verdict("volume_change", "ask", f"{moved}; above {config.max_volume_change:.0%} a person is asked")


def _review_queue(change: Change) -> Verdict:
    """Asks only of a change that adds to a queue which then does not fit; relief is always welcome."""
    queue = change.queue
    reason = (
        f"the market's review queue takes {queue.after:.0f} of {queue.available:.0f} staffed minutes a day "
        f"({queue.before:.0f} before)"
    )
    adds = change.reviews_after > change.reviews_before
    return Verdict("review_queue", "ask" if adds and queue.after > queue.available + _TOLERANCE else "publish", reason)
