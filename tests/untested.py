"""What cannot be tested on every machine: skipped in one way, and named in plain words where the run ends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest

from include.config.settings import PROJECT_ROOT

REAL_DATA = {
    "hot": "real comments with the scores of two classifiers and five votes each",
    "truth_inference": "published sets of crowdsourced labels",
}
"""Folders of ../shared/data, which does not come with the project, and what is in them."""


def untested(what: str, why: str) -> NoReturn:
    """Skips the test that asks, or all tests of the fixture that does."""
    pytest.skip(f"{what}: {why}")


def real_data(name: str) -> Path:
    """One of REAL_DATA's folders; where it is absent, its tests are skipped."""
    folder = PROJECT_ROOT.parent / "shared" / "data" / name
    if not folder.is_dir():
        untested(REAL_DATA[name], f"the folder ../shared/data/{name} is absent")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was skipped and why, also of processes that pytest-xdist started: their reports come together here."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("not tested on this machine")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'} of {reason}")
