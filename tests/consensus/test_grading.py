"""Reviewers below the floor: who is flagged, and what becomes of their votes."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_config
from include.config.model import Config, ReviewerFloor
from include.consensus.grading import DOWN_WEIGHT, agreement, contradicted, counted, graded
from include.consensus.reviewers import gwet_ac1, krippendorff_alpha
from include.contract.tables import TABLES
from include.quality.gate import run_gate
from include.quality.suites import consensus_on_golden

DAY = dt.date(2026, 11, 16)
NOON = pd.Timestamp("2026-11-16 12:00", tz="UTC")


def configured(**changes: object) -> Config:
    shipped = load_config()
    policies = {name: policy.model_copy(update=changes) for name, policy in shipped.policies.items()}
    return shipped.model_copy(update={"policies": policies})


def votes(right: dict[str, float], *, items: int = 60, policy: str = "fraud", seed: int = 0) -> pd.DataFrame:
    """Everybody votes on every item; half of the items are violating."""
    random = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([range(items), sorted(right)], names=["item", "reviewer"]).to_frame(index=False)
    truth = rows["item"] % 2 == 0
    is_right = random.random(len(rows)) < rows["reviewer"].map(right)
    minutes = pd.to_timedelta(rows["item"], unit="min")
    return rows.assign(policy=policy, violating=truth == is_right, labelled_at=NOON - minutes)


def golden(items: range, policy: str = "fraud") -> pd.DataFrame:
    return pd.DataFrame({"policy": policy, "item": items, "violating": [i % 2 == 0 for i in items]})


def events(cast: pd.DataFrame) -> pd.DataFrame:
    ids = [f"e{i}" for i in range(len(cast))]
    return cast.rename(columns={"reviewer": "reviewer_id"}).assign(event_id=ids)


def grades(cast: pd.DataFrame, truth: pd.DataFrame | None, config: Config) -> pd.DataFrame:
    return graded(cast, events(cast), truth, day=DAY, config=config)


TEAM = {"ana": 0.95, "bo": 0.95, "cy": 0.95, "dud": 0.1}


@pytest.mark.parametrize("action", ["keep", "down_weight", "leave_out"])
def test_who_is_wholly_below_the_floor_is_flagged_and_treated_as_configured(action: str) -> None:
    cast = votes(TEAM)
    quality = grades(cast, golden(range(50)), configured(below_floor=action))
    assert list(quality.columns) == list(TABLES["reviewer_quality"].column_names)
    flagged = quality[quality["below_floor"]]
    assert set(flagged["reviewer_id"]) == {"dud"}
    assert "golden" in set(flagged["basis"])
    assert set(quality.loc[quality["reviewer_id"] == "dud", "action"]) == {action}
    assert set(quality.loc[quality["reviewer_id"] != "dud", "action"]) == {"keep"}
    kept, weights = counted(cast, quality)
    assert set(kept["reviewer"]) == set(TEAM) - ({"dud"} if action == "leave_out" else set())
    expected = [("dud", DOWN_WEIGHT)] if action == "down_weight" else []
    assert list(weights.itertuples(index=False, name=None)) == expected


def test_an_interval_that_reaches_the_floor_or_too_few_labels_flag_nobody() -> None:
    cast = votes(TEAM)
    few = ReviewerFloor(min_labels=51)
    assert (
        not grades(cast, golden(range(50)), configured(reviewer_floor=few))
        .query("basis == 'golden'")["below_floor"]
        .any()
    )
    doubtful = votes(TEAM | {"dud": 0.45}, seed=3)
    rows = grades(doubtful, golden(range(20)), configured(reviewer_floor=ReviewerFloor(min_labels=1)))
    (dud,) = rows.query("basis == 'golden' and reviewer_id == 'dud'").to_dict("records")
    assert dud["specificity"] < 0.8 < dud["specificity_high"] or dud["sensitivity"] < 0.5 < dud["sensitivity_high"]
    assert not dud["below_floor"] or dud["specificity_high"] < 0.8 or dud["sensitivity_high"] < 0.5


def test_the_consensus_alone_flags_but_never_takes_a_vote_away() -> None:
    quality = grades(votes(TEAM, items=200), None, configured(below_floor="leave_out"))
    flagged = quality[quality["below_floor"]]
    assert set(flagged["reviewer_id"]) == {"dud"}
    assert set(quality["action"]) == {"keep"}


@pytest.mark.parametrize("known", [0, 10, 200])
def test_a_consensus_that_golden_labels_contradict_is_named(known: int) -> None:
    """Two reviewers a video, one of whom always says yes, and a model that believed that one."""
    truth = np.arange(400) % 40 == 0
    items = pd.DataFrame({"video_id": range(400), "policy": "fraud", "p_violating": 1.0})
    known_truth = pd.DataFrame({"policy": "fraud", "item": range(known), "violating": truth[:known]})
    found = contradicted(items, known_truth if known else None, configured())
    said = [text for text in found["contradiction"] if text]
    if known < 20:  # reviewer_floor.min_labels
        assert said == []
        return
    assert said == ["sensitivity 1.000 and specificity 0.000 on 200 golden labels; the floor is 0.5 and 0.8"]
    right = contradicted(items.assign(p_violating=truth.astype(float)), known_truth, configured())
    assert right["golden_labels"].tolist() == [200]
    assert right["contradiction"].isna().all()
    (judged,) = consensus_on_golden(found)
    outcome = run_gate("consensus", DAY, [judged])
    assert outcome.passed
    assert len(outcome.warnings) == 1
    assert "fraud" in outcome.warnings[0]
    assert said[0] in outcome.warnings[0]
    assert run_gate("consensus", DAY, consensus_on_golden(right)).warnings == ()


def test_a_floor_belongs_to_a_policy() -> None:
    shipped = load_config()
    harsh = shipped.policies["fraud"].model_copy(update={"below_floor": "leave_out"})
    config = shipped.model_copy(update={"policies": shipped.policies | {"fraud": harsh}})
    cast = pd.concat([votes(TEAM), votes(TEAM, policy="violence")])
    truth = pd.concat([golden(range(50)), golden(range(50), "violence")])
    quality = grades(cast, truth, config)
    left_out = quality[quality["action"] == "leave_out"]
    assert set(left_out["policy"]) == {"fraud"}


def test_speed_and_drift_stand_beside_the_rates() -> None:
    quality = grades(votes(TEAM), golden(range(50)), configured())
    assert quality["seconds_per_answer"].tolist() == [60.0] * len(quality)
    assert (quality["recent_labels"] > 0).all()
    assert not quality["drifted"].any()


def test_agreement_of_each_policy() -> None:
    cast = pd.concat([votes(TEAM), votes({"ana": 1.0}, policy="violence")])
    fraud, violence = agreement(cast).to_dict("records")
    one = cast[cast["policy"] == "fraud"]
    assert fraud == {
        "policy": "fraud",
        "items": 60,
        "shared_items": 60,
        "reviewers": 4,
        "krippendorff_alpha": pytest.approx(krippendorff_alpha(one)),
        "gwet_ac1": pytest.approx(gwet_ac1(one)),
    }
    assert [violence[name] for name in ("items", "shared_items", "reviewers")] == [60, 0, 1]
    assert np.isnan([violence["krippendorff_alpha"], violence["gwet_ac1"]]).all()
    assert agreement(cast.head(0)).empty


def test_no_votes_give_empty_tables() -> None:
    quality = grades(votes(TEAM).head(0), None, configured())
    assert quality.empty
    assert list(quality.columns) == list(TABLES["reviewer_quality"].column_names)


def test_one_reviewer_who_labels_everything_is_not_judged_by_nobody() -> None:
    cast = votes({"only": 0.9}, items=300)
    (row,) = grades(cast, None, configured(below_floor="leave_out")).to_dict("records")
    assert (row["labels"], row["basis"], row["below_floor"], row["action"]) == (300, "consensus", False, "keep")
    assert np.isnan([row["sensitivity"], row["agreement"], row["drift_p_value"]]).all()
    assert (row["sensitivity_low"], row["sensitivity_high"]) == (0, 1)


def test_only_unsure_answers_are_no_votes_and_grade_nobody() -> None:
    cast = votes(TEAM)
    quality = graded(cast.head(0), events(cast), golden(range(9)), day=DAY, config=configured())
    assert quality.empty
