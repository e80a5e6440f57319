"""What serving sends to review, its queue answers: where these answers are delivered, all of it is drawn.

Every video of a cell that the thresholds in force send to review is a draw with probability 1, of the programme
review_queue. It is in no exported queue. Where the platform's queue can be expected to answer, the other programmes
leave these videos out, and spend their minutes elsewhere, but for the overlap: a share of them, chosen by hash, is
asked blindly all the same, since reviewers of that queue know that the video was flagged. What the answers are worth is
decided once they are final (`include.evidence.queue_decisions`).

A queue can be expected to answer where the newest day whose labels are final was answered in the cell, and where its
answers were not found to differ from blind ones. Elsewhere the others ask as if it did not exist, and its videos are
draws still, so that it is seen when it answers again. What exceeds its market's minutes by far is not drawn at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell, cell_of, records
from include.contract.grid import ThresholdPair, first_bin
from include.contract.tables import CELL, N_BINS
from include.sampling.audit import action_bin
from include.sampling.cells import CellPopulation, Queued, Stratum, stretches

OVERLAP = "overlap with the review queue, asked blindly"
"""The reason of such strata."""
LONGEST = 1.25
"""A queue longer than its market's minutes by this factor cannot be expected to be emptied."""
MOST_OVERLAP = 0.1
"""Of a cell's labels, what the overlap may take at most."""


def queued_bins(
    histogram: pd.DataFrame,
    in_force: pd.DataFrame,
    canaries: Mapping[Cell, ThresholdPair],
    config: Config,
    *,
    idle: Collection[Cell],
) -> dict[Cell, Queued]:
    """What serving sent to review, by cell; nothing where the platform does not deliver its queue's answers, or where
    a market's queue exceeds its minutes by far.

    Args:
        histogram: the day's score_histogram.
        in_force: policy, market, model_version, remove_at, review_at when the day began.
        canaries: thresholds that act on a share of a cell's videos; what only one of both pairs reviews is left out.
        idle: cells whose queue cannot be expected to answer.
    """
    if config.sampling.queue_decisions is None:
        return {}
    found: dict[Cell, Queued] = {}
    for row in records(in_force):
        cell = cell_of(row)
        bins = np.zeros(N_BINS + 1, dtype=bool)
        bins[first_bin(row["review_at"]) + 1 : first_bin(row["remove_at"]) + 1] = True
        if cell in canaries:
            other = canaries[cell]
            bins[: first_bin(other.review_at) + 1] = False
            bins[first_bin(other.remove_at) + 1 :] = False
        bins[0] = config.policies[cell[0]].no_score == "review"
        found[cell] = Queued(bins, left=cell not in idle)
    minutes: dict[str, float] = {}
    for row in records(histogram):
        cell = cell_of(row)
        if cell in found and found[cell].bins[row["bin"] + 1]:
            each = config.policies[cell[0]].minutes_per_label
            minutes[cell[1]] = minutes.get(cell[1], 0.0) + row["n_videos"] * each
    share = (1 - config.sampling.minutes_share) * config.guardrails.max_review_ratio * LONGEST
    full = {name for name, asked in minutes.items() if asked > config.markets[name].reviewer_minutes * share}
    return {cell: queue for cell, queue in found.items() if cell[1] not in full}


def not_expected_to_answer(decisions: pd.DataFrame) -> set[Cell]:
    """The cells whose queue left the newest day that is final unanswered, or answers otherwise than blind reviewers.

    `decisions`: queue_decisions of the days before, with ds.
    """
    newest = decisions.sort_values("ds").drop_duplicates(list(CELL), keep="last")
    return {cell_of(row) for row in records(newest[~newest["emptied"].astype(bool) | newest["refusal"].notna()])}


def queue_strata(cell: CellPopulation) -> list[Stratum]:
    """The strata of the programme: every video that serving sent to review."""
    return [
        Stratum(bins, "sent to review by serving, answered by its queue", probability=1.0)
        for bins in stretches(cell.queued)
        if cell.total(cell.videos, bins) > 0
    ]


def asked_blindly(cell: CellPopulation, config: Config) -> float:
    """Videos that the programmes which ask blindly could use at most."""
    left = float(cell.videos[cell.answered].sum())
    return float(cell.videos.sum()) - left + _overlap_share(config) * left


def unasked(cell: CellPopulation) -> CellPopulation:
    """The cell without the videos that are left to the review queue."""
    there = ~cell.answered
    return replace(cell, videos=cell.videos * there, views=cell.views * there, action=action_bin(cell))


def outside(strata: list[Stratum], cell: CellPopulation) -> list[Stratum]:
    """Strata of `unasked` without the bins that are left to the review queue."""
    bins, parts = np.arange(-1, N_BINS), []
    for stratum in strata:
        inside = (bins >= stratum.bins[0]) & (bins <= stratum.bins[1]) & ~cell.answered
        parts += [replace(stratum, bins=part) for part in stretches(inside) if cell.total(cell.videos, part) > 0]
    return parts


def overlap(cell: CellPopulation, labels: float, config: Config) -> list[Stratum]:
    """The strata of the audit among what is left to the review queue; `labels`: of the cell, expected, above 0."""
    left = float(cell.videos[cell.answered].sum())
    if left == 0:
        return []
    share = min(_overlap_share(config), MOST_OVERLAP * labels / left)
    return [
        Stratum(bins, OVERLAP, probability=share)
        for bins in stretches(cell.answered, (cell.review_bin, cell.remove_bin))
        if cell.total(cell.videos, bins) > 0
    ]


def _overlap_share(config: Config) -> float:
    settings = config.sampling.queue_decisions
    return 0.0 if settings is None else settings.overlap_share
