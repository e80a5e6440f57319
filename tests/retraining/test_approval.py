"""Whether training data may leave, where a person is asked: what is shown, and what each answer does for how long."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import PROJECT_ROOT
from include.local.runs import run_dag
from include.project import Project, open_project
from include.proposals.approval import Answer
from include.retraining import collect, stage
from include.retraining.approval import approval
from tests.history import APPROVED, REJECTED, START
from tests.loop import LAST, Loop, reject
from tests.places import configured

pytestmark = pytest.mark.airflow

NOBODY = Answer("Reject", None)
DAY = START + timedelta(days=LAST)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def project(ended: Loop, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A day on which violence is to be retrained, since its reviewers work by another guideline; nothing left yet."""
    monkeypatch.setattr(collect, "_other_guideline", lambda project, name, *_: "2025-2" if name == "violence" else None)
    found = open_project(ended.settings)
    stage.decide_retraining(found, DAY)
    stage.write_snapshots(found, DAY)
    return found


def test_an_approval_hands_over_and_is_not_asked_for_again(project: Project) -> None:
    question = approval(project, DAY).question()
    assert question is not None
    assert question.subject == "Hand over training data for violence-v3"
    assert "guideline 2025-2" in question.text
    assert "Approved by ana" in approval(project, DAY).settle(APPROVED)
    assert approval(project, DAY).question() is None
    stage.decide_retraining(project, DAY)  # cleared, and run again
    assert approval(project, DAY).question() is None
    assert len(stage.hand_over(project, DAY)) == 1


def test_what_is_declined_stays_and_is_not_asked_for_during_the_cool_down(project: Project) -> None:
    assert "it was declined" in approval(project, DAY).settle(REJECTED)
    assert stage.hand_over(project, DAY) == []
    declined = project.warehouse.read("retraining_decisions", DAY, DAY)
    row = declined[declined["model_version"] == "violence-v3"].iloc[0]
    assert row["decision"] == "declined"
    assert json.loads(row["reasons"])["answer"] == {"approved": False, "by": "ana"}
    stage.decide_retraining(project, DAY)
    assert approval(project, DAY).question() is None
    assert project.warehouse.read("retraining_decisions", DAY, DAY).equals(declined)

    found = collect.evidence_of(project, NEXT, collect.trainable(project, DAY).rows)
    decided = stage.decide(found, day=NEXT, config=project.config).to_dict("records")
    (waiting,) = [row for row in decided if row["model_version"] == "violence-v3"]
    assert waiting["decision"] == "keep"
    assert f"a hand-over was declined on {DAY}; wait until" in waiting["reasons"]


def test_nobody_there_is_no_answer_for_the_next_day(project: Project) -> None:
    assert "nobody answered in time" in approval(project, DAY).settle(NOBODY)
    assert stage.hand_over(project, DAY) == []
    found = collect.evidence_of(project, NEXT, collect.trainable(project, DAY).rows)
    decided = stage.decide(found, day=NEXT, config=project.config).to_dict("records")
    (asked,) = [row for row in decided if row["model_version"] == "violence-v3"]
    assert asked["decision"] == "retrain"


def test_only_who_is_named_may_answer(project: Project) -> None:
    named = project.config.approval.model_copy(update={"assigned_users": ["olga"]})
    strict = replace(project, config=project.config.model_copy(update={"approval": named}))
    assert "ana is not among those who may answer" in str(approval(strict, DAY).objection(APPROVED))


def test_the_dag_asks_where_it_is_configured_and_a_rejected_hand_over_ends_well(
    ended: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    def loaded() -> Any:
        return DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "hand_off_retraining.py")).dags["hand_off_retraining"]

    monkeypatch.setattr(collect, "_other_guideline", lambda project, name, *_: "2025-2" if name == "violence" else None)
    assert "ask_for_approval" not in loaded().task_ids
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(configured(tmp_path, {"  approval: false": "  approval: true"})))
    asking = loaded()
    assert asking.task_ids[-2:] == ["ask_for_approval", "hand_over"]
    run = run_dag(asking, DAY, reject)
    assert {ti.task_id: ti.state for ti in run.get_task_instances()}["hand_over"] == "success"
    decisions = ended.read("retraining_decisions", LAST).set_index("model_version")["decision"]
    assert decisions["violence-v3"] == "declined"
    assert ended.read("training_snapshots", LAST).empty
