"""What stages may build on: only days whose gate passed, only final labels, only each policy's own window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.certificates.reviewer_error import settled_by_experts
from include.config.load import load_config
from include.contract.tables import TABLES
from include.evidence.accepted import accepted, passed_days, window_start
from include.evidence.fingerprints import config_digest, fingerprints
from include.evidence.sample import (
    certifying_sample,
    labelled_sample,
    probability_sample,
    training_picks,
)
from include.ledger.in_force import thresholds_before
from include.ledger.publication import Act, publish
from include.project import Project, open_project
from tests.ledger.publishing import proposal
from tests.places import settings_in

DAY = date(2026, 11, 20)
WINDOWS = {"violence": 14, "pornography": 14, "fraud": 5}


def back(days: int) -> date:
    return DAY - timedelta(days=days)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shipped = load_config()
    policies = {
        name: policy.model_copy(update={"window_days": WINDOWS[name]}) for name, policy in shipped.policies.items()
    }
    return replace(open_project(settings_in(tmp_path)), config=shipped.model_copy(update={"policies": policies}))


def judged(project: Project, gate: str, day: date, *results: tuple[str, bool]) -> None:
    """Records a gate's results: (severity, whether it held)."""
    rows = [
        {
            "gate": gate,
            "table_name": "t",
            "position": position,
            "expectation": "holds",
            "column_name": None,
            "severity": severity,
            "success": success,
            "observed": "",
        }
        for position, (severity, success) in enumerate(results, start=1)
    ]
    frame = pd.DataFrame(rows, columns=list(TABLES["quality_results"].column_names))
    project.warehouse.replace("quality_results", day, frame, slice_value=gate)


def draw(video: int, policy: str = "violence", **values: Any) -> dict[str, Any]:
    row = {
        "design_id": "d",
        "programme": "audit",
        "video_id": video,
        "policy": policy,
        "market": "BR",
        "model_version": load_config().policies[policy].model_versions[0],
        "stratum": "s",
        "region": "remove",
        "score": 0.99,
        "views": 1,
        "programme_probability": 0.5,
        "inclusion_probability": 0.5,
        "permanent_random": 0.1,
        "cluster_id": None,
    } | values
    return row | {"sample_id": f"{row['programme']}:{row['policy']}:{row['model_version']}:{video}"}


def sampled(project: Project, day: date, *rows: dict[str, Any], passed: bool = True) -> None:
    frame = pd.DataFrame(rows)[list(TABLES["review_sample"].column_names)]
    project.warehouse.replace("review_sample", day, frame)
    judged(project, "sample", day, ("critical", passed))


def settled(project: Project, day: date, *items: tuple[int, str, str, date], passed: bool = True) -> None:
    """label_consensus as of `day`: (video, policy, status, day of the draw)."""
    rows = [
        {
            "video_id": video,
            "policy": policy,
            "p_violating": 1.0,
            "votes": 1,
            "unsure": 0,
            "agreement": None,
            "status": status,
            "method": "majority",
            "asked_by": "sample",
            "sampled_on": on,
            "settled": None,
        }
        for video, policy, status, on in items
    ]
    consensed(project, day, rows, passed=passed)


def consensed(project: Project, day: date, rows: list[dict[str, Any]], *, passed: bool = True) -> None:
    frame = pd.DataFrame(rows, columns=list(TABLES["label_consensus"].column_names))
    project.warehouse.replace("label_consensus", day, frame)
    judged(project, "consensus", day, ("critical", passed))


def test_a_day_passes_when_its_gate_ran_and_nothing_critical_failed(project: Project) -> None:
    judged(project, "scores", back(6), ("critical", True), ("warning", True))
    judged(project, "scores", back(5), ("critical", True), ("warning", False))
    judged(project, "scores", back(4), ("critical", True), ("critical", False))
    judged(project, "scores", back(3), ("critical", False), ("warning", True))
    judged(project, "sample", back(2), ("critical", True))  # another gate
    judged(project, "scores", back(1))  # begun and never judged
    judged(project, "scores", back(0), ("critical", True))
    judged(project, "sample", back(0), ("critical", False))
    assert passed_days(project, "scores", back(6), DAY) == {back(6), back(5), back(0)}
    assert passed_days(project, "scores", back(5), back(1)) == {back(5)}
    assert passed_days(project, "labels", back(6), DAY) == set()


def test_rows_of_days_that_did_not_pass_are_left_out(project: Project) -> None:
    sampled(project, back(3), draw(1), draw(2))
    sampled(project, back(2), draw(3), passed=False)
    sampled(project, back(1), draw(4))
    project.warehouse.replace("review_sample", DAY, pd.DataFrame([draw(5)])[list(TABLES["review_sample"].column_names)])
    found = accepted(project, "review_sample", "sample", back(3), DAY)
    assert found["video_id"].tolist() == [1, 2, 4]
    assert found["ds"].tolist() == [back(3), back(3), back(1)]
    assert accepted(project, "review_sample", "sample", back(2), back(2)).empty

    judged(project, "sample", back(2), ("critical", True))  # a rerun that heals
    assert accepted(project, "review_sample", "sample", back(2), back(2))["video_id"].tolist() == [3]


