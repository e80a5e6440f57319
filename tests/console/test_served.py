"""The page through Airflow's real API server: who sees what, who may do what, and that text stays text."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd
import pytest

from include.contract.tables import TABLES
from include.ledger.chain import in_order
from include.report.places import address_of
from tests.accessible import axe, violations
from tests.browsing import browser
from tests.console.rights import said, tried
from tests.console.site import BASE_PATH, MARKUP, REQUEST, ROLL_BACK, STRANGE, STRANGER, USERS, Site, site
from tests.loop import LAST, Loop
from tests.places import MOVES_SOON, configured
from tests.waiting import HANG, wait_for

pytestmark = pytest.mark.airflow

CELL = "violence/BR/violence-v3"
PAGE = "/plumbline/"


@pytest.fixture(scope="module")
def served(ended_history: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all these tests. The day after the last one is stopped at a gate."""
    home = tmp_path_factory.mktemp("console")
    configured(home, MOVES_SOON)
    shutil.copytree(ended_history.home / "data", home / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUMBLINE_HOME", str(home))
        patch.setenv("PLUMBLINE_CONFIG", "policies.yaml")
        loop = Loop(home, ended_history.dags)
        found = {"gate": "scores", "table_name": "score_profile", "position": 1, "expectation": "scores are whole"}
        found |= {"column_name": None, "severity": "critical", "observed": f"7 of 9 cells, e.g. {MARKUP}"}
        for table, more in (("quality_results", {"success": False}), ("gate_failures", {"attempt": 1})):
            row = pd.DataFrame([found | more])[list(TABLES[table].column_names)]
            loop.project.warehouse.replace(table, loop.day(LAST + 1), row, slice_value="scores")
        with site(loop) as running:
            yield running


def test_each_role_may_do_what_the_docs_say(served: Site) -> None:
    rights = said("simple")
    del rights["Plumbline labels"]  # the simple manager has its own roles and no others
    assert {USERS[name].title(): may for name, may in tried(served, USERS).items()} == rights


def addresses(served: Site) -> list[str]:
    """One of every address there is."""
    day, next_day = served.loop.day(LAST), served.loop.day(LAST + 1)
    answer = address_of(f"recalibrate_ad_hoc/{REQUEST}", day)
    api = ("thresholds", "cells", f"cells/{CELL}/metrics", f"cells/{CELL}/curve", "versions", "versions/1", "days")
    return [
        *("", f"cells/{CELL}", f"cells/{CELL}/goals", "compare?one=1&other=2"),
        *(f"days/{day}", f"days/{next_day}", f"days/{day}/report", f"days/{day}/gates/scores", answer),
        *(f"days/{day}/report/page", f"days/{day}/gates/scores/page", f"{answer}/page"),
        *("static/page.css", "static/page.js", "static/plotly.js", "api", "api/openapi.json"),
        *(f"api/{name}" for name in (*api, f"days/{day}")),
    ]


def test_without_a_login_every_address_answers_401(served: Site) -> None:
    from include.console.app import app

    asked = [f"{PAGE}{address}" for address in addresses(served)]
    for path in [*asked, f"{PAGE}no/such/page", f"{PAGE}static/../app.py"]:
        status, text = served.send("GET", path)
        assert status == 401, path
        assert "You are not logged in." in text or json.loads(text) == {"detail": "Not authenticated"}
    patterns = [getattr(route, "path_regex", None) for route in app.routes]
    inside = [path.removeprefix(PAGE.rstrip("/")).partition("?")[0] for path in asked]
    assert len(patterns) > 10
    for pattern in patterns:
        assert pattern is not None
        assert any(pattern.match(path) for path in inside), pattern
    status, text = served.send("GET", PAGE, accept="text/html")
    assert f'href="{BASE_PATH}/auth/login?next=' in text
    assert served.send("GET", PAGE, token="no token")[0] == 403


def test_a_viewer_reads_everything_and_is_offered_nothing(served: Site) -> None:
    token = served.token("reader")
    for address in addresses(served):
        status, text = served.send("GET", f"{PAGE}{address}", token)
        assert status == 200, address
        if not address.startswith(("api", "static", "days/2026", "answers")):
            assert not re.search(r'<form class="(answer|start)"', text), address
    _, text = served.send("GET", PAGE, token)
    assert text.count("You may look at this, not answer it") == 3
    refused, _ = served.send("POST", "/api/v2/dags/recalibrate_ad_hoc/dagRuns", token, {"logical_date": None})
    assert refused == 403


def test_the_page_says_what_stands_what_waits_and_what_is_wrong(served: Site) -> None:
    loop = served.loop
    chain = in_order(loop.read("threshold_ledger"))
    _, text = served.send("GET", PAGE, served.token("approver"))
    words = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert f"Version {chain[-1]['version']} is in force" in words
    assert f"{loop.day(LAST + 1)} is stopped at the gate scores" in words
    assert "What to do: The message names cell, count and an example; have the feed repaired" in words
    assert "Failed at gate_scores" in words
    run = f"{BASE_PATH}/dags/sample_for_review/runs/manual__next/tasks/gate_scores"
    assert f'<a data-airflow href="{run}">' in text
    assert f'href="{BASE_PATH}{PAGE}days/{loop.day(LAST)}/report"' in text
    assert words.count("question waits") + words.count("questions wait") == 1
    for number in range(1, len(chain) + 1):
        assert f"Version {number} " in words
    for cell in json.loads(chain[-1]["thresholds"]):
        assert f"/cells/{cell['policy']}/{cell['market']}/{cell['model_version']}" in text
    _, day = served.send("GET", f"{PAGE}days/{loop.day(LAST + 1)}", served.token("reader"))
    assert "Stopped at scores" in day
    assert "have the feed repaired" in day
    assert "No report was written: the day did not get so far" in day


def test_what_comes_from_outside_stays_text(served: Site) -> None:
    token = served.token("approver")
    pages = [served.send("GET", f"{PAGE}{place}", token)[1] for place in ("", f"days/{served.loop.day(LAST + 1)}")]
    for text in pages:
        assert "<img" not in text
        assert "&lt;img src=x onerror=" in text
        assert 'href="javascript' not in text
    assert STRANGER not in pages[0]
    assert "&lt;script&gt;document.title=2" in pages[0]
    status, text = served.send("GET", f"{PAGE}%3Cscript%3Ealert(1)%3C/script%3E", token, accept="text/html")
    assert status == 404
    assert "<script>alert" not in text


def test_pages_of_evidence_are_found_by_name_alone(served: Site) -> None:
    token, day = served.token("reader"), served.loop.day(LAST)
    (served.loop.settings.output / "secret.html").write_text("top secret")
    outside = ("..%2f..%2fsecret", "../../secret", "%2e%2e/%2e%2e/secret", "..%5c..%5csecret", "/etc/passwd")
    for name in outside:
        for place in (f"days/{day}/gates/{name}", f"days/{name}/report", f"answers/{day}/{name}", f"static/{name}"):
            for ending in ("", "/page"):
                status, text = served.send("GET", f"{PAGE}{place}{ending}", token)
                assert status == 404, place
                assert "top secret" not in text
    _, report = served.send("GET", f"{PAGE}days/{day}/report/page", token)
    assert report == (served.loop.settings.reports / f"{day}.html").read_text(encoding="utf-8")


def test_the_api_says_what_the_tables_say(served: Site) -> None:
    token, loop = served.token("reader"), served.loop

    def get(path: str) -> Any:
        return json.loads(served.send("GET", f"{PAGE}api/{path}", token)[1])

    in_force, document = get("thresholds"), json.loads(loop.settings.thresholds.read_text())
    assert (in_force["version"], in_force["hash"]) == (document["version"], document["hash"])
    levels = ("policy", "market", "model_version", "remove_at", "review_at")
    assert in_force["cells"] == [{name: cell[name] for name in levels} for cell in document["cells"]]
    chain = in_order(loop.read("threshold_ledger"))
    versions = get("versions")
    assert [version["hash"] for version in versions] == [row["hash"] for row in reversed(chain)]
    assert get("versions/1") == versions[-1]
    assert len(versions[0]["changes"]) == len(json.loads(chain[-1]["changes"]))
    assert {cell["policy"] for cell in get("cells")} == set(loop.project.config.policies)
    metrics = loop.read("policy_metrics")
    own = metrics[(metrics["policy"] == "violence") & (metrics["market"] == "BR") & (metrics["population"] == "cell")]
    assert len(get(f"cells/{CELL}/metrics")) == len(own) > 0
    assert len(get(f"cells/{CELL}/curve")) > 20
    assert get("days")[0]["verdict"] == "Stopped at scores"
    schema = get("openapi.json")
    assert set(schema["paths"]) >= {"/api/thresholds", "/api/cells", "/api/versions", "/api/days"}
    assert {method for path in schema["paths"].values() for method in path} == {"get"}
    assert schema["servers"] == [{"url": f"{BASE_PATH}/plumbline"}]
    assert served.send("GET", f"{PAGE}api/versions/999", token)[0] == 404
    assert served.send("GET", f"{PAGE}api/cells/violence/BR/no/curve", token)[0] == 404


def tab_of(window: Any, served: Site, user: str, *, width: int = 1280, dark: bool = False) -> tuple[Any, list[str]]:
    """A tab where the user is logged in, and what goes wrong in it."""
    context = window.new_context(viewport={"width": width, "height": 844}, color_scheme="dark" if dark else "light")
    context.set_default_timeout(HANG * 1000)
    context.add_cookies([{"name": "_token", "value": served.token(user), "url": f"{served.url}/"}])
    tab, problems = context.new_page(), list[str]()
    tab.on("pageerror", lambda error: problems.append(str(error)))
    # Plotly brings a style sheet for maps, which the policy of the page keeps out.
    tab.on("console", lambda said: None if "Applying inline style" in said.text else problems.append(said.text))
    return tab, problems


def test_a_requester_asks_for_a_goal_and_may_not_approve(served: Site) -> None:
    with browser() as window:
        tab, problems = tab_of(window, served, "asker")
        tab.goto(f"{served.url}{PAGE}")
        assert tab.locator("form.answer").count() == 2  # both rollbacks, and not their own request
        assert tab.get_by_text("You asked for this, so somebody else has to answer.").count() == 1
        assert tab.title() == "Plumbline"  # nothing that was injected ran
        tab.goto(f"{served.url}{PAGE}cells/{CELL}")
        tab.locator("#goal").wait_for()
        asked = list[str]()
        tab.on("request", lambda request: asked.append(request.url))
        moved = """(at) => { const slider = document.getElementById("goal"); slider.value = at;
            slider.dispatchEvent(new Event("input"));
            return ["goal-verdict", "goal-facts"].map((id) => document.getElementById(id).textContent); }"""
        low, high = tab.evaluate(moved, "0"), tab.evaluate(moved, "999")
        assert low[0].startswith("Yes. The labels certify it")
        assert high[0].startswith("No")
        assert low[1] != high[1]
        assert asked == []  # every answer was there already
        assert tab.locator(".chart svg.main-svg").count() > 3
        tab.evaluate(moved, "3")
        goal = float(tab.locator("#goal-shown").inner_text())
        tab.locator("#ask input").fill("Complaints from creators")
        tab.get_by_role("button", name="Ask for this").click()
        tab.get_by_text("Its note has the answer in about a minute.").wait_for()
        ((user, form),) = served.runs("recalibrate_ad_hoc")
        assert user == "asker"
        wanted = {"policies": ["violence"], "markets": ["BR"], "goal": "own", "mode": "propose"}
        assert form.items() >= (wanted | {"precision_percent": goal, "reason": "Complaints from creators"}).items()
        assert problems == []


def test_somebody_else_approves_and_who_asked_for_a_rollback_answers_it(served: Site) -> None:
    with browser() as window:
        tab, problems = tab_of(window, served, "approver", width=390)
        tab.goto(f"{served.url}{PAGE}")
        question = tab.locator("article.question").filter(has=tab.get_by_role("button", name="Approve"))
        assert question.count() == 1
        assert "would remove" in question.locator("h3").inner_text()
        question.get_by_role("button", name="Approve").click()
        question.get_by_text("Recorded: Approve.").wait_for()
        assert served.answered(REQUEST) == ("approver", ["Approve"])
        own = tab.locator("article.question").filter(has_text="Asked by approver")
        own.get_by_role("button", name="Cancel").click()
        own.get_by_text("Recorded: Cancel.").wait_for()
        assert served.answered(ROLL_BACK) == ("approver", ["Cancel"])
        assert served.answered(STRANGE) is None
        back = tab.locator("#history form.start")
        back.locator("input").fill("too many wrongful removals")
        back.get_by_role("button", name="Bring it back").click()
        back.get_by_text("Its question appears under Needs you.").wait_for()
        ((user, form),) = served.runs("roll_back_thresholds")
        assert (user, form["reason"]) == ("approver", "too many wrongful removals")
        assert problems == []


def test_a_viewer_sees_no_button_that_acts(served: Site) -> None:
    with browser() as window:
        tab, problems = tab_of(window, served, "reader")
        tab.goto(f"{served.url}{PAGE}")
        assert tab.get_by_role("button").all_inner_texts() == ["Compare"]
        tab.goto(f"{served.url}{PAGE}days/{served.loop.day(LAST)}/report")
        report = tab.frame_locator("iframe")
        report.get_by_role("heading", name="What changed").wait_for()
        assert report.locator(".chart svg").count() > 3

        def ground() -> int:
            shown = report.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
            return sum(map(int, re.findall(r"\d+", shown)[:3]))

        assert ground() > 600
        tab.evaluate("localStorage.setItem('theme', 'dark')")  # as Airflow keeps its choice
        tab.reload()
        wait_for(lambda: ground() < 200, "the report is dark, too", every=0.2)
        tab.get_by_role("link", name="Plumbline", exact=True).click()
        tab.get_by_role("heading", name="State").wait_for()
        assert problems == []


def test_every_page_fits_a_phone_and_shuts_nobody_out_in_light_and_dark(served: Site) -> None:
    day, places = served.loop.day(LAST), ["", f"cells/{CELL}", "compare?one=1&other=2", "api"]
    places += [f"days/{day}", f"days/{served.loop.day(LAST + 1)}", f"days/{day}/report", "no/such/page"]
    script = axe()
    fits = "document.documentElement.scrollWidth <= innerWidth"
    with browser() as window:
        for dark in (False, True):
            tab, problems = tab_of(window, served, "reader", width=390, dark=dark)
            for place in places:
                tab.goto(f"{served.url}{PAGE}{place}")
                ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == dark
                assert wait_for(partial(tab.evaluate, fits), f"{place} fits a phone", every=0.2)
                assert violations(tab, script) == [], (place, dark)
            assert [said for said in problems if "404" not in said] == []


def test_it_is_in_the_navigation_and_its_links_leave_the_frame(served: Site) -> None:
    with browser() as window:
        context = window.new_context(viewport={"width": 1280, "height": 844})
        context.set_default_timeout(HANG * 1000)
        tab = context.new_page()
        tab.goto(f"{served.url}{PAGE}")
        tab.get_by_role("link", name="Log in to Airflow").click()
        tab.locator("input[name=username]").fill("reader")
        tab.locator("input[name=password]").fill("reader")
        tab.locator("button[type=submit]").click()
        tab.wait_for_url(f"**{BASE_PATH}{PAGE}")
        tab.goto(f"{served.url}/")
        tab.get_by_role("link", name="Plumbline", exact=True).click()
        frame = tab.frame_locator("iframe")
        frame.get_by_role("heading", name="State").wait_for()
        frame.get_by_role("link", name="Thresholds").first.click()
        frame.locator("#state .card-title a").nth(2).click()
        tab.wait_for_url(f"**{BASE_PATH}/dags/recalibrate_thresholds/runs/**")
        context.close()


def test_airflow_loads_the_plugin_and_its_application_late(served: Site) -> None:
    import subprocess
    import sys

    _, text = served.send("GET", "/api/v2/plugins/importErrors", served.token("reader"))
    script = "import sys, plugins.console; print(sorted({'fastapi', 'pandas', 'plotly'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert set(USERS) >= {"asker", "approver", "reader"}
    assert "console" not in text
