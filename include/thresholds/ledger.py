"""The threshold ledger: numbered without gaps, hash-chained, append-only; and the file that serving reads.

The ledger is the truth and `thresholds.json` a copy of its last version. A publication appends first and copies second,
so a process killed in between leaves a file that is merely one version old, which `repair_serving` puts right.

Version 1 holds the initial thresholds of the configuration. Every later one holds those of the version before with its
`changes` applied, so the whole history can be replayed from the changes and checked (`verify`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd

from include.config.model import Config
from include.contract.tables import CELL, TABLES

Row = dict[str, Any]
Document = dict[str, Any]
Cell = tuple[str, str, str]
Outcome = Literal["published", "already_published", "nothing_to_publish", "superseded", "refused"]

_TABLE = "threshold_ledger"
_COLUMNS = TABLES[_TABLE].column_names
_JSON_COLUMNS = ("thresholds", "changes", "proposal_ids", "evidence")
_CARRIED = ("within_limits", "approved")
_ATTEMPTS = 20
INITIAL_REASON = "initial thresholds of the configuration"


class LedgerError(ValueError):
    """The ledger or the serving file is not what Plumbline wrote, and nothing may be built on it."""


class LedgerStore(Protocol):
    """What publication needs of a warehouse."""

    def read(self, table: str, /) -> pd.DataFrame:
        """All rows of `table`, with `ds`."""

    def append_version(self, table: str, day: date, row: Mapping[str, object]) -> bool:
        """Append `row` to `day` unless its version number is taken; whether it was appended."""


@dataclass(frozen=True)
class PublishResult:
    """What a publication came to.

    Attributes:
        outcome: published; already_published (every proposal is in the ledger already); nothing_to_publish;
            superseded (the ledger holds a later day); refused (see `refused`).
        version: the ledger's last version that serving has now.
        published: proposal ids carried out by this call's version.
        refused: why a proposal was not carried out, by its id; key "" for the publication as a whole.
        serving: what was done with the serving file.
    """

    outcome: Outcome
    version: int
    published: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    serving: str = ""


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces, plain UTF-8 and no NaN: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of `ds`, previous_hash and every other column but `hash`."""
    content = {name: _plain(row[name]) for name in ("ds", *_COLUMNS) if name != "hash"}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def next_version(
    previous: Mapping[str, Any] | None,
    *,
    day: date,
    changes: Sequence[Mapping[str, Any]],
    thresholds: Sequence[Mapping[str, Any]],
    proposal_ids: Sequence[str],
    evidence: Mapping[str, str],
    code_version: str,
    requester: str,
    approver: str | None,
    reason: str,
    published_at: datetime,
) -> Row:
    """The ledger row that follows `previous` (None: version 1), hashed; `ds` included.

    Args:
        day: partition, the day the thresholds rest on.
        changes: policy, market, model_version, old, new (each {remove_at, review_at}), and what explains them.
        thresholds: all cells after the changes: policy, market, model_version, remove_at, review_at.
        proposal_ids: proposals carried out.
        evidence: SHA-256 of each input partition, by name.
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
        "thresholds": canonical_json(sorted(thresholds, key=_cell)),
        "changes": canonical_json(sorted(changes, key=_cell)),
        "proposal_ids": canonical_json(sorted(proposal_ids)),
        "evidence": canonical_json(evidence),
        "code_version": code_version,
        "requester": requester,
        "approver": approver,
        "reason": reason,
    }
    return {"ds": day, **{name: row_hash(row) if name == "hash" else row[name] for name in _COLUMNS}}


def verify(rows: pd.DataFrame) -> list[str]:
    """Recompute the whole chain; what is wrong, each naming the version and, where it can be told, the column.

    Args:
        rows: the ledger, any order: `ds` and the columns of threshold_ledger.

    A changed hash column is told from a changed content by the version after it, which holds the true hash; a changed
    thresholds or changes column by replaying the changes. A removed tail leaves a sound chain: compare with
    `thresholds.json` for that (`repair_serving` does).
    """
    problems: list[str] = []
    chain = _in_order(rows)
    for number, row in enumerate(chain):
        name, before = f"version {row['version']}", chain[number - 1] if number else None
        after = chain[number + 1] if number + 1 < len(chain) else None
        expected = 1 if before is None else before["version"] + 1
        if row["version"] != expected:
            problems.append(f"{name}: a gap or a repetition, version {expected} was expected")
        problems += [f"{name}: column {text}" for text in _column_problems(row, before)]
        actual = row_hash(row)
        if actual != row["hash"]:
            problems.append(f"{name}: {_blame(row, actual, after)}")
        if row["previous_hash"] != ("" if before is None else before["hash"]):
            problems.append(f"{name}: previous_hash {row['previous_hash'] or '(empty)'} is not the hash before it")
    return problems


def serving_document(row: Mapping[str, Any], config: Config) -> Document:
    """The content of `thresholds.json` for the ledger row `row`."""
    return {
        "version": int(row["version"]),
        "hash": row["hash"],
        "ds": _plain(row["ds"]),
        "policies": {
            name: {"no_score": policy.no_score, "default": policy.initial.model_dump()}
            for name, policy in sorted(config.policies.items())
        },
        "cells": json.loads(row["thresholds"]),
    }


def write_serving(path: Path, document: Document) -> bool:
    """Put `document` in place of `path`, atomically; False if a newer version is there, which then stays.

    The bytes are on disk before the name points to them, and writers take turns under a lock on the folder, so a reader
    finds a whole document, and never an older one after a newer one. A version equal to the one there replaces it.

    Raises:
        OSError: the disk is full or not writable; what was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent) as folder:
        present = _present(path)
        if present is not None and present["version"] > document["version"]:
            return False
        if present == document:
            return True
        descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(document, indent=1, sort_keys=True) + "\n")
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
        os.fsync(folder)
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


