"""The project as Airflow's API server sees it, which is where the page is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from include.config.load import ConfigError
from include.config.settings import CONNECTION_ID, OPTIONAL_VARIABLES, VARIABLES, extra_from, settings_from
from include.project import Project, open_project
from include.warehouse.base import MissingPartition, UnreadablePartition, WarehouseRefused, WarehouseUnavailable
from include.warehouse.remembered import Remembered

UNREADABLE = (ConfigError, MissingPartition, UnreadablePartition, WarehouseRefused, WarehouseUnavailable, OSError)
"""What is raised where storage or configuration cannot be read."""


class NothingThere(OSError):
    """The API server sees no storage where the tasks write."""


def opened() -> Project:
    """The project over the connection and variables that the tasks use; each table is read once.

    Raises:
        ConfigError: the connection, a variable or policies.yaml is missing or wrong.
        NothingThere: there is no warehouse where the connection says.
    """
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection
    from airflow.models.variable import Variable

    try:
        connection = Connection.get_connection_from_secrets(CONNECTION_ID)
    except AirflowNotFoundException as error:
        raise ConfigError(f"Airflow has no connection {CONNECTION_ID}") from error
    variables = {name: Variable.get(name, default_var="") for name in (*VARIABLES, *OPTIONAL_VARIABLES)}
    project = open_project(settings_from(extra_from(connection.extra or "{}"), variables))
    place = project.settings.warehouse
    if isinstance(place, Path) and not place.is_dir():
        raise NothingThere(
            f"there is no {place} on the machine of Airflow's API server. Either no day has been run yet, or the API "
            "server does not see the storage that the tasks write to"
        )
    return replace(project, warehouse=Remembered(project.warehouse))
