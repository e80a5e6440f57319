"""The second look: which answers experts are asked to settle, and which of them say how often reviewers err."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.config.model import Config
from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES
from include.quality import suites
from include.quality.gate import run_gate
from include.sampling.queue import COLUMNS, expert_queue, review_queue
from include.sampling.second_look import draw_second_look, second_look_design, second_look_pool

DAY = date(2026, 11, 20)
BACK = DAY - timedelta(days=2)
NOBODY = pd.DataFrame(columns=["policy", "video_id"])
NO_ANSWERS = pd.DataFrame(columns=["video_id", "policy", "reviewer_id"])
NO_DETAILS = empty_frame(TABLES["review_details"])
LEVELS = pd.DataFrame([("violence", "BR", "violence-v3", 0.95), ("violence", "DE", "violence-v3", 0.95)])
LEVELS.columns = [*CELL, "remove_at"]


def config_with(*, share: float = 0.0, minutes: float | None = 1_000.0, names: tuple[str, ...] = ()) -> Config:
    shipped = load_config()
    look = shipped.sampling.second_look.model_copy(update={"random_share": share})
    raw = shipped.model_dump(mode="json", exclude_unset=True)
    raw["sampling"]["second_look"] = look.model_dump()
    for market in raw["markets"].values():
        market["experts"] = None if minutes is None else {"minutes": minutes, "names": list(names)}
    return Config.model_validate(raw)


def draw(video: int, score: float | None = 0.97, **values: Any) -> dict[str, Any]:
    row = {"programme": "audit", "video_id": video, "policy": "violence", "market": "BR", "views": 10, "ds": BACK}
    row |= {"cluster_id": None}
    return row | {"model_version": "violence-v3", "score": score, "stratum": "s"} | values


def answered(*answers: tuple[int, float | None], policy: str = "violence", on: date = BACK) -> pd.DataFrame:
    rows = [{"video_id": video, "policy": policy, "p_violating": p, "sampled_on": on} for video, p in answers]
    return pd.DataFrame(rows).astype({"p_violating": float})


def pool(draws: list[dict[str, Any]], answers: pd.DataFrame, config: Config, **values: Any) -> pd.DataFrame:
    known = values.pop("known", NOBODY)
    return second_look_pool(pd.DataFrame(draws), answers, LEVELS, config, known=known, day=DAY)


def test_what_decides_is_what_reviewers_passed_near_the_threshold_and_above_or_left_open():
    draws = [
        draw(1, 0.90),
        draw(2, 0.899),  # further down than the margin
        draw(3, 0.97),
        draw(4, 0.99),  # called violating
        draw(5, 0.3),  # unsure
        draw(14, None),  # unsure, no score
        draw(6, 0.96),  # a tie
        draw(7, None),  # no score
        draw(8, 0.97),  # not yet answered
        draw(9, 0.97, programme="training"),
        draw(10, 0.97),  # its answer is about another day
        draw(11, 0.97),  # asked before
        draw(11, 0.97, programme="second_look"),
        draw(12, 0.97),  # settled unasked
        draw(13, 0.97, ds=DAY - timedelta(days=40)),  # before the window
    ]
    answers = [(n, 0.0) for n in (1, 2, 3, 7, 9, 11, 12, 13)] + [(4, 1.0), (5, None), (6, 0.5), (14, None)]
    rows = pd.concat([answered(*answers), answered((10, 0.0), on=BACK + timedelta(days=1))])
    rows.loc[rows["video_id"] == 13, "sampled_on"] = DAY - timedelta(days=40)
    found = pool(draws, rows, config_with(), known=pd.DataFrame({"policy": ["violence"], "video_id": [12]}))
    assert found["video_id"].tolist() == [1, 3, 5, 6, 14]
    assert set(found["stratum"]) == {"decisive"}
    assert pool(draws, rows, config_with(minutes=None)).empty


def test_who_is_asked_by_chance_is_asked_whatever_the_answer_and_the_score():
    rng = np.random.default_rng(1)
    draws = [draw(video, float(score)) for video, score in enumerate(rng.random(4_000))]
    said = (rng.random(4_000) < 0.5).astype(float)
    found = pool(draws, answered(*enumerate(said)), config_with(share=0.1, minutes=10_000.0))
    random = found[found["stratum"] == "random"]
    assert 340 < len(random) < 460
    assert (random["permanent_random"] < 0.1).all()
    assert abs(said[random["video_id"]].mean() - 0.5) < 0.08
    assert abs(random["score"].mean() - 0.5) < 0.05
    turned = pool(draws, answered(*enumerate(1 - said)), config_with(share=0.1, minutes=10_000.0))
    same = turned.loc[turned["stratum"] == "random", "video_id"]
    assert same.tolist() == random["video_id"].tolist()  # the answer has no say in it


def test_experts_minutes_go_to_chance_first_and_then_from_high_scores_down():
    draws = [draw(video, 0.95 + video / 1000) for video in range(40)]
    answers = answered(*((video, 0.0) for video in range(40)))
    everything = pool(draws, answers, config_with(share=0.2))
    assert len(everything) == 40
    chance = set(everything.loc[everything["stratum"] == "random", "video_id"])
    assert 2 <= len(chance) <= 15
    each = load_config().policies["violence"].minutes_per_label
    few = pool(draws, answers, config_with(share=0.2, minutes=(len(chance) + 3) * each))
    highest = sorted(set(range(40)) - chance)[-3:]
    assert set(few["video_id"]) == chance | set(highest)


def test_a_video_is_asked_once_a_policy_however_many_versions_scored_it():
    draws = [draw(1), draw(1, 0.99, model_version="violence-v4")]
    levels = pd.concat([LEVELS, LEVELS.assign(model_version="violence-v4")])
    found = second_look_pool(pd.DataFrame(draws), answered((1, 0.0)), levels, config_with(), known=NOBODY, day=DAY)
    assert found[["video_id", "model_version"]].to_numpy().tolist() == [[1, "violence-v4"]]


@pytest.fixture
def asked() -> tuple[pd.DataFrame, pd.DataFrame, Config]:
    """The pool's draws with their ids, the design, and the configuration."""
    config = config_with(share=0.3, names=("lena", "marco"))
    draws = [draw(video, 0.95 + video / 1000) for video in range(20)]
    candidates = pool(draws, answered(*((video, 0.0) for video in range(20))), config)
    design = second_look_design(candidates, config)
    drawn = draw_second_look(candidates, design)
    return drawn.assign(sample_id=[f"s{video}" for video in drawn["video_id"]]), design, config


