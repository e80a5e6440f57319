"""Registered models for tests, in a store of their own. The models are never loaded, so their files are no models."""

from __future__ import annotations

from include.config.settings import MlflowPlace
from include.retraining.registry import MODEL_VERSION_TAG, registered_name
from include.retraining.tracking import connected


def register(place: MlflowPlace, policy: str, model_version: str | None, *aliases: str) -> str:
    """A new version of the policy's registered model, with the tag and the aliases; its number."""
    from mlflow.exceptions import MlflowException

    name = registered_name(policy)
    with connected(place) as client:
        try:
            client.get_registered_model(name)
        except MlflowException:
            client.create_registered_model(name)
        tags = {} if model_version is None else {MODEL_VERSION_TAG: model_version}
        made = client.create_model_version(name, f"s3://models/{model_version}", tags=tags)
        for alias in aliases:
            client.set_registered_model_alias(name, alias, made.version)
        return str(made.version)


def aliases(place: MlflowPlace, policy: str) -> dict[str, str]:
    """The aliases of the policy's registered model."""
    with connected(place) as client:
        found = client.get_registered_model(registered_name(policy)).aliases
        return {alias: str(number) for alias, number in found.items()}
