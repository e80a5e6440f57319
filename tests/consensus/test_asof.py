from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.config.model import Config
from include.consensus.asof import answers_that_count, arrived_late, cast_votes, consensus_asof, votes_asof
from include.consensus.reviewers import reviewer_quality
from include.contract.schema import arrow_schema, empty_frame
from include.contract.tables import TABLES
from include.evidence.golden import usable_golden
from include.labels.drops import read_drops
from include.labels.ingest import ingest

CONFIG = load_config()
SAMPLED = dt.date(2026, 1, 5)
DAYS = [SAMPLED + dt.timedelta(days=n) for n in range(1, 8)]


def with_method(method: str) -> Config:
    policies = {name: policy.model_copy(update={"consensus": method}) for name, policy in CONFIG.policies.items()}
    return CONFIG.model_copy(update={"policies": policies})


MAJORITY = with_method("majority")


def events_of(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {
        "video_id": 1,
        "policy": "violence",
        "reviewer_id": "anna",
        "decision": "violating",
        "labelled_at": "2026-01-06T10:00:00Z",
        "guideline_version": "2026-1",
        "sample_id": None,
        "supersedes": None,
        "programme": "audit",
        "sampled_on": SAMPLED,
        "source_file": "a.jsonl",
        "ds": DAYS[0],
    }
    named = [{**base, "event_id": f"e{n}", "source_line": n, **row} for n, row in enumerate(rows, start=1)]
    schema = empty_frame(TABLES["label_events"])
    frame = pd.DataFrame(named, columns=[*schema.columns, "ds"])
    frame["labelled_at"] = pd.to_datetime(frame["labelled_at"], utc=True)
    return frame.astype(schema.dtypes.to_dict())


def decisions(*rows: dict[str, Any], day: dt.date = DAYS[0], config: Config = CONFIG) -> list[tuple[str, str]]:
    found = votes_asof(events_of(*rows), day=day, config=config)
    return list(zip(found["reviewer_id"], found["decision"], strict=True))


def test_what_arrived_later_is_not_seen():
    rows: list[dict[str, Any]] = [{}, {"reviewer_id": "ben", "ds": DAYS[1]}]
    assert decisions(*rows) == [("anna", "violating")]
    assert decisions(*rows, day=DAYS[1]) == [("anna", "violating"), ("ben", "violating")]


def test_the_second_answer_replaces_the_first_by_time_then_event_id():
    later = {"decision": "not_violating", "labelled_at": "2026-01-06T11:00:00Z"}
    assert decisions({}, later) == decisions(later, {}) == [("anna", "not_violating")]
    assert decisions({"event_id": "b"}, {"event_id": "a", "decision": "unsure"}) == [("anna", "violating")]
    assert decisions({}, {**later, "decision": "unsure"}) == [("anna", "unsure")]


def test_answers_on_other_videos_and_policies_stand_apart():
    assert len(decisions({}, {"video_id": 2}, {"policy": "fraud"}, {"reviewer_id": "ben"})) == 4


GOLDEN_DRAW: dict[str, Any] = {
    "programme": "golden",
    "sampled_on": DAYS[2],
    "ds": DAYS[3],
    "labelled_at": "2026-01-09T10:00:00Z",
    "decision": "not_violating",
}


def test_an_answer_to_a_golden_draw_is_for_grading_alone():
    events = events_of({}, {"reviewer_id": "ben"}, GOLDEN_DRAW, {**GOLDEN_DRAW, "video_id": 2})
    answers = votes_asof(events, day=DAYS[3], config=CONFIG)
    assert list(zip(answers["video_id"], answers["reviewer_id"], answers["purpose"], strict=True)) == [
        (1, "anna", "estimation"),
        (1, "anna", "golden"),
        (1, "ben", "estimation"),
        (2, "anna", "golden"),
    ]
    assert len(cast_votes(answers)) == 4
    graded = reviewer_quality(
        cast_votes(answers), golden=usable_golden(golden_of((1, "violence", True, "2026-1")), CONFIG)
    )
    (anna,) = graded[(graded["reviewer_id"] == "anna") & (graded["basis"] == "golden")].to_dict("records")
    assert (anna["golden_labels"], anna["sensitivity"]) == (2, 0.5)
    found = consensus_asof(events, None, day=DAYS[3], config=MAJORITY)
    assert list(found["video_id"]) == [1]
    assert (found["p_violating"][0], found["votes"][0], found["sampled_on"][0]) == (1.0, 2, SAMPLED)


def test_a_draw_for_training_does_not_displace_the_one_an_estimate_rests_on():
    training = {**GOLDEN_DRAW, "programme": "training"}
    prevalence = {"programme": "prevalence", "reviewer_id": "ben", "decision": "not_violating"}
    alone = consensus_asof(events_of(training), None, day=DAYS[3], config=MAJORITY)
    assert (alone["p_violating"][0], alone["sampled_on"][0]) == (0.0, DAYS[2])
    both = consensus_asof(events_of({}, prevalence, training), None, day=DAYS[3], config=MAJORITY)
    assert (both["p_violating"][0], both["votes"][0], both["sampled_on"][0]) == (0.5, 2, SAMPLED)
    unsure = events_of({"decision": "unsure"}, training)
    (row,) = consensus_asof(unsure, None, day=DAYS[3], config=MAJORITY).to_dict("records")
    assert (pd.isna(row["p_violating"]), row["votes"], row["unsure"], row["sampled_on"]) == (True, 0, 1, SAMPLED)
    assert answers_that_count(votes_asof(unsure, day=DAYS[3], config=CONFIG))["decision"].tolist() == ["unsure"]


def test_audit_and_prevalence_ask_the_same_question():
    again = {"programme": "prevalence", "decision": "unsure", "labelled_at": "2026-01-06T11:00:00Z"}
    assert decisions({}, again) == [("anna", "unsure")]


def test_superseded_events_drop_out_whichever_arrived_first():
    correction = {"event_id": "c", "supersedes": "e2", "reviewer_id": "lead", "decision": "not_violating"}
    assert decisions({"event_id": "e2"}, correction) == [("lead", "not_violating")]
    late_original = {"event_id": "e2", "ds": DAYS[1]}
    assert decisions(correction, late_original, day=DAYS[1]) == [("lead", "not_violating")]
    assert decisions({"event_id": "e2"}, {**correction, "ds": DAYS[1]}) == [("anna", "violating")]
    assert decisions({"event_id": "a", "supersedes": "b"}, {"event_id": "b", "supersedes": "a"}) == []
    chain = {"event_id": "d", "supersedes": "c", "reviewer_id": "head", "decision": "unsure"}
    assert decisions({"event_id": "e2"}, correction, chain) == [("head", "unsure")]


def test_a_final_answer_does_not_change():
    maturity = CONFIG.policies["violence"].maturity_days
    last, after = DAYS[maturity - 1], DAYS[maturity]
    rows: list[dict[str, Any]] = [{}, {"reviewer_id": "ben", "ds": last}, {"reviewer_id": "cem", "ds": after}]
    assert decisions(*rows, day=DAYS[-1]) == [("anna", "violating"), ("ben", "violating")]
    assert list(arrived_late(events_of(*rows), CONFIG)) == [False, False, True]
    correction = {"supersedes": "e1", "ds": after, "decision": "not_violating"}
    assert decisions({}, correction, day=DAYS[-1]) == [("anna", "violating")]
    elsewhere = {**correction, "video_id": 2, "sampled_on": DAYS[2]}
    assert decisions({}, elsewhere, day=DAYS[-1]) == [("anna", "violating"), ("anna", "not_violating")]
    in_time = {**elsewhere, "ds": last}
    assert decisions({}, in_time, day=DAYS[-1]) == [("anna", "not_violating")]


def test_other_guidelines_and_dropped_policies_are_left_out():
    assert decisions({"guideline_version": "2025-1"}, {"policy": "retired", "reviewer_id": "ben"}) == []


def test_one_event_per_id_even_if_a_backfill_accepted_it_twice():
    twice = {"event_id": "x", "ds": DAYS[1], "decision": "unsure"}, {"event_id": "x"}
    assert decisions(*twice, day=DAYS[1]) == [("anna", "violating")]


def test_consensus_row():
    events = events_of(
        {},
        {"reviewer_id": "ben"},
        {"reviewer_id": "cem", "decision": "not_violating"},
        {"reviewer_id": "dora", "decision": "unsure", "sampled_on": DAYS[0], "labelled_at": "2026-01-07T10:00:00Z"},
        {"video_id": 2, "decision": "unsure"},
        {"video_id": 2, "policy": "fraud"},
    )
    found = consensus_asof(events, None, day=DAYS[0], config=MAJORITY)
    pd.testing.assert_series_equal(found.dtypes, empty_frame(TABLES["label_consensus"]).dtypes)
    expected = [
        (1, "violence", 1.0, 3, 1, 1 / 3, "provisional", "majority", "sample", DAYS[0], None),
        (2, "fraud", 1.0, 1, 0, None, "provisional", "majority", "sample", SAMPLED, None),
        (2, "violence", None, 0, 1, None, "provisional", "majority", "sample", SAMPLED, None),
    ]
    got = found.astype(object).where(found.notna(), None)
    assert [pytest.approx(tuple(row)) for row in got.itertuples(index=False)] == expected
    import pyarrow as pa

    schema = arrow_schema(TABLES["label_consensus"])
    table = pa.Table.from_pandas(found, schema=schema, preserve_index=False)
    assert {name: table[name].null_count for name in ("p_violating", "agreement", "settled")} == {
        "p_violating": 1,
        "agreement": 2,
        "settled": 3,
    }


LOOK: dict[str, Any] = {**GOLDEN_DRAW, "programme": "second_look", "reviewer_id": "expert"}


def test_experts_settle_beside_the_consensus_and_grade_nobody():
    events = events_of(
        {"decision": "not_violating"},
        {**LOOK, "decision": "violating"},
        {"video_id": 2},
        {**LOOK, "video_id": 2, "decision": "unsure"},
        {"video_id": 3},
        {**LOOK, "video_id": 3},
        {**LOOK, "video_id": 3, "reviewer_id": "other", "decision": "violating"},  # experts disagree
        {"video_id": 4, "decision": "unsure"},
        {**LOOK, "video_id": 4},
        {**LOOK, "video_id": 5},  # nobody else answered
    )
    found = consensus_asof(events, None, day=DAYS[3], config=MAJORITY).set_index("video_id")
    assert found["settled"].astype(object).where(found["settled"].notna(), None).to_dict() == {
        1: "violating",
        2: None,
        3: None,
        4: "not_violating",
    }
    assert found["p_violating"].astype(object).where(found["p_violating"].notna(), None).to_dict() == {
        1: 0.0,
        2: 1.0,
        3: 1.0,
        4: None,
    }
    assert (found["votes"].tolist(), set(found["sampled_on"])) == ([1, 1, 1, 0], {SAMPLED})
    assert set(cast_votes(votes_asof(events, day=DAYS[3], config=CONFIG))["reviewer"]) == {"anna"}
    before = consensus_asof(events, None, day=DAYS[2], config=MAJORITY)
    assert before["settled"].isna().all()  # the experts' answers had not arrived


def test_status_turns_final_with_the_maturity_window():
    maturity = CONFIG.policies["violence"].maturity_days
    for day, status in ((DAYS[maturity - 2], "provisional"), (DAYS[maturity - 1], "final"), (DAYS[-1], "final")):
        assert list(consensus_asof(events_of({}), None, day=day, config=CONFIG)["status"]) == [status]


def test_only_unsure_answers_and_no_events_at_all():
    found = consensus_asof(events_of(), None, day=DAYS[0], config=CONFIG)
    pd.testing.assert_frame_equal(found, empty_frame(TABLES["label_consensus"]))
    for method in ("majority", "one_coin", "dawid_skene"):
        found = consensus_asof(events_of({"decision": "unsure"}), None, day=DAYS[0], config=with_method(method))
        assert (found["p_violating"].isna().tolist(), found["unsure"].tolist()) == ([True], [1])


@pytest.mark.parametrize("method", ["majority", "one_coin", "dawid_skene"])
def test_one_reviewer_who_labels_everything(method):
    rows = [{"video_id": v, "decision": "violating" if v % 10 == 0 else "not_violating"} for v in range(200)]
    found = consensus_asof(events_of(*rows), None, day=DAYS[0], config=with_method(method))
    assert list(found["p_violating"] > 0.5) == [v % 10 == 0 for v in range(200)]
    assert found["agreement"].isna().all()
    (anna,) = reviewer_quality(cast_votes(votes_asof(events_of(*rows), day=DAYS[0], config=CONFIG))).to_dict("records")
    assert (anna["labels"], anna["golden_labels"]) == (200, 0)
    assert np.isnan(anna["sensitivity"])  # nobody to compare with


def golden_of(*rows: tuple[int, str, bool, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["video_id", "policy", "violating", "guideline_version"])


def test_golden_labels_that_contradict_each_other_are_no_golden_labels():
    golden = golden_of(
        (2, "violence", True, "2026-1"),
        (1, "violence", True, "2026-1"),
        (1, "violence", True, "2026-1"),
        (2, "violence", False, "2026-1"),
        (3, "violence", True, "2025-1"),
        (4, "retired", True, "2026-1"),
        (2, "fraud", False, "2026-1"),
    )
    usable = usable_golden(golden, CONFIG)
    assert usable is not None
    assert list(usable.itertuples(index=False, name=None)) == [("fraud", 2, False), ("violence", 1, True)]


def test_golden_labels_reach_the_consensus():
    """A reviewer shown wrong on golden videos weighs less where he disagrees with one shown right."""
    rows = [
        {"video_id": v, "reviewer_id": who, "decision": "violating" if (v % 2 == 0) == right else "not_violating"}
        for v in range(40)
        for who, right in (("good", True), ("bad", False))
    ]
    golden = golden_of(*[(v, "violence", v % 2 == 0, "2026-1") for v in range(30)])
    found = consensus_asof(events_of(*rows), golden, day=DAYS[0], config=with_method("dawid_skene"))
    assert list(found["p_violating"].iloc[30:] > 0.5) == [v % 2 == 0 for v in range(30, 40)]


# A messy week: late, repeated, conflicting, correcting, unsure and broken, in three formats.

SAMPLE = pd.DataFrame(
    [
        (10**18 + v, policy, "BR", f"s-{v}-{policy}-{day}", SAMPLED + dt.timedelta(days=day))
        for day in range(5)
        for v in range(day * 6, day * 6 + 10)
        for policy in ("violence", "fraud")
    ],
    columns=["video_id", "policy", "market", "sample_id", "ds"],
).assign(programme="audit")


@pytest.fixture(scope="module")
def week(tmp_path_factory) -> Path:
    rng = np.random.default_rng(4)
    landing = tmp_path_factory.mktemp("landing")
    sent: list[dict[str, Any]] = []
    for day in DAYS:
        batch: list[dict[str, Any]] = []
        for n in range(40):
            labelled_on = day - dt.timedelta(days=int(rng.integers(0, 5)))
            event: dict[str, Any] = {
                "event_id": f"{day}-{n}",
                "video_id": 10**18 + int(rng.integers(0, 36)),
                "policy": str(rng.choice(["violence", "fraud", "nudity"], p=[0.5, 0.45, 0.05])),
                "reviewer_id": f"r{rng.integers(0, 5)}",
                "decision": str(rng.choice(["violating", "not_violating", "unsure"])),
                "labelled_at": f"{labelled_on}T{rng.integers(0, 24):02d}:00:00Z",
                "guideline_version": "2026-1",
                "sample_id": None,
                "supersedes": sent[rng.integers(0, len(sent))]["event_id"] if sent and rng.random() < 0.15 else None,
            }
            if sent and rng.random() < 0.1:
                event = sent[rng.integers(0, len(sent))] | ({"decision": "unsure"} if rng.random() < 0.5 else {})
            batch.append(event)
            sent.append(event)
        folder = landing / str(day)
        folder.mkdir()
        lines = [json.dumps(event) for event in batch[:15]]
        (folder / "a.jsonl").write_text("\n".join([*lines, lines[0], '{"event_id": "cut of'[:18]]))
        pd.DataFrame(batch[15:30]).to_csv(folder / "b.csv", sep=";", index=False)
        pd.DataFrame(batch[30:]).to_parquet(folder / "c.parquet")
    return landing


Store = dict[dt.date, pd.DataFrame]


def span(store: Store) -> pd.DataFrame:
    frames = [frame.assign(ds=day) for day, frame in sorted(store.items())]
    return pd.concat([events_of(), *frames], ignore_index=True)


def ingest_day(landing: Path, store: Store, day: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    raw, refused = read_drops(landing / str(day))
    found = ingest(raw, refused, day=day, sample=SAMPLE, prior_events=span(store), config=CONFIG)
    assert len(found.events) + len(found.rejects) == found.read
    return found.events, found.rejects


def run_week(landing: Path, order: list[dt.date]) -> Store:
    store: Store = {}
    for day in order:
        store[day] = ingest_day(landing, store, day)[0]
    return store


def all_consensus(store: Store) -> list[pd.DataFrame]:
    return [consensus_asof(span(store), None, day=day, config=CONFIG) for day in DAYS]


@pytest.fixture(scope="module")
def straight(week) -> Store:
    return run_week(week, DAYS)


def test_any_order_of_backfill_gives_the_same_consensus(week, straight):
    expected = all_consensus(straight)
    assert all(len(frame) for frame in expected)
    assert any(set(frame["status"]) == {"provisional", "final"} for frame in expected)
    store = run_week(week, [DAYS[i] for i in (3, 0, 6, 2, 5, 1, 4)])
    assert any(len(store[day]) > len(straight[day]) for day in DAYS)  # repeats of days not yet there
    for one, other in zip(expected, all_consensus(store), strict=True):
        pd.testing.assert_frame_equal(one, other)
    for day in DAYS:
        store[day] = ingest_day(week, store, day)[0]
        pd.testing.assert_frame_equal(store[day], straight[day])


def test_a_run_killed_and_repeated_ends_like_an_undisturbed_one(week, straight):
    store: Store = {}
    reasons: set[str] = set()
    for day in DAYS:
        ingest_day(week, store, day)  # killed before its partition was stored
        store[day], rejects = ingest_day(week, store, day)
        store[day], again = ingest_day(week, store, day)  # killed after; the day is run again
        pd.testing.assert_frame_equal(store[day], straight[day])
        pd.testing.assert_frame_equal(rejects, again)
        reasons |= set(again["reason"])
    assert {"duplicate_event", "conflicting_event", "unreadable_line", "unknown_policy"} <= reasons


def test_days_once_final_do_not_change(straight):
    """By majority, where a video's answer rests on its own votes alone."""
    found = [consensus_asof(span(straight), None, day=day, config=MAJORITY) for day in DAYS]
    key = ["video_id", "policy", "sampled_on"]
    compared = 0
    for earlier, later in pairwise(found):
        final = earlier[earlier["status"] == "final"].merge(later, on=key, suffixes=("", "_later"))
        pd.testing.assert_series_equal(final["p_violating"], final["p_violating_later"], check_names=False)
        assert (final["votes"] == final["votes_later"]).all()
        compared += len(final)
    assert compared > 0
    assert arrived_late(span(straight), CONFIG).any()


def test_votes_equal_a_plain_reading_of_the_rules(straight):
    columns = [*TABLES["label_events"].column_names, "ds"]
    events: list[dict[str, Any]] = [dict(zip(columns, row, strict=True)) for row in span(straight)[columns].to_numpy()]
    events.sort(key=lambda e: (e["ds"], e["source_file"], e["source_line"]))

    def closes(event: dict[str, Any]) -> dt.date:
        return event["sampled_on"] + dt.timedelta(days=CONFIG.policies[event["policy"]].maturity_days)

    for day in DAYS:
        counted = {e["event_id"]: e for e in reversed(events) if e["ds"] <= day and e["ds"] <= closes(e)}
        gone = {
            e["supersedes"]
            for e in counted.values()
            if e["supersedes"] in counted and e["ds"] <= closes(counted[e["supersedes"]])
        }
        stands: dict[tuple[str, int, str], str] = {}
        for event in sorted(counted.values(), key=lambda e: (e["labelled_at"], e["event_id"])):
            if event["event_id"] not in gone:
                stands[event["policy"], event["video_id"], event["reviewer_id"]] = event["decision"]
        found = votes_asof(span(straight), day=day, config=CONFIG)
        rows = found[["policy", "video_id", "reviewer_id", "decision"]].itertuples(index=False, name=None)
        assert list(rows) == [(*key, stands[key]) for key in sorted(stands)]
        cast = cast_votes(found)
        assert len(cast) == sum(d != "unsure" for d in stands.values())
        assert cast["violating"].sum() == sum(d == "violating" for d in stands.values())
