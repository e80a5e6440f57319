"""Reads the files reviewers' labels arrive in: JSON Lines, CSV, Parquet and Label Studio's exports, losing nothing.

Nothing is judged here but whether an event can be read at all; `include.labels.ingest` judges what it says. All fields
stay text until then, so a 64-bit video_id never passes through a float. What cannot be read becomes a row of
`label_rejects`; the content of a file never raises.

- Files are read in the order of their names. The ending decides: `.jsonl`, `.csv`, `.parquet`, `.json`, in any case.
- Unfinished files are passed over: names that start with `.` or `_` or end in `.tmp` or `.part`. A writer renames when
  done. A file replaced later is simply read again with its day.
- Text is UTF-8, with or without a byte-order mark. Lines end in LF or CRLF. Blank lines are no events.
- JSON Lines: one object a line. Numbers are kept as they were written; `null` and `NaN` are missing.
- CSV: line 1 names the columns; the separator among `,` `;` and tab is the one that finds most columns of the contract
  there, so `0,5` stays one value in a `;` file. A quoted field may hold line breaks; the record has the number of its
  first line. A quote that never closes costs its own line only. When a column is missing, every line is refused,
  line 1 included, with its text.
- `push-*.jsonl` files hold what review tools pushed, one batch a file; `include.labels.push` writes them.
- Parquet: `source_line` counts rows from 1, `raw` is the row as JSON. A damaged file is refused as a whole.
- Label Studio: `.json` is its JSON or JSON-MIN export, and a CSV with the columns annotation_id and annotator its CSV
  export; `include.labels.label_studio` says how an annotation becomes an event. `source_line` counts annotations. An
  annotation as `label_rejects` keeps it is also taken as a line of JSON, so that it can be corrected and sent again.
- Columns the contract does not know stay in `raw` and are ignored. `sample_id` and `supersedes` may be absent.
"""

from __future__ import annotations

import csv
import json
import math
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.contract.terms import Term
from include.labels import label_studio


class Reason(Term):
    """Why a label event was refused. The first rule that applies, in this order, names the refusal."""

    UNKNOWN_FILE_TYPE = (
        "unknown_file_type",
        "The name ends in none of .jsonl, .csv, .parquet, .json; the file is not read.",
    )
    EMPTY_FILE = "empty_file", "The file holds no byte."
    UNREADABLE_FILE = "unreadable_file", "The file as a whole cannot be read, such as a truncated Parquet file."
    PUSH_TOO_LARGE = "push_too_large", "A pushed batch of more than 1 MiB; so much belongs into a file of its own."
    LINE_TOO_LONG = "line_too_long", "The line is longer than 1 MiB; only its beginning is kept."
    WRONG_ENCODING = "wrong_encoding", "The text is not UTF-8."
    UNREADABLE_LINE = "unreadable_line", "The line is not a JSON object, or not a CSV record with the header's columns."
    BAD_COLUMNS = "bad_columns", "The file lacks a required column or names one twice; all its lines are refused."
    SKIPPED_ANNOTATION = "skipped_annotation", "A Label Studio annotation whose annotator skipped the task; no answer."
    WRONG_TYPE = "wrong_type", "A field holds a list, an object, a truth value or bytes instead of text or a number."
    MISSING_FIELD = "missing_field", "A required field is absent or blank."
    BAD_VIDEO_ID = (
        "bad_video_id",
        "video_id is not a 64-bit integer, or passed through a float that may have rounded it.",
    )
    UNKNOWN_POLICY = "unknown_policy", "policies.yaml has no such policy."
    UNKNOWN_DECISION = "unknown_decision", "decision is not violating, not_violating or unsure."
    BAD_TIMESTAMP = "bad_timestamp", "labelled_at is not an ISO 8601 date with a time of day."
    LABELLED_IN_FUTURE = "labelled_in_future", "labelled_at lies after the day of arrival (UTC)."
    OTHER_GUIDELINE = "other_guideline", "The label was made under another guideline version than the policy's."
    SUPERSEDES_ITSELF = "supersedes_itself", "The event claims to correct itself."
    VIDEO_NOT_SAMPLED = "video_not_sampled", "No sample of the window holds the video for this policy."
    OTHER_SAMPLE = "other_sample", "sample_id is given, but is not a draw of this video for this policy."
    LABELLED_BEFORE_SAMPLED = (
        "labelled_before_sampled",
        "The label is not from a day after a day whose sample holds it.",
    )
    MOSTLY_GARBAGE = (
        "mostly_garbage",
        "Nothing is wrong with the event, but too much of its file was refused for the rest to be believed.",
    )
    DUPLICATE_EVENT = "duplicate_event", "An exact repeat of an event already accepted; it counts once."
    CONFLICTING_EVENT = "conflicting_event", "The event_id of an accepted event with other content; the first stands."