def test_the_window_is_the_longest_of_all_policies_and_includes_the_day(project: Project) -> None:
    assert window_start(project, DAY) == back(13)


def test_only_final_labels_of_draws_in_the_policys_own_window_count(project: Project) -> None:
    for days in (14, 13, 5, 4, 1):
        sampled(project, back(days), draw(days), draw(100 + days, "fraud"), draw(200 + days, score=None))
    labels = [(offset + days, policy, "final", back(days)) for days in (14, 13, 5, 4) for offset, policy in LABELLED]
    late = [(1, "violence", "provisional", back(1)), (999, "violence", "final", back(4))]
    settled(project, DAY, *labels, *late)
    settled(project, back(1), (1, "violence", "final", back(1)))  # what an earlier day said does not count

    found = labelled_sample(project, DAY)
    assert set(zip(found["video_id"], found["sampled_on"], strict=True)) == {
        *((days, back(days)) for days in (13, 5, 4)),
        *((200 + days, back(days)) for days in (13, 5, 4)),
        (104, back(4)),
    }
    assert {*TABLES["review_sample"].column_names, "p_violating", "golden", "sampled_on"} == set(found.columns)
    assert found["policy"].tolist() == sorted(found["policy"])
    violence = found[found["policy"] == "violence"]
    order = list(zip(violence["sampled_on"], violence["video_id"], strict=True))
    assert order == sorted(order)


LABELLED = ((0, "violence"), (100, "fraud"), (200, "violence"))


@pytest.mark.parametrize(("about", "probability"), [(8, 0.5), (6, 0.25)])
def test_a_video_drawn_twice_counts_once_on_the_day_its_consensus_is_about(
    project: Project, about: int, probability: float
) -> None:
    sampled(project, back(8), draw(1))
    sampled(project, back(6), draw(1, inclusion_probability=0.25))
    settled(project, DAY, (1, "violence", "final", back(about)))
    found = labelled_sample(project, DAY)
    assert found["sampled_on"].tolist() == [back(about)]
    assert found["inclusion_probability"].tolist() == [probability]


def test_estimates_rest_on_what_audit_and_prevalence_drew_and_on_nothing_else(project: Project) -> None:
    union: dict[str, Any] = {"inclusion_probability": 0.6}
    alone: dict[str, Any] = {"inclusion_probability": None}
    sampled(
        project,
        back(5),
        draw(1, programme="prevalence", programme_probability=0.2, **union),
        draw(1, **union),
        draw(2, programme="prevalence", **union),
        draw(2, programme="training", **alone),
        draw(3, programme="training", **alone),
        draw(4, programme="golden", **alone),
    )
    settled(project, DAY, *((video, "violence", "final", back(5)) for video in (1, 2, 3, 4)))
    found = labelled_sample(project, DAY)
    assert list(zip(found["video_id"], found["programme"], strict=True)) == [(1, "audit"), (2, "prevalence")]
    assert found["inclusion_probability"].tolist() == [0.6, 0.6]
    assert training_picks(project, DAY)["video_id"].tolist() == [3]
    with pytest.raises(ValueError, match="inclusion_probability nan of audit:violence"):
        probability_sample(found.assign(inclusion_probability=float("nan")))


@pytest.mark.parametrize("what", ["sample", "consensus"])
def test_nothing_that_failed_its_gate_is_labelled(project: Project, what: str) -> None:
    sampled(project, back(5), draw(1), passed=what != "sample")
    settled(project, DAY, (1, "violence", "final", back(5)), passed=what != "consensus")
    assert labelled_sample(project, DAY).empty


def test_before_there_is_anything_the_sample_is_empty(project: Project) -> None:
    found = labelled_sample(project, DAY)
    assert found.empty
    assert {"p_violating", "sampled_on", "score"} <= set(found.columns)


def test_thresholds_in_force_are_those_of_the_days_before(project: Project) -> None:
    cells = pd.DataFrame([{"policy": "violence", "market": "BR", "model_version": "violence-v3"}])
    start = project.config.policies["violence"].start

    def remove_at(day: date) -> float:
        (value,) = thresholds_before(project, day, cells)["remove_at"]
        return float(value)

    assert remove_at(DAY) == start.remove_at == 1.0
    change = proposal("p1", remove_at=0.91, review_at=0.5, current=tuple(start))
    act = Act(day=DAY, requester="test", reason="test", request={"kind": "daily"})
    publish(project, pd.DataFrame([change]), act, datetime(2026, 11, 21, tzinfo=UTC))
    assert remove_at(DAY) == start.remove_at == 1.0
    assert remove_at(DAY + timedelta(days=1)) == 0.91


