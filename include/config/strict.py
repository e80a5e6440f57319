"""Files and settings as typed objects: what is unknown, of the wrong type or out of range is refused by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from include.config.yaml_file import YamlFile

Keys = tuple[str | int, ...]
"""Where a value stands: keys, and places in lists, each within the one before."""

_RULE = "rule"


class Strict(BaseModel):
    """Takes nothing for something else: no unknown keys, no text for numbers, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        """Refuses unknown keys with the allowed ones, which pydantic's own message leaves out."""
        if isinstance(data, dict) and (unknown := [str(key) for key in data if key not in cls.model_fields]):
            raise broken(f"unknown key {', '.join(unknown)}; allowed: {', '.join(cls.model_fields)}", unknown[0])
        return data


def broken(said: str, *keys: str | int) -> PydanticCustomError:
    """To be raised by a validator: a rule that the value at `keys`, within what is validated, does not keep."""
    return PydanticCustomError(_RULE, "{said}", {"said": said, "keys": keys})


def findings(error: ValidationError) -> Iterator[tuple[Keys, str]]:
    """Each wrong value of `error`: where it stands, and what is allowed there and what was found."""
    for item in error.errors(include_url=False):
        keys = tuple(key for key in item["loc"] if key != "[key]")  # so pydantic marks what is wrong with a key itself
        given = ""
        if item["type"] == _RULE:
            keys += item["ctx"]["keys"]
        elif item["type"] not in ("missing", "value_error"):
            given = f" (found {item['input']!r:.100})"
        yield keys, f"{item['msg'].removeprefix('Value error, ')}{given}"


def explain(file: YamlFile, error: ValidationError, where: Callable[[Keys], Keys] = lambda keys: keys) -> str:
    """What is wrong in `file`: a line a value, with its key and line, what is allowed, and what was found.

    `where`: where in the file the value stands that was validated at such keys.
    """
    lines = []
    for keys, said in findings(error):
        place = where(keys)
        number = file.line(*place)
        name = ".".join(map(str, place)) or "the file"
        lines.append(f"  {name}{'' if number is None else f' (line {number})'}: {said}")
    lines = list(dict.fromkeys(lines))
    return "\n".join([f"{file.path}: {len(lines)} value(s) cannot be used", *lines])
