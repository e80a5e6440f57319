"""What each login may do through Airflow's REST API, tried; beside what docs/security.md says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from include.config.settings import PROJECT_ROOT
from tests.console.site import REQUEST, Site

NOWHERE = 10**6
RUNS = "/api/v2/dags/recalibrate_thresholds/dagRuns"
ACTIONS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "read the page, its evidence and the JSON API": ("GET", "/plumbline/api/thresholds", None),
    "see runs and questions": ("GET", f"{RUNS}/~/hitlDetails", None),
    "ask for a goal": (
        "POST",
        "/api/v2/dags/recalibrate_ad_hoc/dagRuns",
        {"logical_date": None, "conf": {"policies": 3}},
    ),
    "bring a version back": (
        "POST",
        "/api/v2/dags/roll_back_thresholds/dagRuns",
        {"logical_date": None, "conf": {"version": "x"}},
    ),
    "answer a question": (
        "PATCH",
        f"/api/v2/dags/recalibrate_ad_hoc/dagRuns/{REQUEST}/taskInstances/ask_for_approval/-1/hitlDetails",
        {"chosen_options": ["Perhaps"], "params_input": {}},
    ),
    "run a day again": ("POST", "/api/v2/dags/recalibrate_thresholds/clearTaskInstances", {"dry_run": True}),
    "push labels": ("POST", "/api/v2/assets/events", {"asset_id": NOWHERE, "extra": {}}),
    "edit what tasks hand to each other": (
        "PATCH",
        f"{RUNS}/manual__recalibrate_thresholds/taskInstances/measure/xcomEntries/none",
        {"value": 1},
    ),
    "start a backfill": (
        "POST",
        "/api/v2/backfills",
        {"dag_id": "sample_for_review", "from_date": "soon", "to_date": "later"},
    ),
    "change connections and variables": ("POST", "/api/v2/variables", {}),
}
"""Each is asked for such that nothing comes of it: who may do it is told that the form, or what it names, is wrong."""

TABLE = PROJECT_ROOT / "docs" / "security.md"


def tried(site: Site, users: Collection[str]) -> dict[str, list[str]]:
    """The actions that Airflow lets each of `users` do. Without a login it lets nobody do any."""
    found: dict[str, list[str]] = {}
    for name in users:
        token = site.token(name)
        statuses = {words: site.send(*asked(words), token, body)[0] for words, (_, _, body) in ACTIONS.items()}
        assert not [words for words, status in statuses.items() if status >= 500], statuses
        found[name] = [words for words, status in statuses.items() if status not in (401, 403)]
    refused = {site.send(*asked(words), None, body)[0] for words, (_, _, body) in ACTIONS.items()}
    assert refused == {401}
    return found


def asked(words: str) -> tuple[str, str]:
    """Method and address."""
    method, path, _ = ACTIONS[words]
    return method, path


def said(manager: str) -> dict[str, list[str]]:
    """The actions that docs/security.md lets each role do under an auth manager, by its column."""
    table = TABLE.read_text(encoding="utf-8").split("<!-- rights -->")[1].split("<!-- /rights -->", maxsplit=1)[0]
    heading, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert [row[0] for row in rows] == list(ACTIONS)
    return {
        role: [row[0] for row in rows if row[column] in ("yes", f"{manager} alone")]
        for column, role in enumerate(heading)
        if column
    }
