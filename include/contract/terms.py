"""Words of a fixed vocabulary, each with what it means: the values of a column that says where something stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Term(StrEnum):
    """A word that stands in a table, and the sentence that says what it means: NAME = "word", "Meaning."."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class ProposalStatus(Term):
    """Where a proposed change stands: `status` in threshold_proposals."""

    UNCHANGED = "unchanged", "The day's evidence calls for the thresholds in force."
    REFUSED = "refused", "Nothing can be certified; the reason stands in `refusal`, and the thresholds in force stay."
    HELD = "held", "A guardrail, an override or a canary holds the thresholds in force."
    WITHIN_LIMITS = "within_limits", "It is published without asking anybody."
    AWAITING_APPROVAL = "awaiting_approval", "A person has to answer before it is published."
    APPROVED = "approved", "Somebody else than who asked for it approved it; it is published."
    REJECTED = "rejected", "A person rejected it."
    TIMED_OUT = "timed_out", "Nobody answered in time."
    STALE = "stale", "What it rested on changed before it could be published."
    WHAT_IF = "what_if", "It was only asked what would happen."


PUBLISHED = (ProposalStatus.WITHIN_LIMITS, ProposalStatus.APPROVED)
"""Publication carries these out."""

OPEN = (ProposalStatus.WITHIN_LIMITS, ProposalStatus.AWAITING_APPROVAL)
"""These may still change their cell, by themselves or once somebody approves."""

SETTLED = (
    ProposalStatus.APPROVED,
    ProposalStatus.REJECTED,
    ProposalStatus.TIMED_OUT,
    ProposalStatus.STALE,
)
"""The question about these has its answer, which nobody is asked for again."""


class Ruling(Term):
    """What a guardrail rules about a proposed change; the worst of all counts."""

    PUBLISH = "publish", "Nothing speaks against publishing it without a person."
    ASK = "ask", "A person has to approve it."
    HOLD = "hold", "The thresholds in force stay."


class VersionKind(Term):
    """Why a version of the ledger was published: `kind` in its column `request`."""

    INITIAL = "initial", "The first version: the initial thresholds of the configuration."
    DAILY = "daily", "The daily run, within the guardrails or approved."
    AD_HOC = "ad_hoc", "A person asked for it, and it was within the guardrails or approved."
    ROLL_BACK = "roll_back", "A person brought an earlier version back."
    EXPIRY = "expiry", "A change that was made to expire did; its cells have their lasting thresholds back."
    CANARY = "canary", "A canary ended, or acts on more videos."


APPROVE, REJECT = "Approve", "Reject"
"""What a person may answer to a question about changes; the last counts if nobody answers in time."""

CONFIRM, CANCEL = "Roll back", "Cancel"
"""What a person may answer to a question about a rollback; the last counts if nobody answers in time."""
