from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.load import load_config
from include.config.model import Experts
from include.contract.schema import arrow_schema, empty_frame
from include.contract.tables import TABLES
from include.contract.terms import Reason
from include.labels.drops import FIELDS, RAW_COLUMNS, read_drops
from include.labels.ingest import Ingested, ingest

CONFIG = load_config()
DAY = dt.date(2026, 1, 8)
VIDEO = 2**53 + 1  # the smallest integer a float cannot hold
SAMPLE = pd.DataFrame(
    [
        (VIDEO, "violence", "BR", "s1", dt.date(2026, 1, 4)),
        (VIDEO, "violence", "BR", "s2", dt.date(2026, 1, 6)),
        (VIDEO, "fraud", "BR", "s3", dt.date(2026, 1, 6)),
        (7, "violence", "DE", "s4", dt.date(2026, 1, 6)),
        (-(2**63), "violence", "DE", "s5", dt.date(2026, 1, 6)),
    ],
    columns=["video_id", "policy", "market", "sample_id", "ds"],
).assign(programme="audit")
EVENT: dict[str, Any] = {
    "event_id": "e1",
    "video_id": str(VIDEO),
    "policy": "violence",
    "reviewer_id": "anna",
    "decision": "violating",
    "labelled_at": "2026-01-07T10:00:00Z",
    "guideline_version": "2026-1",
    "sample_id": None,
    "supersedes": None,
}
NO_REJECTS = empty_frame(TABLES["label_rejects"])
NO_EVENTS = empty_frame(TABLES["label_events"]).assign(ds=pd.Series(dtype="object"))


def raw_of(*events: dict[str, Any]) -> pd.DataFrame:
    rows = [
        {**EVENT, "source_file": "a.jsonl", "source_line": n, "raw": json.dumps({**EVENT, **event}), **event}
        for n, event in enumerate(events, start=1)
    ]
    kinds = {name: "int64" if name == "source_line" else "str" for name in RAW_COLUMNS}
    return pd.DataFrame(rows, columns=list(RAW_COLUMNS)).astype(kinds)


def run(*events: dict[str, Any], prior: pd.DataFrame = NO_EVENTS, day: dt.date = DAY) -> Ingested:
    return ingest(raw_of(*events), NO_REJECTS, day=day, sample=SAMPLE, prior_events=prior, config=CONFIG)


def test_an_accepted_event_has_the_columns_and_types_of_the_contract():
    found = run({})
    pd.testing.assert_series_equal(found.events.dtypes, empty_frame(TABLES["label_events"]).dtypes)
    pd.testing.assert_series_equal(found.rejects.dtypes, empty_frame(TABLES["label_rejects"]).dtypes)
    row = found.events.iloc[0]
    assert row["video_id"] == VIDEO
    assert row["labelled_at"] == pd.Timestamp("2026-01-07T10:00:00Z")
    assert row["sampled_on"] == dt.date(2026, 1, 6)
    assert (row["source_file"], row["source_line"]) == ("a.jsonl", 1)
    assert found.read == 1
    import pyarrow as pa

    for frame, table in ((found.events, "label_events"), (found.rejects, "label_rejects")):
        pa.Table.from_pandas(frame, schema=arrow_schema(TABLES[table]), preserve_index=False)


@pytest.mark.parametrize(
    "event",
    [
        {"decision": "unsure"},
        {"video_id": "7,0"},
        {"video_id": "7.0"},
        {"video_id": "+7"},
        {"video_id": str(-(2**63))},
        {"event_id": " e1 ", "policy": "violence "},
        {"labelled_at": "2026-01-08T23:59:59.999999Z"},
        {"labelled_at": "2026-01-09T01:00:00+02:00"},
        {"labelled_at": "2026-01-07 10:00:00,5"},
        {"labelled_at": "2026-01-07 10:00"},
        {"labelled_at": "2026-01-07T10:00:00.123456789Z"},
        {"sample_id": "s1"},
        {"sample_id": "s2"},
        {"supersedes": "never seen"},
    ],
)
def test_accepted(event):
    found = run(event)
    assert len(found.events) == 1, found.rejects.to_dict("records")


