"""Questions that wait for a person: what the operator that asks needs of them, and what each run showed first."""

from __future__ import annotations

from datetime import date
from typing import Protocol

import pandas as pd

from include.project import Project
from include.proposals.approval import Answer, Question

TABLE = "approval_questions"


class Asks(Protocol):
    """Something that needs a person's answer.

    Attributes:
        day: the day that what it showed is recorded under, always the same for a run.
    """

    project: Project
    day: date

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


def first_shown(asks: Asks, question: Question, asked_in: str) -> str:
    """The digest of the question that this task of Airflow showed first; `question` is recorded if that is the one.

    Airflow goes on showing a task's first question however often the task runs.

    Args:
        asked_in: names run and task of Airflow.
    """
    warehouse = asks.project.warehouse
    shown = warehouse.read(TABLE, asks.day, asks.day, slice_value=asked_in)
    if len(shown):
        return str(shown["digest"].iloc[0])
    row = {"asked_in": asked_in, "digest": question.digest, "subject": question.subject, "body": question.text}
    warehouse.replace(TABLE, asks.day, pd.DataFrame([row]), slice_value=asked_in)
    return question.digest
