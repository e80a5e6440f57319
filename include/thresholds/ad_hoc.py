"""The steps of `recalibrate_ad_hoc`: the core of the daily run for chosen cells and another goal, on the newest day.

A what-if writes its proposals and its page, and nothing that acts. What is wanted goes the way of the daily run:
guardrails, a person where they ask for one, compare-and-swap.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from include.contract.cell import cell_of, records
from include.contract.grid import ThresholdPair
from include.contract.tables import CELL
from include.contract.terms import OPEN, ProposalStatus, Ruling, VersionKind
from include.evidence.accepted import accepted, passed_days
from include.evidence.fingerprints import config_digest, fingerprints
from include.evidence.sample import labelled_sample
from include.files import write_whole
from include.forecasts.forecast import volumes
from include.ledger.canaries import canaries
from include.ledger.chain import TABLE, in_order
from include.ledger.in_force import thresholds_in_force
from include.ledger.overrides import overrides
from include.ledger.publication import Act, publish, published_ids, read_chain
from include.project import Project
from include.proposals.approval import answered, forecast_in_words, levels, refused, request_text, validated
from include.proposals.collect import background
from include.proposals.holds import respecting
from include.proposals.propose import propose
from include.quality import suites
from include.quality.gate import GateFailed, run_gate
from include.thresholds.request import Asked, Request, RequestError, checked, restored

log = logging.getLogger(__name__)

Given = Mapping[str, Any]
"""A checked request as tasks hand it on: what `Request.stored` holds, and `day`."""


def read_request(project: Project, asked: Asked) -> dict[str, Any]:
    """The form, checked against the configuration and the newest day with data.

    Raises:
        RequestError: naming the field that cannot be carried out.
    """
    day = _newest_day(project)
    request = checked(asked.form, project.config, day)
    given = {"day": day.isoformat(), **request.stored()}
    scored = _cells(project, request, day)
    if scored.empty:
        raise RequestError(f"markets: no scores of {_named(request)} on {day}, the newest day with data")
    under = replace(project, config=request.under(project.config))
    if labelled_sample(under, day).merge(scored).empty:
        longest = max(under.config.policies[name].window_days for name in request.policies)
        start = day - timedelta(days=longest - 1)
        raise RequestError(f"window_days: no final labels of {_named(request)} in the window, {start} to {day}")
    return given


def propose_changes(project: Project, asked: Asked, given: Given) -> None:
    """threshold_proposals of the day under this run's id; of a what-if, none waits and none is published."""
    read_chain(project)  # nothing is shown that rests on a ledger that was changed by hand
    rows = computed(project, asked.run_id, given, project.warehouse.read(TABLE))
    if not given["propose"]:
        would = rows["status"].isin(OPEN)
        rows["status"] = rows["status"].mask(would, ProposalStatus.WHAT_IF)
    _record(project, asked, given, rows)
    for status, count in rows["status"].value_counts().items():
        log.info("%s: %d cells", status, count)


def computed(project: Project, origin: str, given: Given, ledger: pd.DataFrame) -> pd.DataFrame:
    """What the request proposes, from the partitions as they are; nothing is written.

    It starts from the thresholds at the end of `ledger`. The other cells of its markets keep theirs, and their place
    in the review queue. A cell that an override or a canary holds is put to a person. A change that expires, or that
    takes an override's place, acts on all videos at once.
    """
    request, day = restored(given), date.fromisoformat(given["day"])
    under = replace(project, config=request.under(project.config))
    histogram = accepted(project, "score_histogram", "scores", day, day)
    cells = histogram[list(CELL)].drop_duplicates(ignore_index=True)
    in_force = thresholds_in_force(ledger, cells, project.config, before=date.max)
    chosen = in_force.merge(_cells(project, request, day))
    rows = propose(
        labelled_sample(under, day),
        histogram,
        chosen,
        under.config,
        day=day,
        origin=origin,
        other_minutes=_other_minutes(project, histogram, in_force, chosen),
        background=background(project, day, chosen, emergency=request.emergency),
    )
    chain = in_order(ledger)
    held = overrides(chain)
    lasting = [request.expires_on is None and cell_of(row) not in held for row in records(rows)]
    rows["canary_share"] = rows["canary_share"].where(pd.Series(lasting, index=rows.index))
    rows = respecting(rows, held, ProposalStatus.AWAITING_APPROVAL)
    ending = {cell: f"{acting}; this would end it" for cell, acting in canaries(chain).items()}
    return respecting(rows, ending, ProposalStatus.AWAITING_APPROVAL, VersionKind.CANARY)


