"""An answer that is being settled when its process is killed is settled by the retry, once, and is served."""

from __future__ import annotations

import itertools
import json
import shutil
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.contract.terms import ProposalStatus, VersionKind
from include.ledger.serving import read_serving
from include.project import Project
from include.proposals.approval import Answer
from include.thresholds.request import FormRun
from include.thresholds.roll_back import NO_MORE
from include.thresholds.roll_back import approval as roll_back
from include.thresholds.run import TABLE, Approval, Run
from tests.kills import killed
from tests.ledger.publishing import DAY, project_in, proposal, rows_of, three_versions
from tests.warehouse.frames import rows_of as any_rows

pytestmark = pytest.mark.slow


def waiting(project: Project) -> Approval:
    """A change of the daily run that a person is asked about; it holds, whenever it is computed."""
    row = any_rows(TABLES[TABLE], 1).iloc[0].to_dict() | proposal("p1", status=ProposalStatus.AWAITING_APPROVAL)
    change = {"estimate": 1.0, "low": 0.0, "high": 2.0}
    effect = {"wrongful_removals_change": change, "violative_views_prevented_change": change}
    rows = pd.DataFrame([row | {"answered_by": None, "forecast": json.dumps(effect)}])
    run = Run(project, DAY, "daily", VersionKind.DAILY, "recalibrate_thresholds", {}, lambda: rows, {}, "question")
    if run.proposals().empty:
        run.record(rows)
    return Approval(run)


def rolling_back(project: Project) -> object:
    if rows_of(project).empty:
        three_versions(project)
    return roll_back(
        project, FormRun("roll_back_thresholds", "1", "bo", {"version": 1, "reason": "complaints"}), NO_MORE
    )


@pytest.mark.parametrize(("asking", "option"), [(waiting, "Approve"), (rolling_back, "Roll back")])
def test_an_answer_whose_settling_is_killed_anywhere_counts_once_and_is_served(tmp_path, asking, option) -> None:
    def settle(home: Path) -> None:
        asks = asking(project_in(home))
        question, unfinished = asks.question(), asks.unfinished()
        if question is not None:
            asks.settle(Answer(option, "ana", "ana"))
        else:
            assert unfinished is not None

    def outcome(home: Path) -> tuple[list[int], int]:
        project = project_in(home)
        return sorted(rows_of(project)["version"]), read_serving(project.settings.thresholds)["version"]

    before, calm = tmp_path / "before", tmp_path / "calm"
    asking(project_in(before))
    shutil.copytree(before, calm)
    settle(calm)
    for at in itertools.count():
        home = tmp_path / str(at)
        shutil.copytree(before, home)
        what = killed(partial(settle, home), home, at)
        if what is None:
            break
        settle(home)
        assert outcome(home) == outcome(calm), what
    assert at > 8
