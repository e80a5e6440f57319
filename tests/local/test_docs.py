"""The generated docs are current, complete, and a stale one is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from include.config.settings import PROJECT_ROOT
from include.contract.tables import TABLES
from include.local import docs


def check() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["docs", "--check"])
        docs.main()


def test_the_docs_in_the_repository_are_current() -> None:
    done = subprocess.run([sys.executable, "-m", "include.local.docs", "--check"], cwd=PROJECT_ROOT, check=False)
    assert done.returncode == 0


ONE = '''"""
## Does one thing

Reads: `score_profile`.

Writes: `label_events`,
`label_rejects`.
"""

with DAG("one", schedule=DAILY_TIMETABLE):
    step("sampling", "draw_sample", outlets=[REVIEW_SAMPLE])
'''


def test_every_table_column_and_dag_is_in_them() -> None:
    tables, dags = docs.generated()[docs.DOCS / "tables.md"], docs.generated()[docs.DOCS / "dags.md"]
    for table in TABLES.values():
        section = tables.split(f"### `{table.name}`")[1].split("\n### ")[0]
        assert [name for name in table.column_names if f"| `{name}` |" not in section] == []
    assert [p.stem for p in (PROJECT_ROOT / "dags").glob("*.py") if f"## `{p.stem}`" not in dags] == []
    assert "When a task fails" in dags


def test_a_stale_or_missing_file_is_named_and_writing_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(docs, "PROJECT_ROOT", tmp_path)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "one.py").write_text(ONE)
    stale = r"Stale: docs/tables\.md, docs/dags\.md, docs/bigquery_cost\.md, docs/monitoring/.+\. Run `make docs`"
    with pytest.raises(SystemExit, match=stale):
        check()
    monkeypatch.setattr(sys, "argv", ["docs"])
    docs.main()
    check()
    (tmp_path / "dags" / "one.py").write_text(ONE.replace("one thing", "another thing"))
    with pytest.raises(SystemExit, match=r"Stale: docs/dags\.md\."):
        check()


def test_the_table_of_dags_says_when_each_runs_and_what_it_reads_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "PROJECT_ROOT", tmp_path)
    (tmp_path / "dags").mkdir()
    for name, schedule in (
        ("one", "DAILY_TIMETABLE"),
        ("two", "PartitionedAssetTimetable(assets=REVIEW_SAMPLE)"),
        ("three", "[PUSHED_LABELS]"),
    ):
        outlets = "REVIEW_SAMPLE" if name == "one" else "OTHER"
        source = ONE.replace("DAILY_TIMETABLE", schedule).replace("REVIEW_SAMPLE])", f"{outlets}])")
        (tmp_path / "dags" / f"{name}.py").write_text(source)
    form = ONE.replace("schedule=DAILY_TIMETABLE", "**FORM").replace("REVIEW_SAMPLE", "OTHER")
    (tmp_path / "dags" / "zero.py").write_text(form)
    rows = [line for line in docs.dag_reference().splitlines() if line.startswith("| [")]
    tables = "`score_profile` | `label_events`, `label_rejects` |"
    assert rows == [
        f"| [`one`](#one) | every day at 02:00 UTC, for the day before | {tables}",
        f"| [`three`](#three) | whenever pushed labels arrive over the REST API | {tables}",
        f"| [`two`](#two) | for each day, once `one` announced its results | {tables}",
        f"| [`zero`](#zero) | when somebody fills in its form | {tables}",
    ]


@pytest.mark.parametrize("word", ["Reads", "Writes"])
def test_a_dag_that_does_not_say_its_tables_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(docs, "PROJECT_ROOT", tmp_path)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "one.py").write_text(ONE.replace(f"{word}: ", "Uses: "))
    with pytest.raises(ValueError, match=rf"one\.py: the documentation lacks a line {word}:"):
        docs.dag_reference()


def test_a_dag_without_documentation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "PROJECT_ROOT", tmp_path)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "silent.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"silent\.py: a Dag file documents itself"):
        docs.dag_reference()