def gate_request(project: Project, asked: Asked, given: Given) -> None:
    """Whether the proposals may be published at all; the day's own gate results stay. Raises GateFailed."""
    request, day = restored(given), date.fromisoformat(given["day"])
    rows = _proposals(project, asked, given)
    outcome = run_gate("thresholds", day, suites.thresholds(rows, request.under(project.config)))
    if not outcome.passed:
        raise GateFailed(outcome)


def publish_within_limits(project: Project, asked: Asked, given: Given) -> str:
    """Publishes what no guardrail asks a person about; nothing of a what-if."""
    if not given["propose"]:
        return "a what-if publishes nothing"
    return _publish(project, asked, given, _proposals(project, asked, given), ProposalStatus.WITHIN_LIMITS)


def approval_request(project: Project, asked: Asked, given: Given) -> str:
    """The Markdown a person is shown; empty if nobody needs to be asked."""
    text = request_text(_proposals(project, asked, given))
    return text and f"{_sentence(asked, restored(given))} Somebody else than {asked.user} must answer.\n\n{text}"


def settle_answer(project: Project, asked: Asked, given: Given, answer: Mapping[str, Any]) -> str:
    """Records the answer in threshold_proposals, and publishes what somebody else approved and still holds."""
    proposals = answered(_proposals(project, asked, given), answer, asked.user)
    approved = proposals[proposals["status"] == ProposalStatus.APPROVED]
    if not approved.empty:
        proposals = validated(
            proposals,
            computed(project, asked.run_id, given, project.warehouse.read(TABLE)),
            published_ids(read_chain(project)),
        )
    _record(project, asked, given, proposals.drop(columns="ds"))
    if approved.empty:
        return "nothing approved: the thresholds stay"
    return _publish(project, asked, given, proposals, ProposalStatus.APPROVED)


def write_report(project: Project, asked: Asked, given: Given) -> str:
    """The page about the request, with its forecast; returns its path."""
    from include.report.collect import report_data
    from include.report.page import build_report

    request, day = restored(given), date.fromisoformat(given["day"])
    under = replace(project, config=request.under(project.config))
    title = f"{'Request' if request.propose else 'What if'}: {_goals(request)}, {_named(request)}"
    page = build_report(report_data(under, day, origin=asked.run_id, title=title))
    target = page_of(project, asked.run_id, day)
    write_whole(target, page.encode())
    log.info("Report: %s", target)
    return str(target)


def page_of(project: Project, run_id: str, day: date) -> Path:
    """Where the page about a run is."""
    return project.settings.reports / "ad_hoc" / f"{day} {re.sub(r'[^A-Za-z0-9_.+-]', '-', run_id)}.html"


def answer(project: Project, asked: Asked, given: Given) -> str:
    """The short answer, in Markdown: where the page is, and what each cell came to, those that change first."""
    request, day = restored(given), date.fromisoformat(given["day"])
    rows = sorted(
        records(_proposals(project, asked, given)),
        key=lambda row: row["status"] in (ProposalStatus.UNCHANGED, ProposalStatus.REFUSED),
    )
    page = f"Forecast and evidence, as of {day}: {page_of(project, asked.run_id, day)}"
    return "\n".join([_sentence(asked, request), "", page, "", *(f"- {_outcome(row)}" for row in rows)])


def _newest_day(project: Project) -> date:
    for day in reversed(project.warehouse.days("label_consensus")):
        if all(passed_days(project, gate, day, day) for gate in ("scores", "consensus")):
            return day
    raise RequestError("there is no day yet whose scores and labels passed their gates")


def _cells(project: Project, request: Request, day: date) -> pd.DataFrame:
    """The chosen cells that have scores on `day`."""
    cells = accepted(project, "score_histogram", "scores", day, day)[list(CELL)].drop_duplicates(ignore_index=True)
    return cells[cells["policy"].isin(request.policies) & cells["market"].isin(request.markets)]


