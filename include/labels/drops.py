"""Reads the files reviewers' labels arrive in: JSON Lines, CSV, Parquet and Label Studio's exports, losing nothing.

Nothing is judged here but whether an event can be read at all; `include.labels.ingest` judges what it says. How each
format is read is in `include.reading.records`. What cannot be read becomes a row of `label_rejects`; the content of a
file never raises.

- Files are read in the order of their names. The ending decides: `.jsonl`, `.csv`, `.parquet`, `.json`, in any case.
- Unfinished files are passed over: names that start with `.` or `_` or end in `.tmp` or `.part`. A writer renames when
  done. A file replaced later is simply read again with its day.
- `push-*.jsonl` files hold what review tools pushed, one batch a file; `include.labels.push` writes them.
- Label Studio: `.json` is its JSON or JSON-MIN export or what it puts into target storage, where a file's name may also
  be a number alone; a CSV with the columns annotation_id and annotator is its CSV export; and a line of JSON may be any
  of its shapes that hold one annotation, the payload of a webhook among them. `include.labels.label_studio` says how an
  annotation becomes an event. `source_line` counts annotations. An annotation as `label_rejects` keeps it is also taken
  as a line of JSON, so that it can be corrected and sent again.
- Columns the contract does not know stay in `raw` and are ignored. `sample_id` and `supersedes` may be absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.contract.terms import Reason
from include.labels import label_studio
from include.reading.folder import printable, stays_within, unfinished
from include.reading.limits import Limits
from include.reading.records import Layout, Record, check_encoding, read_json, read_records
from include.reading.refusal import Refusal, shown
from include.reading.values import as_text

FIELDS = TABLES["reviewer_labels"].column_names
REQUIRED_FIELDS = tuple(c.name for c in TABLES["reviewer_labels"].columns if not c.nullable)
RAW_COLUMNS = (*FIELDS, "source_file", "source_line", "raw", "header")
KNOWN_COLUMNS = tuple(dict.fromkeys((*FIELDS, *label_studio.ROW_COLUMNS)))
"""Of a CSV file's header, those that say what the file is."""

ENDINGS = (".jsonl", ".csv", ".parquet", ".json")
MAX_PUSH_BYTES = 2**20
PUSH_PREFIX = "push-"


