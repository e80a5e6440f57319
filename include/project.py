"""What every stage works on: the configuration, the places and the warehouse."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from include.config.load import load_config
from include.config.model import Config
from include.config.settings import Settings, config_path
from include.warehouse.base import Caller, Warehouse
from include.warehouse.remembered import Remembered


@dataclass(frozen=True)
class Project:
    settings: Settings
    config: Config
    warehouse: Warehouse


def open_project(settings: Settings, caller: Caller | None = None) -> Project:
    """Validates the configuration and opens the warehouse for `caller`, None: a command. Raises ConfigError.

    A task's warehouse remembers what the task has read.
    """
    warehouse = _open_warehouse(settings, caller)
    return Project(settings, load_config(config_path()), warehouse if caller is None else Remembered(warehouse))


def _open_warehouse(settings: Settings, caller: Caller | None) -> Warehouse:
    if isinstance(settings.warehouse, Path):
        from include.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(landing=settings.landing, root=settings.warehouse)
    from include.warehouse.bigquery import BigQueryWarehouse
    from include.warehouse.bigquery_jobs import Jobs

    return BigQueryWarehouse(Jobs(settings.warehouse, caller or Caller("", "command", "", uuid.uuid4().hex)))
