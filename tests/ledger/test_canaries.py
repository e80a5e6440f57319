"""A canary: what it is in the ledger, when it acts on more videos, when it ends, over real publications and labels."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from include.config.model import CanarySettings
from include.contract.change import Bucket, Change
from include.contract.grid import ThresholdPair, bin_of
from include.contract.salts import salt_of
from include.contract.tables import CELL, TABLES
from include.contract.terms import VersionKind
from include.forecasts.forecast import ACTIONS, actions, volumes
from include.forecasts.outcomes import due
from include.ledger.canaries import Canary, canaries
from include.ledger.chain import in_order, verify
from include.ledger.overrides import overrides
from include.ledger.serving import read_serving
from include.project import Project
from include.proposals.approval import forecast_in_words
from include.simulation.buckets import buckets
from include.thresholds import stage
from include.thresholds.ad_hoc import request_proposals
from include.thresholds.request import Request
from include.verification.decision import decision_problems
from include.watch.canary_step import canary_finding
from tests.ledger.publishing import BR, CONFIG, DAY, DE, LOADED, carry_out, in_force, project_in, proposal, rows_of
from tests.warehouse.frames import profile_of
from tests.warehouse.reference import permanent_hash
from tests.watch.test_collect import drawn, passed

pytestmark = pytest.mark.slow

STEPS = CanarySettings(steps=[0.01, 0.1], days_per_step=2)
MATURITY = CONFIG.policies["violence"].maturity_days
CHANGE = Change(BR, ThresholdPair(0.98, 0.8), ThresholdPair(0.95, 0.7), "daily", canary=Bucket(0.01, 7))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A ledger whose version 2 began a canary in BR, and set DE at once."""
    made = project_in(tmp_path)
    at_once = CONFIG.guardrails.model_copy(update={"loosen_days": 1})
    at_hand = CONFIG.sampling.second_look.model_copy(update={"settle_days": 0})  # nobody waits for experts
    sampling = CONFIG.sampling.model_copy(update={"second_look": at_hand})
    changed = {"canary": STEPS, "guardrails": at_once, "sampling": sampling}
    project = replace(made, config=CONFIG.model_copy(update=changed))
    carry_out(project, [proposal("p1", canary_share=0.01), proposal("p2", DE)])
    return project


def served(project: Project, cell: tuple[str, str, str] = BR) -> dict:
    cells = read_serving(project.settings.thresholds)["cells"]
    return next(item for item in cells if tuple(item[name] for name in CELL) == cell)


def label(project: Project, days_later: int, right: int, wrong: int) -> None:
    """The day's draws, and the answers to all draws so far."""
    day = DAY + timedelta(days=days_later)
    histogram = pd.DataFrame([{**dict(zip(CELL, BR, strict=True)), "bin": 970, "n_videos": 100, "n_views": 100}])
    project.warehouse.replace("score_histogram", day, histogram)
    project.warehouse.replace("score_profile", day, profile_of(histogram))
    passed(project, "scores", day)
    answers = drawn(project, days_later, right, wrong)
    before = project.warehouse.read("label_consensus", day - timedelta(days=1), day - timedelta(days=1))
    consensus = pd.concat([before.drop(columns="ds"), pd.DataFrame(answers)], ignore_index=True)
    project.warehouse.replace("label_consensus", day, consensus)
    passed(project, "consensus", day)


