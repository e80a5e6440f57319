"""The threshold ledger: numbered without gaps, hash-chained, append-only. Pure: rows in, rows and findings out.

The ledger is the truth; `thresholds.json` (serving.py) is a copy of its last version. Version 1 holds the
thresholds that cells start with. Every later one holds those of the version before with its `changes` applied, so the
whole history can be replayed from the changes and checked (`verify`).

A change with `canary` (share, salt) acts on a share of its cell's videos only, until a later one ends it or lets it act
on more; on all others the thresholds before it stay in force.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from include.contract.cell import Cell, Row, cell_of, records
from include.contract.change import Change, changes_of
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL, TABLES
from include.files import canonical_json, digest_of

Acting = dict[tuple[str, ...], tuple[float, ...]]
"""Levels by cell; by (*cell, "canary"): remove_at, review_at, share, salt of what acts on a share of its videos."""

TABLE = "threshold_ledger"
_COLUMNS = TABLES[TABLE].column_names
_JSON_COLUMNS = ("column_hashes", "thresholds", "changes", "proposal_ids", "evidence", "request")
_SEALS = ("hash", "column_hashes")
_LEVELS = ("remove_at", "review_at")
_CANARY = (*_LEVELS, "share", "salt")


class LedgerError(ValueError):
    """The ledger or the serving file is not what Plumbline wrote, and nothing may be built on it."""


def column_hashes(row: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 (hex) over the canonical JSON of `ds` and of every column but hash and column_hashes, by name."""
    names = ("ds", *(name for name in _COLUMNS if name not in _SEALS))
    return {name: digest_of(plain(row[name])) for name in names}


def next_version(
    previous: Mapping[str, Any] | None,
    *,
    day: date,
    changes: Sequence[Change],
    thresholds: Sequence[Mapping[str, Any]],
    proposal_ids: Sequence[str],
    evidence: Mapping[str, str],
    code_version: str,
    requester: str,
    approver: str | None,
    reason: str,
    expires_on: date | None,
    request: Mapping[str, Any],
    published_at: datetime,
) -> Row:
    """The ledger row that follows `previous` (None: version 1), hashed; `ds` included.

    Args:
        day: partition, the day the thresholds rest on.
        changes: what it changes.
        thresholds: all cells after the changes, as `listed`.
        proposal_ids: proposals carried out.
        evidence: SHA-256 of each input partition, by name.
        expires_on: last day the changes hold; None: until something newer is published.
        request: what was asked for, with all that is needed to compute the changes anew; `kind` says what it is.
        published_at: with a time zone.

    Raises:
        ValueError: a published_at without a time zone, or a blank reason.
    """
    if published_at.tzinfo is None:
        raise ValueError("published_at: has no time zone")
    if not reason.strip():
        raise ValueError("reason: is blank")
    row: Row = {
        "ds": day,
        "version": 1 if previous is None else int(previous["version"]) + 1,
        "previous_hash": "" if previous is None else previous["hash"],
        "published_at": published_at.astimezone(UTC),
        "thresholds": canonical_json(sorted(thresholds, key=cell_of)),
        "changes": canonical_json([change.to_json() for change in sorted(changes, key=lambda change: change.cell)]),
        "proposal_ids": canonical_json(sorted(proposal_ids)),
        "evidence": canonical_json(evidence),
        "code_version": code_version,
        "requester": requester,
        "approver": approver,
        "reason": reason,
        "expires_on": expires_on,
        "request": canonical_json(request),
    }
    hashes = column_hashes(row)
    row |= {"column_hashes": canonical_json(hashes), "hash": digest_of(hashes)}
    return {"ds": day, **{name: row[name] for name in _COLUMNS}}


def verify(rows: pd.DataFrame, *, replayed: int | None = None) -> list[str]:
    """Recompute the whole chain; what is wrong, each naming the version and, where it can be told, the column.

    Args:
        rows: the ledger, any order: `ds` and the columns of threshold_ledger.
        replayed: of how many versions, the last ones, it is also recomputed that their thresholds follow from the
            version before and their changes; None: of all.

    Every column has a hash of its own, and `hash` seals these. A version changed with all its hashes made anew shows in
    the version after it, and in `thresholds.json` if it is the last; so does a removed tail.
    """
    problems: list[str] = []
    chain = in_order(rows)
    for number, row in enumerate(chain):
        name, before = f"version {row['version']}", chain[number - 1] if number else None
        after = chain[number + 1] if number + 1 < len(chain) else None
        expected = 1 if before is None else before["version"] + 1
        if row["version"] != expected:
            problems.append(f"{name}: a gap or a repetition, version {expected} was expected")
        if replayed is None or number >= len(chain) - replayed:
            problems += [f"{name}: column {text}" for text in _column_problems(row, before)]
        problems += [f"{name}: {text}" for text in _seal_problems(row, after)]
        if row["previous_hash"] != ("" if before is None else before["hash"]):
            problems.append(f"{name}: previous_hash {row['previous_hash'] or '(empty)'} is not the hash before it")
    return problems


