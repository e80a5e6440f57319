"""What serving sends to review: which videos are left to its queue, and what that makes of the design and the draw."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.config.model import Config, QueueDecisions
from include.contract.grid import ThresholdPair
from include.contract.sample import sampling_minutes
from include.contract.tables import CELL, REVIEW_QUEUE
from include.sampling.cells import stretches
from include.sampling.design import design
from include.sampling.review_queue import not_expected_to_answer, queued_bins
from tests.sampling.test_design import ALL, NO_CURVE, config, histogram, thresholds
from tests.sampling.test_draw import KEY, draw
from tests.sampling.test_draw import design as audit_and_more
from tests.sampling.test_profile import faulty, land

CELLS = [("violence", "BR", "violence-v3"), ("fraud", "BR", "fraud-v2")]
FEW = np.full(1000, 20)


def delivered(config: Config, **settings: object) -> Config:
    sampling = config.sampling.model_copy(update={"queue_decisions": QueueDecisions.model_validate(settings)})
    return config.model_copy(update={"sampling": sampling})


CONFIG = delivered(config(ALL, BR=48_800))  # 40 % for the review queue, which may take 1.25 times as long


def queues(canaries=None, *, idle=(), videos=FEW, config=CONFIG, in_force=None):
    counts = histogram(CELLS, videos, unscored=30)
    levels = thresholds(CELLS) if in_force is None else in_force
    return queued_bins(counts, levels, canaries or {}, config, idle=idle)


def test_the_band_is_what_the_thresholds_send_to_review_and_what_has_no_score() -> None:
    found = queues()
    assert stretches(found[CELLS[0]].bins) == [(-1, -1), (600, 899)]
    assert stretches(found[CELLS[1]].bins) == [(600, 899)]  # fraud: without a score it is allowed
    assert all(queue.left for queue in found.values())
    shadow = queues(in_force=thresholds(CELLS, remove_at=1.0), config=delivered(config(ALL, BR=100_000)))
    assert stretches(shadow[CELLS[1]].bins) == [(600, 999)]  # a score of exactly 1 as well


def test_of_a_canary_only_what_either_pair_reviews() -> None:
    found = queues({CELLS[1]: ThresholdPair(0.85, 0.65)})
    assert stretches(found[CELLS[1]].bins) == [(650, 849)]
    assert stretches(found[CELLS[0]].bins) == [(-1, -1), (600, 899)]


def test_nothing_counts_where_it_is_not_delivered_or_the_markets_queue_exceeds_its_minutes() -> None:
    assert queues(config=config(ALL, BR=48_800)) == {}
    assert set(queues()) == set(CELLS)  # 6,030 videos at 1.5 and 6,000 at 2.5 minutes: 24,045
    assert queues(config=delivered(config(ALL, BR=48_000))) == {}


def test_a_cell_is_left_to_its_queue_unless_the_newest_day_says_otherwise() -> None:
    rows = pd.DataFrame(
        [
            (*CELLS[0], date(2026, 11, 1), False, None),
            (*CELLS[0], date(2026, 11, 2), True, None),
            (*CELLS[1], date(2026, 11, 1), True, None),
            (*CELLS[1], date(2026, 11, 2), False, None),
            ("violence", "DE", "violence-v3", date(2026, 11, 2), True, "answers otherwise"),
        ],
        columns=[*CELL, "ds", "emptied", "refusal"],
    )
    assert not_expected_to_answer(rows) == {CELLS[1], ("violence", "DE", "violence-v3")}
    assert not_expected_to_answer(rows.iloc[:0]) == set()


@pytest.mark.parametrize("remove_at", [0.9, 1.0])
def test_minutes_go_elsewhere_but_for_the_overlap(remove_at: float) -> None:
    counts = histogram(CELLS, np.full(1000, 200), unscored=300)
    settings = delivered(config(ALL, BR=1_000_000))
    levels = thresholds(CELLS, remove_at=remove_at)
    sent = queued_bins(counts, levels, {}, settings, idle=())
    shadows = levels.assign(remove_at=0.9)
    small = delivered(config(ALL, BR=30_000))
    with_queue = design(counts, shadows, NO_CURVE, small, sent)
    without = design(counts, shadows, NO_CURVE, small)
    assert sampling_minutes(with_queue)["BR"] <= 30_000 * 0.6 * (1 + 1e-9)
    for cell, queue in sent.items():
        blind, of_queue = (
            rows[(rows[list(CELL)] == cell).all(axis=1)]
            for rows in (with_queue[with_queue["programme"] != REVIEW_QUEUE], with_queue)
        )
        of_queue = of_queue[of_queue["programme"] == REVIEW_QUEUE]
        bins = np.arange(-1, 1000)
        chance = np.zeros(1001)
        for row in blind.to_dict("records"):
            inside = (bins >= row["first_bin"]) & (bins <= row["last_bin"])
            if row["programme"] == "audit":
                assert (chance[inside] == 0).all()  # one stratum a bin
                chance[inside] = row["inclusion_probability"]
            else:
                assert not queue.bins[inside].any()
        assert (chance > 0).all()
        assert np.unique(chance[queue.bins]).size == 1
        assert chance[queue.bins][0] <= 0.05
        assert (of_queue["inclusion_probability"] == 1).all()
        assert set(of_queue["region"]) == {REVIEW_QUEUE}
        assert of_queue["population"].sum() == 200 * queue.bins[1:].sum() + 300 * queue.bins[0]
        before = without[(without[list(CELL)] == cell).all(axis=1) & (without["programme"] == "audit")]
        top = before.loc[before["last_bin"] == 999, "inclusion_probability"].iloc[0]
        if remove_at < 1:
            assert chance[-1] > top  # what is removed gets the labels that the band no longer takes


def test_where_the_queue_is_not_expected_to_answer_the_others_ask_as_if_it_did_not_exist() -> None:
    counts = histogram(CELLS, np.full(1000, 200))
    settings = delivered(config(ALL, BR=1_000_000))
    sent = queued_bins(counts, thresholds(CELLS), {}, settings, idle=CELLS)
    small = delivered(config(ALL, BR=30_000))
    with_queue = design(counts, thresholds(CELLS), NO_CURVE, small, sent)
    without = design(counts, thresholds(CELLS), NO_CURVE, small)
    columns = [*CELL, "programme", "first_bin", "last_bin", "inclusion_probability", "probability_per_view"]
    blind = with_queue[with_queue["programme"] != REVIEW_QUEUE]
    pd.testing.assert_frame_equal(blind[columns].reset_index(drop=True), without[columns])
    assert (with_queue["programme"] == REVIEW_QUEUE).any()  # so that it is seen when it answers again


def test_all_that_was_sent_to_review_is_drawn(tmp_path: Path) -> None:
    rows = faulty(4)
    blind = audit_and_more({"no_score": 0.02, "low": 0.05, "middle": 0.3, "high": 0.4})
    of_queue = blind[(blind["programme"] == "audit") & blind["stratum"].isin(["no_score", "middle"])]
    low = of_queue["stratum"].map({"middle": 0.2})
    of_queue = of_queue.assign(programme=REVIEW_QUEUE, inclusion_probability=1.0, score_low=low)
    drawn = draw(land(tmp_path, rows, files=2), pd.concat([blind, of_queue], ignore_index=True))
    queue, others = drawn[drawn["programme"] == REVIEW_QUEUE], drawn[drawn["programme"] != REVIEW_QUEUE]
    score, known = rows["score"].to_numpy("float64", na_value=np.nan), rows[["video_id", *CELL]].notna().all(axis=1)
    usable = ~rows["null_score"].to_numpy() & (score >= 0) & (score <= 1)
    sent = rows[known & (~usable | ((score >= 0.2) & (score < 0.6)))]
    assert set(map(tuple, queue[KEY].to_numpy())) == set(map(tuple, sent[KEY].to_numpy()))
    assert not queue.duplicated(KEY).any()
    assert len(queue) > 500
    assert queue["score"].isna().any()
    assert (queue["programme_probability"] == 1).all()
    assert queue["inclusion_probability"].isna().all()
    without = draw(land(tmp_path / "again", rows, files=2), blind)
    pd.testing.assert_frame_equal(others.reset_index(drop=True), without)
