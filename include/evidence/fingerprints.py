"""SHA-256 of what certificates of a day rest on."""

from __future__ import annotations

from datetime import date

from include.evidence.accepted import window_start
from include.files import digest_of
from include.project import Project


def fingerprints(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of every partition that certificates as of `day` rest on, by table and day."""
    warehouse, start = project.warehouse, window_start(project, day)
    names = [("label_consensus", day), ("score_histogram", day), ("threshold_watch", day)]
    names += [("review_sample", sampled) for sampled in warehouse.days("review_sample") if start <= sampled <= day]
    found = {f"{table}/{ds}": warehouse.fingerprint(table, ds) for table, ds in names}
    return {name: digest for name, digest in found.items() if digest}


def config_digest(project: Project) -> dict[str, str]:
    """SHA-256 of the configuration's values, by the name of its file."""
    return {"policies.yaml": digest_of(project.config.model_dump(mode="json"))}
