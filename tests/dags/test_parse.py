"""What the Dag files promise before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from include.config.settings import PROJECT_ROOT
from include.orchestration.ask import AskAPerson
from include.orchestration.dags import WhenUnavailable

FILES = sorted(path.stem for path in (PROJECT_ROOT / "dags").glob("*.py"))
HEAVY = ("great_expectations", "mlflow", "google.cloud", "sklearn", "pandas", "duckdb", "plotly", "scipy")
DAILY = {"sample_for_review", "ingest_reviewer_labels", "recalibrate_thresholds", "hand_off_retraining"}
STORAGE_TASKS = {
    "gate_golden_labels",
    "gate_appeals",
    "gate_enforcement_log",
    "scan_scores",
    "draw_sample",
    "look_up_details",
    "export_review_queue",
    "ingest_events",
    "land_pushed_labels",
    "form_consensus",
    "measure",
    "advance_canaries",
    "lift_expired",
    "publish_within_limits",
    "ask_for_approval",
    "roll_back",
    "roll_back_riskier",
    "hand_over",
    "write_snapshots",
    "compare_models",
    "send_queue",
    "fetch_answers",
}


def test_every_dag_file_holds_the_dag_of_its_name(dags: dict[str, Any]) -> None:
    assert set(dags) == set(FILES)
    assert set(dags) >= DAILY


IMPORTS = """
import importlib, json, os, sys, airflow.sdk, airflow.providers.standard.operators.hitl
before = set(sys.modules)
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(f"dags.{name}")
        print(json.dumps([name, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    os.wait()
"""
"""Says what each Dag file imports, alone, beyond what Airflow itself brings."""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """By Dag file, of a fresh interpreter: this one has everything imported."""
    done = subprocess.run([sys.executable, "-c", IMPORTS, *FILES], capture_output=True, text=True, check=True)
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


@pytest.mark.parametrize("name", FILES)
def test_parsing_imports_nothing_heavy(imported: dict[str, list[str]], name: str) -> None:
    assert f"dags.{name}" in imported[name]
    assert [m for m in imported[name] if m.startswith(HEAVY)] == []


@pytest.mark.parametrize("name", FILES)
def test_operators_find_every_task_and_a_tag(dags: dict[str, Any], name: str) -> None:
    dag = dags[name]
    assert {"plumbline"} < set(dag.tags)
    shown = set(dag.task_ids)
    assert shown
    undocumented = [task_id for task_id in sorted(shown) if f"`{task_id}`" not in dag.doc_md]
    assert undocumented == []


@pytest.mark.parametrize("name", FILES)
def test_a_dag_says_what_it_does_and_its_graph_opens_on_a_few_boxes(dags: dict[str, Any], name: str) -> None:
    """A box of the graph takes some 250 px: six in a row and what is about them fit 1440 px."""
    assert 40 < len(dags[name].description) < 110
    assert dags[name].description.endswith(".")
    top = dags[name].task_group.children.values()
    assert 1 <= len(top) <= 6
    assert all("." not in task_id for task_id in dags[name].task_ids), "a group leaves its tasks' ids as they are"


@pytest.mark.parametrize("name", FILES)
def test_only_storage_is_retried_whatever_failed_and_all_others_where_the_warehouse_was_away(
    dags: dict[str, Any], name: str
) -> None:
    assert all(task.retries for task in dags[name].tasks)
    always = {task.task_id for task in dags[name].tasks if task.retry_policy is None}
    assert always == STORAGE_TASKS & set(dags[name].task_ids)
    assert {type(task.retry_policy) for task in dags[name].tasks} <= {type(None), WhenUnavailable}


STEPS = {
    "sample_for_review": "sampling.stage",
    "ingest_reviewer_labels": "labels.stage",
    "recalibrate_thresholds": "thresholds.stage",
    "recalibrate_ad_hoc": "thresholds.ad_hoc",
    "roll_back_thresholds": "thresholds.roll_back",
    "hand_off_retraining": "retraining.stage",
    "accept_model": "thresholds.accept",
    "send_notifications": "notifications.stage",
    "sync_reviews": "review_tools.stage",
}


def test_every_dag_is_made_of_steps_but_the_one_that_works_on_many_days() -> None:
    assert set(FILES) - set(STEPS) == {"land_pushed_labels"}


@pytest.mark.parametrize(("name", "place"), STEPS.items())
def test_every_step_exists_in_its_module(dags: dict[str, Any], name: str, place: str) -> None:
    module = import_module(f"include.{place}")
    called = {task.task_id: "approval" if isinstance(task, AskAPerson) else task.function for task in dags[name].tasks}
    assert called
    assert [task_id for task_id, function in called.items() if not callable(getattr(module, function, None))] == []


@pytest.mark.parametrize("name", ["recalibrate_ad_hoc", "roll_back_thresholds", "accept_model"])
def test_every_field_of_a_form_explains_itself_with_an_example(dags: dict[str, Any], name: str) -> None:
    fields = [dags[name].params.get_param(field) for field in dags[name].params]
    assert len(fields) > 1
    for field in fields:
        assert field.schema["title"]
        text = field.schema["description_md"]
        assert "e.g." in text or "`" in text or "enum" in field.schema, field.schema


def test_the_dags_are_chained_by_partitioned_assets(dags: dict[str, Any]) -> None:
    def outlets(name: str) -> set[str]:
        return {asset.uri for task in dags[name].tasks for asset in task.outlets}

    def awaited(name: str) -> set[str]:
        condition = dags[name].timetable.asset_condition
        return {asset.uri for asset in getattr(condition, "objects", [condition])}

    for name, before in (
        ("recalibrate_thresholds", ("sample_for_review", "ingest_reviewer_labels")),
        ("hand_off_retraining", ("recalibrate_thresholds",)),
    ):
        assert len(awaited(name)) == len(before)
        assert awaited(name) == set().union(*map(outlets, before))


def test_parsing_twice_gives_the_same_dag() -> None:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    for name in FILES:
        result = check_dag_file_stability(str(PROJECT_ROOT / "dags" / f"{name}.py"))
        assert not result.warnings, result.format_warnings()
