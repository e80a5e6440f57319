"""The one way tests say where a project's data lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from include.config.settings import DEFAULT_CONFIG, MlflowPlace, Settings

MOVES_SOON = {"  loosen_days: 3 ": "  loosen_days: 1 ", "    settle_days: 2 ": "    settle_days: 0 "}
"""What of policies.yaml lets thresholds move, and alarms come, within a few days: a single day's certificate is enough,
and nobody waits for experts."""
TELLS = {"  routes: [] ": "  routes: [{channel: smtp, connection: plumbline_mail, to: [ana@example.com]}] "}
"""Ana is told of everything, by a mail server that a test may start."""
STARTS_REMOVING = {"  uncertified: review_else_allow ": "  uncertified: remove "}
"""Cells start with a remove_at, not in shadow mode."""


def settings_in(folder: Path) -> Settings:
    """Every place of an embedded project in `folder`, where nothing needs to exist yet."""
    return Settings(
        landing=folder / "landing",
        warehouse=folder / "warehouse",
        output=folder / "output",
        mlflow=MlflowPlace(f"sqlite:///{folder}/mlflow/mlflow.db"),
    )


def configured(folder: Path, changes: Mapping[str, str]) -> Path:
    """policies.yaml in `folder`: the shipped one with each text of `changes`, which stands there once, replaced."""
    text = DEFAULT_CONFIG.read_text(encoding="utf-8")
    for shipped, here in changes.items():
        if text.count(shipped) != 1:
            raise ValueError(f"policies.yaml holds {shipped!r} {text.count(shipped)} times")
        text = text.replace(shipped, here)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "policies.yaml"
    file.write_text(text, encoding="utf-8")
    return file