FIELDS = TABLES["reviewer_labels"].column_names
REQUIRED_FIELDS = tuple(c.name for c in TABLES["reviewer_labels"].columns if not c.nullable)
RAW_COLUMNS = (*FIELDS, "source_file", "source_line", "raw", "header")

MAX_LINE_BYTES = 2**20
MAX_EXPORT_BYTES = 2**28
MAX_PUSH_BYTES = 2**20
PUSH_PREFIX = "push-"
_KEPT_OF_LONG_LINE = 1000
_MAX_RECORD_LINES = 20
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class _Refusal(Exception):
    """A verdict on content; it never leaves this module."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Line(NamedTuple):
    number: int
    text: str
    refusal: _Refusal | None = None


def read_drops(
    folder: Path, rows: pd.DataFrame | None = None, *, max_line_bytes: int = MAX_LINE_BYTES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Everything in one arrival day's folder: (raw events, refused).

    `rows`: the day of a table `reviewer_labels`, where the warehouse has one; it is read as a file of that name whose
    lines are the rows by event_id, then by what else they say.

    Raw events have RAW_COLUMNS: the fields of `reviewer_labels` as text (NaN where absent), source_file (the file's
    name), source_line (int64, from 1), raw (the text as read, without line end) and header (line 1 of a CSV file, else
    NaN). Refused has the columns of `label_rejects`. Both in the order of (source_file, source_line); together they are
    all that was read. A folder that does not exist holds nothing. No line longer than `max_line_bytes` is ever held in
    memory.
    """
    drops = _Drops(max_line_bytes)
    paths = folder.iterdir() if folder.is_dir() else ()
    for name, path in sorted((_printable(path.name), path) for path in paths):
        if not name.startswith((".", "_")) and not name.endswith((".tmp", ".part")):
            drops.read(name, path)
    if rows is not None:
        drops.read_table(rows)
    raw = pd.DataFrame(drops.events, columns=list(RAW_COLUMNS))
    refused = pd.DataFrame(drops.refused, columns=list(TABLES["label_rejects"].column_names))
    return (
        raw.astype({name: "int64" if name == "source_line" else "str" for name in RAW_COLUMNS}),
        refused.astype(empty_frame(TABLES["label_rejects"]).dtypes.to_dict()),
    )


