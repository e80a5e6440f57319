"""Other people's text stays text in what is shown as Markdown or opened in a spreadsheet."""

from __future__ import annotations

import pytest

from include.wording import as_csv_text, as_text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Election week: fewer removals, 3:1, 0.98 & more", r"Election week: fewer removals, 3:1, 0.98 \& more"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", r"\| a \| b \| \|---\|---\| \| 1 \| 2 \|"),
        ("![x](http://e.example/x) [y](https://e.example)", r"!\[x\](http\://e.example/x) \[y\](https\://e.example)"),
        ("see www.e.example or WWW.E.example", r"see www\.e.example or WWW\.E.example"),
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
        ("**bold** _it_ snake_case `code` ~~gone~~", r"\*\*bold\*\* \_it\_ snake_case \`code\` \~\~gone\~\~"),
        ("ana@e.example \\| x", r"ana\@e.example \\\| x"),
    ],
)  # fmt: skip
def test_markdown_shows_text_as_it_was_written(given: str, shown: str) -> None:
    assert as_text(given) == shown


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_takes_no_text_for_a_formula(formula: str) -> None:
    assert as_csv_text(formula) == f"'{formula}"
    assert as_csv_text(f"a{formula}") == f"a{formula}"
