"""What the thresholds in force do in a day, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from include.contract.cell import Cell, by_cell
from include.contract.grid import ThresholdPair
from include.evidence.accepted import accepted
from include.evidence.sample import certifying_sample
from include.forecasts.effects import Effect, effect_of
from include.project import Project


def effects(project: Project, day: date, pairs: Mapping[Cell, ThresholdPair]) -> dict[Cell, Effect]:
    """The effect of `pairs` on a day like `day`, for the cells that have scores then."""
    histograms = by_cell(accepted(project, "score_histogram", "scores", day, day))
    sample = certifying_sample(project, day)
    samples, none = by_cell(sample), sample.iloc[:0]
    return {
        cell: effect_of(histograms[cell], samples.get(cell, none), pair, project.config.policies[cell[0]])
        for cell, pair in pairs.items()
        if cell in histograms
    }
