"""What an error of BigQuery means for the work at hand: one table, read from above, the first line that fits counts.

Reasons are those of https://cloud.google.com/bigquery/docs/error-messages. A job that failed is never taken up again:
BigQuery keeps its id, so the same statement goes out as the next job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Ruling(StrEnum):
    """What follows an error."""

    NEXT_JOB = "next job"
    """The same statement is sent again after a pause, as another job."""

    TABLE = "table"
    """The table is made, or given the columns it lacks; then the statement is sent once more."""

    LATER = "later"
    """The task fails, and Airflow tries it again."""

    PERSON = "person"
    """The task fails for good; the message says who mends what."""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        reasons: `reason` of BigQuery's error; empty: any.
        says: what the message must contain, a regular expression; empty: anything.
        advice: what it means or what to do, for the message.
    """

    ruling: Ruling
    reasons: frozenset[str]
    says: str
    advice: str


def _line(ruling: Ruling, reasons: str, says: str, advice: str) -> Line:
    return Line(ruling, frozenset(reasons.split()), says, advice)


LINES = (
    _line(
        Ruling.NEXT_JOB,
        "invalidQuery jobRateLimitExceeded",
        r"(?i)could not serialize access|due to concurrent (update|modification)",
        "another job wrote to the table at the same time; rerun later",
    ),
    _line(
        Ruling.NEXT_JOB,
        "backendError internalError jobBackendError jobInternalError tableUnavailable",
        "",
        "BigQuery failed of itself; rerun later, running scans are taken up again",
    ),
    _line(Ruling.PERSON, "resourceExhausted", r"larger than max", "a row is larger than the Storage Read API gives"),
    _line(
        Ruling.NEXT_JOB,
        "rateLimitExceeded jobRateLimitExceeded resourceExhausted aborted unavailable deadlineExceeded",
        "",
        "too many requests at once; rerun later",
    ),
    _line(Ruling.NEXT_JOB, "notFound", r"Not found: Job", "the job is lost; rerun later"),
    _line(Ruling.LATER, "quotaExceeded", "", "a quota is used up; it refills within the day, rerun later"),
    _line(Ruling.LATER, "stopped", "", "somebody stopped the job; the rerun sends another"),
    _line(
        Ruling.TABLE,
        "notFound",
        r"Not found: Table",
        "check project, dataset and location in the connection's extra (docs/bigquery.md)",
    ),
    _line(
        Ruling.TABLE,
        "invalidQuery invalid",
        r"Unrecognized name|is not present in table|Provided Schema does not match|Cannot add fields",
        "the table's columns are not those of docs/tables.md",
    ),
    _line(
        Ruling.PERSON,
        "invalidQuery invalid outOfRange",
        r"(?i)invalid snapshot time|cannot read before|before the retention window|time travel",
        "the scores were profiled longer ago than BigQuery keeps earlier states of a table (time travel, two to seven "
        "days): clear scan_scores of the day, which reads them as they are now, and what follows",
    ),
    _line(
        Ruling.PERSON,
        "notFound",
        "",
        "check project, dataset and location in the connection's extra; the dataset must be made beforehand "
        "(docs/bigquery.md)",
    ),
    _line(Ruling.PERSON, "accessDenied", "", "permission missing; docs/bigquery.md lists the roles needed"),
    _line(Ruling.PERSON, "bytesBilledLimitExceeded", "", "above extra.max_gigabytes"),
    _line(Ruling.PERSON, "authError required", "", "the credentials cannot be used"),
    _line(Ruling.PERSON, "billingNotEnabled billingTierLimitExceeded", "", "the project has no billing account"),
    _line(Ruling.PERSON, "timeout", "", "ran into extra.job_minutes; raise it, or ask why the query takes so long"),
    _line(Ruling.PERSON, "resourcesExceeded", "", "the query needs more than BigQuery gives one query"),
)

_UNKNOWN_LATER = _line(Ruling.LATER, "", "", "rerun later, running scans are taken up again")
_UNKNOWN_PERSON = _line(Ruling.PERSON, "", "", "refused by BigQuery")
_BY_STATUS = {401: "authError", 403: "accessDenied", 404: "notFound"}
_GRPC = {
    "RESOURCE_EXHAUSTED": "resourceExhausted",
    "ABORTED": "aborted",
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "deadlineExceeded",
    "INTERNAL": "internalError",
}


class JobFailed(Exception):
    """A job that BigQuery accepted, and that failed. `errors` holds its errorResult."""

    def __init__(self, error_result: Mapping[str, Any]) -> None:
        super().__init__(str(error_result.get("message", "")))
        self.errors = [dict(error_result)]


def line_of(error: Any) -> Line:
    """The line of the table for what Google's client raised, or for a JobFailed."""
    reason, text = reason_of(error), said(error)
    for line in LINES:
        if reason in line.reasons and re.search(line.says, text):
            return line
    refused = isinstance(error, JobFailed) or 400 <= (getattr(error, "code", None) or 0) < 500
    return _UNKNOWN_PERSON if refused else _UNKNOWN_LATER


def reason_of(error: Any) -> str | None:
    """BigQuery's reason, else what stands for it: a gRPC code, or the HTTP status."""
    if reason := _first(error).get("reason"):
        return str(reason)
    grpc = getattr(getattr(error, "grpc_status_code", None), "name", "")
    return _GRPC.get(grpc) or _BY_STATUS.get(getattr(error, "code", None) or 0)


def said(error: Any) -> str:
    """The first line of what BigQuery said, without the request."""
    text = str(_first(error).get("message") or getattr(error, "message", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _first(error: Any) -> dict[str, Any]:
    """What a REST answer says of its first error; a gRPC error says nothing of the kind."""
    errors = [part for part in getattr(error, "errors", None) or [] if isinstance(part, dict)]
    return errors[0] if errors else {}
