"""Publication: a new ledger version, then the serving file. All that changes thresholds comes through here.

The ledger is appended to first, by compare-and-swap on the version number, and copied to `thresholds.json` second. A
process killed in between leaves a file that is one version old but whole; the next publication, also one with nothing
to publish, finds that, writes the file again and says so. A file that says anything the ledger never said was changed
by hand: nothing is published until a person has looked at it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import pandas as pd

from include import __version__
from include.config.model import Config
from include.contract.cell import Cell, Row, cell_of, records
from include.contract.change import DAILY, Bucket, Change, changes_of
from include.contract.grid import ThresholdPair
from include.contract.people import may_be_one
from include.contract.salts import salt_of
from include.contract.terms import PUBLISHED, ProposalStatus, VersionKind
from include.ledger.anchor import anchor, anchor_problems, newest_noted
from include.ledger.chain import (
    TABLE,
    Acting,
    LedgerError,
    acting_after,
    acting_of,
    in_order,
    listed,
    next_version,
    plain,
    thresholds_of,
    verify,
)
from include.ledger.serving import differences, present, read_serving, serving_document, write_serving
from include.project import Project

PublicationOutcome = Literal["published", "already_published", "nothing_to_publish", "superseded", "refused"]

INITIAL_REASON = "the thresholds that cells start with"
_ATTEMPTS = 20


@dataclass(frozen=True)
class Act:
    """On whose word and on what ground thresholds are changed.

    Attributes:
        day: the day the changes rest on.
        requester, approver: who asked, and who approved (None: it needed nobody); they must differ.
        reason: why.
        request: what was asked for, enough to compute the changes anew; `kind` is a VersionKind.
        evidence: SHA-256 of what the changes rest on, by name.
        expires_on: last day the changes hold; None: until something newer.
    """

    day: date
    requester: str
    reason: str
    request: Mapping[str, Any]
    evidence: Mapping[str, str] = field(default_factory=dict)
    approver: str | None = None
    expires_on: date | None = None


@dataclass(frozen=True)
class PublishResult:
    """What a publication came to.

    Attributes:
        outcome: published; already_published (every proposal is in the ledger already); nothing_to_publish;
            superseded (the ledger holds a later day); refused (see `refused`).
        version: the ledger's last version, which serving has now.
        published: proposal ids carried out by this call's version.
        refused: why a proposal was not carried out, by its id; key "" for the publication as a whole.
        serving: what was found and done with the serving file.
    """

    outcome: PublicationOutcome
    version: int
    published: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    serving: str = ""

    def __str__(self) -> str:
        """One line for logs and return values."""
        return "; ".join(
            [f"{self.outcome}: the ledger is at version {self.version}", self.serving, *self.refused.values()]
        )


@dataclass(frozen=True)
class _Step:
    """What is to follow the chain: a version with these changes, or nothing, and why."""

    outcome: PublicationOutcome
    changes: Sequence[Change] = ()
    proposal_ids: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


def publish(project: Project, proposals: pd.DataFrame, act: Act, now: datetime) -> PublishResult:
    """Carry out the proposals whose status is within_limits or approved, as one new version, and serve it.

    Safe to repeat: proposals the ledger already holds are never published again, also not after a rollback. The daily
    run publishes nothing for a day before the ledger's last one. A proposal is refused by name, the others being
    carried out, where the thresholds it starts from are no longer those in force, or, for the daily run, where another
    origin changed its cell on the same day: no update is lost.

    Args:
        proposals: rows of threshold_proposals.
        now: time of publication, with a time zone.

    Raises:
        LedgerError: the ledger or the serving file was tampered with, or the ledger lost its end.
        OSError: the disk is full or not writable. Either nothing happened, or the version stands and only the serving
            file is missing, which a repetition writes.
    """
    carried = proposals[proposals["status"].isin(PUBLISHED)]

    def step(chain: Sequence[Row]) -> _Step:
        problem = _refusal(carried, act)
        if problem:
            return _Step("refused", refused={"": problem})
        done = published_ids(chain)
        fresh = carried[~carried["proposal_id"].isin(done)]
        if fresh.empty:
            return _Step("nothing_to_publish" if carried.empty else "already_published")
        if act.request["kind"] == VersionKind.DAILY and chain[-1]["ds"] > act.day:
            later = f"version {chain[-1]['version']} rests on {chain[-1]['ds']}, which is later than {act.day}"
            return _Step("superseded", refused={str(identity): later for identity in fresh["proposal_id"]})
        refused = _conflicts(chain, fresh, act, project.config)
        accepted = fresh[~fresh["proposal_id"].isin(refused)]
        if accepted.empty:
            return _Step("refused", refused=refused)
        levels = thresholds_of(chain[-1])
        changes = [_change(proposal, levels, project.config) for proposal in records(accepted)]
        return _Step("published", changes, tuple(sorted(accepted["proposal_id"])), refused)

    return _publish(project, act, step, now)


def publish_changes(
    project: Project, find: Callable[[Sequence[Row]], Sequence[Change] | str], act: Act, now: datetime
) -> PublishResult:
    """Publish changes that are no proposals: what `find` makes of the ledger's rows; a text is a refusal.

    Raises as `publish` does.
    """

    def step(chain: Sequence[Row]) -> _Step:
        found = find(chain)
        if isinstance(found, str):
            return _Step("refused", refused={"": found})
        return _Step("published" if found else "nothing_to_publish", found)

    return _publish(project, act, step, now)


def serve_newest(project: Project) -> str:
    """Bring `thresholds.json` in line with the ledger, which is not empty; what was found there and done.

    Raises LedgerError and OSError as `publish` does.
    """
    return _serve(project, read_chain(project)[-1])


REPLAYED = 100
"""So many of the last versions are replayed before one more is published; `make verify-ledger` replays all. The hashes
of all are recomputed each time."""


def read_chain(project: Project) -> list[Row]:
    """The ledger in order, once it is known to be sound, to reach as far as what is served, and to agree with it.

    Raises:
        LedgerError: naming version and column, or the serving file's cell.
    """
    path = project.settings.thresholds
    try:
        served = read_serving(path)  # before the ledger, which can then only be newer
    except FileNotFoundError:
        served = None
    except LedgerError as error:
        raise LedgerError(f"{error}. {_BY_HAND}") from error
    noted = 0 if project.settings.anchor is None else newest_noted(project.settings.anchor)
    project.warehouse.forget(TABLE)  # what the task read earlier may be older than what is served
    rows = project.warehouse.read(TABLE)
    problems = verify(rows, replayed=REPLAYED)
    if problems:
        raise LedgerError(f"{TABLE}: " + "; ".join(problems))
    chain = in_order(rows)
    if project.settings.anchor is not None and (
        elsewhere := anchor_problems(project.settings.anchor, chain, newest=noted)
    ):
        raise LedgerError(f"{TABLE} is not what was noted in {project.settings.anchor}: {'; '.join(elsewhere)}")
    if served is None:
        return chain
    last = chain[-1]["version"] if chain else 0
    if not 1 <= served["version"] <= last:
        raise LedgerError(
            f"{path}: is version {served['version']} but the ledger ends at {last}: the ledger lost its end, or the "
            "file was changed by hand. Restore the ledger, or remove the file if it is wrong"
        )
    wrong = differences(served, chain[served["version"] - 1])
    if wrong:
        raise LedgerError(
            f"{path}: differs from version {served['version']} of the ledger: {'; '.join(wrong)}. {_BY_HAND}"
        )
    return chain


_BY_HAND = "It was changed by hand: find out by whom, remove it, and run again; it is then written from the ledger"


def published_ids(chain: Sequence[Row]) -> set[str]:
    """The proposals that the versions of `chain` carried out."""
    return {identifier for row in chain for identifier in json.loads(row["proposal_ids"])}


def _publish(project: Project, act: Act, find: Callable[[Sequence[Row]], _Step], now: datetime) -> PublishResult:
    for _ in range(_ATTEMPTS):
        chain = read_chain(project)
        if not chain:
            _append(project, _first_version(project.config, act, now))
            continue
        step = find(chain)
        if step.changes:
            row = _next(chain[-1], step, act, now)
            if not _append(project, row):
                continue
            chain = [*chain, row]
        if project.settings.anchor is not None:
            anchor(project.settings.anchor, chain)
        served = _serve(project, chain[-1])
        return PublishResult(step.outcome, chain[-1]["version"], step.proposal_ids, step.refused, served)
    raise LedgerError(f"gave up after {_ATTEMPTS} attempts: other writers took every version number")


def _serve(project: Project, row: Row) -> str:
    """Bring the serving file to the version `row`; what was found there and done."""
    path, document = project.settings.thresholds, serving_document(row, project.config)
    version, there = document["version"], present(path)
    if there == document:
        return f"{path.name} holds version {version}"
    if not write_serving(path, document):
        return f"{path.name} holds a newer version than {version}, which stays"
    if there is None:
        return f"{path.name} was missing: version {version} was written"
    if there["version"] == version:
        return f"{path.name} had other policies than the configuration: version {version} was written"
    return f"{path.name} was at version {there['version']}: version {version} was written"


def _append(project: Project, row: Row) -> bool:
    return project.warehouse.append_version(TABLE, row["ds"], {name: row[name] for name in row if name != "ds"})


def _first_version(config: Config, act: Act, now: datetime) -> Row:
    """Version 1: the thresholds that every configured cell starts with."""
    return next_version(
        None,
        day=act.day,
        changes=[],
        thresholds=listed(starting_thresholds(config)),
        proposal_ids=[],
        evidence={},
        code_version=__version__,
        requester=act.requester,
        approver=None,
        reason=INITIAL_REASON,
        expires_on=None,
        request={"kind": VersionKind.INITIAL},
        published_at=now,
    )


def starting_thresholds(config: Config) -> Acting:
    """The thresholds that every configured cell starts with."""
    return {
        (name, market, version): config.policies[name].start
        for name, policy in config.policies.items()
        for version in policy.model_versions
        for market in config.markets
    }


def _next(last: Row, step: _Step, act: Act, now: datetime) -> Row:
    return next_version(
        last,
        day=max(act.day, last["ds"]),
        changes=step.changes,
        thresholds=listed(acting_after(acting_of(last), step.changes)),
        proposal_ids=step.proposal_ids,
        evidence=act.evidence,
        code_version=__version__,
        requester=act.requester,
        approver=act.approver,
        reason=act.reason,
        expires_on=act.expires_on,
        request=act.request,
        published_at=max(now, last["published_at"]),  # a clock that was set back breaks no chain
    )


def _refusal(carried: pd.DataFrame, act: Act) -> str | None:
    """Why none of the proposals may be published by these people."""
    if act.approver is not None and may_be_one(act.approver, act.requester):
        return f"self-approval: {act.requester} both requested and approved"
    if act.approver is None and (carried["status"] == ProposalStatus.APPROVED).any():
        return "approved proposals without the name of who approved them"
    return None


def _conflicts(chain: Sequence[Row], proposals: pd.DataFrame, act: Act, config: Config) -> dict[str, str]:
    """Why a proposal no longer fits the ledger, by proposal id.

    The daily run starts from what was in force when its day began, so that a rerun finds the same; its own earlier
    change of the same day is revised. Everybody else starts from what is in force now.
    """
    daily = act.request["kind"] == VersionKind.DAILY
    base = [row for row in chain if row["ds"] < act.day] if daily else chain
    levels = thresholds_of(base[-1]) if base else {}
    others = {
        change.cell: (row["version"], change.origin)
        for row in (chain if daily else ())
        if row["ds"] == act.day
        for change in changes_of(row)
        if change.origin != DAILY
    }
    refused = {}
    for proposal in records(proposals):
        cell, identity = cell_of(proposal), proposal["proposal_id"]
        in_force = levels.get(cell, config.policies[proposal["policy"]].start)
        assumed = (proposal["current_remove_at"], proposal["current_review_at"])
        if in_force != assumed:
            refused[identity] = (
                f"stale: {'/'.join(cell)} was proposed from {assumed[0]:g} and {assumed[1]:g}, but {in_force[0]:g} and "
                f"{in_force[1]:g} are in force"
            )
        elif cell in others:
            version, origin = others[cell]
            refused[identity] = f"conflict: version {version} changed {'/'.join(cell)} the same day ({origin})"
    return refused


def _change(proposal: Mapping[str, Any], before: Mapping[Cell, ThresholdPair], config: Config) -> Change:
    """The entry of `changes` for a proposal."""
    cell = cell_of(proposal)
    certificate = ("target", "goal_weight", "confidence", "population", "method", "estimate", "bound", "n")
    share = plain(proposal["canary_share"])
    return Change(
        cell,
        old=before.get(cell, config.policies[proposal["policy"]].start),
        new=ThresholdPair(proposal["proposed_remove_at"], proposal["proposed_review_at"]),
        origin=proposal["origin"],
        certificate={name: plain(proposal[name]) for name in certificate},
        forecast=json.loads(proposal["forecast"]),
        proposal_id=proposal["proposal_id"],
        canary=None if share is None else Bucket(share, salt_of(proposal["proposal_id"], "canary")),
    )
