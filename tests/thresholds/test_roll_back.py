"""What a rollback would change, which versions have nothing to bring back, and a question that went stale."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.contract.cell import by_cell
from include.forecasts.forecast import volumes
from include.ledger.chain import in_order, verify
from include.ledger.serving import read_serving
from include.project import Project
from include.proposals.approval import Answer
from include.thresholds.request import FormRun, RequestError
from include.thresholds.roll_back import NO_MORE, PARTS, RollBack, approval, effects, read_request, rolled_back
from tests.ledger.publishing import (
    BR,
    CONFIG,
    DAY,
    DE,
    carry_out,
    in_force,
    project_in,
    proposal,
    rows_of,
    three_versions,
)
from tests.loop import LAST, Loop

YES = Answer("Roll back", "eva", "2")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = project_in(tmp_path)
    three_versions(project)
    return project


def asked(version: int, reason: str = "complaints", run_id: str = "manual__1") -> FormRun:
    return FormRun("roll_back_thresholds", run_id, "ana", {"version": version, "reason": reason})


def text(project: Project, version: int) -> str:
    """What people are shown."""
    read_request(project, asked(version))
    questions = [approval(project, asked(version), part).question() for part in PARTS]
    texts = [question.text for question in questions if question is not None]
    assert texts
    return "\n".join(texts)


def roll_back(project: Project, version: int, answer: Answer = YES) -> str:
    read_request(project, asked(version))
    return approval(project, asked(version), NO_MORE).settle(answer)


def test_a_rollback_is_a_new_version_with_the_thresholds_of_the_old_one(project):
    heading, _, more, _, columns, _, row = text(project, 1).splitlines()
    assert heading.startswith("ana wants version 1 of 2026-11-10 (the thresholds that cells start with) back: compl")
    assert more == "No cell would remove more than now."
    assert columns.count("|") == row.count("|") == 5
    assert row == "| violence BR violence-v3 | 0.930 → 0.980 | 0.700 → 0.800 | not known |"

    said = roll_back(project, 1)
    assert said == "Rolled back to version 1, as version 4. thresholds.json was at version 3: version 4 was written."
    last = in_order(rows_of(project))[-1]
    assert (last["requester"], last["approver"], last["reason"]) == ("ana", "eva", "complaints")
    assert json.loads(last["request"]) == {
        "kind": "roll_back",
        "origin": "roll_back_thresholds/manual__1",
        "version": 1,
        "riskier": False,
    }
    assert last["thresholds"] == in_order(rows_of(project))[0]["thresholds"]
    assert verify(rows_of(project)) == []
    assert read_serving(project.settings.thresholds)["version"] == 4


def test_a_rollback_ends_a_canary_and_brings_none_back(project):
    begun = proposal("p3", remove_at=0.9, current=(0.93, 0.7), canary_share=0.01)
    carry_out(project, [begun], day=DAY + timedelta(days=2))
    carry_out(project, [proposal("p4", DE, remove_at=0.96, current=(0.98, 0.8))], day=DAY + timedelta(days=3))
    shown = text(project, 3)
    assert "| violence BR violence-v3 | 0.930 | 0.700 |" in shown
    assert "In violence BR violence-v3, the canary of version 4 lets remove_at 0.9 act on 1%" in shown
    assert roll_back(project, 3).startswith("Rolled back to version 3, as version 6")
    chain = in_order(rows_of(project))
    assert chain[-1]["thresholds"] == chain[2]["thresholds"]
    assert '"canary"' not in chain[-1]["thresholds"]
    with pytest.raises(RequestError, match="version: 4 has the thresholds of version 6"):
        read_request(project, asked(4, run_id="manual__2"))


def test_that_a_temporary_change_would_last_is_said_of_the_cells_that_had_one(project):
    temporary = proposal("p7", DE, remove_at=0.97, origin="m")
    until = DAY + timedelta(days=9)
    carry_out(project, [temporary], kind="ad_hoc", requester="eva", expires_on=until)
    for number, (cell, kind) in enumerate(((BR, "daily"), (DE, "ad_hoc"))):
        levels = (0.93, 0.7) if cell == BR else (0.97, 0.7)
        newer = proposal(f"n{number}", cell, remove_at=0.99, current=levels, origin=kind)
        carry_out(project, [newer], day=DAY + timedelta(days=2), kind=kind, requester="eva")
    warning = f"violence DE violence-v3**: version 4 set these thresholds until {until} only. Rolled back, they do not"
    assert text(project, 4).count(warning) == 1
    assert "**violence BR" not in text(project, 4)
    assert "only. Rolled back" not in text(project, 3)


def test_a_rollback_repeated_after_it_was_killed_half_way_does_it_once(project):
    roll_back(project, 1)
    again = approval(project, asked(1), NO_MORE)
    assert again.question() is None
    said = "Rolled back to version 1, as version 4. thresholds.json holds version 4."
    assert again.unfinished() == said
    assert len(rows_of(project)) == 4


def test_who_asked_may_confirm_and_is_no_approver(project):
    me = Answer("Roll back", "ana", "1")
    assert approval(project, asked(2), NO_MORE).objection(me) is None
    assert roll_back(project, 2, me).startswith("Rolled back to version 2")
    last = in_order(rows_of(project))[-1]
    assert (last["requester"], last["approver"]) == ("ana", None)


def test_what_would_remove_more_is_asked_apart_and_of_somebody_else(project):
    """Of version 2 back, one cell removes more and one less; each is a question of its own, in one run."""
    carry_out(project, [proposal("p7", DE, remove_at=0.97, origin="manual__0")], kind="ad_hoc", requester="eva")
    newer = [proposal("p8", BR, remove_at=0.99, current=(0.93, 0.7), origin="manual__0b")]
    carry_out(project, newer, day=DAY + timedelta(days=2), kind="ad_hoc", requester="eva")
    me, run = Answer("Roll back", "ana", "1"), asked(3)
    safe, riskier = (approval(project, run, part) for part in PARTS)
    less, more = safe.question(), riskier.question()
    assert less is not None
    assert more is not None
    assert "violence BR" not in less.text
    assert "No cell would remove more than now." in less.text
    assert "violence DE" not in more.text
    assert "**1 cell would remove more than now.** Somebody else than ana must confirm." in more.text
    assert "| 0.990 → 0.930 (removes more) |" in more.text
    assert more.subject.endswith(", where that removes more: 1 cell")

    assert (
        riskier.objection(me)
        == "ana asked for it, and it would remove more than now; somebody else has to confirm that"
    )
    assert riskier.objection(Answer("Cancel", "ana", "1")) is None
    assert safe.objection(me) is riskier.objection(YES) is None
    assert safe.settle(me).startswith("Rolled back to version 3, as version 6.")
    again = riskier.question()
    assert again is not None
    assert again.digest == more.digest  # it stands, whatever became of the other
    assert riskier.unfinished() is None
    assert riskier.settle(YES).startswith("Rolled back to version 3 where that removes more, as version 7.")
    chain = in_order(rows_of(project))
    assert [(row["requester"], row["approver"]) for row in chain[-2:]] == [("ana", None), ("ana", "eva")]
    assert chain[-1]["thresholds"] == chain[2]["thresholds"]
    assert verify(rows_of(project)) == []
    assert safe.question() is riskier.question() is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer("Cancel", "eva"), "Cancelled by eva: the thresholds in force stay."),
        (Answer("Cancel", None), "Nobody answered in time: the thresholds"),
    ],
)
def test_without_a_confirmation_nothing_changes(project, answer, said):
    before = project.settings.thresholds.read_bytes()
    assert roll_back(project, 1, answer).startswith(said)
    assert (len(rows_of(project)), project.settings.thresholds.read_bytes()) == (3, before)


def test_a_question_is_another_once_what_it_would_change_has_changed(project):
    shown = approval(project, asked(1), NO_MORE).question()
    carry_out(project, [proposal("p7", DE, remove_at=0.97, origin="manual__0")], kind="ad_hoc", requester="eva")
    now = approval(project, asked(1), NO_MORE).question()
    assert shown is not None
    assert now is not None
    assert shown.digest != now.digest


def test_what_is_published_between_confirmation_and_rollback_makes_it_stale(project, monkeypatch):
    confirmed = approval(project, asked(1), NO_MORE)
    chain, elsewhere = confirmed._chain(), proposal("p7", DE, remove_at=0.97, origin="manual__0")
    carry_out(project, [elsewhere], kind="ad_hoc", requester="eva")
    monkeypatch.setattr(RollBack, "_chain", lambda self: chain)
    said = confirmed.settle(YES)
    assert said.startswith("Not rolled back. stale: version 4 changed these cells after the question was asked")
    assert in_force(project) == (0.93, 0.7)


def test_a_reason_cannot_forge_what_a_person_is_shown(project):
    forged = "ok |\n\n| violence BR | 0.5 |\n![x](http://e.example/x.png) [here](http://e.example)"
    run = FormRun("roll_back_thresholds", "manual__1", "ana", {"version": 1, "reason": forged})
    question = approval(project, run, NO_MORE).question()
    assert question is not None
    assert len(question.text.splitlines()) == 7
    assert "](" not in question.text.replace("\\](", "")
    assert r"ok \| \| violence BR \| 0.5 \|" in question.text


@pytest.mark.parametrize(
    ("version", "reason", "said"),
    [
        (9, "complaints", "version: 9 does not exist; the ledger holds 1 to 3"),
        (0, "complaints", "version: 0 does not exist; the ledger holds 1 to 3"),
        (3, "complaints", "version: 3 is the newest and in force; there is nothing to roll back"),
        (1, " ", "reason: is blank"),
    ],
)
def test_what_cannot_be_rolled_back_is_named(project, version, reason, said):
    with pytest.raises(RequestError) as refused:
        read_request(project, asked(version, reason))
    assert str(refused.value).startswith(said)


def test_a_version_with_the_thresholds_in_force_and_an_empty_ledger_are_named(project, tmp_path):
    roll_back(project, 1)
    with pytest.raises(RequestError, match="version: 1 has the thresholds of version 4, which is in force"):
        read_request(project, asked(1))
    with pytest.raises(RequestError, match="nothing has been published yet"):
        read_request(project_in(tmp_path / "empty"), asked(1))


def without_violence(project: Project) -> Project:
    policies = {name: policy for name, policy in CONFIG.policies.items() if name != "violence"}
    return replace(project, config=CONFIG.model_copy(update={"policies": policies}))


def test_cells_that_are_no_longer_configured_are_left_and_named(project):
    fraud: tuple[Any, ...] = ("fraud", "BR", "fraud-v2")
    with pytest.raises(RequestError, match="all that 1 would change is no longer configured: violence/BR/violence-v3"):
        read_request(without_violence(project), asked(1))
    carry_out(project, [proposal("p7", fraud, remove_at=0.97, origin="m")], kind="ad_hoc", requester="eva")
    without = without_violence(project)
    assert "No longer configured, and left as they are: violence/BR/violence-v3" in text(without, 1)
    roll_back(without, 1)
    assert (in_force(project), in_force(project, cell=fraud)) == ((0.93, 0.7), (0.98, 0.8))


@pytest.mark.airflow
def test_a_rollback_shows_what_it_would_do_in_a_day(ended: Loop) -> None:
    project = ended.project
    chain = in_order(ended.read("threshold_ledger"))
    changes, _ = rolled_back(chain, 1, project.config)
    found = effects(project, changes)
    assert set(found) == {change.cell for change in changes}
    assert found
    bins = by_cell(ended.read("score_histogram", LAST))
    for change in changes:
        policy = project.config.policies[change.cell[0]]
        old, new = (volumes(bins[change.cell], pair, policy.no_score).removes for pair in (change.old, change.new))
        assert found[change.cell].startswith(f"{new:,} removals ({new - old:+,}")
        assert "wrongful removals" in found[change.cell]
    form = FormRun("roll_back_thresholds", "manual__1", "ana", {"version": 1, "reason": "complaints"})
    question = approval(project, form, NO_MORE).question()
    assert question is not None
    assert question.text.count(" removals (") == len(changes)
