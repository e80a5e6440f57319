"""Models that were trained on what Plumbline handed over, and score on the simulated platform from some day on.

A model is a file of skops, which unlike a pickle holds no code: what it names besides scikit-learn is refused.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from include.files import write_whole
from include.simulation.features import FEATURES, features
from include.simulation.population import Content, Scores, Videos, rows_of
from include.simulation.randomness import generator
from include.simulation.scenario import Scenario

_MISSING_SHARE = 0.01
"""Of videos that get no score."""


def deploy(folder: Path, policy: str, model_version: str, model: Path, first_day: date) -> None:
    """Has the platform score with `model`, a file of skops, from `first_day` on.

    Said again of a version, the earliest of the first days stands: what scored already goes on to.
    """
    where = folder / policy / model_version
    write_whole(where / "model.skops", model.read_bytes())
    service = where / "service.json"
    if not service.exists() or first_day < _first_day(service):
        write_whole(service, json.dumps({"first_day": first_day.isoformat()}).encode())


def deployed(folder: Path, policy: str, day: date) -> dict[str, Path]:
    """The model files that score the policy's videos on `day`, by model version."""
    services = sorted((folder / policy).glob("*/service.json"))
    return {one.parent.name: one.with_name("model.skops") for one in services if _first_day(one) <= day}


def scores_by(
    model: Any, scenario: Scenario, videos: Videos, truth: Content, *, policy: str, model_version: str
) -> Scores:
    """The model's scores of all videos: what it gives to *violates*, in [0, 1]."""
    known = features(scenario, videos, policy, truth)[[*FEATURES, "market"]]
    rng = generator(scenario.seed, videos.day, "score", policy, model_version)
    missing = rng.random(len(known), dtype=np.float32) < _MISSING_SHARE
    score = model.predict_proba(known)[:, 1]
    return rows_of(scenario, videos, policy=policy, model_version=model_version, score=score, missing=missing)


def _first_day(service: Path) -> date:
    return date.fromisoformat(json.loads(service.read_text(encoding="utf-8"))["first_day"])


def load_model(file: Path) -> Any:
    """The model in a file of skops. Raises skops.io.exceptions.UntrustedTypesFoundException: it holds other code."""
    from skops.io import load

    return load(file, trusted=[])
