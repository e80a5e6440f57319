"""Review queues as evidence: what counts where they were emptied, and what a difference from blind answers takes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.config.model import Config, QueueDecisions
from include.contract.tables import CELL, REVIEW_QUEUE
from include.evidence.queue_decisions import (
    REFUSED_AT,
    compared_so_far,
    evidence_of_difference,
    of_queues,
    refused_queues,
)
from include.evidence.response import mature_draws

DAY = date(2026, 11, 20)
SHIPPED = load_config()


def delivered(**settings: Any) -> Config:
    sampling = SHIPPED.sampling.model_copy(update={"queue_decisions": QueueDecisions.model_validate(settings)})
    return SHIPPED.model_copy(update={"sampling": sampling})


CONFIG = delivered(emptied_share=0.9)


def back(days: int) -> date:
    return DAY - timedelta(days=days)


def drawn(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {
        "programme": REVIEW_QUEUE,
        "policy": "violence",
        "market": "BR",
        "model_version": "violence-v3",
        "stratum": "sent",
        "region": REVIEW_QUEUE,
        "score": 0.85,
        "inclusion_probability": np.nan,
        "ds": back(5),
    }
    return pd.DataFrame([{**base, **row} for row in rows])


def consensus(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {
        "policy": "violence",
        "p_violating": 1.0,
        "status": "final",
        "sampled_on": back(5),
        "asked_by": REVIEW_QUEUE,
        "settled": None,
    }
    return pd.DataFrame([{**base, **row} for row in rows])


def found(
    draws: pd.DataFrame, answers: pd.DataFrame, config: Config = CONFIG, *, queue_decisions: bool = True
) -> pd.DataFrame:
    rows = mature_draws(draws, answers, day=DAY, config=config, queue_decisions=queue_decisions)
    return rows.set_index("video_id").sort_index()


QUEUE = [{"video_id": n} for n in range(20)]
BLIND = {"programme": "audit", "region": "review", "inclusion_probability": 0.05, "stratum": "s"}
OVERLAP = [{**BLIND, "video_id": 0}, {**BLIND, "video_id": 1}]
BLIND_ANSWERS = [{"video_id": 0, "p_violating": 0.0, "asked_by": "sample"}]


def test_an_emptied_queue_is_drawn_with_probability_one_and_what_it_left_is_undecided() -> None:
    answers = consensus(*BLIND_ANSWERS, *({"video_id": n} for n in range(1, 18)), {"video_id": 18, "p_violating": None})
    rows = found(drawn(*QUEUE, *OVERLAP), answers)
    assert list(rows.index) == list(range(20))  # the overlap stands for itself once
    assert (rows["inclusion_probability"] == 1).all()
    assert rows.index[rows["undecided"]].tolist() == [18, 19]  # only unsure; left
    assert rows.loc[0, "p_violating"] == 0.0  # blind answers before the queue's
    assert (rows.loc[1:17, "p_violating"] == 1.0).all()
    assert set(rows["region"]) == {REVIEW_QUEUE}  # a class of its own where response is concerned


def test_of_a_queue_that_was_not_emptied_only_blind_answers_count() -> None:
    answers = consensus(*BLIND_ANSWERS, *({"video_id": n} for n in range(1, 15)))
    rows = found(drawn(*QUEUE, *OVERLAP), answers)
    assert list(rows.index) == [0, 1]
    assert rows["inclusion_probability"].tolist() == [0.05, 0.05]
    assert rows.loc[0, "p_violating"] == 0.0
    assert pd.isna(rows["p_violating"].tolist()[1])  # answered by the queue alone
    assert not rows["undecided"].any()


def test_queues_are_judged_by_cell_and_day() -> None:
    yesterday = [{**row, "video_id": row["video_id"] + 100, "ds": back(6)} for row in QUEUE]
    abroad = [{**row, "video_id": row["video_id"] + 200, "market": "DE"} for row in QUEUE]
    half = consensus(
        *({"video_id": n} for n in range(20)),
        *({"video_id": n, "sampled_on": back(6)} for n in range(100, 110)),
        *({"video_id": n} for n in range(200, 219)),
    )
    rows = found(drawn(*QUEUE, *yesterday, *abroad), half)
    assert rows.groupby(["market", "sampled_on"]).size().to_dict() == {("BR", back(5)): 20, ("DE", back(5)): 20}


def test_no_queue_counts_where_it_is_not_asked_for() -> None:
    draws, answers = drawn(*QUEUE, *OVERLAP), consensus(*BLIND_ANSWERS, *({"video_id": n} for n in range(1, 20)))
    for rows in (found(draws, answers, SHIPPED), found(draws, answers, queue_decisions=False)):
        assert list(rows.index) == [0, 1]
        assert pd.isna(rows["p_violating"].tolist()[1])


def test_a_queue_that_errs_as_others_do_is_hardly_ever_refused_however_often_one_looks() -> None:
    rng = np.random.default_rng(7)
    heads = rng.random((4_000, 400)) < 0.5
    only_queue = heads.cumsum(axis=1)
    only_blind = np.arange(1, 401) - only_queue
    highest = evidence_of_difference(only_queue, only_blind).max(axis=1)
    refused = (highest >= REFUSED_AT).mean()
    assert 0.005 < refused <= 1 / REFUSED_AT + 3 * np.sqrt(0.05 * 0.95 / 4_000)
    assert evidence_of_difference(0, 0) == 1
    assert evidence_of_difference(3, 9) == pytest.approx(evidence_of_difference(9, 3))
    biased = (rng.random((500, 60)) < 0.75).cumsum(axis=1)
    found = evidence_of_difference(biased, np.arange(1, 61) - biased).max(axis=1) >= REFUSED_AT
    assert found.mean() > 0.9


def decisions(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """(days before, only_queue, only_blind) each, of one cell."""
    cell = dict(zip(CELL, ("violence", "BR", "violence-v3"), strict=True))
    return pd.DataFrame(
        [
            {
                **cell,
                "ds": back(n),
                "sampled_on": back(n + 3),
                "compared": 30,
                "only_queue": queue,
                "only_blind": blind,
            }
            for n, queue, blind in rows
        ]
    )


def test_a_queue_is_refused_by_name_for_good_unless_a_person_begins_anew() -> None:
    rows = decisions((9, 7, 1), (8, 7, 1), (7, 0, 6), (6, 0, 5))
    so_far = compared_so_far(rows, CONFIG)
    assert so_far["only_queue"].tolist() == [7, 14, 14, 14]
    assert so_far["e_value"].iloc[-1] < REFUSED_AT < so_far["highest"].iloc[-1]
    (why,) = refused_queues(rows, CONFIG).values()
    assert "of 60 videos answered by both, 14 were violating to the queue alone and 2 to the blind alone" in why
    assert refused_queues(rows, delivered(compared_from=back(9))) == {}
    assert refused_queues(rows.iloc[:1], CONFIG) == {}
    twice = pd.concat([rows.iloc[:1], rows.iloc[:1].assign(ds=back(5))])  # a day that became final twice
    assert compared_so_far(twice, CONFIG)["only_queue"].tolist() == [7]


def test_the_answers_of_a_queue_are_those_of_its_market() -> None:
    draws = drawn({"video_id": 1}, {"video_id": 2, "market": "DE"}, {**BLIND, "video_id": 3})
    events = pd.DataFrame({"video_id": [1, 1, 2, 3], "policy": "violence", "programme": [REVIEW_QUEUE, "audit"] * 2})
    events.loc[2, "programme"] = REVIEW_QUEUE
    assert of_queues(events, draws, {("violence", "BR"): ""}).tolist() == [True, False, False, False]
