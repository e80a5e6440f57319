"""Every command of the docs exists: make's targets, modules that Python starts, and Airflow's subcommands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from include.config.settings import PROJECT_ROOT
from tests.docs.pages import PAGES, commands, make_targets, modules, targets, text_of

STANDARD = {"pytest", "doctest", "venv", "pip"}
"""Modules that other projects, or Python, bring."""

ALL = "\n\n".join(text_of(page) for page in PAGES)


def started(module: str) -> Path:
    """The file that `python -m` starts. Raises LookupError if there is none."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"{module}: no such module")
    path = Path(spec.origin)
    path = path.with_name("__main__.py") if path.name == "__init__.py" else path
    if not path.exists() or '__name__ == "__main__"' not in path.read_text(encoding="utf-8"):
        raise LookupError(f"{module}: nothing is started")
    return path


def test_every_target_of_make_exists() -> None:
    named = {target for target, _ in targets(ALL)}
    assert {"demo", "test", "up", "airflow"} <= named
    assert named - make_targets() == set()


def test_every_variable_given_to_make_is_used() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    given = {word.partition("=")[0] for _, words in targets(ALL) for word in words}
    assert given
    assert {name for name in given if f"$({name})" not in makefile} == set()


def test_every_module_is_started_with_options_it_knows() -> None:
    own = [(module, words) for module, words in modules(ALL) if module.partition(".")[0] not in STANDARD]
    assert len({module for module, _ in own}) > 5
    for module, words in own:
        source = started(module).read_text(encoding="utf-8")
        options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
        assert {option for option in options if f'"{option}"' not in source} == set(), module


def test_a_module_that_starts_nothing_is_found() -> None:
    assert started("include.demo").name == "__main__.py"
    with pytest.raises(LookupError, match=r"include\.files: nothing is started"):
        started("include.files")
    with pytest.raises(LookupError, match=r"include\.gone: no such module"):
        started("include.gone")


def airflow_commands(text: str) -> list[str]:
    """What follows `airflow`, or is given to `make airflow` as ARGS."""
    direct = [" ".join(words[1:]) for words in commands(text) if words[0].rpartition("/")[2] == "airflow"]
    through = [
        word.removeprefix("ARGS=")
        for words in commands(text)
        if words[:2] == ["make", "airflow"]
        for word in words[2:]
        if word.startswith("ARGS=") and word != "ARGS=..."
    ]
    return [command for command in (*direct, *through) if re.match(r"[a-z-]+( |$)", command)]


def test_every_command_of_airflow_parses() -> None:
    import shlex

    from airflow.cli.cli_parser import get_parser

    found = airflow_commands(ALL)
    assert len(found) >= 3
    for command in found:
        try:
            get_parser().parse_args(shlex.split(command))
        except SystemExit as ended:
            if ended.code != 0:
                pytest.fail(f"airflow does not know: {command}")


def test_commands_are_told_from_other_code() -> None:
    text = (
        "Run `make demo`, or\n\n    DAYS=3 make up VERSION=2    # comment\n\n"
        "```sh\n.venv/bin/python -m include.demo \\\n"
        '  --days 2\n```\n\nand `airflow dags list`; `make airflow ARGS="dags list-runs sample_for_review"`.'
    )
    assert [target for target, _ in targets(text)] == ["up", "demo", "airflow"]
    assert list(modules(text)) == [("include.demo", ["--days", "2"])]
    assert airflow_commands(text) == ["dags list", "dags list-runs sample_for_review"]