def in_order(rows: pd.DataFrame) -> list[Row]:
    """The ledger's rows by version, `ds` as a date and missing values as None."""
    chain = [{name: _value(name, row[name]) for name in ("ds", *_COLUMNS)} for row in records(rows)]
    return sorted(chain, key=lambda row: (row["version"], row["hash"]))


def _value(name: str, value: Any) -> Any:
    if pd.isna(value):
        return None
    if name in ("ds", "expires_on"):
        return pd.Timestamp(value).date()
    return int(value) if name == "version" else value


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dates and UTC times as ISO text, numpy scalars as Python's, missing as null."""
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        stamp = pd.Timestamp(value)
        stamp = stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)
        return stamp.to_pydatetime().isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def _column_problems(row: Row, before: Row | None) -> Iterator[str]:
    """What can be told to be wrong in a row without its hash."""
    broken = set()
    for name in _JSON_COLUMNS:
        try:
            if canonical_json(json.loads(row[name])) != row[name]:
                yield f"{name} is not in canonical form"
        except (TypeError, ValueError):
            broken.add(name)
            yield f"{name} is not JSON"
    if before is not None:
        for name in ("ds", "published_at"):
            if row[name] < before[name]:
                yield f"{name} {row[name]} is earlier than in version {before['version']}"
    if before is None or broken & {"thresholds", "changes"}:
        return
    try:
        expected = acting_of(before)
    except (KeyError, TypeError, ValueError):
        return  # told of the version before
    try:
        actual = acting_of(row)
        expected = acting_after(expected, changes_of(row))
    except (KeyError, TypeError, ValueError) as error:
        yield f"thresholds or changes does not have the expected form ({error!r})"
        return
    for cell in sorted(expected.keys() | actual.keys()):
        if expected.get(cell) != actual.get(cell):
            yield f"thresholds or changes: {'/'.join(cell)} should be {expected.get(cell)} and is {actual.get(cell)}"


def _seal_problems(row: Row, after: Row | None) -> Iterator[str]:
    """Which columns no longer fit their hashes."""
    actual = column_hashes(row)
    try:
        stored = json.loads(row["column_hashes"])
    except (TypeError, ValueError):
        return  # told as not JSON
    if digest_of(stored) == row["hash"]:
        yield from (f"column {name} was changed" for name in actual if stored.get(name) != actual[name])
    elif digest_of(actual) == row["hash"]:
        yield "column column_hashes was changed"
    elif after is None or after["previous_hash"] not in (row["hash"], digest_of(actual)):
        yield f"content or hash was changed: the row says {row['hash']} and hashes to {digest_of(actual)}"
    elif after["previous_hash"] == row["hash"]:
        yield f"content and column_hashes were changed: the next version was built on {row['hash']}"
    else:
        yield "column hash was changed; the content is what the next version was built on"


def thresholds_of(row: Mapping[str, Any]) -> dict[Cell, ThresholdPair]:
    """The thresholds of a version, by cell, canaries aside."""
    return {
        cell_of(item): ThresholdPair(item["remove_at"], item["review_at"]) for item in json.loads(row["thresholds"])
    }


def acting_of(row: Mapping[str, Any]) -> Acting:
    """All that a version has act."""
    return acting(json.loads(row["thresholds"]))


def acting(cells: Sequence[Mapping[str, Any]]) -> Acting:
    """All that `cells`, as a version or a serving file lists them, have act."""
    found: Acting = {}
    for item in cells:
        found[cell_of(item)] = tuple(item[name] for name in _LEVELS)
        if "canary" in item:
            found[canary_of(cell_of(item))] = tuple(item["canary"][name] for name in _CANARY)
    return found


def acting_after(before: Acting, changes: Sequence[Change]) -> Acting:
    """What acts once `changes` are made: a change ends the canary of its cell, if it is none itself."""
    found = dict(before)
    for change in changes:
        found.pop(canary_of(change.cell), None)
        found[change.cell] = change.new if change.canary is None else change.old
        if change.canary is not None:
            found[canary_of(change.cell)] = (*change.new, change.canary.share, change.canary.salt)
    return found


def canary_of(cell: Cell) -> tuple[str, ...]:
    """The name in `Acting` of what acts on a share of the cell's videos."""
    return *cell, "canary"


def listed(acting: Mapping[Any, tuple[float, ...]]) -> list[dict[str, Any]]:
    """What acts, as a version lists it: policy, market, model_version, remove_at, review_at and, if any, canary."""
    rows = []
    for cell in sorted((a, b, c) for a, b, c, *canary in acting if not canary):
        row: dict[str, Any] = dict(zip((*CELL, *_LEVELS), (*cell, *acting[cell]), strict=True))
        canary = acting.get(canary_of(cell))
        rows.append(row if canary is None else row | {"canary": dict(zip(_CANARY, canary, strict=True))})
    return rows
