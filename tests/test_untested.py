"""What a machine could not test is named at the end of a run, in one process as in several."""

from __future__ import annotations

import pytest

from include.config.settings import PROJECT_ROOT

pytest_plugins = ["pytester"]

TESTS = """
from pathlib import Path
import pytest
import tests.untested

@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(tests.untested, "PROJECT_ROOT", tmp_path / "project")

def test_runs():
    (tests.untested.PROJECT_ROOT.parent / "shared/data/hot").mkdir(parents=True)
    assert tests.untested.real_data("hot").is_dir()

@pytest.mark.parametrize("n", [1, 2])
def test_needs_data(n):
    tests.untested.real_data("hot")

def test_needs_a_browser():
    tests.untested.untested("the report in a browser", "Chromium is not installed")
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_what_is_skipped_is_named_in_plain_words(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    pytester.makeconftest("from tests.untested import pytest_terminal_summary")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(
        [
            "=* not tested on this machine =*",
            "2 tests of real comments * votes each: the folder ../shared/data/hot is absent",
            "1 test of the report in a browser: Chromium is not installed",
        ],
        consecutive=True,
    )


def test_nothing_is_named_where_all_was_tested(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    pytester.makeconftest("from tests.untested import pytest_terminal_summary")
    pytester.makepyfile("def test_runs(): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*not tested*")
