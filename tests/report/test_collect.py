"""What the daily report is given, counted again from the rows it comes from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.certificates.certify import curve
from include.contract.tables import CELL, N_BINS, TABLES
from include.evidence.sample import labelled_sample
from include.project import Project, open_project
from include.report import collect
from include.report.collect import certified_curves, report_data, sample_counts
from include.thresholds import stage
from tests.places import settings_in
from tests.warehouse.frames import profile_of

DAY = date(2026, 11, 20)
SAMPLED = DAY - timedelta(days=5)
VIOLENCE, RETIRED = ("violence", "BR", "violence-v3"), ("fraud", "BR", "fraud-v2")
N = 400
"""Draws of a cell: scores from 0.5 up, what violates from 0.7 up."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two cells were sampled and labelled; one of them is no longer scored."""
    project = open_project(settings_in(tmp_path))
    drawn = pd.concat([draws(VIOLENCE, 0), draws(RETIRED, N)], ignore_index=True)
    _put(project, "review_sample", SAMPLED, drawn, "sample")
    _put(project, "label_consensus", DAY, consensus(drawn), "consensus")
    for day, cells in ((SAMPLED, (VIOLENCE, RETIRED)), (DAY, (VIOLENCE,))):
        _put(project, "score_histogram", day, histogram(*cells), "scores")
        _put(project, "score_profile", day, profile_of(histogram(*cells)), "scores")
    return project


def draws(cell: tuple[str, str, str], first: int) -> pd.DataFrame:
    ids = np.arange(first, first + N)
    return pd.DataFrame(
        {
            "sample_id": [f"{cell[2]}:{video}" for video in ids],
            "design_id": "d",
            "programme": "audit",
            "video_id": ids,
            **dict(zip(CELL, cell, strict=True)),
            "stratum": "s",
            "region": "review",
            "score": np.linspace(0.5, 0.999, N),
            "views": 1,
            "programme_probability": 1.0,
            "inclusion_probability": 1.0,
            "permanent_random": 0.1,
            "cluster_id": None,
        }
    )


def consensus(drawn: pd.DataFrame) -> pd.DataFrame:
    """A tenth is not labelled, another tenth not settled yet."""
    items = pd.DataFrame(
        {
            "video_id": drawn["video_id"],
            "policy": drawn["policy"],
            "p_violating": (drawn["score"] >= 0.7).astype(float),
            "votes": 1,
            "unsure": 0,
            "agreement": np.nan,
            "status": np.where(drawn["video_id"] % 10 == 1, "provisional", "final"),
            "method": "majority",
            "asked_by": "sample",
            "sampled_on": SAMPLED,
            "settled": None,
        }
    )
    return items[drawn["video_id"] % 10 != 0]


def histogram(*cells: tuple[str, str, str]) -> pd.DataFrame:
    """Bin b holds b videos, and three had no score."""
    bins = pd.DataFrame({"bin": np.arange(-1, N_BINS), "n_videos": [3, *range(N_BINS)], "n_views": 1})
    return pd.concat([bins.assign(**dict(zip(CELL, cell, strict=True))) for cell in cells], ignore_index=True)


def _put(project: Project, table: str, day: date, rows: pd.DataFrame, gate: str) -> None:
    project.warehouse.replace(table, day, rows[list(TABLES[table].column_names)])
    result = {
        "gate": gate,
        "table_name": table,
        "position": 1,
        "expectation": "holds",
        "column_name": None,
        "severity": "critical",
        "success": True,
        "observed": "",
    }
    project.warehouse.replace("quality_results", day, pd.DataFrame([result]), slice_value=gate)


def test_curves_are_computed_once_for_the_same_data_and_anew_for_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def counted(rows: pd.DataFrame, *args: Any, **more: Any) -> pd.DataFrame:
        drawn.append(len(rows))
        return curve(rows, *args, **more)

    monkeypatch.setattr(collect, "curve", counted)
    monkeypatch.setattr(collect, "_REMEMBERED", {})
    sample, bins = labelled_sample(project, DAY), project.warehouse.read("score_histogram", DAY, DAY)
    first = certified_curves(project, sample, bins)
    first["removes"] = 0  # of the caller's copy alone
    assert (certified_curves(project, sample.copy(), bins.copy())["removes"] > 0).all()
    assert len(drawn) == 1
    more = bins.assign(n_videos=bins["n_videos"] + 1)
    fewer = sample.assign(p_violating=sample["p_violating"].where(sample.index > 0, 1 - sample["p_violating"]))
    limits = project.config.policies["violence"].limits.model_copy(update={"lowest_remove_at": 0.9})
    policies = project.config.policies | {
        "violence": project.config.policies["violence"].model_copy(update={"limits": limits})
    }
    stricter = replace(project, config=project.config.model_copy(update={"policies": policies}))
    for number, other in enumerate(
        ((project, sample, more), (project, fewer, bins), (stricter, sample, bins)), start=2
    ):
        certified_curves(*other)
        assert len(drawn) == number


