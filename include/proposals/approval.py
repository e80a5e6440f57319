"""What a person is asked, and what their answer does to the proposals. Pure.

An answer counts only for what was shown: `without_outdated` compares the proposals a person approved with the same
proposals computed anew from the day's data as it is after the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from include.config.model import Config
from include.contract.cell import Row, cell_of, records
from include.contract.people import may_be_one
from include.contract.tables import CELL
from include.contract.terms import APPROVE, OPEN, SETTLED, ProposalStatus, Ruling
from include.proposals.guardrails import Verdict
from include.proposals.holds import with_verdict
from include.wording import as_text, count, percent, plural, score


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Attributes:
        subject: in one line, as text.
        text: Markdown; what comes from outside stands in it as text.
        digest: SHA-256 (hex) of all that is shown and of what an approval would carry out.
        effect: what a yes would do, in a sentence or two, as text; for whom it is told before they look.
    """

    subject: str
    text: str
    digest: str
    effect: str


@dataclass(frozen=True)
class Answer:
    """What a person answered, as Airflow recorded it.

    Attributes:
        option: that was chosen, or that counts where nobody answered in time.
        name, id: of who answered, as Airflow's auth manager knows them; None: nobody did. A blank name: Airflow does
            not say who it was.
    """

    option: str
    name: str | None
    id: str | None = None

    @property
    def approves(self) -> bool:
        """Whether a person chose to approve."""
        return self.name is not None and self.option == APPROVE


BY_ID = "id:"
"""What an entry of approval.assigned_users begins with that is an id, and not a name."""


def may_answer(answer: Answer, config: Config) -> bool:
    """Whether approval.assigned_users lets this person answer, by name, or by id; anybody where it names nobody.

    A name that begins as an id is none: nobody becomes another by the name that they choose. Where nobody answered in
    time, that counts.
    """
    allowed = config.approval.assigned_users
    if answer.name is None or not allowed:
        return True
    named = not answer.name.startswith(BY_ID) and answer.name in allowed
    return named or (answer.id is not None and f"{BY_ID}{answer.id}" in allowed)


def objection_to(answer: Answer, config: Config, *, asked_by: str | None = None) -> str | None:
    """Why the answer of this person does not count; None: it does.

    Args:
        asked_by: who asked for the change and must not approve it; None: whoever asked may.
    """
    if answer.name is not None and not answer.name.strip():
        return "Airflow does not say who answered, so that nobody can be held to it"
    if not may_answer(answer, config):
        return f"{answer.name} is not among those who may answer, see approval.assigned_users"
    if answer.approves and answer.name is not None and asked_by is not None and may_be_one(answer.name, asked_by):
        return f"{asked_by} asked for it, and nobody approves what they asked for themselves"
    return None


def question_table(proposals: pd.DataFrame) -> str:
    """What waits for a person, as Markdown for a phone: what would change, then why; empty if nothing waits."""
    waiting = records(proposals[proposals["status"] == ProposalStatus.AWAITING_APPROVAL])
    if not waiting:
        return ""
    lines = ["| cell | remove_at | each day |", "|---|---|---|"]
    lines += [f"| {_name(row)} | {levels(row)} | {forecast_in_words(row)} |" for row in waiting]
    why = (f"- **{_name(row)}**: {_why(row)}" for row in waiting)
    return "\n".join([*lines, "", "Why you are asked:", "", *why, "", *_not_asked_about(records(proposals))])


def effect_in_words(waiting: Sequence[Row]) -> str:
    """What saying yes to proposals would do in a day, all of them together, in a sentence."""
    if not waiting:
        return "Nothing waits any more: it was answered, or what it rested on has changed."
    more = sum(int(row["removes_after"]) - int(row["removes_before"]) for row in waiting)
    parts = {
        name: [json.loads(row["forecast"])[name]["estimate"] for row in waiting]
        for name in ("wrongful_removals_change", "violative_views_prevented_change")
    }
    wrong, views = (None if None in found else sum(found) for found in parts.values())
    cells, verb = plural(len(waiting), "cell"), "more" if more >= 0 else "fewer"
    sentence = f"{cells} would remove {count(abs(more))} {verb} videos a day"
    if wrong is None or views is None:
        return f"{sentence}; how many of them wrongly is not known for every cell."
    words = "prevent" if views >= 0 else "let through"
    return (
        f"{sentence}, about {count(abs(wrong))} {verb} of them wrongly, and {words} about {count(abs(views))} "
        "violative views a day."
    )


MOST_NAMED = 6
"""Cells of which a question tells that they were published without it."""


def _not_asked_about(rows: Sequence[Row]) -> list[str]:
    """What of the same run was published without asking, and what was not."""
    published = [row for row in rows if row["status"] == ProposalStatus.WITHIN_LIMITS]
    named = "; ".join(f"{_name(row)} {levels(row)}" for row in published[:MOST_NAMED])
    more = f" and {len(published) - MOST_NAMED} more" if len(published) > MOST_NAMED else ""
    counts = {
        text: sum(row["status"] == status for row in rows)
        for status, text in (
            (ProposalStatus.HELD, "held back"),
            (ProposalStatus.STALE, "out of date"),
            (ProposalStatus.REFUSED, "not certifiable"),
        )
    }
    left = ", ".join(f"{plural(count, 'cell')} {text}" for text, count in counts.items() if count)
    return [
        f"Published without asking, within limits: {named}{more}." if published else "Nothing else is published.",
        *([f"Not published, whatever you answer: {left}."] if left else []),
    ]


