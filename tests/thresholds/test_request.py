"""A manager's form: every field is checked by us too, and named."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from include.thresholds.request import FormRun, Request, RequestError
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
    assert CONFIG.policies["violence"].window_days == 14


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
        ({"precision_percent": 97}, "precision_percent: 97 contradicts goal 'as_configured'"),
        ({"goal": "best"}, "goal: 'best' is unknown"),
        ({"window_days": 0}, "window_days: 0 is not between 1 and 90"),
        ({"window_days": 91}, "window_days: 91 is not between 1 and 90"),
        ({"reason": " "}, "reason: is blank"),
        ({"emergency": True}, "expires_on: is empty; a change made as an emergency must expire"),
        ({"expires_on": "2026-11-10"}, "expires_on: 2026-11-10 is over; the newest day with data is 2026-11-10"),
        ({"expires_on": "next week"}, "expires_on: 'next week' is no date; write it as 2026-11-24"),
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
