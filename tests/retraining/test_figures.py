"""The picture beside a hand-over: its curve is scikit-learn's, and it is the same for the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve

from include.retraining.figures import champion_picture, weighted_curve

FALLS = [{"what": "of all", "reference": 0.64, "recent": 0.43}]


def labelled(n: int = 600, *, violating: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    p = (rng.random(n) < 0.3).astype(float) if violating else np.zeros(n)
    score = np.round(np.clip(0.3 + 0.3 * p + rng.normal(0, 0.15, n), 0, 1), 2)
    return pd.DataFrame({"score": score, "p_violating": p, "weight": rng.uniform(1, 50, n)})


def test_the_curve_is_that_of_scikit_learn() -> None:
    rows = labelled()
    precision, recall = weighted_curve(rows)
    oracle = precision_recall_curve(rows["p_violating"], rows["score"], sample_weight=rows["weight"])
    assert precision == pytest.approx(oracle[0][:-1][::-1])
    assert recall == pytest.approx(oracle[1][:-1][::-1])


def test_what_has_no_score_is_never_found() -> None:
    rows = labelled()
    lost = rows.assign(score=rows["score"].where(np.arange(len(rows)) % 2 == 0))
    share = (rows["weight"] * rows["p_violating"])[::2].sum() / (rows["weight"] * rows["p_violating"]).sum()
    assert weighted_curve(lost)[1][-1] == pytest.approx(share)


def test_the_same_rows_give_the_same_picture_and_others_another() -> None:
    picture = champion_picture(labelled(), FALLS, 0.9)
    assert picture.startswith(b"\x89PNG")
    assert picture == champion_picture(labelled(), FALLS, 0.9)
    assert picture != champion_picture(labelled(500), FALLS, 0.9)
    assert picture != champion_picture(labelled(), [], 0.9)


def test_where_nothing_violates_there_is_no_curve_but_a_picture() -> None:
    assert weighted_curve(labelled(violating=False))[0].size == 0
    assert champion_picture(labelled(violating=False), [], 0.9)