@pytest.mark.parametrize(
    ("event", "reason", "shown"),
    [
        *[({name: blank}, Reason.MISSING_FIELD, name) for name in FIELDS[:7] for blank in (None, " ")],
        ({"video_id": "v17"}, Reason.BAD_VIDEO_ID, "'v17'"),
        ({"video_id": "7.5"}, Reason.BAD_VIDEO_ID, "'7.5'"),
        ({"video_id": "7,000"}, Reason.BAD_VIDEO_ID, "'7,000'"),
        ({"video_id": "9.007199254740993e+15"}, Reason.BAD_VIDEO_ID, "e+15"),
        ({"video_id": f"{VIDEO}.0"}, Reason.BAD_VIDEO_ID, f"'{VIDEO}.0'"),
        ({"video_id": str(2**63)}, Reason.BAD_VIDEO_ID, str(2**63)),
        ({"video_id": "٧"}, Reason.BAD_VIDEO_ID, "٧"),
        ({"policy": "Violence"}, Reason.UNKNOWN_POLICY, "'Violence'"),
        ({"decision": "yes"}, Reason.UNKNOWN_DECISION, "'yes'"),
        ({"labelled_at": "2026-01-07"}, Reason.BAD_TIMESTAMP, "'2026-01-07'"),
        ({"labelled_at": "07.01.2026 10:00"}, Reason.BAD_TIMESTAMP, "07.01"),
        ({"labelled_at": "1767780000"}, Reason.BAD_TIMESTAMP, "1767780000"),
        ({"labelled_at": "2026-02-30T10:00:00Z"}, Reason.BAD_TIMESTAMP, "02-30"),
        ({"labelled_at": "2026-01-09T00:00:00Z"}, Reason.LABELLED_IN_FUTURE, "2026-01-09"),
        ({"labelled_at": "9999-12-31T23:59:59Z"}, Reason.LABELLED_IN_FUTURE, "9999"),
        ({"labelled_at": "2026-01-08T23:30:00-01:00"}, Reason.LABELLED_IN_FUTURE, "23:30"),
        ({"guideline_version": "2025-9"}, Reason.OTHER_GUIDELINE, "'2025-9'"),
        ({"supersedes": "e1"}, Reason.SUPERSEDES_ITSELF, "e1"),
        ({"video_id": "8"}, Reason.VIDEO_NOT_SAMPLED, "8 for violence"),
        ({"video_id": str(VIDEO - 1)}, Reason.VIDEO_NOT_SAMPLED, str(VIDEO - 1)),
        ({"policy": "pornography"}, Reason.VIDEO_NOT_SAMPLED, "for pornography"),
        ({"sample_id": "s3"}, Reason.OTHER_SAMPLE, "s3"),
        ({"sample_id": "s9"}, Reason.OTHER_SAMPLE, "s9"),
        ({"labelled_at": "2026-01-04T23:59:59Z"}, Reason.LABELLED_BEFORE_SAMPLED, "2026-01-04"),
    ],
)
def test_refused(event, reason, shown):
    found = run(event, {"event_id": "other"})
    assert list(found.events["event_id"]) == ["other"]
    reject = found.rejects.iloc[0]
    assert (reject["reason"], reject["source_line"]) == (reason, 1)
    assert shown in reject["detail"]
    assert json.loads(reject["raw"]) == {**EVENT, **event}


def test_the_first_rule_that_applies_names_the_refusal():
    worst = {"video_id": "x", "policy": "x", "decision": "x", "labelled_at": "x", "guideline_version": "x"}
    assert list(run({**worst, "reviewer_id": None}, worst).rejects["reason"]) == ["missing_field", "bad_video_id"]


def test_neighbouring_64_bit_ids_stay_apart():
    found = run({"event_id": "a"}, {"event_id": "b", "video_id": str(VIDEO + 1)})
    assert list(found.events["video_id"]) == [VIDEO]
    assert found.rejects["detail"][0].startswith(f"video_id: '{VIDEO + 1}")


@pytest.mark.parametrize(
    ("labelled_at", "sampled_on"),
    [("2026-01-05T00:00:00Z", 4), ("2026-01-06T23:59:59Z", 4), ("2026-01-07T00:00:00Z", 6)],
)
def test_sampled_on_is_the_latest_sample_day_before_the_label(labelled_at, sampled_on):
    assert run({"labelled_at": labelled_at}).events["sampled_on"][0] == dt.date(2026, 1, sampled_on)


