"""Where things are, on this installation: the typed form of the warehouse connection and Airflow's variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.config.load import DEFAULT_CONFIG, ConfigError

PROJECT_ROOT = Path(__file__).resolve().parents[2]

CONNECTION_ID = "plumbline_warehouse"
VARIABLES = ("plumbline_output", "plumbline_mlflow_tracking_uri")


@dataclass(frozen=True)
class Settings:
    """Absolute places. Relative ones in the connection or a variable start at `home()`."""

    landing: Path
    warehouse: Path
    output: Path
    mlflow_tracking_uri: str

    @property
    def thresholds(self) -> Path:
        """The file serving reads."""
        return self.output / "thresholds.json"

    @property
    def queue(self) -> Path:
        """Review queues, one folder a day."""
        return self.output / "review_queue"

    @property
    def reports(self) -> Path:
        return self.output / "reports"

    @property
    def snapshots(self) -> Path:
        """Training snapshots, one folder a day."""
        return self.output / "training_snapshots"

    @property
    def quality_docs(self) -> Path:
        return self.output / "quality_docs"


def home() -> Path:
    """Where relative places start, and where a local Airflow lives: `PLUMBLINE_HOME`, else the project."""
    return Path(os.environ.get("PLUMBLINE_HOME", PROJECT_ROOT)).absolute()


def config_path() -> Path:
    """policies.yaml: `PLUMBLINE_CONFIG`, else the one shipped. Dag files read it too, hence no Airflow variable."""
    given = os.environ.get("PLUMBLINE_CONFIG")
    return home() / given if given else DEFAULT_CONFIG


def settings_from(extra: Mapping[str, Any], variables: Mapping[str, str]) -> Settings:
    """Settings from the connection's extra and the variables. Raises ConfigError naming what is missing."""
    engine = extra.get("engine")
    if engine != "duckdb":
        raise ConfigError(f"connection {CONNECTION_ID}: extra.engine is {engine!r}, allowed: 'duckdb'")
    for key in ("landing", "warehouse"):
        if not isinstance(extra.get(key), str):
            raise ConfigError(f"connection {CONNECTION_ID}: extra.{key} is missing: it names a folder")
    missing = [name for name in VARIABLES if not variables.get(name)]
    if missing:
        raise ConfigError(f"Airflow variables are not set: {', '.join(missing)}")
    start = home()
    return Settings(
        landing=start / extra["landing"],
        warehouse=start / extra["warehouse"],
        output=start / variables["plumbline_output"],
        mlflow_tracking_uri=_absolute_uri(variables["plumbline_mlflow_tracking_uri"], start),
    )


def _absolute_uri(uri: str, start: Path) -> str:
    prefix = "sqlite:///"
    if uri.startswith(prefix):
        return prefix + str(start / uri.removeprefix(prefix))
    return uri
