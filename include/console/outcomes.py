"""What was forecast of changes, and what happened. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from include.contract.cell import records
from include.forecasts.outcomes import bias
from include.report.outlook import MEASURES
from include.wording import count, percent, plural


@dataclass(frozen=True)
class Comparison:
    """One measure at one horizon, over all changes together."""

    measure: str
    when: str
    changes: str
    forecast: str
    happened: str
    off: str
    covered: str


def comparisons(outcomes: pd.DataFrame) -> list[Comparison]:
    """`forecast_outcomes` summed up: what happened against what was forecast; without what was neither."""
    found = []
    for row in records(bias(outcomes)):
        if row["forecast"] == row["happened"] == 0:
            continue
        shown = percent if row["measure"] == "precision" else count
        off = "not stated" if row["bias"] is None else f"{row['bias']:+.1%}".replace("-", "−")
        found.append(
            Comparison(
                MEASURES[row["measure"]],
                f"after {plural(row['horizon_days'], 'day')}",
                count(row["changes"]),
                shown(row["forecast"]),
                shown(row["happened"]),
                off,
                "counted" if row["covered"] is None else percent(row["covered"]),
            )
        )
    return found