PROGRAMMES = pd.DataFrame(
    [
        (1, "audit", "a4", 4),
        (1, "golden", "g6", 6),
        (2, "golden", "g6", 6),
        (2, "training", "t6", 6),
        (3, "training", "t6", 6),
        (3, "prevalence", "p6", 6),
        (4, "prevalence", "p6", 6),
        (4, "audit", "a6", 6),
        (5, "audit", "a4", 4),
        (5, "audit", "a6", 6),
        (6, "audit", "a4", 4),
        (6, "second_look", "s6", 6),
    ],
    columns=["video_id", "programme", "sample_id", "ds"],
).assign(policy="violence", market="BR", ds=lambda rows: [dt.date(2026, 1, day) for day in rows["ds"]])


@pytest.mark.parametrize(
    ("video", "named", "answered"),
    [
        (1, None, ("golden", 6)),  # the latest day holds it for golden alone
        (1, "a4", ("audit", 4)),  # named: the programme that asked
        (1, "g6", ("golden", 6)),
        (2, None, ("training", 6)),
        (2, "g6", ("golden", 6)),
        (3, None, ("prevalence", 6)),
        (4, None, ("audit", 6)),
        (4, "p6", ("prevalence", 6)),
        (5, None, ("audit", 6)),
        (5, "a4", ("audit", 6)),  # the same programme asked again since
        (6, None, ("audit", 4)),  # a second look is answered by its sample_id alone
        (6, "s6", ("second_look", 6)),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_draw_an_event_answers(video, named, answered, reverse):
    raw = raw_of({"video_id": str(video), "sample_id": named})
    sample = PROGRAMMES.iloc[::-1] if reverse else PROGRAMMES
    found = ingest(raw, NO_REJECTS, day=DAY, sample=sample, prior_events=NO_EVENTS, config=CONFIG).events
    assert [(found["programme"][0], found["sampled_on"][0].day)] == [answered]


@pytest.mark.parametrize(("names", "accepted"), [([], True), (["lena", "marco"], True), (["marco"], False)])
def test_only_the_experts_a_market_names_take_a_second_look(names, accepted):
    market = CONFIG.markets["BR"].model_copy(update={"experts": Experts(minutes=60, names=names)})
    config = CONFIG.model_copy(update={"markets": {**CONFIG.markets, "BR": market}})
    raw = raw_of(
        {"event_id": "look", "video_id": "6", "sample_id": "s6", "reviewer_id": "lena"},
        {"event_id": "vote", "video_id": "6", "sample_id": "a4", "reviewer_id": "lena"},
    )
    found = ingest(raw, NO_REJECTS, day=DAY, sample=PROGRAMMES, prior_events=NO_EVENTS, config=config)
    assert found.events["event_id"].tolist() == (["look", "vote"] if accepted else ["vote"])
    refused = found.rejects[["reason", "detail"]].to_numpy().tolist()
    assert refused == ([] if accepted else [["not_an_expert", "reviewer_id: 'lena'"]])


def in_file(name: str, *events: dict[str, Any]) -> pd.DataFrame:
    return raw_of(*events).assign(source_file=name)


def judged(*files: pd.DataFrame, refused: pd.DataFrame = NO_REJECTS) -> Ingested:
    raw = pd.concat(files, ignore_index=True)
    return ingest(raw, refused, day=DAY, sample=SAMPLE, prior_events=NO_EVENTS, config=CONFIG)


def many(good: int, bad: int, start: int = 0) -> list[dict[str, Any]]:
    """Events, the bad ones first."""
    return [{"event_id": f"e{start + n}", **({"decision": "x"} if n < bad else {})} for n in range(good + bad)]


@pytest.mark.parametrize(("good", "bad", "believed"), [(16, 4, 16), (15, 5, 0), (1, 18, 1), (1, 19, 0), (0, 20, 0)])
def test_a_file_that_is_mostly_garbage_is_set_aside_as_a_whole(good, bad, believed):
    found = judged(in_file("bad.jsonl", *many(good, bad)), in_file("good.jsonl", {"event_id": "good"}))
    assert (found.events["source_file"] == "bad.jsonl").sum() == believed
    assert (found.events["source_file"] == "good.jsonl").sum() == 1
    aside = found.rejects[found.rejects["reason"] == Reason.MOSTLY_GARBAGE]
    assert len(aside) == good - believed
    assert (found.rejects["reason"] == Reason.UNKNOWN_DECISION).sum() == bad
    expected = f"bad.jsonl: \"{bad} of {good + bad} refused, the first as unknown_decision, decision: 'x'\""
    assert set(aside["detail"]) <= {expected}
    assert all(json.loads(raw)["event_id"] for raw in aside["raw"])


def test_lines_that_could_not_be_read_count_towards_garbage():
    refused = in_file("bad.jsonl", *[{}] * 30).assign(reason="unreadable_line", detail="not JSON")
    refused["source_line"] += 100
    found = judged(in_file("bad.jsonl", {}), refused=refused[list(NO_REJECTS.columns)])
    assert found.events.empty
    assert found.rejects["reason"].value_counts().to_dict() == {"unreadable_line": 30, "mostly_garbage": 1}
    assert found.read == 31


def test_an_export_full_of_skipped_annotations_is_no_garbage():
    refused = in_file("tool.json", *[{}] * 30).assign(reason="skipped_annotation", detail="skipped")
    refused["source_line"] += 100
    assert len(judged(in_file("tool.json", {}), refused=refused[list(NO_REJECTS.columns)]).events) == 1


def test_a_repeated_file_is_no_garbage_and_garbage_takes_no_ids():
    bad, good = in_file("a.jsonl", *many(5, 20)), in_file("b.jsonl", *many(25, 0))
    found = judged(bad, good, in_file("c.jsonl", *many(25, 0)))
    assert set(found.events["source_file"]) == {"b.jsonl"}
    assert len(found.events) == 25
    repeats = found.rejects[found.rejects["source_file"] == "c.jsonl"]
    assert set(repeats["reason"]) == {"duplicate_event"}


def test_repeats_and_conflicts_within_a_day():
    found = run({}, {}, {"decision": "unsure"}, {"labelled_at": "2026-01-07T12:00:00+02:00"}, {"event_id": "e2"})
    assert list(found.events["source_line"]) == [1, 5]
    assert list(found.rejects["reason"]) == ["duplicate_event", "conflicting_event", "duplicate_event"]


def test_the_first_in_file_order_stands_whatever_the_order_of_rows():
    raw = raw_of({}, {"decision": "unsure"})
    raw["source_file"] = ["b.jsonl", "a.jsonl"]
    found = ingest(raw, NO_REJECTS, day=DAY, sample=SAMPLE, prior_events=NO_EVENTS, config=CONFIG)
    assert list(found.events["decision"]) == ["unsure"]
    assert list(found.rejects["source_file"]) == ["b.jsonl"]


def test_repeats_of_earlier_days_are_refused_and_reruns_are_not():
    prior = run({}, day=dt.date(2026, 1, 7)).events
    again = {"event_id": "e1"}, {"decision": "unsure"}
    found = run(*again, prior=prior.assign(ds=dt.date(2026, 1, 7)))
    assert list(found.rejects["reason"]) == ["duplicate_event", "conflicting_event"]
    rerun = run(*again, prior=prior.assign(ds=DAY))
    assert list(rerun.events["decision"]) == ["violating"]


def test_a_refused_event_does_not_take_its_id():
    found = run({"policy": "nudity"}, {})
    assert list(found.events["event_id"]) == ["e1"]
    assert list(found.rejects["reason"]) == ["unknown_policy"]


def test_what_could_not_be_read_is_kept_in_order(tmp_path):
    lines = ["{", json.dumps({**EVENT, "policy": "x"}), json.dumps(EVENT), "]"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    raw, refused = read_drops(tmp_path)
    found = ingest(raw, refused, day=DAY, sample=SAMPLE, prior_events=NO_EVENTS, config=CONFIG)
    assert list(found.rejects["source_line"]) == [1, 2, 4]
    assert list(found.rejects["raw"]) == [lines[0], lines[1], lines[3]]
    assert (len(found.events), found.read) == (1, 4)


def test_prior_events_and_sample_may_come_from_any_reader():
    prior = run({}, day=dt.date(2026, 1, 7)).events.assign(ds=dt.date(2026, 1, 7))
    prior["labelled_at"] = prior["labelled_at"].dt.tz_convert("Asia/Tokyo")
    prior["sampled_on"] = pd.to_datetime(prior["sampled_on"])
    prior = prior.astype(dict.fromkeys(("event_id", "policy", "sample_id", "supersedes"), "object"))
    prior.loc[:, ["sample_id", "supersedes"]] = None
    sample = SAMPLE.astype({"policy": "object", "sample_id": "object"}).assign(ds=pd.to_datetime(SAMPLE["ds"]))
    raw = raw_of({}, {"event_id": "e2", "sample_id": "s2"})
    found = ingest(raw, NO_REJECTS, day=DAY, sample=sample, prior_events=prior, config=CONFIG)
    assert list(found.rejects["reason"]) == ["duplicate_event"]
    assert list(found.events["sampled_on"]) == [dt.date(2026, 1, 6)]


def test_an_empty_day_and_an_empty_sample():
    found = run()
    assert (len(found.events), len(found.rejects), found.read) == (0, 0, 0)
    found = ingest(raw_of({}), NO_REJECTS, day=DAY, sample=SAMPLE.iloc[:0], prior_events=NO_EVENTS, config=CONFIG)
    assert list(found.rejects["reason"]) == ["video_not_sampled"]


ANY_EVENT = st.fixed_dictionaries(
    {},
    optional={
        "event_id": st.sampled_from(["e1", "e2", "", None]),
        "video_id": st.sampled_from([str(VIDEO), "7", "8", "x", "1e3"]) | st.text(max_size=4),
        "policy": st.sampled_from(["violence", "fraud", "nudity", None]),
        "decision": st.sampled_from(["violating", "not_violating", "unsure", "x"]),
        "labelled_at": st.sampled_from(["2026-01-05T10:00:00Z", "2026-01-03T10:00:00Z", "2027-01-01T00:00:00Z", "x"]),
        "guideline_version": st.sampled_from(["2026-1", "2025-1"]),
        "sample_id": st.sampled_from(["s1", "s3", None]),
        "supersedes": st.sampled_from(["e1", "e2", None]),
    },
)


@settings(max_examples=20, deadline=None)
@given(first=st.lists(ANY_EVENT, max_size=8), second=st.lists(ANY_EVENT, max_size=8))
def test_accepted_and_refused_are_what_was_read(first, second):
    earlier = run(*first, day=dt.date(2026, 1, 7))
    prior = earlier.events.assign(ds=dt.date(2026, 1, 7))
    later = run(*second, prior=prior)
    for found, given_events in ((earlier, first), (later, second)):
        assert found.read == len(given_events)
        lines = sorted([*found.events["source_line"], *found.rejects["source_line"]])
        assert lines == list(range(1, len(given_events) + 1))
        assert set(found.rejects["reason"]) <= {reason.value for reason in Reason}
    ids = [*prior["event_id"], *later.events["event_id"]]
    assert len(ids) == len(set(ids))


def test_answers_of_the_review_queue_belong_to_its_own_draw_from_its_own_day_on():
    """Named by the word review_queue, or by there being no other draw; what was not sent there is no fault."""
    queue = SAMPLE.iloc[[1, 3]].assign(
        video_id=[VIDEO, 11], programme="review_queue", sample_id=["q1", "q2"], ds=dt.date(2026, 1, 7)
    )
    sample = pd.concat([SAMPLE, queue], ignore_index=True)

    def judged(*events: dict[str, Any]) -> Ingested:
        raw = raw_of(*({"event_id": f"e{n}", **event} for n, event in enumerate(events)))
        return ingest(raw, NO_REJECTS, day=DAY, sample=sample, prior_events=NO_EVENTS, config=CONFIG)

    later = {"labelled_at": "2026-01-08T09:00:00Z"}
    found = judged(
        {"sample_id": "review_queue"},  # of the seventh, on the seventh
        {"sample_id": "review_queue", **later},
        {"video_id": "11"},  # that nobody else asked about
        {"sample_id": "s2"},
        {"sample_id": "review_queue", "video_id": str(-(2**63))},
        {"sample_id": "review_queue", "video_id": "99"},
        {"sample_id": "review_queue", "labelled_at": "2026-01-06T23:00:00Z"},
        {"video_id": "99"},
    )
    assert found.events["programme"].tolist() == ["review_queue", "review_queue", "review_queue", "audit"]
    assert found.events["sampled_on"].tolist() == [dt.date(2026, 1, 7)] * 3 + [dt.date(2026, 1, 6)]
    assert found.rejects["reason"].tolist() == [
        *[Reason.NOT_SENT_TO_REVIEW] * 2,
        Reason.LABELLED_BEFORE_SAMPLED,
        Reason.VIDEO_NOT_SAMPLED,
    ]
    unnamed = pd.concat([sample, queue.assign(programme="audit", sample_id=["s6", "s7"])], ignore_index=True)
    raw = raw_of(later, {"event_id": "e2", "sample_id": "review_queue", **later})
    both = ingest(raw, NO_REJECTS, day=DAY, sample=unnamed, prior_events=NO_EVENTS, config=CONFIG)
    assert both.events["programme"].tolist() == ["audit", "review_queue"]  # blind unless it says otherwise
