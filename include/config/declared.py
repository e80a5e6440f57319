"""What airflow_settings.yaml declares, for tools that need no Airflow."""

from __future__ import annotations

from pathlib import Path

from include.config.load import ConfigError
from include.config.settings import (
    CONNECTION_ID,
    MLFLOW_CONNECTION_ID,
    PROJECT_ROOT,
    Settings,
    mlflow_from,
    settings_from,
)
from include.config.yaml_file import YamlRefused, read_yaml

SETTINGS_FILE = PROJECT_ROOT / "airflow_settings.yaml"


def declared_settings(path: Path = SETTINGS_FILE) -> Settings:
    """The Settings that `path` declares, for tools that need no Airflow. Raises ConfigError."""
    try:
        declared = read_yaml(path).content["airflow"]
        extras, places = (
            [entry["conn_extra"] for entry in declared["connections"] if entry["conn_id"] == name]
            for name in (CONNECTION_ID, MLFLOW_CONNECTION_ID)
        )
        variables = [(entry["variable_name"], entry["variable_value"]) for entry in declared["variables"]]
    except YamlRefused as error:
        raise ConfigError(str(error)) from error
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: declares no connections and variables under airflow: {error}") from error
    if len(extras) != 1:
        raise ConfigError(f"{path}: declares connection {CONNECTION_ID} {len(extras)} times, not once")
    names = [name for name, _ in variables]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{path}: declares variable {twice[0]} twice")
    return settings_from(extras[0], dict(variables), mlflow_from(places[0] if places else {}))
