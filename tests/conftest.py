"""One Airflow home for the whole run: its environment before any test imports airflow, its database when asked for."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from include.local.environment import enter_airflow
from tests.heard import heard_to
from tests.places import MOVES_SOON, configured
from tests.untested import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

if TYPE_CHECKING:
    from tests.history import History
    from tests.loop import Loop

gc.disable()  # until all tests are imported: searching what imports make, again and again, takes seconds

# How long an example takes is the machine's affair.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
settings.register_profile("ci", derandomize=True)  # CI judges a change, not the luck of new examples
if os.environ.get("CI"):
    settings.load_profile("ci")

_AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="plumbline-airflow-"))
enter_airflow(_AIRFLOW_HOME)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


SLOWEST_FIRST = ("scheduler", "airflow", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the files by their markers, so that at the end of a run no process is left alone with a slow one."""

    def place(item: pytest.Item) -> int:
        marked = [n for n, marker in enumerate(SLOWEST_FIRST) if item.get_closest_marker(marker)]
        return min(marked, default=len(SLOWEST_FIRST))

    items.sort(key=place)


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
    """A place that the settings' relative paths start from, with a policies.yaml under which thresholds move soon."""
    configured(tmp_path, MOVES_SOON)
    monkeypatch.setenv("PLUMBLINE_HOME", str(tmp_path))
    monkeypatch.setenv("PLUMBLINE_CONFIG", "policies.yaml")
    return tmp_path


def shared(factory: pytest.TempPathFactory, name: str, live: Callable[[Path], None]) -> Path:
    """A home that `live` filled: the first of pytest-xdist's processes that wants it makes it, for all of them."""
    own = factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    home = folder / name
    with (folder / f"{name}.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            configured(home, MOVES_SOON)
            patch.setenv("PLUMBLINE_HOME", str(home))
            patch.setenv("PLUMBLINE_CONFIG", "policies.yaml")
            live(home)
            (home / "complete").touch()
    return home


@pytest.fixture(scope="session")
def history(dags: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """DAYS days of the daily Dags; nothing was approved yet. Tests work on copies.

    The last day's sample and labels are its Dags'; the steps of the days before are called without Airflow and gates.
    """
    from include.contract.cell import records
    from include.contract.change import changes_of
    from tests.history import REJECTED
    from tests.loop import LAST, Loop

    def live(home: Path) -> None:
        loop = Loop(home, dags)
        for index in range(LAST):
            loop.steps.run_day(index, REJECTED)
        changes = [change for row in records(loop.read("threshold_ledger")) for change in changes_of(row)]
        assert {change.new.remove_at == change.old.remove_at for change in changes} == {True}, "a remove_at was moved"
        loop.platform.land_day(loop.day(LAST))
        for dag_id in ("sample_for_review", "ingest_reviewer_labels"):
            heard_to(home, dag_id, partial(loop.run, dag_id, LAST))

    return Loop(shared(tmp_path_factory, "history", live), dags)


@pytest.fixture(scope="session")
def ended_history(history: Loop, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """`history` and the rest of its last day, whose changes were approved. Tests that change it work on copies."""
    from tests.loop import LAST, Loop, approve

    def live(home: Path) -> None:
        shutil.copytree(history.home / "data", home / "data")
        loop = Loop(home, history.dags)
        for dag_id in ("recalibrate_thresholds", "hand_off_retraining"):
            heard_to(home, dag_id, partial(loop.run, dag_id, LAST, approve))

    return Loop(shared(tmp_path_factory, "ended_history", live), history.dags)


@pytest.fixture(scope="session")
def published_history(ended_history: Loop, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """`ended_history`, a manager's request on top of it, approved, and a rollback. Tests work on copies."""
    from tests.loop import FORM, Loop, approve

    def live(home: Path) -> None:
        shutil.copytree(ended_history.home / "data", home / "data")
        loop = Loop(home, ended_history.dags)
        asked = FORM | {"goal": "own", "precision_percent": 60, "window_days": 10, "mode": "propose"}
        heard_to(home, "recalibrate_ad_hoc", partial(loop.fill_in, "recalibrate_ad_hoc", approve, **asked))
        back = partial(loop.fill_in, "roll_back_thresholds", lambda *_: "Roll back", version=1, reason="complaints")
        heard_to(home, "roll_back_thresholds", back)

    return Loop(shared(tmp_path_factory, "published_history", live), ended_history.dags)


RIVALS = """extends: calm
description: A better but differently calibrated fraud-v3 scores alongside fraud-v2.
policies:
  fraud:
    models:
      fraud-v3: {separation: 1.4, noise: 0.2, slope: 0.9, offset: -2.6, market_offsets: {IN: 0.3}, missing_share: 0.008}
"""


@pytest.fixture(scope="session")
def rivals(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Days on which a challenger scores beside the champion, which alone is in MLflow's registry."""
    from tests.history import History
    from tests.retraining.models import register

    def history_in(home: Path) -> History:
        return History(home / "data", str(home / "rivals.yaml"), 20_000)

    def live(home: Path) -> None:
        (home / "rivals.yaml").write_text(RIVALS)
        history = history_in(home)
        for index in range(8):
            history.run_day(index)
        register(history.project.settings.mlflow, "fraud", "fraud-v2", "champion")

    return history_in(shared(tmp_path_factory, "rivals", live))


@pytest.fixture(scope="session")
def accepted_history(rivals: History, dags: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """`rivals`, and the Dag `accept_model`, really run: a person asked for the challenger, and another approved."""
    from tests.loop import Loop, approve
    from tests.retraining.models import register

    def live(home: Path) -> None:
        shutil.copytree(rivals.home, home / "data")
        loop = Loop(home, dags, rivals.scenario)
        register(loop.settings.mlflow, "fraud", "fraud-v3", "challenger")
        form: dict[str, Any] = {"policy": "fraud", "challenger": None, "mode": "accept", "reason": "Retrained"}
        heard_to(home, "accept_model", lambda: loop.fill_in("accept_model", approve, **form))

    return Loop(shared(tmp_path_factory, "accepted_history", live), dags, rivals.scenario)


@pytest.fixture
def loop(history: Loop, home: Path) -> Loop:
    """A copy of `history` of the test's own."""
    return history.copied_to(home)


@pytest.fixture
def ended(ended_history: Loop, home: Path) -> Loop:
    """A copy of `ended_history` of the test's own."""
    return ended_history.copied_to(home)
