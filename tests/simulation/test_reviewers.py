from __future__ import annotations

import csv
import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from include.contract.tables import TABLES
from include.simulation.reviewers import HORIZON_DAYS, answers, disputed, golden, read_queue
from include.simulation.scenario import load_scenario
from tests.simulation.home import START

COLUMNS = list(TABLES["reviewer_labels"].column_names)


@pytest.fixture(scope="module")
def queue() -> pd.DataFrame:
    n = 12_000
    return pd.DataFrame(
        {
            "sample_id": [f"s{i:05}" for i in range(n)],
            "video_id": np.arange(n, dtype=np.int64) + 10**18,
            "policy": "violence",
            "market": np.array(["BR", "DE", "IN"])[np.arange(n) % 3],
            "guideline_version": "2026-1",
            "overlap": 2,
        }
    )


@pytest.fixture(scope="module")
def violating(queue) -> np.ndarray:
    return np.arange(len(queue)) // 3 % 2 == 0


def effective(events: pd.DataFrame) -> pd.DataFrame:
    """One row per answer: delivered once, superseded ones gone."""
    once = events.drop_duplicates("event_id")
    return once[~once["event_id"].isin(once["supersedes"].dropna())]


def assert_share(hits: int, n: int, p: float) -> None:
    low, high = binom.ppf([1e-6, 1 - 1e-6], n, p)
    assert low <= hits <= high, (hits, n, p)


@pytest.mark.parametrize(("name", "index"), [("calm", 0), ("careless_reviewers", 3), ("careless_reviewers", 4)])
def test_answers_show_each_reviewers_sensitivity_and_specificity(queue, violating, name, index):
    scenario = load_scenario(name)
    got = effective(answers(scenario, queue, violating, day=START, index=index))
    truth = dict(zip(queue["video_id"], violating, strict=True))
    got = got.assign(truth=got["video_id"].map(truth))
    assert set(got["reviewer_id"]) == set(scenario.reviewers)
    for reviewer, own in got.groupby("reviewer_id"):
        spec = scenario.reviewers[str(reviewer)]
        careless = name == "careless_reviewers" and index >= 4 and reviewer in ("br-vendor1", "in-vendor1")
        sensitivity, specificity = (0.60, 0.93) if careless else (spec.sensitivity, spec.specificity)
        assert_share((own["decision"] == "unsure").sum(), len(own), 0.0 if careless else spec.unsure_share)
        sure = own[own["decision"] != "unsure"]
        yes, no = sure[sure["truth"]], sure[~sure["truth"]]
        assert_share((yes["decision"] == "violating").sum(), len(yes), sensitivity)
        assert_share((no["decision"] == "not_violating").sum(), len(no), specificity)


def test_overlap_asks_different_reviewers_of_the_market_by_their_speed(queue, violating):
    scenario = load_scenario("calm")
    got = effective(answers(scenario, queue, violating, day=START, index=0))
    assert not got.duplicated(["video_id", "reviewer_id"]).any()
    assert abs(len(got) / (2 * len(queue)) - 0.98) < 0.005
    market = dict(zip(queue["video_id"], queue["market"], strict=True))
    assert all(
        market[v] in scenario.reviewers[r].markets for v, r in zip(got["video_id"], got["reviewer_id"], strict=True)
    )
    alone = effective(answers(scenario, queue.assign(overlap=1), violating, day=START, index=0))
    brazil = alone[alone["video_id"].map(market) == "BR"]["reviewer_id"].value_counts()
    speeds = {name: r.speed for name, r in scenario.reviewers.items() if "BR" in r.markets}
    for name, speed in speeds.items():
        assert_share(brazil[name], brazil.sum(), speed / sum(speeds.values()))


