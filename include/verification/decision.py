"""Computes the changes of a published version again, from what was asked for and what it rested on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from include.contract.cell import Row, cell_of, records
from include.contract.change import changes_of
from include.contract.terms import VersionKind
from include.evidence.fingerprints import config_digest
from include.ledger.chain import TABLE, acting_after, acting_of
from include.ledger.overrides import lifting
from include.ledger.publication import starting_thresholds
from include.project import Project
from include.thresholds import accept, ad_hoc, roll_back
from include.thresholds.stage import daily_proposals
from include.watch.canaries import canary_changes


def decision_problems(project: Project, chain: Sequence[Row], version: int) -> list[str]:
    """Where `version` differs from what its inputs lead to now, each naming cell and values; empty if nowhere.

    Args:
        chain: the sound ledger, in order.
    """
    row, before = chain[version - 1], chain[: version - 1]
    request, evidence = json.loads(row["request"]), json.loads(row["evidence"])
    problems = [
        f"{name} has changed since; the decision rests on one of SHA-256 {evidence[name]}"
        for name, digest in config_digest(project).items()
        if evidence.get(name, digest) != digest
    ]
    if request["kind"] == VersionKind.INITIAL:
        expected = starting_thresholds(project.config)
        actual = acting_of(row)
    elif request["kind"] in (VersionKind.DAILY, VersionKind.AD_HOC) or request.get("undo") is False:
        return problems + _proposal_problems(_proposed(project, request, version), row)
    elif request["kind"] == VersionKind.ROLL_BACK:
        expected = acting_after({}, roll_back.rolled_back(before, request["version"], project.config)[0])
        actual = acting_after({}, changes_of(row))
    elif request["kind"] == VersionKind.ACCEPTANCE:
        expected = acting_after({}, accept.undone(before, request["policy"], request["challenger"]))
        actual = acting_after({}, changes_of(row))
    else:
        day, stepped = date.fromisoformat(request["day"]), request["kind"] == VersionKind.CANARY
        expected = acting_after({}, canary_changes(project, before, day) if stepped else lifting(before, day))
        actual = acting_after({}, changes_of(row))
    return problems + [
        f"{'/'.join(cell)} is {actual.get(cell, 'unchanged')}, its inputs lead to {expected.get(cell, 'no change')}"
        for cell in sorted(actual.keys() | expected.keys())
        if actual.get(cell) != expected.get(cell)
    ]


def _proposed(project: Project, request: Mapping[str, Any], version: int) -> pd.DataFrame:
    """The proposals of the run that published `version`, computed again."""
    if request["kind"] == VersionKind.DAILY:
        return daily_proposals(project, date.fromisoformat(request["day"]))
    ledger = project.warehouse.read(TABLE)
    compute = accept.acceptance_proposals if request["kind"] == VersionKind.ACCEPTANCE else ad_hoc.request_proposals
    return compute(project, request, ledger[ledger["version"] < version])


def _proposal_problems(proposals: pd.DataFrame, row: Row) -> list[str]:
    """What differs between the changes of a version and the proposals computed again."""
    again, problems = {cell_of(proposal): proposal for proposal in records(proposals)}, []
    for change in changes_of(row):
        name, found = "/".join(change.cell), again.get(change.cell)
        if found is None:
            problems.append(f"{name} is changed, and its inputs hold no scores of it")
            continue
        new = (found["proposed_remove_at"], found["proposed_review_at"])
        if new != change.new:
            problems.append(f"{name} is {tuple(change.new)}, and its inputs lead to {new}")
        elif found["proposal_id"] != change.proposal_id:
            problems.append(f"{name} is what its inputs lead to, but they are others than those of the proposal")
    return problems
