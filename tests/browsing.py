"""Chromium, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.untested import untested
from tests.waiting import HANG


@contextmanager
def browser() -> Iterator[Any]:
    """A browser that asks nothing of the network by itself; where there is none, what needs it is skipped."""
    found = shutil.which("chromium")
    if found is None:
        untested("pages in a browser", "Chromium is not installed; `make browser` installs it on Debian")
    from playwright.sync_api import sync_playwright

    quiet = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
    arguments = [f"--{name}" for name in (*quiet, "disable-component-update", "disable-sync")]
    with sync_playwright() as play:
        window = play.chromium.launch(executable_path=found, args=arguments, timeout=HANG * 1000)
        yield window
        window.close()
