"""How the model that is to be improved does on the snapshot handed over: weighted, on the test set alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from include.contract.grid import reaches
from include.contract.tables import CELL
from include.ledger.in_force import thresholds_before
from include.project import Project
from include.retraining.snapshot import TEST


def champion_on(project: Project, day: date, rows: pd.DataFrame, policy: str, model_version: str) -> dict[str, Any]:
    """Precision and recall at the thresholds in force, average precision, prevalence; None: nothing is known."""
    cells = pd.DataFrame(
        [(policy, market, model_version) for market in sorted(set(rows["market"]))], columns=list(CELL)
    )
    in_force = thresholds_before(project, day, cells)
    test = rows[(rows["split"] == TEST) & rows["probability_sample"]]
    at = test["market"].map(dict(zip(in_force["market"], in_force["remove_at"], strict=True))).to_numpy(float)
    return weighted_quality(test, at) | {
        "thresholds": dict(zip(in_force["market"], in_force["remove_at"], strict=True))
    }


def weighted_quality(test: pd.DataFrame, remove_at: np.ndarray) -> dict[str, Any]:
    """The figures from score (NaN: none), p_violating, weight and each row's remove_at; pure.

    Average precision is the area under the weighted precision-recall curve, ties taken together.
    """
    score, weight = test["score"].to_numpy(float), test["weight"].to_numpy(float)
    right = weight * test["p_violating"].to_numpy(float)
    removed = reaches(score, remove_at)
    order = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")
    ranked = np.nan_to_num(score, nan=-1.0)[order]
    found, taken = np.cumsum(right[order]), np.cumsum(weight[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if ranked.size else np.empty(0, int)
    steps = np.diff(found[last], prepend=0.0)

    def ratio(part: float, whole: float) -> float | None:
        return round(float(part / whole), 6) if whole > 0 else None

    return {
        "rows": len(test),
        "precision": ratio(right[removed].sum(), weight[removed].sum()),
        "recall": ratio(right[removed].sum(), right.sum()),
        "average_precision": ratio(float((steps * found[last] / taken[last]).sum()), right.sum()),
        "prevalence": ratio(right.sum(), weight.sum()),
    }
