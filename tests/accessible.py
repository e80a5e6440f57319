"""axe-core in a browser's tab: what of a page shuts people out. `make axe` fetches it, as its lock names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.untested import untested

AXE = Path(__file__).parent / "console" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def axe() -> str:
    """axe-core's script; where it is absent, what needs it is skipped."""
    if not AXE.exists():
        untested("accessibility by axe-core", "axe-core is not installed; `make axe` fetches it")
    return AXE.read_text(encoding="utf-8")


def violations(tab: Any, script: str) -> list[str]:
    """Each rule that the page breaks, with the first places where it does. Folded parts are opened first."""
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    tab.evaluate(script)
    found = tab.evaluate("axe.run(document, { resultTypes: ['violations'], iframes: false })")
    assert len(found["passes"]) > 5, "axe-core looked at nothing"
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"][:2]
    ]
