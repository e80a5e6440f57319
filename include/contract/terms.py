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


class AcceptanceStatus(Term):
    """What became of a challenger: `status` in model_comparisons."""

    COMPARED = "compared", "It was only asked how it compares."
    REFUSED = "refused", "It was not accepted; the reason says why, and what would decide it."
    AWAITING_APPROVAL = "awaiting_approval", "It passed, and a person has to answer."
    APPROVED = "approved", "A person approved it; its thresholds and the alias are being changed."
    ACCEPTED = "accepted", "Its thresholds are certified and published, and it is the champion."
    REJECTED = "rejected", "A person rejected it."
    TIMED_OUT = "timed_out", "Nobody answered in time."
    STALE = "stale", "What the answer rested on changed before it could be carried out."


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


class Uncertified(Term):
    """What becomes of the videos that a cell's initial remove_at would remove, until a certificate lets it remove."""

    REVIEW_ELSE_ALLOW = (
        "review_else_allow",
        "Shadow mode: nothing is removed. They are reviewed, and what exceeds the reviewers' minutes is allowed.",
    )
    REVIEW_ELSE_REMOVE = (
        "review_else_remove",
        "They are reviewed as far as the reviewers' minutes go; the surest of them are removed, without a certificate.",
    )
    REMOVE = "remove", "All of them are removed, without a certificate."


class VersionKind(Term):
    """Why a version of the ledger was published: `kind` in its column `request`."""

    INITIAL = "initial", "The first version: the thresholds that cells start with by the configuration."
    DAILY = "daily", "The daily run, within the guardrails or approved."
    AD_HOC = "ad_hoc", "A person asked for it, and it was within the guardrails or approved."
    ROLL_BACK = "roll_back", "A person brought an earlier version back."
    EXPIRY = "expiry", "A change that was made to expire did; its cells have their lasting thresholds back."
    CANARY = "canary", "A canary ended, or acts on more videos."
    ACCEPTANCE = "acceptance", "A person accepted a new model version, or undid that."


class EventKind(Term):
    """What somebody can be told of: `events` in policies.yaml, `event` in notifications."""

    APPROVAL_WAITS = "approval_waits", "A question waits for a person."
    APPROVAL_ANSWERED = "approval_answered", "A person answered a question."
    APPROVAL_TIMED_OUT = "approval_timed_out", "Nobody answered a question in time."
    ALARM = "alarm", "Labels or appeals say that thresholds in force break their promise."
    GATE_FAILED = "gate_failed", "A gate stops a day."
    PUBLICATION_STOPPED = "publication_stopped", "The ledger, or what serving reads, is not what was published."
    DAY_LATE = "day_late", "A day is missing or unfinished at `notifications.day_due`."
    RETRAINING_ASKED = "retraining_asked", "A model is to be retrained."
    CHALLENGER_DECIDED = "challenger_decided", "A challenger was accepted or not."
    WEEKLY_SCORECARD = "weekly_scorecard", "A week is over; what it brought, in numbers."


class DeliveryStatus(Term):
    """How far the message about an event has come: `status` in notifications."""

    WAITING = "waiting", "It is still to be sent; where it was tried, `problem` says why it is not."
    SENT = "sent", "It was handed over."
    GIVEN_UP = "given_up", "It cannot be sent, or could not for two days; `problem` says why."
    NOBODY = "nobody", "policies.yaml names nobody who is told of it."


APPROVE, REJECT = "Approve", "Reject"
"""What a person may answer to a question about changes; the last counts if nobody answers in time."""

CONFIRM, CANCEL = "Roll back", "Cancel"
"""What a person may answer to a question about a rollback; the last counts if nobody answers in time."""


