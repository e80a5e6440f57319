"""What a person is asked, and what their answer does to the proposals. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

APPROVE, REJECT = "Approve", "Reject"


def asked(proposals: pd.DataFrame) -> pd.DataFrame:
    """The proposals that wait for a person."""
    return proposals[proposals["status"] == "awaiting_approval"]


def request_text(proposals: pd.DataFrame) -> str:
    """A Markdown table of the proposals that wait for a person, short enough for a phone; empty if none does."""
    waiting = asked(proposals)
    if waiting.empty:
        return ""
    lines = ["| cell | remove_at | removed a day | certified | why you are asked |", "|---|---|---|---|---|"]
    for row in waiting.to_dict("records"):
        reasons = [v["reason"] for v in json.loads(row["verdicts"]) if v["outcome"] == "ask"]
        lines.append(
            f"| {row['policy']} {row['market']} {row['model_version']} "
            f"| {row['current_remove_at']:.3f} → {row['proposed_remove_at']:.3f} "
            f"| {row['removes_before']:,} → {row['removes_after']:,} "
            f"| {_certified(row)} "
            f"| {'; '.join(reasons)} |"
        )
    return "\n".join(lines)


def _certified(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["bound"]):
        return "nothing"
    return f"≥ {row['bound']:.1%} precise ({row['population']}, {row['n']} labels)"


def answered(proposals: pd.DataFrame, answer: Mapping[str, Any]) -> pd.DataFrame:
    """`proposals` with the waiting ones settled by a human-in-the-loop task's result.

    An answer nobody gave is the timeout's: the proposals become `timed_out` and today's thresholds stay.
    """
    user = answer.get("responded_by_user")
    approve = list(answer["chosen_options"]) == [APPROVE]
    status = "timed_out" if user is None else "approved" if approve else "rejected"
    waiting = proposals["status"] == "awaiting_approval"
    settled = proposals.copy()
    settled.loc[waiting, "status"] = status
    settled.loc[waiting, "answered_by"] = None if user is None else str(user["name"])
    return settled


def already_answered(proposals: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """`proposals` with those that wait although the ledger holds them already as approved: nobody is asked twice."""
    settled = proposals.copy()
    for version in ledger[ledger["approver"].notna()].to_dict("records"):
        carried = settled["proposal_id"].isin(json.loads(version["proposal_ids"]))
        mine = carried & (settled["status"] == "awaiting_approval")
        settled.loc[mine, "status"] = "approved"
        settled.loc[mine, "answered_by"] = version["approver"]
    return settled
