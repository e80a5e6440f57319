"""What the demo tells of the models: each day by its number, with its evidence, and the truth before, in and after."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.settings import PROJECT_ROOT
from include.contract.tables import TABLES
from include.demo.story import print_story
from include.simulation.platform import Platform
from include.simulation.scenario import Evasion
from tests.history import History

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
QUOTED = README.split("<!-- story -->")[1].split("<!-- /story -->", maxsplit=1)[0].strip("`\n ").splitlines()
ASKED, TAKEN, LAST = 12, 17, 20


@pytest.fixture
def history(home: Path) -> History:
    return History(home / "data", "demo", videos_per_day=60_000)


def recorded(history: History, table: str, index: int, **given: Any) -> None:
    """A row of the table, of the day of that number; what is not given is empty."""
    names = TABLES[table].column_names
    row, slice_value = pd.DataFrame([dict.fromkeys(names) | given]), given.get(str(TABLES[table].slice_by))
    history.project.warehouse.replace(table, history.day(index), row, slice_value=slice_value)


def handed_over(history: History) -> None:
    numbers = {"n_rows": 3792, "n_positive": 500, "effective_n": 900.0}
    told = {"policy": "fraud", "model_version": "fraud-v2"}
    recorded(
        history,
        "training_snapshots",
        ASKED,
        **told,
        **numbers,
        snapshot_id="fraud-fraud-v2-0",
        path="p",
        sha256="0" * 64,
        mlflow_run_id="c279",
        guideline_version="2026-1",
    )
    recorded(
        history,
        "retraining_decisions",
        ASKED,
        **told,
        decision="retrain",
        asked_for="recall",
        reasons=json.dumps({"why": "no threshold reaches it any more"}),
        recall_now=0.45,
        recall_reference=0.69,
        labels_available=3792,
        labels_required=500,
    )


def accepted(history: History, version: str) -> None:
    recorded(
        history,
        "model_comparisons",
        TAKEN,
        origin="accept_model/run",
        policy="fraud",
        champion="fraud-v2",
        challenger=version,
        registered_champion="1",
        registered_challenger="2",
        outcome="better",
        status="accepted",
        reason="it finds more",
        confidence=0.9,
        sampled=593,
        unscored_champion=0,
        unscored_challenger=0,
        markets="[]",
    )


def told(history: History, platform: Platform, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_story(history.project, platform, history.day(LAST))
    return capsys.readouterr().out.strip().splitlines()


def form(lines: list[str]) -> str:
    """What is told without what differs from run to run."""
    text = re.sub(r"\s+", " ", " ".join(lines))
    text = re.sub(r"asked for: .*? labelled", "asked for: ... labelled", text)
    text = re.sub(r"run \w+", "run #", re.sub(r"was accepted: .*", "was accepted: ...", text))
    return re.sub(r"\d+(?:[.,]\d+)*%?", "#", text)


def test_nothing_is_told_where_nothing_was_handed_over(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(history, history.platform, capsys) == []


def test_the_way_from_the_wave_to_the_new_version_is_told_as_the_readme_quotes_it(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_over(history)
    (wave,) = [event for event in history.platform.scenario.events if isinstance(event, Evasion)]
    lines = told(history, history.platform, capsys)
    assert lines[-1].strip() == "No new version was accepted yet."
    assert not any("after it" in line for line in lines)

    accepted(history, "fraud-v2")  # as if the old version were the new one: this platform has no other
    lines = told(history, history.platform, capsys)
    before, during, after = (line.split() for line in lines if line.startswith("  day"))
    assert [before[1], during[1], after[1]] == [f"{wave.from_day},", f"{ASKED + 1},", f"{LAST + 1},"]
    recall = [[float(value.rstrip("%")) for value in line[-3:-1]] for line in (before, during, after)]
    assert all(earlier > later + 15 for earlier, later in zip(*recall[:2], strict=True)), "what the wave took"
    assert history.platform.start + timedelta(days=ASKED) == history.day(ASKED)
    said = re.sub(r"\s+", " ", " ".join(lines))
    assert f"Day {ASKED + 1}: retraining of fraud-v2 was asked for: no threshold reaches it any more." in said
    assert "3,792 labelled videos were handed over" in said
    assert f"Day {TAKEN + 1}: fraud-v2, which was trained on them, was accepted: it finds more." in said
    assert form(lines) == form([line.replace("fraud-v3", "fraud-v2") for line in QUOTED])
