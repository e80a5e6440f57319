"""What the watch holds against a threshold where experts settle what reviewers pass."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.watch.e_values import Wealth, with_labels
from include.watch.settled import answers, rely_on_experts


def draws(consensus: list[float], expert: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"consensus": consensus, "expert": expert})
    return frame.assign(p_violating=frame["expert"].fillna(frame["consensus"]).fillna(0.0))


NAN = float("nan")
SOME = draws([1.0, 0.0, 0.0, NAN, 1.0], [NAN, 0.0, NAN, NAN, 0.0])


def test_the_watch_waits_for_experts_where_there_are_some() -> None:
    config, day = load_config(), date(2026, 11, 20)
    without = config.markets["BR"].model_copy(update={"experts": None})
    nobody = config.model_copy(update={"markets": {**config.markets, "BR": without}})
    final = config.policies["violence"].final_through(day)
    assert nobody.settled_through("violence", "BR", day) == final
    assert config.settled_through("violence", "BR", day) == final - timedelta(days=2)


def test_only_what_experts_settled_counts_as_wrong() -> None:
    assert answers(SOME, experts=True).tolist() == [1.0, 0.0, 1.0, 1.0, 0.0]
    assert answers(SOME, experts=False).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("before", "relied"),
    [
        (SOME.iloc[:0], False),
        (SOME, False),  # one of three that reviewers passed, or were unsure about
        (SOME.iloc[:3], True),
        (SOME.iloc[[0, 4]], True),  # none was passed
    ],
)
def test_experts_are_relied_on_where_they_settled_half_of_what_was_passed(before: pd.DataFrame, relied: bool) -> None:
    assert rely_on_experts(before) == relied


def test_a_threshold_that_keeps_its_promise_is_not_accused_for_what_reviewers_miss() -> None:
    """Right 95 % of the time, as promised; reviewers miss a tenth, and experts settle four in five of the passed.

    Looked at on each of 60 days. Held against the promise on reviewers' answers it would be accused nearly always.
    """
    rng = np.random.default_rng(3)
    accused = {True: 0, False: 0}
    for _ in range(60):
        wealth = {True: Wealth(), False: Wealth()}
        for _ in range(60):
            truth = (rng.random(20) < 0.95).astype(float)
            said = np.where(rng.random(20) < 0.1, 0.0, truth)
            looked = (said == 0) & (rng.random(20) < 0.8)
            day = draws(said.tolist(), np.where(looked, truth, NAN).tolist())
            reviewers = draws(said.tolist(), [NAN] * 20)
            for experts, seen in ((True, day), (False, reviewers)):
                labels = answers(seen, experts=experts)
                wealth[experts] = with_labels(wealth[experts], labels, np.ones(20), target=0.95, heaviest=1.0)
        for experts, found in wealth.items():
            accused[experts] += found.highest >= 20
    assert accused[True] <= 0.05 * 60
    assert accused[False] > 0.9 * 60
