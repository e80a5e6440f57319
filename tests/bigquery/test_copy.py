"""Moving over: every table of the embedded warehouse ends on BigQuery as it was, the ledger's chain with it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from include.config.declared import declared_settings
from include.config.settings import BigQueryPlace
from include.contract.tables import TABLES
from include.ledger.chain import verify
from include.ledger.publication import Act, publish
from include.local import copy_to_bigquery
from include.project import open_project
from include.warehouse.base import Warehouse
from tests.bigquery.google import Failure
from tests.warehouse.frames import DAY, rows_of


@pytest.fixture
def source(home: Path) -> Warehouse:
    project = open_project(declared_settings())
    warehouse = project.warehouse
    warehouse.replace("score_histogram", DAY, rows_of(TABLES["score_histogram"], 4))
    for day, gate in product((DAY, DAY + timedelta(days=1)), ("scores", "labels")):
        warehouse.replace(
            "quality_results", day, rows_of(TABLES["quality_results"], 2).assign(gate=gate), slice_value=gate
        )
    act = Act(day=DAY, requester="test", reason="start", request={"kind": "daily"})
    publish(project, rows_of(TABLES["threshold_proposals"], 0), act, datetime(2026, 11, 2, tzinfo=UTC))
    return warehouse


def arguments(place: BigQueryPlace) -> list[str]:
    where = f"--project {place.project} --dataset {place.dataset} --location {place.location}"
    return ["copy_to_bigquery", *where.split(), "--api-endpoint", str(place.api_endpoint)]


def test_a_copy_that_was_cut_short_is_finished_by_the_next(source, opened, place, proxy, monkeypatch, capsys):  # noqa: PLR0917
    monkeypatch.setattr("sys.argv", arguments(place))
    proxy.google.failures.append(Failure("load quality_results", "quotaExceeded", "no more today"))
    assert copy_to_bigquery.main() == 1
    assert "Not copied to the end" in capsys.readouterr().err
    proxy.requests.clear()
    assert copy_to_bigquery.main() == 0
    said = capsys.readouterr().out
    assert "score_histogram: there already, 1 day, 4 rows" in said
    assert "quality_results: copied, 2 days, 8 rows" in said
    loads = [job["load"]["destinationTable"]["tableId"] for job in proxy.jobs() if "load" in job]
    assert [name for name in loads if not name.startswith("staging_")] == ["quality_results"], "a table is one job"
    target = opened()
    for table in TABLES.values():
        if table.owner == "plumbline":
            for day in source.days(table.name):
                assert target.fingerprint(table.name, day) == source.fingerprint(table.name, day), table.name
    assert verify(target.read("threshold_ledger")) == []
    assert len(target.read("threshold_ledger")) == len(source.read("threshold_ledger")) == 1
    assert copy_to_bigquery.main() == 0
    assert "Copied 0 tables and 0 versions" in capsys.readouterr().out


def test_a_broken_ledger_is_not_copied(source, place, home: Path, monkeypatch, capsys):
    (version,) = (home / "data" / "warehouse" / "threshold_ledger").rglob("v*.parquet")
    shutil.copy(version, version.with_name("v000000002.parquet"))
    monkeypatch.setattr("sys.argv", arguments(place))
    assert copy_to_bigquery.main() == 1
    assert "the ledger to be copied is broken" in capsys.readouterr().err
