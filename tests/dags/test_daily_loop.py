"""Every daily Dag really run on a simulated platform: approval, rejection, time-out, failing gates, reruns."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from include.contract.cell import cell_of, records
from include.contract.tables import CELL
from include.ledger.chain import LedgerError, in_order, verify
from include.ledger.serving import read_serving
from include.local.runs import DAILY_DAGS, RunFailed
from include.orchestration.links import page_link
from include.thresholds import ad_hoc, roll_back, stage
from include.thresholds.request import FormRun
from tests.loop import DAYS, FORM, LAST, Loop, levels, nobody
from tests.places import MOVES_SOON, configured

pytestmark = pytest.mark.airflow


def never(subject: str, body: str) -> str:
    raise AssertionError(f"nobody is to be asked {subject}")


def announced_and_not_taken_up(day: date) -> list[str]:
    """The Dags that a scheduler would start for the day."""
    from airflow.models.asset import AssetPartitionDagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(AssetPartitionDagRun).where(AssetPartitionDagRun.created_dag_run_id.is_(None)))
        return [row.target_dag_id for row in rows if row.partition_key == day.isoformat()]


def test_the_loop_turns_labels_into_certified_thresholds(ended: Loop) -> None:
    proposals = ended.read("threshold_proposals", LAST)
    approved = proposals[proposals["status"] == "approved"]
    assert len(approved) > 0
    assert set(approved["answered_by"]) == {"manager"}
    assert approved["refusal"].isna().all()
    assert (approved["bound"] >= approved["target"]).all()
    assert (approved["current_remove_at"] == 1).all(), "they leave shadow mode"

    serving = read_serving(ended.settings.thresholds)
    ledger = ended.read("threshold_ledger")
    assert verify(ledger) == []
    assert serving["version"] == ledger["version"].max() >= 2
    cells = pd.DataFrame(serving["cells"]).set_index(list(CELL))
    for row in approved.to_dict("records"):
        assert cells.loc[tuple(row[name] for name in CELL), "remove_at"] == row["proposed_remove_at"]

    page = (ended.settings.reports / f"{ended.day(LAST)}.html").read_text(encoding="utf-8")
    assert "manager" in page
    assert (ended.settings.quality_docs / f"ds={ended.day(LAST)}" / "thresholds.html").exists()
    assert len(ended.read("retraining_decisions", LAST)) > 0
    assert announced_and_not_taken_up(ended.day(LAST)) == [], "a scheduler would run the day again"


def test_the_same_day_run_twice_gives_identical_tables(ended: Loop) -> None:
    """Its sample and labels are the same again after thresholds were published."""
    before, served = ended.fingerprints(), ended.settings.thresholds.read_bytes()
    for dag_id in DAILY_DAGS:
        ended.run(dag_id, LAST, never)
    assert ended.fingerprints() == before
    assert ended.settings.thresholds.read_bytes() == served


def test_without_an_answer_thresholds_stay_and_it_is_recorded(loop: Loop) -> None:
    """What a rejection does: test_watch.py."""
    version = read_serving(loop.settings.thresholds)["version"]
    loop.run("recalibrate_thresholds", LAST, nobody)
    proposals = loop.read("threshold_proposals", LAST)
    within = (proposals["status"] == "within_limits").any()
    assert "awaiting_approval" not in set(proposals["status"])
    unchanged = proposals[proposals["status"] == "timed_out"]
    assert (unchanged["proposed_remove_at"] != unchanged["current_remove_at"]).any()
    serving = read_serving(loop.settings.thresholds)
    served = levels(serving["cells"])
    assert all(served[cell_of(row)].remove_at == row["current_remove_at"] for row in records(unchanged))
    assert serving["version"] == version + (1 if within else 0)


def test_what_is_within_limits_is_published_and_nobody_asked(loop: Loop) -> None:
    wide = {
        "small_change_videos: 20 ": "small_change_videos: 1000000 ",
        "max_total_change: 0.15 ": "max_total_change: 9 ",
        "max_cells_changed: 0.75 ": "max_cells_changed: 1 ",
    }
    configured(loop.home, MOVES_SOON | wide)

    loop.run("recalibrate_thresholds", LAST, never)
    proposals = loop.read("threshold_proposals", LAST)
    published = proposals[proposals["status"] == "within_limits"]
    assert len(published) > 1
    assert "awaiting_approval" not in set(proposals["status"])
    version = in_order(loop.read("threshold_ledger"))[-1]
    assert (version["approver"], version["reason"]) == (None, "within the guardrails")
    assert sorted(json.loads(version["proposal_ids"])) == sorted(published["proposal_id"])
    cells = {cell: pair.remove_at for cell, pair in levels(read_serving(loop.settings.thresholds)["cells"]).items()}
    assert cells.items() >= {cell_of(row): row["proposed_remove_at"] for row in records(published)}.items()


def _ledger_file(loop: Loop) -> Path:
    assert isinstance(loop.settings.warehouse, Path)
    return next((loop.settings.warehouse / "threshold_ledger").rglob("*.parquet"))


def _edit_reason(file: Path) -> None:
    pd.read_parquet(file).assign(reason="another").to_parquet(file)


def _edit_threshold(file: Path) -> None:
    served = file.read_text(encoding="utf-8")
    file.write_text(served.replace('"remove_at": null', '"remove_at": 0.999', 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "edit", "said"),
    [
        (_ledger_file, _edit_reason, r"threshold_ledger: version \d+: column reason was changed"),
        (lambda loop: loop.settings.thresholds, _edit_threshold, r"differs from version \d+ of the ledger: "),
    ],
)
def test_what_was_edited_by_hand_stops_every_publication_until_it_is_put_back(
    loop: Loop, place: Callable[[Loop], Path], edit: Callable[[Path], None], said: str
) -> None:
    file, versions = place(loop), len(loop.read("threshold_ledger"))
    sound = file.read_bytes()
    edit(file)
    edited, served = file.read_bytes(), loop.settings.thresholds.read_bytes()
    assert edited != sound
    for step in (stage.propose_thresholds, stage.publish_within_limits, stage.advance_canaries, stage.lift_expired):
        with pytest.raises(LedgerError, match=said):
            step(loop.project, loop.day(LAST))
    wanted = FormRun("recalibrate_ad_hoc", "manual__1", "ana", FORM | {"policies": ["pornography"], "mode": "propose"})
    with pytest.raises(LedgerError, match=said):
        ad_hoc.propose_changes(loop.project, wanted, ad_hoc.read_request(loop.project, wanted))
    with pytest.raises(LedgerError, match=said):
        roll_back.read_request(
            loop.project, FormRun("roll_back_thresholds", "manual__2", "ana", {"version": 1, "reason": "complaints"})
        )
    assert (file.read_bytes(), loop.settings.thresholds.read_bytes()) == (edited, served)
    assert len(loop.read("threshold_ledger")) == versions

    file.write_bytes(sound)
    said = f"nothing_to_publish: the ledger is at version {versions}"
    assert stage.lift_expired(loop.project, loop.day(LAST)).startswith(said)


def notes_of(dag_id: str, task_id: str) -> tuple[str | None, str | None]:
    """Of a task in the newest run of a Dag, and of that run, as Airflow shows them."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc())
        run = session.scalars(query.limit(1)).one()
        (task,) = [task for task in run.task_instances if task.task_id == task_id]
        return task.note, run.note


