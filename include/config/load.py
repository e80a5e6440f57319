"""Reads and validates policies.yaml, once a process and file version."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from include.config.model import Config
from include.config.strict import Keys, explain
from include.config.yaml_file import YamlFile, YamlRefused, read_yaml

DEFAULT_CONFIG = Path(__file__).with_name("policies.yaml")


class ConfigError(ValueError):
    """The configuration cannot be used. The message names the file, each key, its line, and what is allowed."""


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
        file = read_yaml(path)
    except YamlRefused as error:
        raise ConfigError(str(error)) from error
    raw = file.content
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys {', '.join(Config.model_fields)}, found {type(raw).__name__}")
    try:
        return Config.model_validate(_with_defaults(raw))
    except ValidationError as error:
        raise ConfigError(explain(file, error, lambda keys: _written_at(file, keys))) from error


def _with_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    defaults, policies = raw.get("defaults", {}), raw.get("policies")
    if not (isinstance(defaults, dict) and isinstance(policies, dict)):
        return raw
    filled = {name: {**defaults, **policy} if isinstance(policy, dict) else policy for name, policy in policies.items()}
    return {**raw, "policies": filled}


def _written_at(file: YamlFile, keys: Keys) -> Keys:
    """Where a value stands: in `defaults`, if the policy does not say otherwise."""
    default = ("defaults", *keys[2:])
    inherited = keys[:1] == ("policies",) and len(keys) > 2 and not file.has(*keys[:3]) and file.has(*default[:2])
    return default if inherited else keys
