"""An Airflow API server over a lived project, with runs and open questions in its metadata as Airflow keeps them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from include.config.settings import PROJECT_ROOT
from include.local.environment import PASSWORDS, airflow_environment
from include.local.processes import HOST, Server, stop
from include.orchestration.ask import AskAPerson
from include.thresholds import ad_hoc, roll_back
from include.thresholds.request import FormRun
from tests.loop import FORM, LAST, Loop
from tests.waiting import HANG, wait_for

MARKUP = '<img src=x onerror="document.title=1"> **bold** [link](javascript:alert(1))'
"""A reason that must stay text."""
STRANGER = "<script>document.title=2</script>"
"""A user's name that must stay text."""
USERS = {"asker": "user", "approver": "user", "reader": "viewer", "operator": "op", "chief": "admin"}
"""Logins, with roles of Airflow's simple auth manager. Each one's password is the name."""
FAB_USERS = {name: role.title() for name, role in USERS.items()} | {"tool": "Plumbline labels"}
"""The same with roles of Airflow's FAB auth manager, and a review tool with a role that was made for it."""
FAB_PACKAGES = PROJECT_ROOT / ".venv" / "fab"
"""Where `make fab` installs that manager."""
BASE_PATH = "/team/air"
REQUEST, ROLL_BACK, STRANGE = "manual__request", "manual__back", "manual__strange"


