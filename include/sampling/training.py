"""The training programme: videos the model is least sure of, for retraining. In no estimate.

Uncertainty sampling (Lewis and Gale, SIGIR 1994) by the calibration curve: probabilities proportional to p (1 - p), the
mean of a band of scores, so that they are known and the picks can be repeated.
"""

from __future__ import annotations

import numpy as np

from include.contract.tables import N_BINS
from include.sampling.allocation import inclusion_probabilities
from include.sampling.cells import Bins, CellPopulation, Stratum, bands

BANDS = 4
"""In each of what is allowed, reviewed and removed."""


def training(cell: CellPopulation, labels: float) -> list[Stratum]:
    """The strata of the programme by first bin, of `labels` > 0 expected; none without scored videos."""
    load = cell.videos * cell.deviation**2
    cuts = [0, min(cell.review_bin, N_BINS), min(cell.remove_bin, N_BINS), N_BINS]
    strata: list[Bins] = [bins for i in range(3) for bins in bands(load, cuts[i], cuts[i + 1], BANDS)]
    strata = [bins for bins in strata if cell.total(cell.videos, bins) > 0]
    if not strata:
        return []
    videos = cell.totals(cell.videos, strata)
    pi = inclusion_probabilities(videos, cell.totals(load, strata) / videos, np.zeros_like(videos), labels)
    return [Stratum(bins, "uncertainty", probability=float(value)) for bins, value in zip(strata, pi, strict=True)]
