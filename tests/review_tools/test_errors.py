"""What can go wrong between Plumbline and Label Studio, told by name: a server that is away, and a wrong connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from include.config.load import ConfigError
from include.config.settings import LabelStudioPlace, label_studio_from
from include.local.processes import free_port
from include.project import open_project
from include.review_tools import label_studio as client
from include.review_tools.label_studio import LabelStudio, Refused, Unavailable
from include.review_tools.stage import fetch_answers, send_queue
from tests.places import settings_in

TOKEN = "a-token-that-nobody-may-see"
NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


class _Answers(BaseHTTPRequestHandler):
    answer: ClassVar[Callable[[_Answers], None]]

    def do_GET(self) -> None:
        type(self).answer(self)

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[_Answers], None]], LabelStudio]]:
    """Label Studio at a server that answers as told."""
    monkeypatch.setattr(client, "SECONDS", 1.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def at(answer: Callable[[_Answers], None]) -> LabelStudio:
        monkeypatch.setattr(_Answers, "answer", staticmethod(answer), raising=False)
        return LabelStudio(LabelStudioPlace(f"http://127.0.0.1:{server.server_port}", TOKEN, {}))

    yield at
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda to: to.say(429), Unavailable, "answers 429 for now"),
        (lambda to: to.say(503), Unavailable, "answers 503 for now"),
        (lambda to: threading.Event().wait(2), Unavailable, r"does not answer \(ReadTimeout\)"),
        (lambda to: to.connection.close(), Unavailable, r"does not answer \(RemoteProtocolError\)"),
        (lambda to: to.say(302, Location="https://elsewhere.test/"), Refused, r"is at another address \(302\)"),
        (lambda to: to.say(200, b"<html>Log in</html>"), Refused, "answers /api/tasks otherwise than Label Studio"),
        (lambda to: to.say(403), Refused, r"refuses the token \(403\)"),
    ],
)
def test_what_a_server_may_answer_is_told_without_the_token(
    answering: Callable[[Callable[[_Answers], None]], LabelStudio],
    answer: Callable[[_Answers], None],
    error: type[Exception],
    said: str,
) -> None:
    with answering(answer) as studio, pytest.raises(error, match=said) as told:
        studio.asked_on(1, "2026-11-03")
    assert TOKEN not in repr(told.value)


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def connect(**fields: Any) -> None:
        made: dict[str, Any] = {"conn_type": "generic", "host": "https://studio.test", "password": TOKEN}
        made |= {"extra": {"projects": {"BR": {"queue": 1}}}}
        monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_LABEL_STUDIO", json.dumps(made | fields))

    return connect


def test_a_server_that_is_down_is_named_and_tried_again(connected: Callable[..., None], tmp_path: Path) -> None:
    project = open_project(settings_in(tmp_path))
    queue = project.settings.queue_of(date(2026, 11, 4), "queue", "BR", "json")
    queue.parent.mkdir(parents=True)
    queue.write_text(json.dumps([{"data": {"sample_id": "s"}}]))
    connected(host="http://127.0.0.1", port=free_port(0))
    for step in (send_queue, fetch_answers):
        with pytest.raises(Unavailable, match=r"at http://127\.0\.0\.1:\d+ does not answer \(ConnectError\)"):
            step(project, NOW)


def test_a_queue_whose_days_labels_are_final_is_not_sent_any_more(
    connected: Callable[..., None], tmp_path: Path
) -> None:
    project = open_project(settings_in(tmp_path))
    old = NOW.date() - timedelta(days=project.config.policies["fraud"].maturity_days + 1)
    queue = project.settings.queue_of(old, "queue", "BR", "json")
    queue.parent.mkdir(parents=True)
    queue.write_text(json.dumps([{"data": {"sample_id": "s"}}]))
    connected(host="http://127.0.0.1", port=free_port(0))  # nobody there
    assert send_queue(project, NOW) == "0 tasks sent"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"host": ""}, "host is no address such as"),
        ({"host": "https://ana:secret@studio.test"}, "host is no address such as"),
        ({"host": "ftp://studio.test"}, "host is no address such as"),
        ({"password": " "}, "password is empty"),
        ({"extra": {}}, r"extra\.projects: Field required"),
        ({"extra": {"projects": {"BR": {"queue": 0}}}}, r"extra\.projects\.BR\.queue: .*greater than or equal to 1"),
        ({"extra": {"projects": {"BR": {"queue": 1}, "DE": {"experts": 1}}}}, "project 1 is named twice"),
    ],
)
def test_a_wrong_connection_is_refused_by_name(
    connected: Callable[..., None], tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    connected(**fields)
    with pytest.raises(ConfigError, match=said) as refused:
        send_queue(open_project(settings_in(tmp_path)), NOW)
    assert TOKEN not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_an_address_is_put_together_from_its_parts() -> None:
    def address(host: str, schema: str | None = None, port: int | None = None) -> str:
        extra = {"projects": {"BR": {"queue": 1, "experts": 2}, "DE": {}}}
        found = label_studio_from(extra, host=host, schema=schema, port=port, password=TOKEN)
        assert found.projects == {("BR", "queue"): 1, ("BR", "experts"): 2}
        assert TOKEN not in repr(found)
        return found.address

    assert address("studio.test") == address("https://studio.test/") == "https://studio.test"
    assert address("studio", "http", 8080) == "http://studio:8080"
    assert address("https://tools.test/studio/") == "https://tools.test/studio"
