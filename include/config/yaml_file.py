"""Reads YAML files that people write, such that a value is what it looks like, and every refusal names the line.

Of YAML, what configuration needs: mappings with text as keys, lists, text, numbers, `true`, `false`, `null` and days.
Words and numbers are read by the core schema of YAML 1.2: `NO` is the name of a market, and `010`, `1_000` and `20:00`
are text, where YAML 1.1 makes them false, 8, 1000 and 1200. A key given twice, anchors and aliases, merge keys and tags
are refused: each lets a value differ from what stands where one looks for it.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from yaml._yaml import CParser
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

MOST_BYTES = 1_000_000
MOST_DEPTH = 20
"""Mappings and lists within each other."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]{0,17})",
    "float": r"[-+]?(?:\.[0-9]{1,30}|(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
}
"""What a plain scalar is, the first that fits; else it is text."""


class YamlRefused(ValueError):
    """The file cannot be used. The message names it, and the line where there is one."""


class YamlFile:
    """A file's content, and where its keys stand.

    Attributes:
        path: of the file.
        content: what it holds, never a value of another type than it looks.
    """

    def __init__(self, path: Path, root: yaml.Node | None, content: Any) -> None:
        self.path, self.content, self._root = path, content, root

    def line(self, *keys: str | int) -> int | None:
        """The line, from 1, of the deepest of `keys` that the file has; each a key or a place in a list.

        None: the file does not have the first of them.
        """
        found, node = None, self._root
        for key in keys:
            entry = _entry(node, key)
            if entry is None:
                break
            found, node = entry[0].start_mark.line + 1, entry[1]
        return found

    def has(self, *keys: str | int) -> bool:
        """Whether the file has all of `keys`, each within the one before."""
        node = self._root
        for key in keys:
            entry = _entry(node, key)
            if entry is None:
                return False
            node = entry[1]
        return True


def read_yaml(path: Path) -> YamlFile:
    """The file in `path`.

    Raises:
        YamlRefused: it is missing, no file, larger than MOST_BYTES, no YAML in UTF-8, nested deeper than MOST_DEPTH, or
            uses what is refused.
    """
    try:
        if not path.is_file():
            path.stat()
            raise YamlRefused(f"{path}: cannot be read: it is {'a folder' if path.is_dir() else 'no file'}")
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise YamlRefused(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MOST_BYTES:
        raise YamlRefused(f"{path}: is larger than {MOST_BYTES:,} bytes")
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        root = loader.get_single_node()
        return YamlFile(path, root, None if root is None else loader.construct_document(root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise YamlRefused(f"{path}: {where}not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = raw.removeprefix(BOM_UTF8)[: error.position].count(b"\n") + 1
        raise YamlRefused(f"{path}: line {line}: not valid YAML: {error.reason}") from error
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise YamlRefused(f"{path}: line {line}: not valid YAML: no text in UTF-8") from error
    except _Refusal as refusal:
        raise YamlRefused(f"{path}: line {refusal.line}: {refusal}") from refusal


def write_yaml(content: Any) -> str:
    """`content` as YAML that `read_yaml` reads as the same."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Refusal(Exception):
    def __init__(self, mark: yaml.Mark, message: str) -> None:
        super().__init__(message)
        self.line = mark.line + 1


class _Loader(Composer, CParser, SafeConstructor, Resolver):
    """PyYAML's safe loader with libyaml's parser, some five times as fast as the one in Python."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own attribute)
    depth = 0

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise _Refusal(mark, f"alias *{event.anchor}: write the value out")
        if event.anchor is not None:
            raise _Refusal(mark, f"anchor &{event.anchor}: write the value out where it is needed")
        if event.tag is not None:
            raise _Refusal(mark, f"tag {event.tag.replace(_TAG, '!!')}: values are what they look like, without a tag")
        if self.depth >= MOST_DEPTH:
            raise _Refusal(mark, f"nested deeper than {MOST_DEPTH} levels")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return node

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> date:
        try:
            return date.fromisoformat(node.value)
        except ValueError as error:
            raise _Refusal(node.start_mark, f"{node.value}: there is no such day ({error})") from error


class _Dumper(yaml.SafeDumper):
    """Puts between quotes what either version of YAML would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


for _name, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), None)
    _Dumper.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), None)
_Loader.add_constructor(_TAG + "timestamp", _Loader.construct_yaml_timestamp)  # type: ignore[type-var]


def _check_keys(node: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        mark = key.start_mark
        if not isinstance(key, yaml.ScalarNode):
            raise _Refusal(mark, "a key must be text")
        name = key.value
        if key.tag == _TAG + "str" and name == "<<":
            raise _Refusal(mark, "merge key <<: write the values out")
        if key.tag != _TAG + "str":
            raise _Refusal(mark, f"key {name or 'null'} is read as {_kind(key)}: put it in quotes")
        if name in lines:
            raise _Refusal(mark, f"{name} is given twice, first in line {lines[name]}")
        lines[name] = mark.line + 1


def _kind(node: yaml.ScalarNode) -> str:
    kind = node.tag.removeprefix(_TAG)
    return {"timestamp": "a day", "bool": "true or false", "null": "nothing"}.get(kind, "a number")


def _entry(node: yaml.Node | None, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of a key and of its value; of a place in a list, the value's twice."""
    if isinstance(node, yaml.MappingNode):
        return next(((name, value) for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key]
    return None
