"""Messages really sent: to a mail server on loopback, and to chats whose servers stand in for Slack's and others'."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import pytest

from include.notifications.channels import PACKAGES, NotSent, opened_channel
from include.notifications.outbox import Message
from tests.notifications.mail_server import MailServer
from tests.untested import untested

pytestmark = pytest.mark.airflow

MARKUP = '<img src=x onerror="alert(1)"> **bold** <!channel> &amp; [link](javascript:alert(1))'
LINK = "http://air.example.com/plumbline/?a=1&b=2#needs"
MESSAGE = Message("0" * 64, f"Plumbline: {MARKUP}", f"A question waits.\n\nReason: {MARKUP}\n\n{LINK}")


def sent(channel: str, connection: str, *recipients: str) -> None:
    with opened_channel(channel, connection) as way:
        for recipient in recipients:
            way.send(recipient, MESSAGE)


def refusal(channel: str, connection: str, recipient: str = "ana@example.com") -> NotSent:
    with pytest.raises(NotSent) as refused:
        sent(channel, connection, recipient)
    return refused.value


def test_a_mail_says_what_it_says_as_text(mail: MailServer) -> None:
    sent("smtp", "plumbline_mail", "ana@example.com", "ben@example.com")
    assert mail.recipients == ["ana@example.com", "ben@example.com"]
    _, message = mail.taken[0]
    assert message["Subject"] == MESSAGE.subject
    assert message["To"] == "ana@example.com"
    assert message["From"] == "plumbline@example.com"
    assert message["Message-ID"] == f"<{'0' * 32}@plumbline>"
    (part,) = message.iter_parts()
    body = part.get_content()
    assert "<img" not in body
    assert "&lt;img src=x onerror=" in body
    assert body.count("<a ") == 1
    assert '<a href="http://air.example.com/plumbline/?a=1&amp;b=2#needs">' in body


def test_a_person_who_left_keeps_nobody_else_from_hearing(mail: MailServer) -> None:
    mail.gone, mail.busy = {"gone@example.com"}, {"busy@example.com"}
    with opened_channel("smtp", "plumbline_mail") as way:
        with pytest.raises(NotSent, match=r"takes no mail for gone@example.com: 550 5\.1\.1") as left:
            way.send("gone@example.com", MESSAGE)
        with pytest.raises(NotSent, match="450") as busy:
            way.send("busy@example.com", MESSAGE)
        way.send("ana@example.com", MESSAGE)
    assert (left.value.final, left.value.everybody) == (True, False)
    assert (busy.value.final, busy.value.everybody) == (False, False)
    assert mail.recipients == ["ana@example.com"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wrong horse"}, r"refuses the login of the connection plumbline_mail: 535 5\.7\.8"),
        ({"port": 1}, r"plumbline_mail cannot be reached \(ConnectionRefusedError\)"),
        ({"conn_type": "generic"}, "is of type generic, and smtp needs one of type smtp"),
        ({"extra": {"disable_tls": True, "disable_ssl": True}}, "names no sender: its extra needs from_email"),
        ({"login": None, "password": None}, r"refuses the sender of the connection plumbline_mail: 530"),
    ],
)
def test_a_wrong_connection_is_named_without_its_secret(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_MAIL", mail.connection(**changes))
    problem = refusal("smtp", "plumbline_mail")
    assert re.search(said, str(problem))
    assert "horse" not in str(problem)
    assert (problem.everybody, problem.final) == (True, False)
    assert mail.taken == []


def test_no_connection_is_named() -> None:
    assert str(refusal("smtp", "nowhere")) == "Airflow has no connection nowhere"


def test_a_mail_server_that_hangs_or_breaks_off_is_not_tried_twice(mail: MailServer) -> None:
    mail.breaks_after = 1
    with opened_channel("smtp", "plumbline_mail") as way:
        way.send("ana@example.com", MESSAGE)
        with pytest.raises(NotSent, match="breaks off") as broken:
            way.send("ben@example.com", MESSAGE)
    assert broken.value.everybody
    assert mail.recipients == ["ana@example.com"]
    mail.silent = True
    assert "plumbline_mail does not answer, or breaks off" in str(refusal("smtp", "plumbline_mail"))


@pytest.mark.parametrize("channel", ["slack", "apprise"])
def test_a_provider_that_is_not_installed_is_named(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": channel, "password": "xoxb-secret"}))
    for name in [name for name in sys.modules if name.startswith(f"airflow.providers.{channel}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, f"airflow.providers.{channel}", None)
    problem = refusal(channel, "chat", "#all")
    assert str(problem) == f"{PACKAGES[channel]} is not installed, which {channel} needs"
    assert problem.everybody


@dataclass
class Chat:
    """A chat's server: what it was sent, and what it answers."""

    port: int = 0
    posted: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    answer: dict[str, Any] = field(default_factory=lambda: {"ok": True})
    silent: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)


