"""Ways to choose a threshold from the same labels. Each takes a sample as `certify` does, a precision goal and the
confidence, and returns one of EDGES or None.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from include.certificates.certify import Goal, certify
from include.certificates.reviewer_error import aim_at
from include.evidence.clusters import distinct_content
from include.evidence.queue_decisions import REFUSED_AT, evidence_of_difference
from tests.benchmarks.worlds import EDGES

Array = NDArray[np.float64]

MAY_REMOVE = 0.5
"""The shipped lowest_remove_at; golden labels count from there on."""

_MAPIE_GRID = np.arange(100) / 100  # its default


def believed(sample: pd.DataFrame) -> pd.DataFrame:
    """Without the answers of a review queue that are refused as they differ from blind ones, as in production."""
    if "queued" not in sample:
        return sample
    pairs = sample[sample["queued"] & sample["blind"].notna()]
    more, fewer = ((pairs["answer"] > pairs["blind"]).sum(), (pairs["answer"] < pairs["blind"]).sum())
    if evidence_of_difference(more + sample["only_queue_before"].iloc[0], fewer) < REFUSED_AT:
        return sample
    blind = sample[sample["blind"].notna()]
    return blind.assign(inclusion_probability=blind["blind_probability"])


def plumbline(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    judged, candidates = distinct_content(believed(sample), ["market"]), EDGES
    if goal.weight:  # as in production: what is viewed elsewhere says nothing of the tail above
        judged, candidates = judged[judged["score"] >= MAY_REMOVE], EDGES[EDGES >= MAY_REMOVE]
    return certify(judged, goal, confidence=confidence, candidates=candidates).threshold


def corrected(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    """As in production where there are experts: `plumbline` on what they settled, corrected for false alarms."""
    sample = believed(sample)
    golden = sample[sample["golden"].notna() & (sample["score"] >= MAY_REMOVE)]
    golden = golden.assign(p_violating=golden["consensus"])
    aim = aim_at(golden, goal.share, confidence=confidence, correct=True)
    edges = EDGES[EDGES >= MAY_REMOVE]
    judged = sample[sample["score"] >= MAY_REMOVE]
    return certify(judged, Goal("precision", at_least=aim.share), confidence=aim.confidence, candidates=edges).threshold


def unweighted(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    """What `certify` would answer if it ignored every weight."""
    return plumbline(sample.assign(inclusion_probability=1.0, views=1.0), goal, confidence)


def looks_right(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    """The lowest threshold whose weighted precision reaches the target, as in a notebook."""
    _, _, ratio, _ = _ratios(sample, goal)
    return _lowest(ratio >= goal.share)


def hajek_normal(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    """The lowest threshold whose weighted precision, less a normal quantile of its linearised error, suffices."""
    weight, y, ratio, total = _ratios(sample, goal)
    a, b, c = (_above(sample, weight**2 * z) for z in (y**2, y, np.ones_like(y)))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.maximum(a - 2 * ratio * b + ratio**2 * c, 0.0)) / total
        return _lowest(ratio - ndtri(confidence) * error >= goal.share)


def mapie(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    """MAPIE's controller as it comes: no weights, 100 thresholds, Bonferroni-Holm."""
    return _controlled(sample, goal, confidence, _MAPIE_GRID, "bonferroni_holm")


def mapie_from(sample: pd.DataFrame, goal: Goal, confidence: float) -> float | None:
    """MAPIE's controller at its best: no weights, a fixed sequence down from where 300 labels lie above."""
    above = len(sample) - np.searchsorted(np.sort(sample["score"].to_numpy()), _MAPIE_GRID)
    return _controlled(sample, goal, confidence, _MAPIE_GRID[above >= 300][::-1], "fixed_sequence")


def _controlled(
    sample: pd.DataFrame,
    goal: Goal,
    confidence: float,
    grid: Array,
    method: Literal["bonferroni_holm", "fixed_sequence"],
) -> float | None:
    from mapie.risk_control import BinaryClassificationController

    controller = BinaryClassificationController(
        lambda x: np.column_stack([1 - x, x]),
        risk="precision",
        target_level=goal.share,
        confidence_level=confidence,
        list_predict_params=grid,
        fwer_method=method,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(sample["score"].to_numpy(), sample["p_violating"].to_numpy().astype(int))
    best = controller.best_predict_param
    return float(best) if isinstance(best, float) else None


def _ratios(sample: pd.DataFrame, goal: Goal) -> tuple[Array, Array, Array, Array]:
    """Weights and labels (rows,), weighted precision and weight above (EDGES,); precision is NaN above all rows."""
    weight = 1.0 / sample["inclusion_probability"].to_numpy()
    if goal.weight == "views":
        weight = weight * sample["views"].to_numpy()
    y = sample["p_violating"].to_numpy()
    total = _above(sample, weight)
    with np.errstate(invalid="ignore"):
        return weight, y, _above(sample, weight * y) / total, total


def _above(sample: pd.DataFrame, mass: Array) -> Array:
    """Mass of the rows at or above each of EDGES."""
    k = np.searchsorted(EDGES, sample["score"].to_numpy(), side="right")
    return np.bincount(k, mass, minlength=EDGES.size + 1)[::-1].cumsum()[::-1][1:]


def _lowest(passing: NDArray[np.bool_]) -> float | None:
    return float(EDGES[np.argmax(passing)]) if passing.any() else None
