"""The review queue: each video and policy once, and nothing in it that tells a score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.config.load import load_config
from include.contract.tables import TABLES
from include.sampling.queue import COLUMNS, review_queue

CONFIG = load_config()
DAY = "2026-11-03"


def drawn(n: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Rows of review_sample whose ids, like a platform's, and scores rise together."""
    rng = np.random.default_rng(seed)
    policy = rng.choice(sorted(CONFIG.policies), n)
    rows = pd.DataFrame(
        {
            "programme": "audit",
            "video_id": 7_500_000_000_000_000_000 + np.arange(n) * 4096,
            "policy": policy,
            "market": rng.choice(["BR", "DE", "IN"], n),
            "model_version": [CONFIG.policies[name].model_versions[0] for name in policy],
            "score": np.sort(rng.random(n)),
        }
    )
    return rows.assign(sample_id=sample_id(rows))


def sample_id(rows: pd.DataFrame) -> pd.Series:
    return f"audit:{DAY}:" + rows["policy"] + ":" + rows["model_version"] + ":" + rows["video_id"].astype(str)


def test_it_asks_for_what_was_drawn_with_the_policys_terms() -> None:
    rows = drawn(300)
    queue = review_queue(rows, CONFIG)
    assert tuple(queue.columns) == COLUMNS
    assert set(queue["sample_id"]) == set(rows["sample_id"])
    for row in queue.to_dict("records"):
        policy = CONFIG.policies[row["policy"]]
        assert (row["guideline_version"], row["overlap"]) == (policy.guideline_version, policy.overlap)
        assert row["minutes"] == pytest.approx(policy.minutes_per_label * policy.overlap)


def test_overlap_costs_every_reviewers_minutes() -> None:
    policies = {name: policy.model_copy(update={"overlap": 3}) for name, policy in CONFIG.policies.items()}
    queue = review_queue(drawn(50), CONFIG.model_copy(update={"policies": policies}))
    minutes = queue["policy"].map({name: 3 * policy.minutes_per_label for name, policy in policies.items()})
    assert queue["minutes"].tolist() == pytest.approx(minutes.tolist())


def test_no_column_tells_reviewers_what_the_model_thought() -> None:
    telling = {"score", "stratum", "region", "inclusion_probability", "permanent_random", "views", "design_id"}
    assert telling <= set(TABLES["review_sample"].column_names)
    assert not telling & set(COLUMNS)
    assert "model_version" not in COLUMNS


def test_a_video_drawn_under_two_versions_is_asked_once_under_the_smaller_id() -> None:
    one = drawn(40).assign(policy="fraud", model_version="fraud-v2")
    other = one.assign(model_version="fraud-v3", score=1 - one["score"]).head(25)
    both = pd.concat([other, one])
    both["sample_id"] = sample_id(both)
    queue = review_queue(both, CONFIG)
    assert len(queue) == len(queue.drop_duplicates(["video_id", "policy"])) == 40
    assert queue["sample_id"].str.contains(":fraud-v2:").all()


def test_a_video_drawn_for_two_policies_is_asked_for_each() -> None:
    one = drawn(30).assign(policy="fraud", model_version="fraud-v2")
    two = one.assign(policy="violence", model_version="violence-v3")
    both = pd.concat([one, two])
    both["sample_id"] = sample_id(both)
    assert len(review_queue(both, CONFIG)) == 60


def test_the_order_says_nothing_about_scores_and_does_not_hang_on_theirs() -> None:
    rows = drawn()
    queue = review_queue(rows, CONFIG)
    scores = rows.set_index("sample_id")["score"]
    correlation = stats.spearmanr(np.arange(len(queue)), scores.loc[queue["sample_id"]])
    assert correlation.pvalue > 0.001
    shuffled = rows.assign(score=1 - rows["score"]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(review_queue(shuffled, CONFIG), queue)


def test_nothing_drawn_is_an_empty_queue() -> None:
    queue = review_queue(drawn(5).head(0), CONFIG)
    assert tuple(queue.columns) == COLUMNS
    assert queue.empty
