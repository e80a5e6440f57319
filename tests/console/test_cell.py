"""The page of a cell: what each goal would do is what a request for it is answered."""

from __future__ import annotations

import json

import pytest

from include.console import cell as cell_page
from include.console.standing import standing
from include.contract.cell import records
from include.contract.tables import CELL
from include.proposals.goals import goals_of
from include.thresholds.ad_hoc import request_proposals
from include.thresholds.request import FormRun, Request
from tests.loop import FORM, LAST, Loop


def test_the_goals_rise_and_hold_the_configured_one() -> None:
    for configured in (0.95, 0.9, 0.6, 0.123, 0.999):
        goals = goals_of(configured)
        assert configured in goals
        assert goals == sorted(set(goals))
        assert 0 < goals[0] < goals[-1] < 1


@pytest.mark.airflow
def test_what_a_goal_would_do_is_what_a_request_for_it_is_answered(ended: Loop) -> None:
    project, day = ended.project, ended.day(LAST)
    now, seen = standing(project), set()
    for cell in [("violence", "BR", "violence-v3"), ("fraud", "IN", "fraud-v2")]:
        answers = {answer.goal: answer for answer in cell_page.answers(now, cell)}
        assert list(answers) == goals_of(project.config.policies[cell[0]].target_precision)
        for goal in (min(answers), project.config.policies[cell[0]].target_precision, max(answers)):
            form = FORM | {"policies": [cell[0]], "markets": [cell[1]], "goal": "own", "precision_percent": 100 * goal}
            request = Request.from_form(FormRun("recalibrate_ad_hoc", "run", "ana", form).form, project.config, day)
            stored = {"origin": "recalibrate_ad_hoc/run", "day": day.isoformat(), **request.to_json()}
            rows = records(request_proposals(project, stored, now.ledger))
            (row,) = [row for row in rows if tuple(row[name] for name in CELL) == cell]
            answer = answers[goal]
            assert answer.certified == (row["refusal"] is None), (cell, goal)
            seen.add(answer.certified)
            assert answer.labels == row["labels_needed"]
            if answer.certified:
                assert answer.effect is not None
                assert answer.effect.removes == row["removes_after"]
                assert answer.effect.wrong.low <= (answer.effect.wrong.estimate or 0) <= answer.effect.wrong.high
            else:
                assert answer.refusal
    assert seen == {True, False}


@pytest.mark.airflow
def test_the_page_of_a_cell_holds_its_curves_and_the_slider_no_threshold(ended: Loop) -> None:
    now = standing(ended.project)
    cell = ("violence", "BR", "violence-v3")
    page = cell_page.cell_page(now, cell)
    assert page.now.effect is not None
    thresholds = [point["threshold"] for point in page.curve]
    assert len(thresholds) > 20
    assert thresholds == sorted(thresholds)
    removes = [point["removes"] for point in page.curve]
    assert removes == sorted(removes, reverse=True)
    row = next(row for row in now.daily if tuple(row[name] for name in CELL) == cell)
    assert page.certified_from == row["certified_remove_at"]
    assert page.trend[-1]["day"] == str(ended.day(LAST))
    text = json.dumps(cell_page.goals_json(cell_page.answers(now, cell)))
    assert '"effect": {"removes": ' in text
    assert not {"remove_at", "review_at", "threshold", "refusal"} & set(
        text.replace('"', " ").replace(":", " ").split()
    )


@pytest.mark.airflow
def test_an_unknown_cell_is_not_found(ended: Loop) -> None:
    now = standing(ended.project)
    for cell in [("violence", "BR", "violence-v9"), ("../violence", "BR", "violence-v3"), ("", "", "")]:
        with pytest.raises(LookupError):
            cell_page.cell_page(now, cell)
        with pytest.raises(LookupError):
            cell_page.answers(now, cell)
    with pytest.raises(LookupError, match="no scores"):
        cell_page.answers(now, ("fraud", "BR", "fraud-v3"))
