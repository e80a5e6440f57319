"""YAML files as typed objects: what is unknown, of the wrong type or out of range is refused by file, key and rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class Strict(BaseModel):
    """Takes nothing for something else: no unknown keys, no text for numbers, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        """Refuses unknown keys with the allowed ones, which pydantic's own message leaves out."""
        if isinstance(data, dict) and (unknown := [str(key) for key in data if key not in cls.model_fields]):
            raise ValueError(f"unknown key {', '.join(unknown)}; allowed: {', '.join(cls.model_fields)}")
        return data


def explain(path: Path, error: ValidationError) -> str:
    """What is wrong in `path`: a line a value, with its key, what is allowed, and what was found."""
    lines = [f"{path}: {error.error_count()} value(s) cannot be used"]
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "the file"
        given = "" if item["type"] in ("missing", "value_error") else f" (found {item['input']!r:.100})"
        lines.append(f"  {key}: {item['msg'].removeprefix('Value error, ')}{given}")
    return "\n".join(lines)
