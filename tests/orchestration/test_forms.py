"""A form's answer as the run's note."""

from __future__ import annotations

import pytest

from include.orchestration.forms import LONGEST_NOTE, as_note


def test_an_answer_that_fits_is_the_note():
    assert as_note("a\nb") == "a\nb"
    assert as_note("x" * LONGEST_NOTE) == "x" * LONGEST_NOTE


@pytest.mark.parametrize("length", [20, 90, 333])
def test_a_longer_one_is_cut_between_lines_and_says_how_many_are_left_out(length):
    lines = [f"{number:02d}".ljust(length, "x") for number in range(60)]
    note = as_note("\n".join(lines))
    *kept, last = note.splitlines()
    assert LONGEST_NOTE - length - 1 <= len(note) <= LONGEST_NOTE
    assert kept == lines[: len(kept)]
    assert last == f"- … {60 - len(kept)} more; the page has all"


def test_one_line_that_is_too_long_is_cut():
    note = as_note("y" * 5000)
    assert len(note) == LONGEST_NOTE
    assert note.endswith("y …")
