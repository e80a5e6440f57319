"""What a person is asked, and what each answer makes of the proposals."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from include.thresholds.approval import already_answered, answered, asked, request_text


def proposal(identity: str, status: str, **values: Any) -> dict[str, Any]:
    return {
        "proposal_id": identity,
        "policy": "violence",
        "market": "BR",
        "model_version": "violence-v3",
        "current_remove_at": 0.98,
        "proposed_remove_at": 0.9,
        "removes_before": 1_200,
        "removes_after": 15_000,
        "bound": 0.9512,
        "population": "cell",
        "n": 412,
        "verdicts": json.dumps(
            [
                {"guardrail": "volume", "outcome": "ask", "reason": "removals change by 1150 %"},
                {"guardrail": "labels", "outcome": "pass", "reason": "412 labels"},
                {"guardrail": "review", "outcome": "ask", "reason": "review load grows"},
            ]
        ),
        "status": status,
        "answered_by": None,
    } | values


@pytest.fixture
def proposals() -> pd.DataFrame:
    return pd.DataFrame(
        [
            proposal("p1", "within_limits"),
            proposal("p2", "awaiting_approval"),
            proposal("p3", "refused", market="DE"),
            proposal("p4", "awaiting_approval", market="IN"),
        ]
    )


def test_the_request_shows_what_waits_and_why_and_nothing_else(proposals: pd.DataFrame) -> None:
    assert asked(proposals)["proposal_id"].tolist() == ["p2", "p4"]
    heading, rule, *rows = request_text(proposals).splitlines()
    assert heading.count("|") == rule.count("|") == rows[0].count("|") == 6
    assert len(rows) == 2
    assert rows[0] == (
        "| violence BR violence-v3 | 0.980 → 0.900 | 1,200 → 15,000 | ≥ 95.1% precise (cell, 412 labels) "
        "| removals change by 1150 %; review load grows |"
    )
    assert rows[1].startswith("| violence IN violence-v3 |")


def test_a_request_without_a_certificate_says_so() -> None:
    row = proposal("p1", "awaiting_approval", proposed_remove_at=0.99, bound=None)
    assert "| nothing |" in request_text(pd.DataFrame([row, proposal("p2", "refused")]))


def test_nobody_is_asked_when_nothing_waits(proposals: pd.DataFrame) -> None:
    assert request_text(proposals[proposals["status"] != "awaiting_approval"]) == ""
    assert request_text(proposals.head(0)) == ""


@pytest.mark.parametrize(
    ("answer", "status", "by"),
    [
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "ines"}}, "approved", "ines"),
        ({"chosen_options": ["Reject"], "responded_by_user": {"id": "7", "name": "ines"}}, "rejected", "ines"),
        ({"chosen_options": ["Reject"], "responded_by_user": None}, "timed_out", None),
        ({"chosen_options": ["Approve"], "responded_by_user": None}, "timed_out", None),
        ({"chosen_options": ["Reject"]}, "timed_out", None),
        ({"chosen_options": ["Approve", "Reject"], "responded_by_user": {"id": "7", "name": "i"}}, "rejected", "i"),
        ({"chosen_options": [], "responded_by_user": {"id": "7", "name": "i"}}, "rejected", "i"),
    ],
)
def test_an_answer_settles_what_waits_and_only_that(
    proposals: pd.DataFrame, answer: dict[str, Any], status: str, by: str | None
) -> None:
    before = proposals.copy()
    settled = answered(proposals, answer)
    assert settled["status"].tolist() == ["within_limits", status, "refused", status]
    names = [None if pd.isna(name) else name for name in settled["answered_by"]]
    assert names == [None, by, None, by]
    pd.testing.assert_frame_equal(proposals, before)
    rest = [name for name in proposals.columns if name not in ("status", "answered_by")]
    pd.testing.assert_frame_equal(settled[rest], before[rest])


def ledger(*versions: tuple[list[str], str | None]) -> pd.DataFrame:
    rows = [{"proposal_ids": json.dumps(ids), "approver": approver} for ids, approver in versions]
    return pd.DataFrame(rows, columns=["proposal_ids", "approver"])


def test_what_was_approved_is_not_asked_again(proposals: pd.DataFrame) -> None:
    settled = already_answered(proposals, ledger(([], None), (["p2", "p9"], "ines"), (["p1"], None)))
    assert settled["status"].tolist() == ["within_limits", "approved", "refused", "awaiting_approval"]
    assert settled.loc[1, "answered_by"] == "ines"
    assert request_text(settled).count("violence") == request_text(proposals).count("violence") - 2


@pytest.mark.parametrize("found", [ledger(), ledger((["p2"], None)), ledger((["p3", "p1"], "ines"))])
def test_only_an_approval_of_what_waits_counts(proposals: pd.DataFrame, found: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(already_answered(proposals, found), proposals)
