"""What reviewers are shown of a video: what the platform delivers for the day, what it did before, or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from include.config.load import load_config
from include.config.settings import REVIEWERS
from include.contract.tables import TABLES
from include.project import Project, open_project
from include.sampling import stage
from include.sampling.details import contradicted, details_of
from include.warehouse.landing import replaced_day, write_frame
from tests.places import settings_in

DAY = date(2026, 11, 3)
BEFORE = DAY - timedelta(days=1)
TEXTS = ["video_id", "title", "description"]


def told(*rows: tuple[int, str | None, str | None]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=TEXTS)


def as_rows(details: pd.DataFrame) -> list[tuple[object, ...]]:
    texts = details[TEXTS].astype("object")
    return list(texts.where(texts.notna(), None).itertuples(index=False, name=None))


def test_a_video_drawn_again_is_shown_as_it_was_where_the_day_does_not_tell() -> None:
    drawn = pd.DataFrame({"video_id": [1, 2, 3, 4, 4]})
    earlier = told((1, "old", None), (2, "once", "x"), (2, "later", "y"), (9, "of another", None))
    earlier["ds"] = [BEFORE, BEFORE - timedelta(days=1), BEFORE, BEFORE]
    found = details_of(drawn, told((1, "new", None), (4, "four", "d"), (8, "not drawn", None)), earlier)
    assert as_rows(found) == [(1, "new", None), (2, "later", "y"), (4, "four", "d")]


def test_what_contradicts_itself_and_what_is_no_text_is_not_shown() -> None:
    rows = told((1, "a", None), (1, "b", None), (2, "bell\x07 \u202egnp.exe\r\nline", "\x00"), (3, " ", None))
    assert contradicted(rows) == [1]
    found = details_of(pd.DataFrame({"video_id": [1, 2, 3]}), rows, rows.head(0).assign(ds=[]))
    assert as_rows(found) == [(2, "bell   gnp.exe \nline", None), (3, None, None)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A day of which four videos were drawn, one of them golden."""
    project = replace(open_project(settings_in(tmp_path)), config=load_config())
    drawn = pd.DataFrame({"video_id": [1, 2, 3, 4], "programme": ["audit", "audit", "training", "golden"]}).assign(
        **dict.fromkeys(("sample_id", "design_id", "stratum"), "x"), policy="fraud", market="BR", region="review"
    )
    drawn = drawn.assign(sample_id=[f"{n:024x}" for n in drawn["video_id"]], model_version="fraud-v2", score=0.5)
    drawn = drawn.assign(views=1, programme_probability=1.0, inclusion_probability=None, permanent_random=0.1)
    project.warehouse.replace("review_sample", DAY, drawn.assign(cluster_id=None))
    project.warehouse.replace("review_details", BEFORE, told((4, "Golden", "As it was")))
    return project


def deliver(project: Project, details: pd.DataFrame) -> Path:
    with replaced_day(project.settings.landing / "video_details", DAY) as folder:
        write_frame(folder / "details.parquet", TABLES["video_details"], details)
    return project.settings.landing / "video_details" / f"ds={DAY}" / "details.parquet"


def titles(project: Project) -> dict[int, str]:
    """Of the day's queue in Brazil, as it is exported."""
    stage.export_review_queue(project, DAY)
    queue = pd.read_csv(project.settings.queue_of(DAY, REVIEWERS, "BR"), keep_default_na=False)
    assert len(queue) == 4
    return {int(video): title for video, title in zip(queue["video_id"], queue["title"], strict=True) if title}


def warnings(project: Project) -> str:
    found = project.warehouse.read("quality_results", DAY, DAY, slice_value="details")
    assert set(found["severity"]) == {"warning"}
    return " ".join(found.loc[~found["success"], "observed"])


def test_what_the_platform_delivers_is_in_the_queue_and_what_is_wrong_is_named(project: Project) -> None:
    stage.look_up_details(project, DAY)
    assert titles(project) == {}, "the platform delivers none"

    long = "y" * 6000
    file = deliver(
        project, told((1, "One", long), (1, "One", long), (2, "Two", None), (2, "Too", None), (99, "No", None))
    )
    stage.look_up_details(project, DAY)
    assert titles(project) == {1: "One", 4: "Golden"}
    shown = project.warehouse.read("review_details", DAY, DAY).set_index("video_id")["description"]
    assert shown.str.len().loc[1] == 5000
    assert "video 2 is told of twice" in warnings(project)
    again = project.warehouse.fingerprint("review_details", DAY)
    stage.look_up_details(project, DAY)
    assert project.warehouse.fingerprint("review_details", DAY) == again

    file.write_bytes(file.read_bytes()[:-20])
    stage.look_up_details(project, DAY)
    assert titles(project) == {4: "Golden"}, "the queue goes out without them"
    assert "details.parquet" in warnings(project)

    deliver(project, told((2, "Two", None)))
    stage.look_up_details(project, DAY)
    assert titles(project) == {2: "Two", 4: "Golden"}
    assert warnings(project) == ""


def test_files_of_a_market_that_is_no_longer_configured_go_with_the_next_export(project: Project) -> None:
    left = project.settings.queue_of(DAY, REVIEWERS, "GONE")
    left.parent.mkdir(parents=True)
    left.touch()
    stage.export_review_queue(project, DAY)
    names = sorted(path.name for path in left.parent.iterdir())
    markets = ("BR", "DE", "IN")
    files = [
        f"{whose}_{market}.{ending}"
        for whose in ("experts", "queue")
        for market in markets
        for ending in ("csv", "json")
    ]
    assert names == sorted([*files, "label_studio.xml"])
    assert left.with_name("experts_DE.json").read_text() == "[]\n"