class _Drops:
    """Collects events and refusals file by file."""

    def __init__(self, max_line_bytes: int) -> None:
        self.max_line_bytes = max_line_bytes
        self.events: list[tuple[Any, ...]] = []
        self.refused: list[tuple[Any, ...]] = []
        self._file = ""
        self._header: str | None = None

    def read(self, name: str, path: Path) -> None:
        self._file, self._header = name, None
        readers = {
            ".jsonl": self._read_jsonl,
            ".csv": self._read_csv,
            ".parquet": self._read_parquet,
            ".json": self._read_export,
        }
        try:
            reader = readers.get(path.suffix.lower())
            if reader is None or not path.is_file():
                raise _Refusal(Reason.UNKNOWN_FILE_TYPE, f"{name}: expected a file ending in {', '.join(readers)}")
            if path.stat().st_size == 0:
                raise _Refusal(Reason.EMPTY_FILE, f"{name}: 0 bytes")
            if name.startswith(PUSH_PREFIX) and path.stat().st_size > MAX_PUSH_BYTES:
                detail = f"{name}: {path.stat().st_size} bytes, at most {MAX_PUSH_BYTES} are read"
                raise _Refusal(Reason.PUSH_TOO_LARGE, detail)
            reader(path)
        except _Refusal as refusal:
            self._refuse(0, refusal, "")
        except OSError as error:
            self._refuse(0, _Refusal(Reason.UNREADABLE_FILE, f"{name}: {error}"), "")

    def read_table(self, rows: pd.DataFrame) -> None:
        self._file, self._header = "reviewer_labels", None
        texts = rows[list(FIELDS)].astype("object").where(rows[list(FIELDS)].notna(), None)
        texts["labelled_at"] = [None if at is None else at.isoformat() for at in texts["labelled_at"]]
        records = texts.to_dict("records")
        lines = sorted(records, key=lambda row: json.dumps(row, default=str, ensure_ascii=False))
        for number, row in enumerate(lines, start=1):
            self._accept(number, {str(k): v for k, v in row.items()}, json.dumps(row, default=str, ensure_ascii=False))

    def _accept(self, line: int, fields: dict[str, Any], raw: str) -> None:
        try:
            values = [_as_text(name, fields.get(name)) for name in FIELDS]
        except _Refusal as refusal:
            self._refuse(line, refusal, raw)
        else:
            self.events.append((*values, self._file, line, raw, self._header))

    def _refuse(self, line: int, refusal: _Refusal, raw: str) -> None:
        self.refused.append((self._file, line, refusal.reason.value, refusal.detail, raw, self._header))

    def _read_jsonl(self, path: Path) -> None:
        for line in _lines(path, self.max_line_bytes):
            try:
                if line.refusal is not None:
                    raise line.refusal
                fields = _json_object(line.text)
            except _Refusal as refusal:
                self._refuse(line.number, refusal, line.text)
                continue
            exported = label_studio.is_annotation(fields) or label_studio.is_row(fields)
            (self._accept_annotation if exported else self._accept)(line.number, fields, line.text)

    def _read_csv(self, path: Path) -> None:
        lines = _lines(path, self.max_line_bytes)
        first = next(lines, None)
        if first is None:
            return
        self._header = first.text
        columns, separator = csv_header(first.text)
        exported = label_studio.is_row(columns)
        fault = _column_fault(columns, label_studio.ROW_COLUMNS) if exported else _column_fault(columns)
        if first.refusal is not None or fault is not None:
            self._refuse(first.number, first.refusal or fault or _no_header(), first.text)
            for line in lines:
                self._refuse(line.number, line.refusal or fault or _no_header(), line.text)
            return
        for line, values in _csv_records(lines, separator, len(columns)):
            fields = dict(zip(columns, values, strict=False))
            if line.refusal is not None:
                self._refuse(line.number, line.refusal, line.text)
            elif not exported:
                self._accept(line.number, fields, line.text)
            elif fields["annotation_id"]:  # without: a task nobody annotated
                self._accept(line.number, label_studio.event(fields), line.text)

    def _read_export(self, path: Path) -> None:
        records = (annotation for record in _export_records(path) for annotation in label_studio.annotated(record))
        for number, annotation in enumerate(records, start=1):
            self._accept_annotation(number, annotation, json.dumps(annotation))

    def _accept_annotation(self, number: int, annotation: dict[str, Any], raw: str) -> None:
        try:
            fields = label_studio.event(annotation)
            _check_encoding(fields)
        except _Refusal as refusal:
            self._refuse(number, refusal, raw)
        except label_studio.Skipped as skipped:
            self._refuse(number, _Refusal(Reason.SKIPPED_ANNOTATION, str(skipped)), raw)
        except ValueError as error:
            self._refuse(number, _Refusal(Reason.UNREADABLE_LINE, str(error)), raw)
        else:
            self._accept(number, fields, raw)

    def _read_parquet(self, path: Path) -> None:
        rows, columns = _parquet_rows(path)
        fault = _column_fault(columns)
        for number, row in enumerate(rows, start=1):
            raw = json.dumps(row, default=str, ensure_ascii=False)
            if fault is not None:
                self._refuse(number, fault, raw)
            else:
                self._accept(number, row, raw)


def _lines(path: Path, limit: int) -> Iterator[_Line]:
    """The non-blank lines of a text file without their ends, one in memory at a time, each at most `limit` bytes."""
    with path.open("rb") as file:
        if file.read(2) in _UTF16_BOMS:
            raise _Refusal(Reason.WRONG_ENCODING, f"{path.name}: UTF-16, expected UTF-8")
        file.seek(0)
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        number = 0
        while data := file.readline(limit + 1):
            number += 1
            if len(data) > limit and not data.endswith(b"\n"):
                size = len(data)
                while not data.endswith(b"\n") and (more := file.readline(limit)):
                    size += len(more)
                    data = data[:_KEPT_OF_LONG_LINE] + more[-1:]
                text = data[:_KEPT_OF_LONG_LINE].decode(errors="backslashreplace")
                yield _Line(number, text, _Refusal(Reason.LINE_TOO_LONG, f"{size} bytes, at most {limit} are read"))
                continue
            data = data.rstrip(b"\r\n")
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                detail = f"byte 0x{data[error.start]:02x} at position {error.start + 1} is not UTF-8"
                text = data.decode(errors="backslashreplace")
                yield _Line(number, text, _Refusal(Reason.WRONG_ENCODING, detail))
            else:
                if text and not text.isspace():
                    yield _Line(number, text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return fields


_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=_object)


