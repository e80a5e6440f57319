"""1,500 cells certified, beside MAPIE cell by cell: ``python -m tests.benchmarks.bench_certify [cells] [mapie_cells]``.

Every cell has 133 labels (200,000 in all) and 1,000 candidate thresholds, and asks for a precision of .9 at 90 %
confidence. Labels come with equal weights, with two weights, as from a design of score bands, and with a weight of
their own each, as for a view-weighted goal. MAPIE's BinaryClassificationController takes the first only; it ignores
weights, and is timed on some of the cells. One process. Prints seconds for all cells and the ratio; fails if ours is
not at least five times faster than MAPIE at equal weights.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd

from include.certificates.certify import Goal, certify

LABELS: Final = 133
CANDIDATES: Final = np.arange(1_000) / 1_000
GOAL: Final = Goal("precision", at_least=0.9)
CONFIDENCE: Final = 0.9
LEAST_RATIO: Final = 5

Cell = pd.DataFrame


def simulate(cells: int, weights: str) -> list[Cell]:
    """Labelled draws of so many cells, each of a classifier of its own."""
    rng = np.random.default_rng(20261101)
    made = []
    for _ in range(cells):
        score = rng.beta(2.0, 1.0, LABELS)
        violating = rng.random(LABELS) < 1.0 / (1.0 + np.exp(-25.0 * (score - rng.uniform(0.2, 0.5))))
        pi = {
            "equal": np.full(LABELS, 0.2),
            "two": np.where(score >= 0.5, 0.4, 0.1),
            "any": rng.uniform(0.05, 0.4, LABELS),
        }[weights]
        made.append(pd.DataFrame({"score": score, "p_violating": violating * 1.0, "inclusion_probability": pi}))
    return made


def plumbline(cell: Cell) -> float | None:
    return certify(cell, GOAL, confidence=CONFIDENCE, candidates=CANDIDATES).threshold


def mapie(cell: Cell) -> float | None:
    from mapie.risk_control import BinaryClassificationController

    controller = BinaryClassificationController(
        lambda x: np.column_stack([1 - x, x]),
        risk="precision",
        target_level=GOAL.share,
        confidence_level=CONFIDENCE,
        list_predict_params=CANDIDATES,
        fwer_method="bonferroni_holm",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(cell["score"].to_numpy(), cell["p_violating"].to_numpy().astype(int))
    best = controller.best_predict_param
    return float(best) if isinstance(best, float) else None


def measure(engine: Callable[[Cell], float | None], cells: list[Cell], of: int, title: str) -> float:
    """CPU seconds for `of` cells, extrapolated from `cells`, printed."""
    engine(cells[0])  # imports are not what is measured
    began = time.process_time()
    found = sum(engine(cell) is not None for cell in cells)
    seconds = (time.process_time() - began) * of / len(cells)
    print(f"{title:<42}{seconds:>9.1f} s for {of:,} cells; {found / len(cells):>4.0%} certified", flush=True)
    return seconds


def main(cells: int, mapie_cells: int) -> int:
    """Compare, print, and return the process's exit status."""
    ours = {
        weights: measure(plumbline, simulate(cells, weights), cells, f"Plumbline, {title}")
        for weights, title in (("equal", "equal weights"), ("two", "two weights"), ("any", "every weight another"))
    }
    theirs = measure(
        mapie, simulate(cells, "equal")[:mapie_cells], cells, f"MAPIE, weights ignored ({mapie_cells} cells)"
    )
    ratio = theirs / ours["equal"]
    print(f"{ratio:.0f} times faster than MAPIE at equal weights, {theirs / ours['any']:.1f} times at any weights")
    return int(ratio < LEAST_RATIO)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) if len(sys.argv) > 1 else main(1_500, 50))
