"""What a reader says of a file, a line or a value that it does not take."""

from __future__ import annotations

from include.contract.terms import Reason


class Refusal(Exception):
    """A verdict on content, which becomes a row of a table of refusals; it never leaves the readers.

    `column`: the column at fault; None: the line or the file as a whole.
    """

    def __init__(self, reason: Reason, detail: str, column: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.column = column


def shown(value: object) -> str:
    """A value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."
