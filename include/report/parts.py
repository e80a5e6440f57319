"""What a page is made of, and how cells and numbers appear in its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from include import wording
from include.contract.cell import Cell

Kind = Literal["bad", "warn", "good", "info", "plain"]


@dataclass(frozen=True)
class Value:
    """A table cell: text, a quieter second line, and a kind, which makes the text a badge."""

    text: str
    note: str = ""
    kind: Kind | None = None


@dataclass(frozen=True)
class PageTable:
    """A table with its caption; the first column heads each row, `numeric` columns are set flush right."""

    caption: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]
    numeric: frozenset[int] = frozenset()

    @property
    def compact(self) -> bool:
        """Few columns, all numbers but the first: fits a phone as it is."""
        return len(self.headings) <= 5 and len(self.numeric) == len(self.headings) - 1


@dataclass(frozen=True)
class Section:
    """A section that is a remark and tables; folded tables stand closed in it."""

    id: str
    title: str
    remark: str
    tables: list[PageTable] = field(default_factory=list)
    folded: list[PageTable] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def name_of(cell: Cell) -> str:
    """`violence, BR, violence-v3`."""
    return ", ".join(cell)


def cell_value(cell: Cell) -> Value:
    """A cell as a row's head."""
    return Value(f"{cell[0]}, {cell[1]}", cell[2])


def labels_value(n: float | None) -> Value:
    """A number of labels; nothing where it is missing."""
    return Value("" if n is None else wording.count(n))


def short(text: str, most: int = 300) -> str:
    """The text, cut to `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
