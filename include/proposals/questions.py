"""Questions that wait for a person: what the operator that asks needs of them, and what is recorded of each."""

from __future__ import annotations

from datetime import date, datetime
from typing import Protocol

import pandas as pd

from include.contract.cell import Row, records
from include.project import Project
from include.proposals.approval import Answer, Question

TABLE = "approval_questions"


class Asks(Protocol):
    """Something that needs a person's answer."""

    @property
    def project(self) -> Project:
        """What it works on."""

    @property
    def day(self) -> date:
        """The day that what it showed is recorded under, always the same for a run."""

    @property
    def address(self) -> str:
        """Of the evidence, within the page in the Airflow UI."""

    def unfinished(self) -> str | None:
        """Finishes a settlement that was cut short, and says what it came to; None: there is none."""

    def question(self) -> Question | None:
        """What a person is asked; None: nothing waits for one."""

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does."""

    def settle(self, answer: Answer) -> str:
        """Carries the answer out; what it came to, in words. Called once for each question."""


def asked_by_task(dag_id: str, run_id: str, task_id: str) -> str:
    """What a question is recorded under: names run and task of Airflow."""
    return f"{dag_id}/{run_id}/{task_id}"


def first_shown(asks: Asks, question: Question, asked_in: str, answer_by: datetime) -> str:
    """The digest of the question that this task of Airflow showed first; `question` is recorded if that is the one.

    Airflow goes on showing a task's first question however often the task runs.

    Args:
        asked_in: names run and task of Airflow.
        answer_by: when what counts without an answer takes its place.
    """
    shown = _recorded(asks, asked_in)
    if shown is not None:
        return str(shown["digest"])
    row: Row = {"asked_in": asked_in, "digest": question.digest, "subject": question.subject, "body": question.text}
    row |= {"effect": question.effect, "address": asks.address, "answer_by": answer_by}
    _record(asks, row | dict.fromkeys(("answer", "answered_by", "answered_at", "outcome")))
    return question.digest


def note_answer(asks: Asks, asked_in: str, answer: Answer, at: datetime, outcome: str | None = None) -> None:
    """Records who answered what beside the question, and what it came to, once that is known."""
    shown = _recorded(asks, asked_in)
    if shown is None:
        raise LookupError(f"{asked_in} has asked nothing")
    given = {"answer": answer.option, "answered_by": answer.name, "answered_at": at, "outcome": outcome}
    _record(asks, shown | given)


def _recorded(asks: Asks, asked_in: str) -> Row | None:
    found = records(asks.project.warehouse.read(TABLE, asks.day, asks.day, slice_value=asked_in).drop(columns="ds"))
    return found[0] if found else None


def _record(asks: Asks, row: Row) -> None:
    asks.project.warehouse.replace(TABLE, asks.day, pd.DataFrame([row]), slice_value=row["asked_in"])
