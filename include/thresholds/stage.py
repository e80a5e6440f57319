"""The steps of `recalibrate_thresholds`. Each reads partitions and replaces one; publication appends a version."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pandas as pd

from include.contract.cell import NO_DRAWS, Row, by_cell, cell_of, records
from include.contract.change import DAILY, Change
from include.contract.tables import CELL
from include.contract.terms import ProposalStatus, VersionKind
from include.evidence.accepted import passed_days, scored_cells, window_start
from include.evidence.enforcement import counted_log, enforced_removals
from include.evidence.fingerprints import config_digest, fingerprints
from include.evidence.histograms import histogram_of
from include.evidence.sample import certifying_sample, labelled_sample, of_cells
from include.forecasts.outcomes import due, frame_of, outcome
from include.ledger.acceptance import waiting_challengers
from include.ledger.canaries import canaries, in_words
from include.ledger.chain import TABLE, in_order
from include.ledger.in_force import thresholds_before
from include.ledger.overrides import lifting, overrides
from include.ledger.publication import Act, publish_changes, read_chain
from include.metrics.policy_metrics import policy_metrics
from include.project import Project
from include.proposals.collect import background
from include.proposals.holds import respecting
from include.proposals.propose import propose
from include.quality import suites
from include.quality.gate import judge
from include.quality.inputs import judge_input, rows_of_day
from include.quality.suites import InputDay
from include.thresholds.run import Approval, Run
from include.thresholds.usage import keep_usage
from include.watch.canaries import canary_changes
from include.watch.collect import alarms, watch_rows

log = logging.getLogger(__name__)

REQUESTER = "recalibrate_thresholds"


def measure(project: Project, day: date) -> None:
    """policy_metrics as of the day, at the thresholds in force."""
    in_force = _in_force(project, day)
    scored = in_force[list(CELL)]  # a retired model version still has labels in the window
    days = passed_days(project, "scores", window_start(project, day), day)
    sample = of_cells(labelled_sample(project, day), scored)
    if absent := set(sample["sampled_on"]) - days:
        raise ValueError(f"score_histogram: day {min(absent)} of the sample is missing")
    histogram = histogram_of(project, days, scored)
    metrics = policy_metrics(sample, histogram, in_force, project.config)
    project.warehouse.replace("policy_metrics", day, metrics)
    stated = int(metrics["value"].notna().sum())
    log.info("Stated %d metrics, refused %d by name", stated, len(metrics) - stated)


def gate_appeals(project: Project, day: date) -> None:
    """What of the day's appeals was set aside. Raises GateFailed."""
    found = rows_of_day(project.warehouse, "appeals", day)
    judge_input(project.warehouse, day, found, project.config, project.settings.quality_docs)


def gate_enforcement_log(project: Project, day: date) -> None:
    """What of the day's enforcement_log, counted in groups, was set aside. Raises GateFailed."""
    log_day = counted_log(project, day, anew=True)
    counts = pd.DataFrame(columns=list(CELL)) if log_day.counts is None else log_day.counts
    found = InputDay("enforcement_log", counts, log_day.aside, log_day.read, unit="groups")
    judge_input(project.warehouse, day, found, project.config, project.settings.quality_docs)


def watch_published(project: Project, day: date) -> None:
    """threshold_watch as of the day: whether published changes keep what they promised."""
    rows = watch_rows(project, day, _in_force(project, day))
    project.warehouse.replace("threshold_watch", day, rows)
    for reason in rows.loc[rows["alarm"].astype(bool), "reason"]:
        log.warning("%s", reason)
    log.info("Watched %d changes", len(rows))


def propose_thresholds(project: Project, day: date) -> None:
    """threshold_proposals of the day: certified, forecast and judged by the guardrails."""
    daily_run(project, day).propose()


def daily_run(project: Project, day: date) -> Run:
    """The daily run of `day`, as what proposes and publishes."""
    return Run(
        project=project,
        day=day,
        origin=DAILY,
        kind=VersionKind.DAILY,
        requester=REQUESTER,
        request={"day": day.isoformat()},
        compute=lambda: daily_proposals(project, day),
        config_sha=config_digest(project),
        subject=f"Threshold changes of {day} wait for approval",
    )


def daily_proposals(project: Project, day: date) -> pd.DataFrame:
    """What the daily run proposes on `day`, from the partitions as they are; nothing is written.

    A cell that an override of an earlier day holds is held, up to and including the day on which it is lifted, unless
    the watch raises an alarm. So is one with a canary, unless its remove_at is to rise, which ends the canary, and one
    of a challenger that nobody accepted.
    """
    earlier = [row for row in in_order(project.warehouse.read(TABLE)) if row["ds"] < day]
    in_force, raised = _in_force(project, day), alarms(project.warehouse.read("threshold_watch", day, day))
    rows = propose(
        certifying_sample(project, day),
        project.warehouse.read("score_histogram", day, day),
        in_force,
        project.config,
        day=day,
        background=replace(background(project, day, in_force), alarms=raised),
    )
    holding = {cell: override for cell, override in overrides(earlier).items() if cell not in raised}
    rows = respecting(rows, holding, ProposalStatus.HELD)
    rising = {cell_of(row) for row in records(rows[rows["proposed_remove_at"] > rows["current_remove_at"]])}
    acting = {cell: canary for cell, canary in canaries(earlier).items() if cell not in rising}
    rows = respecting(rows, acting, ProposalStatus.HELD, VersionKind.CANARY)
    waiting = waiting_challengers(earlier, map(cell_of, records(in_force)), project.config)
    return respecting(rows, waiting, ProposalStatus.HELD, "challenger")


