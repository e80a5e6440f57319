"""The closed loop in small: a few days with a feed that breaks, and what is counted about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from include.config.load import load_config
from include.config.model import Thresholds
from include.contract.tables import CELL
from include.project import Project
from include.simulation.scenario import load_scenario
from tests.benchmarks.bench_loop import (
    FIXED,
    HEADER,
    NOTEBOOK,
    ORACLE,
    OURS,
    Life,
    World,
    breaks_promise,
    live,
    loosened,
    recovery,
    table,
)
from tests.history import History

DAYS = 3
BROKEN = 2
VIDEOS = 8_000


class Hasty(History):
    """Labels are final a day later, so that days are few, and the initial thresholds are plainly too low. Half of what
    is asked otherwise is certified by a few of them.
    """

    @property
    def project(self) -> Project:
        project, update = super().project, dict[str, Any]()
        update |= {"maturity_days": 1, "initial": Thresholds(remove_at=0.8, review_at=0.8)}
        update |= {"target_precision": 0.6, "confidence": 0.6}
        policies = {name: policy.model_copy(update=update) for name, policy in project.config.policies.items()}
        at_once = project.config.guardrails.model_copy(update={"loosen_days": 1, "min_labels": 5})
        return replace(project, config=project.config.model_copy(update={"policies": policies, "guardrails": at_once}))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    home = tmp_path_factory.mktemp("loop")
    event = {"kind": "broken_feed", "from_day": BROKEN, "to_day": BROKEN, "faults": {"duplicate_rows": 0.03}}
    scenario = home / "broken.yaml"
    scenario.write_text(yaml.safe_dump({"extends": "calm", "description": "broken once", "events": [event]}))
    return Hasty(home, str(scenario), VIDEOS)


@pytest.fixture(scope="module")
def life(history: History) -> Life:
    return live(history, DAYS, population=200_000)


def of(life: Life, way: str) -> pd.DataFrame:
    return life.days[life.days["way"] == way].sort_values([*CELL, "day"], ignore_index=True)


def test_cells_earn_the_right_to_remove(life: Life) -> None:
    """Fails if the loop stops recalibrating, or if a cell removes without a certificate."""
    ours, fixed = of(life, OURS), of(life, FIXED)
    last = ours["day"] == DAYS - 1
    assert (ours.loc[ours["day"] == 0, "remove_at"] == 1).all()
    assert (ours["certified"] == (ours["remove_at"] < 1)).all()
    assert ours.loc[last, "certified"].sum() >= 3
    assert (ours.loc[last, "review_at"] != fixed.loc[last, "review_at"]).sum() >= 3
    assert (of(life, NOTEBOOK).loc[last, "remove_at"] != fixed.loc[last, "remove_at"]).any()
    assert len(ours) == len(fixed) == len(of(life, NOTEBOOK)) == 9 * DAYS


def test_a_day_whose_gate_fails_changes_nothing(history: History, life: Life) -> None:
    assert list(life.refused) == [history.day(BROKEN)]
    assert "gate scores" in life.refused[history.day(BROKEN)]
    assert history.day(BROKEN) not in history.project.warehouse.days("threshold_proposals")


def test_effects_are_the_platforms_own(history: History, life: Life) -> None:
    """Counted otherwise by the simulator and from its enforcement log."""
    for way in (OURS, NOTEBOOK):
        own = of(life, way)
        own = own[own["day"] == DAYS - 1]
        quality = history.platform.true_quality(history.day(DAYS - 1), own[[*CELL, "remove_at"]])
        assert (own["right"] / own["violating"]).to_numpy() == pytest.approx(
            quality["true_recall"].to_numpy(), nan_ok=True
        )
        with np.errstate(invalid="ignore"):
            precision = own["right"].to_numpy() / own["removed"].to_numpy()
        assert precision == pytest.approx(quality["true_precision"].to_numpy(), nan_ok=True)
    large = replace(history, videos_per_day=200_000).platform.true_quality(
        history.day(BROKEN), own[[*CELL, "remove_at"]]
    )
    assert own["precision"].to_numpy() == pytest.approx(large["true_precision"].to_numpy(), nan_ok=True)
    log = pd.read_parquet(history.project.settings.landing / "enforcement_log" / f"ds={history.day(DAYS - 1)}")
    did = log.groupby(["policy", "action"]).size()
    ours = of(life, OURS).query(f"day == {DAYS - 1}").groupby("policy")[["removed", "minutes"]].sum()
    minutes = {name: policy.minutes_per_label for name, policy in history.project.config.policies.items()}
    for policy, row in ours.iterrows():
        assert row["removed"] == did.get((policy, "remove"), 0)
        assert row["minutes"] == pytest.approx(did.get((policy, "review"), 0) * minutes[str(policy)])


def test_the_table_has_a_row_a_way(history: History, life: Life) -> None:
    rows, _ = table("small", life, history.project.config)
    assert [row[1] for row in rows] == [OURS, ORACLE, FIXED, NOTEBOOK]
    assert {len(row) for row in rows} == {len(HEADER)}
    changes = HEADER.index("changes")
    assert int(rows[0][changes]) > 0
    assert rows[2][changes] == "0"


def test_the_oracle_removes_as_much_as_is_right_often_enough_within_the_minutes(history: History, life: Life) -> None:
    best, config = of(life, ORACLE), history.project.config
    assert not best["below"].any()
    removing = best[best["remove_at"] < 1]
    assert len(removing) > 9
    for row in removing.to_dict("records"):
        policy = config.policies[row["policy"]]
        truth = life.world.truth(row["day"])[row["policy"], row["market"], row["model_version"]]
        lower = round(row["remove_at"] - 0.001, 3)
        assert lower < policy.limits.lowest_remove_at or truth.precision(lower) < policy.target_precision
    minutes = best.groupby(["day", "market"], as_index=False)["minutes"].sum()
    for market, taken in zip(minutes["market"], minutes["minutes"], strict=True):
        room = config.markets[market].reviewer_minutes * (1 - config.sampling.minutes_share)
        assert 0.9 * room < taken <= room
    assert best["found"].sum() > of(life, FIXED)["found"].sum()


def test_a_loosening_misses_if_it_is_below_target_on_its_first_day() -> None:
    cell = dict(zip(CELL, ("violence", "IN", "violence-v3"), strict=True))
    levels = [(1.0, False), (0.9, True), (0.9, True), (0.95, False), (0.94, False)]
    own = pd.DataFrame([{**cell, "day": n, "remove_at": at, "below": below} for n, (at, below) in enumerate(levels)])
    assert loosened(own) == "50.0% of 2"
    assert loosened(own[own["remove_at"] > 0.96]) == "none"


def test_a_promise_is_broken_only_beyond_chance() -> None:
    config = load_config()
    for share, broken in ((0.1, False), (0.2, False), (0.5, True)):
        below = np.arange(540) % 10 < 10 * share
        assert breaks_promise(pd.DataFrame({"below": below}), config) == broken
    assert not breaks_promise(pd.DataFrame({"below": np.array([], dtype=bool)}), config)


def test_recovery_is_a_week_without_a_miss() -> None:
    cell = ("violence", "IN", "violence-v3")
    days = pd.DataFrame([dict(zip(CELL, cell, strict=True), day=day, below=day in (7, 8, 12)) for day in range(30)])
    assert recovery(days, 7, [cell]) == "6"
    assert recovery(days[days["day"] < 18], 7, [cell]) == "not in 11"
    assert recovery(days, -1, []) == ""


def test_what_shifts_is_known() -> None:
    def concerned(name: str) -> tuple[int, set[str]]:
        scenario = load_scenario(name)
        cells = [
            (policy, market, version)
            for policy, spec in scenario.policies.items()
            for version in spec.models
            for market in scenario.markets
        ]
        first, found = World(scenario, scenario).concerned(cells)
        return first, {"/".join(cell) for cell in found}

    assert concerned("calm") == (-1, set())
    assert concerned("broken_feed") == (-1, set())
    assert concerned("market_shift") == (7, {"violence/IN/violence-v3"})
    assert concerned("new_model_version") == (5, {f"fraud/{market}/fraud-v3" for market in ("BR", "DE", "IN")})
    assert len(concerned("careless_reviewers")[1]) == 6
