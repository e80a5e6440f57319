"""The map of packages in docs/development.md is the code's: who may import whom, and what each package is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = ROOT / "include"
MAP = ROOT / "docs" / "development.md"
BIGGEST = 0.12
"""Share of include/'s lines that one package may hold."""


@dataclass(frozen=True)
class Room:
    """One row of the map: a package of include/, or a module directly in it."""

    sentence: str
    may_import: frozenset[str]


def the_map(text: str) -> dict[str, Room]:
    """The rows between the map's markers, in their order."""
    table = text.split("<!-- map -->")[1].split("<!-- /map -->", maxsplit=1)[0]
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \| (.+?) \| (.*?) \|$", table, flags=re.MULTILINE)
    return {name: Room(sentence, frozenset(re.findall(r"\w+", allowed))) for name, sentence, allowed in rows}


def imported(source: str) -> Iterator[str]:
    """The modules of include/ that a source imports, at its top or inside functions; "include.x.y" each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("include."))
        elif isinstance(node, ast.ImportFrom) and node.module == "include":
            yield from (f"include.{alias.name}" for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("include."):
            yield str(node.module)


def room_of(module: str) -> str:
    return module.split(".")[1]


def file_of(module: str) -> str:
    path = INCLUDE.parent / module.replace(".", "/")
    return f"{module.replace('.', '/')}{'/__init__.py' if path.is_dir() else '.py'}"


def wrong_arrows(sources: dict[str, str], rooms: dict[str, Room]) -> list[str]:
    """Imports that are not on the map, each with the names of both files."""
    return [
        f"{path} imports {file_of(module)}: {room_of(module)} is not among what {owner} may import"
        for path, source in sources.items()
        for owner in [path.split("/")[1].removesuffix(".py")]
        for module in imported(source)
        if room_of(module) not in (owner, *rooms[owner].may_import)
    ]


@pytest.fixture(scope="module")
def rooms() -> dict[str, Room]:
    return the_map(MAP.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    found = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(INCLUDE.rglob("*.py"))
        if path.parent != INCLUDE or path.name != "__init__.py"
    }
    assert found
    return found


def test_every_import_is_on_the_map(rooms: dict[str, Room], sources: dict[str, str]) -> None:
    assert wrong_arrows(sources, rooms) == []


def test_an_arrow_that_is_not_on_the_map_is_told_with_both_files(rooms: dict[str, Room]) -> None:
    sources = {"include/certificates/certify.py": "def f():\n    from include.config.model import Policy\n"}
    assert wrong_arrows(sources, rooms) == [
        "include/certificates/certify.py imports include/config/model.py: "
        "config is not among what certificates may import"
    ]
    assert wrong_arrows({"include/files.py": "from include import project\n"}, rooms) == [
        "include/files.py imports include/project.py: project is not among what files may import"
    ]


def test_the_map_names_no_arrow_that_the_code_does_not_have(rooms: dict[str, Room], sources: dict[str, str]) -> None:
    used = {
        (path.split("/")[1].removesuffix(".py"), room_of(module))
        for path, source in sources.items()
        for module in imported(source)
    }
    allowed = {(name, other) for name, room in rooms.items() for other in room.may_import}
    assert allowed - used == set()


def test_arrows_of_the_map_point_to_rows_above(rooms: dict[str, Room]) -> None:
    place = {name: number for number, name in enumerate(rooms)}
    assert [
        (name, other) for name, room in rooms.items() for other in room.may_import if place[other] >= place[name]
    ] == []


def test_a_package_is_what_its_first_line_says(rooms: dict[str, Room]) -> None:
    entries = {path.name.removesuffix(".py") for path in INCLUDE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert entries - {"__init__", "__pycache__"} == set(rooms)
    for name, room in rooms.items():
        package = INCLUDE / name / "__init__.py"
        source = (package if package.exists() else INCLUDE / f"{name}.py").read_text(encoding="utf-8")
        assert (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0] == room.sentence, name


def test_an_init_file_holds_its_sentence_and_nothing_else() -> None:
    inits = [path for path in INCLUDE.rglob("__init__.py") if path.parent != INCLUDE]
    assert inits
    for path in inits:
        assert len(ast.parse(path.read_text(encoding="utf-8")).body) == 1, path


def test_no_package_is_more_than_a_tenth_or_so(rooms: dict[str, Room]) -> None:
    lines = {
        name: sum(
            len(path.read_text(encoding="utf-8").splitlines())
            for path in ([INCLUDE / f"{name}.py"] if (INCLUDE / f"{name}.py").exists() else (INCLUDE / name).rglob("*"))
            if path.suffix in (".py", ".sql", ".j2", ".css", ".js", ".yaml", ".html")
        )
        for name in rooms
    }
    assert min(lines.values()) > 0
    assert {name: n for name, n in lines.items() if n > BIGGEST * sum(lines.values())} == {}


def test_tests_stand_where_what_they_test_stands() -> None:
    """tests/<package>/ exists only for packages of include/, dags, and what serves the tests themselves."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    packages = {path.name for path in INCLUDE.iterdir() if path.is_dir()}
    assert "ledger" in folders
    assert folders - packages == {"benchmarks", "bigquery", "dags", "docs"} & folders
