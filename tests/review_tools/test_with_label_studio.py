"""The day's queues go into a real Label Studio over its API; what people answer there comes out and is ingested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.load import ConfigError, load_config
from include.config.settings import EXPERTS, REVIEWERS
from include.consensus.asof import votes_asof
from include.labels import stage as labels
from include.orchestration.ending import ForAPerson
from include.project import Project, open_project
from include.review_tools.stage import fetch_answers, send_queue
from include.sampling import stage as sampling
from tests.places import settings_in
from tests.review_tools.studio import LEGACY_TOKEN, Studio, running

pytestmark = pytest.mark.slow

TODAY = datetime.now(UTC).date()
SAMPLED, ARRIVAL = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
NOW = datetime.combine(ARRIVAL, time(12), UTC)
"""Later than anything that is answered here, whenever that is."""
TITLE = '<img src=x onerror="alert(1)"> =1+1 Кошка'


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running(tmp_path_factory.mktemp("label_studio")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A day of which reviewers in Brazil are asked about four videos, and experts about one."""
    project = replace(open_project(settings_in(tmp_path)), config=load_config())
    rows: list[dict[str, object]] = [
        {"video_id": 2**62 + n, "programme": "audit" if n else "second_look"} for n in range(5)
    ]
    same: dict[str, object] = {
        "policy": "fraud",
        "market": "BR",
        "model_version": "fraud-v2",
        "region": "review",
        "score": 0.5,
    }
    same |= {"design_id": "d", "stratum": "s", "views": 1, "programme_probability": 1.0, "permanent_random": 0.1}
    same |= {"inclusion_probability": None, "cluster_id": None}
    drawn = pd.DataFrame([row | same | {"sample_id": f"{n:024x}"} for n, row in enumerate(rows)])
    project.warehouse.replace("review_sample", SAMPLED, drawn)
    told = pd.DataFrame({"video_id": drawn["video_id"], "title": TITLE, "description": "https://x.test/a.txt"})
    project.warehouse.replace("review_details", SAMPLED, told)
    passed(project, SAMPLED, "sample")
    sampling.export_review_queue(project, SAMPLED)
    return project


def passed(project: Project, day: Any, gate: str) -> None:
    row = {"gate": gate, "table_name": "any", "position": 1, "expectation": "holds", "column_name": None}
    found = pd.DataFrame([row | {"severity": "critical", "success": True, "observed": ""}])
    project.warehouse.replace("quality_results", day, found, slice_value=gate)


def drops(project: Project) -> dict[str, bytes]:
    folder = project.settings.landing / "reviewer_labels"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jsonl"))}