def whole(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with the columns of threshold_proposals that they lack."""
    lacking: dict[str, Any] = {"basis": "golden", "removes_before": 1, "reviews_before": 1}
    names = [name for name in TABLES["threshold_proposals"].column_names if name not in rows]
    return rows.assign(**{name: lacking.get(name) for name in names})


def live(project: Project, days_later: int, right: int, wrong: int) -> str:
    """A day on which so many videos above the canary's remove_at are drawn, and are all answered at once."""
    day = DAY + timedelta(days=days_later)
    label(project, days_later, right, wrong)
    stage.watch_published(project, day)
    return stage.advance_canaries(project, day)


def test_the_documented_buckets_are_those_of_the_warehouse_and_of_the_simulated_platform():
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    documented: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, documented)
    rows = [tuple(map(int, row)) for row in re.findall(r"^\| (-?\d+) \| (\d+) \| (\d+) \|$", text, re.M)]
    assert len(rows) == 3
    for video_id, salt, expected in rows:
        assert documented["bucket"](video_id, salt) * 2**32 == expected == permanent_hash(video_id, salt)
        assert buckets(np.array([video_id]), salt)[0] * 2**32 == expected


@pytest.mark.parametrize("no_score", ["review", "allow"])
@pytest.mark.parametrize(("remove_at", "review_at"), [(0.98, 0.8), (0.98, 0.98), (1.0, 0.999), (1.0, 1.0), (0.0, 0.0)])
def test_serving_acts_on_what_the_forecast_counts_also_at_the_ends_of_the_scale(remove_at, review_at, no_score):
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    documented: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, documented)
    pair = ThresholdPair(remove_at, review_at)
    levels = {name: None if level == 1 else level for name, level in pair._asdict().items()}
    scores = np.array([np.nan, 0.0, 0.5, 0.8, np.nextafter(0.98, 0), 0.98, 0.999, np.nextafter(1.0, 0), 1.0])
    served = [documented["action"](None if np.isnan(s) else s, levels, no_score) for s in scores.tolist()]
    assert served == [ACTIONS[place] for place in actions(scores, pair, no_score)]
    histogram = pd.DataFrame({"bin": bin_of(scores), "n_videos": 1, "n_views": 1}).groupby("bin", as_index=False).sum()
    counted = volumes(histogram, pair, no_score)
    assert (counted.removes, counted.reviews) == (served.count("remove"), served.count("review"))


def test_a_canary_is_served_beside_the_thresholds_that_stay(project):
    assert served(project) == {
        **dict(zip(CELL, BR, strict=True)),
        "remove_at": 0.98,
        "review_at": 0.8,
        "canary": {"remove_at": 0.95, "review_at": 0.7, "share": 0.01, "salt": salt_of("p1", "canary")},
    }
    assert served(project, DE)["remove_at"] == 0.95
    assert "canary" not in served(project, DE)
    assert in_force(project) == (0.98, 0.8)
    rows = rows_of(project)
    assert verify(rows) == []
    (running,) = canaries(in_order(rows)).values()
    assert (running.cell, running.version, running.began, running.share) == (BR, 2, DAY, 0.01)
    assert str(running) == (
        "the canary of version 2 lets remove_at 0.95 act on 1% of the cell's videos since 2026-11-10"
    )
    forged = rows.assign(thresholds=[text.replace('"share":0.01', '"share":0.5') for text in rows["thresholds"]])
    assert any("violence/BR/violence-v3/canary should be" in problem for problem in verify(forged))


def test_a_change_of_the_cell_ends_its_canary(project):
    again = proposal("p3", remove_at=0.99, current=(0.98, 0.8))
    assert carry_out(project, [again], day=DAY + timedelta(days=1)).outcome == "published"
    assert canaries(in_order(rows_of(project))) == {}
    assert "canary" not in served(project)
    assert served(project)["remove_at"] == 0.99


def test_an_override_ends_a_canary_and_lasting_is_what_acted_on_the_other_videos(project):
    until = DAY + timedelta(days=9)
    change = proposal("p3", remove_at=0.99, current=(0.98, 0.8), origin="r")
    carry_out(project, [change], kind="ad_hoc", requester="ana", reason="election", expires_on=until)
    chain = in_order(rows_of(project))
    assert canaries(chain) == {}
    assert overrides(chain)[BR].lasting == (0.98, 0.8)


