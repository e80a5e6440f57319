"""What an MLflow store in a SQLite file holds, read without MLflow, so that no connection outlives the look."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_ROWS = {
    "runs": "SELECT name, status FROM runs",
    "tags": "SELECT key, value FROM tags WHERE key NOT LIKE 'mlflow.source.%'",
    "metrics": "SELECT key, value, step FROM metrics",
    "datasets": "SELECT name, digest FROM datasets",
    "inputs": "SELECT source_type, destination_type FROM inputs",
    "input_tags": "SELECT name, value FROM input_tags",
    "experiments": "SELECT name, lifecycle_stage FROM experiments",
    "models": "SELECT name FROM registered_models",
    "model_tags": "SELECT name, key, value FROM registered_model_tags",
    "versions": "SELECT name, version FROM model_versions",
    "aliases": "SELECT name, alias, version FROM registered_model_aliases",
}


def content(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that two hand-overs of the same snapshots have in common: no ids, times or places. Nothing if no file."""
    if not file.exists():
        return {}
    with closing(sqlite3.connect(file)) as connection:
        return {name: sorted(connection.execute(sql).fetchall()) for name, sql in _ROWS.items()}


def run_ids(file: Path) -> set[str]:
    """The ids of all runs."""
    if not file.exists():
        return set()
    with closing(sqlite3.connect(file)) as connection:
        return {run_id for (run_id,) in connection.execute("SELECT run_uuid FROM runs")}
