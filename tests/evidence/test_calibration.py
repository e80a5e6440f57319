"""The calibration curve: against scikit-learn, and what it falls back on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from include.contract.grid import bin_of
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL
from include.evidence.calibration import calibrate as calibrate_sample

BR, DE = ("violence", "BR", "v3"), ("violence", "DE", "v3")
CENTRES = (np.arange(1000) + 0.5) / 1000


def sample(cell, score, p, pi=0.5) -> pd.DataFrame:
    frame = pd.DataFrame({"score": score, "p_violating": p, "inclusion_probability": pi})
    return frame.assign(**dict(zip(CELL, cell, strict=True)))


def drawn(cell, n, seed, truth) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    score = random.beta(0.7, 2, n)
    return sample(cell, score, (random.random(n) < truth(score)).astype(float))


def cells(*keys) -> pd.DataFrame:
    return pd.DataFrame(keys, columns=list(CELL))


def calibrate(frame: pd.DataFrame, of: pd.DataFrame) -> pd.DataFrame:
    return calibrate_sample(ProbabilitySample(frame), of)


def curve(frame, cell) -> np.ndarray:
    rows = frame[(frame[list(CELL)] == cell).all(axis=1) & (frame["bin"] >= 0)]
    assert rows["bin"].tolist() == list(range(1000))
    return rows["p_violating"].to_numpy()


def steep(score):
    return expit(-1 + 2.5 * np.log(score) - 1.4 * np.log1p(-score))


NOTHING = sample(BR, np.empty(0), np.empty(0))


def test_without_labels_the_score_is_believed():
    frame = calibrate(NOTHING, cells(BR))
    assert curve(frame, BR) == pytest.approx(CENTRES)
    assert (frame["bin"] >= 0).all()  # of videos without score nothing is known


def test_many_labels_agree_with_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    labels = drawn(BR, 20_000, 1, steep)
    score = labels["score"].to_numpy()
    oracle = LogisticRegression(C=1e8, tol=1e-9, max_iter=1000)
    oracle.fit(np.column_stack([np.log(score), -np.log1p(-score)]), labels["p_violating"])
    expected = oracle.predict_proba(np.column_stack([np.log(CENTRES), -np.log1p(-CENTRES)]))[:, 1]
    fitted = curve(calibrate(labels, cells(BR)), BR)
    assert fitted == pytest.approx(expected, abs=0.01)
    assert fitted[100:] == pytest.approx(steep(CENTRES[100:]), abs=0.03)


def test_a_cell_without_labels_is_its_policy_and_few_labels_move_it_little():
    labels = drawn(BR, 5000, 2, steep)
    policy = curve(calibrate(labels, cells(DE)), DE)
    assert policy == pytest.approx(steep(CENTRES), abs=0.03)
    surprise = sample(DE, [0.7, 0.8], [0.0, 0.0])
    few = curve(calibrate(pd.concat([labels, surprise]), cells(BR, DE)), DE)
    assert 0.01 < np.max(policy - few) < 0.3
    many = drawn(DE, 5000, 3, lambda score: 0.3 * steep(score))
    own = curve(calibrate(pd.concat([labels, many]), cells(BR, DE)), DE)
    assert own[[500, 800, 900]] == pytest.approx(0.3 * steep(CENTRES[[500, 800, 900]]), abs=0.05)


@pytest.mark.parametrize("truth", [lambda s: 1 - s, lambda s: 0 * s, lambda s: 0 * s + 1, lambda s: 4 * s * (1 - s)])
def test_curve_never_falls_whatever_the_labels(truth):
    fitted = curve(calibrate(drawn(BR, 500, 4, truth), cells(BR)), BR)
    assert (np.diff(fitted) >= -1e-12).all()
    assert ((fitted > 0) & (fitted < 1)).all()


def test_separable_and_fractional_labels_have_a_curve():
    score = np.linspace(0.01, 0.99, 99)
    separated = curve(calibrate(sample(BR, score, (score > 0.5).astype(float)), cells(BR)), BR)
    assert separated[200] < 0.2
    assert separated[800] > 0.8
    half = curve(calibrate(sample(BR, score, 0.5), cells(BR)), BR)
    assert half[300:700] == pytest.approx(0.5, abs=0.1)


def test_videos_without_score_are_estimated_from_their_own_labels_and_the_mean():
    scored = drawn(BR, 4000, 5, steep)
    mean = scored["p_violating"].mean()

    def unscored(n, violating):
        none = sample(BR, np.full(n, np.nan), np.repeat([1.0, 0.0], [violating, n - violating]))
        frame = calibrate(pd.concat([scored, none]), cells(BR))
        return frame.loc[frame["bin"] == -1, "p_violating"].item()

    assert unscored(0, 0) == pytest.approx(mean, rel=0.03)
    assert 0 < unscored(20, 0) < mean
    assert unscored(2000, 1000) == pytest.approx(0.5, abs=0.01)


def test_the_mean_undoes_the_sampling():
    """Nine tenths of the videos score low; equally many labels were drawn from either side."""
    low, high = sample(BR, np.full(500, 0.1), 0.0, 0.01), sample(BR, np.full(500, 0.9), 1.0, 0.09)
    frame = calibrate(pd.concat([low, high]), cells(BR))
    assert frame.loc[frame["bin"] == -1, "p_violating"].item() == pytest.approx(0.1, abs=0.02)


def test_result_is_sorted_and_bins_are_the_histograms():
    frame = calibrate(drawn(BR, 50, 6, steep), cells(DE, BR, DE))
    assert frame["bin"].tolist() == [*range(-1, 1000)] * 2
    assert frame["market"].tolist() == ["BR"] * 1001 + ["DE"] * 1001
    assert bin_of(np.array([0.0, 0.0005, 0.29, 0.999, 1.0, np.nan])).tolist() == [0, 0, 290, 999, 999, -1]
    assert calibrate(NOTHING, cells()).empty
