"""The page as a web application, which Airflow's API server mounts. Imported there alone: it imports FastAPI.

Every address needs a login and the right to read `recalibrate_thresholds`; Airflow decides both. Nothing here writes:
what a person does, their browser asks of Airflow's own API, as themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from plotly.offline import get_plotlyjs
from starlette.exceptions import HTTPException as StarletteHTTPException

from include import __version__
from include.console import api, cell, pages
from include.console.cells import Choice
from include.console.people import GATE_OF_THE_PAGE, Person, person_of
from include.console.standing import standing
from include.console.storage import UNREADABLE, opened
from include.report import written

PREFIX = "/plumbline"
"""Where the API server mounts the application."""

_HERE = Path(__file__).parent
_OWN = "'self'"
POLICY = (
    f"default-src 'none'; script-src {_OWN}; style-src {_OWN}; img-src {_OWN} data:; connect-src {_OWN}; "
    f"frame-src {_OWN}; form-action {_OWN}; base-uri 'none'; frame-ancestors {_OWN}"
)
"""Content-Security-Policy of the application's own pages: scripts and styles from its own files alone."""
WRITTEN_POLICY = f"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors {_OWN}"
"""Of pages that tasks wrote, which need no script: they act in nobody's name, having no origin."""

THEMES = ("light", "dark")
EITHER_THEME = b'<meta name="color-scheme" content="light dark">'
"""What a page that tasks wrote has in its head."""

STATIC = {
    "page.css": "text/css",
    "plotly.css": "text/css",
    "theme.js": "text/javascript",
    "page.js": "text/javascript",
    "cell.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def person(user: GetUserDep) -> Person:
    """Who asks."""
    return person_of(user)


PersonDep = Annotated[Person, Depends(person)]

app = FastAPI(
    title="Plumbline",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_dag("GET", param_dag_id=GATE_OF_THE_PAGE))],
)


