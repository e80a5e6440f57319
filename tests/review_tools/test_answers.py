"""Annotations as the lines of a drop: the same bytes for the same answers, none twice, none lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from include.labels import label_studio
from include.review_tools.answers import lines_of, merged

MIDNIGHT = datetime(2026, 11, 5, tzinfo=UTC)
PEOPLE = {3: "ana@x.test", 4: "lead@x.test"}


def annotation(number: int, hour: str = "10", **more: Any) -> dict[str, Any]:
    result = [{"type": "choices", "from_name": "decision", "value": {"choices": ["violating"]}}]
    when = f"2026-11-04T{hour}:00:00.5Z"
    given = {"id": number, "result": result, "completed_by": 3, "updated_by": 3, "created_at": when, "updated_at": when}
    return given | {"created_ago": "2 minutes", "was_cancelled": False} | more


def lines(*annotations: dict[str, Any]) -> list[str]:
    data = {
        "asked_on": "2026-11-03",
        "video_id": "1",
        "policy": "fraud",
        "guideline_version": "1",
        "sample_id": "s",
        "title": "Theirs",
    }
    return list(lines_of([{"id": 1, "data": data, "annotations": list(annotations)}], PEOPLE, MIDNIGHT))


def test_a_line_holds_what_makes_an_event_and_nothing_that_changes_by_itself() -> None:
    (line,) = lines(annotation(7))
    assert lines(annotation(7, created_ago="3 minutes")) == [line]
    assert "Theirs" not in line
    assert label_studio.is_export(json.loads(line))
    event = label_studio.event(json.loads(line))
    assert (event["event_id"], event["reviewer_id"]) == ("label-studio:7:2026-11-04T10:00:00.5Z", "ana@x.test")


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        ({"updated_by": 4}, "lead@x.test"),
        ({"updated_by": None}, "ana@x.test"),
        ({"completed_by": {"id": 3, "email": "old@x.test"}}, "ana@x.test"),
        ({"completed_by": 9, "updated_by": 9}, 9),
        ({"completed_by": None, "updated_by": None}, None),
    ],
)
def test_people_are_named_by_their_address_where_they_have_one(changes: dict[str, Any], who: Any) -> None:
    (line,) = lines(annotation(7, **changes))
    assert label_studio.event(json.loads(line))["reviewer_id"] == who


def test_what_is_answered_after_midnight_waits_for_the_next_day() -> None:
    late = annotation(8, updated_at="2026-11-05T00:00:00Z")
    assert len(lines(annotation(7, updated_at="2026-11-04T23:59:59.999999Z"), late)) == 1


def test_tasks_that_somebody_else_put_into_the_project_are_passed_over() -> None:
    other = {"id": 2, "data": {"video": "https://x.test"}, "annotations": [annotation(9)]}
    assert list(lines_of([other], PEOPLE, MIDNIGHT)) == []


def test_a_drop_keeps_what_it_had_and_takes_what_no_other_has() -> None:
    first, changed, other = lines(annotation(7), annotation(7, "11"), annotation(6))
    assert merged([], [first, other], []) == merged([], [other, first], []) == [other, first]
    assert merged([first], [changed], []) == [first, changed], "what was changed meanwhile is not lost"
    assert merged([first], [first], []) == [first]
    assert merged([], [first, changed], [first]) == [changed]
    assert merged(["no JSON"], [first], []) == [first, "no JSON"]
