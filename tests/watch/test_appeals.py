"""threshold_watch on appeals over a real warehouse: what counts, and what is off or waits, by name."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pandas as pd
import pytest

from include.contract.change import Change
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.ledger.publication import Act, publish_changes
from include.proposals.guardrails import Alarm
from include.watch import appeals
from include.watch.collect import alarms
from tests.ledger.publishing import BR, CONFIG, DAY, DE, INITIAL, NOW, carry_out, project_in, proposal
from tests.watch.test_collect import MATURITY, drawn, watch, watched_on

pytestmark = pytest.mark.slow

OLD, NEW = 1, 2
"""The versions before and after the change watched, which rests on DAY."""


def day_of(days_later):
    return DAY + timedelta(days=days_later)


def land(project, table, days_later, rows):
    day = day_of(days_later)
    folder = project.warehouse.landing / table / f"ds={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).assign(decided_at=pd.Timestamp(day, tz="UTC")).to_parquet(folder / "part.parquet", index=False)


def removed(project, days_later, *counts):
    """A log of so many removals of `cell` under `version` each, and of a review, which is none."""
    rows = [
        {**dict(zip(CELL, cell, strict=True)), "video_id": 1000 * part + i, "action": "remove", "threshold_version": n}
        for part, (cell, n, count) in enumerate(counts)
        for i in range(count)
    ]
    land(project, "enforcement_log", days_later, [*rows, {**rows[0], "video_id": -1, "action": "review"}])


def appeal(video_id, *, cell=BR, version: int | None = NEW, outcome="overturned") -> dict[str, Any]:
    named = dict(zip(CELL, cell, strict=True)) | {"threshold_version": version}
    return {"event_id": f"{video_id} {version} {outcome}", "video_id": video_id, "outcome": outcome, **named}


def decided(project, days_later, appeals):
    repeated = [{**row, "event_id": f"{days_later} {number}"} for number, row in enumerate(appeals)]
    land(project, "appeals", days_later, repeated)


def moved(project, days_later, old, new, hour=0, **more):
    """A change of remove_at by hand, published the morning after."""
    change = Change(BR, ThresholdPair(old, 0.7), ThresholdPair(new, 0.7), "x", **more)
    act = Act(day_of(days_later), "ana", "an experiment", {"kind": "ad_hoc"})
    publish_changes(project, partial(_only, change), act, NOW + timedelta(days=days_later, hours=hour))


def _only(change, chain):
    return [change]


@pytest.fixture
def project(tmp_path):
    """A cell with a change, and an appeal on the day it rests on that names its removal."""
    project = project_in(tmp_path)
    carry_out(project, [proposal("p")])
    decided(project, 0, [appeal(1, version=OLD)])
    removed(project, 0, (BR, OLD, 50))
    return project


def run(project, days_later, labels=(), version=None):
    if labels:
        return watched_on(project, day_of(days_later), labels)
    rows = watch(project, day_of(days_later))
    project.warehouse.replace("threshold_watch", day_of(days_later), rows)
    return (rows if version is None else rows[rows["version"] == version]).iloc[0]


def test_overturned_appeals_alone_raise_the_alarm_while_labels_are_fine(project) -> None:
    labels = drawn(project, 1, 40, 0)
    for later in range(1, MATURITY + 2):
        removed(project, later, (BR, NEW, 100), (DE, NEW, 30))
        decided(project, later, [appeal(100 * later + i) for i in range(25 if later > 1 else 0)] + [appeal(0, cell=DE)])
    found = [run(project, later, labels) for later in (1, 2, 3, MATURITY + 1)]
    assert [row["removals"] for row in found] == [100, 200, 300, 100 * (MATURITY + 1)]
    assert [row["overturned"] for row in found] == [0, 25, 50, 25 * MATURITY]
    assert [row["appeals_through"] for row in found] == [day_of(later) for later in (1, 2, 3, MATURITY + 1)]
    assert all(row["appeals_remark"] is None and row["alarm_at"] == 2 / CONFIG.watch.alpha for row in found)
    assert [bool(row["alarm"]) for row in found] == [False, True, True, True]
    assert (found[-1]["n"], found[-1]["highest_e_value"]) == (40, 1.0)
    assert found[-1]["highest_appeals_e_value"] == found[-1]["appeals_e_value"] > 40
    reason = found[-1]["reason"]
    assert "appeals overturned 125 of 600 removals, so precision is at most 0.792, 0.950 was promised" in reason
    assert "labels" not in reason
    raised = alarms(project.warehouse.read("threshold_watch", day_of(MATURITY + 1), day_of(MATURITY + 1)))
    assert raised == {BR: Alarm(reason, ThresholdPair(INITIAL.remove_at, INITIAL.review_at), by_itself=False)}

    printed = project.warehouse.fingerprint("threshold_watch", day_of(MATURITY + 1))
    for later in (1, 2, 3):
        run(project, MATURITY + 1, labels)
        assert project.warehouse.fingerprint("threshold_watch", day_of(MATURITY + 1)) == printed
        forgotten = project.warehouse.read("threshold_watch", day_of(later), day_of(later)).drop(columns="ds").iloc[:0]
        project.warehouse.replace("threshold_watch", day_of(later), forgotten)


def test_labels_alarm_at_twice_the_evidence_where_appeals_are_watched_too(project) -> None:
    labels = drawn(project, 1, 9, 4)
    for later in range(1, MATURITY + 2):
        removed(project, later, (BR, NEW, 100))
    row = run(project, MATURITY + 1, labels)
    assert 1 / CONFIG.watch.alpha < row["highest_e_value"] < row["alarm_at"] == 2 / CONFIG.watch.alpha
    assert not row["alarm"]


@pytest.mark.parametrize(
    ("absent", "remark"),
    [
        ("appeals", "switched off: the platform delivers no appeals"),
        ("enforcement_log", "switched off: the platform delivers no enforcement_log"),
        ("columns", "no appeal about violence named market, model_version and threshold_version"),
        ("threshold_version", "no appeal about violence named market, model_version and threshold_version"),
    ],
)
def test_what_the_platform_does_not_deliver_switches_appeals_off_by_name(tmp_path, absent, remark) -> None:
    project = project_in(tmp_path)
    carry_out(project, [proposal("p")])
    rows = [appeal(i, version=OLD if absent != "threshold_version" else None) for i in range(30)]
    if absent == "columns":
        rows = [{name: row[name] for name in ("event_id", "video_id", "policy", "outcome")} for row in rows]
    for later in (0, 1):
        if absent != "appeals":
            decided(project, later, rows)
        if absent != "enforcement_log":
            removed(project, later, (BR, NEW, 30))
    row = run(project, 1)
    assert remark in row["appeals_remark"]
    assert (row["appeals_through"], row["removals"], row["overturned"], row["appeals_e_value"]) == (None, 0, 0, 1.0)
    assert (row["alarm_at"], row["alarm"]) == (1 / CONFIG.watch.alpha, False)

    decided(project, 2, [appeal(i) for i in range(30)])
    removed(project, 2, (BR, NEW, 30))
    later = run(project, 2)
    assert later["alarm_at"] == row["alarm_at"], "it is decided before the change acts, and stays"
    assert later["appeals_remark"] == row["appeals_remark"]
    carry_out(project, [proposal("q", remove_at=0.96, current=(0.95, 0.7))], day_of(2), now=NOW + timedelta(days=3))
    removed(project, 3, (BR, 3, 30))
    assert run(project, 3)["alarm_at"] == 2 / CONFIG.watch.alpha


def test_a_missing_log_is_waited_for_and_no_appeal_counts_before_its_removal(project) -> None:
    for later in (1, 3):
        removed(project, later, (BR, NEW, 100))
    for later in (1, 2, 3):
        decided(project, later, [appeal(100 * later + i) for i in range(20)])
    found = run(project, 3)
    assert (found["removals"], found["overturned"], found["appeals_through"]) == (100, 20, day_of(1))
    assert found["appeals_remark"] == f"waits for enforcement_log of {day_of(2)}"
    assert run(project, 4)["appeals_through"] == day_of(1)
    removed(project, 2, (BR, NEW, 100))
    found = run(project, 5)
    assert (found["removals"], found["overturned"], found["appeals_through"]) == (300, 60, day_of(3))
    assert found["appeals_remark"] == f"waits for enforcement_log of {day_of(4)}"


def test_a_video_is_overturned_once_and_only_of_this_cell_and_change(project, monkeypatch) -> None:
    monkeypatch.setattr(appeals, "REPEAT_DAYS", 2)
    others = [appeal(8, outcome="upheld"), appeal(9, version=OLD), appeal(10, version=None), appeal(11, cell=DE)]
    by_day = {
        1: [appeal(7), appeal(7), *others, appeal(12, version=99)],
        2: [appeal(7)],
        4: [appeal(7)],
        7: [appeal(7)],
    }
    for later in range(1, 8):
        removed(project, later, (BR, NEW, 10), (BR, OLD, 5))
        decided(project, later, by_day.get(later, others))
    found = [run(project, later) for later in range(1, 8)]
    assert [row["removals"] for row in found] == [10, 20, 30, 40, 50, 60, 70]
    assert [row["overturned"] for row in found] == [1, 1, 1, 1, 1, 1, 2], "so much later it was removed again"


def test_removals_at_another_threshold_in_between_do_not_count(project) -> None:
    for hour, (old, new) in enumerate(((0.95, 0.9), (0.9, 0.95))):
        moved(project, 1, old, new, hour)
    removed(project, 1, (BR, NEW, 10))
    removed(project, 2, (BR, NEW, 20), (BR, 3, 40), (BR, 4, 80))
    decided(project, 2, [appeal(1), appeal(2, version=3), appeal(3, version=4)])
    found = run(project, 2)
    assert found["version"] == NEW
    assert (found["removals"], found["overturned"]) == (110, 2)


def test_a_canary_counts_nothing_before_it_acts_on_all_videos(tmp_path) -> None:
    project = project_in(tmp_path)
    carry_out(project, [proposal("p", canary_share=0.1)])
    decided(project, 0, [appeal(1, version=OLD)])
    for later, counts in enumerate(([(BR, OLD, 50)], [(BR, NEW, 60)], [(BR, NEW, 20), (BR, 3, 40)])):
        removed(project, later, *counts)
    decided(project, 1, [appeal(1)])
    decided(project, 2, [appeal(2), appeal(3, version=3)])
    found = run(project, 1, version=NEW)
    assert (found["share"], found["removals"], found["overturned"]) == (0.1, 0, 0)
    assert found["appeals_remark"] == "nothing counts before it acts on all videos"
    moved(project, 1, INITIAL.remove_at, 0.95, continues=NEW)
    found = run(project, 2)
    assert (found["share"], found["version"], found["removals"], found["overturned"]) == (1.0, NEW, 40, 1)
    assert found["appeals_remark"] is None


def test_more_overturned_than_removed_stands_still_by_name(project) -> None:
    removed(project, 1, (BR, NEW, 10))
    removed(project, 2, (BR, NEW, 1))
    decided(project, 2, [appeal(i) for i in range(12)])
    found = run(project, 2)
    assert (found["removals"], found["overturned"], found["alarm"]) == (10, 0, False)
    said = f"stands still: by {day_of(2)} appeals overturned 12 removals, enforcement_log has 11"
    assert found["appeals_remark"] == said