def thresholds_in_force(ledger: pd.DataFrame, cells: pd.DataFrame, config: Config, *, before: date) -> pd.DataFrame:
    """The thresholds of `cells` by the last ledger version whose ds is before `before`.

    Args:
        ledger: `ds` and the columns of threshold_ledger; may be empty.
        cells: policy, market, model_version.

    Returns:
        One row a cell, sorted: policy, market, model_version, remove_at, review_at. A cell the ledger does not hold has
        the policy's initial thresholds.

    Raises:
        ValueError: a cell whose policy is not configured.
    """
    earlier = [row for row in _in_order(ledger) if row["ds"] < before]
    known = _thresholds(earlier[-1]) if earlier else {}
    rows = []
    for cell in sorted(set(cells[list(CELL)].itertuples(index=False, name=None))):
        if cell[0] not in config.policies:
            raise ValueError(f"policy: {cell[0]!r} of cell {cell} is not configured")
        initial = config.policies[cell[0]].initial
        rows.append((*cell, *known.get(cell, (initial.remove_at, initial.review_at))))
    return pd.DataFrame(rows, columns=[*CELL, "remove_at", "review_at"])


def publish(
    warehouse: LedgerStore,
    day: date,
    proposals: pd.DataFrame,
    config: Config,
    *,
    requester: str,
    approver: str | None,
    reason: str,
    evidence: Mapping[str, str],
    code_version: str,
    now: datetime,
    serving: Path,
) -> PublishResult:
    """Carry out the day's proposals whose status is within_limits or approved, as one new version, and serve it.

    Safe to repeat: proposals the ledger already holds are never published again, also not after a rollback. An empty
    ledger first gets version 1, the initial thresholds. Nothing is published for a day before the ledger's last one.
    A proposal is refused by name, the others being carried out, where the thresholds it started from are no longer
    those in force, or another origin changed its cell on the same day: no update is lost.

    Args:
        proposals: rows of threshold_proposals.
        requester, approver: who asked, who approved (None: within limits); must differ.
        evidence: SHA-256 of each input partition, by name.
        now: time of publication, with a time zone.
        serving: path of thresholds.json.

    Raises:
        LedgerError: the ledger's chain is broken, or the serving file is newer than the ledger.
        OSError: the serving file cannot be written; the version stands, and a repetition writes the file.
    """
    carried = proposals[proposals["status"].isin(_CARRIED)]
    problem = _refusal(carried, requester, approver)
    signature: dict[str, Any] = {
        "day": day,
        "evidence": evidence,
        "code_version": code_version,
        "requester": requester,
        "published_at": now,
    }

    def result(outcome: Outcome, chain: Sequence[Row], **details: Any) -> PublishResult:
        version, found = _serve(serving, chain[-1], config)
        return PublishResult(outcome, version, serving=found, **details)

    for _ in range(_ATTEMPTS):
        chain = _chain(warehouse, serving)
        if not chain:
            _append(warehouse, _first_version(config, signature))
            continue
        if problem:
            return result("refused", chain, refused={"": problem})
        done = {identifier for row in chain for identifier in json.loads(row["proposal_ids"])}
        fresh = carried[~carried["proposal_id"].isin(done)]
        if fresh.empty:
            return result("nothing_to_publish" if carried.empty else "already_published", chain)
        last = chain[-1]
        if last["ds"] > day:
            text = f"version {last['version']} rests on {last['ds']}, which is later than {day}"
            return result("superseded", chain, refused={"": text})
        refused = _conflicts(chain, day, fresh, config)
        accepted = fresh[~fresh["proposal_id"].isin(refused)]
        if accepted.empty:
            return result("refused", chain, refused=refused)
        row = _version_with(accepted, last, config, {**signature, "approver": approver, "reason": reason})
        if _append(warehouse, row):
            identifiers = tuple(sorted(accepted["proposal_id"]))
            return result("published", [*chain, row], published=identifiers, refused=refused)
    raise LedgerError(f"gave up after {_ATTEMPTS} attempts: other writers took every version number")


