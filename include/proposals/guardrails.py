"""May a change of one cell's thresholds be published by itself, must a person be asked, or is it held?

Each guardrail gives one named verdict with its reason and numbers; the worst verdict counts. Guardrails know nothing of
how a change came about, so the daily run, a manager's request and a rollback are all judged alike, and again after an
approval. They tighten fast and loosen slowly: a threshold whose labels say that it misses its target is raised at once
and however far, a threshold falls no lower than several days in a row certify, and not for a change too small to
matter. What no certificate allows is not removed, and reviewing needs none.

**Emergencies** always ask a person, and what would hold another change (a freeze, a flood, want of evidence) then asks
as well, because the person is there to overrule it. Order and limits hold even then.

**Alarms** of the watch on published changes tighten: what would hold another change (a freeze, want of evidence) then
asks a person. Where a rollback may act by itself, what would ask about another change does not stop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from include.config.model import Guardrails, ThresholdLimits
from include.contract.grid import ThresholdPair
from include.contract.terms import ProposalStatus, Ruling
from include.forecasts.forecast import ShareEstimate

_ORDER = tuple(Ruling)
_STATUS = {
    Ruling.PUBLISH: ProposalStatus.WITHIN_LIMITS,
    Ruling.ASK: ProposalStatus.AWAITING_APPROVAL,
    Ruling.HOLD: ProposalStatus.HELD,
}
_ALWAYS_HOLD = ("ordering", "limits")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Verdict:
    """What one guardrail says."""

    name: str
    outcome: Ruling
    reason: str


@dataclass(frozen=True)
class Alarm:
    """What the watch says of a cell: why, the safer thresholds to go back to, and whether without asking."""

    reason: str
    safe: ThresholdPair
    by_itself: bool


@dataclass(frozen=True)
class Queue:
    """Reviewer minutes a day in the cell's market: all review queues before and after, and what is staffed for them."""

    before: float
    after: float
    available: float


@dataclass(frozen=True)
class CellChange:
    """A change of one cell, with what the guardrails need to know.

    Attributes:
        cell: policy, market, model_version.
        day: the day the change rests on; it acts from the next day on.
        old, new: thresholds in force and proposed.
        certified: the lowest remove_at for which the target precision is certified; None: none is.
        steady: the lowest remove_at that each of the days asked for certifies; None: on one of them nothing was.
        labels: labels at or above new.remove_at in the certificate's population.
        precision_now: precision at old.remove_at in that population; where nothing is certified, in the cell.
        target: the precision asked for.
        removes_before, removes_after, reviews_before, reviews_after: videos a day in this cell.
        removes_usual: videos a day at or above old.remove_at, mean of the week before; None: no such day.
        queue: of the market, with the other cells' changes of the day carried out.
        emergency: whether a person asked for the change as an emergency.
        alarm: what the watch says of old.remove_at; of a change that raises it alone.
    """

    cell: tuple[str, str, str]
    day: date
    old: ThresholdPair
    new: ThresholdPair
    certified: float | None
    steady: float | None
    labels: int
    precision_now: ShareEstimate
    target: float
    removes_before: int
    removes_after: int
    reviews_before: int
    reviews_after: int
    removes_usual: float | None
    queue: Queue
    emergency: bool = False
    alarm: Alarm | None = None

    @property
    def acts_from(self) -> date:
        return self.day + timedelta(days=1)

    def misses_target_now(self, min_labels: int) -> bool:
        """Whether the thresholds in force are estimated, from enough labels, to remove less precisely than asked."""
        now = self.precision_now
        return now.value is not None and now.n >= min_labels and now.value < self.target

    def tightens_at_once(self, config: Guardrails) -> bool:
        """Whether remove_at rises because it misses its target now, or the watch says so."""
        cause = self.alarm is not None or self.misses_target_now(config.min_labels)
        return cause and self.new.remove_at > self.old.remove_at

    @property
    def goes_back(self) -> bool:
        """Whether it rests on the alarm alone: no evidence of the day's own tightens as far."""
        return self.alarm is not None and self.certified is None and self.new.remove_at == self.alarm.safe.remove_at

    @property
    def withdraws(self) -> bool:
        """Whether it takes back a remove_at as nothing is certified, and for no other reason."""
        return self.certified is None and self.alarm is None and self.new.remove_at > self.old.remove_at