def levels(row: Mapping[str, Any]) -> str:
    """E.g. "0.980 → 0.955"."""
    return f"{score(row['current_remove_at'])} → {score(row['proposed_remove_at'])}"


def forecast_in_words(row: Mapping[str, Any]) -> str:
    """What a proposal does in a day: removals, wrongful ones among them, violative views prevented; and where first."""
    effect, more = json.loads(row["forecast"]), int(row["removes_after"] - row["removes_before"])
    share = f", {more / row['removes_before']:+.0%}" if row["removes_before"] else ""
    return (
        f"{int(row['removes_after']):,} removals ({more:+,}{share}); "
        f"wrongful removals {_range(effect['wrongful_removals_change'])}; "
        f"violative views prevented {_range(effect['violative_views_prevented_change'])}"
        + ("" if pd.isna(row["canary_share"]) else f"; at first on {percent(row['canary_share'])} of its videos")
    )


def with_answer(proposals: pd.DataFrame, answer: Answer) -> pd.DataFrame:
    """`proposals` with the waiting ones settled: approved, rejected, or timed out if nobody answered."""
    status = ProposalStatus.APPROVED if answer.approves else ProposalStatus.REJECTED
    waiting = proposals["status"] == ProposalStatus.AWAITING_APPROVAL
    settled = proposals.copy()
    settled.loc[waiting, "status"] = ProposalStatus.TIMED_OUT if answer.name is None else status
    settled.loc[waiting, "answered_by"] = answer.name
    return settled


def without_outdated(proposals: pd.DataFrame, now: pd.DataFrame, done: set[str]) -> pd.DataFrame:
    """`proposals` with the approved ones that no longer hold marked `stale`, the reason among their verdicts.

    Args:
        proposals: of `with_answer`.
        now: the same proposals computed after the answer. An id stands for the labels, the scores, the thresholds in
            force and the goal a proposal rests on.
        done: ids already published, which are settled.
    """
    fresh = {cell_of(row): row for row in records(now)}
    reasons = {
        row["proposal_id"]: reason
        for row in records(proposals)
        if row["status"] == ProposalStatus.APPROVED and row["proposal_id"] not in done
        for reason in [_outdated(row, fresh.get(cell_of(row)))]
        if reason
    }
    return marked_stale(proposals, reasons)


def marked_stale(proposals: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """`proposals` with those that could not be published marked `stale`, the reason among their verdicts."""
    rows = [
        with_verdict(row, ProposalStatus.STALE, Verdict("still_valid", Ruling.HOLD, reasons[row["proposal_id"]]))
        if row["proposal_id"] in reasons
        else row
        for row in records(proposals)
    ]
    return proposals.assign(**{name: [row[name] for row in rows] for name in ("status", "verdicts")})


def already_answered(proposals: pd.DataFrame, earlier: pd.DataFrame, chain: Sequence[Row]) -> pd.DataFrame:
    """`proposals` with the answers that were given to the same ones before: nobody is asked twice.

    Args:
        proposals: as computed now.
        earlier: those of the same origin and day that were recorded before.
        chain: the ledger, in which approved ones stand even if recording them was cut short.
    """
    answers: dict[str, Row] = {
        row["proposal_id"]: {name: row[name] for name in ("status", "verdicts", "answered_by")}
        for row in records(earlier[earlier["status"].isin(SETTLED)])
    }
    for version in chain:
        if version["approver"] is not None:
            for identity in json.loads(version["proposal_ids"]):
                answers.setdefault(identity, {"status": ProposalStatus.APPROVED, "answered_by": version["approver"]})
    rows = [
        row | (answers.get(row["proposal_id"], {}) if row["status"] == ProposalStatus.AWAITING_APPROVAL else {})
        for row in records(proposals)
    ]
    return proposals.assign(**{name: [row[name] for row in rows] for name in ("status", "verdicts", "answered_by")})


def _outdated(row: Row, fresh: Row | None) -> str | None:
    """Why an approved proposal must not be published, given what would be proposed now."""
    if fresh is None:
        return "stale: the cell has no scores any more"
    for name in ("remove_at", "review_at"):
        shown, found = row[f"current_{name}"], fresh[f"current_{name}"]
        if shown != found:
            return f"stale: {name} was {shown:g} when the question was asked, and is {found:g} now"
    if row["proposal_id"] != fresh["proposal_id"]:
        return "stale: the labels, the scores or the goal of the day changed after the question was asked"
    if fresh["status"] not in OPEN:
        held = [verdict["reason"] for verdict in json.loads(fresh["verdicts"]) if verdict["outcome"] == Ruling.HOLD]
        return f"stale: it would be {fresh['status']} now: {'; '.join(held)}"
    return None


def _name(row: Mapping[str, Any]) -> str:
    return as_text(" ".join(str(row[name]) for name in CELL))


def _why(row: Mapping[str, Any]) -> str:
    reasons = [verdict["reason"] for verdict in json.loads(row["verdicts"]) if verdict["outcome"] == Ruling.ASK]
    why = as_text("; ".join(reasons))
    if pd.isna(row["bound"]):
        return f"{why}. Nothing is certified"
    certified = f"at least {percent(row['bound'], down=True)} precise at {percent(row['confidence'])} confidence"
    return f"{why}. Certified {certified} ({row['population']}, {row['n']} labels)"


def _range(change: Mapping[str, float | None]) -> str:
    """E.g. "+12 (4 to 30)"; only the range where there is no estimate."""
    low, high, estimate = change["low"] or 0.0, change["high"] or 0.0, change["estimate"]
    between = f"{low:,.0f} to {high:,.0f}"
    return f"unknown ({between})" if estimate is None else f"{estimate:+,.0f} ({between})"
