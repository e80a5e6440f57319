"""Keeps the terminal for people while everything else a process prints goes to a log file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def shown_path(path: Path) -> str:
    """`path` as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


class Console:
    """The real terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._stream.write(f"\r{text:<{self._width}}\n")
        self._stream.flush()
        self._width = 0

    def status(self, text: str) -> None:
        """A line that the next one overwrites; nothing where there is no terminal."""
        if self._stream.isatty():
            self._stream.write(f"\r{text:<{self._width}}")
            self._stream.flush()
            self._width = len(text)


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Within, file descriptors 1 and 2 go to `log`; also those of libraries that took hold of them before.

    The log is its owner's to read.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with os.fdopen(os.dup(1), "w") as stream, log.open("ab") as file:
        os.fchmod(file.fileno(), 0o600)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield Console(stream)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, target)
                os.close(descriptor)
