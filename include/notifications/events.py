"""What happened that somebody may want to hear of, found in the tables as they are. Pure.

An event has a key that stays the same however often it is found, also after a rerun, so that it can be told once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from include.contract.cell import Row, cell_of, records
from include.contract.tables import CELL
from include.contract.terms import AcceptanceStatus, EventKind
from include.files import digest_of
from include.orchestration.runbook import TASK_OF_GATE, Advice
from include.wording import count, moment_in_words, plural

FRESH = timedelta(days=3)
"""What is further back is told to nobody: a backfill of old days is no news."""

SETTLING = timedelta(minutes=10)
"""How long an answer may take to be carried out before it is told without what it came to."""

MOST_LISTED = 3

Advise = Callable[[str, str], Advice | None]
"""What to do about the failure of a Dag's task."""


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        key: what tells it from all other events.
        about: the day it is about.
        what: in one line.
        effect: what follows from it, in whole sentences.
        todo: what the reader is to do; empty: nothing.
        address: of the place that has more, within the page in the Airflow UI.
    """

    kind: EventKind
    key: str
    about: date
    what: str
    effect: str
    todo: str
    address: str


def waiting_questions(questions: pd.DataFrame, now: datetime) -> Iterator[Event]:
    """Questions that wait for a person. `questions`: of approval_questions."""
    for row in records(questions):
        if row["answer"] is not None or row["answer_by"] is None or row["answer_by"] <= now:
            continue
        yield Event(
            EventKind.APPROVAL_WAITS,
            _key(EventKind.APPROVAL_WAITS, row["asked_in"], row["digest"]),
            row["ds"],
            row["subject"],
            row["effect"] or "",
            f"Answer by {moment_in_words(row['answer_by'])}, under Needs you on the page or under Required Actions in "
            "Airflow. Without an answer the thresholds in force stay.",
            "#needs",
        )


def answered_questions(questions: pd.DataFrame, now: datetime) -> Iterator[Event]:
    """Questions that were answered lately, or that nobody answered in time."""
    for row in records(questions):
        at = row["answered_at"]
        if at is None or now - at > FRESH or (row["outcome"] is None and now - at < SETTLING):
            continue
        nobody = row["answered_by"] is None
        kind = EventKind.APPROVAL_TIMED_OUT if nobody else EventKind.APPROVAL_ANSWERED
        said = "Nobody answered in time" if nobody else f"{row['answered_by']} answered {row['answer']}"
        yield Event(
            kind,
            _key(kind, row["asked_in"], row["digest"]),
            row["ds"],
            f"{said}: {row['subject']}",
            f"It came to this: {row['outcome']}" if row["outcome"] else "What it came to is not recorded yet.",
            "Ask for it again if it is still wanted." if nobody else "",
            row["address"] or "",
        )


def failed_gates(quality: pd.DataFrame, advise: Advise) -> Iterator[Event]:
    """Gates that stop a day. `quality`: of quality_results, the fresh days alone."""
    failed = quality[(quality["severity"] == "critical") & ~quality["success"].astype(bool)]
    for (day, gate), rows in failed.sort_values("position").groupby(["ds", "gate"], sort=True):
        dag_id, _, task = TASK_OF_GATE.get(str(gate), "/").partition("/")
        advice = advise(dag_id, task) if dag_id else None
        found = list(rows["observed"])
        yield Event(
            EventKind.GATE_FAILED,
            _key(EventKind.GATE_FAILED, str(day), str(gate), *found),
            day,  # type: ignore[arg-type]
            f"{day} is stopped at the gate {str(gate).replace('_', ' ')}",
            f"{_listed(found)}. Nothing that follows this gate runs; the thresholds in force stay.",
            "See the gate's page." if advice is None else advice.todo,
            f"days/{day}/gates/{gate}",
        )


def raised_alarms(watch: pd.DataFrame, first: date) -> Iterator[Event]:
    """Alarms that a day raised which the day before had not, of days from `first` on.

    `watch`: of threshold_watch, from the day before `first`.
    """
    standing: dict[date, dict[tuple[object, ...], Row]] = {}
    for row in records(watch[watch["alarm"].astype(bool)]):
        standing.setdefault(row["ds"], {})[*cell_of(row), row["version"]] = row
    for day, raised in sorted(standing.items()):
        before = standing.get(day - timedelta(days=1), {})
        new = [row for name, row in sorted(raised.items(), key=lambda item: item[0][:3]) if name not in before]
        if day < first or not new:
            continue
        cells = [" ".join(cell_of(row)) for row in new]
        named = [f"{name} {row['version']}" for name, row in zip(cells, new, strict=True)]
        verb = "breaks its" if len(cells) == 1 else "break their"
        automatic = all(row["action"] != "ask" for row in new)
        yield Event(
            EventKind.ALARM,
            _key(EventKind.ALARM, str(day), *named),
            day,
            f"{plural(len(cells), 'threshold')} {verb} promise: {_listed(cells, '; ')}",
            _listed([str(row["reason"]) for row in new]) + ".",
            "Look at the newest labels and their reviewers. "
            + ("Safer thresholds are taken by themselves." if automatic else "If they are right, approve what waits."),
            f"days/{day}/report",
        )


def stopped_publication(problem: str, today: date) -> Event:
    """The ledger, or what serving reads, is not what was published; `problem` says how."""
    return Event(
        EventKind.PUBLICATION_STOPPED,
        _key(EventKind.PUBLICATION_STOPPED, problem),
        today,
        "Nothing is published: the ledger or thresholds.json was changed by hand",
        f"{problem}. The platform goes on with the file that is there.",
        "Find out who could write it, and restore it: see When publication stops in the doc of recalibrate_thresholds.",
        "#wrong",
    )


def asked_retraining(decisions: pd.DataFrame) -> Iterator[Event]:
    """Models that are to be retrained. `decisions`: of retraining_decisions, the fresh days alone."""
    for row in records(decisions[decisions["decision"] == "retrain"]):
        name = f"{row['model_version']} of {row['policy']}"
        yield Event(
            EventKind.RETRAINING_ASKED,
            _key(EventKind.RETRAINING_ASKED, str(row["ds"]), row["policy"], row["model_version"]),
            row["ds"],
            f"{name} is to be retrained",
            "No threshold wins back what the model lost."
            if row["asked_for"] == "recall"
            else "The guideline that reviewers follow has changed.",
            f"Take the snapshot of {count(row['labels_available'])} labels from MLflow, train, and register the new "
            "version as a challenger (docs/retraining.md).",
            f"days/{row['ds']}/report",
        )


_DECIDED = (
    AcceptanceStatus.ACCEPTED,
    AcceptanceStatus.REJECTED,
    AcceptanceStatus.TIMED_OUT,
    AcceptanceStatus.STALE,
    AcceptanceStatus.REFUSED,
)


def decided_challengers(comparisons: pd.DataFrame) -> Iterator[Event]:
    """Challengers that were accepted or not. `comparisons`: of model_comparisons, the fresh days alone."""
    for row in records(comparisons[comparisons["status"].isin(_DECIDED)]):
        status = next(one for one in _DECIDED if one == row["status"])
        yield Event(
            EventKind.CHALLENGER_DECIDED,
            _key(EventKind.CHALLENGER_DECIDED, row["origin"], row["policy"], status),
            row["ds"],
            f"{row['challenger']} of {row['policy']}: {status.replace('_', ' ')}",
            f"{status.meaning} {row['reason']}.",
            "" if status == AcceptanceStatus.ACCEPTED else f"{row['champion']} stays in service.",
            f"days/{row['ds']}/report",
        )


@dataclass(frozen=True)
class Week:
    """What is known of seven days.

    Attributes:
        last: the Sunday.
        finished: days that were finished.
        failures, watch: of gate_failures and threshold_watch, of these days.
        versions: rows of the ledger that rest on these days.
        questions: of approval_questions that were answered in these days, or that nobody answered.
        labels: label events accepted.
        removing, cells: cells that remove automatically now, of so many.
    """

    last: date
    finished: int
    failures: pd.DataFrame
    versions: Sequence[Row]
    watch: pd.DataFrame
    questions: pd.DataFrame
    labels: int
    removing: int
    cells: int


def scorecard_key(last: date) -> str:
    """The key of the scorecard of the week that ended on a Sunday."""
    year, number, _ = last.isocalendar()
    return f"{EventKind.WEEKLY_SCORECARD}/{year}-W{number:02d}"


def scorecard(week: Week) -> Event:
    """What a week brought."""
    year, number, _ = week.last.isocalendar()
    stopped = len(week.failures[["ds", "gate"]].drop_duplicates())
    alarms = len(week.watch.loc[week.watch["alarm"].astype(bool), list(CELL)].drop_duplicates())
    answered = int(week.questions["answered_by"].notna().sum())
    kinds = Counter(str(json.loads(row["request"])["kind"]).replace("_", " ") for row in week.versions)
    listed = f" ({', '.join(f'{times} {kind}' for kind, times in sorted(kinds.items()))})" if kinds else ""
    changed = sum(len(json.loads(row["changes"])) for row in week.versions)
    lines = [
        f"Days finished: {week.finished} of 7; stopped at a gate first: {stopped}.",
        f"Published: {plural(len(week.versions), 'version')}{listed} with {plural(changed, 'change')}; "
        f"{week.removing} of {plural(week.cells, 'cell')} remove automatically.",
        f"Cells with an alarm: {alarms}.",
        f"Questions answered: {answered}, not in time: {len(week.questions) - answered}.",
        f"Labels accepted: {count(week.labels)}.",
    ]
    return Event(
        EventKind.WEEKLY_SCORECARD,
        scorecard_key(week.last),
        week.last,
        f"Week {number} of {year}: {plural(week.finished, 'day')} finished, {plural(len(week.versions), 'version')}",
        "\n".join(lines),
        "",
        "",
    )


def _key(kind: EventKind, *parts: str) -> str:
    return f"{kind}/{digest_of([kind, *parts])}"


def _listed(items: Sequence[str], between: str = ". ") -> str:
    """The first few, and how many more there are."""
    more = f"{between}And {len(items) - MOST_LISTED} more" if len(items) > MOST_LISTED else ""
    return between.join(items[:MOST_LISTED]) + more
