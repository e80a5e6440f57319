"""The application mounted without a path, asked in this process: rights, headers, and storage that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loop import LAST, Loop

pytestmark = pytest.mark.airflow

CELL = "violence/BR/violence-v3"


@pytest.fixture(scope="module")
def mounted(dags: dict[str, Any]) -> Iterator[Any]:
    from airflow.api_fastapi.app import init_auth_manager
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from include.console.app import PREFIX, app

    init_auth_manager()
    parent = FastAPI()
    parent.mount(PREFIX, app)
    with TestClient(parent, base_url="http://127.0.0.1") as client:
        yield client


def login(role: str | None) -> dict[str, str]:
    """Headers of somebody with a role of the simple auth manager."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="vic", role=role))
    return {"Authorization": f"Bearer {token}", "Accept": "text/html"}


def stored_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the connection, as Airflow finds it first, name a warehouse in `folder`."""
    extra = {"engine": "duckdb", "landing": str(folder / "landing"), "warehouse": str(folder / "warehouse")}
    monkeypatch.setenv("AIRFLOW_CONN_PLUMBLINE_WAREHOUSE", json.dumps({"conn_type": "generic", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_VAR_PLUMBLINE_OUTPUT", str(folder / "output"))
    monkeypatch.setenv("AIRFLOW_VAR_PLUMBLINE_MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.setenv("AIRFLOW_VAR_PLUMBLINE_ANCHOR", "")


def test_airflow_decides_who_may_read(mounted: Any, ended: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_in(ended.home / "data", monkeypatch)
    for path in ("", f"cells/{CELL}", "api/thresholds", "static/page.css", "nothing/here"):
        assert mounted.get(f"/plumbline/{path}").status_code == 401
        assert mounted.get(f"/plumbline/{path}", headers=login(None)).status_code == 403
    page = mounted.get("/plumbline/", headers=login("viewer"))
    assert page.status_code == 200
    assert 'href="/plumbline/static/page.css"' in page.text
    assert f'href="/plumbline/cells/{CELL}"' in page.text
    assert 'href="/dags/' not in page.text.replace('data-airflow href="/dags/', "")
    assert "does not let you see this" in mounted.get("/plumbline/", headers=login(None)).text


def test_every_answer_keeps_scripts_of_others_out(mounted: Any, ended: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_in(ended.home / "data", monkeypatch)
    day, viewer = ended.day(LAST), login("viewer")
    for path in (
        "",
        f"cells/{CELL}",
        "api",
        "api/thresholds",
        "static/page.js",
        "nothing/here",
        f"days/{day}",
        f"days/{day}/report",
    ):
        answer = mounted.get(f"/plumbline/{path}", headers=viewer)
        rules = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == "'self'"
        assert rules["frame-ancestors"] == "'self'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script>" not in answer.text.replace('<script type="application/json"', "")
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text
    written = mounted.get(f"/plumbline/days/{day}/report/page", headers=viewer)
    assert written.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'; ")
    gate = mounted.get(f"/plumbline/days/{day}/gates/scores/page", headers=viewer)
    assert gate.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'; ")
    assert mounted.post("/plumbline/", headers=viewer).status_code == 405


def test_storage_that_the_server_cannot_read_is_told_plainly(
    mounted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_in(tmp_path, monkeypatch)
    viewer = login("viewer")
    page = mounted.get("/plumbline/", headers=viewer)
    assert page.status_code == 503
    assert "The page cannot read Plumbline&#39;s storage" in page.text.replace("'", "&#39;")
    assert "the API server does not see the storage that the tasks write to" in page.text
    answer = mounted.get("/plumbline/api/thresholds", headers=viewer)
    assert answer.status_code == 503
    assert str(tmp_path / "warehouse") in answer.json()["detail"]
    monkeypatch.setenv("AIRFLOW_VAR_PLUMBLINE_OUTPUT", "")
    wrong = mounted.get("/plumbline/", headers=viewer)
    assert wrong.status_code == 503
    assert "Airflow variables are not set: plumbline_output" in wrong.text


def test_before_the_first_day_the_page_says_so(mounted: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_in(home, monkeypatch)
    (home / "warehouse").mkdir()
    viewer = login("viewer")
    page = mounted.get("/plumbline/", headers=viewer)
    assert page.status_code == 200
    for said in ("No thresholds have been published yet", "Nothing has been published yet", "No day has been run yet"):
        assert said in page.text
    assert mounted.get(f"/plumbline/cells/{CELL}", headers=viewer).status_code == 404
    assert mounted.get("/plumbline/api/thresholds", headers=viewer).json()["version"] is None
    assert mounted.get("/plumbline/api/versions", headers=viewer).json() == []