def _other_minutes(
    project: Project, histogram: pd.DataFrame, in_force: pd.DataFrame, chosen: pd.DataFrame
) -> dict[str, float]:
    """Reviewer minutes a day that the cells that were not chosen take, by market."""
    picked = {cell_of(row) for row in records(chosen)}
    bins = dict(list(histogram.groupby(list(CELL))))
    minutes: dict[str, float] = {}
    for row in records(in_force):
        if cell_of(row) in picked:
            continue
        policy = project.config.policies[row["policy"]]
        pair = ThresholdPair(row["remove_at"], row["review_at"])
        queue = volumes(bins[cell_of(row)], pair, policy.no_score).reviews * policy.minutes_per_label
        minutes[row["market"]] = minutes.get(row["market"], 0.0) + queue
    return minutes


def _proposals(project: Project, asked: Asked, given: Given) -> pd.DataFrame:
    day = date.fromisoformat(given["day"])
    return project.warehouse.read("threshold_proposals", day, day, slice_value=asked.run_id)


def _record(project: Project, asked: Asked, given: Given, rows: pd.DataFrame) -> None:
    project.warehouse.replace("threshold_proposals", date.fromisoformat(given["day"]), rows, slice_value=asked.run_id)


def _publish(project: Project, asked: Asked, given: Given, proposals: pd.DataFrame, status: str) -> str:
    """Publishes the proposals of that status, and records those the ledger no longer lets through; what it came to."""
    carried = proposals[proposals["status"] == status]
    request, day = restored(given), date.fromisoformat(given["day"])
    under = replace(project, config=request.under(project.config))
    act = Act(
        day=day,
        requester=asked.user,
        approver=carried["answered_by"].iloc[0] if status == ProposalStatus.APPROVED and len(carried) else None,
        reason=request.reason,
        request={"kind": VersionKind.AD_HOC, "origin": asked.run_id, **given},
        evidence=fingerprints(under, day) | config_digest(project),
        expires_on=request.expires_on,
    )
    result = publish(project, carried, act, datetime.now(UTC))
    if result.refused:
        _record(project, asked, given, refused(proposals, result.refused).drop(columns="ds"))
    log.info("%s", result)
    return str(result)


def _sentence(asked: Asked, request: Request) -> str:
    """Who asks for what, why and until when."""
    verb = "asks for" if request.propose else "asks what follows from"
    until = "" if request.expires_on is None else f" It holds until {request.expires_on}."
    return f"{asked.user} {verb} {_goals(request)} for {_named(request)}: {request.reason}.{until}"


def _named(request: Request) -> str:
    return f"{', '.join(request.policies)} in {', '.join(request.markets)}"


def _goals(request: Request) -> str:
    """E.g. "a precision of at least 97%"; each policy's own where they differ."""
    shares = {policy: f"{100 * target:.4g}%" for policy, target in request.targets.items()}
    if len(set(shares.values())) == 1:
        return f"a precision of at least {next(iter(shares.values()))}"
    return f"a precision of at least {', '.join(f'{share} ({policy})' for policy, share in shares.items())}"


_OUTCOMES = {
    ProposalStatus.WHAT_IF: "would change",
    ProposalStatus.WITHIN_LIMITS: "is published",
    ProposalStatus.APPROVED: "is published",
    ProposalStatus.AWAITING_APPROVAL: "waits for approval",
    ProposalStatus.REJECTED: "was rejected",
    ProposalStatus.TIMED_OUT: "was not answered in time",
    ProposalStatus.SELF_APPROVAL: "was refused: nobody approves what they asked for themselves",
}


def _outcome(row: Mapping[str, Any]) -> str:
    """One cell's line of the short answer."""
    name = " ".join(str(row[column]) for column in CELL)
    if row["status"] == ProposalStatus.REFUSED:
        return f"{name}: not certifiable, {row['refusal']}; the thresholds in force stay"
    if row["status"] == ProposalStatus.UNCHANGED:
        return f"{name}: stays at {row['current_remove_at']:.3f}; that is what the goal calls for"
    change = f"{name}: remove_at {levels(row)}, {forecast_in_words(row)}"
    if row["status"] in _OUTCOMES:
        by = f" by {row['answered_by']}" if row["status"] == ProposalStatus.REJECTED else ""
        return f"{change}: {_OUTCOMES[row['status']]}{by}"
    return f"{change}: {row['status']}, {_last_reason(row)}; the thresholds in force stay"


def _last_reason(row: Mapping[str, Any]) -> str:
    """Why a proposal is held or stale."""
    held = [verdict["reason"] for verdict in json.loads(row["verdicts"]) if verdict["outcome"] == Ruling.HOLD]
    return "; ".join(held)
