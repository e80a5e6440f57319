"""Which messages are to be sent, and what becomes of each: every event once to everybody who is to hear of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.config.model import Notifications
from include.contract.cell import Row
from include.contract.terms import DeliveryStatus, EventKind
from include.files import digest_of
from include.notifications.events import Event
from include.orchestration.ending import shortened
from include.wording import plural

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=9), timedelta(hours=4)
"""What was not sent is tried again in the next run, then after twice as long each time."""

PATIENCE = timedelta(days=2)
"""After so long a message is given up: it would be no news."""

TRIES_UNSEEN = 2
"""So many failures in a row are nobody's affair; the next is shown."""

MOST_SUBJECT, MOST_EFFECT, MOST_TODO = 120, 700, 400
"""Characters; a phone shows them."""


@dataclass(frozen=True)
class Message:
    """A message, as text: nothing in it is markup.

    Attributes:
        identity: the same for each try, so that a reader's program can tell a repetition.
    """

    identity: str
    subject: str
    text: str


def message_of(row: Row) -> Message:
    """What a row of notifications says to its recipient."""
    return Message(digest_of([row["event_key"], row["connection"], row["recipient"]]), row["subject"], row["text"])


def text_of(event: Event, link: str) -> str:
    """What, effect, what to do, link: a paragraph each."""
    todo = f"What to do: {shortened(event.todo, MOST_TODO)}" if event.todo else ""
    return "\n\n".join(
        part for part in (f"{_line(event.what)}.", shortened(event.effect, MOST_EFFECT), todo, link) if part
    )


def new_rows(
    events: Iterable[Event],
    known: Sequence[Row],
    notifications: Notifications,
    link: Callable[[str], str],
    now: datetime,
) -> list[Row]:
    """A row of notifications for everybody who is to hear of an event and was not noted yet.

    A late day is noted also where nobody is to hear of it: the run that notices it says so in Airflow.

    Args:
        known: rows of notifications that are there.
        link: where a place of the page is reached.
    """
    noted = {(row["event_key"], row["connection"], row["recipient"]) for row in known}
    rows = []
    for event in events:
        for channel, connection, recipient in _receivers(event, notifications):
            if (event.key, connection, recipient) in noted:
                continue
            noted.add((event.key, connection, recipient))
            rows.append(
                {
                    "event": str(event.kind),
                    "event_key": event.key,
                    "about": event.about,
                    "channel": channel,
                    "connection": connection,
                    "recipient": recipient,
                    "subject": shortened(f"Plumbline: {_line(event.what)}", MOST_SUBJECT),
                    "text": text_of(event, link(event.address)),
                    "status": str(DeliveryStatus.WAITING if channel else DeliveryStatus.NOBODY),
                    "attempts": 0,
                    "noticed_at": now,
                    "tried_at": None,
                    "problem": None,
                }
            )
    return rows


def _receivers(event: Event, notifications: Notifications) -> Iterator[tuple[str, str, str]]:
    routes = [route for route in notifications.routes if event.kind in route.events]
    for route in routes:
        yield from ((route.channel, route.connection, recipient) for recipient in route.to)
    if not routes and event.kind == EventKind.DAY_LATE:
        yield "", "", ""


def is_due(row: Row, now: datetime) -> bool:
    """Whether a message is to be tried now."""
    if row["status"] != DeliveryStatus.WAITING:
        return False
    pause = min(FIRST_PAUSE * 2 ** max(row["attempts"] - 1, 0), LONGEST_PAUSE)
    return row["tried_at"] is None or now - row["tried_at"] >= pause


def sent(row: Row, now: datetime) -> Row:
    """The row of a message that was handed over."""
    done = {"status": str(DeliveryStatus.SENT), "attempts": row["attempts"] + 1, "tried_at": now, "problem": None}
    return row | done


def not_sent(row: Row, now: datetime, problem: str, *, final: bool) -> Row:
    """The row of a message that was not; `final`: trying again would not help."""
    given_up = final or now - row["noticed_at"] >= PATIENCE
    status = DeliveryStatus.GIVEN_UP if given_up else DeliveryStatus.WAITING
    return row | {"status": str(status), "attempts": row["attempts"] + 1, "tried_at": now, "problem": problem}


def is_shown(row: Row) -> bool:
    """Whether somebody has to see to a message that was not sent."""
    return row["problem"] is not None and (row["status"] == DeliveryStatus.GIVEN_UP or row["attempts"] > TRIES_UNSEEN)


def undeliverable(rows: Sequence[Row]) -> str:
    """What keeps messages from being sent, each once, with who did not hear."""
    by_problem: dict[str, list[str]] = {}
    for row in rows:
        by_problem.setdefault(row["problem"], []).append(row["recipient"])
    said = [f"{problem} (for {', '.join(dict.fromkeys(names))})" for problem, names in by_problem.items()]
    return f"{plural(len(rows), 'message')} could not be sent: {'; '.join(said)}"


def _line(text: str) -> str:
    return " ".join(text.split())
