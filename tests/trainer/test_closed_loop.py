"""From decay to recovery without a hand-made step: the wave, the hand-over, the example's new model, its acceptance."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest

from include.contract.tables import CELL
from include.contract.terms import AcceptanceStatus
from include.ledger.chain import in_order, verify
from include.ledger.in_force import thresholds_before
from include.project import Project, open_project
from include.retraining import stage as retraining
from include.simulation.deployed import deploy
from include.simulation.platform import Platform
from include.simulation.scenario import Evasion, load_scenario
from include.thresholds import accept
from include.thresholds.request import FormRun
from include.trainer.answer import answer_hand_overs, register_in_service
from tests.history import APPROVED, History
from tests.places import settings_in
from tests.retraining.models import aliases

pytestmark = pytest.mark.slow

WAVE, MOST_DAYS, MARKETS = 2, 20, ["BR", "IN"]
LOOK = {"policy": None, "challenger": None, "mode": "accept", "reason": None}


class Fraud(History):
    """A platform that knows fraud alone, so that days are short, with a wave that evades the model in service."""

    @cached_property
    def project(self) -> Project:
        found = open_project(settings_in(self.home))
        policies = {"fraud": found.config.policies["fraud"].model_copy(update={"maturity_days": 2})}
        soon = found.config.retraining.model_copy(update={"recent_days": 2})
        return replace(found, config=found.config.model_copy(update={"policies": policies, "retraining": soon}))

    @cached_property
    def platform(self) -> Platform:
        whole, settings = load_scenario("demo", videos_per_day=self.videos_per_day), self.project.settings
        (wave,) = (event for event in whole.events if isinstance(event, Evasion))
        events = [wave.model_copy(update={"from_day": WAVE})]
        return Platform(
            whole.model_copy(update={"policies": {"fraud": whole.policies["fraud"]}, "events": events}),
            landing=settings.landing,
            queue=settings.queue,
            thresholds=settings.thresholds,
            truth=self.home / "truth",
            start=self.start,
            models=self.home / "models",
        )

    def live(self, index: int) -> str | None:
        """A day of all daily Dags' steps, the model team's answer, and the look for a challenger; what that came to."""
        self.run_day(index)
        day, project = self.day(index), self.project
        self._pass("thresholds", day)
        retraining.decide_retraining(project, day)
        retraining.write_snapshots(project, day)
        retraining.gate_snapshots(project, day)
        retraining.hand_over(project, day)
        policy, place = project.config.policies["fraud"], project.settings.mlflow
        new = answer_hand_overs(place, "fraud", policy.challengers, self.platform.features, self.home / "trained")
        if new is not None:
            deploy(self.home / "models", "fraud", new.model_version, new.file, self.day(index + 1))
        if "challenger" not in aliases(place, "fraud"):
            return None
        look = FormRun("accept_model", f"look {index}", "accept_model", LOOK)
        said = accept.compare_models(project, look, accept.read_request(project, look))
        asks = accept.approval(project, look, day.isoformat())
        if asks.question() is not None:
            return asks.settle(APPROVED)
        return said

    def reachable(self, index: int, version: str) -> pd.Series:
        """The recall that the version could reach at the required precision, by the truth of a large day."""
        cells = pd.DataFrame([("fraud", market, version) for market in MARKETS], columns=list(CELL))
        asked = {"target": 0.9, "lowest_remove_at": 0.5}
        large = self.platform.scenario.model_copy(update={"videos_per_day": 300_000})
        places = {name: self.home / "large" / name for name in ("landing", "queue", "thresholds", "truth")}
        platform = Platform(large, start=self.start, models=self.home / "models", **places)
        return platform.oracle(self.day(index), cells.assign(**asked))["true_recall"]


def test_what_the_wave_took_is_won_back_by_a_model_that_was_trained_on_what_was_handed_over(tmp_path: Path) -> None:
    history = Fraud(tmp_path, "demo", 20_000)
    place = history.project.settings.mlflow
    register_in_service(place, "fraud", "fraud-v2", {})
    last = next(index for index in range(MOST_DAYS) if "is the champion" in (history.live(index) or ""))

    warehouse = history.project.warehouse
    decisions = warehouse.read("retraining_decisions")
    asked = decisions[decisions["decision"] == "retrain"]
    assert asked["model_version"].tolist() == ["fraud-v2"], "once, and for what the wave took"
    handed_on: date = asked["ds"].iloc[0]
    assert history.day(WAVE) < handed_on <= history.day(WAVE + 14)
    assert json.loads(asked["reasons"].iloc[0])["recall"]["holds"]
    assert warehouse.read("training_snapshots")["ds"].tolist() == [handed_on]

    assert aliases(place, "fraud") == {"champion": "2", "previous": "1"}
    compared = warehouse.read("model_comparisons").sort_values("ds")
    assert (compared["status"] == AcceptanceStatus.ACCEPTED).tolist() == [False] * (len(compared) - 1) + [True]
    assert compared["gain_low"].iloc[-1] > 0
    ledger = warehouse.read("threshold_ledger")
    assert verify(ledger) == []
    chain = in_order(ledger)
    assert json.loads(chain[-1]["request"])["challenger"] == "fraud-v3"
    assert all("fraud-v3" not in version["changes"] for version in chain[:-1]), "it acted on nothing before"

    handed = (handed_on - history.start).days
    before, during = history.reachable(WAVE - 1, "fraud-v2"), history.reachable(handed, "fraud-v2")
    after = history.reachable(last, "fraud-v3")
    assert (during < before - 0.15).all(), (before, during)
    assert (after > during + 0.1).all(), (during, after)
    cells = pd.DataFrame([("fraud", market, "fraud-v3") for market in MARKETS], columns=list(CELL))
    in_force = thresholds_before(history.project, history.day(last) + timedelta(days=1), cells)
    removing = in_force[in_force["remove_at"] < 1]
    assert len(removing)
    truth = history.platform.true_quality(history.day(last), removing)
    assert (truth["true_precision"] > 0.85).all(), truth

    assert history.live(last + 1) is None
    decided = warehouse.read("retraining_decisions", history.day(last + 1), history.day(last + 1))
    why = json.loads(decided.loc[decided["model_version"] == "fraud-v2", "reasons"].iloc[0])["why"]
    assert why == "fraud-v3 has its place now"