def _json_object(text: str) -> dict[str, Any]:
    try:
        fields = _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise _Refusal(Reason.UNREADABLE_LINE, f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise _Refusal(Reason.UNREADABLE_LINE, f"expected a JSON object, found {_shown(fields)}")
    if "\\u" in text:  # only an escape can hide half a surrogate pair, which no table can store
        _check_encoding(fields)
    return fields


def _check_encoding(fields: dict[str, Any]) -> None:
    for name in FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise _Refusal(Reason.WRONG_ENCODING, f"{name}: half a surrogate pair in {_shown(value)}")


def _export_records(path: Path) -> list[dict[str, Any]]:
    """The tasks or rows of a Label Studio export, read as a whole, which is why its size has a limit."""
    if (size := path.stat().st_size) > MAX_EXPORT_BYTES:
        raise _Refusal(Reason.UNREADABLE_FILE, f"{path.name}: {size} bytes, at most {MAX_EXPORT_BYTES} are read")
    try:
        content = _JSON.decode(path.read_bytes().decode("utf-8-sig").strip())
    except UnicodeDecodeError as error:
        raise _Refusal(Reason.WRONG_ENCODING, f"{path.name}: not UTF-8 at byte {error.start + 1}") from error
    except (ValueError, RecursionError) as error:
        raise _Refusal(Reason.UNREADABLE_FILE, f"{path.name}: not JSON: {error}") from error
    records = content if isinstance(content, list) else [content]
    for number, record in enumerate(records, start=1):
        if not (isinstance(record, dict) and (label_studio.is_task(record) or label_studio.is_row(record))):
            detail = (
                f"{path.name}: record {number} is neither a task nor an annotation of Label Studio: {_shown(record)}"
            )
            raise _Refusal(Reason.UNREADABLE_FILE, detail)
    return records


def csv_header(text: str) -> tuple[list[str], str]:
    """(column names, separator) of the separator that finds most of the contract's columns; the first wins ties."""
    candidates = []
    for separator in (",", ";", "\t"):
        try:
            names = next(csv.reader([text], delimiter=separator, strict=True))
        except csv.Error:
            names = []
        candidates.append(([name.strip() for name in names], separator))
    known = {*FIELDS, *label_studio.ROW_COLUMNS}
    return max(candidates, key=lambda candidate: len(set(candidate[0]) & known))


def _column_fault(columns: list[str], required: tuple[str, ...] = REQUIRED_FIELDS) -> _Refusal | None:
    missing = [name for name in required if name not in columns]
    if missing:
        found = ", ".join(columns)
        return _Refusal(Reason.BAD_COLUMNS, f"no column {', '.join(missing)}; found {_shown(found)}")
    twice = [name for name in FIELDS if columns.count(name) > 1]
    if twice:
        return _Refusal(Reason.BAD_COLUMNS, f"column {', '.join(twice)} occurs twice")
    return None


def _no_header() -> _Refusal:
    return _Refusal(Reason.BAD_COLUMNS, "line 1, which should name the columns, cannot be read")


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
            if len(values) != width:
                raise csv.Error(f"{len(values)} fields, the header has {width}")
        except csv.Error as error:
            feed.give_back(feed.taken[1:])
            yield line._replace(refusal=_Refusal(Reason.UNREADABLE_LINE, f"not a CSV record: {error}")), []
        else:
            yield line._replace(text="\n".join(part.text for part in feed.taken)), values


def _parquet_rows(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows, column names). Times become text in Arrow, which alone can show those Python has no date for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        if len(set(table.column_names)) < table.num_columns:
            raise ValueError(f"columns {', '.join(table.column_names)}: one occurs twice")
        for position, field in enumerate(table.schema):
            if pa.types.is_temporal(field.type):
                table = table.set_column(position, field.name, table.column(position).cast(pa.string()))
        return table.to_pylist(), table.column_names
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _Refusal(Reason.UNREADABLE_FILE, f"{path.name}: {str(error)[:300]}") from error


def _as_text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else repr(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise _Refusal(Reason.WRONG_TYPE, f"{name}: expected text or a number, found {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


def _printable(name: str) -> str:
    """A file name as text any table can hold; names need not be UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
