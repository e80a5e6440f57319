"""`make demo` as a newcomer starts it: killed on the way, started again, and once more when all is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from include.config.declared import declared_settings
from include.config.settings import PROJECT_ROOT, Settings
from include.contract.tables import CELL, TABLES
from include.ledger.chain import verify
from include.project import open_project
from include.wording import score
from tests.loop import DAYS, FORM, LAST, Loop, nobody

pytestmark = pytest.mark.airflow

SMALL = "extends: calm\ndescription: A platform small enough for a test.\nvideos_per_day: 3000\n"

KILLED_IN_ITS_SECOND_DAY = """
import os
from include.demo.__main__ import main
from include.warehouse.duckdb import DuckDBWarehouse

replace = DuckDBWarehouse.replace
designed = set()

def replace_or_die(warehouse, table, day, *rows, **slice):
    replace(warehouse, table, day, *rows, **slice)
    if table == "sampling_design":
        designed.add(day)
    if len(designed) == 2:
        os.kill(os.getpid(), 9)

DuckDBWarehouse.replace = replace_or_die
main()
"""


def run(
    home: Path, *options: str, program: tuple[str, ...] = ("-m", "include.demo")
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"PLUMBLINE_HOME": str(home), "PYTHONPATH": str(PROJECT_ROOT)}
    arguments = [sys.executable, *program, "--days", "2", *options]
    return subprocess.run(arguments, env=environment, cwd=home, capture_output=True, text=True, check=False)


def fingerprints(settings: Settings, day: date | None = None) -> dict[tuple[str, date], str | None]:
    """Hash of every partition's content, or of those of one day; of landed files, which may be garbage, the bytes'."""
    warehouse = open_project(settings).warehouse
    found = {
        (name, held): warehouse.fingerprint(name, held)
        for name, table in TABLES.items()
        if table.owner == "plumbline"
        for held in warehouse.days(name)
    }
    for file in settings.landing.glob("*/ds=*/*"):
        landed = date.fromisoformat(file.parent.name.removeprefix("ds="))
        found[str(file.relative_to(settings.landing)), landed] = hashlib.sha256(file.read_bytes()).hexdigest()
    return {key: digest for key, digest in found.items() if day in (None, key[1])}


def written(home: Path) -> dict[Path, int]:
    """When each file of the demo was last written."""
    return {path: path.stat().st_mtime_ns for path in (home / "data").rglob("*") if path.is_file()}


def test_the_demo_goes_on_where_it_was_killed_and_then_has_nothing_to_do(home: Path) -> None:
    scenario = home / "small.yaml"
    scenario.write_text(SMALL)
    settings = declared_settings()

    started = datetime.now(UTC).date()
    killed = run(home, "--scenario", scenario.name, program=("-c", KILLED_IN_ITS_SECOND_DAY))
    said = killed.stdout
    assert killed.returncode == -9, said + killed.stderr
    first = date.fromisoformat(json.loads((home / "data" / "demo.json").read_text())["start"])
    assert started <= first + timedelta(days=2) <= datetime.now(UTC).date()
    last = first + timedelta(days=1)
    assert re.search(rf"^{first} +1/2 +[\d,]+ scores, [\d,]+ drawn", said, re.MULTILINE)
    assert "2/2" not in said
    assert not (settings.reports / f"{last}.html").exists()
    before = fingerprints(settings, first)

    resumed = run(home, "--scenario", scenario.name)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert " 1/2 " not in resumed.stdout
    assert re.search(rf"^{last} +2/2 +[\d,]+ scores, [\d,]+ drawn, [1-9][\d,]* labels in", resumed.stdout, re.MULTILINE)
    assert "scripted manager answers" in resumed.stdout
    assert fingerprints(settings, first) == before
    warehouse = open_project(settings).warehouse
    assert verify(warehouse.read("threshold_ledger")) == []

    proposals = warehouse.read("threshold_proposals", last, last)
    assert len(proposals) == 9
    for row in proposals.to_dict("records"):
        cell = " ".join(row[name] for name in CELL)
        line = rf"^{cell} +{score(row['current_remove_at'])} .*target 9\d% .* \d+\.\d% +\d+\.\d%$"
        assert re.search(line, resumed.stdout, re.MULTILINE), cell
    report = re.search(r"^Report: (.+)$", resumed.stdout, re.MULTILINE)
    assert report is not None
    assert (home / report[1]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    for place in (settings.thresholds, settings.quality_docs / "index.html", home / "data" / "demo.log"):
        assert str(place.relative_to(home)) in resumed.stdout
        assert place.exists()

    done = written(home)
    again = run(home, "--scenario", scenario.name)
    assert again.returncode == 0
    assert "2 days were run before; nothing to do" in again.stdout
    assert again.stdout.partition("\n\n")[2] == resumed.stdout.partition("demo.log\n\n")[2]
    assert written(home) == done

    other = run(home, "--scenario", "calm")
    assert other.returncode == 1
    assert other.stderr == "data holds a demo of scenario 'small.yaml'; `make clean` removes it\n"


def test_a_form_filled_in_on_the_last_day_leaves_the_summary_as_it_was(ended: Loop) -> None:
    state = {"scenario": ended.scenario, "start": ended.day(0).isoformat(), "done": DAYS}
    (ended.home / "data" / "demo.json").write_text(json.dumps(state))
    options = ("--scenario", ended.scenario, "--days", str(DAYS))
    before = run(ended.home, *options)
    assert before.returncode == 0, before.stdout + before.stderr
    assert len(re.findall(r" target 9\d% ", before.stdout)) == len(ended.read("threshold_proposals", LAST)) > 0

    ended.fill_in("recalibrate_ad_hoc", nobody, **FORM)
    assert ended.read("threshold_proposals", LAST)["origin"].nunique() == 2
    after = run(ended.home, *options)
    assert (after.returncode, after.stdout) == (0, before.stdout), after.stderr


@pytest.mark.parametrize(
    ("options", "policies", "said"),
    [
        (("--scenario", "storm"), None, "no scenario storm; allowed: broken_feed, calm, "),
        (("--scenario", "gone.yaml"), None, "gone.yaml: cannot be read: No such file"),
        ((), "policies: {}\n", "policies.yaml: "),
    ],
)
def test_a_wrong_configuration_is_said_before_anything_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], policies: str | None, said: str
) -> None:
    if policies is not None:
        (home / "policies.yaml").write_text(policies)
        monkeypatch.setenv("PLUMBLINE_CONFIG", "policies.yaml")
    refused = run(home, *options)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (home / "data").exists()
