"""Whether a canary may act on more videos, must end, or waits. Pure.

**The test** is the one that certifies (`bounds.mean_p_value`), turned round: is the precision there below what was
promised? Where it says so at the certificate's confidence, the canary ends and the thresholds before it stay on all
videos. It is asked once a step, of a threshold that was chosen on other labels. A canary that keeps its promise exactly
is therefore ended with a chance of at most 1 - confidence a step, which costs some days and harms nobody. The alarm of
the watch looks every day in between, and ends a canary as well. With two steps of 60 labels each, promised .95 at 90 %
confidence, the test alone ends canaries that are right this often with a chance of:

    true precision    .97   .95   .92   .90   .85   .80
    by step 1         .01   .08   .35   .56   .90   .99
    by step 2         .01   .12   .55   .80   .99   1.0
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import pandas as pd

from include.certificates.bounds import mean_p_value
from include.certificates.certify import weights
from include.config.model import CanarySettings
from include.ledger.canaries import Canary


@dataclass(frozen=True)
class Finding:
    """What becomes of a canary on a day, and why."""

    outcome: Literal["wait", "step", "end"]
    reason: str


def canary_finding(
    canary: Canary,
    labels: pd.DataFrame,
    settings: CanarySettings,
    *,
    through: date,
    limit: float,
    confidence: float,
    min_labels: int,
    by_views: bool = False,
) -> Finding:
    """Whether the labels since it began let it act on more videos.

    Args:
        labels: the cell's draws since it began, up to `through`, at or above its remove_at, with their final answers:
            inclusion_probability in (0, 1], p_violating in [0, 1]; views >= 0 where they are counted.
        through: the last day whose labels are final.
        limit: precision promised, as reviewers' labels show it.
        confidence: of the test, in (0, 1).
        by_views: whether the precision promised counts views.
    """
    due = canary.stepped + timedelta(days=settings.days_per_step)
    if through < due:
        return Finding("wait", f"labels are final up to {through}; it is judged when those up to {due} are")
    if len(labels) < min_labels:
        return Finding("wait", f"{len(labels)} labels since it began; {min_labels} are asked for")
    weight, y = weights(labels, by_views=by_views), labels["p_violating"].to_numpy(dtype=float)
    if not weight.any():
        return Finding("wait", "none of the labels since it began is of a video that was viewed")
    found = f"{len(labels)} labels since it began put precision at {weight @ y / weight.sum():.3f}"
    p_value = mean_p_value(weight * (limit - y), float(weight.max()) * (1 - limit))
    compared = f"at least {limit:.3f} keeps the promise (p-value {p_value:.2g}, it ends at {1 - confidence:.2g})"
    return Finding("end" if p_value <= 1 - confidence else "step", f"{found}, {compared}")
