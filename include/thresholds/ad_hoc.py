"""The steps of `recalibrate_ad_hoc`: the core of the daily run for chosen cells and another goal, on the newest day.

A what-if writes its proposals and its page, and nothing that acts. What is wanted goes the way of the daily run:
guardrails, a person where they ask for one, compare-and-swap. Every step reads the form anew as Airflow recorded it
when the run was started; only the day is handed from step to step, and holds only where this run has proposed on it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd

from include.contract.cell import cell_of, records
from include.contract.tables import CELL
from include.contract.terms import ProposalStatus, Ruling, VersionKind
from include.evidence.accepted import scored_cells
from include.evidence.fingerprints import config_digest
from include.evidence.sample import certifying_sample
from include.ledger.acceptance import waiting_challengers
from include.ledger.canaries import canaries
from include.ledger.chain import TABLE, in_order
from include.ledger.overrides import overrides
from include.project import Project
from include.proposals.approval import forecast_in_words, levels
from include.proposals.holds import respecting
from include.report.places import address_of
from include.thresholds.newest import newest_day
from include.thresholds.proposals import proposals_for
from include.thresholds.request import Answered, FormRun, Request, RequestError
from include.thresholds.run import Approval, Run
from include.wording import as_text, percent, score

log = logging.getLogger(__name__)


def read_request(project: Project, form: FormRun) -> str:
    """The newest day with data, on which the form is answered, once the form was checked against it.

    Raises:
        RequestError: naming the field that cannot be carried out.
    """
    day = newest_day(project)
    request = Request.from_form(form.form, project.config.on(day), day)
    _ = form.origin
    scored = _cells(project, request, day)
    if scored.empty:
        raise RequestError(f"markets: no scores of {_named(request)} on {day}, the newest day with data")
    under = replace(project, config=request.under(project.config))
    if certifying_sample(under, day).merge(scored).empty:
        start = min(under.config.policies[name].window_start(day) for name in request.policies)
        raise RequestError(f"window_days: no final labels of {_named(request)} in the window, {start} to {day}")
    return day.isoformat()


def work_out(project: Project, form: FormRun) -> str | Answered:
    """The day on which the request is worked out and its page written; of a what-if, the answer, which ends the run.

    One task, as each that Airflow starts takes seconds which somebody waits for.

    Raises:
        RequestError: naming the field that cannot be carried out.
        GateFailed: a proposal breaks its own rules.
    """
    day = read_request(project, form)
    propose_changes(project, form, day)
    run, request = proposed_by(project, form, day)
    run.gate()
    write_report(project, form, day)
    return day if request.propose else Answered(short_answer(project, form, day))


def propose_changes(project: Project, form: FormRun, day: str) -> None:
    """threshold_proposals of the day under this run's origin."""
    run, request = _requested(project, form, date.fromisoformat(day))
    run.propose(what_if=not request.propose)


def publish_within_limits(project: Project, form: FormRun, day: str) -> str:
    """Publishes what no guardrail asks a person about."""
    run, request = proposed_by(project, form, day)
    proposals = run.proposals()
    return run.publish(proposals[proposals["status"] == ProposalStatus.WITHIN_LIMITS], request.reason)


def approval(project: Project, form: FormRun, day: str) -> Approval:
    """The question about the changes of this request that wait for a person."""
    return Approval(proposed_by(project, form, day)[0])


def write_report(project: Project, form: FormRun, day: str) -> str:
    """The page that answers the request; returns its path."""
    from include.report.answer import build_answer
    from include.report.collect import answer_data

    run, request = proposed_by(project, form, day)
    asked = _asked(form.user, request)
    return run.write(build_answer(answer_data(run.project, run.day, run.origin, asked=asked, reason=request.reason)))


def answer(project: Project, form: FormRun, day: str) -> str:
    """Writes the page again, with what was answered and published; the short answer."""
    write_report(project, form, day)
    return short_answer(project, form, day)


def short_answer(project: Project, form: FormRun, day: str) -> str:
    """The short answer, in Markdown: the verdict, a link to the evidence, who asked what, and what became of each cell.

    Cells that change come first.
    """
    from include.report.answer import verdict

    run, request = proposed_by(project, form, day)
    quiet = (ProposalStatus.UNCHANGED, ProposalStatus.REFUSED)
    rows = sorted(records(run.proposals()), key=lambda row: row["status"] in quiet)
    said = as_text(verdict(rows, run.project.config))
    page = f"[Forecast and evidence, as of {day}]({form.link(address_of(run.origin, run.day))})"
    return "\n".join([said, "", page, "", _sentence(form, request), "", *(f"- {_outcome(row)}" for row in rows)])


