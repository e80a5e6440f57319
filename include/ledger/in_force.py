"""Which thresholds are in force on a day, by the ledger, and which of them rest on a certificate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell, Row, cell_of, records
from include.contract.change import changes_of
from include.contract.grid import RemovalLevel, first_bin
from include.contract.tables import CELL
from include.ledger.chain import thresholds_of
from include.ledger.overrides import overrides
from include.project import Project


def thresholds_in_force(ledger: pd.DataFrame, cells: pd.DataFrame, config: Config, *, before: date) -> pd.DataFrame:
    """The thresholds of `cells` by the last ledger version whose ds is before `before`.

    Args:
        ledger: `ds` and the columns of threshold_ledger; may be empty.
        cells: policy, market, model_version.

    Returns:
        One row a cell, sorted: policy, market, model_version, remove_at, review_at. A cell the ledger does not hold has
        the thresholds that its policy starts with.

    Raises:
        ValueError: a cell whose policy is not configured.
    """
    earlier = ledger.loc[ledger["ds"] < before, ["version", "hash", "thresholds"]].sort_values(["version", "hash"])
    known = thresholds_of({"thresholds": earlier["thresholds"].iloc[-1]}) if len(earlier) else {}
    rows = []
    for cell in sorted(set(cells[list(CELL)].itertuples(index=False, name=None))):
        if cell[0] not in config.policies:
            raise ValueError(f"policy: {cell[0]!r} of cell {cell} is not configured")
        rows.append((*cell, *known.get(cell, config.policies[cell[0]].start)))
    return pd.DataFrame(rows, columns=[*CELL, "remove_at", "review_at"])


def thresholds_before(project: Project, day: date, cells: pd.DataFrame) -> pd.DataFrame:
    """policy, market, model_version, remove_at, review_at in force when `day` began, for each of `cells`."""
    ledger = project.warehouse.read("threshold_ledger")
    return thresholds_in_force(ledger, cells, project.config, before=day)


def removal_levels(ledger: pd.DataFrame, days: Collection[date], config: Config) -> list[RemovalLevel]:
    """From which bin on each cell of the ledger removed on `days`: one level as long as it stays the same.

    Cells whose policies are not configured are left out. A cell without a level has the one its policy starts with
    (`starting_bins`).
    """
    versions = ledger.sort_values(["version", "hash"])
    known: dict[int, dict[Cell, int]] = {}
    open_: dict[Cell, RemovalLevel] = {}
    done: list[RemovalLevel] = []
    for day in sorted(days):
        earlier = versions.index[versions["ds"] < day]
        if not len(earlier):
            continue
        if earlier[-1] not in known:
            pairs = thresholds_of({"thresholds": versions.loc[earlier[-1], "thresholds"]})
            known = {earlier[-1]: {c: first_bin(p.remove_at) for c, p in pairs.items() if c[0] in config.policies}}
        for cell, bin_ in known[earlier[-1]].items():
            level = open_.get(cell)
            if level is not None and level.remove_bin == bin_:
                open_[cell] = level._replace(until=day)
                continue
            if level is not None:
                done.append(level)
            open_[cell] = RemovalLevel(*cell, day, day, bin_)
    return sorted([*done, *open_.values()])


def starting_bins(config: Config) -> dict[str, int]:
    """From which bin on a cell removes that the ledger does not hold, by policy."""
    return {name: first_bin(policy.start.remove_at) for name, policy in config.policies.items()}


def without_certificate(chain: Sequence[Row], in_force: pd.DataFrame) -> frozenset[Cell]:
    """The cells that remove something though no certificate ever published for them allows it.

    A certificate allows the remove_at it was published with and every higher one, since it tests from the top down. One
    of a change that was made to expire allows nothing beyond that change's own time, as it may have been for a lower
    goal.

    Args:
        chain: the ledger in order.
        in_force: as of `thresholds_in_force`.
    """
    lowest: dict[Cell, float] = {}
    for row in chain:
        for change in changes_of(row):
            if change.certified_bound is not None and row["expires_on"] is None:
                lowest[change.cell] = min(change.new.remove_at, lowest.get(change.cell, 1.0))
    held = overrides(chain)
    return frozenset(
        cell
        for row in records(in_force)
        if row["remove_at"] < lowest.get(cell := cell_of(row), 1.0) and cell not in held
    )