@app.middleware("http")
async def secured(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Headers that every answer has, unless it brings its own."""
    response = await call_next(request)
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    return response


def chosen(policy: str = "", market: str = "", sort: str = "name", *, changed: bool = False) -> Choice:
    """What of the table of cells is asked for."""
    return Choice(policy, market, changed, sort)


@app.get("/", response_class=HTMLResponse)
def main_page(request: Request, who: PersonDep, choice: Annotated[Choice, Depends(chosen)]) -> str:
    """The page."""
    return pages.main_page(opened(), who, datetime.now(UTC), choice, **_places(request))


@app.get("/cells/{policy}/{market}/{model_version}", response_class=HTMLResponse)
def cell_page(request: Request, who: PersonDep, policy: str, market: str, model_version: str) -> str:
    """A cell."""
    with api.looked_up():
        return pages.cell_page(opened(), who, (policy, market, model_version), **_places(request))


@app.get("/cells/{policy}/{market}/{model_version}/goals")
def goals(policy: str, market: str, model_version: str) -> Response:
    """What each goal would do to a cell, for its page."""
    with api.looked_up():
        found = cell.answers(standing(opened()), (policy, market, model_version))
    return JSONResponse(cell.goals_json(found))


@app.get("/compare", response_class=HTMLResponse)
def compare(request: Request, who: PersonDep, one: int, other: int) -> str:
    """Two versions beside each other."""
    with api.looked_up():
        return pages.compare(opened(), who, one, other, **_places(request))


@app.get("/days/{day}", response_class=HTMLResponse)
def day_page(request: Request, who: PersonDep, day: date) -> str:
    """A day: its gates, and what there is to read."""
    return pages.day_page(opened(), who, day, **_places(request))


@app.get("/days/{day}/report", response_class=HTMLResponse)
def report_page(request: Request, who: PersonDep, day: date) -> str:
    """The day's report, with the way back; of a day that was stopped before it had one, what stopped it."""
    project = opened()
    if written.report(project.settings, day) is None:
        return pages.day_page(project, who, day, **_places(request))
    return pages.shown(f"Report of {day}", day, "report", **_places(request))


@app.get("/days/{day}/gates/{gate}", response_class=HTMLResponse)
def gate_page(request: Request, who: PersonDep, day: date, gate: str) -> str:
    """A gate's page, with the way back."""
    project = opened()
    _found(written.gate(project.settings, day, gate))
    return pages.gate_page(project, who, day, gate, **_places(request))


@app.get("/answers/{day}/{key}", response_class=HTMLResponse)
def answer_page(request: Request, day: date, key: str) -> str:
    """The answer to a request, with the way back."""
    _found(written.answer(opened().settings, day, key))
    return pages.shown(f"Answer of {day}", day, key, **_places(request))


@app.get("/days/{day}/report/page")
def report(day: date, theme: str = "") -> Response:
    """The day's report, as the tasks wrote it."""
    return _written(written.report(opened().settings, day), theme)


@app.get("/days/{day}/gates/{gate}/page")
def gate(day: date, gate: str, theme: str = "") -> Response:
    """A gate's page, as the tasks wrote it."""
    return _written(written.gate(opened().settings, day, gate), theme)


@app.get("/answers/{day}/{key}/page")
def answer(day: date, key: str, theme: str = "") -> Response:
    """The page that answers a request, as the tasks wrote it."""
    return _written(written.answer(opened().settings, day, key), theme)


@app.get("/static/{name}")
def static(name: str) -> Response:
    """The application's own files."""
    if name == "plotly.js":
        return Response(
            get_plotlyjs(), media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"}
        )
    if name not in STATIC:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(
        _HERE / "static" / name, media_type=STATIC[name], headers={"Cache-Control": "private, max-age=300"}
    )


@app.get("/api", response_class=HTMLResponse)
def api_page(request: Request) -> str:
    """What the JSON API offers, for people."""
    return pages.api_page(_schema(request), **_places(request))


@app.get("/api/openapi.json")
def api_schema(request: Request) -> Response:
    """What the JSON API offers, as OpenAPI says it."""
    return JSONResponse(_schema(request))


app.include_router(api.router)


@app.get("/{rest:path}")
def nowhere(rest: str) -> Response:
    """Says so, to who is logged in."""
    raise HTTPException(404, f"There is nothing at {rest!r}.")


@app.exception_handler(StarletteHTTPException)
def refused(request: Request, error: StarletteHTTPException) -> Response:
    """A refusal as a page that says what to do."""
    login = get_auth_manager().get_url_login(next_url=str(request.url)) if error.status_code == 401 else ""
    return _failed(request, error.status_code, str(error.detail), login)


@app.exception_handler(RequestValidationError)
def misnamed(request: Request, error: RequestValidationError) -> Response:
    """An address that names no day or number."""
    first = error.errors()[0]
    return _failed(request, 404, f"{first['loc'][-1]}: {first['msg']}")


def unreadable(request: Request, error: Exception) -> Response:
    """Storage that the API server cannot read."""
    return _failed(request, 503, str(error))


for kind in UNREADABLE:
    app.add_exception_handler(kind, unreadable)


def _schema(request: Request) -> dict[str, Any]:
    return get_openapi(
        title="Plumbline",
        version=__version__,
        description="What Plumbline's tables say, for reading.",
        routes=api.router.routes,
        servers=[{"url": request.scope.get("root_path", "")}],
    )


def _failed(request: Request, status: int, detail: str, login: str = "") -> Response:
    if "json" in request.headers.get("accept", "") or "/api/" in request.url.path.removeprefix(
        request.scope.get("root_path", "")
    ):
        return JSONResponse({"detail": detail}, status)
    return HTMLResponse(pages.failure(status, detail, login, **_places(request)), status)


def _written(path: Path | None, theme: str) -> Response:
    """A page that tasks wrote, in a theme if one is asked for; by itself it follows the system's."""
    content = _found(path).read_bytes()
    if theme in THEMES:
        content = content.replace(EITHER_THEME, EITHER_THEME.replace(b"light dark", theme.encode()), 1)
    return HTMLResponse(content, headers={"Content-Security-Policy": WRITTEN_POLICY})


def _found(path: Path | None) -> Path:
    if path is None:
        raise HTTPException(404, "There is no such page: nothing was written under this name.")
    return path


def _places(request: Request) -> dict[str, str]:
    """The path of the application and of Airflow, each with a slash at its end; they hold a base URL's own path."""
    root = request.scope.get("root_path", "")
    return {"root": f"{root}/", "airflow": f"{root.removesuffix(PREFIX)}/"}
