"""The steps of `roll_back_thresholds`: show what an earlier version would change, and publish it as a new one.

Undoing must not wait for a second person, and removing more must not happen without one. So the cells that would remove
no more than now are one question, which who asked may answer, and those that would remove more are another.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from include.config.model import Config
from include.contract.cell import NO_DRAWS, Cell, Row, by_cell
from include.contract.change import Change
from include.contract.people import may_be_one
from include.contract.tables import CELL
from include.contract.terms import CONFIRM, VersionKind
from include.evidence.accepted import passed_days
from include.evidence.histograms import histogram_of
from include.evidence.sample import certifying_sample
from include.files import digest_of
from include.forecasts.forecast import forecast, volumes
from include.ledger.canaries import canaries
from include.ledger.chain import thresholds_of
from include.ledger.overrides import overrides
from include.ledger.publication import Act, publish_changes, read_chain, serve_newest
from include.project import Project
from include.proposals.approval import Answer, Question, forecast_in_words, objection_to
from include.thresholds.request import FormRun, RequestError, check_fields, reason_of, whole_number
from include.wording import as_text, plural, score

log = logging.getLogger(__name__)

NO_MORE, RISKIER = "no more", "riskier"
PARTS = (NO_MORE, RISKIER)
"""Which cells a question is about: those that would remove no more than now, or those that would."""

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
    """The question whether an earlier version is to be brought back in some cells, and the answer's consequences.

    Attributes:
        riskier: whether it is about the cells that would remove more than now, or about all others.
    """

    project: Project
    form: FormRun
    riskier: bool

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
        """What bringing the version back changes; None: this run did it already, or nothing differs any more.

        Its digest covers the changes; what they would do is told by the newest day's data, which may be another by the
        time of the answer.
        """
        chain = self._chain()
        changes, gone = self._changes(chain)
        if not changes or self._published() is not None:
            return None
        subject = f"Roll the thresholds back to version {self.version}"
        if self.riskier:
            subject += f", where that removes more: {plural(len(changes), 'cell')}"
        bound: dict[str, Any] = {
            "subject": subject,
            "text": _text(self.form, chain, self.version, changes, gone, does={}),
        }
        bound |= {"changes": [change.to_json() for change in changes]}
        text = _text(self.form, chain, self.version, changes, gone, does=effects(self.project, changes))
        return Question(subject, text, digest_of(bound), self._effect(changes))

    def _effect(self, changes: Sequence[Change]) -> str:
        does = "remove more than now." if self.riskier else "change; none would remove more."
        return f"{plural(len(changes), 'cell')} would {does} Reason: {reason_of(self.form.form)}"

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does."""
        found = objection_to(answer, self.project.config)
        if (
            found is None
            and self.riskier
            and answer.option == CONFIRM
            and may_be_one(answer.name or "", self.form.user)
        ):
            return f"{answer.name} asked for it, and it would remove more than now; somebody else has to confirm that"
        return found

    def settle(self, answer: Answer) -> str:
        """Publishes the version that was confirmed; what it came to, in words."""
        where = " where that removes more" if self.riskier else ""
        if answer.name is None:
            return f"Nobody answered in time: the thresholds in force stay{where}."
        if answer.option != CONFIRM:
            return f"Cancelled by {as_text(answer.name)}: the thresholds in force stay{where}."
        act = Act(
            day=self._chain()[-1]["ds"],
            requester=self.form.user,
            approver=None if may_be_one(answer.name, self.form.user) else answer.name,
            reason=reason_of(self.form.form),
            request={
                "kind": VersionKind.ROLL_BACK,
                "origin": self.form.origin,
                "version": self.version,
                "riskier": self.riskier,
            },
        )
        confirmed = self._changes(self._chain())[0]

        def find(chain: Sequence[Row]) -> Sequence[Change] | str:
            if self._changes(chain)[0] != confirmed:
                return f"stale: version {chain[-1]['version']} changed these cells after the question was asked"
            return confirmed

        result = publish_changes(self.project, find, act, datetime.now(UTC))
        log.info("%s", result)
        if result.outcome == "refused":
            return f"Not rolled back{where}. {result.refused['']}. The thresholds in force stay."
        return f"Rolled back to version {self.version}{where}, as version {result.version}. {result.serving}."

    def _changes(self, chain: Sequence[Row]) -> tuple[list[Change], list[Cell]]:
        changes, gone = rolled_back(chain, self.version, self.project.config)
        return [change for change in changes if removes_more(change) == self.riskier], gone

    def _published(self) -> int | None:
        """The version that this run made; None: none yet."""
        for row in self._chain():
            request = json.loads(row["request"])
            if (request.get("origin"), request.get("riskier", False)) == (self.form.origin, self.riskier):
                return int(row["version"])
        return None

    def _chain(self) -> list[Row]:
        return read_chain(self.project)


