"""The daily loop against BigQuery through the real client: it ends with the tables of the embedded warehouse."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.load import DEFAULT_CONFIG
from include.config.settings import BigQueryPlace, Settings
from include.config.yaml_file import read_yaml, write_yaml
from include.contract.tables import TABLES
from include.local.runs import DAILY_DAGS
from include.project import Project, open_project
from include.warehouse.base import Caller
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_jobs import Jobs
from include.warehouse.cost import CALLS
from tests.bigquery.landing import deliver
from tests.bigquery.proxy import Proxy
from tests.history import History
from tests.loop import Loop, approve

pytestmark = pytest.mark.airflow

DAYS, VIDEOS = int(os.environ.get("PLUMBLINE_LOOP_DAYS", "3")), 2_000
"""`make bigquery-week` lives seven."""
RECORDED = 3
"""The day whose calls the page of the cost holds."""
SOON = {"target_precision": 0.6, "confidence": 0.7, "maturity_days": 1, "uncertified": "remove"}
"""So little is asked that a few labels of a small platform certify it on the third day."""
MOST_JOBS, MOST_REQUESTS = 120, 400
"""What the Dags of a day may take; a dry run is a request and no job."""

MINUTES = 700
"""Of reviewers, by market: fewer rows to carry to and fro."""
INPUTS = ("video_scores", "video_details", "golden_labels", "appeals", "enforcement_log")


@dataclass(frozen=True)
class Steps(History):
    """The days before the last, without Airflow and gates, in the places that `settings` names."""

    settings: Settings = field(kw_only=True)

    @property
    def project(self) -> Project:
        return open_project(self.settings)


def test_the_loop_ends_with_the_tables_of_the_embedded_warehouse(
    dags: dict[str, Any], proxy: Proxy, place: BigQueryPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_yaml(DEFAULT_CONFIG).content
    config["defaults"] |= SOON
    config["guardrails"] |= {"min_labels": 5, "loosen_days": 1}
    for market in config["markets"].values():
        market["reviewer_minutes"] = MINUTES
    (tmp_path / "policies.yaml").write_text(write_yaml(config))
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(tmp_path / "policies.yaml"))
    ends: dict[str, dict[str, pd.DataFrame]] = {}
    for engine in ("duckdb", "bigquery"):
        home = tmp_path / engine
        monkeypatch.setenv("PLUMBLINE_HOME", str(home))
        loop = Loop(home, dags, videos_per_day=VIDEOS)
        settings = embedded = loop.settings
        warehouse = loop.project.warehouse
        if engine == "bigquery":
            extra = {"engine": "bigquery", "landing": "data/landing", **place.model_dump(exclude_none=True)}
            connection = {"conn_type": "generic", "extra": extra}
            monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_WAREHOUSE", json.dumps(connection))
            settings = replace(embedded, warehouse=place)
            warehouse = BigQueryWarehouse(Jobs(place, Caller("", "test", "", "test")))
        for index in range(DAYS):
            day = loop.day(index)
            loop.platform.land_day(day)
            if isinstance(warehouse, BigQueryWarehouse):
                landed = open_project(embedded).warehouse
                for name in INPUTS:
                    deliver(warehouse, name, day, landed.read(name, day, day).drop(columns="ds"))
            if index < DAYS - 1:
                Steps(home / "data", loop.scenario, VIDEOS, settings=settings).run_day(index)
                continue
            proxy.requests.clear()
            for dag_id in DAILY_DAGS:
                loop.run(dag_id, index, approve)
        spent = list(proxy.requests)
        ends[engine] = {name: warehouse.read(name) for name, table in TABLES.items() if table.owner == "plumbline"}

    proxy.requests[:] = spent
    calls, jobs = recorded(proxy), [job for job in proxy.jobs() if not job.get("dryRun")]
    assert len(jobs) <= MOST_JOBS, Counter((job["labels"]["dag"], job["labels"]["task"]) for job in jobs)
    assert len(proxy.requests) <= MOST_REQUESTS, Counter(method for method, *_ in proxy.requests)
    billed = ends["bigquery"].pop("warehouse_usage")
    assert ends["duckdb"].pop("warehouse_usage").empty, "the embedded warehouse bills nothing"
    assert set(billed["dag"]) >= {"sample_for_review", "ingest_reviewer_labels", "recalibrate_thresholds"}
    assert (billed.loc[billed["task"] == "publish.publish_within_limits", "bytes_billed"] > 0).all()
    for name, table in TABLES.items():
        if name in ends["duckdb"]:
            found, wanted = (
                ends[engine][name]
                .sort_values(["ds", *table.key], ignore_index=True)
                .drop(columns=list(CLOCK.get(name, ())))
                for engine in ("bigquery", "duckdb")
            )
            # Sums of many floats differ in their last digits with the order in which they were added.
            pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=0, obj=name)
    assert len(ends["bigquery"]["threshold_ledger"]) > 1, "nothing was published, so nothing was compared"
    assert len(ends["bigquery"]["label_events"]) > 0
    if DAYS == RECORDED:
        assert calls == CALLS, "the page of the cost says otherwise"


def recorded(proxy: Proxy) -> dict[str, int]:
    """The calls of the day, by what they are."""
    jobs = proxy.jobs()
    queries = [job for job in jobs if "query" in job and not job.get("dryRun")]
    return {
        "scans": len([job for job in queries if "destinationTable" in job["query"]]),
        "statements": len([job for job in queries if "destinationTable" not in job["query"]]),
        "load jobs": len([job for job in jobs if "load" in job]),
        "dry runs": len([job for job in jobs if job.get("dryRun")]),
        "read sessions": len([path for _, path, _ in proxy.requests if path.endswith("/CreateReadSession")]),
    }


CLOCK = {
    "score_profile": ("read_at",),
    "threshold_ledger": ("published_at", "hash", "previous_hash", "column_hashes"),
    "training_snapshots": ("mlflow_run_id",),
    "approval_questions": ("asked_in", "answer_by", "answered_at"),
}
"""Columns that hold the time, or follow from it."""
