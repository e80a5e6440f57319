"""One Airflow home for the whole run: its environment before any test imports airflow, its database when asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from include.local.environment import enter_airflow
from tests.untested import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

if TYPE_CHECKING:
    from tests.loop import Loop

# How long an example takes is the machine's affair.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
settings.register_profile("ci", derandomize=True)  # CI judges a change, not the luck of new examples
if os.environ.get("CI"):
    settings.load_profile("ci")

_AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="plumbline-airflow-"))
enter_airflow(_AIRFLOW_HOME)


@pytest.fixture(scope="session")
def dags() -> Iterator[dict[str, Any]]:
    """The project's Dags over a migrated metadata database with the settings of airflow_settings.yaml."""
    from include.local.metadata import apply_settings, migrate
    from include.local.runs import load_dags

    migrate()
    apply_settings()
    yield load_dags()
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for data that the settings' relative paths start from."""
    monkeypatch.setenv("PLUMBLINE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def history(dags: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """DAYS days of all daily Dags; a person has never been asked anything yet. Tests work on copies."""
    from tests.loop import DAYS, Loop, reject

    home = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUMBLINE_HOME", str(home))
        loop = Loop(home, dags)
        for index in range(DAYS - 1):
            loop.run_day(index, reject)
        loop.platform.land_day(loop.day(DAYS - 1))
        loop.run("sample_for_review", DAYS - 1)
        loop.run("ingest_reviewer_labels", DAYS - 1)
    return loop


@pytest.fixture
def loop(history: Loop, home: Path) -> Loop:
    """A copy of `history` of the test's own."""
    from tests.loop import Loop

    shutil.copytree(history.home / "data", home / "data")
    return Loop(home, history.dags)
