"""Events of a lived history, noticed and really sent, each once, whatever is run again or breaks in between."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pandas as pd
import pytest

from include.contract.cell import records
from include.notifications import outbox
from include.notifications.stage import notice_events, raise_alarm, send_messages
from include.orchestration.ending import ForAPerson
from include.proposals.approval import Answer
from include.proposals.questions import first_shown, note_answer
from include.quality.checks import Judged, between
from include.quality.gate import GateFailed, judge
from include.thresholds import ad_hoc
from include.thresholds.request import FormRun
from tests.loop import FORM, LAST, Loop
from tests.notifications.mail_server import MailServer
from tests.places import MOVES_SOON, TELLS, configured

pytestmark = pytest.mark.airflow

MARKUP = '<img src=x onerror="alert(1)"> **now** [link](javascript:alert(1))'


@pytest.fixture
def told(ended: Loop, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A history of which Ana hears everything. Its first days were lived without Dags, and are not finished."""
    configured(ended.home, MOVES_SOON | TELLS)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://air.example.com")
    return ended


def morning(loop: Loop, index: int = LAST + 1) -> datetime:
    return datetime.combine(loop.day(index), time(9), tzinfo=UTC)


def subjects(mail: MailServer) -> list[str]:
    return [str(message["Subject"]).removeprefix("Plumbline: ") for _, message in mail.taken]


def body(mail: MailServer, number: int = -1) -> str:
    (part,) = mail.taken[number][1].iter_parts()
    return str(part.get_content())


def told_of(loop: Loop, now: datetime) -> list[str]:
    late = notice_events(loop.project, now)
    send_messages(loop.project, now)
    return late


def test_a_day_is_told_once_however_often_it_is_looked_at(told: Loop, mail: MailServer) -> None:
    now = morning(told)
    late = told_of(told, now)
    assert [words.split()[0] for words in late] == [str(told.day(LAST - 2)), str(told.day(LAST - 1))]
    assert [words.partition(":")[0] for words in subjects(mail)] == [
        f"{told.day(LAST - 2)} is late",
        f"{told.day(LAST - 1)} is late",
        "manager answered Approve",
    ]
    assert "published: the ledger is at version" in body(mail)
    assert f'<a href="http://air.example.com/plumbline/days/{told.day(LAST)}/report">' in body(mail)
    with pytest.raises(ForAPerson, match="recalibrate_thresholds, hand_off_retraining are not finished"):
        raise_alarm(told.project, now, late)

    heard = list(mail.recipients)
    for _ in range(2):
        assert told_of(told, now) == []
        raise_alarm(told.project, now, [])
        now += timedelta(minutes=10)
    assert mail.recipients == heard
    rows = told.read("notifications")
    assert set(rows["status"]) == {"sent"}
    assert set(rows["about"]) == {told.day(index) for index in (LAST - 2, LAST - 1, LAST)}


def test_where_nobody_is_named_nothing_is_sent_and_a_late_day_is_noticed(ended: Loop, mail: MailServer) -> None:
    now = morning(ended)
    assert len(told_of(ended, now)) == 2
    assert mail.taken == []
    assert set(ended.read("notifications")["status"]) == {"nobody"}
    assert told_of(ended, now) == []


def test_a_day_that_nobody_ever_ran_is_late_from_the_stated_hour_on(told: Loop, mail: MailServer) -> None:
    missing = told.day(LAST + 1)
    told_of(told, morning(told, LAST + 2) - timedelta(hours=2))
    assert not [words for words in subjects(mail) if words.startswith(f"{missing} is late")]
    told_of(told, morning(told, LAST + 2))
    assert subjects(mail)[-1] == f"{missing} is late: none of its Dags is finished"
    assert "The platform has not delivered the day" in body(mail)


def test_a_question_is_told_with_its_effect_and_its_reason_as_text(told: Loop, mail: MailServer) -> None:
    project, now = told.project, morning(told)
    every = {"policies": sorted(project.config.policies), "markets": sorted(project.config.markets)}
    wanted = FORM | every | {"goal": "own", "precision_percent": 75, "mode": "propose", "reason": MARKUP}
    form = FormRun("recalibrate_ad_hoc", "manual__1", "<b>ana</b>", wanted)
    day = ad_hoc.read_request(project, form)
    ad_hoc.propose_changes(project, form, day)
    asks = ad_hoc.approval(project, form, day)
    question = asks.question()
    assert question is not None
    asked_in = "recalibrate_ad_hoc/manual__1/ask_for_approval"
    first_shown(asks, question, asked_in, now + timedelta(hours=20))

    told_of(told, now)
    assert subjects(mail)[-1] == "manager answered Approve: Threshold changes of 2026-11-05 wait for approval"
    (waits,) = [n for n, words in enumerate(subjects(mail)) if words == "<b>ana</b> requests a change of thresholds"]
    text = body(mail, waits)
    assert "would remove" in text
    assert "&lt;img src=x onerror=" in text
    assert "<img" not in text + text.replace("<br>", "")
    assert "Answer by 7 November 2026, 05:00 UTC" in text
    assert '<a href="http://air.example.com/plumbline/#needs">' in text

    note_answer(asks, asked_in, Answer("Reject", None), now + timedelta(hours=20))
    told_of(told, now + timedelta(hours=20, minutes=5))
    assert "Nobody answered in time" not in "".join(subjects(mail)), "what it came to may still be recorded"
    note_answer(asks, asked_in, Answer("Reject", None), now + timedelta(hours=20), "the thresholds stay")
    told_of(told, now + timedelta(hours=20, minutes=5))
    assert subjects(mail)[-1] == "Nobody answered in time: <b>ana</b> requests a change of thresholds"
    assert "It came to this: the thresholds stay" in body(mail)


