"""Which model versions a person accepted, by the ledger; a challenger may act only once it is among them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from include.config.model import Config
from include.contract.cell import Cell, Row
from include.contract.terms import VersionKind


def accepted_in(chain: Sequence[Row]) -> dict[tuple[str, str], int]:
    """The version of the ledger that accepted each policy's model version, unless that was undone since."""
    found: dict[tuple[str, str], int] = {}
    for row in chain:
        request = json.loads(row["request"])
        if request["kind"] == VersionKind.ACCEPTANCE:
            key = (request["policy"], request["challenger"])
            if request["undo"]:
                found.pop(key, None)
            else:
                found[key] = int(row["version"])
    return found


def replaced_in(chain: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Each policy's model version whose place another was given, with that other, unless it was undone since."""
    accepted, found = accepted_in(chain), dict[tuple[str, str], str]()
    for row in chain:
        request = json.loads(row["request"])
        if request["kind"] == VersionKind.ACCEPTANCE and not request["undo"]:
            policy, challenger = request["policy"], request["challenger"]
            if accepted.get((policy, challenger)) == int(row["version"]):
                found[policy, request["champion"]] = challenger
    return found


def waiting_challengers(chain: Sequence[Row], cells: Iterable[Cell], config: Config) -> dict[Cell, str]:
    """Those of the cells whose model version is configured as a challenger and not accepted, with what to say of it."""
    accepted = accepted_in(chain)
    return {
        cell: f"{cell[2]} is a challenger: its thresholds stay until accept_model takes it"
        for cell in cells
        if cell[2] in config.policies[cell[0]].challengers and (cell[0], cell[2]) not in accepted
    }
