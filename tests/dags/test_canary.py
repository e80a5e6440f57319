"""Canaries by the daily Dag: one that keeps its promise acts on more videos, one that does not ends."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.contract.change import Bucket, Change
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.ledger.chain import in_order, verify
from include.ledger.publication import Act, publish_changes
from include.ledger.serving import read_serving
from include.verification.decision import decision_problems
from tests.loop import LAST, Loop, reject
from tests.places import MOVES_SOON, STARTS_REMOVING, configured

pytestmark = pytest.mark.airflow

BAD = ("violence", "IN", "violence-v3")
GOOD = ("violence", "BR", "violence-v3")
OLD = {"remove_at": 0.98, "review_at": 0.8}


def change(cell: tuple[str, str, str], remove_at: float) -> Change:
    return Change(cell, ThresholdPair(**OLD), ThresholdPair(remove_at, 0.5), "x", canary=Bucket(0.01, 7))


@pytest.fixture
def begun(loop: Loop) -> Loop:
    """A ledger in which the first day began two canaries; labels since then are there on LAST."""
    assert isinstance(loop.settings.warehouse, Path)
    configured(
        loop.home, MOVES_SOON | STARTS_REMOVING | {"steps: []": "steps: [0.01, 0.10]", "per_step: 3": "per_step: 1"}
    )
    shutil.rmtree(loop.settings.warehouse / "threshold_ledger")
    loop.settings.thresholds.unlink()
    assert loop.settings.anchor is not None
    shutil.rmtree(loop.settings.anchor, ignore_errors=True)
    act = Act(loop.day(0), "ana", "an experiment", {"kind": "ad_hoc"})
    changes = [change(BAD, 0.6), change(GOOD, 0.97)]
    assert publish_changes(loop.project, lambda chain: changes, act, datetime.now(UTC)).version == 2
    return loop


def served(loop: Loop, cell: tuple[str, str, str]) -> dict[str, Any]:
    cells = {tuple(item[name] for name in CELL): item for item in read_serving(loop.settings.thresholds)["cells"]}
    return {name: value for name, value in cells[cell].items() if name not in CELL}


def test_the_daily_run_advances_one_canary_and_ends_another(begun: Loop) -> None:
    begun.run("recalibrate_thresholds", LAST, reject)
    canary = {"remove_at": 0.97, "review_at": 0.5, "share": 0.1, "salt": 7}
    assert served(begun, GOOD) == {**OLD, "canary": canary}
    assert "canary" not in served(begun, BAD)
    assert served(begun, BAD)["remove_at"] >= 0.98

    rows = begun.read("threshold_ledger")
    assert verify(rows) == []
    chain = in_order(rows)
    steps = [row for row in chain if json.loads(row["request"])["kind"] == "canary"]
    assert len(steps) == 1
    assert "violence IN violence-v3 ends the canary of version 2: alarm: since version 2" in steps[0]["reason"]
    assert "violence BR violence-v3 lets remove_at 0.97 act on 10% of its videos" in steps[0]["reason"]
    assert decision_problems(begun.project, chain, steps[0]["version"]) == []

    watch = begun.read("threshold_watch", LAST)
    assert set(watch.loc[watch["share"] < 1, "action"]) == {"none", "end_canary"}
    page = (begun.settings.reports / f"{begun.day(LAST)}.html").read_text(encoding="utf-8")
    assert "on 1% of its videos" in page

    before, file = begun.fingerprints(), begun.settings.thresholds.read_bytes()
    begun.steps.recalibrate(LAST, None)
    assert begun.fingerprints() == before
    assert begun.settings.thresholds.read_bytes() == file
