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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell
from include.contract.schema import empty_frame
from include.contract.tables import BY_VIDEO_AND_POLICY, CELL, N_BINS, NO_SCORE_BIN, REVIEW_QUEUE, TABLES
from include.sampling.allocation import Search, share_out
from include.sampling.audit import audit
from include.sampling.cells import NO_SCORE, CellPopulation, Queued, Stratum, read_cells
from include.sampling.prevalence import prevalence
from include.sampling.questions import Expected, Group, Panel, asked_shares, expected_draws
from include.sampling.review_queue import asked_blindly, outside, overlap, queue_strata, unasked
from include.sampling.training import training

ROUNDS = 10
"""Designs tried at most until a policy's questions in a market fill its budget; most take 2 or 3."""


def design(
    histogram: pd.DataFrame,
    thresholds: pd.DataFrame,
    calibration: pd.DataFrame,
    config: Config,
    queues: Mapping[Cell, Queued] | None = None,
    *,
    panel: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The day's design of audit, prevalence, training and review queue: rows of table `sampling_design`, sorted by
    cell, programme and first bin.

    `histogram`: policy, market, model_version, bin (-1: no score, 0..999), n_videos, n_views of one day.
    `thresholds`: policy, market, model_version, remove_at, review_at in force, for every cell of the histogram.
    `calibration`: policy, market, model_version, bin, p_violating (0..1) from labels of earlier days. A bin it does not
    cover is expected to be violating as often as its score says, and one without score as often as the cell's mean.
    `queues`: what serving sent to review, by cell, where its queue's answers are delivered (`review_queue.py`); None:
    nowhere.
    `panel`: the day's score_panel, which says how often draws fall together (`questions.py`); None: never.

    A market's minutes (reviewer_minutes x minutes_share x the programmes' shares) are shared max-min fairly: every
    policy with videos that day gets the same number, its model versions equal parts of it, and what one cannot use goes
    to the others. They pay for questions: a video drawn twice for a policy is asked once, and a stratum's expected
    minutes are its part of that. Where the minutes suffice for every video the audit draws them all. Expected minutes
    never exceed the budget. What it cannot afford is said in `reason`. A bin that a threshold cuts in two belongs to
    the region below.

    Raises ValueError naming what is missing or wrong: a column, a cell's thresholds, a policy or market that is not
    configured, a bin twice, a bin, count, threshold or probability out of range.
    """
    cells = read_cells(histogram, thresholds, calibration, config, queues)
    plans = _plans(cells, config, Panel(empty_frame(TABLES["score_panel"]) if panel is None else panel))
    rows = [
        _row(cell, programme, stratum, plan.asked)
        for cell, plan in zip(cells, plans, strict=True)
        for programme, strata in plan.programmes.items()
        for stratum in strata
    ]
    return identified(pd.DataFrame(rows, columns=[*_COLUMNS]))


_COLUMNS = tuple(name for name in TABLES["sampling_design"].column_names if name not in {"design_id", "numbering"})


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
    """Rows of `sampling_design` with their numbering and design_id, a hash of them all."""
    strata = strata.assign(numbering=BY_VIDEO_AND_POLICY).astype(
        {"inclusion_probability": "float64", "probability_per_view": "float64"}
    )
    identity = hashlib.sha256(strata[[*_COLUMNS, "numbering"]].to_csv(index=False).encode()).hexdigest()[:16]
    return strata.assign(design_id=identity)[list(TABLES["sampling_design"].column_names)]


EVERYTHING = {"audit": [Stratum((NO_SCORE_BIN, N_BINS - 1), "every video", probability=1.0)]}


@dataclass(frozen=True)
class _Plan:
    """A cell's strata by programme; `asked`: questions a draw, since draws that fall together are asked once."""

    programmes: dict[str, list[Stratum]]
    asked: float = 1.0


