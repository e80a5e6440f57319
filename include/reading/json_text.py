"""JSON as it was written: numbers stay text, and of a large file only a window is in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from include.reading.refusal import shown

_CHUNK = 2**18
_SPACE = re.compile(r"\s*")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return fields


JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=_object)
"""Numbers as text, NaN and infinities as None; a key that occurs twice is a ValueError."""


def objects(read: Callable[[int], str], most: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object of a JSON text, one or a list of them, with its text.

    Raises ValueError for anything else, RecursionError for what is nested too deep.

    Args:
        read: gives the next so many characters of the text, "" at its end.
        most: characters that an object may have; longer ones may be refused.
    """
    return _Window(read, most).objects()


class _Window:
    """The part of a JSON text that is being decoded: of an object, or a list of objects."""

    def __init__(self, read: Callable[[int], str], most: int) -> None:
        self._read, self._most = read, most
        self._text, self._at = "", 0

    def objects(self) -> Iterator[tuple[dict[str, Any], str]]:
        if not self._skipped("["):
            yield self._decoded()
        elif not self._skipped("]"):
            yield self._decoded()
            while self._skipped(","):
                yield self._decoded()
            if not self._skipped("]"):
                raise ValueError("the list of objects does not end")
        self._skip_space()
        if self._at < len(self._text):
            raise ValueError(f"more follows after the end: {shown(self._text[self._at : self._at + 20])}")

    def _decoded(self) -> tuple[dict[str, Any], str]:
        self._skip_space()
        while True:
            try:
                fields, end = JSON.raw_decode(self._text, self._at)
                break
            except ValueError:
                if len(self._text) - self._at > self._most or not self._more():
                    raise
        if not isinstance(fields, dict):
            raise ValueError(f"expected an object, found {shown(fields)}")
        raw, self._at = self._text[self._at : end], end
        return fields, raw

    def _skipped(self, character: str) -> bool:
        self._skip_space()
        there = self._text.startswith(character, self._at)
        self._at += there
        return there

    def _skip_space(self) -> None:
        while (match := _SPACE.match(self._text, self._at)) and match.end() == len(self._text) and self._more():
            pass
        self._at = match.end() if match else self._at

    def _more(self) -> bool:
        more = self._read(_CHUNK)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
