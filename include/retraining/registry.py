"""MLflow's model registry, as far as a champion and a challenger meet there.

A policy's registered model is `plumbline.<policy>`. The alias `champion` names the version in service, `challenger` the
one that is to take its place, `previous` the one that was in service before. Which `model_version` of `video_scores` a
registered version is stands in its tag `plumbline.model_version`. Nothing of a model is ever loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.config.settings import MlflowPlace
from include.retraining.tracking import MlflowRefused, connected, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
MODEL_VERSION_TAG = "plumbline.model_version"

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Registered:
    """A version of a registered model: its number there, and the model_version of video_scores that it is."""

    number: str
    model_version: str


@dataclass(frozen=True)
class Meeting:
    """Who meets: the champion, the challenger, and who was champion before (None: nobody)."""

    champion: Registered
    challenger: Registered
    previous: Registered | None


def registered_name(policy: str) -> str:
    """The registered model of a policy."""
    return f"plumbline.{policy}"


def experiment_name(policy: str) -> str:
    """The experiment that holds what was handed over for a policy, and what was trained on it."""
    return f"plumbline/{policy}"


def experiment_of(client: MlflowClient, place: MlflowPlace, policy: str) -> str:
    """The id of the policy's experiment, which is made if there is none. Raises MlflowRefused: it was deleted."""
    name = experiment_name(policy)
    found = client.get_experiment_by_name(name)
    if found is None:
        where = place.artifacts
        if where is None and place.artifact_folder is not None:
            where = place.artifact_folder.as_uri()
        return str(client.create_experiment(name, artifact_location=None if where is None else f"{where}/{name}"))
    if found.lifecycle_stage == "deleted":
        raise MlflowRefused(
            f"the experiment {name} was deleted in MLflow at {shown(place.tracking_uri)}. Restore it: "
            f"mlflow experiments restore --experiment-id {found.experiment_id}; or delete it for good, and a new one "
            "is made: mlflow gc --experiment-ids " + str(found.experiment_id)
        )
    return str(found.experiment_id)


def registered_model(client: MlflowClient, policy: str) -> str:
    """The name of the policy's registered model, which is made if there is none."""
    from mlflow.exceptions import MlflowException

    name = registered_name(policy)
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(
            name,
            tags={"plumbline.policy": policy},
            description=f"Classifiers of the policy {policy}. The aliases champion and challenger are Plumbline's to "
            f"compare; the tag {MODEL_VERSION_TAG} of a version is its model_version in video_scores.",
        )
    return name


def challenged(place: MlflowPlace, policies: list[str]) -> list[str]:
    """Those of the policies whose registered model has a version with the alias `challenger`, sorted."""
    with connected(place) as client:
        return [policy for policy in sorted(policies) if CHALLENGER in _aliases(client, policy)]


def meeting(place: MlflowPlace, policy: str, number: str | None = None) -> Meeting:
    """The champion and the challenger of `policy`; `number`: that version is the challenger, whatever has the alias.

    Raises:
        MlflowRefused: one of them is not registered, has vanished, does not say which model_version it is, or both are
            the same; two registered versions claim to be the challenger's model_version.
    """
    with connected(place) as client:
        name, aliases = registered_name(policy), _aliases(client, policy)
        if CHAMPION not in aliases:
            raise MlflowRefused(
                f"no version of {name} has the alias {CHAMPION}: nobody registered the model in service. Register it, "
                f"with the tag {MODEL_VERSION_TAG} = its model_version in video_scores, and give it that alias"
            )
        if number is None and CHALLENGER not in aliases:
            raise MlflowRefused(f"no version of {name} has the alias {CHALLENGER}, and the form names none")
        champion = _version(client, name, aliases[CHAMPION], f"which has the alias {CHAMPION},")
        challenger = _version(client, name, number or aliases[CHALLENGER], "the challenger,")
        if champion.model_version == challenger.model_version:
            raise MlflowRefused(
                f"version {challenger.number} of {name}, the challenger, is {champion.model_version}, as is the "
                f"champion (version {champion.number}): give it a model_version of its own"
            )
        others = [
            str(found.version)
            for found in client.search_model_versions(f"name = '{name}'")
            if found.tags.get(MODEL_VERSION_TAG) == challenger.model_version and str(found.version) != challenger.number
        ]
        if others:
            raise MlflowRefused(
                f"two challengers: versions {', '.join(sorted([challenger.number, *others], key=int))} of {name} "
                f"claim to be {challenger.model_version}: give each a model_version of its own, or delete one's tag"
            )
        known = aliases.get(PREVIOUS)
        previous = None if known is None else _version(client, name, known, f"which has the alias {PREVIOUS},")
        return Meeting(champion, challenger, previous)


