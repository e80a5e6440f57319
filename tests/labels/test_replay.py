from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.declared import declared_settings
from include.contract.tables import TABLES
from include.contract.terms import Reason
from include.labels import stage
from include.labels.drops import FIELDS
from include.labels.replay import main, refused_events
from include.project import Project, open_project
from tests.evidence.test_sample import draw, judged, sampled

DRAWN, DAY, NEXT = date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)
COLUMNS = [*FIELDS[:-2], "note"]
VIDEO = 2**53 + 1


def csv_line(event_id: str, policy: str, video: object = VIDEO, end: str = ";fine") -> str:
    return f"{event_id};{video};{policy};anna;violating;2026-11-03T10:00:00Z;2026-1{end}"


def json_line(event_id: str, decision: str = "unsure") -> str:
    values = [event_id, VIDEO, "fraud", "ben", decision, "2026-11-03T11:00:00Z", "2026-1"]
    return json.dumps(dict(zip(FIELDS, values, strict=False)))


@pytest.fixture
def project(home: Path) -> Project:
    """A day with four drops, ingested: nine refusals, three events accepted."""
    project = open_project(declared_settings())
    sampled(project, DRAWN, draw(VIDEO), draw(VIDEO, "fraud"))
    folder = stage.drop_folder(project.settings, DAY)
    folder.mkdir(parents=True)
    lines = [";".join(COLUMNS), csv_line("c1", "violence"), csv_line("c2", "Violence"), csv_line("c3", "fraud", end="")]
    (folder / "a.csv").write_text("\n".join([*lines, csv_line("c4", "nudity", "v17", ';"two\nlines"')]))
    (folder / "b.jsonl").write_text(
        "\n".join([json_line("j1"), json_line("j1"), json_line("j2", "Yes"), '{"event_id": "j3'])
        + "\n"
        + json_line("j4")
    )
    (folder / "c.parquet").write_bytes(b"PAR1 and no more")
    (folder / "d.csv").write_text("event_id,video\nd1,7\n")
    assert stage.ingest_events(project, DAY) == 12
    judged(project, "labels", DAY, ("critical", True))
    return project


def taken_out(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_refused_events_come_out_with_their_fields_and_their_raw_text(project, home, capsys):
    assert main(["--day", str(DAY), "--out", str(home / "r.jsonl")]) == 0
    events = taken_out(home / "r.jsonl")
    assert [(event["event_id"], event["refused"]["reason"]) for event in events] == [
        ("c2", "unknown_policy"),
        (None, "unreadable_line"),
        ("c4", "bad_video_id"),
        ("j2", "unknown_decision"),
        (None, "unreadable_line"),
        ("d1", "bad_columns"),
    ]
    assert [list(event)[: len(FIELDS)] for event in events] == [list(FIELDS)] * 6
    assert events[0]["video_id"] == str(VIDEO)
    assert events[1]["raw"] == csv_line("c3", "fraud", end="")
    assert events[2]["raw"].endswith('"two\nlines"')
    detail = "video_id: 'v17': it is no number"
    assert events[2]["refused"] == {"file": "a.csv", "line": 5, "reason": "bad_video_id", "detail": detail}
    assert events[3]["video_id"] == VIDEO
    said = capsys.readouterr().out
    assert "6 of 9 refused events" in said
    assert "c.parquet" in said


def test_a_reason_chooses_and_repeats_come_out_only_if_asked_for(project, home):
    arguments = ["--day", str(DAY), "--out", str(home / "r.jsonl"), "--reason"]
    assert main([*arguments, "duplicate_event"]) == 0
    assert [event["event_id"] for event in taken_out(home / "r.jsonl")] == ["j1"]
    assert main([*arguments, "bad_video_id", "--reason", "unknown_policy"]) == 0
    assert [event["event_id"] for event in taken_out(home / "r.jsonl")] == ["c2", "c4"]
    with pytest.raises(SystemExit):
        main([*arguments, "no_such_reason"])


def test_corrected_events_are_accepted_under_their_own_ids(project, home, capsys):
    main(["--day", str(DAY), "--out", str(home / "r.jsonl")])
    corrected: dict[str, dict[str, Any]] = {
        "c2": {"policy": "violence"},
        "c4": {"policy": "fraud", "video_id": VIDEO},
        "j2": {"decision": "violating"},
    }
    events = [{**event, **corrected.get(event["event_id"], {})} for event in taken_out(home / "r.jsonl")]
    (home / "r.jsonl").write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    for _ in range(2):
        assert main(["--day", str(NEXT), "--send", str(home / "r.jsonl")]) == 0
    assert "already" not in capsys.readouterr().out
    (drop,) = stage.drop_folder(project.settings, NEXT).iterdir()
    assert stage.ingest_events(project, NEXT) == 6
    found = project.warehouse.read("label_events", NEXT, NEXT)
    assert sorted(found["event_id"]) == ["c2", "c4", "j2"]
    assert set(found["source_file"]) == {drop.name}
    again = project.warehouse.read("label_rejects", NEXT, NEXT)
    assert list(again["reason"]) == ["missing_field"] * 3  # not corrected
    assert csv_line("c3", "fraud", end="") in json.loads(again["raw"][0])["raw"]
    assert main(["--day", str(NEXT), "--send", str(home / "r.jsonl")]) == 0
    assert f"{NEXT} has been ingested already" in capsys.readouterr().out
    assert stage.ingest_events(project, NEXT) == 6


@pytest.mark.parametrize(("line", "said"), [("{", "line 2: not JSON"), ("[1]", "line 2: expected a JSON object")])
def test_a_file_that_is_no_drop_is_not_sent(project, home, capsys, line, said):
    (home / "r.jsonl").write_text(f"{json_line('x')}\n{line}\n")
    assert main(["--day", str(NEXT), "--send", str(home / "r.jsonl")]) == 2
    assert said in capsys.readouterr().err
    assert not stage.drop_folder(project.settings, NEXT).exists()
    assert main(["--day", str(NEXT), "--send", str(home / "none.jsonl")]) == 2


@pytest.mark.parametrize("reason", list(Reason))
def test_whatever_was_refused_can_be_taken_out(reason):
    for raw, header in (("x", None), ("[1]", None), ("[" * 99_999, None), ('a,"b', ",".join(FIELDS)), ("", "a;b")):
        row = {"source_file": "f", "source_line": 7, "reason": reason.value, "detail": "", "raw": raw, "header": header}
        rejects = pd.DataFrame([row], columns=list(TABLES["label_rejects"].column_names))
        (line,) = refused_events(rejects, [reason.value])
        assert json.loads(line)["raw"] == raw
