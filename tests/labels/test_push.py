from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from include.config.settings import MlflowPlace, Settings
from include.contract.terms import Reason
from include.labels.drops import MAX_PUSH_BYTES, read_drops
from include.labels.push import pushed
from include.labels.stage import drop_folder, land
from include.project import open_project
from tests.kills import after_power_cut, killed

MOMENT = datetime(2026, 11, 3, 23, 59, 59, 5, tzinfo=UTC)
EVENT = {"event_id": "e1", "video_id": 2**63 - 1, "policy": "violence", "reviewer_id": "Åsa", "decision": "unsure"}


def read(folder, *batches):
    for batch in batches:
        (folder / batch.name).write_bytes(batch.content)
    return read_drops(folder)


def test_a_batch_becomes_a_file_of_its_day_of_arrival_with_a_line_an_event(tmp_path):
    batch = pushed(MOMENT, {"events": [EVENT, {**EVENT, "event_id": "e2"}], "from_rest_api": True})
    assert batch.day == date(2026, 11, 3)
    raw, refused = read(tmp_path, batch)
    assert refused.empty
    assert list(raw["event_id"]) == ["e1", "e2"]
    assert list(raw["video_id"]) == [str(2**63 - 1)] * 2
    assert json.loads(raw["raw"][0]) == EVENT
    assert "Åsa" in raw["raw"][0]


def test_day_and_name_come_from_the_event_alone():
    extra = {"events": [EVENT]}
    here = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert pushed(here, extra) == pushed(MOMENT, extra)
    assert pushed(MOMENT, {"events": [{**EVENT, "decision": "violating"}]}).name != pushed(MOMENT, extra).name
    assert pushed(MOMENT + timedelta(microseconds=1), extra).name != pushed(MOMENT, extra).name
    with pytest.raises(ValueError, match=r"moment: 2026-11-03 .* has no time zone"):
        pushed(MOMENT.replace(tzinfo=None), extra)


@pytest.mark.parametrize("extra", [{}, {"events": "e1"}, {"event": [EVENT]}])
def test_an_extra_without_events_is_kept_to_be_refused(tmp_path, extra):
    raw, refused = read(tmp_path, pushed(MOMENT, {**extra, "from_rest_api": True}))
    assert refused.empty
    assert raw["event_id"].isna().all()
    assert [json.loads(line) for line in raw["raw"]] == [extra]


def test_an_empty_list_of_events_lands_nothing():
    assert pushed(MOMENT, {"events": [], "from_rest_api": True}).content == b""


def test_elements_that_are_no_events_are_refused_line_by_line(tmp_path):
    _, refused = read(tmp_path, pushed(MOMENT, {"events": ["x", 1, None, [EVENT], {"event_id": "\ud800"}]}))
    assert list(refused["source_line"]) == [1, 2, 3, 4, 5]
    assert list(refused["reason"]) == [Reason.UNREADABLE_LINE] * 4 + [Reason.WRONG_ENCODING]


def test_a_batch_over_the_limit_is_refused_by_name_and_stays(tmp_path):
    size = len(json.dumps(EVENT, ensure_ascii=False).encode()) + 1
    fits = pushed(MOMENT, {"events": [EVENT] * (MAX_PUSH_BYTES // size)})
    batch = pushed(MOMENT, {"events": [EVENT] * (MAX_PUSH_BYTES // size + 1)})
    raw, refused = read(tmp_path, fits, batch)
    assert set(raw["source_file"]) == {fits.name}
    assert refused[["source_file", "source_line", "reason"]].to_numpy().tolist() == [[batch.name, 0, "push_too_large"]]
    assert str(MAX_PUSH_BYTES) in refused["detail"][0]
    (tmp_path / batch.name).rename(tmp_path / "vendor.jsonl")  # the way out: as a file of its own
    assert "vendor.jsonl" in set(read_drops(tmp_path)[0]["source_file"])


def test_a_push_is_on_disk_once_it_is_landed_and_killed_before_that_the_next_lands_it_whole(tmp_path):
    def arriving(name):
        settings = Settings(
            tmp_path / name / "landing", tmp_path / name / "w", tmp_path / name / "o", MlflowPlace("sqlite:///none")
        )
        settings.landing.mkdir(parents=True)
        return open_project(settings), drop_folder(settings, batch.day)

    batch = pushed(MOMENT, {"events": [EVENT]})
    project, folder = arriving("cut")
    remains = tmp_path / "remains"
    after_power_cut(lambda: land(project, batch), project.settings.landing, remains)
    assert (remains / "reviewer_labels" / folder.name / batch.name).read_bytes() == batch.content

    project, folder = arriving("killed")
    at = 0
    while killed(lambda: land(project, batch), project.settings.landing, at, torn=True):
        raw, refused = read_drops(folder)
        assert refused.empty
        assert list(raw["event_id"]) in ([], ["e1"])
        at += 1
    assert at >= 5
    assert [path.name for path in folder.iterdir()] == [batch.name]
    assert (folder / batch.name).read_bytes() == batch.content
