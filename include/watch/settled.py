"""Which answers the watch holds against a threshold, and the precision that they must show. Pure.

Reviewers miss violations, and a missed one looks like a wrongful removal. Where a market has experts they settle what
reviewers passed at these scores, so the watch counts as wrong only what experts said does not violate, and everything
else as right. That is never less than the truth, so a threshold that keeps its promise is accused no more often than
promised, whatever reviewers miss; and it may be held to the promise itself. Where experts settled less than half of
what reviewers passed there on the days before, or there are none, reviewers' answers count, against the lower limit of
what a kept promise shows on them (`reviewer_error`). Which of the two holds on a day hangs on days counted before it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ENOUGH = 0.5
"""Of what reviewers passed before, the share that experts must have settled to be relied on."""


def rely_on_experts(before: pd.DataFrame) -> bool:
    """Whether experts settle what reviewers pass; `before`: the draws counted before, with consensus and expert.

    Where there were none, they are not relied on yet.
    """
    passed = before[~(before["consensus"] > 0.5)]
    return len(before) > 0 and (passed.empty or bool(passed["expert"].notna().mean() >= ENOUGH))


def answers(draws: pd.DataFrame, *, experts: bool) -> NDArray[np.float64]:
    """What counts of each draw, shape (draws,), in [0, 1]: what experts settled, or else reviewers' answers."""
    return (draws["expert"].fillna(1.0) if experts else draws["p_violating"]).to_numpy(dtype=float)
