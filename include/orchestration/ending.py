"""How a task ends that somebody has to see to: with what is wrong, what to do and where, and nothing else.

The same words are its log's last, its note and its run's note (plugins/run_notes.py). A traceback through Airflow and
this project would say nothing to who has to see to a broken feed; of what is not foreseen, it is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from include.orchestration.links import page_link
from include.orchestration.runbook import advice

if TYPE_CHECKING:
    from airflow.sdk.exceptions import AirflowFailException

FAILURE = "failure"
"""XCom key of what a failed task says, which plugins/run_notes.py makes its note."""

LONGEST_NOTE = 1000
"""Characters that Airflow lets a note have."""


class ForAPerson(Exception):
    """Raised by a step that has found something which somebody has to see to, and which no rerun would heal.

    `address`: of the place of the page "Plumbline" that has more.
    """

    def __init__(self, wrong: str, address: str = "") -> None:
        super().__init__(wrong)
        self.address = address


def ended(context: Mapping[str, Any], wrong: str, address: str = "") -> AirflowFailException:
    """What ends the task of `context` without a retry; to be raised.

    Args:
        wrong: what is wrong, in words.
        address: of the place of the page "Plumbline" that has more.
    """
    from airflow.sdk.exceptions import AirflowFailException

    found = advice(context["dag"].doc_md or "", context["ti"].task_id)
    todo = "" if found is None else f"\nWhat to do: {found.todo}"
    rest = f"{todo}\nMore: {page_link(address)}"
    context["ti"].xcom_push(FAILURE, f"{shortened(wrong, LONGEST_NOTE - len(rest))}{rest}")
    _keep_the_traceback_out()
    error = AirflowFailException(f"{wrong}{rest}")
    error.is_foreseen = True  # type: ignore[attr-defined]
    return error


def shortened(text: str, most: int) -> str:
    """The text, cut to `most` characters at the end of a line, or of a word."""
    if len(text) <= most:
        return text
    cut = text[: most - 2]
    return f"{cut[: max(cut.rfind(mark) for mark in (chr(10), ' ')) or len(cut)]} …"


def _without_traceback(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001
    """Of what Airflow logs when a task ends as `ended` says, keeps the words."""
    error = sys.exc_info()[1]
    if event.get("exc_info") and getattr(error, "is_foreseen", False):
        del event["exc_info"]
        event["event"] = str(error)
    return event


def _keep_the_traceback_out() -> None:
    """In place: Airflow's logger of the task holds on to the list that it was made with."""
    import structlog

    processors = structlog.get_config()["processors"]
    if isinstance(processors, list) and _without_traceback not in processors:
        processors.insert(0, _without_traceback)