def verdicts_on(change: CellChange, limits: ThresholdLimits, config: Guardrails) -> list[Verdict]:
    """Every guardrail's verdict on `change`, in a fixed order."""
    verdicts = [
        _ordering(change),
        _limits(change, limits),
        _ground(change),
        _min_evidence(change, config),
        _worth_a_version(change, config),
        _steady(change, config),
        _volume_change(change, config),
        _review_queue(change),
        _flood(change, config),
        _freeze(change, config),
    ]
    if change.alarm is not None and not change.goes_back:
        note = f"{change.alarm.reason}; the day's own evidence tightens at least as far"
        verdicts.append(Verdict("watch", Ruling.PUBLISH, note))
    if change.emergency:
        return _for_a_person(verdicts)
    return verdicts if change.alarm is None else _under_alarm(verdicts, change.alarm)


def _for_a_person(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts on an emergency: a person decides what the rules would hold."""
    softened = [
        replace(verdict, outcome=Ruling.ASK, reason=f"{verdict.reason}; an emergency, so a person decides")
        if verdict.outcome == Ruling.HOLD and verdict.name not in _ALWAYS_HOLD
        else verdict
        for verdict in verdicts
    ]
    return [*softened, Verdict("emergency", Ruling.ASK, "an emergency always asks a person")]


def _under_alarm(verdicts: Iterable[Verdict], alarm: Alarm) -> list[Verdict]:
    """The verdicts on a change that answers an alarm."""
    found = []
    for verdict in verdicts:
        if verdict.outcome == Ruling.HOLD and verdict.name not in _ALWAYS_HOLD:
            found.append(
                replace(verdict, outcome=Ruling.ASK, reason=f"{verdict.reason}; an alarm, so a person decides")
            )
        elif verdict.outcome == Ruling.ASK and alarm.by_itself:
            found.append(
                replace(verdict, outcome=Ruling.PUBLISH, reason=f"{verdict.reason}; an alarm waits for nobody")
            )
        else:
            found.append(verdict)
    return found


def overall(verdicts: Iterable[Verdict]) -> Ruling:
    """The worst outcome; publish if there is no verdict."""
    return max((verdict.outcome for verdict in verdicts), key=_ORDER.index, default=Ruling.PUBLISH)


def proposal_status(change: CellChange, verdicts: Sequence[Verdict]) -> ProposalStatus:
    """The proposal's status: unchanged (also: not worth a version), within_limits, awaiting_approval or held."""
    trifle = any(verdict.name == "min_volume_change" and verdict.outcome == Ruling.HOLD for verdict in verdicts)
    return ProposalStatus.UNCHANGED if change.new == change.old or trifle else _STATUS[overall(verdicts)]


def breaker(changes: Sequence[tuple[CellChange, Ruling]], config: Guardrails) -> Verdict | None:
    """What speaks against all of a day's changes that would publish by themselves; None: nothing does.

    Each of them may be within its own limits. That many of them come together is what a broken feed or a bad batch of
    labels looks like. Only what moves remove_at by a certificate is among them: what answers an alarm or takes back
    what nothing allows makes removals safer, and what is reviewed is bounded by the reviewers' minutes.

    Args:
        changes: of every cell of the day, with what its own guardrails say.
    """
    alone = [
        change
        for change, outcome in changes
        if outcome == Ruling.PUBLISH
        and change.new.remove_at != change.old.remove_at
        and change.certified is not None
        and change.alarm is None
    ]
    before = sum(change.removes_before for change, _ in changes)
    moved = sum(change.removes_after - change.removes_before for change in alone)
    problems = []
    if len(alone) > 1 and len(alone) > config.max_cells_changed * len(changes) + _TOLERANCE:
        problems.append(
            f"{len(alone)} of {len(changes)} cells would change in one day, more than {config.max_cells_changed:.0%}"
        )
    large = abs(moved) > max(config.max_total_change * before, config.small_change_videos) + _TOLERANCE
    if len(alone) > 1 and large:
        total = f"removals of all cells would go from {before} to {before + moved} a day"
        problems.append(f"{total}, more than {config.max_total_change:.0%} away")
    return Verdict("breaker", Ruling.ASK, "; ".join(problems)) if problems else None


def _ordering(change: CellChange) -> Verdict:
    remove_at, review_at = change.new
    if review_at > remove_at:
        return Verdict("ordering", Ruling.HOLD, f"review_at {review_at:g} is above remove_at {remove_at:g}")
    return Verdict("ordering", Ruling.PUBLISH, f"review_at {review_at:g} <= remove_at {remove_at:g}")


def _limits(change: CellChange, limits: ThresholdLimits) -> Verdict:
    problems = [
        f"{name} {value:g} is below its limit {lowest:g}"
        for name, value, lowest in (
            ("remove_at", change.new.remove_at, limits.lowest_remove_at),
            ("review_at", change.new.review_at, limits.lowest_review_at),
        )
        if value < lowest
    ]
    if problems:
        return Verdict("limits", Ruling.HOLD, "; ".join(problems))
    return Verdict("limits", Ruling.PUBLISH, "both thresholds are within their limits")


def _ground(change: CellChange) -> Verdict:
    """What the new remove_at rests on."""
    if change.goes_back and change.alarm is not None:
        reason = f"{change.alarm.reason}; {change.new.remove_at:g} was in force before, or is what cells start with"
        return Verdict("watch", Ruling.PUBLISH if change.alarm.by_itself else Ruling.ASK, reason)
    return _uncertified(change) if change.certified is None else _certified(change)


def _certified(change: CellChange) -> Verdict:
    new, certified = change.new.remove_at, change.certified
    if certified is not None and new < certified - _TOLERANCE:
        return Verdict("certified", Ruling.HOLD, f"remove_at {new:g} is below {certified:g}, the lowest certified")
    return Verdict("certified", Ruling.PUBLISH, f"remove_at {new:g} is not below {certified:g}, the lowest certified")


def _uncertified(change: CellChange) -> Verdict:
    """Nothing is certified, so nothing more may be removed than is now."""
    old, new = change.old.remove_at, change.new.remove_at
    if new < old:
        return Verdict("certified", Ruling.HOLD, f"nothing is certified, so remove_at does not fall from {old:g}")
    if new > old:
        reason = (
            f"remove_at rises from {old:g} to {new:g}: nothing is certified, and no certificate ever allowed {old:g}"
        )
        return Verdict("certified", Ruling.PUBLISH, reason)
    return Verdict("certified", Ruling.PUBLISH, "remove_at stays, and reviewing needs no certificate")


def _min_evidence(change: CellChange, config: Guardrails) -> Verdict:
    reason = f"{change.labels} labels at or above {change.new.remove_at:g}; {config.min_labels} are asked for"
    if change.certified is None:
        return Verdict("min_evidence", Ruling.PUBLISH, f"{reason} of what is certified, and nothing is")
    enough = change.new.remove_at == change.old.remove_at or change.labels >= config.min_labels
    return Verdict("min_evidence", Ruling.PUBLISH if enough else Ruling.HOLD, reason)


def _worth_a_version(change: CellChange, config: Guardrails) -> Verdict:
    """A dead band, so that chance in the labels does not move thresholds to and fro every day."""
    removes, reviews = change.removes_after - change.removes_before, change.reviews_after - change.reviews_before
    least = config.min_volume_change
    reason = (
        f"{removes:+d} of {change.removes_before} removals and {reviews:+d} of {change.reviews_before} reviews a day"
    )
    trifle = (
        abs(removes) < least * max(change.removes_before, 1) - _TOLERANCE
        and abs(reviews) < least * max(change.reviews_before, 1) - _TOLERANCE
    )
    if not trifle:
        return Verdict("min_volume_change", Ruling.PUBLISH, f"{reason}; {least:.1%} of either is worth a change")
    if change.tightens_at_once(config):
        return Verdict("min_volume_change", Ruling.PUBLISH, f"{reason}; small, but the target is missed now")
    if change.withdraws:
        return Verdict("min_volume_change", Ruling.PUBLISH, f"{reason}; small, but no certificate allows it")
    return Verdict("min_volume_change", Ruling.HOLD, f"{reason}; below {least:.1%} of both, thresholds stay")


def _steady(change: CellChange, config: Guardrails) -> Verdict:
    """The moment to loosen is chosen among many days, which favours lucky ones: several in a row must bear it out."""
    if change.new.remove_at >= change.old.remove_at:
        return Verdict("steady", Ruling.PUBLISH, "remove_at does not fall")
    days = config.loosen_days
    if change.steady is None:
        return Verdict("steady", Ruling.ASK, f"remove_at falls, and not every one of the last {days} days certified it")
    reason = f"every one of the last {days} days certified {change.steady:g}"
    low = change.new.remove_at < change.steady - _TOLERANCE
    return Verdict(
        "steady", Ruling.ASK if low else Ruling.PUBLISH, f"{reason}; remove_at falls to {change.new.remove_at:g}"
    )


def _volume_change(change: CellChange, config: Guardrails) -> Verdict:
    before, after = change.removes_before, change.removes_after
    ratio = abs(after - before) / before if before else float("inf")
    moved = f"removals a day go from {before} to {after}" + (f" ({(after - before) / before:+.1%})" if before else "")
    if abs(after - before) <= config.small_change_videos:
        return Verdict(
            "volume_change", Ruling.PUBLISH, f"{moved}; up to {config.small_change_videos} videos need nobody"
        )
    if ratio <= config.max_volume_change:
        return Verdict("volume_change", Ruling.PUBLISH, f"{moved}; up to {config.max_volume_change:.0%} needs nobody")
    if change.withdraws:
        return Verdict("volume_change", Ruling.PUBLISH, f"{moved}; what no certificate allows is not removed")
    if change.tightens_at_once(config):
        return Verdict(
            "volume_change",
            Ruling.PUBLISH,
            f"{moved}; tightened at once, as {change.precision_now.n} labels put precision in force at "
            f"{change.precision_now.value:.3f}, below the target of {change.target:g}",
        )
    return Verdict("volume_change", Ruling.ASK, f"{moved}; above {config.max_volume_change:.0%} a person is asked")


def _review_queue(change: CellChange) -> Verdict:
    """Asks only of a change that adds to a queue which then does not fit; relief is always welcome."""
    queue = change.queue
    reason = (
        f"the market's review queue takes {queue.after:.0f} of {queue.available:.0f} staffed minutes a day "
        f"({queue.before:.0f} before)"
    )
    adds = change.reviews_after > change.reviews_before
    return Verdict(
        "review_queue", Ruling.ASK if adds and queue.after > queue.available + _TOLERANCE else Ruling.PUBLISH, reason
    )


def _flood(change: CellChange, config: Guardrails) -> Verdict:
    """A day unlike those before says little of the days to come; what tightens at once is put to a person."""
    today, usual = change.removes_before, change.removes_usual
    if usual is None:
        return Verdict("flood", Ruling.PUBLISH, "no day of the week before to compare removals with")
    reason = f"{today} videos reach the remove_at in force, {usual:.0f} a day in the week before"
    unusual = max(today, usual) > config.flood_factor * min(today, usual) + _TOLERANCE
    if not unusual or abs(today - usual) <= config.small_change_videos:
        return Verdict("flood", Ruling.PUBLISH, reason)
    outcome = Ruling.ASK if change.tightens_at_once(config) else Ruling.HOLD
    return Verdict("flood", outcome, f"{reason}: a factor of more than {config.flood_factor:g}")


def _freeze(change: CellChange, config: Guardrails) -> Verdict:
    policy, market, _ = change.cell
    for freeze in config.freezes:
        if freeze.covers(change.acts_from, policy, market):
            return Verdict(
                "freeze", Ruling.HOLD, f"{freeze.reason.strip()}: from {freeze.first_day} to {freeze.last_day}"
            )
    return Verdict("freeze", Ruling.PUBLISH, f"no freeze on {change.acts_from}")
