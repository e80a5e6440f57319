"""docs/decisions/: each with a number, all in one short form, and all in the list."""

from __future__ import annotations

import re

from include.config.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
LONGEST = 45


def test_each_has_a_number_of_its_own_and_all_are_listed_with_their_titles() -> None:
    assert len(RECORDS) > 15
    listed = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+\.md)\) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    expected = []
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert numbers == sorted(set(numbers))
    for number, path in zip(numbers, RECORDS, strict=True):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix(f"# {number}. ")
        expected.append((str(number), title, path.name))
    assert listed == expected
    assert len({number for number, *_ in expected}) == len(expected)


def test_each_says_in_short_what_was_asked_decided_and_measured() -> None:
    for path in RECORDS:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Measured"], path
        assert re.search(r"^(Accepted|Replaced by \[\d+\]), \d+ \w+ \d{4}\. In the code: `", text, re.MULTILINE), path
        assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.MULTILINE)), path
        assert len(text.splitlines()) <= LONGEST, path


def test_the_code_they_name_is_there() -> None:
    for path in RECORDS:
        named = re.findall(r"`((?:include|tests)/[\w/.]+)`", path.read_text(encoding="utf-8"))
        assert named, path
        assert [name for name in named if not (PROJECT_ROOT / name).exists()] == [], path