def test_queues_go_in_once_and_every_answer_comes_out_once(
    studio: Studio, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, lead, plumbline = (studio.person(name) for name in ("ana", "lead", "plumbline"))
    reviewers, experts = studio.project("Brazil"), studio.project("Brazil, experts")
    of_market = {REVIEWERS: reviewers, EXPERTS: experts}
    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_LABEL_STUDIO", studio.connection(plumbline.token, BR=of_market))

    assert send_queue(project, NOW) == "5 tasks sent"
    assert send_queue(project, NOW) == "0 tasks sent"
    asked = studio.tasks(reviewers)
    assert len(asked) == 4
    assert len(studio.tasks(experts)) == 1
    assert {task["data"]["title"] for task in asked.values()} == {TITLE}
    lost = asked.popitem()[1]
    assert studio.admin.delete(f"/api/tasks/{lost['id']}/").status_code == 204
    assert send_queue(project, NOW) == "1 task sent"
    assert fetch_answers(project, NOW) == "0 annotations landed"
    assert drops(project) == {}

    one, two, three, four = (studio.tasks(reviewers)[f"{n:024x}"]["id"] for n in (1, 2, 3, 4))
    (look,) = (task["id"] for task in studio.tasks(experts).values())
    ana.answers(one, "violating")
    ana.answers(one, "not_violating")  # the same annotator twice: the later counts
    lead.answers(one, "unsure")  # somebody else: an answer of their own
    to_be_corrected = ana.answers(two, "violating")
    ana.answers(three, "violating", was_cancelled=True)
    corrected_at_once = ana.answers(four, "violating")
    lead.changes(corrected_at_once, "not_violating")
    lead.answers(look, "violating")
    assert fetch_answers(project, NOW) == "6 annotations landed"
    landed = drops(project)
    assert sorted(landed) == [f"ds={ARRIVAL}/label-studio-{number}.jsonl" for number in (reviewers, experts)]
    assert not any(TITLE.encode() in content for content in landed.values()), "more than an answer needs"
    assert fetch_answers(project, NOW) == "0 annotations landed"
    assert drops(project) == landed

    lead.changes(to_be_corrected, "not_violating")
    assert fetch_answers(project, NOW) == "1 annotation landed"
    assert fetch_answers(project, NOW + timedelta(days=1)) == "0 annotations landed"
    assert len(drops(project)) == 2

    def ingested() -> pd.DataFrame:
        assert labels.ingest_events(project, ARRIVAL) == 7
        assert project.warehouse.read("label_rejects", ARRIVAL, ARRIVAL).empty
        return project.warehouse.read("label_events", ARRIVAL, ARRIVAL)

    events = ingested()
    standing = votes_asof(events, day=ARRIVAL, config=project.config)
    found = {
        (int(video) - 2**62, who.split("@")[0], purpose, decision)
        for video, who, purpose, decision in standing[["video_id", "reviewer_id", "purpose", "decision"]].to_numpy()
    }
    assert found == {
        (1, "ana", "estimation", "not_violating"),
        (1, "lead", "estimation", "unsure"),
        (2, "lead", "estimation", "not_violating"),
        (4, "lead", "estimation", "not_violating"),
        (0, "lead", "second_look", "violating"),
    }
    assert events["supersedes"].notna().sum() == 1, "the other correction came before its first answer was fetched"
    pd.testing.assert_frame_equal(ingested(), events)


def test_what_label_studio_refuses_is_named_and_keeps_no_other_project_from_being_served(
    studio: Studio, project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def connected(token: str, **of_market: int) -> None:
        found = studio.connection(token, BR=of_market)
        monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_LABEL_STUDIO", found)

    reviewers, experts = studio.project("Soon deleted"), studio.project("Stays")
    connected(LEGACY_TOKEN, queue=reviewers, experts=experts)  # tokens of the kind before are still taken
    assert send_queue(project, NOW) == "5 tasks sent"
    (look,) = (task["id"] for task in studio.tasks(experts).values())
    studio.person("lead").answers(look, "violating")
    assert studio.admin.delete(f"/api/projects/{reviewers}/").status_code == 204
    for step in (send_queue, fetch_answers):
        with pytest.raises(ForAPerson, match=rf"has no project {reviewers} \(404\): it was deleted"):
            step(project, NOW)
    assert list(drops(project)) == [f"ds={ARRIVAL}/label-studio-{experts}.jsonl"]

    other = studio.project("Other questions", '<View><Text name="t" value="$t"/></View>')
    connected(LEGACY_TOKEN, queue=other)
    with pytest.raises(ForAPerson, match=rf"refuses what is sent for project {other} \(400\)") as refused:
        send_queue(project, NOW)
    assert TITLE not in str(refused.value)

    leaver = studio.person("leaver")
    leaver.gives_up()
    before = drops(project)
    for token in (leaver.token, "1f" * 20):
        connected(token, queue=experts)
        for step in (send_queue, fetch_answers):
            with pytest.raises(
                ForAPerson, match=r"refuses the token \(401\).* Put a new one into the connection"
            ) as no:
                step(project, NOW)
            assert token not in f"{no.value!r}{caplog.text}"
    assert drops(project) == before

    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_LABEL_STUDIO", studio.connection(LEGACY_TOKEN, XX={"queue": 1}))
    with pytest.raises(ConfigError, match=r"extra\.projects: XX is no market"):
        send_queue(project, NOW)
