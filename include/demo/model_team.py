"""What the model team of the demo does between the days: registers what is in service, and answers hand-overs."""

from __future__ import annotations

from datetime import date, timedelta

from include.demo.state import MODELS
from include.project import Project
from include.retraining.registry import challenged
from include.simulation.deployed import deploy
from include.simulation.platform import Platform
from include.simulation.scenario import Scenario
from include.trainer.answer import answer_hand_overs, register_in_service
from include.trainer.train import NotTrainable


def register_models(project: Project, scenario: Scenario) -> None:
    """Registers the versions that score on the first day as the champions of their policies."""
    for policy, settings in project.config.policies.items():
        for version in settings.model_versions:
            spec = scenario.policies[policy].models.get(version) if policy in scenario.policies else None
            if spec is not None and version not in settings.challengers:
                register_in_service(project.settings.mlflow, policy, version, spec.model_dump())


def answer(project: Project, platform: Platform, day: date) -> list[str]:
    """Trains on what was handed over on `day`; the platform scores with the new versions from the next day on.

    Returns what came of it, a line a policy. Said twice for a day, it is the same.
    """
    said, place = [], project.settings.mlflow
    for policy in sorted(set(project.warehouse.read("training_snapshots", day, day)["policy"])):
        names = project.config.policies[policy].challengers
        try:
            model = answer_hand_overs(place, policy, names, platform.features, MODELS / "trained")
        except NotTrainable as error:
            said.append(f"the model team trained nothing: {error}")
            continue
        if model is not None:
            deploy(MODELS, policy, model.model_version, model.file, day + timedelta(days=1))
            said.append(f"the model team trained {model.model_version}")
    return said


def challenger_waits(project: Project) -> bool:
    """Whether a challenger is registered that was not accepted yet."""
    return bool(challenged(project.settings.mlflow, sorted(project.config.policies)))
