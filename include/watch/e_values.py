"""Does a published remove_at still keep what it promised? Two tests that may be looked at every day. Pure.

H0: the precision at the threshold in force is at least g. In the linear form of `certify`, a draw at or
above it brings X_i = w_i (y_i - g), and H0 says E[X_i] >= 0. Against it is bet with each of `BETS` at once: a bet c
multiplies its wealth by 1 - c X_i / (w_max (1 - g)), which is positive as X_i <= w_max (1 - g), and has a mean of at
most 1 under H0. The bets are fixed beforehand and the e-value is their mean wealth (diversified Kelly betting,
Waudby-Smith and Ramdas, JRSS B 86, 2024), a non-negative supermartingale that starts at 1. By Ville's inequality it
ever reaches 1 / alpha with a chance of at most alpha, over all days together: no level is spent by looking.

**Labels** bring draws of the audit sample, final days late. A change that keeps its promise for ever is alarmed about
with a chance of at most alpha (plus the chance that the limits of reviewers' error are wrong, see `reviewer_error`),
provided that
(1) rows are independent draws with the stated inclusion probabilities, and H0 holds on every day;
(2) no unit weighs more than w_max, the heaviest labelled draw of the cell at or above the threshold in the window;
(3) each draw is counted once, with the label it has on the day its sample becomes final. What arrives later, corrects
    it, or draws the video again on another day, is another draw.
The order of rows within a day is irrelevant. An alarm stays until the cell's remove_at is changed.

**Appeals** bring every removal, w = 1, y = 0 if an appeal overturned it and 1 if none did, see `appeals_e_value`. What
nobody contests counts as right: no rate of appeals is assumed or estimated. The same holds provided that
(4) what an appeal overturned was removed wrongly (the promise is held to the appeal's decision, not to the reviewers');
(5) a removal is counted no later than its overturned appeal, and the appeal once;
(6) H0: given those before it, each removal is wrong with a chance of at most 1 - g; or else, in a fixed population, at
    most 1 - g of the removals since the change are wrong, at the end of every day.
Proof. O of R removals are overturned by now and W >= O are wrong. A bet's wealth has the logarithm
O log(1 + c g / (1 - g)) + (R - O) log(1 - c), which grows with O, so it is at most what it were with every wrong
removal known: a supermartingale under (6), and Ville's inequality holds for what never exceeds one. Late appeals only
delay it. In a fixed population W <= (1 - g) R, and by Jensen's inequality the logarithm is at most
R log((1 - g) (1 + c g / (1 - g)) + g (1 - c)) = R log 1 = 0: there is no false alarm at all.
Both speak of all days since the change: what breaks only after a long time of good removals shows late.

Where both speak, each has half of alpha and alarms at 2 / alpha: a union bound, valid however they depend on each
other. Their mean would be no supermartingale: labels of a day become final when its appeals are known already, and
both speak of the same videos.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from include.files import canonical_json

BETS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Shares of the highest bet. With equal weights c suits a precision of (1 - c) g best."""

_MOST = 1e12  # an e-value above is shown as this


@dataclass(frozen=True)
class Wealth:
    """What one cell's evidence since a change has come to.

    Attributes:
        logs: logarithm of each bet's wealth.
        n: labels counted.
        total, hits: their weights, and those of the violating among them.
        highest: highest e-value at the end of a day.
    """

    logs: tuple[float, ...] = (0.0,) * len(BETS)
    n: int = 0
    total: float = 0.0
    hits: float = 0.0
    highest: float = 1.0

    @property
    def e_value(self) -> float:
        """Mean wealth of the bets."""
        return _mean_wealth(self.logs)

    @property
    def estimate(self) -> float | None:
        """Precision; None without a label."""
        return self.hits / self.total if self.total else None

    def after(self, logs: ArrayLike, n: int, total: float, hits: float) -> Wealth:
        """With a day's log factors, shape (bets,), and counts; its e-value at the end of the day counts."""
        summed = tuple((np.asarray(self.logs) + np.asarray(logs)).tolist())
        found = Wealth(summed, self.n + n, self.total + total, self.hits + hits, self.highest)
        return replace(found, highest=max(self.highest, found.e_value))

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return canonical_json(vars(self) | {"logs": list(self.logs)})

    @classmethod
    def from_json(cls, text: str) -> Wealth:
        values = json.loads(text)
        return cls(**values | {"logs": tuple(values["logs"])})


