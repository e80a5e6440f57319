"""A manager's form: every field is checked by us too, and named."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from include.thresholds import roll_back
from include.thresholds.fields import ROLL_BACK_FIELDS, request_fields
from include.thresholds.request import FIELDS, FormRun, Request, RequestError
from tests.ledger.publishing import CONFIG, DAY

FORM: dict[str, Any] = {
    "policies": ["violence", "fraud"],
    "markets": ["BR"],
    "goal": "as_configured",
    "precision_percent": None,
    "window_days": None,
    "mode": "propose",
    "emergency": False,
    "reason": " election week ",
    "expires_on": None,
}


def request(**values: Any) -> Request:
    return Request.from_form(FORM | values, CONFIG, DAY)


def test_a_form_becomes_a_request_and_survives_being_stored() -> None:
    found = request(window_days=7, expires_on="2026-12-01", markets=["IN", "BR"])
    assert found == Request(
        policies=("fraud", "violence"),
        markets=("BR", "IN"),
        targets={"fraud": 0.9, "violence": 0.95},
        window_days=7,
        propose=True,
        emergency=False,
        reason="election week",
        expires_on=date(2026, 12, 1),
    )
    assert Request.from_json(found.to_json()) == found
    assert request(emergency=True, expires_on="2026-12-01").emergency


@pytest.mark.parametrize(
    ("goal", "percent", "targets"),
    [
        ("as_configured", None, {"fraud": 0.9, "violence": 0.95}),
        ("half_as_many_wrongful_removals", None, {"fraud": 0.95, "violence": 0.975}),
        ("twice_as_many_wrongful_removals", None, {"fraud": 0.8, "violence": 0.9}),
        ("own", 97, {"fraud": 0.97, "violence": 0.97}),
    ],
)
def test_goals(goal: str, percent: float | None, targets: dict[str, float]) -> None:
    found = request(goal=goal, precision_percent=percent, window_days=5)
    assert found.targets == targets
    under = found.under(CONFIG)
    assert {name: under.policies[name].target_precision for name in targets} == targets
    assert under.policies["violence"].window_days == 5
    assert under.policies["pornography"] == CONFIG.policies["pornography"]
    assert CONFIG.policies["violence"].window_days == 28


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"markets": ["BR", "ZZ"]}, "markets: 'ZZ' is unknown; there are BR, DE, IN"),
        ({"markets": []}, "markets: none is chosen"),
        ({"policies": ["spam"]}, "policies: 'spam' is unknown; there are fraud, pornography, violence"),
        ({"goal": "own"}, "precision_percent: is empty; goal 'own' needs it"),
        ({"goal": "own", "precision_percent": 100}, "precision_percent: 100 is impossible"),
        ({"goal": "own", "precision_percent": 0}, "precision_percent: 0 is impossible"),
        ({"goal": "own", "precision_percent": -3}, "precision_percent: -3 is impossible"),
        (
            {"goal": "own", "precision_percent": 99.99999},
            "precision_percent: 99.99999 is impossible: from 0.0001 to 99.9999",
        ),
        ({"goal": "own", "precision_percent": 0.00001}, "precision_percent: 1e-05 is impossible"),
        ({"goal": "own", "precision_percent": float("nan")}, "precision_percent: nan is impossible"),
        ({"goal": "own", "precision_percent": float("inf")}, "precision_percent: inf is impossible"),
        ({"goal": "own", "precision_percent": 10**400}, "precision_percent: 1000"),
        ({"goal": "own", "precision_percent": True}, "precision_percent: True is not a number"),
        ({"goal": "own", "precision_percent": "97"}, "precision_percent: '97' is not a number"),
        ({"precision_percent": 97}, "precision_percent: 97 contradicts goal 'as_configured'"),
        ({"goal": "best"}, "goal: 'best' is unknown"),
        ({"window_days": 0}, "window_days: 0 is not between 1 and 90"),
        ({"window_days": 91}, "window_days: 91 is not between 1 and 90"),
        ({"window_days": 7.0}, "window_days: 7.0 is not a whole number"),
        ({"window_days": True}, "window_days: True is not a whole number"),
        ({"policies": "fraud"}, "policies: 'fraud' is no list of names"),
        ({"policies": [["fraud"]]}, "policies: ['fraud'] is unknown"),
        ({"mode": "publish"}, "mode: 'publish' is unknown; there are what_if, propose"),
        ({"emergency": "false"}, "emergency: 'false' is neither true nor false"),
        ({"precison_percent": 97}, "precison_percent: is no field of this form; there are policies, markets, goal, "),
        ({"reason": " "}, "reason: is blank"),
        ({"reason": None}, "reason: is blank"),
        ({"reason": "x" * 1001}, "reason: has 1,001 characters; at most 1,000"),
        ({"reason": "sales\ud800"}, "reason: '\\ud800' is no character of a text"),
        ({"reason": "sales\x00"}, "reason: '\\x00' is no character of a text"),
        ({"emergency": True}, "expires_on: is empty; a change made as an emergency must expire"),
        ({"expires_on": "2026-11-10"}, "expires_on: 2026-11-10 is over; the newest day with data is 2026-11-10"),
        ({"expires_on": "next week"}, "expires_on: 'next week' is no date; write it as 2026-11-24"),
        ({"expires_on": "20261201"}, "expires_on: '20261201' is no date"),
        ({"expires_on": "2026-W49-2"}, "expires_on: '2026-W49-2' is no date"),
        ({"expires_on": "2026-12-01T10:00"}, "expires_on: '2026-12-01T10:00' is no date"),
        ({"expires_on": 20261201}, "expires_on: 20261201 is no date"),
        (
            {"expires_on": "9999-12-31", "emergency": True},
            "expires_on: 9999-12-31 is more than 90 days after 2026-11-10; until 2027-02-08 at most",
        ),
        ({"expires_on": "2027-02-09"}, "expires_on: 2027-02-09 is more than 90 days after"),
        ({"expires_on": "2026-12-01", "mode": "what_if"}, "expires_on: a what-if changes nothing that could expire"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as refused:
        request(**wrong)
    assert str(refused.value).startswith(said)


def test_a_goal_that_allows_only_wrong_removals_is_impossible() -> None:
    lax = CONFIG.policies["fraud"].model_copy(update={"target_precision": 0.4})
    config = CONFIG.model_copy(update={"policies": {"fraud": lax}})
    with pytest.raises(RequestError, match="goal: 'twice_as_many_wrongful_removals' is impossible"):
        Request.from_form(FORM | {"policies": ["fraud"], "goal": "twice_as_many_wrongful_removals"}, config, DAY)


def test_a_target_that_would_round_to_certainty_is_impossible() -> None:
    strict = CONFIG.policies["fraud"].model_copy(update={"target_precision": 0.999999})
    config = CONFIG.model_copy(update={"policies": {"fraud": strict}})
    with pytest.raises(
        RequestError, match=r"goal: 'half_as_many_wrongful_removals' is impossible where 0\.0001% of the "
    ):
        Request.from_form(FORM | {"policies": ["fraud"], "goal": "half_as_many_wrongful_removals"}, config, DAY)
    asked = Request.from_form(FORM | {"policies": ["fraud"], "goal": "own", "precision_percent": 99.9999}, CONFIG, DAY)
    assert asked.targets == {"fraud": 0.999999}


def test_the_forms_show_the_fields_that_are_read() -> None:
    assert set(request_fields(CONFIG)) == set(FIELDS) == set(FORM)
    assert set(ROLL_BACK_FIELDS) == set(roll_back.FIELDS)


def test_no_run_of_another_dag_and_no_chosen_run_id_is_taken_for_the_daily_runs() -> None:
    runs = [
        FormRun(dag, run, "ana", {}) for dag in ("recalibrate_ad_hoc", "roll_back_thresholds") for run in ("daily", "x")
    ]
    origins = [run.origin for run in runs]
    assert len(set(origins)) == 4
    assert "daily" not in origins


def test_a_run_id_that_no_file_could_bear_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="dag_run_id: 'ééé"):
        FormRun("recalibrate_ad_hoc", "é" * 200, "ana", {}).origin  # noqa: B018
