"""The steps of `ingest_reviewer_labels`, each of which reads partitions and replaces its own, and of what feeds it."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from include.config.settings import Settings
from include.consensus.asof import arrived_late, cast_votes, consensus_asof, votes_asof
from include.consensus.completeness import label_completeness
from include.consensus.grading import agreement, contradicted, graded
from include.consensus.queue import decided
from include.contract.tables import TABLES
from include.evidence.accepted import accepted, window_start
from include.evidence.golden import usable_golden
from include.evidence.queue_decisions import of_queues, refused_queues
from include.evidence.response import mature_draws, response_rates
from include.files import write_whole
from include.labels.drops import read_drops
from include.labels.ingest import ingest
from include.labels.push import Pushed
from include.project import Project
from include.quality import suites
from include.quality.gate import judge, reopen
from include.quality.inputs import judge_input, rows_of_day

log = logging.getLogger(__name__)


class IngestedBefore(ValueError):
    """A drop came after its day had been ingested, and waits for that day to be ingested again."""


def drop_folder(settings: Settings, day: date) -> Path:
    """Where the label events that arrive on `day` lie."""
    return settings.landing / "reviewer_labels" / f"ds={day}"


def land(project: Project, batch: Pushed) -> None:
    """The batch as a file in the folder of its day; ingestion never sees half of it."""
    write_whole(drop_folder(project.settings, batch.day) / batch.name, batch.content)
    log.info("Pushed at %s: %d bytes, landed as %s", batch.day, len(batch.content), batch.name)


def missed(project: Project, day: date, name: str) -> None:
    """Raises IngestedBefore if `day` has been ingested, but without the drop of that name."""
    if day not in project.warehouse.days("label_events"):
        return
    read = (project.warehouse.read(table, day, day)["source_file"] for table in ("label_events", "label_rejects"))
    if not any((files == name).any() for files in read):
        raise IngestedBefore(f"{name} came after {day} had been ingested: run ingest_reviewer_labels of {day} again")


def ingest_events(project: Project, day: date) -> int:
    """label_events and label_rejects of the day, and how many events were read."""
    warehouse = project.warehouse
    reopen(warehouse, "labels", day)
    landing = project.settings.landing
    raw, refused = read_drops(drop_folder(project.settings, day), warehouse.delivered_events(day), within=landing)
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
    late = result.events.loc[arrived_late(result.events.assign(ds=day), project.config), "policy"].value_counts()
    for policy, count in late.sort_index().items():
        log.info("  of %s, %d arrived after their sample day had closed: they count for nothing", policy, count)
    return result.read


def gate_labels(project: Project, day: date, read: int) -> None:
    """Whether the day's label events can be built on. Raises GateFailed."""
    events = project.warehouse.read("label_events", day, day)
    rejects = project.warehouse.read("label_rejects", day, day)
    judged = suites.labels(events, rejects, read, project.config)
    judge(project.warehouse, "labels", day, judged, project.settings.quality_docs)


def gate_golden_labels(project: Project, day: date) -> None:
    """What of the day's golden labels was set aside. Raises GateFailed."""
    found = rows_of_day(project.warehouse, "golden_labels", day)
    judge_input(project.warehouse, day, found, project.config, project.settings.quality_docs)


def form_consensus(project: Project, day: date) -> None:
    """reviewer_quality, label_agreement, label_consensus and label_completeness as of the day."""
    start = _first_sample_day(project, day)
    events = accepted(project, "label_events", "labels", start, day)
    golden = project.warehouse.read("golden_labels", end=day)
    known = None if golden.empty else golden
    if known is None:
        log.info("No golden_labels: %s", TABLES["golden_labels"].switches_off)
    votes = cast_votes(votes_asof(events, day=day, config=project.config))
    usable = None if known is None else usable_golden(known, project.config)
    quality = graded(votes, events, usable, day=day, config=project.config)
    for row in quality[quality["below_floor"] & (quality["basis"] == "golden")].to_dict("records"):
        log.warning("Reviewer %s is below the floor of %s: %s", row["reviewer_id"], row["policy"], row["action"])
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    believed = _without_refused_queues(project, day, events, drawn)
    items = consensus_asof(believed, known, day=day, config=project.config, quality=quality)
    reopen(project.warehouse, "consensus", day)
    project.warehouse.replace("label_consensus", day, items)
    draws = mature_draws(drawn, items, day=day, config=project.config)
    project.warehouse.replace("label_completeness", day, label_completeness(draws, events, project.config))
    for row in response_rates(draws).to_dict("records"):
        place = f"{row['policy']}, {row['market']}, {row['region']}"
        log.info("  %s: %d of %d draws answered %s", place, row["answered"], row["drawn"], row["refusal"] or "")
    project.warehouse.replace("reviewer_quality", day, quality)
    project.warehouse.replace("label_agreement", day, agreement(votes))
    log.info("Consensus on %d videos, %d of them final", len(items), (items["status"] == "final").sum())


def _without_refused_queues(project: Project, day: date, events: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    """`events` without the answers of review queues that are no evidence; writes queue_decisions of the day."""
    if project.config.sampling.queue_decisions is None:
        return events
    earlier = project.warehouse.read("queue_decisions", None, day - timedelta(days=1))
    answers = votes_asof(events, day=day, config=project.config)
    found = decided(answers, drawn, earlier, day=day, config=project.config)
    project.warehouse.replace("queue_decisions", day, found)
    refusals = refused_queues(pd.concat([earlier, found.assign(ds=day)], ignore_index=True), project.config)
    for (policy, market), reason in refusals.items():
        log.warning("The review queue of %s in %s is no evidence: %s", policy, market, reason)
    return events[~of_queues(events, drawn, refusals)]


def gate_consensus(project: Project, day: date) -> None:
    """Whether the consensus is sound. Raises GateFailed."""
    items = project.warehouse.read("label_consensus", day, day)
    completeness = project.warehouse.read("label_completeness", day, day)
    golden = usable_golden(project.warehouse.read("golden_labels", end=day), project.config)
    graded_items = contradicted(items, golden if len(golden) else None, project.config)
    judged = [
        *suites.consensus(items),
        *suites.consensus_on_golden(graded_items),
        *suites.completeness(completeness),
    ]
    judge(project.warehouse, "consensus", day, judged, project.settings.quality_docs)


def _first_sample_day(project: Project, day: date) -> date:
    """Samples older than this are outside every window, even once their labels have matured."""
    maturity = max(policy.maturity_days for policy in project.config.policies.values())
    return window_start(project, day) - timedelta(days=maturity)
