"""Running, deciding, recording: quality_results, Data Docs, and GateFailed."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.quality import suites
from include.quality.checks import Judged, between
from include.quality.data_docs import write_page
from include.quality.gate import GateFailed, judge, reopen, run_gate
from include.warehouse.duckdb import DuckDBWarehouse
from tests.quality import frames
from tests.quality.frames import DAY

NONE = empty_frame(TABLES["gate_failures"])


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "landing", tmp_path / "warehouse")


def consensus(p: float = 0.25) -> list[Judged]:
    return suites.consensus(frames.label_consensus(5).assign(p_violating=p))


def test_results_have_the_contracts_columns_in_order_of_the_checks():
    judged = [*consensus(), *suites.snapshot(frames.manifest(), 1000)]
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


def test_judge_records_then_raises(warehouse: DuckDBWarehouse, tmp_path: Path):
    outcome = judge(warehouse, "consensus", DAY, consensus(), tmp_path)
    assert outcome.passed
    with pytest.raises(GateFailed) as failed:
        judge(warehouse, "consensus", DAY, consensus(1.7), tmp_path)
    message = str(failed.value)
    for word in ("gate consensus", "1 critical check:", "label_consensus", str(DAY), "p_violating=1.7", "5 of 5 rows"):
        assert word in message
    recorded = warehouse.read("quality_results", DAY, DAY, slice_value="consensus")
    assert recorded["success"].tolist().count(False) == 1
    assert 'content="fail"' in (tmp_path / f"ds={DAY}" / "consensus.html").read_text()


def test_a_day_that_failed_and_was_healed_keeps_the_trace_of_the_failure(warehouse: DuckDBWarehouse, tmp_path: Path):
    def judged(p: float) -> None:
        reopen(warehouse, "consensus", DAY)
        judge(warehouse, "consensus", DAY, consensus(p), tmp_path / "docs")

    def failed(p: float) -> None:
        with pytest.raises(GateFailed):
            judged(p)

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    page, index = tmp_path / "docs" / f"ds={DAY}" / "consensus.html", tmp_path / "docs" / "index.html"
    failed(1.7)
    first = files()
    failed(1.7)
    assert files() == first, "the same inputs judged again"
    assert "failed" not in index.read_text()
    judged(0.25)
    assert "failed first, healed on the second attempt" in page.read_text()
    failed(2.5)
    assert "failed once before" in page.read_text()
    judged(0.25)
    healed = files()
    judged(0.25)
    assert files() == healed

    kept = warehouse.read("gate_failures", DAY, DAY)
    assert kept[["gate", "attempt"]].to_numpy().tolist() == [["consensus", 1], ["consensus", 2]]
    assert kept["observed"].str.extract(r"p_violating=([^,]+),")[0].tolist() == ["1.7", "2.5"]
    assert warehouse.read("quality_results", DAY, DAY)["success"].all()
    assert run_gate("g", DAY, [suites.contract(TABLES["gate_failures"], kept)]).passed
    for shown in (page, index):
        assert "failed 2 times, healed on the third attempt" in shown.read_text()
    assert "attempt 1: label_consensus, 2026-11-03, column p_violating: 5 of 5 rows" in page.read_text()
    failed(1.7)
    assert len(warehouse.read("gate_failures", DAY, DAY)) == 2
    assert "1.7" in page.read_text()
    assert "failed once before" in page.read_text()


def test_page_shows_every_expectation_and_needs_no_network(tmp_path: Path):
    outcome = run_gate("consensus", DAY, consensus(1.7))
    page = write_page(tmp_path, outcome, NONE).read_text()
    for check in outcome.results["expectation"]:
        assert f"{check} (critical)" in page
    failing = page[page.index("p_violating is at least 0 and at most 1 (critical)") :]
    assert "5 unexpected values found" in failing[:2000]
    assert "1.7" in failing[:4000]
    for text in (page, (tmp_path / "index.html").read_text()):
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|<script|<link|url\(|@import""", text)


def test_page_escapes_what_came_from_data(tmp_path: Path):
    rows = frames.label_consensus(2).assign(status="<script>alert(1)</script>")
    page = write_page(tmp_path, run_gate("consensus", DAY, suites.consensus(rows)), NONE).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_rerun_writes_the_same_bytes(tmp_path: Path):
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(tmp_path.rglob("*.html"))}

    write_page(tmp_path, run_gate("consensus", DAY, consensus(1.7)), NONE)
    first = content()
    write_page(tmp_path, run_gate("consensus", DAY, consensus(1.7)), NONE)
    assert content() == first
    assert len(first) == 2


def test_index_shows_days_and_gates_with_their_status(tmp_path: Path):
    write_page(tmp_path, run_gate("consensus", DAY, consensus()), NONE)
    write_page(tmp_path, run_gate("consensus", date(2026, 11, 4), consensus(1.7)), NONE)
    empty = suites.labels(frames.label_events(0), frames.label_rejects(), 0, frames.CONFIG)
    write_page(tmp_path, run_gate("labels", DAY, empty), NONE)
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
    threads = [threading.Thread(target=write_page, args=(tmp_path, outcome, NONE)) for outcome in outcomes]
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
