"""A mail server on loopback, and the Airflow connection to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notifications.mail_server import MailServer, mail_server


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """The server that the connection `plumbline_mail` names."""
    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_MAIL", server.connection())
        yield server
