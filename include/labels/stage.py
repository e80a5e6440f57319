"""The steps of `ingest_reviewer_labels`. Each reads partitions and replaces one."""

from __future__ import annotations

import logging
from datetime import date, timedelta

from include.contract.tables import TABLES
from include.evidence import accepted, window_start
from include.labels.asof import cast_votes, consensus_asof, usable_golden, votes_asof
from include.labels.drops import read_drops
from include.labels.grading import agreement, graded
from include.labels.ingest import ingest
from include.project import Project
from include.quality import suites
from include.quality.gate import judge, reopen

log = logging.getLogger(__name__)


def ingest_events(project: Project, day: date) -> int:
    """label_events and label_rejects of the day, and how many events were read."""
    warehouse = project.warehouse
    reopen(warehouse, "labels", day)
    raw, refused = read_drops(project.settings.landing / "reviewer_labels" / f"ds={day}")
    start, yesterday = _first_sample_day(project, day), day - timedelta(days=1)
    result = ingest(
        raw,
        refused,
        day=day,
        sample=accepted(project, "review_sample", "sample", start, yesterday),
        prior_events=accepted(project, "label_events", "labels", start, yesterday),
        config=project.config,
    )
    warehouse.replace("label_events", day, result.events)
    warehouse.replace("label_rejects", day, result.rejects)
    log.info("Read %d events: %d accepted, %d refused", result.read, len(result.events), len(result.rejects))
    for reason, count in result.rejects["reason"].value_counts().items():
        log.info("  refused as %s: %d", reason, count)
    return result.read


def gate_labels(project: Project, day: date, read: int) -> None:
    """Whether the day's label events can be built on. Raises GateFailed."""
    events = project.warehouse.read("label_events", day, day)
    rejects = project.warehouse.read("label_rejects", day, day)
    judged = suites.labels(events, rejects, read, project.config)
    judge(project.warehouse, "labels", day, judged, project.settings.quality_docs)


def form_consensus(project: Project, day: date) -> None:
    """reviewer_quality, label_agreement and label_consensus as of the day."""
    start = _first_sample_day(project, day)
    events = accepted(project, "label_events", "labels", start, day)
    golden = project.warehouse.read("golden_labels", end=day)
    known = None if golden.empty else golden
    if known is None:
        log.info("No golden_labels: %s", TABLES["golden_labels"].switches_off)
    votes = cast_votes(votes_asof(events, day=day, config=project.config))
    quality = graded(votes, events, usable_golden(known, project.config), day=day, config=project.config)
    for row in quality[quality["below_floor"] & (quality["basis"] == "golden")].to_dict("records"):
        log.warning("Reviewer %s is below the floor of %s: %s", row["reviewer_id"], row["policy"], row["action"])
    items = consensus_asof(events, known, day=day, config=project.config, quality=quality)
    reopen(project.warehouse, "consensus", day)
    project.warehouse.replace("label_consensus", day, items)
    project.warehouse.replace("reviewer_quality", day, quality)
    project.warehouse.replace("label_agreement", day, agreement(votes))
    log.info("Consensus on %d videos, %d of them final", len(items), (items["status"] == "final").sum())


def gate_consensus(project: Project, day: date) -> None:
    """Whether the consensus is sound. Raises GateFailed."""
    items = project.warehouse.read("label_consensus", day, day)
    judge(project.warehouse, "consensus", day, suites.consensus(items), project.settings.quality_docs)


def _first_sample_day(project: Project, day: date) -> date:
    """Samples older than this are outside every window, even once their labels have matured."""
    maturity = max(policy.maturity_days for policy in project.config.policies.values())
    return window_start(project, day) - timedelta(days=maturity)
