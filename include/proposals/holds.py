"""Proposals for cells that something else holds: an override, or a canary. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from include.contract.cell import Cell, Row, cell_of, records
from include.files import canonical_json
from include.proposals.guardrails import Outcome, Verdict


def respecting(
    proposals: pd.DataFrame,
    holding: Mapping[Cell, object],
    status: Literal["held", "awaiting_approval"],
    name: str = "override",
) -> pd.DataFrame:
    """`proposals` with those that would change a cell that something holds held, or put to a person.

    Args:
        holding: what holds a cell, in words.
        name: of the verdict that says so.
    """
    rows = []
    outcome: Outcome = "hold" if status == "held" else "ask"
    for row in records(proposals):
        holder = holding.get(cell_of(row))
        changing = holder is not None and row["status"] in ("within_limits", "awaiting_approval")
        rows.append(with_verdict(row, status, Verdict(name, outcome, str(holder))) if changing else row)
    return proposals.assign(**{column: [row[column] for row in rows] for column in ("status", "verdicts")})


def with_verdict(row: Row, status: str, verdict: Verdict) -> Row:
    """A proposal with another status, and the verdict that says why."""
    return row | {"status": status, "verdicts": canonical_json([*json.loads(row["verdicts"]), vars(verdict)])}
