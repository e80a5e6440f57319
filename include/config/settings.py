"""Where things are, on this installation: the typed form of the warehouse connection and Airflow's variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from include.config.load import DEFAULT_CONFIG, ConfigError
from include.config.strict import Strict

PROJECT_ROOT = Path(__file__).resolve().parents[2]

CONNECTION_ID = "plumbline_warehouse"
VARIABLES = ("plumbline_output", "plumbline_mlflow_tracking_uri")
OPTIONAL_VARIABLES = ("plumbline_anchor",)


class BigQueryPlace(Strict):
    """Where on BigQuery, and what a job may cost.

    `max_gigabytes`: 10^9 bytes one job may bill at most. `api_endpoint`: None is Google's own; an emulator's starts
    with http://, and no credentials are sent there. `retry_seconds`: how long one request is tried.
    """

    project: Annotated[str, Field(min_length=1)]
    dataset: Annotated[str, Field(pattern="^[A-Za-z0-9_]+$")]
    location: Annotated[str, Field(min_length=1)]
    max_gigabytes: Annotated[float, Field(gt=0)]
    api_endpoint: Annotated[str, Field(pattern="^https?://")] | None = None
    retry_seconds: Annotated[float, Field(gt=0)] = 300.0


@dataclass(frozen=True)
class Settings:
    """Absolute places. Relative ones in the connection or a variable start at `home()`.

    `landing`: the platform's tables in the embedded warehouse; where files of label events arrive in either engine.
    `anchor`: a folder for the ledger's heads, which those who write the ledger may only add to. None: there is none.
    """

    landing: Path
    warehouse: Path | BigQueryPlace
    output: Path
    mlflow_tracking_uri: str
    anchor: Path | None = None

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
    keys = dict(extra)
    engine, start = keys.pop("engine", None), home()
    if engine not in ("duckdb", "bigquery"):
        raise ConfigError(f"connection {CONNECTION_ID}: extra.engine is {engine!r}, allowed: 'duckdb', 'bigquery'")
    for key in ("landing", "warehouse") if engine == "duckdb" else ("landing",):
        if not isinstance(keys.get(key), str):
            raise ConfigError(f"connection {CONNECTION_ID}: extra.{key} is missing: it names a folder")
    landing = start / keys.pop("landing")
    missing = [name for name in VARIABLES if not variables.get(name)]
    if missing:
        raise ConfigError(f"Airflow variables are not set: {', '.join(missing)}")
    return Settings(
        landing=landing,
        warehouse=start / keys["warehouse"] if engine == "duckdb" else _bigquery_place(keys),
        output=start / variables["plumbline_output"],
        mlflow_tracking_uri=_absolute_uri(variables["plumbline_mlflow_tracking_uri"], start),
        anchor=start / variables["plumbline_anchor"] if variables.get("plumbline_anchor") else None,
    )


def _bigquery_place(keys: Mapping[str, Any]) -> BigQueryPlace:
    try:
        return BigQueryPlace.model_validate(keys)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(['extra', *map(str, e['loc'])])}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"connection {CONNECTION_ID}, engine bigquery: {found}") from error


def _absolute_uri(uri: str, start: Path) -> str:
    prefix = "sqlite:///"
    if uri.startswith(prefix):
        return prefix + str(start / uri.removeprefix(prefix))
    return uri
