"""The metadata database of an Airflow: migrated, and filled from airflow_settings.yaml as the Astro CLI does.

As a command (`python -m include.local.metadata`) for the Airflow whose environment it is started in.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from include.config.declared import SETTINGS_FILE


def migrate() -> None:
    """Creates or upgrades the metadata database of the environment's AIRFLOW_HOME."""
    from airflow.settings import engine
    from airflow.utils.db import initdb, upgradedb
    from sqlalchemy import inspect

    if inspect(engine).has_table("dag_run"):
        upgradedb()
    else:
        initdb()


def apply_settings(path: Path = SETTINGS_FILE) -> None:
    """Sets the connections, pools and variables that `path` declares. Others are left alone.

    Raises ValueError naming the entry and what it lacks.
    """
    from airflow.models import Connection, Pool, Variable
    from airflow.utils.session import create_session

    declared = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("airflow") or {}
    with create_session() as session:
        for entry in declared.get("connections") or []:
            _require(entry, "conn_id", "conn_type")
            session.query(Connection).filter(Connection.conn_id == entry["conn_id"]).delete()
            session.add(
                Connection(
                    conn_id=entry["conn_id"],
                    conn_type=entry["conn_type"],
                    host=entry.get("conn_host"),
                    schema=entry.get("conn_schema"),
                    login=entry.get("conn_login"),
                    password=entry.get("conn_password"),
                    port=entry.get("conn_port"),
                    extra=_extra(entry.get("conn_extra")),
                )
            )
    for entry in declared.get("pools") or []:
        _require(entry, "pool_name", "pool_slot")
        Pool.create_or_update_pool(
            entry["pool_name"], entry["pool_slot"], entry.get("pool_description") or "", include_deferred=False
        )
    for entry in declared.get("variables") or []:
        _require(entry, "variable_name", "variable_value")
        Variable.set(entry["variable_name"], entry["variable_value"])


def _extra(value: Any) -> str | None:
    """The Astro CLI takes a connection's extra as YAML mapping or as a JSON string."""
    return json.dumps(value) if isinstance(value, dict) else value or None


def _require(entry: dict[str, Any], *keys: str) -> None:
    missing = [key for key in keys if not entry.get(key)]
    if missing:
        raise ValueError(f"airflow_settings.yaml: {entry} lacks {', '.join(missing)}")


if __name__ == "__main__":
    migrate()
    apply_settings()
