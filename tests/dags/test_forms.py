"""The managers' forms really run: what-if, request, self-approval, conflict, expiry, stale answers, rollback."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from include.contract.tables import CELL
from include.ledger.chain import in_order, verify
from include.ledger.serving import read_serving
from include.orchestration.forms import as_note
from include.orchestration.links import page_link
from include.proposals.approval import Answer
from include.report.places import address_of, page_of
from include.thresholds import ad_hoc
from include.thresholds.request import FormRun, RequestError
from tests.loop import FORM, LAST, Loop, approve, levels, nobody
from tests.places import MOVES_SOON, configured

pytestmark = pytest.mark.airflow

INDIA = FORM | {"policies": ["pornography", "violence"], "markets": ["IN"], "goal": "own", "precision_percent": 90}
"""So little is asked that a few days of labels certify it."""
WANTED = INDIA | {"mode": "propose"}
BY_MANAGER = Answer("Approve", "manager", "manager")


def answer_of(run: Any, task_id: str = "answer") -> str:
    """The run's short answer: what its last task returned, and what Airflow gives to who waits for the run's result."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    returned = (XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id, XComModel.key == "return_value")
    with create_session() as session:
        marked = session.scalars(select(XComModel).where(*returned, XComModel.dag_result.is_(True)))
        results = {row.task_id: row.value for row in marked}
    answer = str(run.get_task_instance(task_id).xcom_pull(task_ids=task_id))
    assert results == {task_id: answer}
    return answer


