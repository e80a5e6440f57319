"""Reads and validates policies.yaml, once a process and file version."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from include.config.model import Config
from include.config.strict import explain

DEFAULT_CONFIG = Path(__file__).with_name("policies.yaml")


class ConfigError(ValueError):
    """The configuration cannot be used. The message names the file, each key and what is allowed there."""


def load_config(path: Path = DEFAULT_CONFIG) -> Config:
    """The validated configuration in `path`. Raises ConfigError."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return _load(path, changed)


@lru_cache(maxsize=4)
def _load(path: Path, changed: int) -> Config:  # noqa: ARG001  (part of the cache key)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys {', '.join(Config.model_fields)}, found {type(raw).__name__}")
    try:
        return Config.model_validate(_with_defaults(raw))
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from error


def _with_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    defaults, policies = raw.get("defaults", {}), raw.get("policies")
    if not (isinstance(defaults, dict) and isinstance(policies, dict)):
        return raw
    filled = {name: {**defaults, **policy} if isinstance(policy, dict) else policy for name, policy in policies.items()}
    return {**raw, "policies": filled}
