"""The review queue: each video and policy once, and nothing in it that tells a score."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.config.load import load_config
from include.config.model import Config
from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.sampling.queue import COLUMNS, SEPARATOR, as_csv, review_queue, sample_ids

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


def sample_id(rows: pd.DataFrame) -> list[str]:
    video = rows["video_id"].astype(str)
    return sample_ids(rows["programme"] + f":{DAY}:" + rows["policy"] + ":" + rows["model_version"] + ":" + video)


NO_DETAILS = empty_frame(TABLES["review_details"])
NOBODY = pd.DataFrame(columns=["video_id", "policy", "reviewer_id"])


def queued(rows: pd.DataFrame, config: Config = CONFIG, answered: pd.DataFrame = NOBODY) -> pd.DataFrame:
    return review_queue(rows, config, answered=answered, details=NO_DETAILS)


def test_it_asks_for_what_was_drawn_with_the_policys_terms() -> None:
    rows = drawn(300)
    queue = queued(rows)
    assert tuple(queue.columns) == COLUMNS
    assert set(queue["sample_id"]) == set(rows["sample_id"])
    for row in queue.to_dict("records"):
        policy = CONFIG.policies[row["policy"]]
        assert (row["guideline_version"], row["overlap"]) == (policy.guideline_version, policy.overlap)
        assert row["minutes"] == pytest.approx(policy.minutes_per_label * policy.overlap)


def test_overlap_costs_every_reviewers_minutes() -> None:
    policies = {name: policy.model_copy(update={"overlap": 3}) for name, policy in CONFIG.policies.items()}
    queue = queued(drawn(50), CONFIG.model_copy(update={"policies": policies}))
    minutes = queue["policy"].map({name: 3 * policy.minutes_per_label for name, policy in policies.items()})
    assert queue["minutes"].tolist() == pytest.approx(minutes.tolist())


def test_no_column_tells_reviewers_what_the_model_thought() -> None:
    telling = {"score", "stratum", "region", "inclusion_probability", "permanent_random", "views", "design_id"}
    assert telling <= set(TABLES["review_sample"].column_names)
    assert not telling & set(COLUMNS)
    assert not {"model_version", "programme"} & set(COLUMNS)


def test_a_video_drawn_under_two_versions_is_asked_once_under_the_smaller_id() -> None:
    one = drawn(40).assign(policy="fraud", model_version="fraud-v2")
    other = one.assign(model_version="fraud-v3", score=1 - one["score"]).head(25)
    both = pd.concat([other, one])
    both["sample_id"] = sample_id(both)
    queue = queued(both)
    assert len(queue) == len(queue.drop_duplicates(["video_id", "policy"])) == 40
    smallest = both.groupby("video_id")["sample_id"].min()
    assert queue.set_index("video_id")["sample_id"].to_dict() == smallest.to_dict()


def test_a_video_drawn_for_two_policies_is_asked_for_each() -> None:
    one = drawn(30).assign(policy="fraud", model_version="fraud-v2")
    two = one.assign(policy="violence", model_version="violence-v3")
    both = pd.concat([one, two])
    both["sample_id"] = sample_id(both)
    assert len(queued(both)) == 60


def test_the_order_says_nothing_about_scores_and_does_not_hang_on_theirs() -> None:
    rows = drawn()
    queue = queued(rows)
    scores = rows.set_index("sample_id")["score"]
    correlation = stats.spearmanr(np.arange(len(queue)), scores.loc[queue["sample_id"]])
    assert correlation.pvalue > 0.001
    shuffled = rows.assign(score=1 - rows["score"]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(queued(shuffled), queue)


def test_nothing_drawn_is_an_empty_queue() -> None:
    queue = queued(drawn(5).head(0))
    assert tuple(queue.columns) == COLUMNS
    assert queue.empty


def test_a_video_drawn_in_two_programmes_is_asked_once_as_the_audits() -> None:
    audit = drawn(60)
    golden = audit.assign(programme="golden").head(45)
    golden["sample_id"] = sample_id(golden)
    more = drawn(20, seed=5).assign(programme="golden")
    more["video_id"] += 10**9
    more["sample_id"] = sample_id(more)
    queue = queued(pd.concat([golden, more, audit]))
    assert set(queue["sample_id"]) == set(audit["sample_id"]) | set(more["sample_id"])


def test_ids_and_order_tell_nothing_of_the_programme() -> None:
    audit, golden = drawn(500), drawn(500, seed=5).assign(programme="golden")
    golden["video_id"] += 10**9
    golden["sample_id"] = sample_id(golden)
    queue = queued(pd.concat([audit, golden]))
    assert queue["sample_id"].str.fullmatch("[0-9a-f]{24}").all()
    is_golden = queue["sample_id"].isin(golden["sample_id"])
    assert stats.spearmanr(np.arange(len(queue)), is_golden).pvalue > 0.001
    for column in ("overlap", "minutes", "guideline_version"):
        told = queue.groupby("policy")[column].nunique()
        assert (told == 1).all()  # the policy fixes them, golden or not


ROSTER = {"BR": ["ana", "bo", "cy", "di"], "DE": ["ed", "flo", "ana"], "IN": []}


def with_roster(overlap: int) -> Config:
    policies = {name: policy.model_copy(update={"overlap": overlap}) for name, policy in CONFIG.policies.items()}
    markets = {name: m.model_copy(update={"reviewers": ROSTER[name]}) for name, m in CONFIG.markets.items()}
    return CONFIG.model_copy(update={"policies": policies, "markets": markets})


def pairs(queue: pd.DataFrame) -> pd.DataFrame:
    """One row a reviewer asked."""
    asked = queue[queue["assigned_to"] != ""]
    named = asked.assign(
        reviewer_id=asked["assigned_to"].str.split(SEPARATOR), each=asked["minutes"] / asked["overlap"]
    )
    return named.explode("reviewer_id")


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_a_roster_shares_the_work_and_nobody_sees_a_video_twice(overlap: int) -> None:
    config = with_roster(overlap)
    queue = queued(drawn(1_500), config)
    asked = pairs(queue)
    for market, names in ROSTER.items():
        mine = asked[asked["market"] == market]
        assert set(mine["reviewer_id"]) == set(names)
    assert not asked.duplicated(["reviewer_id", "video_id"]).any()
    assert (queue.loc[queue["market"] == "IN", "assigned_to"] == "").all()
    assert (queue["overlap"] == overlap).all()
    minutes = asked[asked["market"] == "BR"].groupby("reviewer_id")["each"].sum()
    largest = max(policy.minutes_per_label for policy in config.policies.values())
    others = minutes.drop("ana")  # she works for two markets
    assert others.max() - others.min() <= largest


def test_who_judges_one_policy_of_a_video_is_not_asked_another_while_others_are_free() -> None:
    one = drawn(200).assign(policy="fraud", model_version="fraud-v2", market="BR")
    two = one.assign(policy="violence", model_version="violence-v3")
    two["sample_id"] = sample_id(two)
    both = pd.concat([one.assign(sample_id=sample_id(one)), two])
    assert not pairs(queued(both, with_roster(2))).duplicated(["reviewer_id", "video_id"]).any()
    # With three each, four people cannot avoid it, and everybody is asked each question once.
    crowded = pairs(queued(both, with_roster(3)))
    assert not crowded.duplicated(["reviewer_id", "video_id", "policy"]).any()
    assert len(crowded) == 3 * 400


def test_whoever_answered_before_is_not_asked_again() -> None:
    rows = drawn(90).assign(market="BR", policy="fraud", model_version="fraud-v2")
    video = rows["video_id"]
    earlier = [(video[0], ["ana"]), (video[1], ["ana", "bo", "cy"]), (video[2], ["ana", "bo", "cy", "di"])]
    answered = pd.DataFrame(
        [(v, "fraud", name) for v, names in earlier for name in names], columns=["video_id", "policy", "reviewer_id"]
    )
    queue = queued(rows, with_roster(2), answered).set_index("video_id")
    assert "ana" not in queue.loc[video[0], "assigned_to"].split(SEPARATOR)
    assert queue.loc[video[0], "overlap"] == 2
    assert (queue.loc[video[1], "assigned_to"], queue.loc[video[1], "overlap"]) == ("di", 1)
    assert video[2] not in queue.index
    assert len(queue) == 89
    # For another policy the answers are no reason to leave anybody out.
    assert len(queued(rows, with_roster(2), answered.assign(policy="violence"))) == 90


def test_assignments_do_not_hang_on_the_order_of_rows() -> None:
    rows, config = drawn(400), with_roster(2)
    shuffled = rows.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(queued(shuffled, config), queued(rows, config))


SHOWN_OF = {"guideline_text": "Blood alone does not.\nA wound does.", "guideline_url": "https://g.test/violence"}


def test_reviewers_are_shown_what_it_takes_to_judge() -> None:
    policies = CONFIG.policies | {"violence": CONFIG.policies["violence"].model_copy(update=SHOWN_OF)}
    rows = drawn(60)
    details = pd.DataFrame({"video_id": rows["video_id"].head(30), "title": "A cat", "description": None})
    config = CONFIG.model_copy(update={"policies": policies})
    queue = review_queue(rows, config, answered=NOBODY, details=details).set_index("video_id")
    told = queue.index.isin(details["video_id"])
    assert (queue["title"] == np.where(told, "A cat", "")).all()
    assert set(queue["description"]) == {""}
    for video, row in queue.iterrows():
        policy = config.policies[row["policy"]]
        assert row["question"] == f"{policy.description}?"
        assert row["video_url"] == f"https://videos.example.com/{video}.mp4"
        assert (row["guideline_text"], row["guideline_url"]) == (
            policy.guideline_text or "",
            policy.guideline_url or "",
        )
    assert (queue.loc[queue["policy"] == "violence", "guideline_url"] == "https://g.test/violence").all()


def test_no_title_is_a_formula_to_a_spreadsheet_and_all_reads_back() -> None:
    titles = ["=1+1", "+1", "-1", "@SUM(A1)", 'two "quotes", a comma\nand a line', "'quoted", "Наводнение"]
    rows = drawn(len(titles))
    details = pd.DataFrame({"video_id": rows["video_id"], "title": titles, "description": titles})
    queue = review_queue(rows, CONFIG, answered=NOBODY, details=details)
    assert sorted(queue["title"]) == sorted(titles)
    read = pd.read_csv(BytesIO(as_csv(queue)), dtype="str", keep_default_na=False)
    shown = [f"'{title}" if title[0] in "=+-@" else title for title in queue["title"]]
    assert read["title"].tolist() == read["description"].tolist() == shown
    assert read["sample_id"].tolist() == queue["sample_id"].tolist()
