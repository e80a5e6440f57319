"""threshold_watch over a real warehouse: each day counted once, what an alarm asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.ledger.in_force import thresholds_before
from include.proposals.guardrails import Alarm
from include.watch.collect import alarms, watch_rows
from tests.ledger.publishing import BR, CONFIG, DAY, INITIAL, LOADED, carry_out, project_in, proposal

CELLS = pd.DataFrame([BR], columns=list(CELL))
MATURITY = (DAY - CONFIG.settled_through("violence", "BR", DAY)).days  # and the time experts have


def passed(project, gate, day):
    row: dict[str, Any] = {"gate": gate, "table_name": "any", "position": 1, "expectation": "none", "column_name": None}
    row |= {"severity": "critical", "success": True, "observed": ""}
    project.warehouse.replace("quality_results", day, pd.DataFrame([row]), slice_value=gate)


def drawn(project, days_later, right, wrong, score=0.97):
    """Draws of a day, all above the new remove_at, and so many of them right."""
    day = DAY + timedelta(days=days_later)
    ids = [1000 * days_later + i for i in range(right + wrong)]
    shared: dict[str, Any] = dict(zip(CELL, BR, strict=True)) | {"design_id": "d", "programme": "audit", "stratum": "s"}
    shared |= {"region": "remove", "score": score, "views": 10, "permanent_random": 0.0, "cluster_id": None}
    shared |= {"programme_probability": 0.1, "inclusion_probability": 0.1}
    rows = pd.DataFrame([{"video_id": i, "sample_id": str(i), **shared} for i in ids])
    project.warehouse.replace("review_sample", day, rows)
    passed(project, "sample", day)
    answers: dict[str, Any] = {
        "policy": BR[0],
        "votes": 1,
        "unsure": 0,
        "agreement": None,
        "status": "final",
        "method": "majority",
        "asked_by": "sample",
        "settled": None,
    }
    answers["sampled_on"] = day
    return [{"video_id": i, "p_violating": float(n < right), **answers} for n, i in enumerate(ids)]


def watch(project, day):
    return watch_rows(project, day, thresholds_before(project, day, CELLS))


def watched_on(project, day, consensus):
    project.warehouse.replace("label_consensus", day, pd.DataFrame(consensus))
    passed(project, "consensus", day)
    rows = watch(project, day)
    project.warehouse.replace("threshold_watch", day, rows)
    return rows.iloc[0]


@pytest.fixture
def project(tmp_path):
    project = project_in(tmp_path)
    carry_out(project, [proposal("p")])
    return project


def test_each_day_counts_once_when_it_is_final_and_an_alarm_asks_for_what_was_before(project) -> None:
    labels = drawn(project, 0, 0, 20) + drawn(project, 1, 38, 2) + drawn(project, 2, 10, 15)
    days = [DAY + timedelta(days=MATURITY + late) for late in range(4)]
    found = [watched_on(project, day, labels) for day in days]
    assert [row["n"] for row in found] == [0, 40, 65, 65], "the day of the change still had the thresholds before it"
    assert [bool(row["alarm"]) for row in found] == [False, False, True, True]
    assert found[1]["estimate"] == pytest.approx(38 / 40)
    assert found[1]["e_value"] < 1 + 1e-9
    assert [row["through"] for row in found] == [DAY, *(DAY + timedelta(days=n) for n in (1, 2, 3))]
    assert dict(watch(project, days[3]).iloc[0]) == dict(found[3])

    again = watch(project, days[3] + timedelta(days=40)).iloc[0]
    assert again["n"] == 65, "days that left the window stay counted"
    assert again["alarm"]

    raised = alarms(project.warehouse.read("threshold_watch", days[2], days[2]))
    assert raised == {
        BR: Alarm(found[2]["reason"], ThresholdPair(INITIAL.remove_at, INITIAL.review_at), by_itself=False)
    }
    assert "65 labels" in found[2]["reason"]
    assert found[2]["action"] == CONFIG.watch.on_alarm == "ask"


def test_days_that_were_not_run_are_made_up_for_within_the_window(project) -> None:
    labels = drawn(project, 1, 38, 2) + drawn(project, 2, 10, 15)
    row = watched_on(project, DAY + timedelta(days=MATURITY + 2), labels)
    assert (row["n"], row["alarm"]) == (65, True)


def test_a_new_change_is_watched_from_nothing(project) -> None:
    labels = drawn(project, 1, 10, 15)
    day = DAY + timedelta(days=MATURITY + 1)
    assert watched_on(project, day, labels)["alarm"]
    carry_out(project, [proposal("q", remove_at=0.96, current=(0.95, 0.7))], day)
    row = watched_on(project, day + timedelta(days=1), labels)
    assert (row["version"], row["n"], row["alarm"], row["limit"]) == (3, 0, False, 0.95)


def test_a_remove_at_that_a_cell_started_with_is_watched_since_the_first_version(tmp_path) -> None:
    project = project_in(tmp_path)
    carry_out(project, [])
    labels = drawn(project, 0, 0, 20, 0.99) + drawn(project, 1, 5, 30, 0.99)
    row = watched_on(project, DAY + timedelta(days=MATURITY + 1), labels)
    assert (row["version"], row["remove_at"], row["n"], row["limit"]) == (1, INITIAL.remove_at, 35, 0.95)
    assert (row["alarm"], row["safe_remove_at"]) == (True, 1.0), "nothing is known to be safer than to remove nothing"


def test_a_cell_that_removes_nothing_is_not_watched(tmp_path) -> None:
    project = replace(project_in(tmp_path), config=LOADED)
    carry_out(project, [])
    assert watch(project, DAY + timedelta(days=5)).empty


def test_a_promise_by_views_is_watched_by_views_and_not_by_appeals(tmp_path) -> None:
    """One wrong removal in 40 keeps a promise of 95 % by videos; it is the one that is viewed most."""
    alarmed = {}
    for weight in ("videos", "views"):
        project = project_in(tmp_path / weight)
        carry_out(project, [proposal("p", goal_weight=weight)])
        labels = drawn(project, 1, 195, 5) + drawn(project, 2, 195, 5)
        for later in (1, 2):
            day = DAY + timedelta(days=later)
            rows = project.warehouse.read("review_sample", day, day).drop(columns="ds")
            wrong = rows["video_id"] % 1000 >= 195
            project.warehouse.replace("review_sample", day, rows.assign(views=wrong * 90 + 10))
        row = watched_on(project, DAY + timedelta(days=MATURITY + 2), labels)
        alarmed[weight] = row["highest_e_value"]
        assert ("counted by video" in row["appeals_remark"]) == (weight == "views")
    assert alarmed["videos"] < 2
    assert alarmed["views"] > 20
