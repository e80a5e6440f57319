"""Proposals for cells that something else holds: an override, or a canary. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd

from include.contract.cell import Cell, Row, cell_of, records
from include.contract.terms import OPEN, ProposalStatus, Ruling
from include.files import canonical_json
from include.proposals.guardrails import Verdict


def respecting(
    proposals: pd.DataFrame,
    holding: Mapping[Cell, object],
    status: ProposalStatus,
    name: str = "override",
) -> pd.DataFrame:
    """`proposals` with those that would change a cell that something holds held, or put to a person.

    Args:
        status: held, or awaiting_approval.
        holding: what holds a cell, in words.
        name: of the verdict that says so.
    """
    rows = []
    ruling = Ruling.HOLD if status == ProposalStatus.HELD else Ruling.ASK
    for row in records(proposals):
        holder = holding.get(cell_of(row))
        changing = holder is not None and row["status"] in OPEN
        rows.append(with_verdict(row, status, Verdict(name, ruling, str(holder))) if changing else row)
    return proposals.assign(**{column: [row[column] for row in rows] for column in ("status", "verdicts")})


def with_verdict(row: Row, status: ProposalStatus, verdict: Verdict) -> Row:
    """A proposal with another status, and the verdict that says why."""
    return row | {"status": status, "verdicts": canonical_json([*json.loads(row["verdicts"]), vars(verdict)])}