@pytest.mark.parametrize(("right", "wrong"), [(40, 0), (36, 4), (30, 10), (5, 45)])
def test_the_test_is_the_exact_binomial_where_weights_are_equal(right, wrong):
    canary = Canary(BR, 2, DAY, DAY, 0.01, CHANGE)
    labels = pd.DataFrame({"inclusion_probability": 0.2, "p_violating": [1.0] * right + [0.0] * wrong})
    through = DAY + timedelta(days=2)
    found = canary_finding(canary, labels, STEPS, through=through, limit=0.95, confidence=0.9, min_labels=30)
    p_value = binom.cdf(right, right + wrong, 0.95)
    assert found.outcome == ("end" if p_value <= 0.1 else "step")
    assert float(re.findall(r"p-value (\S+), it ends at 0.1", found.reason)[0]) == pytest.approx(p_value, rel=0.06)


def test_a_canary_waits_for_days_and_for_labels():
    canary = Canary(BR, 2, DAY, DAY, 0.01, CHANGE)
    labels = pd.DataFrame({"inclusion_probability": [0.2] * 29, "p_violating": 1.0})
    asked: dict[str, Any] = {"limit": 0.95, "confidence": 0.9, "min_labels": 30}
    early = canary_finding(canary, labels, STEPS, through=DAY + timedelta(days=1), **asked)
    assert (early.outcome, early.reason) == (
        "wait",
        "labels are final up to 2026-11-11; it is judged when those up to 2026-11-12 are",
    )
    few = canary_finding(canary, labels, STEPS, through=DAY + timedelta(days=2), **asked)
    assert (few.outcome, few.reason) == ("wait", "29 labels since it began; 30 are asked for")


def test_a_canary_that_keeps_its_promise_acts_on_more_and_at_last_on_all(project):
    said = [live(project, n, right=20, wrong=0) for n in range(1, 13)]
    chain = in_order(rows_of(project))
    steps = {row["ds"]: json.loads(row["changes"])[0] for row in chain[2:]}
    first, last = DAY + timedelta(days=2 + MATURITY), DAY + timedelta(days=2 * (2 + MATURITY))
    assert list(steps) == [first, last]
    assert [row["request"] for row in chain[2:]] == [f'{{"day":"{day}","kind":"canary"}}' for day in (first, last)]
    assert steps[first]["canary"] == {"share": 0.1, "salt": salt_of("p1", "canary")}
    assert "canary" not in steps[last]
    assert [step["certificate"]["bound"] for step in steps.values()] == [0.955, 0.955]
    assert "violence BR violence-v3 lets remove_at 0.95 act on 10% of its videos: 40 labels" in chain[2]["reason"]
    assert "act on all its videos" in chain[3]["reason"]
    assert served(project) == {**dict(zip(CELL, BR, strict=True)), "remove_at": 0.95, "review_at": 0.7}
    assert said[-1] == "no canary"
    assert verify(rows_of(project)) == []

    compared = {
        (item.version, item.cell)
        for rests_on in (DAY, first, last)
        for item in due(rows_of(project), CONFIG, rests_on + timedelta(days=1 + MATURITY))
        if item.horizon_days == 1
    }
    assert compared == {(2, DE), (4, BR)}, "a forecast is of what acts on all videos"

    watch = project.warehouse.read("threshold_watch")
    watch = watch[(watch[list(CELL)] == BR).all(axis=1)]
    assert set(watch["version"]) == {1, 2}, "what acts on the other videos, and what acts on those of the canary"
    watch = watch[watch["version"] == 2]
    assert watch["n"].tolist() == [0] * (MATURITY - 1) + [20 * n for n in range(0, 13 - MATURITY)]
    assert watch["share"].tolist() == [0.01] * 5 + [0.1] * 5 + [1.0] * 2

    before = rows_of(project)
    assert stage.advance_canaries(project, last) == "no canary"
    pd.testing.assert_frame_equal(rows_of(project), before)


