"""The steps of `roll_back_thresholds`: show what an earlier version would change, and publish it as a new one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from include.config.model import Config
from include.contract.cell import Cell, Row
from include.contract.change import Change
from include.contract.terms import VersionKind
from include.ledger.canaries import canaries
from include.ledger.chain import thresholds_of
from include.ledger.overrides import overrides
from include.ledger.publication import Act, publish_changes, read_chain
from include.project import Project
from include.thresholds.request import Asked, RequestError

log = logging.getLogger(__name__)

CONFIRM, CANCEL = "Roll back", "Cancel"
Given = Mapping[str, Any]
"""What was shown: version, in_force (the version in force then), day, changes, text."""


def read_request(project: Project, asked: Asked) -> dict[str, Any]:
    """What rolling back to the form's version would change, and the Markdown that says so.

    Raises:
        RequestError: the version does not exist, is the newest, changes nothing or has no cell left; a blank reason.
    """
    version, reason = asked.form["version"], str(asked.form["reason"]).strip()
    if not reason:
        raise RequestError("reason: is blank; say why, for who reads the ledger later")
    chain = read_chain(project)
    if not chain:
        raise RequestError("version: nothing has been published yet, there is nothing to roll back")
    newest = chain[-1]["version"]
    if not 1 <= version <= newest:
        raise RequestError(f"version: {version} does not exist; the ledger holds 1 to {newest}")
    if version == newest:
        raise RequestError(f"version: {version} is the newest and in force; there is nothing to roll back")
    changes, gone = rolled_back(chain, version, project.config)
    if not changes and gone:
        raise RequestError(f"version: all that {version} would change is no longer configured: {_listed(gone)}")
    if not changes:
        raise RequestError(f"version: {version} has the thresholds of version {newest}, which is in force")
    return {
        "version": version,
        "in_force": newest,
        "day": chain[-1]["ds"].isoformat(),
        "reason": reason,
        "changes": [change.to_json() for change in changes],
        "text": _text(asked, chain, version, changes, gone),
    }


def roll_back(project: Project, asked: Asked, given: Given, answer: Mapping[str, Any]) -> str:
    """Publishes the version that was confirmed; what it came to, in words."""
    user = answer.get("responded_by_user")
    if user is None:
        return "Nobody answered in time: the thresholds in force stay."
    if list(answer["chosen_options"]) != [CONFIRM]:
        return f"Cancelled by {user['name']}: the thresholds in force stay."

    def find(chain: Sequence[Row]) -> Sequence[Change] | str:
        later = [row for row in chain if row["version"] > given["in_force"]]
        if any(json.loads(row["request"]).get("origin") == asked.run_id for row in later):
            return []  # this run did it before it was killed
        changes = rolled_back(chain, given["version"], project.config)[0]
        if [change.to_json() for change in changes] != given["changes"]:
            return f"stale: version {chain[-1]['version']} changed these cells after the question was asked"
        return changes

    act = Act(
        day=date.fromisoformat(given["day"]),
        requester=asked.user,
        approver=None if user["name"] == asked.user else user["name"],
        reason=given["reason"],
        request={"kind": VersionKind.ROLL_BACK, "origin": asked.run_id, "version": given["version"]},
    )
    result = publish_changes(project, find, act, datetime.now(UTC))
    log.info("%s", result)
    if result.outcome == "refused":
        return f"Not rolled back. {result.refused['']}. The thresholds in force stay."
    return f"Rolled back to version {given['version']}, as version {result.version}. {result.serving}."


def rolled_back(chain: Sequence[Row], version: int, config: Config) -> tuple[list[Change], list[Cell]]:
    """The changes that bring back the thresholds of `version`, and its cells that are no longer configured.

    Cells that came after `version` keep their thresholds. Canaries end, and none of `version` comes back.
    """
    then, now, acting = thresholds_of(chain[version - 1]), thresholds_of(chain[-1]), canaries(chain)
    differing = {cell: levels for cell, levels in sorted(then.items()) if levels != now[cell] or cell in acting}
    gone = [cell for cell in differing if not _configured(cell, config)]
    return [
        Change(cell, now[cell], levels, VersionKind.ROLL_BACK) for cell, levels in differing.items() if cell not in gone
    ], gone


def _configured(cell: Cell, config: Config) -> bool:
    policy, market, model_version = cell
    known = config.policies.get(policy)
    return known is not None and market in config.markets and model_version in known.model_versions


def _text(asked: Asked, chain: Sequence[Row], version: int, changes: Sequence[Change], gone: Sequence[Cell]) -> str:
    """What a person is shown before `version` is brought back."""
    row, acting, temporary = chain[version - 1], canaries(chain), overrides(chain[:version])
    changed = [change.cell for change in changes]
    lines = [
        f"{asked.user} wants version {row['version']} of {row['ds']} ({row['reason']}) back: {asked.form['reason']}",
        "",
        "| cell | remove_at | review_at |",
        "|---|---|---|",
        *(
            f"| {' '.join(change.cell)} | {_moved(change.old.remove_at, change.new.remove_at)} | "
            f"{_moved(change.old.review_at, change.new.review_at)} |"
            for change in changes
        ),
    ]
    lines += [f"\nIn {' '.join(cell)}, {acting[cell]}: that ends." for cell in changed if cell in acting]
    for held in (temporary[cell] for cell in changed if cell in temporary):
        until = f"version {held.version} set these thresholds until {held.expires_on} only"
        lines += ["", f"**{' '.join(held.cell)}**: {until}. Rolled back, they do not expire."]
    if gone:
        lines += ["", f"No longer configured, and left as they are: {_listed(gone)}"]
    return "\n".join(lines)


def _moved(old: float, new: float) -> str:
    return f"{old:.3f}" if old == new else f"{old:.3f} → {new:.3f}"


def _listed(cells: Sequence[Cell]) -> str:
    return ", ".join("/".join(cell) for cell in cells)
