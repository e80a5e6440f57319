"""Nonresponse: who counts as drawn and answered, what the weights become, and that the bias of the simulator goes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.evidence.response import MIN_CLASS_DRAWS, adjusted_for_response, mature_draws, response_rates
from include.simulation.population import content, scores, uploads
from include.simulation.randomness import mixed, uniform
from include.simulation.reviewers import QUEUE_COLUMNS, answers
from include.simulation.scenario import load_scenario

CONFIG = load_config()  # maturity 3 days, window 14
DAY = date(2026, 11, 20)


def draws_of(*classes: tuple[str, int, int], policy: str = "violence", market: str = "BR") -> pd.DataFrame:
    """(region, drawn, answered) each; every answer is 1, every inclusion probability 0.4."""
    frames = [
        pd.DataFrame({"region": region, "p_violating": np.where(np.arange(drawn) < answered, 1.0, np.nan)})
        for region, drawn, answered in classes
    ]
    return pd.concat(frames, ignore_index=True).assign(policy=policy, market=market, inclusion_probability=0.4)


def test_the_probability_of_being_drawn_and_answered():
    draws = pd.concat(
        [draws_of(("remove", 100, 90), ("allow", 200, 100)), draws_of(("remove", 50, 25), market="DE")],
        ignore_index=True,
    )
    rates = response_rates(draws).set_index(["market", "region"])
    assert rates["response_rate"].to_dict() == {("BR", "remove"): 0.9, ("BR", "allow"): 0.5, ("DE", "remove"): 0.5}
    found = adjusted_for_response(draws)
    assert len(found) == 215
    assert list(found.columns) == list(draws.columns)
    pi = found.groupby(["market", "region"])["inclusion_probability"].unique()
    assert {key: list(values) for key, values in pi.items()} == {
        ("BR", "remove"): [pytest.approx(0.36)],  # equal before, equal after
        ("BR", "allow"): [0.2],
        ("DE", "remove"): [0.2],
    }
    total = (1 / found["inclusion_probability"]).sum()
    assert total == pytest.approx((1 / draws["inclusion_probability"]).sum())  # the answered stand for all


def test_where_all_answered_nothing_changes():
    draws = draws_of(("remove", 40, 40), ("allow", 3, 3))
    pd.testing.assert_frame_equal(adjusted_for_response(draws), draws)
    assert adjusted_for_response(draws.iloc[:0]).empty


def test_a_small_class_takes_the_rate_of_its_policy_in_its_market():
    draws = draws_of(("remove", 71, 71), ("no_score", MIN_CLASS_DRAWS - 1, 9))
    rates = response_rates(draws).set_index("region")["response_rate"]
    assert rates["remove"] == 1.0
    assert rates["no_score"] == pytest.approx(0.8)
    silent = response_rates(draws_of(("remove", 71, 71), ("no_score", MIN_CLASS_DRAWS - 1, 0)))
    assert silent["refusal"].isna().all()


def test_a_class_that_nobody_answered_silences_its_policy_in_its_market_by_name():
    draws = pd.concat(
        [
            draws_of(("remove", 40, 40), ("allow", MIN_CLASS_DRAWS, 0)),
            draws_of(("remove", 40, 40), market="DE"),
            draws_of(("remove", 40, 40), policy="fraud"),
        ],
        ignore_index=True,
    )
    refusals = response_rates(draws).dropna(subset="refusal")
    assert refusals[["policy", "market", "region"]].to_numpy().tolist() == [["violence", "BR", "allow"]]
    assert refusals["refusal"].item() == "none of 30 videos drawn from allow has an answer"
    kept = adjusted_for_response(draws)
    assert set(zip(kept["policy"], kept["market"], strict=True)) == {("violence", "DE"), ("fraud", "BR")}


def drawn_on(days: int, video: int, **values: Any) -> dict[str, Any]:
    row = {"video_id": video, "policy": "violence", "model_version": "violence-v3", "programme": "audit"}
    return row | {"ds": DAY - timedelta(days=days)} | values


def about(days: int, video: int, status: str = "final") -> dict[str, Any]:
    row = {"video_id": video, "policy": "violence", "p_violating": 0.5, "status": status, "settled": None}
    row |= {"asked_by": "sample"}
    return row | {"sampled_on": DAY - timedelta(days=days)}


def test_draws_old_enough_to_be_final_and_their_answers():
    drawn = pd.DataFrame(
        [
            drawn_on(28, 1),  # before the window
            drawn_on(27, 2),
            drawn_on(3, 3),
            drawn_on(2, 4),  # not yet mature
            drawn_on(5, 5),  # never answered
            drawn_on(5, 6, programme="golden"),
            drawn_on(5, 7, programme="training"),
            drawn_on(5, 8, programme="prevalence"),
            drawn_on(9, 9),  # its consensus is about the later draw
            drawn_on(4, 9),
            drawn_on(5, 10, policy="retired"),
        ]
    )
    unsure: dict[str, Any] = {"p_violating": None, "settled": "violating"}
    labels = [about(28, 1), about(27, 2), about(3, 3), about(2, 4, "provisional"), about(4, 9), about(5, 8) | unsure]
    consensus = pd.DataFrame(labels).astype({"p_violating": float})
    found = mature_draws(drawn, consensus, day=DAY, config=CONFIG)
    assert list(found["video_id"]) == [2, 3, 5, 8, 9]
    assert list(found["p_violating"].notna()) == [True, True, False, False, True]
    assert found.set_index("video_id").loc[9, "sampled_on"] == DAY - timedelta(days=4)
    assert found.loc[found["undecided"], ["video_id", "settled"]].to_numpy().tolist() == [[8, 1.0]]
    assert found["settled"].notna().sum() == 1


ANSWERED = {"remove": 0.98, "review": 0.90, "allow": 0.60, "no_score": 0.60}
"""Share of questions the simulated tool puts before its reviewers in time: removals first."""


def test_on_the_simulator_the_bias_is_there_without_and_gone_with_the_adjustment():
    """Prevalence, recall of removal and review, and precision at a score within two regions, over 60 draws."""
    scenario = load_scenario("careless_reviewers", videos_per_day=30_000)
    index, policy, version, cut = 5, "fraud", "fraud-v2", 0.8
    videos = uploads(scenario, DAY, index)
    truth = content(scenario, videos, policy)
    made = scores(scenario, videos, policy, version, truth)
    in_market = (videos.market == list(scenario.markets).index("IN")) & ~made.missing
    score, violating = made.score[in_market], truth.violating[in_market]
    ids = videos.video_id[in_market]
    region = np.select([score >= 0.95, score >= cut], ["remove", "review"], "allow")
    pi = np.where(score >= cut, 0.5, 0.2)
    true = {
        "prevalence": violating.mean(),
        "recall": violating[score >= cut].sum() / violating.sum(),
        "precision": violating[score >= cut].mean(),
    }
    estimates: dict[str, list[tuple[float, float]]] = {name: [] for name in true}
    for salt in range(60):
        taken = uniform(mixed(ids.astype(np.uint64), salt), "draw") < pi
        drawn = pd.DataFrame(
            {
                "sample_id": [f"{salt}:{video}" for video in ids[taken]],
                "video_id": ids[taken],
                "region": region[taken],
                "score": score[taken],
                "inclusion_probability": pi[taken],
            }
        ).assign(policy=policy, market="IN")
        queue = drawn.assign(guideline_version="2026-1", overlap=1)[list(QUEUE_COLUMNS)]
        events = answers(scenario, queue, violating[taken], day=DAY, index=index)
        first = events[events["decision"] != "unsure"].drop_duplicates("video_id")
        asked = uniform(mixed(drawn["video_id"].to_numpy(np.uint64), salt), "asked") < drawn["region"].map(ANSWERED)
        answered = drawn["video_id"].isin(first["video_id"]) & asked
        # The answer is the truth here, so that only who answers matters, not how well.
        drawn["p_violating"] = np.where(answered, violating[taken], np.nan)
        for with_it, sample in enumerate((drawn.dropna(subset="p_violating"), adjusted_for_response(drawn))):
            weight = 1 / sample["inclusion_probability"]
            positive, above = weight * sample["p_violating"], sample["score"] >= cut
            found = {
                "prevalence": positive.sum() / weight.sum(),
                "recall": positive[above].sum() / positive.sum(),
                "precision": positive[above].sum() / weight[above].sum(),
            }
            for name, value in found.items():
                if with_it:
                    estimates[name][-1] = (estimates[name][-1][0], value)
                else:
                    estimates[name].append((value, float("nan")))
    for name, values in estimates.items():
        error = np.array(values) - true[name]
        (plain, adjusted), standard = error.mean(axis=0), error.std(axis=0, ddof=1) / np.sqrt(len(values))
        assert plain > 4 * standard[0], name
        assert abs(adjusted) < 3 * standard[1], name
        assert abs(adjusted) < plain / 4, name
