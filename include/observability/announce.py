"""What an asset event carries for whoever listens: the day, counts, the version in force, and links."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from include.contract.change import DAILY
from include.project import Project

Link = Callable[[str], str]
"""Where a place of the page is reached."""


def announced(project: Project, day: date, table: str, link: Link) -> dict[str, Any]:
    """The extra of the event of the asset that stands for `table`, as JSON holds it."""
    counts, version = COUNTED[table](project, day), None
    if table == "threshold_proposals":
        ledger = project.warehouse.read("threshold_ledger")
        version = int(ledger["version"].max()) if len(ledger) else None
    extra: dict[str, Any] = {"day": day.isoformat(), "counts": counts, "links": {"day": link(f"days/{day}")}}
    return extra if version is None else extra | {"version": version}


def _draws(project: Project, day: date) -> dict[str, int]:
    drawn = project.warehouse.read("review_sample", day, day)
    return {str(name): int(count) for name, count in drawn.groupby("programme").size().items()}


def _consensus(project: Project, day: date) -> dict[str, int]:
    found = project.warehouse.read("label_consensus", day, day)
    return {str(name): int(count) for name, count in found.groupby("status").size().items()}


def _proposals(project: Project, day: date) -> dict[str, int]:
    found = project.warehouse.read("threshold_proposals", day, day, slice_value=DAILY)
    return {str(name): int(count) for name, count in found.groupby("status").size().items()}


def _decisions(project: Project, day: date) -> dict[str, int]:
    found = project.warehouse.read("retraining_decisions", day, day)
    return {str(name): int(count) for name, count in found.groupby("decision").size().items()}


COUNTED: dict[str, Callable[[Project, date], dict[str, int]]] = {
    "review_sample": _draws,
    "label_consensus": _consensus,
    "threshold_proposals": _proposals,
    "retraining_decisions": _decisions,
}
"""By table: rows of the day by what tells them apart."""
