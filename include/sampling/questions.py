"""How many questions a design asks. A video that two programmes draw, or one for two model versions, is asked once.

How many draws to expect is known from the histogram; how many of them fall together is not, since it counts each model
version by itself. `score_panel` knows: it holds a share of the day's videos, chosen by their ids alone, with their bins
under every version and their views. A policy's versions share a video's permanent random number in a programme, so the
programme draws the video for at least one of them with the largest of its probabilities; programmes draw independently
(permanent random numbers: Ohlsson, Coordination of Samples Using Permanent Random Numbers, in Business Survey Methods,
1995). From the panel comes the ratio of questions to draws, which varies little; the number of draws itself is that
of the histogram.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from include.contract.tables import CELL, N_BINS, REVIEW_QUEUE
from include.sampling.cells import Array, CellPopulation, Stratum

FEWEST = 50
"""A policy's videos of one market in the panel; where they are fewer, those of the market's policies with as many model
versions say together how draws coincide: they have the same minutes, and so about the same probabilities."""

Group = tuple[str, str]
"""A policy and a market."""


@dataclass(frozen=True)
class Expected:
    """What a design of one policy and market asks, in expectation: `draws` as the design states them, and `questions`
    as the panel has it. `known`: the share of their scores that is in the panel; `sure`: whether that is enough.
    """

    draws: float
    questions: float
    known: float
    sure: bool
    versions: int


@dataclass(frozen=True)
class _Rows:
    """A cell's rows of the panel: the number of the video, the bin from -1 on, the views; shapes (rows,)."""

    video: npt.NDArray[np.int64]
    bins: npt.NDArray[np.int64]
    views: Array


class Panel:
    """The day's `score_panel`, by policy and market. `rows`: policy, market, model_version, video_id, bin, views."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows: dict[tuple[str, ...], _Rows] = {}
        self._videos: dict[Group, int] = {}
        video = np.zeros(len(rows), dtype=np.int64)
        for group, at in _places(rows, CELL[:2]).items():
            video[at], names = pd.factorize(rows["video_id"].to_numpy()[at])
            self._videos[group] = len(names)
        bins, views = rows["bin"].to_numpy(np.int64), rows["views"].to_numpy(float)
        for cell, at in _places(rows, CELL).items():
            self._rows[cell] = _Rows(video[at], bins[at], views[at])

    def expected(self, group: Group, members: Sequence[tuple[CellPopulation, Mapping[str, list[Stratum]]]]) -> Expected:
        """Of the cells of one policy and market, each with the strata of its programmes."""
        there = [self._rows.get(cell.key, _NONE) for cell, _ in members]
        found, population = sum(len(rows.video) for rows in there), sum(float(c.videos.sum()) for c, _ in members)
        asked = {name for _, programmes in members for name in programmes} - {REVIEW_QUEUE}
        missed = np.ones(self._videos.get(group, 0))
        equal = by_views = seen = seen_by_views = 0.0
        for name in sorted(asked):
            largest = np.zeros(len(missed))
            for rows, (cell, programmes) in zip(there, members, strict=True):
                chance = _chances(programmes.get(name, []), rows)
                np.maximum.at(largest, rows.video, chance)
                seen += float(chance.sum())
                for stratum in programmes.get(name, []):
                    if stratum.per_view is None:
                        equal += expected_draws(cell, stratum)
                    else:
                        by_views += expected_draws(cell, stratum)
                if any(stratum.per_view is not None for stratum in programmes.get(name, [])):
                    seen_by_views += float(chance.sum())
            missed *= 1 - largest
        draws = equal + by_views
        if seen == 0:
            return Expected(draws, draws, 0.0, sure=False, versions=len(members))
        # Draws by views are fewer than their upper bound where single videos hold many of the views.
        drawn = equal + min(by_views, seen_by_views * population / found)
        questions = float(len(missed) - missed.sum())
        known = found / population
        sure = len(missed) >= FEWEST or known >= 0.99
        return Expected(draws, drawn * questions / seen, known, sure, versions=len(members))


def _places(rows: pd.DataFrame, by: Sequence[str]) -> dict[Any, npt.NDArray[np.intp]]:
    """The positions of the rows of each combination of the columns `by`."""
    return {key: np.asarray(at) for key, at in rows.groupby(list(by), sort=False).indices.items()}


_NONE = _Rows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


def asked_shares(expected: Mapping[Group, Expected]) -> dict[Group, float]:
    """Questions a draw, by policy and market; where the panel holds too few videos, those of its like (`FEWEST`)."""
    draws: dict[tuple[str, int], float] = {}
    questions: dict[tuple[str, int], float] = {}
    for (_, market), of in expected.items():
        like = market, of.versions
        draws[like] = draws.get(like, 0.0) + of.known * of.draws
        questions[like] = questions.get(like, 0.0) + of.known * of.questions
    found = {}
    for group, of in expected.items():
        like = group[1], of.versions
        if of.sure and of.draws:
            found[group] = of.questions / of.draws
        else:
            found[group] = questions[like] / draws[like] if draws[like] else 1.0
    return found


def expected_draws(cell: CellPopulation, stratum: Stratum) -> float:
    """Draws of a stratum, expected; by views an upper bound, reached if no video is sure to be drawn."""
    population = cell.total(cell.videos, stratum.bins)
    if stratum.per_view is None:
        return population * (stratum.probability or 0.0)
    return min(population, cell.total(cell.views, stratum.bins) * stratum.per_view)


def _chances(strata: Sequence[Stratum], rows: _Rows) -> Array:
    """How likely a programme with these strata draws each of the rows, shape (rows,)."""
    equal, per_view = np.zeros(N_BINS + 1), np.zeros(N_BINS + 1)
    for stratum in strata:
        of = slice(stratum.bins[0] + 1, stratum.bins[1] + 2)
        equal[of], per_view[of] = stratum.probability or 0.0, stratum.per_view or 0.0
    return np.minimum(1.0, equal[rows.bins + 1] + per_view[rows.bins + 1] * rows.views)
