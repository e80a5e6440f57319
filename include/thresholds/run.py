"""A run that proposes changes of thresholds, and what becomes of its proposals.

The daily run and a person's request differ in whom they act for, in what they propose and in what they store with a
version. All else, recording, publishing, asking, settling, is the same and stands here.

A question is bound to what was shown: its digest covers the text and every proposal in it. It is compared when the
answer comes, and what is approved is then computed anew from the data as it is. An answer is settled once; proposals
that were settled never wait again for the same evidence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from include.contract.cell import records
from include.contract.terms import SETTLED, ProposalStatus, VersionKind
from include.evidence.fingerprints import fingerprints
from include.files import digest_of, write_whole
from include.ledger.publication import Act, publish, published_ids, read_chain
from include.project import Project
from include.proposals.approval import (
    Answer,
    Question,
    already_answered,
    effect_in_words,
    marked_stale,
    objection_to,
    question_table,
    with_answer,
    without_outdated,
)
from include.quality import suites
from include.quality.gate import GateFailed, run_gate
from include.report.places import address_of, page_of

log = logging.getLogger(__name__)

TABLE = "threshold_proposals"


@dataclass(frozen=True)
class Run:
    """What a run proposes, and for whom.

    Attributes:
        project: with the configuration it proposes under, which a request's own goals are part of.
        day: whose data it rests on.
        origin: of its proposals, which replace those of the same origin and day.
        kind: of the versions it publishes.
        requester: who asked; nobody approves what they asked for themselves.
        request: what a version stores, enough to compute the proposals anew.
        compute: what it proposes from the partitions as they are; nothing is written.
        config_sha: SHA-256 of the configuration before the request's goals, by the name of its file.
        subject, preface: of the question, as text and as Markdown.
        reason: of its versions; None: how they came about.
        expires_on: last day its changes hold; None: until something newer.
    """

    project: Project
    day: date
    origin: str
    kind: VersionKind
    requester: str
    request: Mapping[str, Any]
    compute: Callable[[], pd.DataFrame]
    config_sha: Mapping[str, str]
    subject: str
    preface: str = ""
    reason: str | None = None
    expires_on: date | None = None

    def proposals(self) -> pd.DataFrame:
        """Its rows of threshold_proposals."""
        return self.project.warehouse.read(TABLE, self.day, self.day, slice_value=self.origin).drop(columns="ds")

    def record(self, rows: pd.DataFrame) -> None:
        """Replaces its rows of threshold_proposals."""
        self.project.warehouse.replace(TABLE, self.day, rows, slice_value=self.origin)

    def propose(self, *, what_if: bool = False) -> None:
        """Computes and records its proposals; of a `what_if` none waits and none is published.

        What was answered before under the same origin, for the same evidence, keeps its answer.
        """
        rows = already_answered(self.compute(), self.proposals(), read_chain(self.project))
        if what_if:
            rows["status"] = rows["status"].mask(~rows["status"].isin(_DECIDED), ProposalStatus.WHAT_IF)
        self.record(rows)
        for status, count in rows["status"].value_counts().items():
            log.info("%s: %d cells", status, count)

    def publish(self, carried: pd.DataFrame, reason: str, approver: str | None = None) -> str:
        """Publishes the proposals `carried`, and records those the ledger no longer lets through; what it came to."""
        act = Act(
            day=self.day,
            requester=self.requester,
            approver=approver,
            reason=self.reason or reason,
            request={"kind": self.kind, **self.request},
            evidence=fingerprints(self.project, self.day) | dict(self.config_sha),
            expires_on=self.expires_on,
        )
        result = publish(self.project, carried, act, datetime.now(UTC))
        if result.refused:
            self.record(marked_stale(self.proposals(), result.refused))
        log.info("%s", result)
        return str(result)

    def gate(self) -> None:
        """Whether its proposals may be published at all; the day's own gate results stay. Raises GateFailed."""
        outcome = run_gate("thresholds", self.day, suites.thresholds(self.proposals(), self.project.config))
        if not outcome.passed:
            raise GateFailed(outcome)

    def write(self, page: str) -> str:
        """Writes its page; the path."""
        target = page_of(self.project.settings, self.origin, self.day)
        write_whole(target, page.encode())
        log.info("Page: %s", target)
        return str(target)


_DECIDED = [ProposalStatus.UNCHANGED, ProposalStatus.REFUSED, ProposalStatus.HELD, *SETTLED]


@dataclass(frozen=True)
class Approval:
    """The question that a run puts to a person, and the answer's consequences."""

    run: Run

    @property
    def project(self) -> Project:
        return self.run.project

    @property
    def day(self) -> date:
        return self.run.day

    @property
    def address(self) -> str:
        return address_of(self.run.origin, self.run.day)

    def unfinished(self) -> str | None:
        """Publishes and serves what was approved, as the process may have been killed before; None: nothing was.

        What the ledger holds already is not published again, but `thresholds.json` may lack it.
        """
        proposals = self.run.proposals()
        approved = proposals[proposals["status"] == ProposalStatus.APPROVED]
        if approved.empty:
            return None
        return self._publish(approved, str(approved["answered_by"].iloc[0]))

    def question(self) -> Question | None:
        """What a person is asked; None: nothing waits for one."""
        proposals = self.run.proposals()
        table = question_table(proposals)
        if not table:
            return None
        text = f"{self.run.preface}\n\n{table}" if self.run.preface else table
        waiting = proposals[proposals["status"] == ProposalStatus.AWAITING_APPROVAL]
        shown = {"subject": self.run.subject, "text": text, "proposals": sorted(waiting["proposal_id"])}
        reason = f" Reason: {self.run.reason}" if self.run.reason else ""
        return Question(self.run.subject, text, digest_of(shown), f"{effect_in_words(records(waiting))}{reason}")

    def objection(self, answer: Answer) -> str | None:
        """Why the answer of this person does not count; None: it does."""
        return objection_to(answer, self.run.project.config, asked_by=self.run.requester)

    def settle(self, answer: Answer) -> str:
        """Records the answer in threshold_proposals, and publishes what was approved and still holds."""
        proposals = with_answer(self.run.proposals(), answer)
        approved = proposals["status"] == ProposalStatus.APPROVED
        if approved.any():
            done = published_ids(read_chain(self.run.project))
            proposals = without_outdated(proposals, self.run.compute(), done)
        self.run.record(proposals)
        if not approved.any():
            return "nothing approved: the thresholds stay"
        return self._publish(proposals[proposals["status"] == ProposalStatus.APPROVED], str(answer.name))

    def _publish(self, approved: pd.DataFrame, approver: str) -> str:
        return self.run.publish(approved, f"approved by {approver}", approver)
