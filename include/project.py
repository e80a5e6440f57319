"""What every stage works on: the configuration, the places and the warehouse."""

from __future__ import annotations

from dataclasses import dataclass

from include.config.load import load_config
from include.config.model import Config
from include.config.settings import Settings, config_path
from include.warehouse.base import Warehouse
from include.warehouse.duckdb import DuckDBWarehouse


@dataclass(frozen=True)
class Project:
    settings: Settings
    config: Config
    warehouse: Warehouse


def open_project(settings: Settings) -> Project:
    """Validates the configuration and opens the warehouse. Raises ConfigError."""
    return Project(
        settings=settings,
        config=load_config(config_path()),
        warehouse=DuckDBWarehouse(landing=settings.landing, root=settings.warehouse),
    )
