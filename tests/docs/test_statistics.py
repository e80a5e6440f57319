"""docs/statistics.md: its worked example gives what it says, and the figures in its text are those of the example."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator

import pytest

from include.config.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "statistics.md"
NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")
FENCE = re.compile(r"```.*?```", flags=re.DOTALL)
NO_FIGURE = re.compile(r"`[^`]*`|\[.*?\]\(.*?\)", flags=re.DOTALL)


def sections() -> Iterator[tuple[str, str]]:
    """Title and text of every section."""
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        yield title, text


EXAMPLES = dict(section for section in sections() if FENCE.search(section[1]))


def figures(text: str) -> set[str]:
    return set(NUMBER.findall(text))


def is_telling(figure: str) -> bool:
    """Whether it has three digits or more, and so is none that follows from another at sight."""
    return len(re.sub(r"\D", "", figure).lstrip("0")) > 2


def test_the_worked_example_gives_what_the_page_says() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 30
    assert result.failed == 0


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_figures_in_the_text_are_those_of_the_example(title: str) -> None:
    text = EXAMPLES[title]
    shown = {figure for block in FENCE.findall(text) for figure in figures(block.replace("_", ","))}
    said = {figure for figure in figures(NO_FIGURE.sub("", FENCE.sub("", text))) if is_telling(figure)}
    assert said - shown == set()


def test_most_sections_say_telling_figures() -> None:
    telling = [title for title, text in EXAMPLES.items() if any(map(is_telling, figures(FENCE.sub("", text))))]
    assert len(telling) >= 5