def repair_serving(warehouse: LedgerStore, serving: Path, config: Config) -> str:
    """Make the serving file say what the ledger's last version says; in words, what was found and done.

    Raises:
        LedgerError: the ledger's chain is broken, or the file is newer than the ledger, which then lost its end.
    """
    chain = _chain(warehouse, serving)
    return _serve(serving, chain[-1], config)[1] if chain else "nothing published yet"


def _serve(serving: Path, row: Row, config: Config) -> tuple[int, str]:
    """Write the version `row` to `serving`; its number, and what was found and done there."""
    document = serving_document(row, config)
    version = document["version"]
    try:
        present: Document | None = read_serving(serving)
        found = "differed from the ledger" if present and present["version"] == version else "was older"
    except FileNotFoundError:
        present, found = None, "was missing"
    except LedgerError as error:
        present, found = None, f"was unusable ({error})"
    if present == document:
        return version, f"{serving.name} holds version {version}"
    if not write_serving(serving, document):
        return version, f"{serving.name} holds a newer version than {version}, which stays"
    return version, f"{serving.name} {found}: version {version} was written"


def _present(path: Path) -> Document | None:
    """The serving document there, or None if there is none that can be used."""
    try:
        return read_serving(path)
    except (FileNotFoundError, LedgerError):
        return None


def _chain(warehouse: LedgerStore, serving: Path) -> list[Row]:
    """The ledger in order, once it is known to be sound and to reach as far as what is served."""
    served = _present(serving)  # before the ledger, which can then only be newer
    rows = warehouse.read(_TABLE)
    problems = verify(rows)
    if problems:
        raise LedgerError(f"{_TABLE}: " + "; ".join(problems))
    chain = _in_order(rows)
    last = chain[-1]["version"] if chain else 0
    if served is not None and served["version"] > last:
        raise LedgerError(
            f"{serving} is version {served['version']} but the ledger ends at {last}: the ledger lost its end, or the "
            "file was changed by hand. Restore the ledger, or remove the file if it is wrong"
        )
    return chain


def _append(warehouse: LedgerStore, row: Row) -> bool:
    return warehouse.append_version(_TABLE, row["ds"], {name: row[name] for name in _COLUMNS})


def _first_version(config: Config, signature: Mapping[str, Any]) -> Row:
    """Version 1: the initial thresholds of every configured cell."""
    initial = {
        (name, market, version): (policy.initial.remove_at, policy.initial.review_at)
        for name, policy in config.policies.items()
        for version in policy.model_versions
        for market in config.markets
    }
    return next_version(
        None,
        changes=[],
        thresholds=_listed(initial),
        proposal_ids=[],
        approver=None,
        reason=INITIAL_REASON,
        **signature,
    )


def _version_with(proposals: pd.DataFrame, last: Row, config: Config, signature: Mapping[str, Any]) -> Row:
    """The version after `last` that carries out `proposals`."""
    thresholds = _thresholds(last)
    changes = [_change(proposal, thresholds, config) for proposal in _records(proposals)]
    return next_version(
        last,
        changes=changes,
        thresholds=_listed(thresholds | _changed(changes)),
        proposal_ids=list(proposals["proposal_id"]),
        **signature,
    )


def _refusal(carried: pd.DataFrame, requester: str, approver: str | None) -> str | None:
    """Why none of the proposals may be published by these people."""
    if approver is not None and approver == requester:
        return f"self-approval: {requester} both requested and approved"
    if approver is None and (carried["status"] == "approved").any():
        return "approved proposals without the name of who approved them"
    return None


