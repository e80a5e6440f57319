"""Label Studio really running: on loopback, over SQLite, with people who review."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from include.config.settings import PROJECT_ROOT
from include.local.processes import HOST, Server, free_port, started, stop
from include.sampling.label_studio import labelling_configuration
from tests.untested import untested
from tests.waiting import HANG

INSTALLED = Path(os.environ.get("PLUMBLINE_LABEL_STUDIO", PROJECT_ROOT / ".venv" / "labelstudio"))
ADMIN = "admin@reviewers.test"
PASSWORD = "of this test alone"
LEGACY_TOKEN = "0f" * 20


@dataclass
class Person:
    """Somebody who is logged in, and their own token."""

    email: str
    http: httpx.Client
    token: str

    def answers(self, task: int, decision: str, **more: Any) -> int:
        """Annotates the task; the annotation's number."""
        return int(self._sent("POST", f"/api/tasks/{task}/annotations/", _answer(decision) | more)["id"])

    def changes(self, annotation: int, decision: str) -> None:
        """Changes what somebody answered."""
        self._sent("PATCH", f"/api/annotations/{annotation}/", _answer(decision))

    def gives_up(self) -> None:
        """The token is taken back."""
        self._sent("POST", "/api/token/blacklist/", {"refresh": self.token})

    def _sent(self, method: str, path: str, content: dict[str, Any]) -> Any:
        cookies = {"X-CSRFToken": str(self.http.cookies.get("csrftoken")), "Referer": str(self.http.base_url)}
        answer = self.http.request(method, path, json=content, headers=cookies)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@dataclass
class Studio:
    """A server, as its administrator sees it."""

    url: str
    admin: httpx.Client
    people: dict[str, Person] = field(default_factory=dict)

    def person(self, name: str) -> Person:
        """Somebody who signed up; the same person whenever asked."""
        if name not in self.people:
            http, email = httpx.Client(base_url=self.url, timeout=HANG), f"{name}@reviewers.test"
            http.get("/user/signup/")
            form = {"email": email, "password": PASSWORD, "csrfmiddlewaretoken": http.cookies.get("csrftoken")}
            answer = http.post("/user/signup/", data=form, headers={"Referer": f"{self.url}/user/signup/"})
            assert answer.status_code == 302, answer.text
            found = Person(email, http, "")
            found.token = found._sent("POST", "/api/token/", {})["token"]
            self.people[name] = found
        return self.people[name]

    def project(self, title: str, interface: str | None = None) -> int:
        """A new project, with the interface that goes with the exported tasks unless another is given."""
        made = {"title": title, "label_config": interface or labelling_configuration()}
        answer = self.admin.post("/api/projects", json=made)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def tasks(self, project: int) -> dict[str, dict[str, Any]]:
        """A project's tasks by their sample_id."""
        found = self.admin.get("/api/tasks", params={"project": project, "page_size": 1000}).json()["tasks"]
        assert len({task["data"]["sample_id"] for task in found}) == len(found), "a task was sent twice"
        return {task["data"]["sample_id"]: task for task in found}

    def connection(self, token: str, **projects: dict[str, int]) -> str:
        """The Airflow connection to it, as JSON."""
        made = {"conn_type": "generic", "host": self.url, "password": token, "extra": {"projects": projects}}
        return json.dumps(made)


def _answer(decision: str) -> dict[str, Any]:
    result = {"type": "choices", "from_name": "decision", "to_name": "video", "value": {"choices": [decision]}}
    return {"result": [result]}


@contextmanager
def running(folder: Path) -> Iterator[Studio]:
    """A server whose data are in `folder`; it ends with its whole process group."""
    if not (INSTALLED / "installed").exists():
        untested("Label Studio", "it is not installed; `make label-studio` installs it")
    shutil.copytree(INSTALLED / "data", folder / "data")
    port = free_port(0)
    options = ["--no-browser", "--internal-host", HOST, "--port", str(port), "--host", f"http://{HOST}:{port}"]
    server = started(
        [str(INSTALLED / "bin" / "label-studio"), "start", *options],
        name="Label Studio",
        port=port,
        folder=folder,
        environment={
            "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
            "LABEL_STUDIO_USERNAME": ADMIN,
            "LABEL_STUDIO_PASSWORD": PASSWORD,
            "LABEL_STUDIO_USER_TOKEN": LEGACY_TOKEN,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "PYTHONPATH": "",
        },
        log=folder / "label-studio.log",
        ready=_answers,
        seconds=HANG,
    )
    with httpx.Client(base_url=server.url, timeout=HANG) as admin:
        admin.headers["Authorization"] = f"Token {LEGACY_TOKEN}"
        try:
            yield Studio(server.url, admin)
        finally:
            stop(server)


def _answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False
