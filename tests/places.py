"""The one way tests say where a project's data lie."""

from __future__ import annotations

from pathlib import Path

from include.config.settings import Settings


def settings_in(folder: Path) -> Settings:
    """Every place of an embedded project in `folder`, where nothing needs to exist yet."""
    return Settings(
        landing=folder / "landing",
        warehouse=folder / "warehouse",
        output=folder / "output",
        mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