def approval(project: Project, form: FormRun, part: str) -> RollBack:
    """The question whether the form's version is to be brought back, in the cells of one of PARTS."""
    return RollBack(project, form, part == RISKIER)


def removes_more(change: Change) -> bool:
    """Whether a change removes more than before it."""
    return change.new.remove_at < change.old.remove_at


def effects(project: Project, changes: Sequence[Change]) -> dict[Cell, str]:
    """What changes would do in a day like the newest that has scores, in words; without such a day, nothing."""
    days = project.warehouse.days("score_histogram")
    if not days or not changes:
        return {}
    cells = pd.DataFrame([change.cell for change in changes], columns=list(CELL))
    bins = by_cell(histogram_of(project, passed_days(project, "scores", days[-1], days[-1]), cells))
    sample = None
    found = {}
    for change in changes:
        if change.cell not in bins:
            continue
        if sample is None:
            sample = by_cell(certifying_sample(project, days[-1]))
        policy = project.config.policies[change.cell[0]]
        before, after = (volumes(bins[change.cell], pair, policy.no_score).removes for pair in (change.old, change.new))
        effect = forecast(
            bins[change.cell],
            sample.get(change.cell, NO_DRAWS),
            change.old,
            change.new,
            no_score=policy.no_score,
            minutes_per_label=policy.minutes_per_label,
            contested="not asked",
        )
        row = {"removes_before": before, "removes_after": after, "forecast": json.dumps(effect), "canary_share": None}
        found[change.cell] = forecast_in_words(row)
    return found


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


def _text(
    form: FormRun,
    chain: Sequence[Row],
    version: int,
    changes: Sequence[Change],
    gone: Sequence[Cell],
    *,
    does: Mapping[Cell, str],
) -> str:
    """What a person is shown before `version` is brought back."""
    row, acting, temporary = chain[version - 1], canaries(chain), overrides(chain[:version])
    changed, more = [change.cell for change in changes], sum(map(removes_more, changes))
    lines = [
        f"{as_text(form.user)} wants version {row['version']} of {row['ds']} ({as_text(row['reason'])}) back: "
        f"{as_text(reason_of(form.form))}",
        "",
        f"**{plural(more, 'cell')} would remove more than now.** Somebody else than {as_text(form.user)} must confirm."
        if more
        else "No cell would remove more than now.",
        "",
        "| cell | remove_at | review_at | each day |",
        "|---|---|---|---|",
        *(
            f"| {_name(change.cell)} | {_moved(change.old.remove_at, change.new.remove_at)}"
            f"{' (removes more)' if removes_more(change) else ''} | "
            f"{_moved(change.old.review_at, change.new.review_at)} | {does.get(change.cell, 'not known')} |"
            for change in changes
        ),
    ]
    lines += [f"\nIn {_name(cell)}, {as_text(str(acting[cell]))}: that ends." for cell in changed if cell in acting]
    for held in (temporary[cell] for cell in changed if cell in temporary):
        until = f"version {held.version} set these thresholds until {held.expires_on} only"
        lines += ["", f"**{_name(held.cell)}**: {until}. Rolled back, they do not expire."]
    if gone:
        lines += ["", f"No longer configured, and left as they are: {as_text(_listed(gone))}"]
    return "\n".join(lines)


def _name(cell: Cell) -> str:
    return as_text(" ".join(cell))


def _moved(old: float, new: float) -> str:
    return score(old) if old == new else f"{score(old)} → {score(new)}"


def _listed(cells: Sequence[Cell]) -> str:
    return ", ".join("/".join(cell) for cell in cells)