def test_a_step_is_published_once_and_its_decision_can_be_computed_again(project):
    for n in range(1, 6):
        live(project, n, right=20, wrong=0)
    day, before = DAY + timedelta(days=5), rows_of(project)
    assert len(before) == 3
    assert stage.advance_canaries(project, day).startswith("nothing_to_publish")
    assert stage.advance_canaries(project, day - timedelta(days=3)).startswith("nothing_to_publish")
    pd.testing.assert_frame_equal(rows_of(project), before)
    assert decision_problems(project, in_order(before), 3) == []
    forged = in_order(before)
    forged[2]["changes"] = forged[2]["changes"].replace('"share":0.1', '"share":0.9')
    assert any("canary" in problem for problem in decision_problems(project, forged, 3))


def test_a_canary_that_labels_speak_against_ends_by_itself(project):
    for n in range(1, 6):
        said = live(project, n, right=17, wrong=3)
    assert said.startswith("published: the ledger is at version 3")
    last = in_order(rows_of(project))[-1]
    assert (
        "violence BR violence-v3 ends the canary of version 2: 40 labels since it began put precision" in last["reason"]
    )
    assert (last["approver"], json.loads(last["request"])["kind"]) == (None, VersionKind.CANARY)
    assert served(project) == {**dict(zip(CELL, BR, strict=True)), "remove_at": 0.98, "review_at": 0.8}
    assert verify(rows_of(project)) == []
    assert decision_problems(project, in_order(rows_of(project)), 3) == []


def test_the_alarm_of_the_watch_ends_a_canary_before_its_step_is_over(project):
    said = [live(project, n, right=5, wrong=25) for n in range(1, MATURITY + 2)]
    assert said[-1].startswith("published: the ledger is at version 3")
    last = in_order(rows_of(project))[-1]
    assert "ends the canary of version 2: alarm: since version 2" in last["reason"]
    assert served(project)["remove_at"] == 0.98


def test_a_canary_waits_while_a_proposal_would_change_its_cell_and_in_a_freeze(project):
    for n in range(1, 5):
        live(project, n, right=20, wrong=0)
    day = DAY + timedelta(days=5)
    label(project, 5, right=20, wrong=0)
    stage.watch_published(project, day)
    freeze = {"first_day": day, "last_day": day + timedelta(days=1), "reason": "sales", "policies": ["violence"]}
    guardrails = type(CONFIG.guardrails).model_validate({**CONFIG.guardrails.model_dump(), "freezes": [freeze]})
    frozen = replace(project, config=project.config.model_copy(update={"guardrails": guardrails}))
    assert stage.advance_canaries(frozen, day).startswith("nothing_to_publish")
    waiting = pd.DataFrame([proposal("p9", remove_at=0.99, status="awaiting_approval", current=(0.98, 0.8))])
    project.warehouse.replace("threshold_proposals", day, whole(waiting), slice_value="daily")
    assert stage.advance_canaries(project, day).startswith("nothing_to_publish")
    project.warehouse.replace("threshold_proposals", day, whole(waiting.assign(status="held")), slice_value="daily")
    assert stage.advance_canaries(project, day).startswith("published")


def test_what_no_certificate_allows_is_withdrawn_the_day_after_an_upgrade_and_what_one_allows_stays(tmp_path):
    """A ledger whose cells started with a remove_at, under the shipped rule that they may not."""
    project = project_in(tmp_path)
    carry_out(project, [proposal("p1", DE)])
    label(project, 1, right=0, wrong=3)
    day, upgraded = DAY + timedelta(days=1), replace(project, config=LOADED)
    row = of_br(stage.daily_proposals(upgraded, day))
    assert (row["current_remove_at"], row["proposed_remove_at"], row["status"]) == (0.98, 1.0, "within_limits")
    assert "no certificate ever allowed" in row["verdicts"]
    assert kept(of_br(stage.daily_proposals(project, day))) == 0.98, "as configured, it stays"
    carry_out(project, [proposal("p2")])
    assert kept(of_br(stage.daily_proposals(upgraded, day))) == 0.95


