"""SHA-256 of what certificates of a day rest on."""

from __future__ import annotations

from datetime import date

from include.contract.cell import records
from include.contract.tables import TABLES
from include.evidence.accepted import window_start
from include.files import digest_of
from include.project import Project
from include.warehouse.frames import checked_rows, content_hash

GATES = "gates"
"""Stands for the results of the gates before a proposal, among the names of tables."""

GOLDEN = "golden_labels_until"
"""Stands for the golden labels of all days up to one."""

_GATES = ("scores", "sample", "labels", "consensus")
_OF_THE_DAY = ("label_consensus", "reviewer_quality", "score_histogram", "threshold_watch")
_OF_THE_WINDOW = ("review_sample", "sampling_design", "label_events")


def fingerprints(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of every partition that certificates as of `day` rest on, by table and day."""
    starts = dict.fromkeys(_OF_THE_DAY, day) | dict.fromkeys(_OF_THE_WINDOW, window_start(project, day))
    found = {
        f"{table}/{ds}": digest
        for table, start in starts.items()
        for ds, digest in project.warehouse.fingerprints(table, start, day).items()
    }
    return found | golden_digest(project, day) | gates_digest(project, day)


def golden_digest(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of all golden labels known by `day`, in one: by day, a year of them would be most of a version."""
    table = TABLES["golden_labels"]
    rows = project.warehouse.read(table.name, end=day).drop(columns="ds")
    return {f"{GOLDEN}/{day}": content_hash(table, checked_rows(table, rows))} if len(rows) else {}


def gates_digest(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of what the gates found that a day's proposals had to pass, those of later steps left aside."""
    read = project.warehouse.read
    found = {gate: records(read("quality_results", day, day, slice_value=gate).drop(columns="ds")) for gate in _GATES}
    return {f"{GATES}/{day}": digest_of(found)}


def config_digest(project: Project) -> dict[str, str]:
    """SHA-256 of the configuration's values that decide anything, by the name of its file; who is told does not."""
    return {"policies.yaml": digest_of(project.config.model_dump(mode="json", exclude={"notifications"}))}
