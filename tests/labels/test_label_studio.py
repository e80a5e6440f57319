"""Label Studio's exports as drops. The fixtures have the shape of the tool's own, as its converter writes them."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from include.config.load import load_config
from include.consensus.asof import votes_asof
from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.contract.terms import Reason
from include.labels import stage
from include.labels.drops import FIELDS, read_drops
from include.project import Project, open_project
from include.sampling.label_studio import labelling_configuration, tasks
from include.sampling.queue import review_queue
from tests.places import settings_in

FIXTURES = Path(__file__).with_name("label_studio")
CONFIG = load_config()
EVENTS = [
    {
        "event_id": f"label-studio:{number}:{when}",
        "video_id": "7500000000000000001",
        "policy": "fraud",
        "reviewer_id": who,
        "decision": decision,
        "labelled_at": when,
        "guideline_version": "2026-1",
        "sample_id": "8c1f7a5bd0e24b3c9a6d1e02",
        "supersedes": None,
    }
    for number, who, decision, when in (
        (18047, "ana@reviewers.test", "violating", "2026-11-04T12:09:16.789563Z"),
        (18048, "15", "unsure", "2026-11-04T13:02:11.500000Z"),
    )
]


def read(folder: Path, name: str, content: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    (folder / name).write_text(content, encoding="utf-8")
    return read_drops(folder)


def fields(raw: pd.DataFrame) -> list[dict[Any, Any]]:
    rows = raw.sort_values("event_id")[list(FIELDS)].astype(object)
    return rows.where(rows.notna(), None).to_dict("records")


@pytest.mark.parametrize("name", ["export.json", "export_min.json", "export.csv"])
def test_all_three_formats_give_the_same_events(name: str, tmp_path: Path) -> None:
    shutil.copy(FIXTURES / name, tmp_path)
    raw, refused = read_drops(tmp_path)
    assert fields(raw) == EVENTS
    skipped = [(Reason.SKIPPED_ANNOTATION.value, 3)] if name == "export.json" else []  # the others leave it out
    assert list(refused[["reason", "source_line"]].itertuples(index=False, name=None)) == skipped


def task(annotation: dict[str, Any], **data: str) -> dict[str, Any]:
    given = {"video_id": "1", "policy": "fraud", "guideline_version": "2026-1", "sample_id": "s"}
    return {"id": 1, "data": given | data, "annotations": [annotation]}


def annotation(*choices: str, **changes: Any) -> dict[str, Any]:
    results = [{"type": "choices", "from_name": "decision", "to_name": "video", "value": {"choices": list(choices)}}]
    times = {"created_at": "2026-11-04T12:00:00Z", "updated_at": "2026-11-04T12:00:01Z"}
    return {"id": 7, "completed_by": 3, "result": results, "was_cancelled": False, **times} | changes


@pytest.mark.parametrize(
    ("given", "column", "value"),
    [
        (annotation("violating", "unsure"), "decision", "violating and unsure"),  # refused as unknown_decision
        (annotation("violating", result=[]), "decision", None),  # as missing_field
        (annotation("violating", result=None), "decision", None),
        (annotation("violating", completed_by=None), "reviewer_id", None),
        (annotation("violating", completed_by={"id": 3, "email": ""}), "reviewer_id", "3"),
        (annotation("violating", updated_at=None), "labelled_at", "2026-11-04T12:00:00Z"),
        (annotation("violating", updated_at=None, created_at=None), "event_id", None),
        (annotation("violating", id="1001"), "event_id", "label-studio:1001:2026-11-04T12:00:01Z"),
        (annotation(result=[{"type": "textarea", "from_name": "why", "value": {"text": ["?"]}}]), "decision", None),
        (annotation("violating", updated_by=3), "reviewer_id", "3"),
        (annotation("violating", updated_by=4), "reviewer_id", "4"),
        (annotation("violating", updated_by=4, created_username=" ana@x.test, 3"), "reviewer_id", "4"),
        (annotation("violating", updated_by=3, created_username=" ana@x.test, 3"), "reviewer_id", "ana@x.test"),
        (annotation("violating", updated_by={"id": 4, "email": "lead@x.test"}), "reviewer_id", "lead@x.test"),
        (
            annotation("violating", completed_by={"id": 3, "email": "ana@x.test"}, updated_by=3),
            "reviewer_id",
            "ana@x.test",
        ),
    ],
)
def test_what_is_missing_stays_missing(given: dict[str, Any], column: str, value: str | None, tmp_path: Path) -> None:
    raw, refused = read(tmp_path, "a.json", json.dumps(task(given)))  # one task, as target storage has it
    assert refused.empty
    assert fields(raw)[0][column] == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", Reason.EMPTY_FILE),
        ("[{", Reason.UNREADABLE_FILE),
        ("[1]", Reason.UNREADABLE_FILE),
        ('{"hello": "world"}', Reason.UNREADABLE_FILE),
        ('[{"data": {}, "annotations": [3]}]', Reason.UNREADABLE_LINE),
        (json.dumps([task(annotation("violating"), policy="\ud800")]), Reason.WRONG_ENCODING),
        (json.dumps([task(annotation("violating", completed_by=["x"]))]), Reason.WRONG_TYPE),
    ],
)
def test_what_is_no_export_is_refused_by_name(content: str, reason: Reason, tmp_path: Path) -> None:
    raw, refused = read(tmp_path, "a.json", content)
    assert raw.empty
    assert refused["reason"].tolist() == [reason.value]
    refused["raw"].str.encode("utf-8")  # can be stored


@pytest.mark.parametrize("name", ["export.json", "export_min.json"])
def test_what_was_kept_of_an_annotation_can_be_sent_again_as_a_line(name: str, tmp_path: Path) -> None:
    shutil.copy(FIXTURES / name, tmp_path)
    raw, refused = read_drops(tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    lines = "".join(f"{line}\n" for line in (*raw["raw"], *refused["raw"]))
    raw_again, refused_again = read(again, "a.jsonl", lines)
    assert fields(raw_again) == EVENTS
    assert refused_again["reason"].tolist() == refused["reason"].tolist()


def test_an_export_that_lacks_the_tasks_data_is_refused_line_by_line(tmp_path: Path) -> None:
    table = (FIXTURES / "export.csv").read_text(encoding="utf-8").replace('"video_id"', '"clip"')
    raw, refused = read(tmp_path, "a.csv", table)
    assert raw.empty
    assert set(refused["reason"]) == {Reason.BAD_COLUMNS.value}
    assert refused["detail"].str.startswith("no column video_id").all()


def test_the_labelling_configuration_asks_for_the_contracts_decisions() -> None:
    view = ElementTree.fromstring(labelling_configuration())
    (choices,), (video,) = view.findall("Choices"), view.findall("Video")
    assert [choice.get("value") for choice in choices] == list(TABLES["reviewer_labels"].column("decision").allowed)
    assert (choices.get("name"), choices.get("toName")) == ("decision", video.get("name"))
    (row,) = json.loads(tasks(queued(draws([5])), SAMPLED))
    shown = [value[1:] for tag in view if (value := tag.get("value", "")).startswith("$")]
    assert shown == ["question", "guideline", "video", "title", "description"]
    assert set(shown) <= set(row["data"])
    assert {tag.get("valueType") for tag in view.findall("Text")} == {"text"}, "an address would be fetched"


def test_the_guideline_is_shown_with_its_link_and_a_title_is_text_whatever_it_says() -> None:
    told = {"guideline_text": "Blood & gore\n\nNot <paint>", "guideline_url": "https://g.test/?a=1&b=2"}
    policies = {name: policy.model_copy(update=told) for name, policy in CONFIG.policies.items()}
    title = '=HYPERLINK("https://x.test","win")<script>alert(1)</script>'
    details = pd.DataFrame({"video_id": draws([5])["video_id"], "title": title, "description": None})
    config = CONFIG.model_copy(update={"policies": policies})
    queue = review_queue(draws([5]), config, answered=NOBODY, details=details)
    (row,) = json.loads(tasks(queue, SAMPLED))
    link = "https://g.test/?a=1&amp;b=2"
    assert row["data"]["guideline"] == (
        "<p>Blood &amp; gore</p><p>Not &lt;paint&gt;</p>"
        f'<p><a href="{link}" target="_blank" rel="noreferrer">{link}</a></p>'
    )
    assert (row["data"]["title"], row["data"]["description"]) == (title, "")
    assert row["data"]["asked_on"] == str(SAMPLED)


def queued(rows: pd.DataFrame) -> pd.DataFrame:
    return review_queue(rows, CONFIG, answered=NOBODY, details=NO_DETAILS)


NO_DETAILS = empty_frame(TABLES["review_details"])


NOBODY = pd.DataFrame(columns=["video_id", "policy", "reviewer_id"])
SAMPLED, DAY = dt.date(2026, 11, 3), dt.date(2026, 11, 4)


def draws(videos: list[int]) -> pd.DataFrame:
    """Golden items among them, which nobody may tell from the others."""
    return pd.DataFrame(
        {
            "sample_id": [f"{video:024x}" for video in videos],
            "design_id": "d",
            "programme": ["golden" if video % 3 == 0 else "audit" for video in videos],
            "video_id": [7_500_000_000_000_000_000 + video for video in videos],
            "policy": "fraud",
            "market": "BR",
            "model_version": "fraud-v2",
            "stratum": "s",
            "region": "review",
            "score": 0.5,
            "views": 1,
            "programme_probability": 1.0,
            "inclusion_probability": [None if video % 3 == 0 else 1.0 for video in videos],
            "permanent_random": 0.1,
            "cluster_id": None,
        }
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = replace(open_project(settings_in(tmp_path)), config=CONFIG)
    passed = _passed("sample", "review_sample")
    project.warehouse.replace("quality_results", SAMPLED, passed, slice_value="sample")
    project.warehouse.replace("review_sample", SAMPLED, draws(list(range(30))))
    return project


def annotate(exported: str) -> list[dict[str, Any]]:
    """What Label Studio would export after two reviewers answered each of the imported tasks."""
    done = []
    for number, imported in enumerate(json.loads(exported), start=1):
        answers = [
            annotation(
                "violating" if (number + who) % 2 else "not_violating",
                id=10 * number + who,
                completed_by={"id": who, "email": f"r{who}@reviewers.test", "first_name": "", "last_name": ""},
                updated_at=f"2026-11-04T10:{number:02}:0{who}.123456Z",
            )
            for who in (1, 2)
        ]
        done.append({"id": number, **imported, "annotations": answers, "drafts": [], "predictions": [], "meta": {}})
    return done


def drop(project: Project, day: dt.date, export: list[dict[str, Any]]) -> int:
    folder = project.settings.landing / "reviewer_labels" / f"ds={day}"
    folder.mkdir(parents=True)
    (folder / "project-1.json").write_text(json.dumps(export), encoding="utf-8")
    return stage.ingest_events(project, day)


def test_round_trip_from_the_queue_to_label_events_and_again(project: Project) -> None:
    queue = queued(project.warehouse.read("review_sample", SAMPLED, SAMPLED))
    exported = tasks(queue, SAMPLED)
    for word in ("golden", "audit", "score", "stratum", "programme", "fraud-v2"):
        assert word not in exported
    export = annotate(exported)
    assert drop(project, DAY, export) == 60
    events = project.warehouse.read("label_events", DAY, DAY)
    assert project.warehouse.read("label_rejects", DAY, DAY).empty
    assert set(events["sample_id"]) == set(draws(list(range(30)))["sample_id"])
    said = {(row["sample_id"], row["reviewer_id"]): row["decision"] for row in events.to_dict("records")}
    for number, sample_id in enumerate(queue["sample_id"], start=1):
        for who in (1, 2):
            expected = "violating" if (number + who) % 2 else "not_violating"
            assert said[sample_id, f"r{who}@reviewers.test"] == expected

    # The next day's export repeats everything; one annotation was changed, one skipped.
    project.warehouse.replace("quality_results", DAY, _passed("labels", "label_events"), slice_value="labels")
    changed = export[0]["annotations"][0]
    changed["result"][0]["value"]["choices"] = ["unsure"]
    changed["updated_at"] = "2026-11-05T09:00:00.000001Z"
    export[1]["annotations"].append(annotation(id=999, completed_by=9, result=[], was_cancelled=True))
    after = DAY + dt.timedelta(days=1)
    assert drop(project, after, export) == 61
    stage.gate_labels(project, after, 61)  # does not stop: repeats are no mistakes
    refused = project.warehouse.read("label_rejects", after, after)["reason"].value_counts().to_dict()
    assert refused == {"duplicate_event": 59, "skipped_annotation": 1}
    everything = project.warehouse.read("label_events", DAY, after)
    standing = votes_asof(everything, day=after, config=CONFIG)
    assert len(standing) == 60
    assert (standing["decision"] == "unsure").sum() == 1


def test_a_leads_correction_takes_the_place_of_the_annotators_answer_whichever_way_it_comes(project: Project) -> None:
    queue = queued(project.warehouse.read("review_sample", SAMPLED, SAMPLED))
    export = annotate(tasks(queue, SAMPLED))[:2]
    assert drop(project, DAY, export) == 4
    project.warehouse.replace("quality_results", DAY, _passed("labels", "label_events"), slice_value="labels")
    lead = {"id": 9, "email": "lead@reviewers.test"}
    for hour in (9, 10):  # corrected twice
        corrected = export[0]["annotations"][0]
        corrected |= {"updated_by": lead, "updated_at": f"2026-11-05T{hour:02}:00:00.000001Z"}
        corrected["result"][0]["value"]["choices"] = ["unsure"]
        export[0]["annotations"].append(json.loads(json.dumps(corrected)))
    export[0]["annotations"] = export[0]["annotations"][1:]
    after, later = DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=2)
    assert drop(project, after, export) == 5
    first = json.loads(json.dumps(annotate(tasks(queue, SAMPLED))[0]["annotations"][0]))
    events = project.warehouse.read("label_events", after, after)
    assert events["reviewer_id"].tolist() == ["lead@reviewers.test"] * 2
    assert events["supersedes"].tolist() == [f"label-studio:11:{first['updated_at']}", events["event_id"].iloc[0]]
    everything = project.warehouse.read("label_events", DAY, after)
    standing = votes_asof(everything, day=after, config=CONFIG)
    of_task = standing[standing["video_id"] == int(export[0]["data"]["video_id"])]
    assert sorted(of_task["reviewer_id"]) == ["lead@reviewers.test", "r2@reviewers.test"]
    project.warehouse.replace("quality_results", after, _passed("labels", "label_events"), slice_value="labels")
    assert drop(project, later, export) == 5  # exported once more
    refused = project.warehouse.read("label_rejects", later, later)
    assert refused["reason"].tolist() == ["duplicate_event"] * 5


def _passed(gate: str, table: str) -> pd.DataFrame:
    row = {"gate": gate, "table_name": table, "position": 1, "expectation": "holds", "column_name": None}
    return pd.DataFrame([row | {"severity": "critical", "success": True, "observed": ""}])
