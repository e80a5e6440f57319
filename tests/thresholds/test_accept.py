"""A challenger that proves itself gets thresholds first and the alias second; anything else is named, nothing moved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.contract.cell import Row, records
from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.terms import VersionKind
from include.ledger.publication import read_chain
from include.ledger.serving import read_serving
from include.project import Project
from include.proposals.approval import Answer
from include.retraining import registry
from include.retraining.registry import CHALLENGER
from include.retraining.tracking import MlflowUnavailable, connected
from include.simulation.population import ID_SHIFT
from include.thresholds import accept
from include.thresholds.request import FormRun, NothingToDo, RequestError
from include.verification.decision import decision_problems
from tests.history import APPROVED, History
from tests.loop import levels
from tests.retraining.models import aliases, register

pytestmark = pytest.mark.slow

V3 = [("fraud", market, "fraud-v3") for market in ("BR", "DE", "IN")]


@pytest.fixture
def project(rivals: History, tmp_path: Path) -> Project:
    shutil.copytree(rivals.home, tmp_path / "data")
    return replace(rivals, home=tmp_path / "data").project


def form(number: int = 1, user: str = "ana", **fields: Any) -> FormRun:
    given = {"policy": "fraud", "challenger": None, "mode": "accept", "reason": "Retrained on November"} | fields
    return FormRun("accept_model", f"manual__{number}", user, given)


def compared(project: Project, run: FormRun) -> tuple[str, Row]:
    day = accept.read_request(project, run)
    accept.compare_models(project, run, day)
    accept.gate_request(project, run, day)
    about = date.fromisoformat(day)
    (row,) = records(project.warehouse.read("model_comparisons", about, about, slice_value=run.origin))
    return day, row


def test_an_accepted_challenger_gets_thresholds_then_the_alias_and_an_undo_takes_both_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = project.settings.mlflow
    register(place, "fraud", "fraud-v3", CHALLENGER)
    before = levels(read_serving(project.settings.thresholds)["cells"])
    assert all(before[cell].remove_at == 1 for cell in V3), "the daily run leaves a challenger alone"
    run = form()
    day, row = compared(project, run)
    assert (row["outcome"], row["status"]) == ("better", "awaiting_approval")
    assert row["gain_low"] > 0
    asked = accept.approval(project, run, day)
    question = asked.question()
    assert question is not None
    for said in ("| BR |", "none of fraud-v3", "stays as `previous`", "Retrained on November"):
        assert said in question.text
    assert "nobody approves what they asked for themselves" in str(asked.objection(Answer("Approve", "ana")))
    assert asked.objection(APPROVED_BY_BOB) is None
    assert aliases(place, "fraud") == {"champion": "1", "challenger": "2"}

    said = asked.settle(APPROVED_BY_BOB)
    assert "fraud-v3 is the champion of fraud now" in said
    assert aliases(place, "fraud") == {"champion": "2", "previous": "1"}
    after = levels(read_serving(project.settings.thresholds)["cells"])
    assert after["fraud", "IN", "fraud-v3"].remove_at < 1
    assert {cell: pair for cell, pair in after.items() if cell not in V3} == {
        cell: pair for cell, pair in before.items() if cell not in V3
    }
    chain = read_chain(project)
    assert (chain[-1]["requester"], chain[-1]["approver"]) == ("ana", "bob")
    assert decision_problems(project, chain, chain[-1]["version"]) == []
    assert asked.question() is None
    assert "**accepted**" in accept.answer(project, run, day)

    undo = form(2, mode="undo", reason="Complaints")
    day = accept.read_request(project, undo)
    accept.compare_models(project, undo, day)
    accept.gate_request(project, undo, day)
    taken = accept.approval(project, undo, day)
    assert taken.question() is not None
    assert taken.objection(Answer("Approve", "ana")) is None
    more = [Change(V3[0], ThresholdPair(0.95, 0.8), ThresholdPair(0.9, 0.8), VersionKind.ACCEPTANCE)]
    with monkeypatch.context() as patch:
        patch.setattr(accept, "undone", lambda *_: more)  # it had a threshold of its own before
        assert "nobody approves what they asked for" in str(taken.objection(Answer("Approve", "ana")))
        assert taken.objection(APPROVED_BY_BOB) is None
    assert "fraud-v2 is the champion of fraud again" in taken.settle(Answer("Approve", "ana"))
    assert aliases(place, "fraud") == {"champion": "1"}
    assert levels(read_serving(project.settings.thresholds)["cells"]) == before
    chain = read_chain(project)
    assert decision_problems(project, chain, chain[-1]["version"]) == []


APPROVED_BY_BOB = replace(APPROVED, name="bob", id="bob")


def test_mlflow_that_fails_while_the_alias_moves_leaves_thresholds_and_is_taken_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = project.settings.mlflow
    register(place, "fraud", "fraud-v3", CHALLENGER)
    run = form()
    day, _ = compared(project, run)
    with monkeypatch.context() as patch:
        patch.setattr(accept, "promote", lambda *_: (_ for _ in ()).throw(MlflowUnavailable("down")))
        with pytest.raises(MlflowUnavailable):
            accept.approval(project, run, day).settle(APPROVED_BY_BOB)
    published = read_chain(project)[-1]["version"]
    assert aliases(place, "fraud") == {"champion": "1", "challenger": "2"}
    again = accept.approval(project, run, day)
    assert again.question() is None
    assert "fraud-v3 is the champion" in str(again.unfinished())
    assert aliases(place, "fraud") == {"champion": "2", "previous": "1"}
    assert read_chain(project)[-1]["version"] == published


def test_a_rejected_challenger_moves_nothing_and_the_daily_look_asks_nobody_again(project: Project) -> None:
    place = project.settings.mlflow
    register(place, "fraud", "fraud-v3", CHALLENGER)
    served = project.settings.thresholds.read_bytes()
    look = form(1, user="accept_model", policy=None, reason=None)
    day, row = compared(project, look)
    assert row["status"] == "awaiting_approval"
    assert accept.approval(project, look, day).settle(Answer("Reject", "bob")) == "Not accepted: it was rejected."
    assert project.settings.thresholds.read_bytes() == served
    assert aliases(place, "fraud") == {"champion": "1", "challenger": "2"}
    with pytest.raises(NothingToDo, match="nobody was asked about"):
        accept.read_request(project, form(2, user="accept_model", policy=None, reason=None))
    assert accept.read_request(project, form(3)) == day


def test_what_is_missing_in_the_registry_is_named(project: Project) -> None:
    place = project.settings.mlflow

    def refused(said: str, **fields: Any) -> None:
        with pytest.raises(RequestError, match=said):
            accept.read_request(project, form(**fields))

    refused("no version of plumbline.fraud has the alias challenger")
    refused("no version of plumbline.violence has the alias champion: nobody registered", policy="violence")
    refused("version 9 of plumbline.fraud, the challenger, is not in the registry", challenger=9)
    refused("no version of plumbline.fraud has the alias previous: there is nothing to undo", mode="undo")
    refused(
        "version 2 of plumbline.fraud, the challenger, has no tag plumbline.model_version",
        challenger=int(register(place, "fraud", None)),
    )
    refused("is fraud-v2, as is the champion", challenger=int(register(place, "fraud", "fraud-v2")))
    with connected(place) as client:
        client.delete_model_version("plumbline.fraud", "3")
    refused(
        "fraud-v9, which policies.fraud.model_versions does not name",
        challenger=int(register(place, "fraud", "fraud-v9")),
    )
    register(place, "fraud", "fraud-v3")
    register(place, "fraud", "fraud-v3", CHALLENGER)
    refused("two challengers: versions 5, 6 of plumbline.fraud claim to be fraud-v3")
    refused("policy: is empty", policy=None, challenger=5)
    refused("mode: 'later' is unknown", mode="later")
    refused("challenger: 1.5 is no version", challenger=1.5)
    refused("reason: is blank", reason=" ")
    assert aliases(place, "fraud") == {"champion": "1", "challenger": "6"}


def test_a_challenger_without_half_its_scores_is_named(project: Project) -> None:
    register(project.settings.mlflow, "fraud", "fraud-v3", CHALLENGER)
    for file in (project.settings.landing / "video_scores").rglob("fraud-v3.parquet"):
        rows = pd.read_parquet(file)
        rows[(rows["video_id"].to_numpy() >> ID_SHIFT) % 2 == 0].to_parquet(file, index=False)
    _, row = compared(project, form())
    assert (row["outcome"], row["status"]) == ("unusable", "refused")
    assert "the challenger has no row in video_scores for" in row["reason"]
    assert row["unscored_challenger"] > 0


def test_a_model_that_vanishes_before_the_answer_is_not_accepted(project: Project) -> None:
    place = project.settings.mlflow
    register(place, "fraud", "fraud-v3", CHALLENGER)
    run = form()
    day, _ = compared(project, run)
    version = read_chain(project)[-1]["version"]
    with connected(place) as client:
        client.delete_model_version("plumbline.fraud", "2")
    with pytest.raises(RequestError, match=r"has the alias challenger|not in the registry"):
        accept.approval(project, run, day).settle(APPROVED_BY_BOB)
    assert read_chain(project)[-1]["version"] == version
    assert registry.challenged(place, ["fraud"]) == []