def test_a_broken_feed_stops_at_its_gate_and_the_good_rerun_heals(loop: Loop) -> None:
    index, day = DAYS, loop.day(DAYS)
    platform = loop.platform
    platform.land_day(day)
    folder = loop.home / "data" / "landing" / "video_scores" / f"ds={day}"
    file = sorted(folder.glob("*.parquet"))[0]
    good = file.read_bytes()
    broken = pd.read_parquet(file)
    broken.loc[broken.index[:500], "score"] = 1.7
    broken.to_parquet(file, index=False)

    with pytest.raises(RunFailed, match="gate_scores"):
        loop.run("sample_for_review", index)
    task, run = notes_of("sample_for_review", "gate_scores")
    assert task == run
    assert str(task).startswith(f"gate scores of {day} failed 1 critical check:\n- video_scores, {day}, column score: ")
    assert "\nWhat to do: The message names cell, count and an example; have the feed repaired" in str(task)
    assert str(task).endswith(f"\nMore: {page_link(f'days/{day}')}")
    assert not (loop.settings.queue / f"ds={day}").exists()
    assert loop.read("review_sample", index).empty
    found = loop.read("quality_results", index)
    message = " ".join(found.loc[~found["success"], "observed"])
    assert "video_scores" in message
    assert str(day) in message
    assert "column score" in message
    assert "out_of_range_scores=" in message

    file.write_bytes(good)
    loop.run("sample_for_review", index)
    assert notes_of("sample_for_review", "gate_scores") == (None, None)
    assert (loop.settings.queue / f"ds={day}" / "queue_BR.csv").exists()
    results, kept = loop.read("quality_results", index), loop.read("gate_failures", index)
    assert results[results["severity"] == "critical"]["success"].all()
    assert set(kept["gate"]) == {"scores"}
    assert "out_of_range_scores=" in " ".join(kept["observed"])
    page = (loop.settings.quality_docs / f"ds={day}" / "scores.html").read_text()
    assert "failed first, healed on the second attempt" in page


def test_a_drop_of_garbage_stops_by_name_and_one_alone_stops_the_day(loop: Loop) -> None:
    index, day = DAYS, loop.day(DAYS)
    loop.platform.land_day(day)
    folder = loop.home / "data" / "landing" / "reviewer_labels" / f"ds={day}"
    good = {file: file.read_bytes() for file in folder.iterdir()}
    for file in good:
        file.unlink()
    (folder / "vendor2.jsonl").write_text("{not json\n" * 20_000, encoding="utf-8")

    with pytest.raises(RunFailed, match="gate_labels"):
        loop.run("ingest_reviewer_labels", index)
    assert (loop.read("label_rejects", index)["raw"] == "{not json").sum() == 20_000
    assert loop.read("label_consensus", index).empty

    for file, content in good.items():
        file.write_bytes(content)
    loop.run("ingest_reviewer_labels", index)
    assert (loop.read("label_rejects", index)["raw"] == "{not json").sum() == 20_000
    assert not loop.read("label_consensus", index).empty
    assert (loop.read("label_completeness", index)["completeness"] > 0.5).any()