def with_labels(wealth: Wealth, p_violating: ArrayLike, weight: ArrayLike, *, target: float, heaviest: float) -> Wealth:
    """`wealth` after a day's labelled draws at or above the threshold.

    Args:
        p_violating: shape (n,), in [0, 1].
        weight: shape (n,), 1 / inclusion probability.
        target: g, in (0, 1).
        heaviest: w_max.

    Raises:
        ValueError: a target outside (0, 1), a p_violating outside [0, 1], or a weight that is not in (0, heaviest].
    """
    y, w = np.asarray(p_violating, dtype=float), np.asarray(weight, dtype=float)
    _check_target(target)
    for name, good in (("p_violating", (y >= 0.0) & (y <= 1.0)), ("weight", (w > 0.0) & (w <= heaviest))):
        if not good.all():
            raise ValueError(f"{name}: row {int(np.argmin(good))} is out of range")
    x = w * (y - target) / (heaviest * (1.0 - target)) if y.size else y
    logs = np.log1p(-np.outer(BETS, x)).sum(axis=1)
    return wealth.after(logs, y.size, float(w.sum()), float(w @ y))


@dataclass(frozen=True)
class AppealsEvidence:
    """What removals and appeals since a change have come to.

    Attributes:
        removals: videos removed.
        overturned: those that an appeal overturned.
        e_value: as they stand, see `appeals_e_value`.
        highest: highest e-value at the end of a day.
    """

    removals: int = 0
    overturned: int = 0
    e_value: float = 1.0
    highest: float = 1.0

    def after(self, removals: int, overturned: int, *, target: float) -> AppealsEvidence:
        """With a day's removals and with the appeals decided on it, which may be about earlier removals."""
        removals, overturned = self.removals + removals, self.overturned + overturned
        found = appeals_e_value(removals, overturned, target=target)
        return AppealsEvidence(removals, overturned, found, max(self.highest, found))


def appeals_e_value(removals: int, overturned: int, *, target: float) -> float:
    """Mean wealth of the bets after `removals` of which `overturned` are known to be wrong.

    That of `with_labels` on draws of equal weight. Days until it alarms at 40 against a promised 0.95 (median of 200 or
    more simulations): 500 removals a day, 30 % of wrong and 2 % of right ones contested, decided one to five days
    later, 90 % and 3 % of these overturned. Labels are final three days later and alarm at 20 if alone.

        true precision              .30   .50   .60   .70   .75   .80
        appeals                       5     6     8    13    27   not in 60
        60 % contested                3           5     6           8
        labels alone, 10 a day        4     4     4     5     6     6
        labels alone, 1 a day               8    10    14

    So few appeals show gross failures only, and help where labels are few: with 27 % of wrong removals overturned,
    no precision above 1 - (1 - g) / .27 = .81 ever shows. Where all were overturned at once, a precision of exactly
    0.95 raised the alarm in 0.6 % of 2,000 simulations of 60 days with 20 removals each; with 30 % contested in none.

    Args:
        removals, overturned: since the change, 0 <= overturned <= removals.
        target: g, the precision promised, in (0, 1).

    Raises:
        ValueError: counts or a target outside these.
    """
    _check_target(target)
    if not 0 <= overturned <= removals:
        raise ValueError(f"overturned: {overturned} is not between 0 and {removals} removals")
    bets = np.array(BETS)
    return _mean_wealth(overturned * np.log1p(bets * target / (1 - target)) + (removals - overturned) * np.log1p(-bets))


def alarm_at(alpha: float, *, appeals: bool) -> float:
    """The e-value at which a change's labels raise the alarm, or its appeals where these are watched, too."""
    return (2 if appeals else 1) / alpha


def _mean_wealth(logs: ArrayLike) -> float:
    total = float(special.logsumexp(logs))
    return min(math.exp(min(total, 700.0)) / len(BETS), _MOST)


def _check_target(target: float) -> None:
    if not 0.0 < target < 1.0:
        raise ValueError(f"target: {target} is not strictly between 0 and 1")
