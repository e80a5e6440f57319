"""The steps of `roll_back_thresholds`: show what an earlier version would change, and publish it as a new one."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from include.config.model import Config
from include.contract.cell import Cell, Row
from include.contract.change import Change
from include.contract.terms import CONFIRM, VersionKind
from include.files import digest_of
from include.ledger.canaries import canaries
from include.ledger.chain import thresholds_of
from include.ledger.overrides import overrides
from include.ledger.publication import Act, publish_changes, read_chain, serve_newest
from include.project import Project
from include.proposals.approval import Answer, Question, may_answer
from include.thresholds.request import FormRun, RequestError, check_fields, reason_of, whole_number
from include.wording import as_text, score

log = logging.getLogger(__name__)

FIELDS = ("version", "reason")
"""Of the form `roll_back_thresholds`."""


def read_request(project: Project, form: FormRun) -> None:
    """Whether the form's version can be brought back.

    Raises:
        RequestError: the version does not exist, is the newest, changes nothing or has no cell left; a blank reason.
    """
    check_fields(form.form, FIELDS)
    version, _ = whole_number("version", form.form["version"]), reason_of(form.form)
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


@dataclass(frozen=True)
class RollBack:
    """The question whether an earlier version is to be brought back, and the answer's consequences."""

    project: Project
    form: FormRun

    @property
    def version(self) -> int:
        """The version to bring back."""
        return whole_number("version", self.form.form["version"])

    @property
    def day(self) -> date:
        """The day of that version."""
        found: date = self._chain()[self.version - 1]["ds"]
        return found

    @property
    def address(self) -> str:
        return f"compare?one={self._chain()[-1]['version']}&other={self.version}"

    def unfinished(self) -> str | None:
        """Serves what this run published before its process was killed, and says so; None: nothing."""
        published = self._published()
        if published is None:
            return None
        return f"Rolled back to version {self.version}, as version {published}. {serve_newest(self.project)}."

    def question(self) -> Question | None:
        """What bringing the version back changes; None: this run did it already, or nothing differs any more."""
        chain = self._chain()
        changes, gone = rolled_back(chain, self.version, self.project.config)
        if not changes or self._published() is not None:
            return None
        subject = f"Roll the thresholds back to version {self.version}"
        text = _text(self.form, chain, self.version, changes, gone)
        shown = {"subject": subject, "text": text, "changes": [change.to_json() for change in changes]}
        return Question(subject, text, digest_of(shown))

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does."""
        if may_answer(answer, self.project.config):
            return None
        return f"{answer.name} is not among those who may answer, see approval.assigned_users"

    def settle(self, answer: Answer) -> str:
        """Publishes the version that was confirmed; what it came to, in words."""
        if answer.name is None:
            return "Nobody answered in time: the thresholds in force stay."
        if answer.option != CONFIRM:
            return f"Cancelled by {as_text(answer.name)}: the thresholds in force stay."
        act = Act(
            day=self._chain()[-1]["ds"],
            requester=self.form.user,
            approver=None if answer.name == self.form.user else answer.name,
            reason=reason_of(self.form.form),
            request={"kind": VersionKind.ROLL_BACK, "origin": self.form.origin, "version": self.version},
        )
        confirmed = rolled_back(self._chain(), self.version, self.project.config)[0]

        def find(chain: Sequence[Row]) -> Sequence[Change] | str:
            if rolled_back(chain, self.version, self.project.config)[0] != confirmed:
                return f"stale: version {chain[-1]['version']} changed these cells after the question was asked"
            return confirmed

        result = publish_changes(self.project, find, act, datetime.now(UTC))
        log.info("%s", result)
        if result.outcome == "refused":
            return f"Not rolled back. {result.refused['']}. The thresholds in force stay."
        return f"Rolled back to version {self.version}, as version {result.version}. {result.serving}."

    def _published(self) -> int | None:
        """The version that this run made; None: none yet."""
        for row in self._chain():
            if json.loads(row["request"]).get("origin") == self.form.origin:
                return int(row["version"])
        return None

    def _chain(self) -> list[Row]:
        return read_chain(self.project)


def approval(project: Project, form: FormRun) -> RollBack:
    """The question whether the form's version is to be brought back."""
    return RollBack(project, form)


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


def _text(form: FormRun, chain: Sequence[Row], version: int, changes: Sequence[Change], gone: Sequence[Cell]) -> str:
    """What a person is shown before `version` is brought back."""
    row, acting, temporary = chain[version - 1], canaries(chain), overrides(chain[:version])
    changed = [change.cell for change in changes]
    lines = [
        f"{as_text(form.user)} wants version {row['version']} of {row['ds']} ({as_text(row['reason'])}) back: "
        f"{as_text(reason_of(form.form))}",
        "",
        "| cell | remove_at | review_at |",
        "|---|---|---|",
        *(
            f"| {' '.join(change.cell)} | {_moved(change.old.remove_at, change.new.remove_at)} | "
            f"{_moved(change.old.review_at, change.new.review_at)} |"
            for change in changes
        ),
    ]
    lines += [f"\nIn {' '.join(cell)}, {as_text(str(acting[cell]))}: that ends." for cell in changed if cell in acting]
    for held in (temporary[cell] for cell in changed if cell in temporary):
        until = f"version {held.version} set these thresholds until {held.expires_on} only"
        lines += ["", f"**{' '.join(held.cell)}**: {until}. Rolled back, they do not expire."]
    if gone:
        lines += ["", f"No longer configured, and left as they are: {_listed(gone)}"]
    return "\n".join(lines)


def _moved(old: float, new: float) -> str:
    return score(old) if old == new else f"{score(old)} → {score(new)}"


def _listed(cells: Sequence[Cell]) -> str:
    return ", ".join("/".join(cell) for cell in cells)