def note_of(run: Any) -> str | None:
    """The run's note in the metadata database."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.run_id == run.run_id)).one()
        return None if found.note is None else str(found.note)


def versions(loop: Loop) -> list[dict[str, Any]]:
    rows = loop.read("threshold_ledger")
    assert verify(rows) == []
    return in_order(rows)


def of_run(loop: Loop, run: Any) -> pd.DataFrame:
    proposals = loop.read("threshold_proposals", LAST)
    return proposals[proposals["origin"] == f"recalibrate_ad_hoc/{run.run_id}"]


def test_a_what_if_answers_and_changes_nothing(loop: Loop) -> None:
    before, served = loop.fingerprints(), loop.settings.thresholds.read_bytes()
    run = loop.fill_in("recalibrate_ad_hoc", nobody, **INDIA)
    after = loop.fingerprints()
    assert {name for name, digest in after.items() if before.get(name) != digest} == {
        ("threshold_proposals", loop.day(LAST))
    }
    assert loop.settings.thresholds.read_bytes() == served

    found = of_run(loop, run)
    assert sorted(found["policy"]) == ["pornography", "violence"]
    assert set(found["target"]) == {0.9}
    changing = found[found["status"] == "what_if"]
    assert len(changing) > 0
    assert not {"within_limits", "awaiting_approval", "approved"} & set(found["status"])
    answer = answer_of(run, "work_out")
    assert answer.startswith("Yes")
    assert "Nothing changed." in answer.splitlines()[0]
    asked = "ana asks what follows from a precision of at least 90% for pornography, violence in IN. election week"
    assert asked in answer.splitlines()
    states = {task.task_id: task.state for task in run.get_task_instances()}
    assert states.pop("work_out") == "success"
    assert set(states.values()) == {"skipped"}
    assert f"]({page_link(address_of(f'recalibrate_ad_hoc/{run.run_id}', loop.day(LAST)))})" in answer
    assert answer.count("wrongful removals") >= len(changing)
    (page,) = (loop.settings.reports / "ad_hoc").iterdir()
    assert page == page_of(loop.settings, f"recalibrate_ad_hoc/{run.run_id}", loop.day(LAST))
    shown = page.read_text(encoding="utf-8")
    assert f"<h1>{answer.splitlines()[0]}</h1>" in shown
    assert "ana asks what follows from a precision of at least 90%" in shown
    assert note_of(run) == as_note(answer)


def test_a_request_holds_its_cells_until_it_expires(loop: Loop) -> None:
    until = loop.day(LAST + 1)
    little = WANTED | {"precision_percent": 75}  # so that the daily run would change the cells back
    run = loop.fill_in("recalibrate_ad_hoc", **little | {"expires_on": until.isoformat()})
    found = of_run(loop, run)
    approved = found[found["status"] == "approved"]
    published = found[found["status"].isin(["approved", "within_limits"])]
    assert len(approved) > 0
    last = versions(loop)[-1]
    assert (last["requester"], last["approver"], last["reason"], last["expires_on"]) == (
        "ana",
        "manager",
        "election week",
        until,
    )
    assert sorted(approved["proposal_id"]) == json.loads(last["proposal_ids"])
    assert json.loads(last["changes"])[0]["forecast"]["removes"]

    # The daily run of that day proposes the same cells; what it was approved for them came too late.
    loop.steps.recalibrate(LAST, BY_MANAGER)
    daily = loop.read("threshold_proposals", LAST).query("origin == 'daily'").merge(published[list(CELL)])
    assert set(daily["status"]) == {"stale"}
    assert (
        daily["verdicts"].str.contains(f"the same day \\(recalibrate_ad_hoc/{run.run_id}\\)".replace("+", r"\+")).all()
    )

    loop.steps.label_day(LAST + 1)
    loop.run("recalibrate_thresholds", LAST + 1, approve)
    held = loop.read("threshold_proposals", LAST + 1).merge(published[list(CELL)])
    changing = held[~held["status"].isin(["unchanged", "refused"])]
    assert set(changing["status"]) == {"held"}
    assert changing["verdicts"].str.contains(f"asked for by ana, holds this cell until {until}").all()
    lifted = next(row for row in versions(loop) if row["reason"] == "expired")
    changes = {tuple(change[name] for name in CELL): change for change in json.loads(lifted["changes"])}
    assert len(changes) == len(published)
    for row in published.to_dict("records"):
        change = changes[tuple(row[name] for name in CELL)]
        assert change["new"] == {"remove_at": row["current_remove_at"], "review_at": row["current_review_at"]}


def test_nobody_approves_their_own_request(loop: Loop) -> None:
    before, answers, bodies = len(versions(loop)), ["Approve", "Approve", "Reject"], list[str]()

    def insisting(subject: str, body: str) -> str:
        bodies.append(body)
        return answers[len(bodies) - 1]

    run = loop.fill_in("recalibrate_ad_hoc", insisting, user="manager", **WANTED)
    assert len(bodies) == 3  # the question stood, word for word, until an answer counted
    assert len(set(bodies)) == 1
    found = of_run(loop, run)
    rejected = found[found["status"] == "rejected"]
    assert len(rejected) > 0
    assert set(rejected["answered_by"]) == {"manager"}
    assert "approved" not in set(found["status"])
    published = versions(loop)
    assert len(published) == before + ("within_limits" in set(found["status"]))
    assert not any(version["approver"] for version in published)


def test_a_freeze_holds_the_daily_run_and_a_person_may_decide_an_emergency(loop: Loop) -> None:
    freeze = f"freezes: [{{first_day: {loop.day(0)}, last_day: {loop.day(LAST + 9)}, reason: Sales}}]"
    configured(loop.home, MOVES_SOON | {"freezes: []": freeze})
    before = len(versions(loop))
    loop.steps.recalibrate(LAST, None)
    found = loop.read("threshold_proposals", LAST)
    assert set(found["status"]) <= {"held", "refused", "unchanged"}
    held = found[found["status"] == "held"]
    assert len(held) > 0
    assert held["verdicts"].str.contains("Sales").all()
    assert len(versions(loop)) == before

    until = loop.day(LAST + 1).isoformat()
    run = loop.fill_in("recalibrate_ad_hoc", **WANTED | {"emergency": True, "expires_on": until})
    assert "approved" in set(of_run(loop, run)["status"])
    assert versions(loop)[-1]["approver"] == "manager"


def test_an_approval_after_the_labels_changed_is_refused(loop: Loop) -> None:
    def meddle(subject: str, body: str) -> str:
        labels = loop.read("label_consensus", LAST).drop(columns="ds")
        final = labels.index[labels["status"] == "final"]
        labels.loc[final, "p_violating"] = 1 - labels.loc[final, "p_violating"]
        loop.project.warehouse.replace("label_consensus", loop.day(LAST), labels)
        return "Approve"

    loop.run("recalibrate_thresholds", LAST, meddle)
    found = loop.read("threshold_proposals", LAST)
    stale = found[found["status"] == "stale"]
    assert len(stale) > 0
    assert set(stale["answered_by"]) == {"manager"}
    assert stale["verdicts"].str.contains("stale: the labels, the scores or the goal of the day changed").all()
    assert "approved" not in set(found["status"])
    assert not any(row["approver"] for row in versions(loop))


def test_an_approval_after_the_thresholds_moved_is_refused_and_a_rollback_brings_them_back(loop: Loop) -> None:
    def overtaken(subject: str, body: str) -> str:
        loop.steps.recalibrate(LAST, BY_MANAGER)
        return "Approve"

    run = loop.fill_in("recalibrate_ad_hoc", overtaken, **WANTED)
    found = of_run(loop, run)
    stale = found[found["status"] == "stale"]
    assert len(stale) > 0
    assert stale["verdicts"].str.contains("when the question was asked, and is").all()
    assert "when the question was asked" in answer_of(run)
    newest = versions(loop)[-1]
    assert newest["requester"] == "recalibrate_thresholds"
    assert newest["approver"] == "manager"

    asked: list[str] = []

    def confirm(subject: str, body: str) -> str:
        asked.append(body)
        return "Roll back"

    before = read_serving(loop.settings.thresholds)
    run = loop.fill_in("roll_back_thresholds", confirm, version=1, reason="complaints")
    served = read_serving(loop.settings.thresholds)
    assert served["version"] == before["version"] + 1
    assert levels(served["cells"]) == levels(json.loads(versions(loop)[0]["thresholds"])) != levels(before["cells"])
    assert "| violence" in asked[0] or "| pornography" in asked[0] or "| fraud" in asked[0]
    said = answer_of(run, "roll_back")
    assert note_of(run) == said
    assert said.startswith(f"Rolled back to version 1, as version {served['version']}.")


def test_a_form_that_cannot_be_carried_out_is_answered_and_says_why(loop: Loop) -> None:
    back = loop.fill_in("roll_back_thresholds", nobody, version=99, reason="complaints")
    wanted = loop.fill_in("recalibrate_ad_hoc", nobody, **WANTED | {"window_days": 1})
    for run, first, said in ((back, "read_request", "version: 99 does"), (wanted, "work_out", "window_days: no final")):
        assert run.state == "success"
        assert str(note_of(run)).startswith(f"Not done. {said}")
        states = {task.task_id: task.state for task in run.get_task_instances()}
        assert {task_id for task_id, state in states.items() if state != "skipped"} == {first}
    for wrong, said in (
        ({"window_days": 1}, f"window_days: no final labels of .* in the window, {loop.day(LAST)} to {loop.day(LAST)}"),
        ({"markets": ["FR"]}, "markets: 'FR' is unknown"),
        ({"reason": " "}, "reason: is blank"),
        ({"precision_percent": 100, "goal": "own"}, "precision_percent: 100 is impossible"),
        ({"expires_on": str(loop.day(LAST) - timedelta(days=1)), "mode": "propose"}, "expires_on: .* is over"),
    ):
        with pytest.raises(RequestError, match=said):
            ad_hoc.read_request(loop.project, FormRun("recalibrate_ad_hoc", "manual__1", "ana", INDIA | wrong))
