"""The day that what a person asks is answered on."""

from __future__ import annotations

from datetime import date

from include.evidence.accepted import passed_days
from include.project import Project
from include.thresholds.request import RequestError


def newest_day(project: Project) -> date:
    """The newest day whose scores and labels passed their gates. Raises RequestError: there is none."""
    for day in reversed(project.warehouse.days("label_consensus")):
        if all(passed_days(project, gate, day, day) for gate in ("scores", "consensus")):
            return day
    raise RequestError("there is no day yet whose scores and labels passed their gates")
