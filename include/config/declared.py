"""What airflow_settings.yaml declares, for tools that need no Airflow."""

from __future__ import annotations

from pathlib import Path

import yaml

from include.config.settings import CONNECTION_ID, PROJECT_ROOT, Settings, settings_from

SETTINGS_FILE = PROJECT_ROOT / "airflow_settings.yaml"


def declared_settings(path: Path = SETTINGS_FILE) -> Settings:
    """The Settings that `path` declares, for tools that need no Airflow."""
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))["airflow"]
    extra = next(entry["conn_extra"] for entry in declared["connections"] if entry["conn_id"] == CONNECTION_ID)
    variables = {entry["variable_name"]: entry["variable_value"] for entry in declared["variables"]}
    return settings_from(extra, variables)
