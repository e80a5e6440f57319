"""The sampling design of one day: in every cell the strata of each programme, and how likely a video of each is drawn.

| programme | draws | for |
|---|---|---|
| audit | by score, equally throughout the candidate action region | certificates, precision, recall, prevalence |
| prevalence | by views x score, below that region; everywhere if goals count views | the violative view rate |
| training | what the calibration curve is least sure of | the model team; never for an estimate |
| golden | videos whose answer experts settled (`golden.py`) | grading reviewers; never for an estimate |
| review_queue | all that serving sent to review, which its queue answers (`review_queue.py`) | as audit |
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell
from include.contract.tables import CELL, N_BINS, NO_SCORE_BIN, REVIEW_QUEUE, TABLES
from include.sampling.allocation import share_out
from include.sampling.audit import audit
from include.sampling.cells import NO_SCORE, CellPopulation, Queued, Stratum, read_cells
from include.sampling.prevalence import prevalence
from include.sampling.review_queue import asked_blindly, outside, overlap, queue_strata, unasked
from include.sampling.training import training


def design(
    histogram: pd.DataFrame,
    thresholds: pd.DataFrame,
    calibration: pd.DataFrame,
    config: Config,
    queues: Mapping[Cell, Queued] | None = None,
) -> pd.DataFrame:
    """The day's design of audit, prevalence, training and review queue: rows of table `sampling_design`, sorted by
    cell, programme and first bin.

    `histogram`: policy, market, model_version, bin (-1: no score, 0..999), n_videos, n_views of one day.
    `thresholds`: policy, market, model_version, remove_at, review_at in force, for every cell of the histogram.
    `calibration`: policy, market, model_version, bin, p_violating (0..1) from labels of earlier days. A bin it does not
    cover is expected to be violating as often as its score says, and one without score as often as the cell's mean.
    `queues`: what serving sent to review, by cell, where its queue's answers are delivered (`review_queue.py`); None:
    nowhere.

    A market's minutes (reviewer_minutes x minutes_share x the programmes' shares) are shared max-min fairly: every
    policy with videos that day gets the same number, its model versions equal parts of it, and what one cannot use goes
    to the others. Where the minutes suffice for every video the audit draws them all. Expected minutes never exceed the
    budget. What it cannot afford is said in `reason`. A bin that a threshold cuts in two belongs to the region below.

    Raises ValueError naming what is missing or wrong: a column, a cell's thresholds, a policy or market that is not
    configured, a bin twice, a bin, count, threshold or probability out of range.
    """
    cells = read_cells(histogram, thresholds, calibration, config, queues)
    rows = [
        _row(cell, programme, stratum)
        for cell, labels in zip(cells, _labels(cells, config), strict=True)
        for programme, strata in _programmes(cell, labels, config).items()
        for stratum in strata
    ]
    return identified(pd.DataFrame(rows, columns=[*_COLUMNS]))


_COLUMNS = tuple(name for name in TABLES["sampling_design"].column_names if name != "design_id")


WHOLE_CELL: Final[dict[str, Any]] = {
    "region": "any",
    "first_bin": NO_SCORE_BIN,
    "last_bin": N_BINS - 1,
    "score_low": np.nan,
    "score_high": np.nan,
    "probability_per_view": np.nan,
}
"""What `sampling_design` says of a stratum that is drawn from videos of earlier days, whatever their score."""


def identified(strata: pd.DataFrame) -> pd.DataFrame:
    """Rows of `sampling_design` with their design_id, a hash of them all."""
    strata = strata.astype({"inclusion_probability": "float64", "probability_per_view": "float64"})
    identity = hashlib.sha256(strata[[*_COLUMNS]].to_csv(index=False).encode()).hexdigest()[:16]
    return strata.assign(design_id=identity)[list(TABLES["sampling_design"].column_names)]


def _labels(cells: list[CellPopulation], config: Config) -> list[float]:
    """The expected number of labels each cell may have, over the programmes that draw from the day's videos."""
    labels = [0.0] * len(cells)
    shares = config.sampling.programmes
    share = config.sampling.minutes_share * (shares.audit + shares.prevalence + shares.training)
    for market in sorted({cell.key[1] for cell in cells}):
        members = [i for i, cell in enumerate(cells) if cell.key[1] == market and cell.videos.sum() > 0]
        versions = Counter(cells[i].key[0] for i in members)
        wanted = np.array([asked_blindly(cells[i], config) * cells[i].minutes for i in members])
        weight = np.array([1 / versions[cells[i].key[0]] for i in members])
        minutes = share_out(wanted, weight, config.markets[market].reviewer_minutes * share)
        for i, spent in zip(members, minutes, strict=True):
            labels[i] = float(spent) / cells[i].minutes
    return labels


def _programmes(cell: CellPopulation, labels: float, config: Config) -> dict[str, list[Stratum]]:
    """The strata of each programme, of `labels` expected in all of those but the review queue."""
    of_queue = queue_strata(cell)
    if not cell.answered.any():
        return {**_blind(cell, labels, config), REVIEW_QUEUE: of_queue}
    both = overlap(cell, labels, config)
    asked = sum(stratum.probability * cell.total(cell.videos, stratum.bins) for stratum in both if stratum.probability)
    found = _blind(unasked(cell), labels - asked, config)
    kept = {name: outside(strata, cell) for name, strata in found.items()}
    return {**kept, "audit": sorted([*kept["audit"], *both], key=lambda one: one.bins), REVIEW_QUEUE: of_queue}


def _blind(cell: CellPopulation, labels: float, config: Config) -> dict[str, list[Stratum]]:
    """The strata of the programmes that ask without saying what serving did."""
    if cell.videos.sum() <= 0:
        return {"audit": []}
    shares = config.sampling.programmes
    each = labels / (shares.audit + shares.prevalence + shares.training)
    if labels >= cell.videos.sum() * (1 - 1e-9):  # nothing is left for the others
        return {"audit": audit(cell, labels, labels, config)}
    by_views = prevalence(cell, shares.prevalence * each, config) if shares.prevalence else []
    picked = training(cell, shares.training * each) if shares.training else []
    estimating = labels - (shares.training * each if picked else 0.0)
    return {
        "audit": audit(cell, estimating - (shares.prevalence * each if by_views else 0.0), estimating, config),
        "prevalence": by_views,
        "training": picked,
    }


def _row(cell: CellPopulation, programme: str, stratum: Stratum) -> dict[str, object]:
    """The row of a stratum without design_id."""
    bins, scored = stratum.bins, stratum.bins != NO_SCORE
    region = REVIEW_QUEUE if programme == REVIEW_QUEUE else cell.region(bins)
    population, views = cell.total(cell.videos, bins), cell.total(cell.views, bins)
    if stratum.per_view is None:
        labels = population * (stratum.probability or 0.0)
    else:
        labels = min(population, views * stratum.per_view)
    return {
        "programme": programme,
        **dict(zip(CELL, cell.key, strict=True)),
        "stratum": f"{region}_{bins[0]:03d}_{bins[1]:03d}" if scored else region,
        "region": region,
        "first_bin": bins[0],
        "last_bin": bins[1],
        "score_low": bins[0] / N_BINS if scored else np.nan,
        "score_high": (bins[1] + 1) / N_BINS if scored else np.nan,
        "population": int(population),
        "population_views": int(views),
        "inclusion_probability": stratum.probability,
        "probability_per_view": stratum.per_view,
        "expected_labels": labels,
        "expected_minutes": labels * (cell.policy.minutes_per_label if programme == REVIEW_QUEUE else cell.minutes),
        "reason": stratum.reason,
    }
