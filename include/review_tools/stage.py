"""The steps of `sync_reviews`: what is asked goes to Label Studio, and what is answered comes back as a drop of labels.

Both look at how things stand, and do what is left to do. A row of the queue is a task once, by its sample_id. An
annotation lands once, in the folder of the day (UTC) on which it is fetched, before that day is ingested: nothing is
added to a day that is over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from include.config.load import ConfigError
from include.config.settings import LABEL_STUDIO_CONNECTION_ID, extra_from, label_studio_from
from include.files import write_whole
from include.labels.stage import drop_folder
from include.orchestration.ending import ForAPerson
from include.project import Project
from include.review_tools.answers import lines_of, merged
from include.review_tools.label_studio import LabelStudio, Refused, Unavailable
from include.wording import plural

log = logging.getLogger(__name__)


def send_queue(project: Project, now: datetime) -> str:
    """Sends what was asked on the days whose labels are not final yet, and is not in its project; how much.

    Raises:
        ForAPerson: a project refused it; those of other markets were served.
        Unavailable: Label Studio does not answer, or has not taken up all that it was sent.
    """
    sent = 0
    days = max(policy.maturity_days for policy in project.config.policies.values())

    def send(studio: LabelStudio, market: str, whose: str, number: int) -> None:
        nonlocal sent
        for back in range(days, 0, -1):
            day = now.date() - timedelta(days=back)
            queue = project.settings.queue_of(day, whose, market, "json")
            if queue.exists():
                sent += _send_missing(studio, number, day, json.loads(queue.read_text(encoding="utf-8")))

    _for_each_project(project, send)
    return f"{plural(sent, 'task')} sent"


def _send_missing(studio: LabelStudio, number: int, day: date, asked: list[dict[str, Any]]) -> int:
    """Sends the tasks of `asked` that the project does not hold; how many."""
    if not asked:
        return 0
    known = _sample_ids(studio, number, day)
    wanted = {task["data"]["sample_id"] for task in asked}
    if surplus := known - wanted:
        log.warning("Project %d: %d tasks of %s are in no queue any more", number, len(surplus), day)
    missing = [task for task in asked if task["data"]["sample_id"] not in known]
    if missing:
        studio.send(number, missing)
        if left := wanted - _sample_ids(studio, number, day):
            raise Unavailable(f"Label Studio has not taken up {len(left)} of {len(missing)} tasks for project {number}")
        log.info("Project %d: sent %d tasks of %s", number, len(missing), day)
    return len(missing)


def _sample_ids(studio: LabelStudio, number: int, day: date) -> set[str]:
    return {str(task["data"].get("sample_id")) for task in studio.asked_on(number, str(day))}


def fetch_answers(project: Project, now: datetime) -> str:
    """Lands the annotations that were made or changed since the last drop; how many.

    Raises:
        ForAPerson: a project refused; those of other markets were served.
        Unavailable: Label Studio does not answer.
    """
    landed = 0
    today = now.date()
    window = max(policy.window_days for policy in project.config.policies.values())
    days = [today - timedelta(days=back) for back in range(window, 0, -1)]

    def fetch(studio: LabelStudio, _market: str, _whose: str, number: int) -> None:
        nonlocal landed
        earlier = {day: _lines(project, day, number) for day in days}
        last = max((day for day, lines in earlier.items() if lines), default=days[0])
        since = datetime.combine(last - timedelta(days=1), time(), UTC)
        tomorrow = datetime.combine(today + timedelta(days=1), time(), UTC)
        fetched = lines_of(studio.answered_since(number, since), studio.people(), tomorrow)
        here = _lines(project, today, number)
        lines = merged(here, fetched, (line for known in earlier.values() for line in known))
        if lines != here:
            write_whole(_drop(project, today, number), "".join(f"{line}\n" for line in lines).encode())
            log.info("Project %d: landed %d annotations", number, len(lines) - len(here))
        landed += len(lines) - len(here)

    _for_each_project(project, fetch)
    return f"{plural(landed, 'annotation')} landed"


def _drop(project: Project, day: date, number: int) -> Path:
    return drop_folder(project.settings, day) / f"label-studio-{number}.jsonl"


def _lines(project: Project, day: date, number: int) -> list[str]:
    path = _drop(project, day, number)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line for line in text.split("\n") if line]


def _for_each_project(project: Project, serve: Callable[[LabelStudio, str, str, int], None]) -> None:
    """Calls `serve` for every project of the connection; one that refuses keeps no other from being served."""
    refused: list[str] = []
    with _opened(project) as (studio, projects):
        for (market, whose), number in projects.items():
            try:
                serve(studio, market, whose, number)
            except Refused as refusal:
                refused.append(f"{market}: {refusal}")
                if refusal.everywhere:
                    break
    if refused:
        raise ForAPerson("\n".join(refused), "#wrong")


@contextmanager
def _opened(project: Project) -> Iterator[tuple[LabelStudio, dict[tuple[str, str], int]]]:
    """The server that the connection names, and its projects. Raises AirflowSkipException where there is none."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

    try:
        found = Connection.get(LABEL_STUDIO_CONNECTION_ID)
    except AirflowNotFoundException as error:
        raise AirflowSkipException(f"Airflow has no connection {LABEL_STUDIO_CONNECTION_ID}") from error
    place = label_studio_from(
        extra_from(found.extra or "{}", LABEL_STUDIO_CONNECTION_ID),
        host=found.host,
        schema=found.schema,
        port=found.port,
        password=found.password,
    )
    if unknown := sorted({market for market, _ in place.projects} - set(project.config.markets)):
        raise ConfigError(f"connection {LABEL_STUDIO_CONNECTION_ID}: extra.projects: {unknown[0]} is no market")
    with LabelStudio(place) as studio:
        yield studio, dict(place.projects)
