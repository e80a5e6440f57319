"""How much of one file is read, so that a small file that unpacks into a large one harms nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from include.contract.terms import Reason
from include.reading.folder import printable
from include.reading.refusal import Refusal

KEPT_OF_LONG_LINE = 1000
"""Characters that are kept of a line or row that is too long."""


@dataclass(frozen=True)
class Limits:
    """What is read of one file at most: rows, bytes of text once unpacked, and bytes of one line or row."""

    rows: int = 500_000
    text: int = 2**28
    line: int = 2**20

    def check(self, path: Path, rows: int, text: int) -> None:
        """Raises Refusal for a file with more rows or more bytes of text."""
        for found, most, what in ((rows, self.rows, "rows"), (text, self.text, "bytes of text")):
            if found > most:
                detail = f"{printable(path.name)}: {found:,} {what} or more, at most {most:,} are read of a file"
                raise Refusal(Reason.FILE_TOO_LARGE, detail)

    def too_long(self, size: int) -> Refusal:
        """What is said of a line or row of `size` bytes that is too long."""
        return Refusal(Reason.LINE_TOO_LONG, f"{size} bytes, at most {self.line} are read")


class Budget:
    """Counts what is kept of a file while it is read."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._rows = self._text = 0

    def take(self, size: int) -> None:
        """One more row, of `size` bytes. Raises Refusal where that is too much."""
        self._rows += 1
        self._text += size
        self._limits.check(self._path, self._rows, self._text)
