"""What a day's consensus does with a reviewer whom golden labels put below the floor, from tables to tables."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from include.config.load import load_config
from include.contract.tables import TABLES
from include.labels import stage
from include.project import Project, open_project
from tests.places import settings_in

SAMPLED, DAY = dt.date(2026, 11, 3), dt.date(2026, 11, 4)
VIDEOS, GOLDEN = range(60), range(40)
ALONE = 60
"""A video on which nobody but the careless reviewer voted."""


def truth(video: int) -> bool:
    return video % 2 == 0


def events() -> pd.DataFrame:
    """ana and bo are right, dud never is; bo votes on even videos only."""
    says = {"ana": truth, "bo": truth, "dud": lambda video: not truth(video)}
    rows = [
        {
            "event_id": f"{who}-{video}",
            "video_id": video,
            "policy": "fraud",
            "reviewer_id": who,
            "decision": "violating" if says[who](video) else "not_violating",
            "labelled_at": pd.Timestamp("2026-11-04 08:00", tz="UTC") + pd.Timedelta(seconds=30 * video),
            "guideline_version": "2026-1",
            "sample_id": None,
            "supersedes": None,
            "sampled_on": SAMPLED,
            "programme": "audit",
            "source_file": "a.jsonl",
            "source_line": 100 * place + video,
        }
        for place, who in enumerate(says, start=1)
        for video in (*VIDEOS, ALONE)
        if not (who == "bo" and not truth(video)) and not (who != "dud" and video == ALONE)
    ]
    return pd.DataFrame(rows)


def project(folder: Path, action: str, *, golden: bool = True) -> Project:
    shipped = load_config()
    fraud = shipped.policies["fraud"].model_copy(update={"below_floor": action})
    config = shipped.model_copy(update={"policies": shipped.policies | {"fraud": fraud}})
    made = replace(open_project(settings_in(folder)), config=config)
    held = {"gate": "labels", "table_name": "label_events", "position": 1, "expectation": "holds", "column_name": None}
    passed = pd.DataFrame([held | {"severity": "critical", "success": True, "observed": ""}])
    made.warehouse.replace("quality_results", DAY, passed, slice_value="labels")
    rows = events()
    made.warehouse.replace("label_events", DAY, rows.reindex(columns=list(TABLES["label_events"].column_names)))
    if golden:
        settled = pd.DataFrame(
            {
                "video_id": [*GOLDEN, 1, 3],
                "policy": "fraud",
                "violating": [*(truth(video) for video in GOLDEN), True, True],  # 1 and 3 contradict themselves
                "guideline_version": "2026-1",
            }
        )
        where = made.settings.landing / "golden_labels" / f"ds={SAMPLED}"
        where.mkdir(parents=True)
        settled.to_parquet(where / "part.parquet", index=False)
    return made


def outcome(made: Project) -> tuple[pd.Series, pd.Series]:
    """p_violating and votes by video."""
    stage.form_consensus(made, DAY)
    items = made.warehouse.read("label_consensus", DAY, DAY).set_index("video_id")
    return items["p_violating"], items["votes"]


def test_what_the_config_says_happens_to_the_votes_and_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept, votes = outcome(project(tmp_path / "keep", "keep"))
    assert (kept[1], kept[2], kept[ALONE]) == (0.5, 1.0, 0.0)  # ana against dud; ana and bo against dud; dud alone
    assert (votes[1], votes[2]) == (2, 3)
    lighter, same_votes = outcome(project(tmp_path / "lighter", "down_weight"))
    assert (lighter[1], lighter[2], lighter[ALONE]) == (0.0, 1.0, 0.0)
    assert same_votes.to_dict() == votes.to_dict()
    without, fewer = outcome(project(tmp_path / "without", "leave_out"))
    assert ALONE not in without.index
    assert (without[1], without[2], fewer[1], fewer[2]) == (0.0, 1.0, 1, 2)
    for action in ("keep", "down_weight", "leave_out"):
        assert f"Reviewer dud is below the floor of fraud: {action}" in caplog.text


def test_the_record_is_kept_whole_and_a_rerun_changes_nothing(tmp_path: Path) -> None:
    made = project(tmp_path, "leave_out")
    outcome(made)
    quality = made.warehouse.read("reviewer_quality", DAY, DAY)
    golden = quality[quality["basis"] == "golden"].set_index("reviewer_id")
    assert golden["golden_labels"].to_dict() == {"ana": 38, "bo": 20, "dud": 38}  # two contradict themselves
    assert golden["action"].to_dict() == {"ana": "keep", "bo": "keep", "dud": "leave_out"}
    assert golden.loc["dud", "labels"] == 61
    assert (golden["seconds_per_answer"] > 0).all()
    (row,) = made.warehouse.read("label_agreement", DAY, DAY).to_dict("records")
    assert (row["policy"], row["items"], row["reviewers"]) == ("fraud", 61, 3)
    tables = ("reviewer_quality", "label_agreement", "label_consensus")
    before = [made.warehouse.fingerprint(table, DAY) for table in tables]
    outcome(made)
    assert [made.warehouse.fingerprint(table, DAY) for table in tables] == before


def test_without_golden_labels_nobody_loses_a_vote(tmp_path: Path) -> None:
    made = project(tmp_path, "leave_out", golden=False)
    _, votes = outcome(made)
    assert (votes[1], votes[2]) == (2, 3)
    assert set(made.warehouse.read("reviewer_quality", DAY, DAY)["action"]) == {"keep"}
