"""Trains a classifier on a snapshot that was handed over. Frames in, a model out.

A logistic regression on the platform's features, their squares and products. The rows of the probability sample weigh
1 / inclusion probability, so that the model learns the platform's videos and not the reviewers' queue; what was picked
for training alone has no weight and counts once. A label is a probability: each row is there as *violates* and as *does
not*, weighted accordingly. What violates counts RARE times as much on top of that, as is usual where it is rare: the
odds that a score states are RARE times the true ones. Which score is high enough is the thresholds' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

TRAIN, TEST = "train", "test"
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the regularisation, of which the validation set chooses one."""
RARE = 10.0
"""How much more what violates counts; it spreads scores over [0, 1] that would else crowd near 0."""
MIN_OF_A_CLASS = 20
"""So many videos of each class the training set needs."""


class NotTrainable(ValueError):
    """The snapshot cannot be trained on. The message says why."""


@dataclass(frozen=True)
class Trained:
    """A model, and what it was found to be worth.

    Attributes:
        model: takes the features and gives the scores of [does not violate, violates], in [0, 1].
        metrics: weighted log loss and average precision on the validation and the test set, rows, chosen strength.
    """

    model: Pipeline
    metrics: dict[str, float]


def train(rows: pd.DataFrame, features: pd.DataFrame) -> Trained:
    """Fits the model on the training set, chooses its strength on the validation set, and looks at the test set once.

    Args:
        rows: of the snapshot: p_violating in [0, 1], weight (NaN: picked for training alone), split.
        features: one row each, in the same order: numbers, and the text `market`.

    Raises:
        NotTrainable: a class has too few videos in the training set, or a set is empty.
    """
    parts = {name: (rows["split"] == name).to_numpy() for name in (TRAIN, "validation", TEST)}
    for name, chosen in parts.items():
        if not chosen.any():
            raise NotTrainable(f"the {name} set is empty")
    p = rows["p_violating"].to_numpy(float)
    weight = rows["weight"].fillna(1.0).to_numpy(float)
    for what, n in (("violate", (p >= 0.5)[parts[TRAIN]].sum()), ("do not violate", (p < 0.5)[parts[TRAIN]].sum())):
        if n < MIN_OF_A_CLASS:
            raise NotTrainable(f"{n} videos of the training set {what}, {MIN_OF_A_CLASS} are needed")
    fitted = {strength: _fitted(features[parts[TRAIN]], p, weight, parts[TRAIN], strength) for strength in STRENGTHS}
    losses = {
        strength: _log_loss(model.predict_proba(features[parts["validation"]])[:, 1], p, weight, parts["validation"])
        for strength, model in fitted.items()
    }
    best = min(losses, key=lambda strength: (losses[strength], strength))
    test = fitted[best].predict_proba(features[parts[TEST]])[:, 1]
    from sklearn.metrics import average_precision_score

    clear = p[parts[TEST]] >= 0.5
    metrics = {
        "rows": float(len(rows)),
        "strength": best,
        "validation_log_loss": losses[best],
        "test_log_loss": _log_loss(test, p, weight, parts[TEST]),
        "test_average_precision": float(average_precision_score(clear, test, sample_weight=weight[parts[TEST]])),
    }
    return Trained(fitted[best], metrics)


def _fitted(
    features: pd.DataFrame,
    p: NDArray[np.float64],
    weight: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    strength: float,
) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

    curved = Pipeline(
        [
            ("scale", StandardScaler()),
            ("products", PolynomialFeatures(2, include_bias=False)),
            ("scale_products", StandardScaler()),
        ]
    )
    numbers = [name for name in features.columns if name != "market"]
    prepared = ColumnTransformer(
        [("numbers", curved, numbers), ("market", OneHotEncoder(handle_unknown="ignore"), ["market"])]
    )
    model = Pipeline([("prepared", prepared), ("regression", LogisticRegression(C=strength, max_iter=1000))])
    both = pd.concat([features, features], ignore_index=True)
    w = np.concatenate([RARE * (weight * p)[chosen], (weight * (1 - p))[chosen]])
    answers = np.repeat([1, 0], chosen.sum())
    kept = w > 0
    scale = kept.sum() / w.sum()  # the strength then means the same whatever the weights sum to
    model.fit(both[kept], answers[kept], regression__sample_weight=w[kept] * scale)
    return model


def probability(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability that a video violates, by the model's score of it, which counts what violates RARE times."""
    odds = score / np.maximum(1 - score, 1e-12) / RARE
    return odds / (1 + odds)


def _log_loss(
    score: NDArray[np.float64], p: NDArray[np.float64], weight: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> float:
    said, p, weight = np.clip(probability(score), 1e-9, 1 - 1e-9), p[chosen], weight[chosen]
    return float(-(weight * (p * np.log(said) + (1 - p) * np.log1p(-said))).sum() / weight.sum())
