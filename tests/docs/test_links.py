"""Every relative link of the docs leads to a file, and to a heading in it where it names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.config.settings import PROJECT_ROOT
from tests.docs.pages import PAGES, anchors, broken, links, paths, text_of

NAMES = [str(page.relative_to(PROJECT_ROOT)) for page in PAGES]


def test_the_pages_are_there_and_link_to_each_other() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/glossary.md"} <= set(NAMES)
    reached, waiting = set[Path](), [PROJECT_ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [
            (page.parent / link.partition("#")[0]).resolve() for link in links(text_of(page)) if ":" not in link
        ]
    assert set(PAGES) - reached == set()


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = PROJECT_ROOT / name
    assert broken(page, text_of(page)) == []


@pytest.mark.parametrize("name", NAMES)
def test_paths_of_the_project_exist(name: str) -> None:
    written = ("data/",)  # what only a run makes
    named = {path for path in paths(text_of(PROJECT_ROOT / name)) if not path.startswith(written)}
    assert {path for path in named if not (PROJECT_ROOT / path).exists()} == set()


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# One thing\n\n## A `b` (c), 1.5\n\n## One thing\n", encoding="utf-8")
    text = "# Here\n[a](other.md) [b](other.md#one-thing) [c](other.md#nothing) [d](gone.md) [e](#here) [f](#there)\n"
    text += "`[g](code.md)` [h](https://example.com/gone) [i](other.md#one-thing-1)\n"
    assert broken(page, text) == ["other.md#nothing", "gone.md", "#there"]
    assert anchors(other.read_text(encoding="utf-8")) == {"one-thing", "a-b-c-15", "one-thing-1"}
