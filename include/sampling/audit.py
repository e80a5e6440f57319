"""The audit programme: strata of score bins, with one inclusion probability each.

- A certificate for `remove_at` asks for one inclusion probability throughout the candidate action region, the scores to
  which `remove_at` may move, so that the exact binomial test applies at every threshold in it.
- Recall and prevalence ask for everything below that region, by Neyman allocation over score bands.
- Surprises: part of every probability ignores the scores, and no stratum goes without labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from include.config.model import Config
from include.contract.grid import first_bin
from include.contract.tables import N_BINS
from include.sampling.allocation import inclusion_probabilities, neyman
from include.sampling.cells import NO_SCORE, Bins, CellPopulation, Stratum, bands

ALLOW_BANDS = 4
REVIEW_BANDS = 2

ACTION_SHARE = (0.50, 0.65)
"""Share of the labels of audit and prevalence together that goes to the candidate action region, all of them from
audit: at least, if the other floors leave room, and at most for the sake of `remove_share`.

In simulations with 4,000 labels a share of .25 certifies 95.6-97.6 % of the best recall possible, .45 97.2-98.1 %. As
shipped: 97.4 % in the calm world of the guarantee benchmark (240 days); .45 gives 97.2 %, or 96.8 % with an allow_share
of .20, which leaves no room for more.
"""

STRATUM_SHARE = 0.02
"""Share of a cell's audit labels that goes at least to every other stratum, the one without scores included."""

PRECISION_SLACK = 2.0
"""The region starts where the share of errors above is expected to be this many times what the target allows ..."""

REMOVE_AT_STEP = 0.05
"""... and at least this far below the remove_at in force, but never below the policy's lowest_remove_at."""


@dataclass(frozen=True)
class _Group:
    """Strata with one inclusion probability."""

    strata: list[Bins]
    action: bool = False


def audit(cell: CellPopulation, labels: float, estimating: float, config: Config) -> list[Stratum]:
    """The strata of the programme by first bin, without those that hold no video.

    `labels`: expected, above 0. `estimating`: those of the programmes that estimates rest on, this one included.
    """
    groups = _groups(cell)
    if not groups:
        return []
    return [
        Stratum(bins, reason, probability=pi)
        for group, pi, reason in zip(groups, *_inclusion(cell, groups, labels, estimating, config), strict=True)
        for bins in group.strata
    ]


def _inclusion(
    cell: CellPopulation, groups: list[_Group], labels: float, estimating: float, config: Config
) -> tuple[list[float], list[str]]:
    """Inclusion probability of each group, and what fixed it."""
    sampling = config.sampling
    population = np.array([cell.totals(cell.videos, group.strata).sum() for group in groups])
    violating = np.array([cell.totals(cell.videos * cell.p, group.strata).sum() for group in groups])
    p = violating / population
    best = neyman(population, np.sqrt(p * (1 - p)), np.full(len(groups), cell.minutes), labels * cell.minutes)
    base = (1 - sampling.defensive_share) * best / population + sampling.defensive_share * labels / population.sum()

    floor = np.minimum(1.0, STRATUM_SHARE * labels / population)
    why = ["minimum of a stratum"] * len(groups)
    allow = np.array([not group.action and cell.region(group.strata[0]) == "allow" for group in groups])
    if allow.any():
        raised = np.minimum(1.0, base * sampling.allow_share * labels / (base * population)[allow].sum())
        why = ["share of what is allowed" if a else w for a, w in zip(allow & (raised > floor), why, strict=True)]
        floor = np.where(allow, np.maximum(floor, raised), floor)
    removed = cell.total(cell.videos, (cell.remove_bin, N_BINS - 1))
    for i, group in enumerate(groups):
        if group.action:
            room = max(labels - float(np.delete(floor * population, i).sum()), STRATUM_SHARE * labels)
            for_removed = sampling.remove_share * labels * population[i] / removed if removed else 0.0
            least, most = (share * estimating for share in ACTION_SHARE)
            floor[i] = min(1.0, min(room, max(least, min(most, for_removed))) / population[i])
    pi = inclusion_probabilities(population, base, floor, labels)

    reasons = []
    for i, group in enumerate(groups):
        if pi[i] == 1:
            reason = "every video"
        elif group.action:
            reason = "equal probability in the candidate action region"
        else:
            reason = why[i] if pi[i] <= floor[i] else "Neyman allocation"
        if group.action:
            reason += _shortage(cell, group, float(pi[i]), labels, config)
        reasons.append(reason)
    return [float(value) for value in pi], reasons


def _shortage(cell: CellPopulation, group: _Group, pi: float, labels: float, config: Config) -> str:
    """What the budget could not afford in the candidate action region; empty if nothing."""
    policy = cell.policy
    said = ""
    removed = cell.total(cell.videos, (cell.remove_bin, N_BINS - 1))
    asked = min(removed, config.sampling.remove_share * labels)
    if pi * removed < asked * (1 - 1e-9):
        said += f"; not afforded: {asked:.1f} labels of removed videos, {pi * removed:.1f} expected"
    # Without a single error the exact binomial test needs this many labels.
    flawless = math.ceil(math.log(1 - policy.confidence) / math.log(policy.target_precision))
    needed = max(flawless, config.guardrails.min_labels)
    expected = pi * cell.totals(cell.videos, group.strata).sum() * policy.window_days
    if expected < needed:
        said += (
            f"; not afforded: a certificate of this cell alone, {expected:.1f} labels in {policy.window_days} days, "
            f"{needed} needed"
        )
    return said


def _groups(cell: CellPopulation) -> list[_Group]:
    """Groups of strata by first bin; strata without videos are left out."""
    action = action_bin(cell)
    allow_end, load = min(cell.review_bin, action), cell.videos * cell.deviation
    groups = [
        _Group([NO_SCORE]),
        *(_Group([bins]) for bins in bands(load, 0, allow_end, ALLOW_BANDS)),
        *(_Group([bins]) for bins in bands(load, allow_end, action, REVIEW_BANDS)),
    ]
    cuts = sorted({action, *(b for b in (cell.review_bin, cell.remove_bin) if action < b < N_BINS), N_BINS})
    groups.append(_Group([(first, end - 1) for first, end in pairwise(cuts)], action=True))
    kept = [_Group([b for b in group.strata if cell.total(cell.videos, b) > 0], group.action) for group in groups]
    return [group for group in kept if group.strata]


def action_bin(cell: CellPopulation) -> int:
    """First bin of the candidate action region."""
    if cell.action is not None:
        return cell.action
    videos, violating = cell.videos[1:], (cell.videos * cell.p)[1:]
    above = np.cumsum(videos[::-1])[::-1]
    errors_above = above - np.cumsum(violating[::-1])[::-1]
    plausible = (above > 0) & (errors_above <= PRECISION_SLACK * (1 - cell.policy.target_precision) * above)
    by_precision = int(np.argmax(plausible)) if plausible.any() else N_BINS
    by_step = cell.remove_bin - round(REMOVE_AT_STEP * N_BINS)
    lowest = min(first_bin(cell.policy.limits.lowest_remove_at), cell.remove_bin)
    return min(max(min(by_precision, by_step), lowest), N_BINS - 1)
