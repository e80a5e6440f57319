"""The calibration curve: the share of violating videos at a score, from labels of a probability sample.

Beta calibration (Kull, Silva Filho and Flach, AISTATS 2017): logit p = c + a ln s - b ln(1 - s) with a, b >= 0, hence
monotone, and the score itself at a = b = 1, c = 0. Fitted by penalised likelihood towards the level above: a cell
towards its model version in all markets, that towards the score itself. A level without labels is the level above.

Labels are not weighted by 1 / inclusion probability. The draw depends on the score alone, so the labels at one score
are a fair sample of it, and weights would only add variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from include.contract.cell import Cell
from include.contract.grid import bin_of
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, N_BINS, NO_SCORE_BIN

Array = npt.NDArray[np.float64]

IDENTITY = np.array([0.0, 1.0, 1.0])
"""c, a, b of a score that is a probability already."""

MODEL_PENALTY = np.array([0.01, 1.0, 1.0])
CELL_PENALTY = np.array([2.0, 5.0, 5.0])
"""Penalties are 1 / variance of the coefficients about the level above."""

_NO_SCORE_VIOLATING = 1.0
"""The mean over scored videos counts as labels with this many violating among them for videos without score."""

_NUMBERS = ["score", "p_violating", "inclusion_probability"]
_CENTRES = (np.arange(N_BINS) + 0.5) / N_BINS


def calibrate(sample: ProbabilitySample, cells: pd.DataFrame) -> pd.DataFrame:
    """Expected share of violating videos in every score bin of every cell.

    `sample`: one row per labelled draw: policy, market, model_version, score (0..1, null: none), p_violating (0..1),
    inclusion_probability (0..1]; may be empty. `cells`: policy, market, model_version, a row per cell asked for.
    Result: policy, market, model_version, bin (0..999, and -1 where the model version has any label of a scored
    video), p_violating, sorted. Raises ValueError if a likelihood cannot be maximised.
    """
    keys = sorted(set(cells[list(CELL)].itertuples(index=False, name=None)))
    curves = curve_by_cell(sample, keys)
    bins = np.arange(NO_SCORE_BIN, N_BINS)
    frame = pd.DataFrame({name: np.repeat([key[i] for key in keys], len(bins)) for i, name in enumerate(CELL)})
    frame["bin"] = np.tile(bins, len(keys))
    frame["p_violating"] = np.concatenate([curves[key] for key in keys]) if keys else np.empty(0)
    return frame.dropna().reset_index(drop=True)


def curve_by_cell(sample: ProbabilitySample, cells: Sequence[Cell]) -> dict[Cell, Array]:
    """`calibrate` as one array of shape (1 + N_BINS,) per cell: no score (NaN: nothing known) first, then the bins."""
    by_model = dict(list(sample.groupby(["policy", "model_version"], sort=False)[_NUMBERS]))
    by_cell = dict(list(sample.groupby(list(CELL), sort=False)[_NUMBERS]))
    nothing = sample[_NUMBERS].iloc[:0]
    models = {}
    for model in sorted({cell[::2] for cell in cells}):
        models[model] = _fit(by_model.get(model, nothing), IDENTITY, MODEL_PENALTY)
    curves = {}
    for cell in cells:
        part = by_cell.get(cell, nothing)
        curve = expit(_features(_CENTRES) @ _fit(part, models[cell[::2]], CELL_PENALTY))
        scored = part[part["score"].notna()]
        if scored.empty:
            of_model = by_model.get(cell[::2], nothing)
            scored = of_model[of_model["score"].notna()]
        unscored = part.loc[part["score"].isna(), "p_violating"]
        no_score = np.nan
        if not scored.empty:
            expected = curve[bin_of(scored["score"].to_numpy(np.float64))]
            mean = np.average(expected, weights=1 / scored["inclusion_probability"].to_numpy(np.float64))
            no_score = (unscored.sum() + _NO_SCORE_VIOLATING) / (len(unscored) + _NO_SCORE_VIOLATING / mean)
        curves[cell] = np.append(no_score, curve)
    return curves


def _features(score: Array) -> Array:
    """Columns 1, ln s, -ln(1 - s); scores are kept half a bin away from 0 and 1."""
    s = np.clip(score, _CENTRES[0], _CENTRES[-1])
    return np.column_stack([np.ones_like(s), np.log(s), -np.log1p(-s)])


def _fit(part: pd.DataFrame, prior: Array, penalty: Array) -> Array:
    """Coefficients c, a, b with a, b >= 0 of largest penalised likelihood: a slope that would be negative is 0."""
    scored = part[part["score"].notna()]
    x, p = _features(scored["score"].to_numpy(np.float64)), scored["p_violating"].to_numpy(np.float64)
    free = np.array([True, True, True])
    while True:
        beta = np.zeros(3)
        # A slope fixed at 0 adds only a constant to the penalty.
        beta[free] = _newton(x[:, free], p, prior[free], penalty[free])
        negative = (beta < 0) & np.array([False, True, True])
        if not negative.any():
            return beta
        free &= ~negative


def _newton(x: Array, p: Array, prior: Array, penalty: Array) -> Array:
    """Maximises the penalised log-likelihood by Newton's method, steps halved until they do not make it worse."""

    def objective(beta: Array) -> float:
        eta = x @ beta
        return float(p @ eta - np.logaddexp(0.0, eta).sum() - penalty @ (beta - prior) ** 2 / 2)

    beta, value = prior.copy(), objective(prior)
    longest = np.inf
    for _ in range(200):
        fitted = expit(x @ beta)
        gradient = x.T @ (p - fitted) - penalty * (beta - prior)
        hessian = (x.T * (fitted * (1 - fitted))) @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        longest = float(np.abs(step).max())
        if longest < 1e-8:
            return beta
        while (reached := objective(beta + step)) < value - 1e-9 * abs(value) and np.abs(step).max() > 1e-8:
            step /= 2
        beta, value = beta + step, reached
    raise ValueError(f"calibration curve: no convergence from {len(p)} labels, last step {longest:.3g}")