def _plans(cells: list[CellPopulation], config: Config, panel: Panel) -> list[_Plan]:
    """The plan of each cell, so that the questions of a policy and market take the minutes it is given."""
    groups: dict[Group, list[int]] = {}
    for i, cell in enumerate(cells):
        if cell.videos.sum() > 0:
            groups.setdefault(cell.key[:2], []).append(i)
    shares = config.sampling.programmes
    # With so many labels the audit, which has its share of them, asks about every video.
    enough = (shares.audit + shares.prevalence + shares.training) / shares.audit
    videos = {group: np.array([asked_blindly(cells[i], config) for i in members]) for group, members in groups.items()}
    whole = asked_shares(
        {group: panel.expected(group, [(cells[i], EVERYTHING) for i in members]) for group, members in groups.items()}
    )
    distinct = {group: float(videos[group].sum()) * whole[group] for group in groups}
    wanted = _questions(cells, config, groups, distinct)
    search = {
        group: Search(goal, most=enough * float(videos[group].sum()), all_of_it=goal >= distinct[group] * (1 - 1e-9))
        for group, goal in wanted.items()
    }
    kept: dict[Group, dict[int, _Plan]] = {}
    expected: dict[Group, Expected] = {}
    for _ in range(ROUNDS):
        tried = {}
        for group in (group for group, of_group in search.items() if not of_group.ended):
            labels = share_out(enough * videos[group], np.ones(len(videos[group])), search[group].at)
            tried[group] = {
                i: _programmes(cells[i], float(of_cell), config)
                for i, of_cell in zip(groups[group], labels, strict=True)
            }
            expected[group] = panel.expected(group, [(cells[i], of_cell) for i, of_cell in tried[group].items()])
        asked = asked_shares(expected)
        for group, found in tried.items():
            draws = expected[group].draws
            questions = min(asked[group] * draws, distinct[group])
            if search[group].found(questions):
                share = questions / draws if draws else 1.0
                kept[group] = {i: _Plan(programmes, share) for i, programmes in found.items()}
    plans = {i: plan for of_group in kept.values() for i, plan in of_group.items()}
    return [plans.get(i, _Plan({"audit": []})) for i in range(len(cells))]


def _questions(
    cells: list[CellPopulation], config: Config, groups: Mapping[Group, list[int]], videos: Mapping[Group, float]
) -> dict[Group, float]:
    """The expected number of questions each policy may ask in a market, over the programmes that draw from the day's
    videos. `videos`: what it could ask at most.
    """
    shares = config.sampling.programmes
    share = config.sampling.minutes_share * (shares.audit + shares.prevalence + shares.training)
    found: dict[Group, float] = {}
    for market in sorted({group[1] for group in groups}):
        members = [group for group in groups if group[1] == market]
        each = np.array([cells[groups[group][0]].minutes for group in members])
        wanted = np.array([videos[group] for group in members]) * each
        minutes = share_out(wanted, np.ones(len(members)), config.markets[market].reviewer_minutes * share)
        found |= {group: float(n) for group, n in zip(members, minutes / each, strict=True)}
    return found


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
    if shares.audit * each >= cell.videos.sum() * (1 - 1e-9):  # nothing is left for the others
        return {"audit": audit(cell, labels, labels, config)}
    by_views = prevalence(cell, shares.prevalence * each, config) if shares.prevalence else []
    picked = training(cell, shares.training * each) if shares.training else []
    estimating = labels - (shares.training * each if picked else 0.0)
    return {
        "audit": audit(cell, estimating - (shares.prevalence * each if by_views else 0.0), estimating, config),
        "prevalence": by_views,
        "training": picked,
    }


def _row(cell: CellPopulation, programme: str, stratum: Stratum, asked: float) -> dict[str, object]:
    """The row of a stratum without design_id and numbering; `asked`: questions a draw."""
    bins, scored = stratum.bins, stratum.bins != NO_SCORE
    region = REVIEW_QUEUE if programme == REVIEW_QUEUE else cell.region(bins)
    population, views = cell.total(cell.videos, bins), cell.total(cell.views, bins)
    labels = expected_draws(cell, stratum)
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
        "expected_minutes": labels
        * (cell.policy.minutes_per_label if programme == REVIEW_QUEUE else cell.minutes * asked),
        "reason": stratum.reason,
    }
