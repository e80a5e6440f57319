"""How a message goes out: through Airflow's providers, by the address and login of an Airflow connection.

A provider is imported where it is needed and may not be installed. What goes wrong is told in words without a secret:
no address or token of a connection, and no text of an exception that could hold one.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from include.notifications.outbox import Message

if TYPE_CHECKING:
    from airflow.sdk import Connection

PACKAGES = {
    "smtp": "apache-airflow-providers-smtp",
    "slack": "apache-airflow-providers-slack",
    "apprise": "apache-airflow-providers-apprise",
}
"""Of each channel; the connection's type is the channel's name."""

SECONDS = 30
"""How long a chat may take to answer; a mail server as the connection's `timeout` says, by default as long."""

MOST_SAID = 200
"""Characters of what the other side said."""


class NotSent(Exception):
    """A message was not sent; says why.

    Attributes:
        final: whether trying again would not help.
        everybody: whether nobody else hears by this connection either.
    """

    def __init__(self, why: str, *, final: bool = False, everybody: bool = False) -> None:
        super().__init__(why)
        self.final, self.everybody = final, everybody


class Channel(Protocol):
    """An open way to people. `send` raises NotSent."""

    def send(self, recipient: str, message: Message) -> None:
        """Hands the message over."""


@contextmanager
def opened_channel(channel: str, connection_id: str) -> Iterator[Channel]:
    """A channel by a connection of Airflow. Raises NotSent, for everybody."""
    connection = _connection(channel, connection_id)
    try:
        import_module(f"airflow.providers.{channel}.hooks")
        kind = {"smtp": _mail, "slack": _slack, "apprise": _apprise}[channel]
        way = kind(connection)
        with way as found:
            yield found
    except ImportError as error:
        raise NotSent(f"{PACKAGES[channel]} is not installed, which {channel} needs", everybody=True) from error


def _connection(channel: str, connection_id: str) -> Connection:
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = Connection.get(connection_id)
    except AirflowNotFoundException as error:
        raise NotSent(f"Airflow has no connection {connection_id}", everybody=True) from error
    if found.conn_type != channel:
        why = f"the connection {connection_id} is of type {found.conn_type}, and {channel} needs one of type {channel}"
        raise NotSent(why, everybody=True)
    return found


class _Mail:
    def __init__(self, hook: Any, connection_id: str) -> None:
        self.hook, self.connection_id = hook, connection_id

    def send(self, recipient: str, message: Message) -> None:
        import smtplib

        try:
            self.hook.send_email_smtp(
                to=[recipient],
                subject=message.subject,
                html_content=_as_html(message.text),
                mime_subtype="alternative",
                custom_headers={
                    "Message-ID": f"<{message.identity[:32]}@plumbline>",
                    "Auto-Submitted": "auto-generated",
                },
            )
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[recipient]
            raise NotSent(
                f"the mail server takes no mail for {recipient}: {_said(code, said)}", final=code >= 500
            ) from error
        except smtplib.SMTPDataError as error:
            why = f"the mail server does not take the message: {_said(error.smtp_code, error.smtp_error)}"
            raise NotSent(why, final=error.smtp_code >= 500) from error
        except (smtplib.SMTPException, OSError) as error:
            raise _mail_problem(error, self.connection_id) from error


@contextmanager
def _mail(connection: Connection) -> Iterator[Channel]:
    import smtplib

    from airflow.providers.smtp.hooks.smtp import SmtpHook
    from airflow.sdk.exceptions import AirflowException

    class TriedOnce(SmtpHook):
        """What is tried again is tried by the next run, which first reads what was sent."""

        smtp_retry_limit = 0

    hook = TriedOnce(smtp_conn_id=connection.conn_id)
    try:
        hook.get_conn()
    except (smtplib.SMTPException, OSError, AirflowException) as error:
        raise _mail_problem(error, connection.conn_id) from error
    if not hook.from_email:
        raise NotSent(
            f"the connection {connection.conn_id} names no sender: its extra needs from_email", everybody=True
        )
    with hook:
        yield _Mail(hook, connection.conn_id)