def test_the_gate_takes_a_second_look_for_what_the_design_says(asked):
    drawn, design, config = asked
    drawn = drawn[list(TABLES["review_sample"].column_names)]
    assert set(drawn["stratum"]) == {"random", "decisive"}
    assert design["expected_labels"].sum() == len(drawn) == 20
    judged = suites.sample(drawn, design, config)
    assert run_gate("sample", DAY, judged).passed
    assert judged[-1].frame.empty  # experts' minutes are none of the reviewers'
    one_less = suites.sample(drawn.iloc[1:], design, config)
    assert not run_gate("sample", DAY, one_less).passed
    assert drawn["inclusion_probability"].isna().all()


def test_the_queue_of_experts_names_neither_score_nor_reason_and_asks_who_has_not_answered(asked):
    drawn, _, config = asked
    voted = pd.DataFrame({"video_id": [0, 1], "policy": "violence", "reviewer_id": ["lena", "marco"]})
    queue = expert_queue(drawn, config, answered=voted, details=NO_DETAILS)
    assert list(queue.columns) == list(COLUMNS)
    assert set(queue["overlap"]) == {1}
    who = queue.set_index("video_id")["assigned_to"]
    assert (who[0], who[1]) == ("marco", "lena")
    assert set(who) == {"lena", "marco"}
    unnamed = expert_queue(drawn, config_with(share=0.3), answered=voted, details=NO_DETAILS)
    assert set(unnamed["assigned_to"]) == {""}
    assert unnamed["video_id"].tolist() == queue["video_id"].tolist()
    assert review_queue(drawn.iloc[:0], config, answered=NO_ANSWERS, details=NO_DETAILS).empty
