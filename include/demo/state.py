"""The demo in the data folder: which one it is, how far it got, and its platform."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from include.config.settings import home
from include.files import write_whole

if TYPE_CHECKING:
    from include.simulation.platform import Platform

DATA = home() / "data"
STATE = DATA / "demo.json"
MODELS = DATA / "models"
"""What the simulated platform scores with besides its first versions."""


@dataclass
class State:
    """Which demo lies in the data folder, and how far it got. The first run fixes scenario and start."""

    scenario: str
    start: date
    done: int = 0

    @classmethod
    def load(cls) -> State | None:
        if not STATE.exists():
            return None
        raw = json.loads(STATE.read_text())
        return cls(raw["scenario"], date.fromisoformat(raw["start"]), raw["done"])

    def save(self) -> None:
        raw = {"scenario": self.scenario, "start": self.start.isoformat(), "done": self.done}
        write_whole(STATE, json.dumps(raw).encode())

    def day(self, index: int) -> date:
        return self.start + timedelta(days=index)


def platform_of(state: State, *, videos_per_day: int | None = None) -> Platform:
    """The simulated platform that lives in the data folder."""
    from include.simulation.platform import Platform
    from include.simulation.scenario import load_scenario

    return Platform(
        load_scenario(state.scenario, videos_per_day=videos_per_day),
        landing=DATA / "landing",
        queue=DATA / "output" / "review_queue",
        thresholds=DATA / "output" / "thresholds.json",
        truth=DATA / "truth",
        start=state.start,
        models=MODELS,
    )
