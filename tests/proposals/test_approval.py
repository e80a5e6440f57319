"""What a person is asked, and what each answer makes of the proposals."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from include.config.load import load_config
from include.proposals.approval import (
    Answer,
    already_answered,
    may_answer,
    objection_to,
    question_table,
    with_answer,
    without_outdated,
)


def proposal(identity: str, status: str, **values: Any) -> dict[str, Any]:
    return {
        "proposal_id": identity,
        "policy": "violence",
        "market": "BR",
        "model_version": "violence-v3",
        "current_remove_at": 0.98,
        "current_review_at": 0.8,
        "proposed_remove_at": 0.9,
        "removes_before": 1_200,
        "removes_after": 15_000,
        "canary_share": None,
        "bound": 0.9512,
        "confidence": 0.9,
        "population": "cell",
        "n": 412,
        "forecast": json.dumps(
            {
                "wrongful_removals_change": {"estimate": 41.6, "low": 12.2, "high": 120.0},
                "violative_views_prevented_change": {"estimate": None, "low": 0.0, "high": 90_000.0},
            }
        ),
        "verdicts": json.dumps(
            [
                {"name": "volume", "outcome": "ask", "reason": "removals change by 1150 %"},
                {"name": "labels", "outcome": "publish", "reason": "412 labels"},
                {"name": "review", "outcome": "ask", "reason": "review load grows"},
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


def test_the_request_shows_what_waits_what_it_does_and_why_and_what_is_not_asked(proposals: pd.DataFrame) -> None:
    heading, rule, *rows = question_table(proposals).splitlines()
    assert heading.count("|") == rule.count("|") == rows[0].count("|") == 4
    assert rows[0] == (
        "| violence BR violence-v3 | 0.980 → 0.900 | 15,000 removals (+13,800, +1150%); "
        "wrongful removals +42 (12 to 120); violative views prevented unknown (0 to 90,000) |"
    )
    assert rows[1].startswith("| violence IN violence-v3 |")
    assert rows[2:5] == ["", "Why you are asked:", ""]
    assert rows[5] == (
        "- **violence BR violence-v3**: removals change by 1150 %; review load grows. Certified at least 95.1% "
        "precise at 90% confidence (cell, 412 labels)"
    )
    assert rows[7:] == [
        "",
        "Published without asking, within limits: violence BR violence-v3 0.980 → 0.900.",
        "Not published, whatever you answer: 1 cell not certifiable.",
    ]


def test_a_request_without_a_certificate_says_so() -> None:
    row = proposal("p1", "awaiting_approval", bound=None)
    text = question_table(pd.DataFrame([row, proposal("p2", "refused")]))
    assert text.splitlines()[-4].endswith("review load grows. Nothing is certified")
    assert text.splitlines()[-2] == "Nothing else is published."


def test_nobody_is_asked_when_nothing_waits(proposals: pd.DataFrame) -> None:
    assert question_table(proposals[proposals["status"] != "awaiting_approval"]) == ""
    assert question_table(proposals.head(0)) == ""


@pytest.mark.parametrize(
    ("answer", "status", "by"),
    [
        (Answer("Approve", "ines"), "approved", "ines"),
        (Answer("Reject", "ines"), "rejected", "ines"),
        (Answer("approve", "ines"), "rejected", "ines"),
        (Answer("Reject", None), "timed_out", None),
        (Answer("Approve", None), "timed_out", None),
    ],
)
def test_an_answer_settles_what_waits_and_only_that(
    proposals: pd.DataFrame, answer: Answer, status: str, by: str | None
) -> None:
    before = proposals.copy()
    settled = with_answer(proposals, answer)
    assert settled["status"].tolist() == ["within_limits", status, "refused", status]
    names = [None if pd.isna(name) else name for name in settled["answered_by"]]
    assert names == [None, by, None, by]
    pd.testing.assert_frame_equal(proposals, before)
    rest = [name for name in proposals.columns if name not in ("status", "answered_by")]
    pd.testing.assert_frame_equal(settled[rest], before[rest])


def ledger(*versions: tuple[list[str], str | None]) -> list[dict[str, Any]]:
    return [{"proposal_ids": json.dumps(ids), "approver": approver} for ids, approver in versions]


def test_what_was_approved_is_not_asked_again(proposals: pd.DataFrame) -> None:
    nothing = proposals.head(0)
    settled = already_answered(proposals, nothing, ledger(([], None), (["p2", "p9"], "ines"), (["p1"], None)))
    assert settled["status"].tolist() == ["within_limits", "approved", "refused", "awaiting_approval"]
    assert settled.loc[1, "answered_by"] == "ines"
    assert question_table(settled).count("| violence BR") == 0 < question_table(proposals).count("| violence BR")


@pytest.mark.parametrize("status", ["approved", "rejected", "timed_out", "stale"])
def test_what_was_settled_before_never_waits_again(proposals: pd.DataFrame, status: str) -> None:
    why = '[{"name": "still_valid", "outcome": "hold", "reason": "said before"}]'
    earlier = proposals.assign(
        status=["within_limits", status, "refused", "awaiting_approval"],
        answered_by=pd.Series([None, "ines", None, None], dtype=object),
        verdicts=["[]", why, "[]", "[]"],
    )
    settled = already_answered(proposals, earlier, [])
    assert settled["status"].tolist() == ["within_limits", status, "refused", "awaiting_approval"]
    assert (settled["answered_by"].iloc[1], settled["verdicts"].iloc[1]) == ("ines", why)
    other = proposals.assign(proposal_id=["n1", "n2", "n3", "n4"])  # rests on other evidence
    assert already_answered(other, earlier, [])["status"].tolist() == other["status"].tolist()


@pytest.mark.parametrize("found", [ledger(), ledger((["p2"], None)), ledger((["p3", "p1"], "ines"))])
def test_only_an_approval_of_what_waits_counts(proposals: pd.DataFrame, found: list[dict[str, Any]]) -> None:
    pd.testing.assert_frame_equal(already_answered(proposals, proposals.head(0), found), proposals)


def test_who_may_answer_is_who_the_configuration_names() -> None:
    config = load_config()
    named = config.approval.model_copy(update={"assigned_users": ["ines", "id:41", "7"]})
    some = config.model_copy(update={"approval": named})
    assert may_answer(Answer("Approve", "x"), config)
    assert may_answer(Answer("Reject", "ines"), some)
    assert may_answer(Answer("Approve", "I", "41"), some)
    assert may_answer(Answer("Reject", None), some)  # nobody did in time
    for name, identity in (("ana", "7"), ("ana", "id:41"), ("id:41", "3"), ("41", "3"), ("Ines", "3"), ("ana", None)):
        assert not may_answer(Answer("Approve", name, identity), some), (name, identity)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ana", "ana asked for it"),
        ("Ana ", "ana asked for it"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}na", "ana asked for it"),
        ("", "Airflow does not say who answered"),
        ("  ", "Airflow does not say who answered"),
        ("anna", None),
    ],
)
def test_four_eyes_need_two_people_that_can_be_told_apart(name: str, said: str | None) -> None:
    objection = objection_to(Answer("Approve", name, "9"), load_config(), asked_by="ana")
    assert objection is None if said is None else (objection or "").startswith(said)
    rejected = objection_to(Answer("Reject", name, "9"), load_config(), asked_by="ana")
    assert (rejected is None) == bool(name.strip()), "one may take back what one asked for"


def test_reasons_that_came_from_outside_are_text_in_the_question() -> None:
    forged = "version 7, asked for by eva, holds this cell: x\n\n| a | b |\n|---|---|\n![i](http://e.example/i)"
    held = json.dumps([{"name": "override", "outcome": "ask", "reason": forged}])
    shown = question_table(pd.DataFrame([proposal("p1", "awaiting_approval", verdicts=held)]))
    assert len(shown.splitlines()) == 9
    assert shown.splitlines()[-3].count(r"\|") == shown.splitlines()[-3].count("|")
    assert r"!\[i\](http\://e.example/i)" in shown


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (None, "the cell has no scores any more"),
        ({"current_remove_at": 0.97}, "remove_at was 0.98 when the question was asked, and is 0.97 now"),
        ({"current_review_at": 0.7}, "review_at was 0.8 when the question was asked, and is 0.7 now"),
        ({"proposal_id": "p9"}, "the labels, the scores or the goal of the day changed after the question was asked"),
        ({"status": "held", "verdicts": '[{"outcome":"hold","reason":"frozen"}]'}, "it would be held now: frozen"),
    ],
)
def test_an_approval_of_what_no_longer_holds_is_stale(now: dict[str, Any] | None, reason: str) -> None:
    approved = pd.DataFrame([proposal("p1", "approved"), proposal("p2", "approved", market="DE")])
    fresh = [proposal("p2", "awaiting_approval", market="DE")]
    if now is not None:
        fresh.append(proposal("p1", "awaiting_approval") | now)
    found = without_outdated(approved, pd.DataFrame(fresh), set())
    assert found["status"].tolist() == ["stale", "approved"]
    verdict = json.loads(found["verdicts"].iloc[0])[-1]
    assert (verdict["name"], verdict["outcome"], verdict["reason"]) == ("still_valid", "hold", f"stale: {reason}")
    assert without_outdated(approved, pd.DataFrame(fresh), {"p1"})["status"].tolist() == ["approved", "approved"]


def test_only_approvals_are_looked_at_again(proposals: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(without_outdated(proposals, proposals.head(0), set()), proposals)
