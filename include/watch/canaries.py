"""What becomes, on a day, of the canaries that act: read from the watch, the day's proposals and the labels since."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd

from include.certificates.reviewer_error import settled_by_experts
from include.config.model import Config
from include.contract.cell import NO_DRAWS, Cell, Row, by_cell, cell_of, records
from include.contract.change import DAILY, Change
from include.contract.grid import reaches
from include.contract.terms import ProposalStatus
from include.evidence.sample import certifying_sample
from include.ledger.canaries import Canary, canaries, end_change, step_change
from include.project import Project
from include.proposals.populations import aim_of
from include.watch.canary_step import Finding, canary_finding
from include.watch.settled import answers, rely_on_experts

log = logging.getLogger(__name__)

_STAYS = [ProposalStatus.UNCHANGED, ProposalStatus.REFUSED, ProposalStatus.HELD]


def canary_changes(project: Project, chain: Sequence[Row], day: date) -> list[Change]:
    """The changes of `day` that end canaries, or let them act on more videos; by cell.

    A canary waits while a proposal of the day would change its cell, and in a freeze; all wait where the ledger holds a
    later day.

    Args:
        chain: the ledger in order.
    """
    running = {cell: canary for cell, canary in canaries(chain).items() if cell[0] in project.config.policies}
    if not running or chain[-1]["ds"] > day:
        return []
    raised, busy = _raised(project, day), _busy(project, day)
    sample = certifying_sample(project, day)
    draws, golden = by_cell(sample), settled_by_experts(sample)
    changes = []
    for cell, canary in sorted(running.items()):
        if (cell, canary.version) in raised:
            found = Finding("end", raised[cell, canary.version])
        elif cell in busy:
            found = Finding("wait", "a proposal of the day would change its cell")
        else:
            found = _found(canary, draws.get(cell, NO_DRAWS), golden, project.config, day)
        log.info("%s: %s: %s", " ".join(cell), canary, found.reason)
        if found.outcome == "end":
            changes.append(end_change(canary, found.reason))
        elif found.outcome == "step":
            changes.append(step_change(canary, project.config.canary, found.reason))
    return changes


def _found(canary: Canary, draws: pd.DataFrame, golden: pd.DataFrame, config: Config, day: date) -> Finding:
    policy, acts_from = config.policies[canary.cell[0]], day + timedelta(days=1)
    through = config.settled_through(*canary.cell[:2], day)
    draws = draws[reaches(draws["score"].to_numpy(float), canary.change.new.remove_at)]
    before = draws[draws["sampled_on"] <= canary.began]
    experts = config.markets[canary.cell[1]].experts is not None and rely_on_experts(before)
    aim = aim_of(golden, config, canary.cell, canary.change.promised_precision)
    draws = draws.assign(p_violating=answers(draws, experts=experts))
    found = canary_finding(
        canary,
        draws[(draws["sampled_on"] > canary.began) & (draws["sampled_on"] <= through)],
        config.canary,
        through=through,
        limit=aim.target if experts else aim.refuted_below,
        confidence=policy.confidence,
        min_labels=config.guardrails.min_labels,
        by_views=canary.change.promised_by_views,
    )
    frozen = [freeze for freeze in config.guardrails.freezes if freeze.covers(acts_from, *canary.cell[:2])]
    return Finding("wait", f"frozen: {frozen[0].reason}") if found.outcome == "step" and frozen else found


def _raised(project: Project, day: date) -> dict[tuple[Cell, int], str]:
    """What the watch says against a version's remove_at in a cell."""
    rows = project.warehouse.read("threshold_watch", day, day)
    return {(cell_of(row), row["version"]): row["reason"] for row in records(rows[rows["alarm"].astype(bool)])}


def _busy(project: Project, day: date) -> set[Cell]:
    """The cells that the day's proposals change, or would if somebody approves."""
    rows = project.warehouse.read("threshold_proposals", day, day, slice_value=DAILY)
    return {cell_of(row) for row in records(rows[~rows["status"].isin(_STAYS)])}