def test_a_request_on_the_day_of_a_cells_first_certificate_knows_it(tmp_path):
    """The ledger of that day counts for a request, where the daily run starts from the day before."""
    project = project_in(tmp_path)
    label(project, 1, right=0, wrong=3)
    day, upgraded = DAY + timedelta(days=1), replace(project, config=LOADED)
    carry_out(project, [proposal("p3", current=(0.98, 0.8))], day)
    asked = Request(("violence",), ("BR",), {"violence": 0.95}, None, True, False, "complaints", None)
    stored = {"origin": "run", "day": day.isoformat(), **asked.to_json()}
    assert kept(of_br(request_proposals(upgraded, stored, rows_of(project)))) == 0.95


def test_the_daily_run_leaves_a_cell_with_a_canary_alone(project):
    for n in range(1, 10):
        label(project, n, right=20, wrong=0)
    row = of_br(stage.daily_proposals(project, DAY + timedelta(days=9)))
    assert row["proposed_remove_at"] < row["current_remove_at"] == 0.98
    assert row["status"] == "held"
    (verdict,) = (found for found in json.loads(row["verdicts"]) if found["name"] == "canary")
    assert verdict["reason"].startswith("the canary of version 2 lets remove_at 0.95 act on 1%")


def test_a_request_for_a_cell_with_a_canary_asks_a_person_and_acts_first_on_a_share_if_it_is_to_last(project):
    for n in range(1, 10):
        label(project, n, right=20, wrong=0)
    day, ledger = DAY + timedelta(days=9), rows_of(project)
    asked = Request(("violence",), ("BR",), {"violence": 0.95}, None, True, False, "complaints", None)
    found = of_br(request_proposals(project, {"origin": "run", "day": day.isoformat(), **asked.to_json()}, ledger))
    (verdict,) = (verdict for verdict in json.loads(found["verdicts"]) if verdict["name"] == "canary")
    assert (found["status"], found["canary_share"]) == ("awaiting_approval", 0.01)
    assert verdict["reason"].endswith("since 2026-11-10; this would end it")
    passing = replace(asked, expires_on=day + timedelta(days=9))
    found = of_br(request_proposals(project, {"origin": "run", "day": day.isoformat(), **passing.to_json()}, ledger))
    assert pd.isna(found["canary_share"])


def test_a_remove_at_that_rises_does_not_wait_for_a_canary(project):
    carry_out(project, [proposal("p3", remove_at=0.96, current=(0.98, 0.8))])
    further = proposal("p4", remove_at=0.93, current=(0.96, 0.7), canary_share=0.01)
    carry_out(project, [further], DAY + timedelta(days=1))
    for n in range(1, 10):
        label(project, n, right=20, wrong=0)
    row = of_br(stage.daily_proposals(project, DAY + timedelta(days=9)))
    assert row["proposed_remove_at"] > row["current_remove_at"] == 0.96, "no label lies below 0.97"
    assert '"canary"' not in row["verdicts"]


def kept(row: Any) -> float:
    """The remove_at of a proposal that leaves it."""
    assert pd.isna(row["proposed_remove_at"]) or row["proposed_remove_at"] == row["current_remove_at"]
    return row["current_remove_at"]


def of_br(rows: pd.DataFrame) -> Any:
    return rows[(rows[list(CELL)] == BR).all(axis=1)].iloc[0]


def test_who_approves_reads_where_a_change_acts_first():
    row = proposal("p1", canary_share=0.005)
    effect = {"low": 0.0, "high": 1.0, "estimate": 0.5}
    row |= {"removes_before": 10, "removes_after": 12}
    row["forecast"] = json.dumps({"wrongful_removals_change": effect, "violative_views_prevented_change": effect})
    assert forecast_in_words(row).endswith("; at first on 0.50% of its videos")
    assert "at first" not in forecast_in_words(row | {"canary_share": None})