def test_the_fingerprints_name_every_partition_certificates_rest_on(project: Project) -> None:
    sampled(project, DAY, draw(1))
    sampled(project, back(13), draw(2))
    sampled(project, back(14), draw(3))
    settled(project, DAY, (1, "violence", "final", DAY))
    before = fingerprints(project, DAY)
    of_the_day = {f"label_consensus/{DAY}", f"gates/{DAY}"}
    assert set(before) == of_the_day | {f"review_sample/{DAY}", f"review_sample/{back(13)}"}
    sampled(project, back(13), draw(2, score=0.123))
    changed = {name for name, digest in fingerprints(project, DAY).items() if digest != before[name]}
    assert changed == {f"review_sample/{back(13)}"}


def test_a_changed_configuration_has_another_digest(project: Project) -> None:
    other = replace(project, config=load_config())
    assert config_digest(project) == config_digest(replace(project))
    assert config_digest(project) != config_digest(other)


def answer(video: int, p_violating: float | None, settled: str | None = None) -> dict[str, Any]:
    return {
        "video_id": video,
        "policy": "violence",
        "p_violating": p_violating,
        "votes": 0 if p_violating is None else 1,
        "unsure": 1 if p_violating is None else 0,
        "agreement": None,
        "status": "final",
        "method": "majority",
        "asked_by": "sample",
        "sampled_on": back(8),
        "settled": settled,
    }


def landed_golden(project: Project, day: date, *rows: tuple[int, bool, str]) -> None:
    folder = project.settings.landing / "golden_labels" / f"ds={day}"
    folder.mkdir(parents=True)
    golden = pd.DataFrame(rows, columns=["video_id", "violating", "guideline_version"]).assign(policy="violence")
    golden.to_parquet(folder / "part.parquet", index=False)


def test_what_experts_settled_stands_in_for_the_consensus_in_certificates_alone(project: Project) -> None:
    """Videos 2 and 3: settled on a second look; 5: nobody was sure; 6: only the experts were; 7: settled unasked."""
    sampled(project, back(8), *(draw(video) for video in range(1, 8)))
    look: dict[str, Any] = {"programme": "second_look", "inclusion_probability": None, "programme_probability": 1.0}
    sampled(project, back(6), draw(2, stratum="decisive", **look), draw(3, stratum="random", **look))
    rows = [answer(1, 1.0), answer(2, 0.0, "violating"), answer(3, 1.0, "not_violating"), answer(4, 0.0)]
    consensed(project, DAY, [*rows, answer(5, None), answer(6, None, "violating"), answer(7, 0.0)])
    landed_golden(project, DAY, (7, True, "2026-1"))

    found = labelled_sample(project, DAY).set_index("video_id")
    assert found["p_violating"].to_dict() == {1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 7: 0.0}
    assert found["golden"].dropna().to_dict() == {3: 0.0}  # who was asked by chance tells how often reviewers err
    certain = certifying_sample(project, DAY).set_index("video_id")
    assert certain["p_violating"].to_dict() == {1: 1.0, 2: 1.0, 3: 0.0, 4: 0.0, 5: 0.0, 6: 1.0, 7: 1.0}
    assert certain["consensus"].dropna().to_dict() == found["p_violating"].to_dict()
    assert certain.index[certain["undecided"]].tolist() == [5]
    assert certain["golden"].dropna().to_dict() == {3: 0.0}
    told = settled_by_experts(certain.reset_index())
    assert told[["video_id", "p_violating", "golden"]].to_numpy().tolist() == [[3, 1.0, 0.0]]


def test_copies_count_once_in_certificates_and_each_in_estimates(project: Project) -> None:
    day = back(8)
    copies = [(video, 5 if video < 4 else None) for video in range(6)]
    rows = [draw(video, cluster_id=cluster, permanent_random=0.1 + video / 100) for video, cluster in copies]
    sampled(project, day, *rows, draw(9, market="DE", cluster_id=5))
    settled(project, DAY, *((video, "violence", "final", day) for video in (*range(6), 9)))
    assert sorted(labelled_sample(project, DAY)["video_id"]) == [0, 1, 2, 3, 4, 5, 9]
    assert sorted(certifying_sample(project, DAY)["video_id"]) == [0, 4, 5, 9]


def test_what_experts_say_counts_under_the_guideline_in_force_where_they_agree(project: Project) -> None:
    """Video 4: no golden label; 5: one that came later; 6: another guideline's; 7: experts disagree."""
    sampled(project, back(8), *(draw(video) for video in (1, 2, 4, 5, 6, 7)), draw(1, "pornography"))
    consensed(project, DAY, [answer(video, float(video == 2)) for video in (1, 2, 4, 5, 6, 7)])
    same = [(1, True, "2026-1"), (2, False, "2026-1"), (7, True, "2026-1"), (7, False, "2026-1")]
    landed_golden(project, DAY, *same, (6, True, "2025-9"))
    landed_golden(project, back(-1), (5, True, "2026-1"))
    found = certifying_sample(project, DAY).set_index("video_id")["p_violating"]
    assert found.to_dict() == {1: 1.0, 2: 0.0, 4: 0.0, 5: 0.0, 6: 0.0, 7: 0.0}