def test_curves_state_precision_and_removals_of_cells_scored_today(project: Project) -> None:
    sample = labelled_sample(project, DAY)
    assert set(sample["model_version"]) == {"violence-v3", "fraud-v2"}
    curves = certified_curves(project, sample, project.warehouse.read("score_histogram", DAY, DAY))
    assert set(curves[list(CELL)].itertuples(index=False, name=None)) == {VIOLENCE}
    assert curves["threshold"].min() == project.config.policies["violence"].limits.lowest_remove_at
    for row in curves.to_dict("records"):
        threshold = row["threshold"]
        assert row["removes"] == sum(range(round(threshold * N_BINS), N_BINS))
        above = sample[(sample["model_version"] == "violence-v3") & (sample["score"] >= threshold)]
        assert row["estimate"] == pytest.approx(above["p_violating"].mean())
    stated = curves.dropna()
    assert (stated["bound"] <= stated["estimate"]).all()
    assert len(stated) > 10


def test_a_retired_model_version_stops_neither_metrics_nor_report(project: Project) -> None:
    stage.measure(project, DAY)
    metrics = project.warehouse.read("policy_metrics", DAY, DAY)
    assert set(metrics[list(CELL)].itertuples(index=False, name=None)) == {VIOLENCE}
    found = metrics.set_index("metric")
    assert found.loc["precision", "n"] == 0, "nothing is removed in shadow mode"
    assert found.loc["recall", "n"] == len(draws(VIOLENCE, 0).query("video_id % 10 > 1"))
    stage.propose_thresholds(project, DAY)
    assert report_data(project, DAY).curves["model_version"].unique().tolist() == ["violence-v3"]


def test_samples_are_counted_as_drawn_labelled_and_final(project: Project) -> None:
    counts = sample_counts(project, DAY)
    for cell in (VIOLENCE, RETIRED):
        (row,) = counts[(counts[list(CELL)] == list(cell)).all(axis=1)].to_dict("records")
        assert (row["ds"], row["drawn"], row["labelled"], row["final"]) == (SAMPLED, N, N * 9 // 10, N * 8 // 10)


def test_what_the_platform_does_not_deliver_is_absent_and_what_it_delivers_is_counted(project: Project) -> None:
    data = report_data(project, DAY)
    assert data.appeals is None
    assert data.enforcement is None
    actions = ["remove"] * 3 + ["allow"] * 5
    log = pd.DataFrame(
        {
            "video_id": range(8),
            **dict(zip(CELL, VIOLENCE, strict=True)),
            "action": actions,
            "threshold_version": 4,
            "decided_at": datetime(2026, 11, 20, tzinfo=UTC),
        }
    )
    _deliver(project, "enforcement_log", DAY, log)
    appeal: dict[str, Any] = {"event_id": "a", "video_id": 1, "policy": "violence", "outcome": "upheld"}
    earlier = pd.DataFrame([appeal | {"decided_at": datetime(2026, 11, 19, tzinfo=UTC)}])
    _deliver(project, "appeals", DAY - timedelta(days=1), earlier)

    data = report_data(project, DAY)
    assert data.appeals is not None
    assert data.appeals.empty  # there are appeals, but none today
    assert data.enforcement is not None
    counted = data.enforcement.set_index("action")["n_videos"].to_dict()
    assert counted == {"remove": 3, "allow": 5}
    assert set(data.enforcement["threshold_version"]) == {4}


def _deliver(project: Project, table: str, day: date, rows: pd.DataFrame) -> None:
    folder = project.settings.landing / table / f"ds={day}"
    folder.mkdir(parents=True)
    rows.to_parquet(folder / "part.parquet", index=False)
