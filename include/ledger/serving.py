"""`thresholds.json`, the one file serving reads: a copy of the ledger's last version, always whole, never older.

It holds version, hash and ds of that version, what each policy does with videos without a score and where a cell is
unknown (`policies`), and the two thresholds of every cell (`cells`). Where a cell has a `canary`, its remove_at and
review_at take the place of the cell's for every video with bucket(video_id, salt) < share; docs/serving.md says how
buckets are computed. A threshold of 1, which no score reaches, is null there: a reader that compared a score of
exactly 1 with it would act. Readers must ignore keys they do not know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from include.config.model import Config
from include.contract.tables import CELL
from include.files import locked, make_folder, written_whole
from include.ledger.chain import LedgerError, acting, acting_of, plain

Document = dict[str, Any]

_LEVELS = ("remove_at", "review_at")


def serving_document(row: Mapping[str, Any], config: Config) -> Document:
    """The content of `thresholds.json` for the ledger row `row`."""
    return {
        "version": int(row["version"]),
        "hash": row["hash"],
        "ds": plain(row["ds"]),
        "policies": {
            name: {"no_score": policy.no_score, "default": _served(policy.start._asdict())}
            for name, policy in sorted(config.policies.items())
        },
        "cells": [_served(cell) for cell in json.loads(row["thresholds"])],
    }


def _served(cell: Mapping[str, Any]) -> Document:
    """Thresholds, and those of a canary in them, as serving reads them."""
    levels = {name: None if cell[name] == 1 else cell[name] for name in _LEVELS}
    return {**cell, **levels} | ({"canary": _served(cell["canary"])} if "canary" in cell else {})


def _known(cell: Mapping[str, Any]) -> Document:
    """The inverse of `_served`."""
    levels = {name: 1.0 if cell[name] is None else cell[name] for name in _LEVELS}
    return {**cell, **levels} | ({"canary": _known(cell["canary"])} if "canary" in cell else {})


def serving_bytes(document: Document) -> bytes:
    """The file's content."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def write_serving(path: Path, document: Document) -> bool:
    """Put `document` in place of `path`, atomically; False if a newer version is there, which then stays.

    The bytes are on disk before the name points to them, and writers take turns under a lock on the folder, so a reader
    finds a whole document, and never an older one after a newer one. A version equal to the one there replaces it.

    Raises:
        OSError: the disk is full or not writable; what was there before is untouched.
    """
    make_folder(path.parent)
    with locked(path.parent):
        there = present(path)
        if there is not None and there["version"] > document["version"]:
            return False
        if there == document:
            return True
        with written_whole(path) as file:
            file.write(serving_bytes(document))
            os.fchmod(file.fileno(), 0o644)
    return True


def read_serving(path: Path) -> Document:
    """The validated content of `thresholds.json`.

    Raises:
        LedgerError: unreadable, or not of the expected form, naming file and key.
        FileNotFoundError: there is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LedgerError(f"{path}: not valid JSON: {error}") from error
    problem = _document_problem(document)
    if problem:
        raise LedgerError(f"{path}: {problem}")
    return document


def present(path: Path) -> Document | None:
    """The serving document there, or None if there is none that can be used."""
    try:
        return read_serving(path)
    except (FileNotFoundError, LedgerError):
        return None


def differences(document: Document, row: Mapping[str, Any]) -> list[str]:
    """Where `document` does not say what the ledger row of its version says. `policies` is the configuration's."""
    found = [
        f"{name} is {document[name]} and should be {plain(row[name])}"
        for name in ("hash", "ds")
        if document[name] != plain(row[name])
    ]
    served, expected = acting([_known(cell) for cell in document["cells"]]), acting_of(row)
    return found + [
        f"{'/'.join(cell)} is {served.get(cell)} and should be {expected.get(cell)}"
        for cell in sorted(served.keys() | expected.keys())
        if served.get(cell) != expected.get(cell)
    ]


def _document_problem(document: Any) -> str | None:
    """The first thing that keeps a document from being a serving document."""
    return next(_document_problems(document), None)


def _document_problems(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        yield f"expected an object, found {type(document).__name__}"
        return
    for key, kind in {"version": int, "hash": str, "ds": str, "policies": dict, "cells": list}.items():
        if not isinstance(document.get(key), kind) or isinstance(document[key], bool):
            yield f"{key}: expected {kind.__name__}, found {document.get(key)!r:.100}"
            return
    for name, policy in document["policies"].items():
        if not isinstance(policy, dict) or policy.get("no_score") not in ("review", "allow"):
            yield f"policies.{name}: expected no_score review or allow, found {policy!r:.100}"
            return
        yield from _pair_problems(f"policies.{name}.default", policy.get("default"))
    for number, cell in enumerate(document["cells"]):
        if not isinstance(cell, dict) or not all(isinstance(cell.get(name), str) for name in CELL):
            yield f"cells[{number}]: expected {', '.join(CELL)} as text, found {cell!r:.100}"
            return
        yield from _pair_problems(f"cells[{number}]", cell)
        if "canary" in cell:
            yield from _canary_problems(f"cells[{number}].canary", cell["canary"])


def _pair_problems(where: str, pair: Any) -> Iterator[str]:
    values = [pair.get(name, -1) for name in ("review_at", "remove_at")] if isinstance(pair, dict) else []
    levels = [1 if value is None else value for value in values]
    numbers = [value for value in levels if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] <= 1:
        yield f"{where}: expected 0 <= review_at <= remove_at <= 1, or null for none, found {pair!r:.100}"


def _canary_problems(where: str, canary: Any) -> Iterator[str]:
    yield from _pair_problems(where, canary)
    share, salt = (canary.get("share"), canary.get("salt")) if isinstance(canary, dict) else (None, None)
    if not isinstance(share, float) or not 0 < share < 1:
        yield f"{where}: expected a share between 0 and 1, found {share!r:.100}"
    if not isinstance(salt, int) or not 0 <= salt < 2**31:
        yield f"{where}: expected a salt in [0, 2^31), found {salt!r:.100}"
