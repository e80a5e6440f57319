"""`python -m include.labels.replay`: takes refused label events out to be corrected, and sends them in again.

    python -m include.labels.replay --day 2026-11-03 --out refused.jsonl [--reason unknown_policy ...]
    python -m include.labels.replay --day 2026-11-05 --send refused.jsonl

Out: JSON Lines, one refused event a line: the fields of `reviewer_labels` as far as they can be told, to be corrected;
`refused`: file, line, reason and detail; `raw`: the event as it was read. The file is a drop as it stands, because
ingestion ignores fields it does not know. Exact repeats are left out unless asked for: nothing is wrong with them.
Refused files (line 0) hold no event to correct; they are listed, and the tool that wrote them must write them again.

Send: puts the file into the folder of `--day` as a drop of its own, named after its content: sending it twice is
sending it once. Its events then count as arrived on that day and are judged like any other's; a refused event never
took its event_id, so it keeps it. Lines that were not corrected are refused again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from include.config.declared import declared_settings
from include.contract.terms import Reason
from include.files import write_whole
from include.labels.drops import FIELDS, KNOWN_COLUMNS
from include.labels.stage import drop_folder
from include.project import Project, open_project
from include.reading.records import csv_header


def refused_events(rejects: pd.DataFrame, reasons: Collection[str] = ()) -> list[str]:
    """Refused events of `rejects` (`label_rejects`) as lines of JSON: of `reasons`, or of all but exact repeats."""
    asked = rejects["reason"].isin(list(reasons)) if reasons else rejects["reason"] != Reason.DUPLICATE_EVENT
    rows = rejects[asked & (rejects["source_line"] > 0)].sort_values(["source_file", "source_line"])
    lines = []
    for row in rows.to_dict("records"):
        header = None if pd.isna(row["header"]) else str(row["header"])
        if header == row["raw"] and row["source_line"] == 1:
            continue  # the header itself, refused with its columns
        known = _fields(str(row["raw"]), header)
        refused = {
            "file": row["source_file"],
            "line": row["source_line"],
            "reason": row["reason"],
            "detail": row["detail"],
        }
        event = {name: known.get(name) for name in FIELDS}
        lines.append(json.dumps({**event, "refused": refused, "raw": row["raw"]}, ensure_ascii=False))
    return lines


def send(project: Project, day: date, content: bytes) -> Path:
    """Puts corrected events into the folder of `day`; the path of the drop.

    Raises ValueError naming the first line that is no JSON object: nothing is sent then.
    """
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                event = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: not JSON: {error}") from error
            if not isinstance(event, dict):
                raise ValueError(f"line {number}: expected a JSON object")
    target = drop_folder(project.settings, day) / f"replay-{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
    write_whole(target, content)
    return target


def _fields(raw: str, header: str | None) -> dict[str, Any]:
    """What an event said, as far as its text can be read."""
    try:
        if header is None:
            event = json.loads(raw)
            return event if isinstance(event, dict) else {}
        columns, separator = csv_header(header, KNOWN_COLUMNS)
        values = next(csv.reader(raw.splitlines(keepends=True), delimiter=separator, strict=True))
    except (ValueError, RecursionError, csv.Error, StopIteration):
        return {}
    return dict(zip(columns, values, strict=True)) if len(values) == len(columns) else {}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 2 if there is nothing it can do, said on standard error."""
    options = _parser().parse_args(arguments)
    project = open_project(declared_settings())
    if options.send is not None:
        try:
            target = send(project, options.day, options.send.read_bytes())
        except (OSError, ValueError) as error:
            print(f"{options.send}: {error}. Nothing was sent.", file=sys.stderr)
            return 2
        print(f"Sent as {target}")
        if options.day in project.warehouse.days("label_events"):
            print(f"{options.day} has been ingested already: run ingest_reviewer_labels again for it and later days")
        return 0
    rejects = project.warehouse.read("label_rejects", options.day, options.day)
    lines = refused_events(rejects, options.reason)
    write_whole(options.out, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
    print(f"{len(lines)} of {len(rejects)} refused events of {options.day} written to {options.out}")
    for row in rejects[rejects["source_line"] == 0].itertuples():
        print(f"Refused as a whole, to be written again by its tool: {row.source_file}: {row.detail}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.labels.replay", description="Corrects refused label events."
    )
    parser.add_argument(
        "--day", type=date.fromisoformat, required=True, help="day of arrival: of refusal, or to send on"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="file to write the refused events to")
    what.add_argument("--send", type=Path, help="file of corrected events to put in as a drop")
    names = [reason.value for reason in Reason]
    parser.add_argument(
        "--reason", action="append", default=[], choices=names, metavar="REASON", help="only such events"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
