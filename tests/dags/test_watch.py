"""An alarm on a published change, by the daily Dag: it asks, or rolls back by itself."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.ledger.chain import in_order, verify
from include.ledger.publication import Act, publish_changes
from include.ledger.serving import read_serving
from include.verification.decision import decision_problems
from tests.loop import LAST, Loop, approve, reject
from tests.places import MOVES_SOON, STARTS_REMOVING, configured

pytestmark = pytest.mark.airflow

BAD = ("violence", "IN", "violence-v3")
SAFE = {"remove_at": 0.98, "review_at": 0.8}
BROKEN = {"remove_at": 0.6, "review_at": 0.5}


@pytest.fixture
def published(loop: Loop) -> Loop:
    """A ledger in which the first day set a remove_at that is far too low; labels since then are there on LAST."""
    assert isinstance(loop.settings.warehouse, Path)
    configured(loop.home, MOVES_SOON | STARTS_REMOVING)
    shutil.rmtree(loop.settings.warehouse / "threshold_ledger")
    loop.settings.thresholds.unlink()
    assert loop.settings.anchor is not None
    shutil.rmtree(loop.settings.anchor, ignore_errors=True)
    change = Change(BAD, ThresholdPair(**SAFE), ThresholdPair(**BROKEN), "x")
    act = Act(loop.day(0), "ana", "an experiment", {"kind": "ad_hoc"})
    result = publish_changes(loop.project, lambda chain: [change], act, datetime.now(UTC))
    assert result.version == 2
    return loop


def of_cell(loop: Loop, table: str) -> dict[str, Any]:
    rows = loop.read(table, LAST)
    rows = rows[(rows[list(CELL)] == BAD).all(axis=1)]
    assert len(rows) == 1
    return dict(rows.iloc[0])


def served(loop: Loop) -> dict[str, float]:
    cells = {tuple(cell[name] for name in CELL): cell for cell in read_serving(loop.settings.thresholds)["cells"]}
    return {name: cells[BAD][name] for name in SAFE}


def test_an_alarm_puts_the_thresholds_before_the_change_to_a_person(published: Loop) -> None:
    shown = []

    def asked(subject: str, body: str) -> str:
        shown.append(body)
        return reject(subject, body)

    published.run("recalibrate_thresholds", LAST, asked)
    row, rejected = of_cell(published, "threshold_watch"), of_cell(published, "threshold_proposals")
    assert row["alarm"]
    assert (row["version"], row["action"], row["remove_at"]) == (2, "ask", BROKEN["remove_at"])
    assert row["highest_e_value"] >= 20
    assert row["n"] > 0
    assert row["estimate"] < row["limit"]
    assert row["reason"] in shown[0]
    assert rejected["status"] == "rejected"
    assert "awaiting_approval" not in set(published.read("threshold_proposals", LAST)["status"])
    assert served(published) == BROKEN
    assert not published.read("threshold_ledger")["approver"].notna().any()
    page = (published.settings.reports / f"{published.day(LAST)}.html").read_text(encoding="utf-8")
    assert "alarm: since version 2 set remove_at 0.6" in page

    before = published.fingerprints()
    published.steps.recalibrate(LAST, None)  # what was answered is not asked again
    assert published.fingerprints() == before


def test_an_approved_alarm_takes_the_change_back(published: Loop) -> None:
    published.run("recalibrate_thresholds", LAST, approve)
    approved = of_cell(published, "threshold_proposals")
    assert approved["status"] == "approved"
    assert served(published)["remove_at"] == approved["proposed_remove_at"] >= SAFE["remove_at"]
    assert published.read("threshold_ledger")["approver"].dropna().tolist() == ["manager"]

    before = published.fingerprints()
    published.steps.recalibrate(LAST, None)  # what was answered is not asked again
    assert published.fingerprints() == before


def test_an_alarm_rolls_back_by_itself_where_the_configuration_lets_it(published: Loop) -> None:
    configured(published.home, MOVES_SOON | STARTS_REMOVING | {"on_alarm: ask": "on_alarm: roll_back"})

    published.run("recalibrate_thresholds", LAST, reject)
    assert of_cell(published, "threshold_watch")["action"] == "roll_back"
    assert of_cell(published, "threshold_proposals")["status"] == "within_limits"
    assert served(published)["remove_at"] >= SAFE["remove_at"]
    rows = published.read("threshold_ledger")
    assert verify(rows) == []
    version = in_order(rows)[2]
    assert version["approver"] is None
    assert "alarm: since version 2 set remove_at 0.6" in version["reason"]
    assert f"{dict(zip(CELL, BAD, strict=True))['market']} violence-v3" in version["reason"]
    assert decision_problems(published.project, in_order(rows), 3) == []

    before, file = published.fingerprints(), published.settings.thresholds.read_bytes()
    published.steps.recalibrate(LAST, None)
    assert published.fingerprints() == before
    assert published.settings.thresholds.read_bytes() == file
