"""Running, deciding, recording: quality_results, Data Docs, and GateFailed."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.quality import suites
from include.quality.checks import Judged, between
from include.quality.data_docs import write_page
from include.quality.gate import GateFailed, judge, run_gate
from tests.quality import frames
from tests.quality.frames import DAY

if TYPE_CHECKING:
    from include.warehouse.base import Warehouse


class Recorder:
    """A warehouse that remembers what it was given."""

    def __init__(self) -> None:
        self.written: list[tuple[str, date, pd.DataFrame, str | None]] = []

    def replace(self, table: str, day: date, rows: pd.DataFrame, *, slice_value: str | None = None) -> None:
        self.written.append((table, day, rows, slice_value))


def consensus(p: float = 0.25) -> list[Judged]:
    return suites.consensus(frames.label_consensus(5).assign(p_violating=p))


def test_results_have_the_contracts_columns_in_order_of_the_checks():
    judged = [*consensus(), *suites.snapshot(frames.snapshot_rows(10), 100)]
    outcome = run_gate("consensus", DAY, judged)
    results = outcome.results
    assert list(results.columns) == list(TABLES["quality_results"].column_names)
    assert results["position"].tolist() == list(range(1, len(results) + 1))
    assert results["expectation"].tolist() == [check.description for part in judged for check in part.checks]
    assert not outcome.passed
    assert results.loc[~results["success"], "table_name"].tolist() == ["training_snapshots"]
    again = run_gate("consensus", DAY, judged)
    pd.testing.assert_frame_equal(results, again.results)
    assert run_gate("quality", DAY, [suites.contract(TABLES["quality_results"], results)]).passed


def test_a_warning_passes_and_is_reported():
    check = between("a", maximum=0, severity="warning", description="a is at most 0")
    outcome = run_gate("g", DAY, [Judged("t", pd.DataFrame({"a": [1, 0, 0]}), (check,))])
    assert outcome.passed
    assert outcome.warnings == ("t, 2026-11-03, column a: 1 of 3 rows, e.g. a=1. Must hold: a is at most 0",)


@pytest.mark.parametrize("values", [{"b": [1.0]}, {"a": ["text"]}, {"a": [object()]}])
def test_what_cannot_be_judged_is_critical_even_for_a_warning(values: dict[str, list[object]]):
    check = between("a", 0, 1, severity="warning", description="a is in range")
    outcome = run_gate("g", DAY, [Judged("t", pd.DataFrame(values), (check,))])
    assert not outcome.passed
    assert outcome.results["severity"].tolist() == ["critical"]
    assert outcome.failures[0].startswith("t, 2026-11-03, column a: could not be judged: ")


def test_judge_records_then_raises(tmp_path: Path):
    warehouse = Recorder()
    outcome = judge(cast("Warehouse", warehouse), "consensus", DAY, consensus(), tmp_path)
    assert outcome.passed
    with pytest.raises(GateFailed) as failed:
        judge(cast("Warehouse", warehouse), "consensus", DAY, consensus(1.7), tmp_path)
    message = str(failed.value)
    for word in ("gate consensus", "1 critical check:", "label_consensus", str(DAY), "p_violating=1.7", "5 of 5 rows"):
        assert word in message
    assert [(table, day, gate) for table, day, _, gate in warehouse.written] == [
        ("quality_results", DAY, "consensus")
    ] * 2
    assert warehouse.written[1][2]["success"].tolist().count(False) == 1
    assert 'content="fail"' in (tmp_path / f"ds={DAY}" / "consensus.html").read_text()


def test_page_shows_every_expectation_and_needs_no_network(tmp_path: Path):
    outcome = run_gate("consensus", DAY, consensus(1.7))
    page = write_page(tmp_path, outcome).read_text()
    for check in outcome.results["expectation"]:
        assert f"{check} (critical)" in page
    failing = page[page.index("p_violating is at least 0 and at most 1 (critical)") :]
    assert "5 unexpected values found" in failing[:2000]
    assert "1.7" in failing[:4000]
    for text in (page, (tmp_path / "index.html").read_text()):
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|<script|<link|url\(|@import""", text)


def test_page_escapes_what_came_from_data(tmp_path: Path):
    rows = frames.label_consensus(2).assign(status="<script>alert(1)</script>")
    page = write_page(tmp_path, run_gate("consensus", DAY, suites.consensus(rows))).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_rerun_writes_the_same_bytes(tmp_path: Path):
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(tmp_path.rglob("*.html"))}

    write_page(tmp_path, run_gate("consensus", DAY, consensus(1.7)))
    first = content()
    write_page(tmp_path, run_gate("consensus", DAY, consensus(1.7)))
    assert content() == first
    assert len(first) == 2


def test_index_shows_days_and_gates_with_their_status(tmp_path: Path):
    write_page(tmp_path, run_gate("consensus", DAY, consensus()))
    write_page(tmp_path, run_gate("consensus", date(2026, 11, 4), consensus(1.7)))
    empty = suites.labels(frames.label_events(0), frames.label_rejects(), 0, frames.CONFIG)
    write_page(tmp_path, run_gate("labels", DAY, empty))
    index = (tmp_path / "index.html").read_text()
    entries = re.findall(r'<a class="status (\w+)" href="([^"]+)">', index)
    assert entries == [
        ("fail", "ds=2026-11-04/consensus.html"),
        ("pass", "ds=2026-11-03/consensus.html"),
        ("warning", "ds=2026-11-03/labels.html"),
    ]
    assert all((tmp_path / link).exists() for _, link in entries)


def test_gates_of_one_day_written_at_once_are_all_in_the_index(tmp_path: Path):
    outcomes = [run_gate(f"gate{i}", DAY, [Judged("t", pd.DataFrame({"a": [1]}), ())]) for i in range(8)]
    threads = [threading.Thread(target=write_page, args=(tmp_path, outcome)) for outcome in outcomes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = (tmp_path / "index.html").read_text()
    assert all(f"gate{i}.html" in index for i in range(8))
    assert [path.name for path in (tmp_path / f"ds={DAY}").iterdir() if path.suffix != ".html"] == []


def test_no_progress_bars(capfd: pytest.CaptureFixture[str]):
    run_gate("consensus", DAY, consensus())
    assert "Calculating Metrics" not in capfd.readouterr().err


def test_importing_the_modules_does_not_import_great_expectations():
    code = (
        "import sys, include.quality.suites, include.quality.gate, include.quality.data_docs\n"
        "sys.exit(any(name in sys.modules for name in ('great_expectations', 'airflow', 'pyarrow.parquet')))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