def _mail_problem(error: Exception, connection_id: str) -> NotSent:
    import smtplib

    if isinstance(error, smtplib.SMTPAuthenticationError):
        why = f"refuses the login of the connection {connection_id}: {_said(error.smtp_code, error.smtp_error)}"
    elif isinstance(error, smtplib.SMTPSenderRefused):
        why = f"refuses the sender of the connection {connection_id}: {_said(error.smtp_code, error.smtp_error)}"
    elif isinstance(error, smtplib.SMTPResponseException):
        why = f"of the connection {connection_id} answers {_said(error.smtp_code, error.smtp_error)}"
    elif isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException | TimeoutError):
        why = f"of the connection {connection_id} cannot be reached ({type(error).__name__})"
    else:
        why = f"of the connection {connection_id} does not answer, or breaks off"
    return NotSent(f"the mail server {why}", everybody=True)


class _Slack:
    def __init__(self, hook: Any, connection_id: str) -> None:
        self.hook, self.connection_id = hook, connection_id

    def send(self, recipient: str, message: Message) -> None:
        from slack_sdk.errors import SlackClientError

        text = html.escape(f"{message.subject}\n\n{message.text}", quote=False)  # what Slack has escaped is no markup
        try:
            self.hook.call(
                "chat.postMessage",
                json={"channel": recipient, "text": text, "mrkdwn": False, "parse": "none", "unfurl_links": False},
            )
        except (SlackClientError, OSError) as error:
            raise self._problem(recipient, error) from error

    def _problem(self, recipient: str, error: Exception) -> NotSent:
        response = getattr(error, "response", None)
        code = str(response.get("error", "")) if response is not None else ""
        status = getattr(response, "status_code", None)
        by = f"by the connection {self.connection_id}"
        if status == 429 or code == "ratelimited":
            return NotSent(f"Slack takes no more messages {by} for now (429)", everybody=True)
        if code in ("channel_not_found", "is_archived", "not_in_channel", "user_not_found", "users_not_found"):
            return NotSent(f"Slack has no open {recipient} {by}: {code}", final=True)
        if code:
            return NotSent(f"Slack refuses what is sent {by}: {code[:MOST_SAID]}", everybody=True)
        return NotSent(f"Slack does not answer {by} ({type(error).__name__})", everybody=True)


@contextmanager
def _slack(connection: Connection) -> Iterator[Channel]:
    from airflow.providers.slack.hooks.slack import SlackHook

    if not connection.password:
        raise NotSent(f"the connection {connection.conn_id} has no token: its password is empty", everybody=True)
    timeout = int(connection.extra_dejson.get("timeout", SECONDS))
    yield _Slack(SlackHook(slack_conn_id=connection.conn_id, timeout=timeout, retry_handlers=[]), connection.conn_id)


class _Apprise:
    def __init__(self, services: Any, connection_id: str) -> None:
        self.services, self.connection_id = services, connection_id

    def send(self, recipient: str, message: Message) -> None:
        found = len(list(self.services.find(tag=recipient)))
        by = f"of the connection {self.connection_id}"
        if found != 1:  # of several, one that fails would have all of them hear it again
            raise NotSent(f"{found} services {by} have the tag {recipient}, and each needs one of its own", final=True)
        if not self.services.notify(title=message.subject, body=message.text, body_format="text", tag=recipient):
            raise NotSent(f"the service {recipient} {by} does not take the message; the task's log may say more")


@contextmanager
def _apprise(connection: Connection) -> Iterator[Channel]:
    import apprise
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    services = apprise.Apprise()
    try:
        AppriseHook(connection.conn_id).set_config_from_conn(connection, services)
    except (KeyError, ValueError, TypeError) as error:
        why = f"the connection {connection.conn_id} names no services: its extra needs config, with path and tag"
        raise NotSent(why, everybody=True) from error
    yield _Apprise(services, connection.conn_id)


def _as_html(text: str) -> str:
    """The hook sends HTML and nothing else: paragraphs, in which all is text but the link at the end."""
    *paragraphs, link = [html.escape(part).replace("\n", "<br>") for part in text.split("\n\n")]
    return "".join(f"<p>{part}</p>\n" for part in paragraphs) + f'<p><a href="{link}">{link}</a></p>\n'


def _said(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:MOST_SAID]