def read_drops(
    folder: Path, rows: pd.DataFrame | None = None, *, within: Path | None = None, limits: Limits | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Everything in one arrival day's folder: (raw events, refused).

    `rows`: the day of a table `reviewer_labels`, where the warehouse has one; it is read as a file of that name whose
    lines are the rows by event_id, then by what else they say. `within`: the landing folder, which no link may lead out
    of; None: the day's folder.

    Raw events have RAW_COLUMNS: the fields of `reviewer_labels` as text (NaN where absent), source_file (the file's
    name), source_line (int64, from 1), raw (the text as read, without line end) and header (line 1 of a CSV file, else
    NaN). Refused has the columns of `label_rejects`. Both in the order of (source_file, source_line); together they are
    all that was read. A folder that does not exist holds nothing. No more than `limits` allows is held of a file.
    """
    drops = _Drops(within or folder, limits or Limits())
    paths = folder.iterdir() if folder.is_dir() else ()
    for name, path in sorted((printable(path.name), path) for path in paths):
        if not unfinished(name):
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

    def __init__(self, within: Path, limits: Limits) -> None:
        self._within, self._limits = within, limits
        self._layout = Layout(KNOWN_COLUMNS, _required, limits)
        self.events: list[tuple[Any, ...]] = []
        self.refused: list[tuple[Any, ...]] = []

    def read(self, name: str, path: Path) -> None:
        events, refused = len(self.events), len(self.refused)
        try:
            if not stays_within(path, self._within):
                raise Refusal(Reason.LINK_OUT_OF_FOLDER, f"{name}: leads out of the landing folder")
            if name.startswith(PUSH_PREFIX) and path.is_file() and path.stat().st_size > MAX_PUSH_BYTES:
                detail = f"{name}: {path.stat().st_size} bytes, at most {MAX_PUSH_BYTES} are read"
                raise Refusal(Reason.PUSH_TOO_LARGE, detail)
            if not path.is_file() or _ending(path) not in ENDINGS:
                detail = f"{name}: expected a file ending in {', '.join(ENDINGS)}"
                raise Refusal(Reason.UNKNOWN_FILE_TYPE, detail)
            for record in self._records(name, path):
                self._take(name, record)
        except Refusal as refusal:
            del self.events[events:], self.refused[refused:]
            self._refuse(name, Record(0, {}, ""), refusal)

    def read_table(self, rows: pd.DataFrame) -> None:
        texts = rows[list(FIELDS)].astype("object").where(rows[list(FIELDS)].notna(), None)
        texts["labelled_at"] = [None if at is None else at.isoformat() for at in texts["labelled_at"]]
        records = texts.to_dict("records")
        lines = sorted(records, key=lambda row: json.dumps(row, default=str, ensure_ascii=False))
        for number, row in enumerate(lines, start=1):
            raw = json.dumps(row, default=str, ensure_ascii=False)
            self._accept("reviewer_labels", Record(number, {str(k): v for k, v in row.items()}, raw))

    def _records(self, name: str, path: Path) -> Iterator[Record]:
        if _ending(path) != ".json":
            return read_records(path, self._layout)
        return _annotations(name, read_json(path, self._limits))

    def _take(self, name: str, record: Record) -> None:
        """The event of a record; none for a task that nobody annotated."""
        if record.refusal is None and label_studio.is_export(record.fields):
            self._take_annotation(name, record)
        elif record.refusal is None:
            self._accept(name, record)
        else:
            self._refuse(name, record, record.refusal)

    def _take_annotation(self, name: str, record: Record) -> None:
        try:
            annotations = list(label_studio.annotated(record.fields))
            if len(annotations) > 1:
                raise ValueError(f"{len(annotations)} annotations; a line holds one at most")
            for annotation in annotations:
                fields = label_studio.event(annotation)
                check_encoding(fields, FIELDS)
                self._accept(name, record._replace(fields=fields))
        except Refusal as refusal:
            self._refuse(name, record, refusal)
        except label_studio.Skipped as skipped:
            self._refuse(name, record, Refusal(Reason.SKIPPED_ANNOTATION, str(skipped)))
        except label_studio.NoAnswer as other:
            self._refuse(name, record, Refusal(Reason.NO_ANSWER, str(other)))
        except ValueError as error:
            self._refuse(name, record, Refusal(Reason.UNREADABLE_LINE, str(error)))

    def _accept(self, name: str, record: Record) -> None:
        try:
            values = [as_text(column, record.fields.get(column)) for column in FIELDS]
        except Refusal as refusal:
            self._refuse(name, record, refusal)
        else:
            self.events.append((*values, name, record.line, record.raw, record.header))

    def _refuse(self, name: str, record: Record, refusal: Refusal) -> None:
        line = (name, record.line, refusal.reason.value, refusal.detail, record.raw, record.header)
        self.refused.append(line)


def _required(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns a CSV or Parquet file of these columns must have."""
    return label_studio.ROW_COLUMNS if label_studio.is_row(columns) else REQUIRED_FIELDS


def _ending(path: Path) -> str:
    """A file's ending in small letters; target storage names an annotation's file by its number alone."""
    return ".json" if path.name.isdecimal() else path.suffix.lower()


def _annotations(name: str, records: Iterator[Record]) -> Iterator[Record]:
    """Each annotation of an export, counted through. Raises Refusal for a file that is none."""
    number = 0
    for record in records:
        if record.refusal is None and not label_studio.is_export(record.fields):
            detail = f"{name}: record {record.line} is neither a task nor an annotation of Label Studio: "
            raise Refusal(Reason.UNREADABLE_FILE, detail + shown(record.fields))
        try:
            annotations = [] if record.refusal else list(label_studio.annotated(record.fields))
        except ValueError:  # a webhook that brings none, which is said of it where it is taken
            annotations = [record.fields]
        for annotation in annotations:
            number += 1
            yield record._replace(line=number, fields=annotation, raw=json.dumps(annotation))
        if record.refusal:
            number += 1
            yield record._replace(line=number)
