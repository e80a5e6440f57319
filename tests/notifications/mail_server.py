"""A mail server on loopback: speaks SMTP as far as sending needs it, keeps what it takes, and fails as told."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

LOGIN, PASSWORD = "plumbline", "correct horse"


@dataclass
class MailServer:
    """What it took, and how it fails.

    Attributes:
        port: on 127.0.0.1.
        taken: recipient and message, in order.
        gone: recipients that it has no mailbox for.
        busy: recipients that are to be tried again later.
        silent: whether it greets nobody.
        breaks_after: takes so many messages, and breaks off during the next; None: never.
    """

    port: int = 0
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    silent: bool = False
    breaks_after: int | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def recipients(self) -> list[str]:
        return [recipient for recipient, _ in self.taken]

    def connection(self, **changes: Any) -> str:
        """An Airflow connection to it, as JSON."""
        extra = {"disable_tls": True, "disable_ssl": True, "from_email": "plumbline@example.com", "timeout": 2}
        made = {"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "login": LOGIN, "password": PASSWORD}
        return json.dumps(made | {"extra": extra} | changes)


class _Session(socketserver.StreamRequestHandler):
    server: _Listener
    user: str | None = None
    recipient = ""

    def handle(self) -> None:
        mail = self.server.mail
        if mail.silent:
            mail.stopping.wait()
            return
        self.say("220 loopback")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            answer = getattr(self, f"do_{verb.lower()}", None)
            if answer is None:
                self.say("502 unknown")
            elif answer(rest) is False:
                return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def do_ehlo(self, _: str) -> None:
        self.say("250-loopback\r\n250-AUTH PLAIN\r\n250 8BITMIME")

    def do_auth(self, given: str) -> None:
        _, user, password = base64.b64decode(given.partition(" ")[2]).decode().split("\0")
        self.user = user if (user, password) == (LOGIN, PASSWORD) else None
        self.say("235 welcome" if self.user else "535 5.7.8 Username and Password not accepted")

    def do_mail(self, _: str) -> None:
        self.say("250 ok" if self.user else "530 5.7.0 log in first")

    def do_rcpt(self, given: str) -> None:
        self.recipient = given.partition("<")[2].partition(">")[0]
        if self.recipient in self.server.mail.gone:
            self.say("550 5.1.1 no such person <b>here</b>")
        elif self.recipient in self.server.mail.busy:
            self.say("450 4.2.1 try again later")
        else:
            self.say("250 ok")

    def do_data(self, _: str) -> bool:
        mail = self.server.mail
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        if mail.breaks_after is not None and len(mail.taken) >= mail.breaks_after:
            return False
        mail.taken.append((self.recipient, message_from_bytes(b"".join(lines), policy=policy.default)))
        self.say("250 taken")
        return True

    def do_rset(self, _: str) -> None:
        self.say("250 ok")

    def do_quit(self, _: str) -> bool:
        self.say("221 bye")
        return False


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    mail: MailServer


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A running one."""
    with _Listener(("127.0.0.1", 0), _Session) as listener:
        listener.mail = MailServer(port=listener.server_address[1])
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield listener.mail
        finally:
            listener.mail.stopping.set()
            listener.shutdown()
            thread.join()
