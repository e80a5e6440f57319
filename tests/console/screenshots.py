"""`make screenshots`: the docs' pictures of the page and of a report, from the Airflow over the demo's data."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from typing import Any

from include.config.declared import declared_settings
from include.config.settings import PROJECT_ROOT
from include.local.environment import AIRFLOW_HOME, passwords
from include.local.processes import Server

DOCS = PROJECT_ROOT / "docs"
LONG = 60_000
"""Milliseconds after which what has not come is taken for hung."""


def main() -> None:
    state = AIRFLOW_HOME / "server.json"
    chromium = shutil.which("chromium")
    if not state.exists() or chromium is None:
        sys.exit("There is no running Airflow (`make up`), or no Chromium (`make browser`).")
    url = Server(**json.loads(state.read_text())).url
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        window = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context = window.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(LONG)
        context.add_cookies([{"name": "_token", "value": _token(url), "url": url}])
        tab = context.new_page()
        tab.goto(f"{url}/plugin/plumbline")
        tab.frame_locator("iframe").get_by_role("heading", name="State").wait_for()
        _shot(tab, "page.png")
        tab.goto(f"{url}/plumbline/")
        cells = tab.locator("#cells tbody tr", has_not=tab.get_by_text("shadow mode"))
        (cells.first if cells.count() else tab.locator("#cells tbody tr").first).locator("th a").click()
        tab.locator("#goal").wait_for()
        tab.locator("#goal-chart svg.main-svg").first.wait_for()
        _shot(tab, "cell.png")
        tab.set_viewport_size({"width": 390, "height": 844})
        tab.emulate_media(color_scheme="dark")
        tab.goto(f"{url}/plumbline/")
        _shot(tab, "page_phone.png")
        tab.set_viewport_size({"width": 1280, "height": 900})
        tab.emulate_media(color_scheme="light")
        tab.goto(max(declared_settings().reports.glob("*.html")).as_uri())
        _shot(tab, "report.png")
        window.close()


def _token(url: str) -> str:
    body = json.dumps({"username": "admin", "password": passwords(AIRFLOW_HOME)["admin"]}).encode()
    request = urllib.request.Request(f"{url}/auth/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["access_token"])


def _shot(tab: Any, name: str) -> None:
    tab.screenshot(path=DOCS / name)
    print(f"docs/{name}")


if __name__ == "__main__":
    main()
