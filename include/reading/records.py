"""Reads files of rows that others wrote, JSON Lines, CSV, Parquet and JSON, losing nothing and holding no more than is
allowed of each.

All fields stay as they were written, so that a 64-bit id never passes through a float; what they mean is for others to
judge. What cannot be read is refused line by line, or as a file by raising Refusal; the content of a file raises
nothing else. A fault of storage is an OSError.

- Text is UTF-8, with or without a byte-order mark. Lines end in LF or CRLF. Blank lines are no rows.
- JSON Lines: one object a line. Numbers are kept as they were written; `null` and `NaN` are missing.
- CSV: line 1 names the columns; the separator among `,` `;` and tab is the one that finds most columns of the layout
  there, so `0,5` stays one value in a `;` file. A quoted field may hold line breaks; the record has the number of its
  first line. A quote that never closes costs its own line only. A record whose every field is blank is a blank line.
  When a column is missing, every line is refused, line 1 included, with its text.
- Parquet: rows count from 1, their text is the row as JSON. Columns of lists or objects are not unpacked. A damaged
  file is refused as a whole.
- JSON: one object, or a list of objects, which count from 1.
- Limits hold before and while a file is read, so that a small file that unpacks into a large one is refused before it
  does.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from include.contract.terms import Reason
from include.reading.folder import printable
from include.reading.json_text import JSON, objects
from include.reading.limits import KEPT_OF_LONG_LINE, Budget, Limits
from include.reading.parquet import flat_rows
from include.reading.refusal import Refusal, shown

_MAX_RECORD_LINES = 20
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of file: those that mean something, and, by those a file has, the ones it must have."""

    known: tuple[str, ...]
    required: Callable[[Sequence[str]], Sequence[str]]
    limits: Limits


class Record(NamedTuple):
    """A row: its line from 1, its fields, its text as read, and line 1 of a CSV file. With `refusal`: no fields."""

    line: int
    fields: dict[str, Any]
    raw: str
    refusal: Refusal | None = None
    header: str | None = None


class _Line(NamedTuple):
    number: int
    text: str
    refusal: Refusal | None = None


def read_records(path: Path, layout: Layout) -> Iterator[Record]:
    """The rows of a .jsonl, .csv or .parquet file. Raises Refusal for the file as a whole, maybe after some rows."""
    readers = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
    return _within_reach(path, readers[path.suffix.lower()](path, layout))


def read_json(path: Path, limits: Limits) -> Iterator[Record]:
    """The objects of a .json file, decoded one by one. Raises Refusal as `read_records` does."""
    return _within_reach(path, _json_objects(path, limits))


def csv_header(text: str, known: Sequence[str]) -> tuple[list[str], str]:
    """(column names, separator) of the separator that finds most of the `known` columns; the first wins ties."""
    candidates = []
    for separator in _SEPARATORS:
        try:
            names = next(csv.reader([text], delimiter=separator, strict=True))
        except csv.Error:
            names = []
        candidates.append(([name.strip() for name in names], separator))
    return max(candidates, key=lambda candidate: len(set(candidate[0]) & set(known)))


def _within_reach(path: Path, records: Iterator[Record]) -> Iterator[Record]:
    try:
        if path.stat().st_size == 0:
            raise Refusal(Reason.EMPTY_FILE, f"{_name(path)}: 0 bytes")
        yield from records
    except OSError as error:
        if error.errno is not None:  # a fault of storage says nothing of the file: a retry may heal it
            raise
        raise Refusal(Reason.UNREADABLE_FILE, f"{_name(path)}: {printable(str(error))}") from error


def _name(path: Path) -> str:
    return printable(path.name)


def _json_lines(path: Path, layout: Layout) -> Iterator[Record]:
    for line in _lines(path, layout.limits):
        try:
            if line.refusal is not None:
                raise line.refusal
            yield Record(line.number, _json_object(line.text, layout.known), line.text)
        except Refusal as refusal:
            yield Record(line.number, {}, line.text, refusal)


def _csv(path: Path, layout: Layout) -> Iterator[Record]:
    lines = _lines(path, layout.limits)
    first = next((line for line in lines if line.refusal or not _separators_alone(line.text)), None)
    if first is None:
        return
    columns, separator = csv_header(first.text, layout.known)
    fault = first.refusal or _column_fault(columns, layout)
    if fault is not None:
        yield Record(first.number, {}, first.text, first.refusal or fault, first.text)
        if first.refusal is not None:
            fault = Refusal(Reason.BAD_COLUMNS, "line 1, which should name the columns, cannot be read")
        for line in lines:
            if line.refusal or not _separators_alone(line.text):
                yield Record(line.number, {}, line.text, line.refusal or fault, first.text)
        return
    for line, values in _csv_records(lines, separator, len(columns)):
        fields = dict(zip(columns, values, strict=False))
        yield Record(line.number, fields, line.text, line.refusal, first.text)


def _separators_alone(text: str) -> bool:
    return not text.strip("".join(_SEPARATORS) + ' "')


def _column_fault(columns: Sequence[str], layout: Layout) -> Refusal | None:
    missing = [name for name in layout.required(columns) if name not in columns]
    if missing:
        found = shown(", ".join(columns))
        return Refusal(Reason.BAD_COLUMNS, f"no column {', '.join(missing)}; found {found}", missing[0])
    twice = [name for name in layout.known if list(columns).count(name) > 1]
    if twice:
        return Refusal(Reason.BAD_COLUMNS, f"column {', '.join(twice)} occurs twice", twice[0])
    return None