@dataclass(frozen=True)
class Site:
    """A server with a path in its base URL; `url` holds it."""

    loop: Loop
    url: str
    metadata: Path

    def token(self, user: str) -> str:
        """A login."""
        _, found = self.send("POST", "/auth/token", body={"username": user, "password": user})
        return str(json.loads(found)["access_token"])

    def send(
        self, method: str, path: str, token: str | None = None, body: dict[str, Any] | None = None, accept: str = "*/*"
    ) -> tuple[int, str]:
        """Status and text of the answer, whatever it is."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": accept}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{self.url}{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=HANG) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def responder(self, run_id: str) -> dict[str, str]:
        """Who answered the run's question, with name and id, as Airflow recorded it."""
        query = "SELECT responded_by FROM hitl_detail JOIN task_instance ON ti_id = id WHERE run_id = ?"
        with closing(sqlite3.connect(self.metadata)) as database:
            return dict(json.loads(database.execute(query, [run_id]).fetchone()[0]))

    def answered(self, run_id: str) -> tuple[str, list[str]] | None:
        """Who answered the run's question, and what, as Airflow recorded it; None: nobody yet."""
        query = (
            "SELECT responded_by, chosen_options FROM hitl_detail JOIN task_instance ON ti_id = id "
            "WHERE run_id = ? AND responded_at IS NOT NULL"
        )
        with closing(sqlite3.connect(self.metadata)) as database:
            row = database.execute(query, [run_id]).fetchone()
        return None if row is None else (json.loads(row[0])["name"], json.loads(row[1]))

    def asker(self, run_id: str) -> str:
        """Who started the run, as Airflow recorded it."""
        query = "SELECT triggering_user_name FROM dag_run WHERE run_id = ?"
        with closing(sqlite3.connect(self.metadata)) as database:
            return str(database.execute(query, [run_id]).fetchone()[0])

    def runs(self, dag_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Who started each run of the Dag through the API, and with what form."""
        query = "SELECT triggering_user_name, conf FROM dag_run WHERE dag_id = ? AND run_id NOT IN (?, ?, ?)"
        with closing(sqlite3.connect(self.metadata)) as database:
            rows = database.execute(query, [dag_id, REQUEST, ROLL_BACK, STRANGE]).fetchall()
        return [(name, json.loads(form)) for name, form in rows]


@contextmanager
def site(loop: Loop, *, fab: bool = False) -> Iterator[Site]:
    """Serves `loop`, whose home PLUMBLINE_HOME names, under the simple or the FAB auth manager."""
    home = loop.home / "airflow"
    home.mkdir(mode=0o700)
    (home / PASSWORDS).write_text(json.dumps({name: name for name in USERS}))
    metadata = home / "airflow.db"
    with (
        closing(sqlite3.connect(Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")) as one,
        closing(sqlite3.connect(metadata)) as other,
    ):
        one.backup(other)
    _fill(loop, metadata)
    server, process = _started(home, _under_fab(home) if fab else {})
    try:
        yield Site(loop, f"{server.url}{BASE_PATH}", metadata)
    finally:
        stop(server)
        process.wait()


def _under_fab(home: Path) -> dict[str, str]:
    """What lets Airflow run under the FAB auth manager; its tables and FAB_USERS are made."""
    more = {
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__API__SECRET_KEY": "of this test alone",
        "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), str(FAB_PACKAGES)]),
    }
    command = [sys.executable, "-m", "tests.console.fab.prepare", json.dumps(FAB_USERS)]
    environment = {**os.environ, **airflow_environment(home), **more}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return more


def _started(home: Path, more: dict[str, str]) -> tuple[Server, subprocess.Popen[bytes]]:
    import socket

    import psutil

    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        **airflow_environment(home),
        "AIRFLOW__CORE__FERNET_KEY": os.environ["AIRFLOW__CORE__FERNET_KEY"],  # of the metadata that was copied
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}{BASE_PATH}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        **more,
    }
    with (home / "api-server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process.pid, psutil.Process(process.pid).create_time(), port)

    def answers() -> bool:
        assert process.poll() is None, (home / "api-server.log").read_text()[-3000:]
        with (
            suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"{server.url}{BASE_PATH}/api/v2/version", timeout=5),
        ):
            return True
        return False

    wait_for(answers, "the API server answers", every=0.25)
    return server, process


def _fill(loop: Loop, metadata: Path) -> None:
    """Runs, and questions that wait, where Airflow keeps them; of no other test."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from sqlalchemy import create_engine, delete
    from sqlalchemy.orm import Session

    engine = create_engine(f"sqlite:///{metadata}")
    with Session(engine) as session:
        session.execute(delete(DagRun))
        DagBundlesManager().sync_bundles_to_db(session=session)
        session.flush()
        bag = DagBag(dag_folder=str(PROJECT_ROOT / "dags"))
        sync_bag_to_db(bag, "dags-folder", None, session=session)
        session.commit()

        def stored(dag_id: str) -> Any:
            found = SerializedDagModel.get(dag_id, session=session)
            assert found is not None
            return found.dag

        day, project = loop.day(LAST), loop.project
        for dag_id in ("ingest_reviewer_labels", "recalibrate_thresholds", "hand_off_retraining"):
            _run(session, stored(dag_id), f"manual__{dag_id}", "success", {"run_date": str(day)})
        broken = loop.day(LAST + 1)
        failed = _run(session, stored("sample_for_review"), "manual__next", "failed", {"run_date": str(broken)})
        for task in failed.task_instances:
            task.state = "failed" if task.task_id == "gate_scores" else "success"

        every = {"policies": sorted(project.config.policies), "markets": sorted(project.config.markets)}
        wanted = FORM | every | {"goal": "own", "precision_percent": 75, "mode": "propose", "reason": MARKUP}
        request = FormRun("recalibrate_ad_hoc", REQUEST, "asker", wanted)
        newest = ad_hoc.read_request(project, request)
        ad_hoc.propose_changes(project, request, newest)
        ad_hoc.write_report(project, request, newest)
        _asked(session, loop, stored(request.dag_id), request, ad_hoc.approval(project, request, newest))
        for run_id, user in ((ROLL_BACK, "approver"), (STRANGE, STRANGER)):
            back = FormRun("roll_back_thresholds", run_id, user, {"version": 1, "reason": MARKUP})
            _asked(session, loop, stored(back.dag_id), back, roll_back.approval(project, back, roll_back.NO_MORE))
        session.commit()
    engine.dispose()


def _run(session: Any, dag: Any, run_id: str, state: str, form: dict[str, Any], *, user: str | None = None) -> Any:
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    run = dag.create_dagrun(
        run_id=run_id,
        run_after=datetime.now(UTC),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.REST_API,
        triggering_user_name=user,
        conf=form,
        state=DagRunState(state),
        start_date=datetime.now(UTC),
        session=session,
    )
    if state != "running":
        run.end_date = datetime.now(UTC)
    return run


def _asked(session: Any, loop: Loop, dag: Any, form: FormRun, asks: Any) -> None:
    """The question as the operator puts it, waiting as Airflow's worker leaves it."""
    from airflow.models.hitl import HITLDetail

    run = _run(session, dag, form.run_id, "running", dict(form.form), user=form.user)
    task_id = "ask_for_approval" if form.dag_id == "recalibrate_ad_hoc" else "roll_back"
    (task,) = [task for task in run.task_instances if task.task_id == task_id]
    task.state, task.trigger_timeout = "awaiting_input", datetime.now(UTC) + timedelta(hours=20)
    question = asks.question()
    assert question is not None
    operator: AskAPerson = loop.dags[form.dag_id].get_task(task_id)
    operator._show(question, asks.address)
    session.add(
        HITLDetail(
            ti_id=task.id,
            options=operator.options,
            subject=operator.subject,
            body=operator.body,
            defaults=operator.defaults,
            multiple=False,
            params={},
            created_at=datetime.now(UTC),
        )
    )
