"""A Label Studio server, by its HTTP API: which tasks a project holds, and more of them.

What goes wrong is told in words, without the token and without what the other side sent in full.

Sources: HumanSignal/label-studio docs, "Access tokens" and the API reference; label_studio 1.23.2, jwt_auth and
data_manager. A personal access token is a refresh token, which is exchanged for access of some minutes; a legacy token
is sent as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.config.settings import LABEL_STUDIO_CONNECTION_ID, LabelStudioPlace
from include.sampling.label_studio import ASKED_ON

if TYPE_CHECKING:
    import httpx

SECONDS = 60.0
"""How long an answer may take."""
PAGE = 200
"""Tasks that are asked for, or sent, at once."""
MOST_SAID = 300
"""Characters of what the server said."""

_PERSONAL = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class Unavailable(RuntimeError):
    """Label Studio does not answer, or not now: a rerun may help."""


class Refused(RuntimeError):
    """Label Studio will not do it; the message says what will help.

    Attributes:
        everywhere: whether it concerns all projects.
    """

    def __init__(self, message: str, *, everywhere: bool = False) -> None:
        super().__init__(message)
        self.everywhere = everywhere


class LabelStudio:
    """The server of a `place`. Methods raise Unavailable and Refused.

    Use as a context manager, which closes its connections.
    """

    def __init__(self, place: LabelStudioPlace) -> None:
        import httpx

        self._place = place
        self._http = httpx.Client(base_url=place.address, timeout=SECONDS, follow_redirects=False)
        self._people: dict[int, str] | None = None
        if _PERSONAL.fullmatch(place.token) is None:
            self._http.headers["Authorization"] = f"Token {place.token}"

    def __enter__(self) -> LabelStudio:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def asked_on(self, project: int, day: str) -> list[dict[str, Any]]:
        """Id and data of the tasks of the queue of `day`."""
        wanted = [{"filter": f"filter:tasks:data.{ASKED_ON}", "operator": "equal", "type": "String", "value": day}]
        return list(self._tasks(project, wanted, {"include": "id,data"}))

    def answered_since(self, project: int, moment: datetime) -> list[dict[str, Any]]:
        """Tasks with annotations that were changed after `moment` (UTC), with all their annotations."""
        since = f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"
        wanted: list[dict[str, Any]] = [
            {"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since},
            {"filter": "filter:tasks:total_annotations", "operator": "greater", "type": "Number", "value": 0},
        ]
        return list(self._tasks(project, wanted, {"fields": "all"}))

    def send(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Adds the tasks, as Label Studio imports them."""
        for start in range(0, len(tasks), PAGE):
            self._asked("POST", f"/api/projects/{project}/import", project, json=list(tasks[start : start + PAGE]))

    def people(self) -> dict[int, str]:
        """Everybody's e-mail address by number, where they have one."""
        if self._people is None:
            users = self._asked("GET", "/api/users")
            self._people = {user["id"]: user["email"] for user in users if user.get("email")}
        return self._people

    def _tasks(
        self, project: int, wanted: Sequence[Mapping[str, Any]], options: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        query = json.dumps({"filters": {"conjunction": "and", "items": list(wanted)}, "ordering": ["tasks:id"]})
        got, total, page = 0, 1, 0
        while got < total:
            page += 1
            asked = {"project": project, "query": query, "page": page, "page_size": PAGE, **options}
            answer = self._asked("GET", "/api/tasks", project, params=asked)
            if not answer["tasks"]:
                return
            got, total = got + len(answer["tasks"]), answer["total"]
            yield from answer["tasks"]

    def _asked(self, method: str, path: str, project: int | None = None, **options: Any) -> Any:
        if "Authorization" not in self._http.headers:
            self._log_in()
        answer = self._sent(method, path, **options)
        if answer.status_code == 401 and _PERSONAL.fullmatch(self._place.token):  # access ends after some minutes
            self._log_in()
            answer = self._sent(method, path, **options)
        if answer.is_success:
            return self._read(answer)
        raise self._problem(answer, project)

    def _log_in(self) -> None:
        answer = self._sent("POST", "/api/token/refresh/", json={"refresh": self._place.token})
        if not answer.is_success:
            raise self._problem(answer, None)
        self._http.headers["Authorization"] = f"Bearer {self._read(answer)['access']}"

    def _sent(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            said = f"Label Studio at {self._place.address} does not answer ({type(error).__name__})"
            raise Unavailable(said) from error

    def _read(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            said = f"{self._place.address} answers {answer.request.url.path} otherwise than Label Studio does"
            raise Refused(said, everywhere=True) from error

    def _problem(self, answer: httpx.Response, project: int | None) -> Unavailable | Refused:
        status, where = answer.status_code, f"Label Studio at {self._place.address}"
        connection = f"the connection {LABEL_STUDIO_CONNECTION_ID}"
        if status in (408, 425, 429) or status >= 500:
            return Unavailable(f"{where} answers {status} for now")
        if status in (401, 403):
            why = f"{where} refuses the token ({status}): it expired, was taken back, or is of a user without access"
            return Refused(f"{why}. Put a new one into {connection}", everywhere=True)
        if status == 404 and project is not None:
            why = f"{where} has no project {project} (404): it was deleted, or the token's user does not see it"
            return Refused(f"{why}. Name another in the extra of {connection}")
        if answer.is_redirect:
            return Refused(f"{where} is at another address ({status}): give that in {connection}", everywhere=True)
        said = " ".join(answer.text.split())[:MOST_SAID]
        about = "" if project is None else f" for project {project}"
        return Refused(f"{where} refuses what is sent{about} ({status}): {said}", everywhere=project is None)