def in_service(place: MlflowPlace, policy: str) -> tuple[Registered, Registered]:
    """The champion and who was before it. Raises MlflowRefused: there is no such, so that nothing can be undone."""
    with connected(place) as client:
        name, aliases = registered_name(policy), _aliases(client, policy)
        for alias in (CHAMPION, PREVIOUS):
            if alias not in aliases:
                raise MlflowRefused(f"no version of {name} has the alias {alias}: there is nothing to undo")
        now, before = (
            _version(client, name, aliases[alias], f"which has the alias {alias},") for alias in (CHAMPION, PREVIOUS)
        )
        return now, before


def promote(place: MlflowPlace, policy: str, challenger: Registered, champion: Registered) -> None:
    """Makes the challenger the champion, and the champion the one before. Done again, it changes nothing.

    Raises:
        MlflowRefused: another version is champion by now.
    """
    with connected(place) as client:
        name, aliases = registered_name(policy), _aliases(client, policy)
        if aliases.get(CHAMPION) not in (champion.number, challenger.number):
            raise MlflowRefused(
                f"the alias {CHAMPION} of {name} was on version {champion.number} and is on {aliases.get(CHAMPION)} now"
            )
        client.set_registered_model_alias(name, PREVIOUS, champion.number)
        client.set_registered_model_alias(name, CHAMPION, challenger.number)
        if aliases.get(CHALLENGER) == challenger.number:
            client.delete_registered_model_alias(name, CHALLENGER)


def demote(place: MlflowPlace, policy: str, champion: Registered, previous: Registered) -> None:
    """Gives the alias back to who was champion before. Done again, it changes nothing."""
    with connected(place) as client:
        name, aliases = registered_name(policy), _aliases(client, policy)
        if aliases.get(CHAMPION) not in (champion.number, previous.number):
            raise MlflowRefused(
                f"the alias {CHAMPION} of {name} was on version {champion.number} and is on {aliases.get(CHAMPION)} now"
            )
        client.set_registered_model_alias(name, CHAMPION, previous.number)
        if aliases.get(PREVIOUS) == previous.number:
            client.delete_registered_model_alias(name, PREVIOUS)


def _aliases(client: MlflowClient, policy: str) -> dict[str, str]:
    """The aliases of the policy's registered model, with the number each is on; none where there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(registered_name(policy))
    except MlflowException as error:
        if error.error_code in _MISSING:
            return {}
        raise
    return {alias: str(number) for alias, number in found.aliases.items()}


def _version(client: MlflowClient, name: str, number: str, who: str) -> Registered:
    from mlflow.exceptions import MlflowException

    try:
        found: ModelVersion = client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise
        raise MlflowRefused(f"version {number} of {name}, {who} is not in the registry (any more)") from error
    model_version = found.tags.get(MODEL_VERSION_TAG, "")
    if not model_version:
        raise MlflowRefused(
            f"version {number} of {name}, {who} has no tag {MODEL_VERSION_TAG}: say there which model_version of "
            "video_scores it is"
        )
    return Registered(str(found.version), model_version)
