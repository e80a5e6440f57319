"""Changes that expire: whom they hold, and what a cell goes back to, over real publications."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from include.contract.tables import CELL
from include.ledger.chain import in_order, verify
from include.ledger.in_force import without_certificate
from include.ledger.overrides import lifting, overrides
from include.ledger.publication import Act, publish_changes
from include.project import Project
from include.proposals.holds import respecting
from tests.ledger.publishing import BR, DAY, DE, NOW, carry_out, in_force, project_in, proposal, rows_of

LAST = DAY + timedelta(days=5)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path)


def override(project: Project, identity: str, remove_at: float, current: tuple[float, float], until: date = LAST):
    change = proposal(identity, remove_at=remove_at, current=current, origin=identity)
    result = carry_out(project, [change], kind="ad_hoc", requester="ana", reason="election", expires_on=until)
    assert result.outcome == "published"


def test_a_certificate_allows_its_remove_at_and_higher_ones_for_as_long_as_it_lasts(project):
    def uncertified(*levels: float) -> set[float]:
        cells = [{**dict(zip(CELL, BR, strict=True)), "remove_at": at, "review_at": 0.5} for at in levels]
        chain = in_order(rows_of(project))
        return {at for at, cell in zip(levels, cells, strict=True) if without_certificate(chain, pd.DataFrame([cell]))}

    assert uncertified(0.5, 0.98, 1.0) == {0.5, 0.98}, "what a cell started with has none; nothing needs none"
    carry_out(project, [proposal("p1") | {"bound": None}])
    assert uncertified(0.95, 1.0) == {0.95}, "a change that rests on no certificate"
    carry_out(project, [proposal("p2", remove_at=0.94, current=(0.95, 0.7))], DAY + timedelta(days=1))
    assert uncertified(0.93, 0.94, 0.99) == {0.93}
    override(project, "a", 0.9, (0.94, 0.7))
    assert uncertified(0.9) == set(), "while it holds the cell"
    lift(project, LAST)
    assert uncertified(0.9, 0.94) == {0.9}


def lift(project: Project, day: date):
    act = Act(day=day, requester="daily", reason="expired", request={"kind": "expiry"})
    return publish_changes(project, lambda chain: lifting(chain, day), act, NOW)


def test_a_cell_is_held_until_its_override_is_lifted(project):
    carry_out(project, [proposal("p1", remove_at=0.96), proposal("p2", DE)])
    override(project, "run1", 0.99, (0.96, 0.7))
    (held,) = overrides(in_order(rows_of(project))).values()
    assert (held.cell, held.version, held.expires_on) == (BR, 3, LAST)
    assert str(held) == f"version 3, asked for by ana, holds this cell until {LAST}: election"
    for day in (DAY, LAST - timedelta(days=1)):
        assert lift(project, day).outcome == "nothing_to_publish"
    assert lift(project, LAST).outcome == "published"
    assert (in_force(project), in_force(project, cell=DE)) == ((0.96, 0.7), (0.95, 0.7))
    last = in_order(rows_of(project))[-1]
    assert (last["reason"], json.loads(last["changes"])[0]["lifts"]) == ("expired", 3)
    assert overrides(in_order(rows_of(project))) == {}
    assert lift(project, LAST + timedelta(days=9)).outcome == "nothing_to_publish"
    assert verify(rows_of(project)) == []


def test_an_override_of_an_override_goes_back_to_what_was_made_to_last(project):
    override(project, "run1", 0.99, (0.98, 0.8))
    override(project, "run2", 0.97, (0.99, 0.7), until=LAST + timedelta(days=3))
    assert lift(project, LAST).outcome == "nothing_to_publish"
    assert lift(project, LAST + timedelta(days=30)).outcome == "published"
    assert in_force(project) == (0.98, 0.8)


def test_what_was_published_since_to_last_stays(project):
    override(project, "run1", 0.99, (0.98, 0.8))
    lasting = proposal("run2", remove_at=0.97, current=(0.99, 0.7), origin="run2")
    carry_out(project, [lasting], kind="ad_hoc", requester="eva")
    assert lift(project, LAST).outcome == "nothing_to_publish"
    assert in_force(project) == (0.97, 0.7)


@pytest.mark.parametrize(("status", "outcome"), [("held", "hold"), ("awaiting_approval", "ask")])
def test_proposals_for_a_held_cell_say_so(project, status, outcome):
    override(project, "run1", 0.99, (0.98, 0.8))
    rows = pd.DataFrame(
        [
            proposal("p1"),
            proposal("p2", status="awaiting_approval"),
            proposal("p3", status="unchanged"),
            proposal("p4", DE),
        ]
    )
    found = respecting(rows, overrides(in_order(rows_of(project))), status)
    assert found["status"].tolist() == [status, status, "unchanged", "within_limits"]
    (verdict,) = json.loads(found["verdicts"].iloc[0])
    assert (verdict["name"], verdict["outcome"]) == ("override", outcome)
    assert "asked for by ana, holds this cell until 2026-11-15: election" in verdict["reason"]
    assert found["verdicts"].iloc[3] == "[]"