def test_a_gate_that_stops_a_day_and_a_ledger_that_was_edited_are_told_each_once(told: Loop, mail: MailServer) -> None:
    now, day, project = morning(told), told.day(LAST), told.project
    told_of(told, now)
    broken = Judged("any", pd.DataFrame({"share": [2.0]}), (between("share", 0, 1, description="a share"),))
    for _ in range(2):  # a rerun that fails in the same way is no news
        with pytest.raises(GateFailed):
            judge(project.warehouse, "scores", day, [broken], project.settings.quality_docs)
        told_of(told, now)
    assert subjects(mail)[3:] == [f"{day} is stopped at the gate scores"]
    assert "Have the feed repaired" in body(mail) or "have the feed repaired" in body(mail)
    served = project.settings.thresholds
    served.write_text(served.read_text().replace('"remove_at": null', '"remove_at": 0.999', 1))
    for _ in range(2):
        told_of(told, now)
    assert subjects(mail)[4:] == ["Nothing is published: the ledger or thresholds.json was changed by hand"]
    assert "differs from version" in body(mail)


def test_the_week_is_told_on_monday(told: Loop, mail: MailServer) -> None:
    monday = morning(told, LAST + 4)
    for now in (monday, monday + timedelta(hours=1)):
        told_of(told, now)
    (card,) = [n for n, words in enumerate(subjects(mail)) if words.startswith("Week 45 of 2026: 1 day finished, ")]
    assert "Days finished: 1 of 7; stopped at a gate first: 0." in body(mail, card)
    assert "remove automatically." in body(mail, card)
    assert "Questions answered: 0" in body(mail, card)  # it was answered when the history was made, another week
    labels = sum(len(told.read("label_events", index)) for index in range(1, LAST + 1))
    assert f"Labels accepted: {labels:,}." in body(mail, card)


def test_what_cannot_be_sent_is_retried_shown_and_holds_nobody_else_up(
    told: Loop, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"to: [ana@example.com]": "to: [gone@example.com, ana@example.com]"}
    configured(told.home, MOVES_SOON | {name: text.replace(*next(iter(both.items()))) for name, text in TELLS.items()})
    mail.gone = {"gone@example.com"}
    now = morning(told)
    notice_events(told.project, now)
    with pytest.raises(ForAPerson, match=r"3 messages could not be sent: .*no such person.* \(for gone@example.com\)"):
        send_messages(told.project, now)
    assert mail.recipients == ["ana@example.com"] * 3
    assert send_messages(told.project, now) == "0 messages sent, 0 to be tried again"

    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_MAIL", mail.connection(password="wrong horse"))
    later = morning(told, LAST + 2)
    notice_events(told.project, later)
    assert send_messages(told.project, later) == "0 messages sent, 2 to be tried again"
    assert send_messages(told.project, later + timedelta(minutes=10)) == "0 messages sent, 2 to be tried again"
    with pytest.raises(ForAPerson, match=r"refuses the login .* \(for gone@example.com, ana@example.com\)") as shown:
        send_messages(told.project, later + timedelta(minutes=30))
    assert "horse" not in str(shown.value)
    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_MAIL", mail.connection())
    mail.gone = set()
    assert send_messages(told.project, later + timedelta(hours=2)) == "2 messages sent, 0 to be tried again"
    assert mail.recipients[3:] == ["gone@example.com", "ana@example.com"]
    late = told.read("notifications", LAST + 2)
    assert list(late["attempts"]) == [4, 4]
    assert set(told.read("notifications", LAST + 1).groupby("recipient")["status"].unique().map(tuple)) == {
        ("given_up",),
        ("sent",),
    }


def test_a_process_killed_after_a_message_was_taken_repeats_that_one_alone(
    told: Loop, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = morning(told)
    notice_events(told.project, now)
    sent, done = outbox.sent, list[Any]()

    def killed(row: Any, moment: datetime) -> Any:
        done.append(row)
        if len(done) == 2:
            raise KeyboardInterrupt
        return sent(row, moment)

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "sent", killed)
        with pytest.raises(KeyboardInterrupt):
            send_messages(told.project, now)
    send_messages(told.project, now)
    identities = [message["Message-ID"] for _, message in mail.taken]
    assert len(identities) == 4
    assert identities[1] == identities[2]
    assert len(set(identities)) == 3
    assert {row["status"] for row in records(told.read("notifications"))} == {"sent"}
