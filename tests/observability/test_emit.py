"""Metrics of a lived day, really sent to a StatsD that listens on loopback, and what tasks tell of themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, time
from importlib.util import find_spec

import pytest

from include.notifications.stage import emit_metrics
from include.observability.announce import COUNTED, announced
from include.observability.emit import sends_metrics
from include.observability.tasks import of_scans, tell
from include.project import open_project
from include.sampling import stage as sampling
from include.warehouse.base import Caller
from include.warehouse.remembered import Remembered
from tests.loop import LAST, Loop
from tests.untested import untested

pytestmark = pytest.mark.airflow


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A StatsD: a socket that takes what Airflow sends."""
    if find_spec("statsd") is None:
        untested("metrics by StatsD", "statsd is not installed")
    from airflow.sdk.observability.metrics import stats_utils
    from airflow.sdk.observability.stats import initialize

    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(0.2)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(bound.getsockname()[1]))
        initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
        yield bound
    monkeypatch.undo()
    initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


def heard(listener: socket.socket) -> dict[str, float]:
    """Gauges by name."""
    found = {}
    try:
        while True:
            name, _, value = listener.recv(2_000).decode().partition(":")
            assert value.endswith("|g")
            found[name] = float(value.removesuffix("|g"))
    except TimeoutError:
        return found


def test_a_day_is_sent_as_gauges(listener: socket.socket, ended: Loop) -> None:
    now = datetime.combine(ended.day(LAST + 1), time(9), tzinfo=UTC)
    said = emit_metrics(ended.project, now)
    found = heard(listener)
    assert said == f"{len(found)} gauges sent"
    proposals = ended.read("threshold_proposals", LAST)
    certified = proposals[proposals["bound"].notna()].iloc[0]
    cell = ".".join(certified[["policy", "market", "model_version"]])
    assert found[f"airflow.plumbline.cell.certified.{cell}"] == 1
    assert found[f"airflow.plumbline.cell.precision_bound.{cell}"] == pytest.approx(certified["bound"])
    assert found["airflow.plumbline.ledger.version"] == ended.read("threshold_ledger")["version"].max()
    assert found["airflow.plumbline.days.late"] == 2
    assert found["airflow.plumbline.gate.failed.scores"] == 0
    assert 0 < found["airflow.plumbline.market.queue_load.BR"] < 2
    events = ended.read("label_events", LAST)
    accepted = {name: value for name, value in found.items() if name.startswith("airflow.plumbline.labels.accepted.")}
    assert sum(accepted.values()) == len(events)


def test_where_airflow_sends_no_metrics_none_are_worked_out(ended: Loop) -> None:
    assert not sends_metrics()
    assert emit_metrics(ended.project, datetime.now(UTC)).startswith("Airflow sends no metrics")


def test_a_scan_is_told_with_its_seconds_and_bytes(listener: socket.socket, ended: Loop) -> None:
    project, day = open_project(ended.settings, Caller("dag", "task", "", "1")), ended.day(LAST)
    sampling.scan_scores(project, day)
    tell(project)
    found = heard(listener)
    landed = (ended.settings.landing / "video_scores" / f"ds={day}").rglob("*.parquet")
    assert found["airflow.plumbline.scan.bytes.profile_and_histogram"] == sum(path.stat().st_size for path in landed)
    assert found["airflow.plumbline.scan.seconds.profile_and_histogram"] > 0
    warehouse = project.warehouse
    assert isinstance(warehouse, Remembered)
    assert len(list(of_scans(warehouse.scans))) == 2 * len(warehouse.scans) > 0
    assert "video_scores" in warehouse.tables_read
    assert warehouse.tables_written == {"score_profile", "score_histogram", "score_panel", "quality_results"}


@pytest.mark.parametrize("table", COUNTED)
def test_an_asset_event_carries_counts_and_links(ended: Loop, table: str) -> None:
    day = ended.day(LAST)
    extra = announced(ended.project, day, table, lambda address: f"http://air/{address}")
    assert (extra["day"], extra["links"]) == (str(day), {"day": f"http://air/days/{day}"})
    rows = ended.read(table, LAST)
    assert sum(extra["counts"].values()) == len(rows) > 0
    if table == "threshold_proposals":
        assert extra["version"] == ended.read("threshold_ledger")["version"].max()