def test_whom_a_row_is_assigned_to_answers_it_and_nobody_else(queue, violating):
    scenario = load_scenario("calm")
    some = queue.head(900).assign(assigned_to=None, overlap=2)
    some.loc[some["market"] == "BR", "assigned_to"] = "br-carla;all-marco"
    some.loc[(some["market"] == "DE"), "assigned_to"] = "somebody-else"
    got = effective(answers(scenario, some, violating[:900], day=START, index=0))
    who = got["reviewer_id"].groupby(got["video_id"].map(some.set_index("video_id")["market"])).agg(set)
    assert who["BR"] == {"br-carla", "all-marco"}
    assert "DE" not in who
    plain = effective(answers(scenario, queue.head(900), violating[:900], day=START, index=0))
    left = some.loc[some["market"] == "IN", "video_id"]  # not assigned: as ever
    assert set(plain.loc[plain["video_id"].isin(left), "event_id"]) == set(
        got.loc[got["video_id"].isin(left), "event_id"]
    )


def test_most_answers_arrive_within_two_days_and_none_after_the_horizon(queue, violating):
    got = answers(load_scenario("calm"), queue, violating, day=START, index=0)
    days = np.array([(arrives - START).days for arrives in got["arrives"]])
    assert days.min() == 1
    assert (days <= 2).mean() > 0.9
    assert 3 < days.max() <= HORIZON_DAYS
    assert all(stamp.date() <= arrives for stamp, arrives in zip(got["labelled_at"], got["arrives"], strict=True))
    slow, fast = (got.loc[got["reviewer_id"] == r, "labelled_at"].median() for r in ("in-vendor1", "all-lena"))
    assert slow - fast == pytest.approx(pd.Timedelta(hours=15), abs=pd.Timedelta(hours=1.5))


def test_duplicates_and_corrections_come_at_their_rates(queue, violating):
    scenario = load_scenario("calm")
    got = answers(scenario, queue, violating, day=START, index=0)
    once = got.drop_duplicates("event_id")
    assert_share(len(got) - len(once), len(once), scenario.answers.duplicate_share)
    assert len(got.drop(columns=["key", "arrives"]).drop_duplicates()) == len(once), "a duplicate differs"
    fixed = once[once["supersedes"].notna()].merge(once, left_on="supersedes", right_on="event_id")
    assert len(fixed) == once["supersedes"].notna().sum() > 100
    assert (fixed["decision_x"] != fixed["decision_y"]).all()
    assert (fixed["labelled_at_x"] > fixed["labelled_at_y"]).all()
    assert (fixed["reviewer_id_x"] == fixed["reviewer_id_y"]).all()
    assert_share(once["sample_id"].isna().sum(), len(once), scenario.answers.without_sample_id_share)


