"""The tables of docs/measured.md that a benchmark keeps current: each stands between two markers that name it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from include.config.settings import PROJECT_ROOT

MEASURED: Final = PROJECT_ROOT / "docs" / "measured.md"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def kept(name: str, page: Path = MEASURED) -> str:
    """The table of that name on the page. Raises ValueError if it has none."""
    _, start, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    found, end, _ = rest.partition(f"\n<!-- /{name} -->")
    if not start or not end:
        raise ValueError(f"{page.name} has no markers of {name}")
    return found


def keep(name: str, text: str, page: Path = MEASURED) -> None:
    """Prints the table and puts it in place of the one of that name on the page."""
    print(f"\nNow in {page.name}, between the markers of {name}:\n\n{text}")
    before = kept(name, page)
    page.write_text(page.read_text(encoding="utf-8").replace(before, text), encoding="utf-8")