def proposed_by(project: Project, form: FormRun, day: str) -> tuple[Run, Request]:
    """The run and its request, on a day for which it has proposals.

    Raises:
        RequestError: it has none; the day that was handed on is not the one it proposed on.
    """
    run, request = _requested(project, form, date.fromisoformat(day))
    if run.proposals().empty:
        raise RequestError(f"this run proposed nothing on {day}; start the request again")
    return run, request


def _requested(project: Project, form: FormRun, day: date) -> tuple[Run, Request]:
    request = Request.from_form(form.form, project.config.on(day), day)
    stored = {"origin": form.origin, "day": day.isoformat(), **request.to_json()}
    run = Run(
        project=replace(project, config=request.under(project.config)),
        day=day,
        origin=form.origin,
        kind=VersionKind.AD_HOC,
        requester=form.user,
        request=stored,
        compute=lambda: request_proposals(project, stored, project.warehouse.read(TABLE)),
        config_sha=config_digest(project),
        subject=f"{form.user} requests a change of thresholds",
        preface=f"{_sentence(form, request)}\n\nSomebody else than {as_text(form.user)} must answer.",
        reason=request.reason,
        expires_on=request.expires_on,
    )
    return run, request


def request_proposals(project: Project, stored: Mapping[str, Any], ledger: pd.DataFrame) -> pd.DataFrame:
    """What a request proposes, from the partitions as they are; nothing is written.

    It starts from the thresholds at the end of `ledger`. The other cells of its markets keep theirs, and their place
    in the review queue. A cell that an override or a canary holds is put to a person. A change that expires, or that
    takes an override's place, acts on all videos at once.

    Args:
        stored: the request as a version of the ledger holds it, with origin and day.
        ledger: threshold_ledger, sound.
    """
    request, day = Request.from_json(stored), date.fromisoformat(stored["day"])
    under = replace(project, config=request.under(project.config))
    chosen = _cells(project, request, day)
    rows = proposals_for(under, day, stored["origin"], ledger, chosen, emergency=request.emergency)
    chain = in_order(ledger)
    held = overrides(chain)
    lasting = [request.expires_on is None and cell_of(row) not in held for row in records(rows)]
    rows["canary_share"] = rows["canary_share"].where(pd.Series(lasting, index=rows.index))
    rows = respecting(rows, held, ProposalStatus.AWAITING_APPROVAL)
    ending = {cell: f"{acting}; this would end it" for cell, acting in canaries(chain).items()}
    rows = respecting(rows, ending, ProposalStatus.AWAITING_APPROVAL, VersionKind.CANARY)
    waiting = waiting_challengers(chain, map(cell_of, records(chosen)), project.config)
    return respecting(rows, waiting, ProposalStatus.HELD, "challenger")


def _cells(project: Project, request: Request, day: date) -> pd.DataFrame:
    """The chosen cells that have scores on `day`."""
    cells = scored_cells(project, day)
    return cells[cells["policy"].isin(request.policies) & cells["market"].isin(request.markets)]


def _sentence(form: FormRun, request: Request) -> str:
    """Who asks for what, until when and why, as Markdown."""
    return f"{as_text(_asked(form.user, request))} {as_text(request.reason)}"


def _asked(user: str, request: Request) -> str:
    """Who asks for what, and until when, as text."""
    verb = "asks for" if request.propose else "asks what follows from"
    until = "" if request.expires_on is None else f", until {request.expires_on}"
    return f"{user} {verb} {_goals(request)} for {_named(request)}{until}."


def _named(request: Request) -> str:
    return f"{', '.join(request.policies)} in {', '.join(request.markets)}"


def _goals(request: Request) -> str:
    """E.g. "a precision of at least 97%"; each policy's own where they differ."""
    shares = {policy: percent(target) for policy, target in request.targets.items()}
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
}


def _outcome(row: Mapping[str, Any]) -> str:
    """One cell's line of the short answer."""
    name = as_text(" ".join(str(row[column]) for column in CELL))
    if row["status"] == ProposalStatus.REFUSED:
        return f"{name}: not certifiable, {as_text(row['refusal'])}; the thresholds in force stay"
    if row["status"] == ProposalStatus.UNCHANGED:
        return f"{name}: stays at {score(row['current_remove_at'])}; that is what the goal calls for"
    change = f"{name}: remove_at {levels(row)}, {forecast_in_words(row)}"
    if row["status"] in _OUTCOMES:
        by = f" by {as_text(row['answered_by'])}" if row["status"] == ProposalStatus.REJECTED else ""
        return f"{change}: {_OUTCOMES[row['status']]}{by}"
    return f"{change}: {row['status']}, {as_text(_last_reason(row))}; the thresholds in force stay"


def _last_reason(row: Mapping[str, Any]) -> str:
    """Why a proposal is held or stale."""
    held = [verdict["reason"] for verdict in json.loads(row["verdicts"]) if verdict["outcome"] == Ruling.HOLD]
    return "; ".join(held)