class Reason(Term):
    """Why a file, a line or a row was refused: `reason` in label_rejects and input_rejects.

    The first that applies, in this order, names the refusal.
    """

    UNKNOWN_FILE_TYPE = (
        "unknown_file_type",
        "The name ends in none of .jsonl, .csv, .parquet, .json; the file is not read.",
    )
    LINK_OUT_OF_FOLDER = "link_out_of_folder", "A link that leads out of the landing folder; it is not followed."
    EMPTY_FILE = "empty_file", "The file holds no byte."
    UNREADABLE_FILE = "unreadable_file", "The file as a whole cannot be read, such as a truncated Parquet file."
    FILE_TOO_LARGE = (
        "file_too_large",
        "More than 500,000 rows, or more than 256 MiB of text once unpacked; so much belongs into several files.",
    )
    PUSH_TOO_LARGE = "push_too_large", "A pushed batch of more than 1 MiB; so much belongs into a file of its own."
    LINE_TOO_LONG = "line_too_long", "The line or row is longer than 1 MiB; only its beginning is kept."
    WRONG_ENCODING = "wrong_encoding", "The text is not UTF-8."
    UNREADABLE_LINE = "unreadable_line", "The line is not a JSON object, or not a CSV record with the header's columns."
    BAD_COLUMNS = "bad_columns", "The file lacks a required column or names one twice; all its lines are refused."
    SKIPPED_ANNOTATION = "skipped_annotation", "A Label Studio annotation whose annotator skipped the task; no answer."
    NO_ANSWER = "no_answer", "A Label Studio webhook about something else than an answer, such as a deleted annotation."
    WRONG_TYPE = "wrong_type", "A field holds a list, an object, a truth value or bytes instead of text or a number."
    MISSING_FIELD = "missing_field", "A required field is absent or blank."
    BAD_VIDEO_ID = (
        "bad_video_id",
        "video_id is not a 64-bit integer, or passed through a float that may have rounded it.",
    )
    BAD_INTEGER = "bad_integer", "A column of whole numbers holds something else."
    BAD_TRUTH_VALUE = "bad_truth_value", "A column of truth values holds something else than true, false, 1 or 0."
    UNKNOWN_POLICY = "unknown_policy", "policies.yaml has no such policy."
    RETIRED_POLICY = "retired_policy", "policies.yaml has the policy no longer, though videos were sampled for it."
    UNKNOWN_DECISION = "unknown_decision", "decision is not violating, not_violating or unsure."
    NOT_ALLOWED = "not_allowed", "The value is none of those that docs/tables.md lists for the column."
    OUT_OF_BOUNDS = "out_of_bounds", "The number is outside the column's bounds in docs/tables.md."
    BAD_TIMESTAMP = "bad_timestamp", "The time is not an ISO 8601 date with a time of day."
    LABELLED_IN_FUTURE = "labelled_in_future", "labelled_at lies after the day of arrival (UTC)."
    OTHER_GUIDELINE = "other_guideline", "The label was made under another guideline version than the policy's."
    SUPERSEDES_ITSELF = "supersedes_itself", "The event claims to correct itself."
    NOT_SENT_TO_REVIEW = (
        "not_sent_to_review",
        "It answers the platform's review queue about a video that the thresholds in force did not send there: no "
        "evidence, and no fault.",
    )
    VIDEO_NOT_SAMPLED = "video_not_sampled", "No sample of the window holds the video for this policy."
    OTHER_SAMPLE = "other_sample", "sample_id is given, but is not a draw of this video for this policy."
    NOT_AN_EXPERT = (
        "not_an_expert",
        "It answers a second look, which the configuration leaves to the experts it names for the market.",
    )
    LABELLED_BEFORE_SAMPLED = (
        "labelled_before_sampled",
        "The label is not from a day after a day whose sample holds it.",
    )
    MOSTLY_GARBAGE = (
        "mostly_garbage",
        "Nothing is wrong with the row, but too much of its file was refused for the rest to be believed.",
    )
    DUPLICATE_EVENT = "duplicate_event", "An exact repeat of an event already accepted; it counts once."
    CONFLICTING_EVENT = "conflicting_event", "The event_id of an accepted event with other content; the first stands."
    CONFLICTING_ROW = "conflicting_row", "Another row of the day has the same key and other content; neither counts."
    DUPLICATE_ROW = "duplicate_row", "An exact repeat of another row of the day; it counts once."


HARMLESS = (
    Reason.DUPLICATE_EVENT,
    Reason.DUPLICATE_ROW,
    Reason.SKIPPED_ANNOTATION,
    Reason.NO_ANSWER,
    Reason.RETIRED_POLICY,
    Reason.NOT_SENT_TO_REVIEW,
)
"""Refusals a good file may be full of: a review tool exports everything every day, and reviewers finish their queue."""
