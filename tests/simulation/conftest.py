from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.simulation.scenario import load_scenario
from tests.simulation.home import Site


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Site]:
    """Makes a site: site("calm", videos_per_day=3000, name="a")."""

    def make(scenario: str = "calm", *, videos_per_day: int = 3000, name: str = "site") -> Site:
        root = tmp_path / name
        root.mkdir()
        return Site(root, load_scenario(scenario, videos_per_day=videos_per_day))

    return make
