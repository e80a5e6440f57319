"""Each event once to everybody: what is noted, when it is tried, when it is given up, and what a message says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.config.model import Notifications, Route
from include.contract.terms import EventKind
from include.notifications import outbox
from include.notifications.events import Event

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
LINK = "http://air.example.com/plumbline/"


def event(kind: EventKind = EventKind.ALARM, key: str = "alarm/1", **changes: Any) -> Event:
    given: dict[str, Any] = {"what": "A threshold\nbreaks its promise", "effect": "It removes wrongly."}
    given |= {"todo": "Look at it.", "address": "days/2026-11-26", "about": date(2026, 11, 26)}
    return Event(kind, key, **given | changes)


def to(*recipients: str, events: list[str] | None = None) -> Route:
    chosen = {} if events is None else {"events": events}
    return Route(channel="smtp", connection="mail", to=list(recipients), **chosen)  # type: ignore[arg-type]


def noted(events: list[Event], *routes: Route, known: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    settings = Notifications(routes=list(routes))
    return outbox.new_rows(events, known or [], settings, lambda address: LINK + address, NOW)


def test_an_event_is_noted_once_for_everybody_who_is_to_hear_of_it() -> None:
    everything, alarms = to("ana@x.org", "ben@x.org"), to("ben@x.org", "cleo@x.org", events=["alarm"])
    gate = event(EventKind.GATE_FAILED, "gate_failed/1")
    rows = noted([event(), event(), gate], everything, alarms)
    assert [(row["event"], row["recipient"]) for row in rows] == [
        ("alarm", "ana@x.org"),
        ("alarm", "ben@x.org"),
        ("alarm", "cleo@x.org"),
        ("gate_failed", "ana@x.org"),
        ("gate_failed", "ben@x.org"),
    ]
    assert noted([event(), gate], everything, alarms, known=rows) == []
    (new,) = noted([gate], everything, to("dora@x.org"), known=rows)
    assert new["recipient"] == "dora@x.org"


def test_nobody_is_told_where_nobody_is_named_and_a_late_day_is_noted_all_the_same() -> None:
    late = event(EventKind.DAY_LATE, "day_late/2026-11-26")
    (row,) = noted([event(), late])
    assert (row["event"], row["recipient"], row["status"]) == ("day_late", "", "nobody")
    assert not outbox.is_due(row, NOW)
    assert noted([late], known=[row]) == []
    assert [row["recipient"] for row in noted([late], to("ana@x.org"), known=[row])] == ["ana@x.org"]


def test_a_message_says_what_effect_what_to_do_and_where() -> None:
    (row,) = noted([event()], to("ana@x.org"))
    assert row["subject"] == "Plumbline: A threshold breaks its promise"
    assert row["text"] == (
        "A threshold breaks its promise.\n\nIt removes wrongly.\n\nWhat to do: Look at it.\n\n"
        + LINK
        + "days/2026-11-26"
    )
    (row,) = noted([event(what="x " * 500, effect="y " * 5_000, todo="z " * 900)], to("ana@x.org"))
    assert len(row["subject"]) <= outbox.MOST_SUBJECT
    assert len(row["text"]) < 2_500
    assert row["text"].endswith(LINK + "days/2026-11-26")


def test_what_was_not_sent_is_tried_again_later_and_later_and_given_up() -> None:
    (row,) = noted([event()], to("ana@x.org"))
    tries, moment, shown = list[float](), NOW, list[bool]()
    while row["status"] == "waiting":
        if outbox.is_due(row, moment):
            tries.append((moment - NOW) / timedelta(minutes=1))
            row = outbox.not_sent(row, moment, "no answer", final=False)
            shown.append(outbox.is_shown(row))
        moment += timedelta(minutes=10)
    assert tries[:5] == [0, 10, 30, 70, 150]
    assert shown[:3] == [False, False, True]
    assert all(shown[2:])
    assert row["status"] == "given_up"
    assert timedelta(days=2) <= row["tried_at"] - NOW < timedelta(days=2, hours=5)
    assert len(tries) < 20
    assert outbox.undeliverable([row, row]) == "2 messages could not be sent: no answer (for ana@x.org)"


def test_what_was_sent_or_never_can_be_is_not_tried_again() -> None:
    (row,) = noted([event()], to("ana@x.org"))
    done = outbox.sent(outbox.not_sent(row, NOW, "no answer", final=False), NOW)
    gone = outbox.not_sent(row, NOW, "no such person", final=True)
    later = NOW + timedelta(days=1)
    assert not outbox.is_due(done, later)
    assert not outbox.is_due(gone, later)
    assert (outbox.is_shown(done), outbox.is_shown(gone)) == (False, True)
    assert outbox.message_of(done).identity == outbox.message_of(row).identity


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_says_what_it_means(kind: EventKind) -> None:
    assert kind.meaning.endswith(".")
    assert to("a@x.org").events == list(EventKind)
