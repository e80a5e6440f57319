"""What a person is asked, and what their answer does to the proposals. Pure.

An answer counts only from somebody else than who asked, and only for what was shown: `validated` compares the
proposals a person approved with the same proposals computed anew from the day's data as it is after the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from include.contract.cell import Row, cell_of, records
from include.contract.tables import CELL
from include.contract.terms import OPEN, ProposalStatus, Ruling
from include.proposals.guardrails import Verdict
from include.proposals.holds import with_verdict
from include.wording import percent

APPROVE, REJECT = "Approve", "Reject"


def waiting_for_a_person(proposals: pd.DataFrame) -> pd.DataFrame:
    """The proposals that wait for a person."""
    return proposals[proposals["status"] == ProposalStatus.AWAITING_APPROVAL]


def request_text(proposals: pd.DataFrame) -> str:
    """The question as Markdown for a phone: a table of what would change, then why; empty if nothing waits."""
    waiting = records(waiting_for_a_person(proposals))
    if not waiting:
        return ""
    lines = ["| cell | remove_at | each day |", "|---|---|---|"]
    lines += [f"| {_name(row)} | {levels(row)} | {forecast_in_words(row)} |" for row in waiting]
    return "\n".join([*lines, "", "Why you are asked:", "", *(f"- **{_name(row)}**: {_why(row)}" for row in waiting)])


def levels(row: Mapping[str, Any]) -> str:
    """E.g. "0.980 → 0.955"."""
    return f"{row['current_remove_at']:.3f} → {row['proposed_remove_at']:.3f}"


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


def answered(proposals: pd.DataFrame, answer: Mapping[str, Any], requester: str) -> pd.DataFrame:
    """`proposals` with the waiting ones settled by a human-in-the-loop task's result.

    An answer nobody gave is the timeout's: `timed_out`. Nobody approves what they asked for themselves:
    `self_approval`. In both cases, and if rejected, the thresholds in force stay.
    """
    user = answer.get("responded_by_user")
    name = None if user is None else str(user["name"])
    if name is None:
        status = ProposalStatus.TIMED_OUT
    elif list(answer["chosen_options"]) != [APPROVE]:
        status = ProposalStatus.REJECTED
    else:
        status = ProposalStatus.SELF_APPROVAL if name == requester else ProposalStatus.APPROVED
    waiting = proposals["status"] == ProposalStatus.AWAITING_APPROVAL
    settled = proposals.copy()
    settled.loc[waiting, "status"] = status
    settled.loc[waiting, "answered_by"] = name
    return settled


def validated(proposals: pd.DataFrame, now: pd.DataFrame, done: set[str]) -> pd.DataFrame:
    """`proposals` with the approved ones that no longer hold marked `stale`, the reason among their verdicts.

    Args:
        proposals: as answered.
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
    return refused(proposals, reasons)


def refused(proposals: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """`proposals` with those that could not be published marked `stale`, the reason among their verdicts."""
    rows = [
        with_verdict(row, ProposalStatus.STALE, Verdict("still_valid", Ruling.HOLD, reasons[row["proposal_id"]]))
        if row["proposal_id"] in reasons
        else row
        for row in records(proposals)
    ]
    return proposals.assign(**{name: [row[name] for row in rows] for name in ("status", "verdicts")})


def already_answered(proposals: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """`proposals` with those that wait although the ledger holds them already as approved: nobody is asked twice."""
    settled = proposals.copy()
    for version in ledger[ledger["approver"].notna()].to_dict("records"):
        carried = settled["proposal_id"].isin(json.loads(version["proposal_ids"]))
        mine = carried & (settled["status"] == ProposalStatus.AWAITING_APPROVAL)
        settled.loc[mine, "status"] = ProposalStatus.APPROVED
        settled.loc[mine, "answered_by"] = version["approver"]
    return settled


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
    return " ".join(str(row[name]) for name in CELL)


def _why(row: Mapping[str, Any]) -> str:
    reasons = [verdict["reason"] for verdict in json.loads(row["verdicts"]) if verdict["outcome"] == Ruling.ASK]
    if pd.isna(row["bound"]):
        return f"{'; '.join(reasons)}. Nothing is certified"
    certified = f"at least {row['bound']:.1%} precise at {row['confidence']:.0%} confidence"
    return f"{'; '.join(reasons)}. Certified {certified} ({row['population']}, {row['n']} labels)"


def _range(change: Mapping[str, float | None]) -> str:
    """E.g. "+12 (4 to 30)"; only the range where there is no estimate."""
    low, high, estimate = change["low"] or 0.0, change["high"] or 0.0, change["estimate"]
    between = f"{low:,.0f} to {high:,.0f}"
    return f"unknown ({between})" if estimate is None else f"{estimate:+,.0f} ({between})"