def test_an_answer_does_not_hang_on_the_rest_of_the_queue(queue, violating):
    scenario = load_scenario("calm")
    whole = answers(scenario, queue, violating, day=START, index=0)
    some = np.arange(len(queue)) % 7 == 0
    part = answers(scenario, queue[some].reset_index(drop=True), violating[some], day=START, index=0)
    same = whole[whole["video_id"].isin(part["video_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, same)


def test_golden_labels_are_true_and_few(queue, violating):
    got = golden(load_scenario("calm"), queue, violating)
    truth = dict(zip(queue["video_id"], violating, strict=True))
    assert list(got.columns) == list(TABLES["golden_labels"].column_names)
    assert (got["violating"] == got["video_id"].map(truth)).all()
    assert_share(len(got), len(queue), 0.05)


def classify(row: dict[str, str | None] | None, arrived: date, queued: set[tuple[int, str]]) -> str:
    """What is wrong with a label row, judged from outside."""
    if row is None:
        return "unreadable"
    needed = [name for name in COLUMNS if name not in ("sample_id", "supersedes")]
    if any(not row.get(name) for name in needed):
        return "missing_field"
    if row["decision"] not in ("violating", "not_violating", "unsure"):
        return "unknown_decision"
    if str(row["labelled_at"])[:10] > str(arrived):
        return "future_date"
    if (int(str(row["video_id"])), str(row["policy"])) not in queued:
        return "never_sampled"
    return "good"


def test_every_kind_of_garbage_arrives_and_good_rows_outweigh_it(site):
    home = site(videos_per_day=9000)
    queued: set[tuple[int, str]] = set()
    kinds: dict[str, int] = {}
    for index in range(4):
        landed = home.land(index)
        folder = home.folder("reviewer_labels", index)
        file = folder / "labels.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []  # nothing arrives on the first day
        n = len(lines)
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            kind = classify(row, home.day(index), queued)
            kinds[kind] = kinds.get(kind, 0) + 1
            if kind == "good":
                assert list(row) == COLUMNS
        if (folder / "vendor.csv").exists():
            with (folder / "vendor.csv").open() as file:
                reader = csv.DictReader(file)
                assert reader.fieldnames == COLUMNS
                rows = list(reader)
            n += len(rows)
            assert {r["reviewer_id"] for r in rows if r["reviewer_id"]} <= {"br-vendor1", "in-vendor1"}
            assert "good" in {classify(r, home.day(index), queued) for r in rows}
        assert landed.rows["reviewer_labels"] == n
        queue = home.export_queue(index, every=10)
        queued |= set(zip(queue["video_id"], queue["policy"], strict=True))
    bad = sum(count for kind, count in kinds.items() if kind != "good")
    assert set(kinds) == {
        "good",
        "unreadable",
        "missing_field",
        "unknown_decision",
        "future_date",
        "never_sampled",
    }
    assert 0.005 < bad / kinds["good"] < 0.03


def test_a_queue_that_cannot_be_used_is_refused_by_name(tmp_path):
    scenario = load_scenario("calm")
    path = tmp_path / "queue_BR.csv"
    header = "sample_id,video_id,policy,market,guideline_version,overlap\n"
    for text, message in (
        ("sample_id,video_id\na,1\n", r"queue_BR\.csv: no column policy, market"),
        (header + "a,1,violence,BR,1,1\nb,2,spam,BR,1,1\n", r"line 3: unknown policy spam; allowed: violence"),
        (header + "a,x,violence,BR,1,1\n", r"queue_BR\.csv: .*'x'"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_queue(path, scenario)


def test_a_queued_video_that_does_not_exist_is_refused(site):
    home = site()
    home.land(0)
    queue = home.export_queue(0)
    queue.loc[queue.index[0], "video_id"] += 1
    queue.to_csv(home.root / "queue" / f"ds={home.day(0)}" / "queue_BR.csv", index=False)
    with pytest.raises(ValueError, match="is no video of this platform"):
        home.platform.land_day(START + timedelta(days=1))


def test_what_looks_otherwise_deceives_and_what_violates_leaves_more_of_them_unsure(queue, violating):
    scenario = load_scenario("hard_to_judge")
    hard = np.arange(len(queue)) % 2 == 0
    got = effective(answers(scenario, queue, violating, hard, day=START, index=0))
    truth = dict(zip(queue["video_id"], zip(violating, hard, strict=True), strict=True))
    got[["violating", "hard"]] = [truth[video] for video in got["video_id"]]
    for reviewer, spec in scenario.reviewers.items():
        own = got[got["reviewer_id"] == reviewer]
        for violates, unsure_share in ((True, spec.unsure_share_violating), (False, spec.unsure_share)):
            part = own[own["violating"] == violates]
            assert unsure_share is not None
            assert_share(int((part["decision"] == "unsure").sum()), len(part), unsure_share)
            sure = part[part["decision"] != "unsure"]
            right = sure["decision"] == ("violating" if violates else "not_violating")
            share = spec.sensitivity if violates else spec.specificity
            for deceptive in (True, False):
                of_kind = right[sure["hard"] == deceptive]
                assert_share(int(of_kind.sum()), len(of_kind), share * (1 - spec.deceived_share * deceptive))


def test_disputes_are_the_videos_reviewers_disagree_about(queue, violating):
    scenario = load_scenario("calm")
    events = answers(scenario, queue, violating, day=START, index=0)
    found = set(disputed(queue, events)["video_id"])
    by_video = events[events["decision"] != "unsure"].groupby("video_id")["decision"]
    assert found == {video for video, decisions in by_video if len(set(decisions)) == 2}
    assert 50 < len(found) < len(queue) // 10
