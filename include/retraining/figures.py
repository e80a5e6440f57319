"""Pictures of the model in service on the snapshot handed over, for whoever opens the run in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = [n / 40 for n in range(41)]
_VIOLATING, _REST, _ASKED = "#b3261e", "#5f6b7a", "#1d5fbf"


def champion_picture(test: pd.DataFrame, falls: Sequence[Mapping[str, Any]], target: float) -> bytes:
    """A PNG with what was lost, precision against recall, and the scores; the same rows give the same bytes.

    Args:
        test: rows of the test set with a weight: score (NaN: none), p_violating in [0, 1], weight.
        falls: of the decision: what, reference, recent, each recall in [0, 1]; empty: nothing is stated.
        target: the precision that the policy asks for.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    lost, curve, scores = figure.subplots(1, 3)
    _lost(lost, falls)
    _curve(curve, test, target)
    _scores(scores, test)
    target_file = BytesIO()
    figure.savefig(target_file, format="png", dpi=100, metadata={"Software": None})
    return target_file.getvalue()


def weighted_curve(test: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted precision and recall at each score that occurs, from the highest down; empty where nothing violates."""
    scored = test[test["score"].notna()].sort_values("score", ascending=False, kind="stable")
    weight = scored["weight"].to_numpy(float)
    right = weight * scored["p_violating"].to_numpy(float)
    whole = float((test["weight"] * test["p_violating"]).sum())
    if not whole:
        return np.empty(0), np.empty(0)
    score = scored["score"].to_numpy(float)
    last = np.append(score[1:] != score[:-1], True) if score.size else np.empty(0, bool)
    return (np.cumsum(right) / np.cumsum(weight))[last], (np.cumsum(right) / whole)[last]


def _lost(axes: Axes, falls: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("Recall that any threshold can reach")
    axes.set_ylim(0, 1)
    if not falls:
        axes.text(0.5, 0.5, "too few labels to state it", ha="center", transform=axes.transAxes)
        return
    at = np.arange(len(falls))
    axes.bar(at - 0.2, [fall["reference"] for fall in falls], 0.38, color=_REST, label="the window before")
    axes.bar(at + 0.2, [fall["recent"] for fall in falls], 0.38, color=_VIOLATING, label="the recent days")
    axes.set_xticks(at, [str(fall["what"]) for fall in falls])
    axes.legend(loc="upper right")


def _curve(axes: Axes, test: pd.DataFrame, target: float) -> None:
    precision, recall = weighted_curve(test)
    axes.set_title("Precision against recall, test set, weighted")
    axes.plot(recall, precision, color=_VIOLATING)
    axes.axhline(target, color=_ASKED, linestyle="--", label=f"asked for: {target:.0%}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.legend(loc="lower left")


def _scores(axes: Axes, test: pd.DataFrame) -> None:
    axes.set_title("Scores, test set, weighted")
    p, weight = test["p_violating"].to_numpy(float), test["weight"].to_numpy(float)
    score = test["score"].to_numpy(float)
    known = ~np.isnan(score)
    for share, colour, name in ((1 - p, _REST, "does not violate"), (p, _VIOLATING, "violates")):
        axes.hist(
            score[known], _BINS, weights=(weight * share)[known], histtype="step", color=colour, label=name, log=True
        )
    axes.set(xlim=(0, 1), xlabel="score", ylabel="videos")
    axes.legend(loc="upper right")
