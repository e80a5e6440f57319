"""Under Airflow's FAB auth manager, where a person's id is a number: what each role may do, and who may answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from include.proposals.approval import Answer, objection_to
from tests.console.rights import said, tried
from tests.console.site import FAB_PACKAGES, FAB_USERS, REQUEST, Site, site
from tests.loop import Loop
from tests.places import MOVES_SOON, configured
from tests.untested import untested

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def served(ended_history: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not (FAB_PACKAGES / "installed").exists():
        untested("the FAB auth manager", "`make fab` has not installed it")
    home = tmp_path_factory.mktemp("fab")
    configured(home, MOVES_SOON)
    shutil.copytree(ended_history.home / "data", home / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUMBLINE_HOME", str(home))
        patch.setenv("PLUMBLINE_CONFIG", "policies.yaml")
        with site(Loop(home, ended_history.dags), fab=True) as running:
            yield running


def test_each_role_may_do_what_the_docs_say(served: Site) -> None:
    assert {FAB_USERS[name]: may for name, may in tried(served, FAB_USERS).items()} == said("FAB")


def test_who_answers_is_known_by_name_though_the_id_is_a_number(served: Site) -> None:
    pages = {name: served.send("GET", "/plumbline/", served.token(name))[1] for name in ("asker", "approver", "reader")}
    assert "You asked for this, so somebody else has to answer." in pages["asker"]
    assert f"dagRuns/{REQUEST}/taskInstances/ask_for_approval" in pages["approver"]
    assert f"dagRuns/{REQUEST}/taskInstances/ask_for_approval" not in pages["asker"] + pages["reader"]

    question = f"/api/v2/dags/recalibrate_ad_hoc/dagRuns/{REQUEST}/taskInstances/ask_for_approval/-1/hitlDetails"
    answer = {"chosen_options": ["Approve"], "params_input": {}}
    assert served.send("PATCH", question, served.token("asker"), answer)[0] == 200
    who, config = served.responder(REQUEST), served.loop.project.config
    assert (who["name"], who["id"].isdigit()) == ("asker", True)

    def objection(*assigned: str, asked_by: str = "ben") -> str | None:
        named = config.approval.model_copy(update={"assigned_users": list(assigned)})
        given = Answer("Approve", who["name"], who["id"])
        return objection_to(given, config.model_copy(update={"approval": named}), asked_by=asked_by)

    assert objection() is None
    assert objection("asker") is None
    assert objection(f"id:{who['id']}") is None
    assert "not among those who may answer" in (objection(who["id"], "approver") or "")
    own = objection(asked_by=served.asker(REQUEST))
    assert "nobody approves what they asked for themselves" in (own or "")
