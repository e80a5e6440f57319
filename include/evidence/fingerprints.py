"""SHA-256 of what certificates of a day rest on."""

from __future__ import annotations

from datetime import date

from include.contract.cell import records
from include.evidence.accepted import window_start
from include.files import digest_of
from include.project import Project

GATES = "gates"
"""Stands for the results of the gates before a proposal, among the names of tables."""

_GATES = ("scores", "sample", "labels", "consensus")
_OF_THE_DAY = ("label_consensus", "reviewer_quality", "score_histogram", "threshold_watch")
_OF_THE_WINDOW = ("review_sample", "sampling_design", "label_events")


def fingerprints(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of every partition that certificates as of `day` rest on, by table and day."""
    warehouse, start = project.warehouse, window_start(project, day)
    names = [(table, day) for table in _OF_THE_DAY]
    names += [(table, ds) for table in _OF_THE_WINDOW for ds in warehouse.days(table) if start <= ds <= day]
    names += [("golden_labels", ds) for ds in warehouse.days("golden_labels") if ds <= day]
    found = {f"{table}/{ds}": warehouse.fingerprint(table, ds) for table, ds in names}
    return {name: digest for name, digest in found.items() if digest} | gates_digest(project, day)


def gates_digest(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of what the gates found that a day's proposals had to pass, those of later steps left aside."""
    read = project.warehouse.read
    found = {gate: records(read("quality_results", day, day, slice_value=gate).drop(columns="ds")) for gate in _GATES}
    return {f"{GATES}/{day}": digest_of(found)}


def config_digest(project: Project) -> dict[str, str]:
    """SHA-256 of the configuration's values, by the name of its file."""
    return {"policies.yaml": digest_of(project.config.model_dump(mode="json"))}
