"""Which thresholds are in force on a day, by the ledger."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.config.model import Config
from include.contract.tables import CELL
from include.ledger.chain import in_order, thresholds_of
from include.project import Project


def thresholds_in_force(ledger: pd.DataFrame, cells: pd.DataFrame, config: Config, *, before: date) -> pd.DataFrame:
    """The thresholds of `cells` by the last ledger version whose ds is before `before`.

    Args:
        ledger: `ds` and the columns of threshold_ledger; may be empty.
        cells: policy, market, model_version.

    Returns:
        One row a cell, sorted: policy, market, model_version, remove_at, review_at. A cell the ledger does not hold has
        the policy's initial thresholds.

    Raises:
        ValueError: a cell whose policy is not configured.
    """
    earlier = [row for row in in_order(ledger) if row["ds"] < before]
    known = thresholds_of(earlier[-1]) if earlier else {}
    rows = []
    for cell in sorted(set(cells[list(CELL)].itertuples(index=False, name=None))):
        if cell[0] not in config.policies:
            raise ValueError(f"policy: {cell[0]!r} of cell {cell} is not configured")
        initial = config.policies[cell[0]].initial
        rows.append((*cell, *known.get(cell, (initial.remove_at, initial.review_at))))
    return pd.DataFrame(rows, columns=[*CELL, "remove_at", "review_at"])


def thresholds_before(project: Project, day: date, cells: pd.DataFrame) -> pd.DataFrame:
    """policy, market, model_version, remove_at, review_at in force when `day` began, for each of `cells`."""
    ledger = project.warehouse.read("threshold_ledger")
    return thresholds_in_force(ledger, cells, project.config, before=day)
