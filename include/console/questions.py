"""The second section: the questions that wait for a person, what saying yes would do, and who may say it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from include.config.model import Config
from include.console.cells import sentence
from include.console.kept import Kept
from include.console.people import ACCEPT_DAG, RETRAINING_DAG, RISKIER_TASK, ROLL_BACK_DAG, Person
from include.console.runs import Question
from include.contract.cell import Cell, Row, cell_of, records
from include.contract.change import DAILY
from include.contract.people import may_be_one
from include.contract.terms import APPROVE, ProposalStatus, Ruling
from include.project import Project
from include.proposals.approval import Answer, effect_in_words, may_answer
from include.proposals.questions import TABLE, asked_by_task
from include.report.places import address_of, page_of
from include.thresholds.request import UNDO
from include.thresholds.roll_back import effects, removes_more, rolled_back
from include.wording import percent, plural, score, signed

_EFFECTS: Kept[dict[Cell, str]] = Kept(16)


@dataclass(frozen=True)
class Line:
    """One cell of a question: what would change, what that does in a day, why a person is asked."""

    cell: Cell
    levels: str
    does: str
    why: str
    removes_more: bool


@dataclass(frozen=True)
class Asked:
    """A question as the page shows it.

    Attributes:
        effect: in one sentence.
        offered: the answers that this person may give, the one that acts first; empty: none.
        not_offered: why an answer is not offered.
        address: of the page with the evidence, within this one; None: there is none.
    """

    question: Question
    effect: str
    lines: Sequence[Line]
    reason: str
    offered: tuple[str, ...]
    not_offered: str
    address: str | None


def asked(project: Project, questions: Sequence[Question], chain: Sequence[Row], person: Person) -> list[Asked]:
    """The questions, with what they would do."""
    return [_asked(project, question, chain, person) for question in questions]


def origin_of(question: Question) -> str:
    """The origin of the proposals that a question is about."""
    return DAILY if question.day is not None else f"{question.dag_id}/{question.run_id}"


def _asked(project: Project, question: Question, chain: Sequence[Row], person: Person) -> Asked:
    address = None
    if question.dag_id == ROLL_BACK_DAG:
        lines, effect = _roll_back(project, question, chain)
    elif question.dag_id == RETRAINING_DAG or _undoes(question):  # no proposals wait for it
        lines, (effect, address) = [], _recorded(project, question)
    else:
        found = project.warehouse.read(
            "threshold_proposals", question.day, question.day, slice_value=origin_of(question)
        )
        waiting = records(found[found["status"] == ProposalStatus.AWAITING_APPROVAL])
        lines, effect = [_line(row) for row in waiting], effect_in_words(waiting)
        day = max(found["ds"], default=None)
        if day is not None and page_of(project.settings, origin_of(question), day).is_file():
            address = address_of(origin_of(question), day)
    offered, not_offered = offer(question, person, project.config)
    return Asked(
        question,
        effect,
        lines,
        str(question.form.get("reason") or ""),
        offered,
        not_offered,
        address,
    )


def offer(question: Question, person: Person, config: Config) -> tuple[tuple[str, ...], str]:
    """The answers that `person` is offered, and why they are not offered more."""
    if question.dag_id not in person.answers:
        return (), "You may look at this, not answer it: answering takes the right to edit the run."
    if not may_answer(Answer(question.options[0], person.name, person.id), config):
        return (), f"Only {', '.join(config.approval.assigned_users)} may answer (approval.assigned_users)."
    if not person.name.strip():
        return (), "Airflow does not say who you are, so your answer would not count."
    own = question.asker is not None and may_be_one(question.asker, person.name)
    if own and not _undoes(question) and (APPROVE in question.options or question.task_id == RISKIER_TASK):
        return (), "You asked for this, so somebody else has to answer."
    return question.options, ""


def _recorded(project: Project, question: Question) -> tuple[str, str | None]:
    """What yes would do and where the evidence is, as the run that asks has recorded it beside the question."""
    asked_in = asked_by_task(question.dag_id, question.run_id, question.task_id)
    found = records(project.warehouse.read(TABLE, question.day, question.day, slice_value=asked_in))
    return (found[-1]["effect"] or "", found[-1]["address"]) if found else ("", None)


def _undoes(question: Question) -> bool:
    """Whether an acceptance is to be taken back."""
    return question.dag_id == ACCEPT_DAG and question.form.get("mode") == UNDO


def _line(row: Row) -> Line:
    effect, more = json.loads(row["forecast"]), int(row["removes_after"]) - int(row["removes_before"])
    does = (
        f"{signed(more)} removals, {_change(effect['wrongful_removals_change'])} of them wrong; "
        f"{_change(effect['violative_views_prevented_change'])} violative views prevented"
    )
    if row["canary_share"] is not None:
        does += f"; at first on {percent(row['canary_share'])} of its videos"
    asks = [verdict["reason"] for verdict in json.loads(row["verdicts"]) if verdict["outcome"] == Ruling.ASK]
    certified = "" if row["bound"] is None else f"Certified right at least {percent(row['bound'], down=True)}."
    why = sentence("; ".join(asks))
    levels = f"{score(row['current_remove_at'])} → {score(row['proposed_remove_at'])}"
    return Line(cell_of(row), levels, does, f"{why} {certified}".strip(), more > 0)


def _roll_back(project: Project, question: Question, chain: Sequence[Row]) -> tuple[list[Line], str]:
    version = question.form.get("version")
    if not isinstance(version, int) or not 1 <= version <= len(chain):
        return [], "The version that was asked for is not in the ledger."
    found, gone = rolled_back(chain, version, project.config)
    changes = [change for change in found if removes_more(change) == (question.task_id == RISKIER_TASK)]
    key = (str(project.settings.output), tuple(project.warehouse.days("score_histogram")[-1:]), tuple(changes))
    does = _EFFECTS.get(key, lambda: effects(project, changes))
    lines = [
        Line(
            change.cell,
            f"{score(change.old.remove_at)} → {score(change.new.remove_at)}",
            does.get(change.cell, ""),
            "It would remove more than now." if removes_more(change) else "",
            removes_more(change),
        )
        for change in changes
    ]
    cells = plural(len(lines), "cell")
    effect = f"Version {version} would come back in {cells}"
    effect += ", which would remove more than now." if question.task_id == RISKIER_TASK else "; none would remove more."
    if gone:
        effect += f" {plural(len(gone), 'cell is', 'cells are')} no longer configured and would stay."
    return lines, effect


def _change(found: dict[str, float | None]) -> str:
    """E.g. "about +12 (+4 to +30)"; only the range where there is no estimate."""
    low, high = signed(found["low"] or 0.0), signed(found["high"] or 0.0)
    if found["low"] == found["high"]:
        return low
    if found["estimate"] is None:
        return f"{low} to {high}"
    return f"about {signed(found['estimate'])} ({low} to {high})"
