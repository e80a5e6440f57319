"""`accept_model` really run: approved, rejected, and looking where there is nobody to take in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from include.ledger.chain import in_order
from include.local.runs import run_form
from tests.history import History
from tests.loop import Loop, approve, reject
from tests.retraining.models import aliases, register

pytestmark = pytest.mark.airflow

FORM: dict[str, Any] = {"policy": "fraud", "challenger": None, "mode": "accept", "reason": "Retrained on November"}


def statuses(loop: Loop) -> list[str]:
    return list(loop.read("model_comparisons")["status"])


def test_an_approved_challenger_has_thresholds_and_the_champions_alias(accepted_history: Loop, home: Path) -> None:
    loop = accepted_history.copied_to(home)
    assert statuses(loop) == ["accepted"]
    assert aliases(loop.settings.mlflow, "fraud") == {"champion": "2", "previous": "1"}
    last = in_order(loop.read("threshold_ledger"))[-1]
    assert (last["requester"], last["approver"]) == ("ana", "manager")
    assert "fraud-v3" in last["changes"]


def test_a_rejected_challenger_leaves_everything_and_a_daily_look_finds_nobody_new(
    rivals: History, dags: dict[str, Any], home: Path
) -> None:
    shutil.copytree(rivals.home, home / "data")
    loop = Loop(home, dags, rivals.scenario)
    register(loop.settings.mlflow, "fraud", "fraud-v3", "challenger")
    versions = len(loop.read("threshold_ledger"))
    loop.fill_in("accept_model", reject, **FORM)
    assert statuses(loop) == ["rejected"]
    assert aliases(loop.settings.mlflow, "fraud") == {"champion": "1", "challenger": "2"}
    assert len(loop.read("threshold_ledger")) == versions

    look = run_form(dags["accept_model"], FORM | {"policy": None, "reason": None}, approve, "accept_model")
    assert {ti.task_id: ti.state for ti in look.get_task_instances()}["compare_models"] == "skipped"
    assert statuses(loop) == ["rejected"]