@contextmanager
def chat_server() -> Iterator[Chat]:
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if chat.silent:
                chat.stopping.wait()
                return
            if chat.status == 200 and chat.answer.get("ok"):
                chat.posted.append(json.loads(content))
            body = json.dumps(chat.answer).encode()
            self.send_response(chat.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "30")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        chat.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield chat
        finally:
            chat.stopping.set()
            server.shutdown()
            thread.join()


def installed(channel: str, module: str) -> None:
    if find_spec(module) is None or find_spec(f"airflow.providers.{channel}") is None:
        untested(f"messages by {channel}", f"{PACKAGES[channel]} is not installed")


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    installed("slack", "slack_sdk")
    with chat_server() as chat:
        extra = {"base_url": f"http://127.0.0.1:{chat.port}/api/", "timeout": 1}
        connection = {"conn_type": "slack", "password": "xoxb-secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(connection))
        yield chat


def test_a_chat_hears_text_and_no_markup(slack: Chat) -> None:
    sent("slack", "chat", "#thresholds")
    (posted,) = slack.posted
    assert posted["channel"] == "#thresholds"
    assert (posted["mrkdwn"], posted["parse"]) == (False, "none")
    assert "<" not in posted["text"]
    assert "&lt;!channel&gt;" in posted["text"]


@pytest.mark.parametrize(
    ("status", "answer", "said", "final"),
    [
        (429, {"ok": False, "error": "ratelimited"}, r"takes no more messages .* for now \(429\)", False),
        (200, {"ok": False, "error": "channel_not_found"}, "Slack has no open #thresholds", True),
        (200, {"ok": False, "error": "invalid_auth"}, "Slack refuses what is sent .*: invalid_auth", False),
        (500, {"ok": False}, "Slack does not answer", False),
    ],
)
def test_a_chat_that_refuses_is_named_without_its_token(
    slack: Chat, status: int, answer: dict[str, Any], said: str, final: bool
) -> None:
    slack.status, slack.answer = status, answer
    with pytest.raises(NotSent, match=said) as refused:
        sent("slack", "chat", "#thresholds")
    assert "secret" not in str(refused.value)
    assert refused.value.final == final
    assert slack.posted == []


def test_a_chat_that_hangs_is_given_up_after_a_while(slack: Chat) -> None:
    slack.silent = True
    assert "Slack does not answer" in str(refusal("slack", "chat", "#thresholds"))


@pytest.fixture
def apprise(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    installed("apprise", "apprise")
    with chat_server() as chat:
        path = f"json://secret@127.0.0.1:{chat.port}/?cto=1&rto=1"
        services = [{"path": path, "tag": "desk"}, {"path": path, "tag": "both"}, {"path": path, "tag": "both"}]
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "apprise", "extra": {"config": services}}))
        yield chat


def test_a_service_of_apprise_hears_text(apprise: Chat) -> None:
    sent("apprise", "chat", "desk")
    (posted,) = apprise.posted
    assert posted["title"] == MESSAGE.subject
    assert MARKUP in posted["message"]


def test_a_service_of_apprise_that_fails_is_named_without_its_address(apprise: Chat) -> None:
    for recipient, said in (("both", "2 services of"), ("nobody", "0 services of")):
        problem = refusal("apprise", "chat", recipient)
        assert str(problem).startswith(said)
        assert problem.final
    for apprise.status, apprise.silent in ((429, False), (200, True)):
        problem = refusal("apprise", "chat", "desk")
        assert "desk of the connection chat does not take the message" in str(problem)
        assert "secret" not in str(problem)
        assert not problem.final
    assert apprise.posted == []
