"""Ingestion killed a hundred times over a week of messy drops ends as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.labels import stage
from include.labels.push import pushed
from include.project import Project, open_project
from tests.evidence.test_sample import draw, judged, sampled
from tests.places import settings_in

KILLS_A_STEP = 8
FIRST = date(2026, 11, 1)
SAMPLED = [FIRST + timedelta(days=n) for n in range(6)]
DAYS = [FIRST + timedelta(days=n) for n in range(1, 8)]
FORK = multiprocessing.get_context("fork")
TABLES_WRITTEN = {
    "label_events",
    "label_rejects",
    "label_agreement",
    "label_consensus",
    "label_completeness",
    "reviewer_quality",
    "quality_results",
}


def land_week(project: Project) -> None:
    """Samples of three programmes, and drops that are late, repeated, conflicting, garbage, damaged and pushed."""
    rng = np.random.default_rng(4)
    programmes = ("audit", "golden", "training")
    for n, day in enumerate(SAMPLED):
        rows = [
            draw(video, policy, programme=programmes[(video + n) % 3 if video % 5 == 0 else 0])
            for video in range(10**18 + 20 * n, 10**18 + 20 * n + 40)
            for policy in ("violence", "fraud")
        ]
        sampled(project, day, *rows)
    golden = pd.DataFrame({"video_id": np.arange(10**18, 10**18 + 60, 3), "policy": "violence"})
    golden = golden.assign(violating=golden["video_id"] % 2 == 0, guideline_version="2026-1")
    folder = project.settings.landing / "golden_labels" / f"ds={DAYS[0]}"
    folder.mkdir(parents=True)
    golden.to_parquet(folder / "golden.parquet")
    sent: list[dict[str, Any]] = []
    for day in DAYS:
        batch = [_event(rng, day, n, sent) for n in range(90)]
        folder = stage.drop_folder(project.settings, day)
        folder.mkdir(parents=True)
        lines = [json.dumps(event) for event in batch[:30]]
        (folder / "a.jsonl").write_text("\n".join([*lines, lines[0], '{"event_id": "cut']))
        pd.DataFrame(batch[30:60]).to_csv(folder / "b.csv", sep=";", index=False, encoding="utf-8-sig")
        pd.DataFrame(batch[60:]).to_parquet(folder / "c.parquet")
        (folder / "d.parquet").write_bytes((folder / "c.parquet").read_bytes()[:-9])
        (folder / "e.jsonl").write_text(
            "\n".join([*['{"spam": 1}'] * 20, json.dumps({**batch[0], "event_id": f"e{day}"})])
        )
        batch_pushed = pushed(pd.Timestamp(day, tz="UTC"), {"events": batch[25:35]})
        (folder / batch_pushed.name).write_bytes(batch_pushed.content)


def _event(rng: np.random.Generator, day: date, n: int, sent: list[dict[str, Any]]) -> dict[str, Any]:
    if sent and rng.random() < 0.1:
        return sent[rng.integers(len(sent))] | ({"decision": "unsure"} if rng.random() < 0.3 else {})
    labelled_on = max(day - timedelta(days=int(rng.integers(0, 3))), DAYS[0])
    asked = int(rng.integers(min((labelled_on - FIRST).days, len(SAMPLED))))
    event = {
        "event_id": f"{day}-{n}",
        "video_id": 10**18 + 20 * asked + int(rng.integers(0, 40)),
        "policy": str(rng.choice(["violence", "fraud"])),
        "reviewer_id": f"r{rng.integers(0, 5)}",
        "decision": str(rng.choice(["violating", "not_violating", "unsure"], p=[0.3, 0.6, 0.1])),
        "labelled_at": f"{labelled_on}T{rng.integers(0, 24):02d}:00:00Z",
        "guideline_version": "2026-1",
        "sample_id": None,
        "supersedes": sent[rng.integers(len(sent))]["event_id"] if sent and rng.random() < 0.1 else None,
    }
    sent.append(event)
    return event


STEPS = {"labels": stage.ingest_events, "consensus": stage.form_consensus}
"""What may be killed, by the gate that follows it. The gates themselves only pass here: Great Expectations is slow."""


def run(project: Project, *, kill: Callable[[str, Project, date], None] | None) -> dict[str, float]:
    """The steps of the week in turn, each killed first if there is a way to; the seconds one took, by its gate."""
    took: dict[str, float] = {}
    for day in DAYS:
        for gate, step in STEPS.items():
            if kill is not None:
                kill(gate, project, day)
            start = time.monotonic()
            step(project, day)
            took[gate] = time.monotonic() - start
            judged(project, gate, day, ("critical", True))
    return took


def outputs(project: Project) -> dict[str, bytes]:
    """Every file that anybody may read, but for what killed writers left aside."""
    assert isinstance(project.settings.warehouse, Path)
    roots = project.settings.warehouse, project.settings.output
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(project.settings.landing.parent)): path.read_bytes()
        for path in files
        if ".staging" not in path.parts and not path.name.startswith(".")
    }


def test_a_hundred_kills_change_nothing(tmp_path: Path) -> None:
    undisturbed, killed = (open_project(settings_in(tmp_path / name)) for name in ("undisturbed", "killed"))
    land_week(undisturbed)
    shutil.copytree(tmp_path / "undisturbed", tmp_path / "killed")
    seconds = run(undisturbed, kill=None)  # which also imports whatever a forked process needs
    chance = random.Random(7)
    kills: list[tuple[str, date]] = []

    def kill(gate: str, project: Project, day: date) -> None:
        longest, before = seconds[gate], len(kills)
        while len(kills) < before + KILLS_A_STEP:
            process = FORK.Process(target=STEPS[gate], args=(project, day))
            process.start()
            process.join(chance.uniform(0, longest))
            process.kill()
            process.join()
            assert process.exitcode in (0, -9)
            if process.exitcode == 0:  # the machine has become faster: it ended before it was killed
                longest *= 0.8
            else:
                kills.append((gate, day))

    run(killed, kill=kill)
    assert len(kills) >= 100
    assert outputs(killed) == outputs(undisturbed)

    reasons = set(killed.warehouse.read("label_rejects")["reason"])
    assert {"duplicate_event", "conflicting_event", "mostly_garbage", "unreadable_file", "unreadable_line"} <= reasons
    assert set(killed.warehouse.read("label_consensus")["status"]) == {"provisional", "final"}
    assert {path.split("/")[1] for path in outputs(killed)} == {*TABLES_WRITTEN, "review_sample"}
