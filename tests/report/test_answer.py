"""The page that answers a request, and its verdict in one line."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from include.contract.cell import records
from include.report.answer import AnswerData, build_answer, verdict
from tests.report.test_page import CONFIG, DAY, report_data

MARKUP = "<img src=x onerror=alert(1)> **bold**"


def rows(*statuses: str, **more: Any) -> list[dict[str, Any]]:
    found = records(report_data().proposals)
    return [{**found[0], "labels_needed": None, "refusal": None, "status": status, **more} for status in statuses]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            rows("refused", refusal="too few labels", labels_needed=390),
            "No. About 390 more reviewed videos, 9.8 reviewer hours, would decide it. Nothing changed.",
        ),
        (
            rows("refused", refusal="at best 0.58 of them violate"),
            "No. At best 0.58 of them violate. Nothing changed.",
        ),
        (rows("what_if"), "Yes. 1 cell would change. Nothing changed."),
        (rows("unchanged"), "Yes. 1 cell stays as it is. Nothing changed."),
        (rows("approved"), "Yes. 1 cell is changed."),
        (rows("awaiting_approval"), "Yes. 1 change waits for somebody else's approval. Nothing changed."),
        (rows("held", "held"), "Yes, in all 2 cells. 2 changes are held back by a guardrail. Nothing changed."),
        (
            [*rows("within_limits", "rejected"), *rows("refused", refusal="too few", labels_needed=10)],
            "Yes in 2 of 3 cells, no in 1. About 10 more reviewed videos, 15 reviewer minutes, would decide it. "
            "1 cell is changed. 1 change was rejected.",
        ),
        (
            rows("refused", "refused", refusal="too few", labels_needed=10),
            "No, in none of the 2 cells. About 20 more reviewed videos, 30 reviewer minutes, would decide them. "
            "Nothing changed.",
        ),
    ],
)
def test_the_verdict_comes_first_and_says_whether_anything_changed(given: list[dict[str, Any]], said: str) -> None:
    assert verdict(given, CONFIG) == said


@pytest.fixture(scope="module")
def page() -> str:
    data = report_data()
    asked = data.proposals[data.proposals["market"] == "BR"].assign(status="what_if")
    return build_answer(
        AnswerData(
            day=DAY,
            config=CONFIG,
            rows=records(asked),
            curves=data.curves,
            histogram=data.histogram,
            asked=f"{MARKUP} asks for a precision of at least 97%.",
            reason=MARKUP,
        )
    )


def test_the_page_shows_what_was_asked_and_nothing_else_of_the_day(page: str) -> None:
    assert "<h1>Yes, in all 4 cells. 4 cells would change. Nothing changed.</h1>" in page
    for other in ("Reviewers", "Ledger", "Enforcement", "Second look", "Violative view rate</", "DE"):
        assert f">{other}" not in page
    assert page.count('<details class="cell" open>') == 3
    assert page.count('<svg viewBox="0 0 440') == 2 * 4
    assert len(page.encode()) < 300_000


def test_what_was_written_in_the_form_stays_text(page: str) -> None:
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt; **bold**") == 2


def test_a_request_without_curves_is_answered_too() -> None:
    data = report_data()
    empty = pd.DataFrame(columns=data.curves.columns)
    one = rows("refused", refusal="no final label", proposed_remove_at=None, bound=None)
    page = build_answer(AnswerData(DAY, CONFIG, one, empty, data.histogram, "ana asks.", "why"))
    assert "there is no certified curve" in page