def _lines(path: Path, limits: Limits) -> Iterator[_Line]:
    """The non-blank lines of a text file without their ends, one in memory at a time, each at most `limits.line`."""
    budget = Budget(path, limits)
    with path.open("rb") as file:
        if file.read(2) in _UTF16_BOMS:
            raise Refusal(Reason.WRONG_ENCODING, f"{_name(path)}: UTF-16, expected UTF-8")
        file.seek(0)
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        number = 0
        while data := file.readline(limits.line + 1):
            number += 1
            if len(data) > limits.line and not data.endswith(b"\n"):
                size = len(data)
                while not data.endswith(b"\n") and (more := file.readline(limits.line)):
                    size += len(more)
                    data = data[:KEPT_OF_LONG_LINE] + more[-1:]
                text = data[:KEPT_OF_LONG_LINE].decode(errors="backslashreplace")
                budget.take(len(text))
                yield _Line(number, text, limits.too_long(size))
                continue
            data = data.rstrip(b"\r\n")
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                detail = f"byte 0x{data[error.start]:02x} at position {error.start + 1} is not UTF-8"
                budget.take(len(data))
                yield _Line(number, data.decode(errors="backslashreplace"), Refusal(Reason.WRONG_ENCODING, detail))
            else:
                if text and not text.isspace():
                    budget.take(len(data))
                    yield _Line(number, text)


def _json_object(text: str, known: Sequence[str]) -> dict[str, Any]:
    try:
        fields = JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(Reason.UNREADABLE_LINE, f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refusal(Reason.UNREADABLE_LINE, f"expected a JSON object, found {shown(fields)}")
    if "\\u" in text:  # only an escape can hide half a surrogate pair, which no table can store
        check_encoding(fields, known)
    return fields


def check_encoding(fields: dict[str, Any], known: Sequence[str]) -> None:
    """Raises Refusal for half a surrogate pair in one of the `known` fields."""
    for name in known:
        value = fields.get(name)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise Refusal(Reason.WRONG_ENCODING, f"{name}: half a surrogate pair in {shown(value)}", name)


class _Feed:
    """Hands lines to csv.reader, which asks for more while a quote is open, and takes them back."""

    def __init__(self, lines: Iterator[_Line]) -> None:
        self._lines = lines
        self._returned: deque[_Line] = deque()
        self.taken: list[_Line] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self.pull() if len(self.taken) < _MAX_RECORD_LINES else None
        if line is None:
            raise StopIteration
        if line.refusal is not None:
            self._returned.appendleft(line)
            raise StopIteration
        self.taken.append(line)
        return line.text + "\n"

    def pull(self) -> _Line | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)

    def give_back(self, lines: list[_Line]) -> None:
        self._returned.extendleft(reversed(lines))


def _csv_records(lines: Iterator[_Line], separator: str, width: int) -> Iterator[tuple[_Line, list[str]]]:
    """Each record with its first line's number and all its text; a refused line has no values."""
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=separator, strict=True)
    while (line := feed.pull()) is not None:
        if line.refusal is not None:
            yield line, []
            continue
        feed.give_back([line])
        feed.taken = []
        try:
            values = next(reader)
            if not any(value.strip() for value in values):
                continue
            if len(values) != width:
                raise csv.Error(f"{len(values)} fields, the header has {width}")
        except csv.Error as error:
            feed.give_back(feed.taken[1:])
            yield line._replace(refusal=Refusal(Reason.UNREADABLE_LINE, f"not a CSV record: {error}")), []
        else:
            yield line._replace(text="\n".join(part.text for part in feed.taken)), values


def _json_objects(path: Path, limits: Limits) -> Iterator[Record]:
    """Decoded from a window of the file that holds little more than one object, whatever the file's size."""
    budget = Budget(path, limits)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, (fields, raw) in enumerate(objects(file.read, 8 * limits.line), start=1):
                size = len(raw.encode())
                budget.take(min(size, limits.line))
                refusal = limits.too_long(size) if size > limits.line else None
                yield Record(number, fields, raw[:KEPT_OF_LONG_LINE] if refusal else raw, refusal)
    except UnicodeDecodeError as error:
        raise Refusal(Reason.WRONG_ENCODING, f"{_name(path)}: not UTF-8: {error.reason}") from error
    except (ValueError, RecursionError) as error:
        raise Refusal(Reason.UNREADABLE_FILE, f"{_name(path)}: not JSON: {error}") from error


def _parquet(path: Path, layout: Layout) -> Iterator[Record]:
    types, rows = flat_rows(path, layout.limits)
    fault = _column_fault(list(types), layout)
    if fault is None:
        for name in layout.known:
            if name in types and (not rows or name not in rows[0]):
                fault = Refusal(Reason.WRONG_TYPE, f"{name}: expected text or a number, found {types[name]}", name)
                break
    for number, row in enumerate(rows, start=1):
        raw = json.dumps(row, default=str, ensure_ascii=False)
        if (size := len(raw)) > layout.limits.line:
            yield Record(number, {}, raw[:KEPT_OF_LONG_LINE], layout.limits.too_long(size))
        else:
            yield Record(number, {} if fault else row, raw, fault)