def gate_proposals(project: Project, day: date) -> None:
    """Whether the proposals may be published at all. Raises GateFailed."""
    judged = suites.thresholds(daily_run(project, day).proposals(), project.config)
    judge(project.warehouse, "thresholds", day, judged, project.settings.quality_docs)


def lift_expired(project: Project, day: date) -> str:
    """Publishes the version that lifts the overrides whose last day is over; what it came to."""
    act = Act(day, REQUESTER, "expired", {"kind": VersionKind.EXPIRY, "day": day.isoformat()})
    result = publish_changes(project, lambda chain: lifting(chain, day), act, datetime.now(UTC))
    log.info("%s", result)
    return str(result)


def publish_within_limits(project: Project, day: date) -> str:
    """Publishes what no guardrail asks a person about, and brings the serving file in line with the ledger.

    What answers an alarm makes a version of its own, whose reason is the alarm.
    """
    run = daily_run(project, day)
    proposals = run.proposals()
    within = proposals[proposals["status"] == ProposalStatus.WITHIN_LIMITS]
    alarm = within["verdicts"].map(_alarm_of)
    answering, rest = within[alarm != ""], within[alarm == ""]
    done = []
    if len(answering):
        named = zip(*(answering[name] for name in CELL), alarm[alarm != ""], strict=True)
        done.append(run.publish(answering, "; ".join(" ".join(words) for words in named)))
    return " | ".join([*done, run.publish(rest, "within the guardrails")])


def advance_canaries(project: Project, day: date) -> str:
    """Publishes the version that ends canaries, or lets them act on more videos; what it came to."""
    chain = read_chain(project)
    if not canaries(chain):
        return "no canary"
    changes = canary_changes(project, chain, day)
    act = Act(
        day=day,
        requester=REQUESTER,
        reason=in_words(changes),
        request={"kind": VersionKind.CANARY, "day": day.isoformat()},
        evidence=fingerprints(project, day) | config_digest(project),
    )

    def find(newer: Sequence[Row]) -> Sequence[Change] | str:
        return changes if newer[-1]["hash"] == chain[-1]["hash"] else "the ledger changed meanwhile: clear the task"

    result = publish_changes(project, find, act, datetime.now(UTC))
    log.info("%s", result)
    return str(result)


def compare_forecasts(project: Project, day: date) -> None:
    """forecast_outcomes: the changes whose later day's labels are final first on `day`."""
    warehouse = project.warehouse
    items = due(warehouse.read("threshold_ledger", None, day), project.config, day)
    sample, rows = by_cell(certifying_sample(project, day)) if items else {}, []
    for later in sorted({item.measured_on for item in items}):
        some = [item for item in items if item.measured_on == later]
        cells = pd.DataFrame([item.cell for item in some], columns=list(CELL))
        histogram = histogram_of(project, passed_days(project, "scores", later, later), cells)
        of_day, removed = by_cell(histogram), enforced_removals(project, later)
        in_force = thresholds_before(project, later, cells).set_index(list(CELL))
        for item in some:
            rows += outcome(
                item,
                of_day.get(item.cell, histogram.iloc[:0]),
                sample.get(item.cell, NO_DRAWS),
                in_force=tuple(in_force.loc[item.cell, ["remove_at", "review_at"]]) == item.new,
                enforced=None if removed is None else int(removed.get(item.cell, 0)),
                config=project.config,
            )
    warehouse.replace("forecast_outcomes", day, frame_of(rows))
    log.info("Compared %d forecasts with what happened", len(items))


def approval(project: Project, day: date) -> Approval:
    """The question about the day's changes that wait for a person."""
    return Approval(daily_run(project, day))


def write_report(project: Project, day: date) -> str:
    """The day's report; returns its path. What the warehouse billed is kept first, and told in it."""
    from include.report.collect import report_data
    from include.report.page import build_report

    used = keep_usage(project, datetime.now(UTC).date())
    return daily_run(project, day).write(build_report(report_data(project, day, usage=used)))


def _in_force(project: Project, day: date) -> pd.DataFrame:
    return thresholds_before(project, day, scored_cells(project, day))


def _alarm_of(verdicts: str) -> str:
    """What the watch says among a proposal's verdicts; empty: nothing."""
    return next((verdict["reason"] for verdict in json.loads(verdicts) if verdict["name"] == "watch"), "")