def _conflicts(chain: Sequence[Row], day: date, proposals: pd.DataFrame, config: Config) -> dict[str, str]:
    """Why a proposal no longer fits the ledger, by proposal id."""
    earlier = [row for row in chain if row["ds"] < day]
    base = _thresholds(earlier[-1]) if earlier else {}
    same_day = {
        _cell(change): (change.get("origin"), row["version"])
        for row in chain
        if row["ds"] == day
        for change in json.loads(row["changes"])
    }
    refused = {}
    for proposal in _records(proposals):
        cell, initial = _cell(proposal), config.policies[proposal["policy"]].initial
        in_force = base.get(cell, (initial.remove_at, initial.review_at))
        assumed = (proposal["current_remove_at"], proposal["current_review_at"])
        origin, version = same_day.get(cell, (proposal["origin"], None))
        if in_force != assumed:
            refused[proposal["proposal_id"]] = (
                f"stale: it assumes {assumed[0]:g} and {assumed[1]:g}, but {in_force[0]:g} and {in_force[1]:g} "
                "were in force"
            )
        elif origin != proposal["origin"]:
            refused[proposal["proposal_id"]] = f"conflict: version {version} changed the cell the same day ({origin})"
    return refused


def _change(proposal: Mapping[str, Any], before: Mapping[Cell, tuple[float, float]], config: Config) -> dict[str, Any]:
    """The entry of `changes` for a proposal."""
    cell, initial = _cell(proposal), config.policies[proposal["policy"]].initial
    old = before.get(cell, (initial.remove_at, initial.review_at))
    new = (proposal["proposed_remove_at"], proposal["proposed_review_at"])
    certificate = ("target", "confidence", "population", "method", "estimate", "bound", "n")
    return {
        **dict(zip(CELL, cell, strict=True)),
        "old": {"remove_at": old[0], "review_at": old[1]},
        "new": {"remove_at": new[0], "review_at": new[1]},
        "certificate": {name: _plain(proposal[name]) for name in certificate},
        "forecast": json.loads(proposal["forecast"]),
        "proposal_id": proposal["proposal_id"],
        "origin": proposal["origin"],
    }


def _in_order(rows: pd.DataFrame) -> list[Row]:
    """The ledger's rows by version, `ds` as a date and missing values as None."""
    chain = [{name: _value(name, row[name]) for name in ("ds", *_COLUMNS)} for row in _records(rows)]
    return sorted(chain, key=lambda row: (row["version"], row["hash"]))


def _value(name: str, value: Any) -> Any:
    if pd.isna(value):
        return None
    if name == "ds":
        return pd.Timestamp(value).date()
    return int(value) if name == "version" else value


def _plain(value: Any) -> Any:
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
        expected = _thresholds(before)
    except (KeyError, TypeError, ValueError):
        return  # told of the version before
    try:
        actual = _thresholds(row)
        expected |= _changed(json.loads(row["changes"]))
    except (KeyError, TypeError, ValueError) as error:
        yield f"thresholds or changes does not have the expected form ({error!r})"
        return
    for cell in sorted(expected.keys() | actual.keys()):
        if expected.get(cell) != actual.get(cell):
            yield f"thresholds or changes: {'/'.join(cell)} should be {expected.get(cell)} and is {actual.get(cell)}"


def _blame(row: Row, actual: str, after: Row | None) -> str:
    if after is not None and after["previous_hash"] == actual:
        return "column hash was changed; the content is what the next version was built on"
    if after is not None and after["previous_hash"] == row["hash"]:
        return f"content was changed; it hashes to {actual}, the next version was built on {row['hash']}"
    return f"content or hash was changed; the row says {row['hash']} and hashes to {actual}"


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


def _pair_problems(where: str, pair: Any) -> Iterator[str]:
    values = [pair.get(name) for name in ("review_at", "remove_at")] if isinstance(pair, dict) else []
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] <= 1:
        yield f"{where}: expected 0 <= review_at <= remove_at <= 1, found {pair!r:.100}"


def _cell(item: Mapping[str, Any]) -> Cell:
    return item["policy"], item["market"], item["model_version"]


def _thresholds(row: Mapping[str, Any]) -> dict[Cell, tuple[float, float]]:
    return {_cell(item): (item["remove_at"], item["review_at"]) for item in json.loads(row["thresholds"])}


def _changed(changes: Sequence[Mapping[str, Any]]) -> dict[Cell, tuple[float, float]]:
    return {_cell(change): (change["new"]["remove_at"], change["new"]["review_at"]) for change in changes}


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _listed(thresholds: Mapping[Cell, tuple[float, float]]) -> list[dict[str, Any]]:
    return [
        {**dict(zip(CELL, cell, strict=True)), "remove_at": remove_at, "review_at": review_at}
        for cell, (remove_at, review_at) in sorted(thresholds.items())
    ]


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """The folder's descriptor, under an exclusive lock that dies with the process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
