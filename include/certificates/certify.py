"""Certify a threshold from labels of a probability sample, or refuse by name.

A goal says that a ratio must not fall below a share g: precision (violating among the removed), recall (removed among
the violating) or specificity, 1 - false-positive rate (kept among the non-violating). With A_i = 1{score_i >= t},
y_i = p_violating_i and w_i = 1 / inclusion_probability_i, times views_i for a view-weighted goal, each is linear:

    ratio >= g   <=>   E[w_i (num_i - g den_i)] >= 0        precision:   num = A y,             den = A
                                                            recall:      num = A y,             den = y
                                                            specificity: num = (1 - A)(1 - y),  den = 1 - y

so there is no ratio bias and one exact test of a weighted mean (`bounds.py`) serves them all: the exact binomial where
weights are equal and labels are 0 or 1, its distribution-free generalisation, Gaffke's test, elsewhere. Bets,
stratified bets and draws thinned to equal weight were measured against it: all have less power (figures: `bounds.py`).

**Search.** The fixed sequence of Learn-then-Test (Angelopoulos et al., arXiv 2110.01052): candidates from safest to
riskiest, each tested at level 1 - confidence, until the first that fails. Nothing is paid for multiplicity, because
order, candidates and starts are functions of scores and weights, never of labels (see `_STARTS`).

**Views.** What a few videos are watched has no bound, and of a mean without bounds no sample says anything (Bahadur and
Savage, Annals of Mathematical Statistics 27, 1956). A view-weighted precision therefore counts a video's views up to a
cap, and takes all views beyond it for wrongly removed: where these are a share e of the views above a threshold, the
goal g is certified as g / (1 - e) of the capped ones. The cap leaves EXCESS of all views beyond it; it is a function of
views and weights alone. Where e reaches 1 - g nothing is certified, by name. e itself is what the sample shows, so the
design has to draw by views, which puts every video beyond the cap into the sample.

**Guarantee.** The chance that the true ratio at the returned threshold misses the goal is at most 1 - confidence, at
any sample size and for any score, calibrated or not, provided that
(1) rows are independent draws, with the stated inclusion probabilities, from the population the threshold acts on
    (Poisson sampling, draws with replacement; approximately so in a fixed-size design);
(2) p_violating is right on average in the region acted on, and independent between rows;
(3) no unit that could count against the goal weighs more than the heaviest such unit sampled. The design must cap
    weights.
There is no finite-population correction, on purpose: the threshold acts on tomorrow's videos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from include.certificates.bounds import binomial_lower_bound, binomial_p_value, mean_p_value

EXACT_BINOMIAL = "exact binomial"
EXACT_WEIGHTED = "exact weighted mean (Gaffke)"

# A precision rests on the labels above the threshold alone. A search that starts near the top may end there by chance,
# above all where reviewers' errors keep every precision close to the goal; one that starts far down may start below
# all that can be certified. So it starts three times, each with a part of the level and with what the part before has
# earned (fallback procedure, Wiens 2003): where so large a share of the labels, or so many, lie above. The goal itself
# is tested only where some wrong removals could be afforded: two; one under 300 labels; half a one under 150.
_STARTS = ((0.0, 0.0, 0.3), (0.1, 300.0, 0.4), (0.3, math.inf, 0.3))
"""Share of the labels, at most so many of them, part of the level."""
_LABELS_PER_SPARE = 150
_FEWEST_SPARES, _MOST_SPARES = 0.5, 2.0
_FEWEST_JUDGED = 10.0  # an estimate from fewer labels is no ground to ask for more
_MOST_COPIES = 1e4  # labels_needed is not extrapolated beyond so many times the sample
_CURVE_POINTS = 100
EXCESS = 0.01
"""Share of the views of a sample that a view-weighted precision takes for wrong, as no sample bounds them."""
_LOWEST, _HIGHEST = 1e-6, 1.0 - 1e-9  # between which a ratio's limit is sought

Array = NDArray[np.float64]
Index = int | NDArray[np.int64]


@dataclass(frozen=True)
class Goal:
    """What must hold at the threshold.

    Args:
        metric: "precision" or "recall", stated as `at_least`; "false_positive_rate", stated as `at_most`.
        at_least, at_most: the target, strictly between 0 and 1: one end always holds, the other no sample can certify.
        weight: None counts videos; "views" counts views, and the sample then needs the column `views`.

    Raises:
        ValueError: an unknown metric or weight; a target missing, on the wrong side or outside (0, 1).
    """

    metric: Literal["precision", "recall", "false_positive_rate"]
    at_least: float | None = None
    at_most: float | None = None
    weight: Literal["views"] | None = None

    def __post_init__(self) -> None:
        """Validate, naming the argument at fault."""
        if self.metric not in ("precision", "recall", "false_positive_rate"):
            raise ValueError(f"metric: {self.metric!r} is not precision, recall or false_positive_rate")
        if self.weight not in (None, "views"):
            raise ValueError(f"weight: {self.weight!r} is neither None nor 'views'")
        wanted, other = ("at_most", "at_least") if self.metric == "false_positive_rate" else ("at_least", "at_most")
        target = getattr(self, wanted)
        if target is None or getattr(self, other) is not None:
            raise ValueError(f"{wanted}: a goal for {self.metric} is stated as {wanted}, and only so")
        if not 0.0 < target < 1.0:
            raise ValueError(f"{wanted}: {target} is not strictly between 0 and 1")

    @property
    def share(self) -> float:
        """g, the lower limit of the ratio: 1 - at_most for a false-positive rate."""
        return self.at_least if self.at_least is not None else 1.0 - (self.at_most or 0.0)

    def stated(self, ratio: ArrayLike) -> Array:
        """Ratios in the goal's own terms: a specificity becomes a false-positive rate."""
        ratio = np.asarray(ratio, dtype=float)
        return 1.0 - ratio if self.metric == "false_positive_rate" else ratio

    def __str__(self) -> str:
        """E.g. "precision of at least 0.95", "view-weighted recall of at least 0.8"."""
        side = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        name = self.metric.replace("_", "-", 1).replace("_", " ")
        return f"{'view-weighted ' if self.weight else ''}{name} of {side}"


@dataclass(frozen=True)
class Decision:
    """A threshold with its certificate, or a named refusal; never both, never neither.

    Attributes:
        threshold: act on score >= threshold. The lowest certified for precision and false-positive rate, the highest
            for recall.
        refusal: why there is none, in words.
        labels_needed: about how many more labels would decide it if the estimate holds; None if no number would.
        estimate: the weighted (Hajek) ratio, in the goal's terms; for a refusal, at the score the refusal names.
        bound: the exact one-sided limit, at the stated confidence, of that ratio at that score alone.
        method: which exact test.
        n: labels the test rests on: those above the score for precision, the whole sample otherwise.
        labels_needed_above: the score above which they are needed; None for recall and false-positive rate, which
            need them wherever the design puts them.
    """

    threshold: float | None
    refusal: str | None
    labels_needed: int | None
    estimate: float | None
    bound: float | None
    method: str | None
    n: int
    labels_needed_above: float | None = None

    @classmethod
    def refused(
        cls, reason: str, *, n: int, labels_needed: int | None = None, estimate: float | None = None
    ) -> Decision:
        """A refusal that no test of a single score stands behind."""
        return cls(None, reason, labels_needed, estimate, None, None, n)


def certify(sample: pd.DataFrame, goal: Goal, *, confidence: float, candidates: ArrayLike | None = None) -> Decision:
    """Find the most useful threshold at which the goal is certified.

    Args:
        sample: one row a labelled unit: score in [0, 1]; p_violating in [0, 1], fractional where the consensus is
            unsure; inclusion_probability in (0, 1]; views >= 0 if the goal weighs by views. Row order and index do not
            matter.
        goal: what must hold.
        confidence: in (0, 1), e.g. 0.9: at most one decision in ten misses its goal.
        candidates: thresholds to choose from, shape (k,), each in [0, 1]; default the sampled scores. They must be
            chosen without looking at this sample's labels.

    Returns:
        A Decision. A stricter goal or a higher confidence never gives a riskier threshold.

    Raises:
        ValueError: a missing column or a value out of range, naming column and row; a bad confidence or candidate.
    """
    search = _Search(sample, goal, confidence, candidates)
    certified = search.certified()
    return search.decide(int(certified[-1])) if certified.size else search.refuse()


def curve(sample: pd.DataFrame, goal: Goal, *, confidence: float, candidates: ArrayLike | None = None) -> pd.DataFrame:
    """The goal's metric against the threshold, for reports. Arguments and errors as for `certify`.

    Returns:
        About a hundred of the candidates, and the certified one, by rising threshold: threshold; estimate (Hajek);
        bound, its exact one-sided limit at that threshold alone; n, the labels it rests on; certified, by the search;
        approximate_low and approximate_high, the two-sided linearised interval at the same confidence, which is
        *approximate* and certifies nothing.
    """
    search = _Search(sample, goal, confidence, candidates)
    certified = search.certified()
    even = np.linspace(0, search.above.size - 1, min(search.above.size, _CURVE_POINTS)).astype(int)
    shown = np.union1d(even, certified[-1:])
    estimate, half = search.estimates(), special.ndtri(0.5 + confidence / 2.0) * search.standard_errors()
    ends = np.sort(goal.stated(np.clip([estimate - half, estimate + half], 0.0, 1.0)), axis=0)[:, shown]
    table = pd.DataFrame(
        {
            "threshold": search.threshold[shown],
            "estimate": goal.stated(estimate[shown]),
            "bound": goal.stated(search.bounds(shown)),
            "n": search.labels()[shown],
            "certified": np.isin(shown, certified),
            "approximate_low": ends[0],
            "approximate_high": ends[1],
        }
    )
    return table.sort_values("threshold", ignore_index=True)


class _Search:
    """One sample and one goal. Rows fall by score, so candidate j acts on the first `above[j]` of them.

    Candidates run from safest to riskiest: falling thresholds, rising ones for recall.
    """

    def __init__(self, sample: pd.DataFrame, goal: Goal, confidence: float, candidates: ArrayLike | None) -> None:
        if not 0.0 < confidence < 1.0:
            raise ValueError(f"confidence: {confidence} is not strictly between 0 and 1")
        self.goal, self.level = goal, 1.0 - confidence
        score = _column(sample, "score", 1.0)
        y = _column(sample, "p_violating", 1.0)
        weight = 1.0 / _column(sample, "inclusion_probability", 1.0, positive=True)
        precision, recall = goal.metric == "precision", goal.metric == "recall"
        full, each = weight, np.zeros_like(weight)
        if goal.weight == "views":
            views = _column(sample, "views", math.inf)
            full = weight * views
            if precision:
                cap = views_cap(views, weight)
                weight, each = weight * np.minimum(views, cap), weight * cap
            else:
                weight = full
        seen = full > 0.0  # a video nobody saw says nothing of a view-weighted ratio
        score, y, weight, full, each = score[seen], y[seen], weight[seen], full[seen], each[seen]
        order = np.lexsort((y, full, -score))  # canonical: rounding in sums must not depend on the order of rows
        score, self.y, self.weight, self.full, each = (column[order] for column in (score, y, weight, full, each))
        self.size = score.size
        self.threshold, self.above = _choose(score, candidates, upwards=recall)

        # What enters the numerator if it is on the right side of the threshold.
        self.counted = 1.0 - self.y if goal.metric == "false_positive_rate" else self.y
        inside, everything = _running(self.weight * self.counted)[self.above], _running(self.weight * self.counted)[-1]
        self.num = inside if precision or recall else everything - inside
        self.den = _running(self.weight)[self.above] if precision else np.full_like(inside, everything)
        # The heaviest unit that can count against the goal: it lies above the threshold, but below it for recall.
        self.heaviest = (
            _largest(self.weight[::-1])[self.size - self.above] if recall else _largest(self.weight)[self.above]
        )
        # A video above with as many views as the cap weighs at least this, whether or not one was sampled.
        lightest = np.minimum.accumulate(np.append(math.inf, each))[self.above]
        self.heaviest = np.maximum(self.heaviest, np.where(np.isfinite(lightest), lightest, 0.0))
        # Where the weights that matter are equal and labels 0 or 1, the one test has a closed form.
        odd = ~np.isin(self.y, (0.0, 1.0)) | ~np.isclose(self.weight, self.weight[:1], rtol=1e-9, atol=0.0)
        self.closed_form = (_running(odd) == 0.0)[self.above if precision else np.full_like(self.above, self.size)]
        # Kish: labels above the threshold are worth `effective` labels of weight `typical`.
        w, ww = _running(self.weight)[self.above], _running(self.weight**2)[self.above]
        self.typical, self.effective = ww / w, w**2 / ww
        # Of all views above, those beyond the cap, which count against the goal.
        total = _running(self.full)[self.above]
        self.excess = 1.0 - np.divide(w, total, out=np.ones_like(w), where=total > 0.0) if precision else 0.0 * w
        self.excess[self.excess < 1e-12] = 0.0
        self.wanted = np.minimum(goal.share / np.maximum(1.0 - self.excess, 1e-9), _HIGHEST)
        self.spares = min(max(_FEWEST_SPARES, self.size // _LABELS_PER_SPARE), _MOST_SPARES)

    def _supported(self, j: Index, level: Array | float, copies: float = 1.0) -> Array:
        """The strictest precision that j, with so many times the labels, certifies if `spares` of the heaviest err.

        Exact for equal weights; elsewhere the right ones' weighted sum of exponentials is matched by a gamma variable.
        """
        n, heaviest = self.effective[j] * copies, self.heaviest[j] / self.typical[j]
        share = special.betaincinv(np.maximum(n - self.spares * heaviest, 1e-9), self.spares + 1.0, level)
        return share / (share + (1.0 - share) * heaviest) * (1.0 - 1e-9)  # so that rounding cannot fail it

    def certified(self) -> NDArray[np.intp]:
        """The candidates certified, from the safest on."""
        tests, everywhere = np.arange(self.above.size), self.wanted
        if self.goal.metric != "precision":
            return tests[: self._first_failure(tests, everywhere, self.level)]
        # Candidates with too few labels to certify the goal are tested for the strictest one they support. That costs
        # little power, since the goal needs as much of the same labels further down, and it keeps the answer monotone
        # in target and confidence.
        reached = np.maximum.accumulate(self.effective)
        first = [int(np.searchsorted(reached, labels)) for labels in _start_labels(self.size)]
        carried, certified = 0.0, []
        for (_, _, part), start, end in zip(_STARTS, first, [*first[1:], tests.size], strict=True):
            level = part * self.level + carried
            shares = np.minimum(everywhere, self._supported(tests, level))
            passed = tests[start:end][: self._first_failure(tests[start:end], shares, level)]
            certified.append(passed[(shares[passed] == self.wanted[passed]) & (self.wanted[passed] < _HIGHEST)])
            carried = level if passed.size == end - start else 0.0
        return np.concatenate(certified)

    def _first_failure(self, tests: NDArray[np.intp], shares: Array, level: float) -> int:
        """How many tests pass before the first that fails: many are passed at once where none of them can fail."""
        stops = np.flatnonzero(~self.closed_form[tests] | (self._binomial_p_values(shares)[tests] > level))
        k = int(stops[0]) if stops.size else tests.size
        if k == tests.size or self.closed_form[tests[k]]:
            return k
        stride = 1
        while k < tests.size:
            block = tests[k : k + stride]
            if self.p_value(int(block[0]), shares[block].max(), last=int(block[-1]), level=level) <= level:
                k, stride = k + block.size, 2 * block.size
            elif block.size == 1:
                break
            else:
                stride = block.size // 2
        return k

    def _binomial_p_values(self, shares: Array) -> Array:
        """Shape (candidates,); meaningful where `closed_form`."""
        unit = self.weight[:1] if self.size else 1.0
        return binomial_p_value(np.rint(self.num / unit), np.rint(self.den / unit), shares)

    def p_value(
        self, j: int, share: float, *, last: int | None = None, copies: float = 1.0, level: float | None = None
    ) -> float:
        """Exact p-value of "candidate j's ratio is at most `share`".

        With `last`, an upper limit of the p-values of all candidates from j to `last`: of the rows in which these
        differ, it counts only what counts against the goal. `level` as in `mean_p_value`.
        """
        last = j if last is None else last
        if self.goal.metric == "precision":
            values = self.weight[: self.above[last]] * (self.y[: self.above[last]] - share)
            values[self.above[j] :] = np.minimum(values[self.above[j] :], 0.0)
        else:  # a riskier candidate only moves rows to the wrong side
            right = np.arange(self.size) < self.above[last]
            if self.goal.metric == "false_positive_rate":
                right = ~right
            values = self.weight * self.counted * (right - share)
        return mean_p_value(values, share * self.heaviest[last], copies=copies, level=level)

    def bound(self, j: int) -> float:
        """Exact one-sided lower limit of candidate j's ratio."""
        if self.closed_form[j]:
            k, n = np.rint(self.num[j] / self.weight[0]), np.rint(self.den[j] / self.weight[0])
            return float(binomial_lower_bound(k, n, 1.0 - self.level) * (1.0 - self.excess[j]))

        excess = partial(self._excess, j)
        found = 0.0 if excess(_LOWEST) >= 0.0 else float(optimize.brentq(excess, _LOWEST, _HIGHEST, xtol=1e-6))
        return found * float(1.0 - self.excess[j])

    def bounds(self, shown: NDArray[np.intp]) -> list[float]:
        """`bound` of several candidates to four digits, for curves: each sought near the one before."""
        found: list[float] = []
        for j in shown.tolist():
            near = found[-1] if found else 0.5
            found.append(self.bound(j) if self.closed_form[j] else self._bound_near(j, near))
        return found

    def _bound_near(self, j: int, near: float) -> float:
        excess, step = partial(self._excess, j), 0.01
        low = high = min(max(near, _LOWEST), _HIGHEST)
        if excess(low) >= 0.0:
            while low > _LOWEST and excess(low := max(low - step, _LOWEST)) >= 0.0:
                high, step = low, 4.0 * step
        else:
            while high < _HIGHEST and excess(high := min(high + step, _HIGHEST)) < 0.0:
                low, step = high, 4.0 * step
        if low == _LOWEST and excess(low) >= 0.0:
            return 0.0
        return float(optimize.brentq(excess, low, high, xtol=1e-4) * (1.0 - self.excess[j]))

    def _excess(self, j: int, share: float) -> float:
        """Below 0 where candidate j's ratio is shown to be above `share`. The logarithm is nearly straight there."""
        return math.log(max(self.p_value(j, share), 1e-300) / self.level)

    def labels(self) -> NDArray[np.int64]:
        """Labels that each candidate's test rests on."""
        return self.above if self.goal.metric == "precision" else np.full_like(self.above, self.size)

    def estimates(self) -> Array:
        """Hajek ratio at each candidate, of all views where they count; 0 where nothing counts."""
        if self.goal.metric != "precision":
            return np.divide(self.num, self.den, out=np.zeros_like(self.num), where=self.den > 0.0)
        right, whole = _running(self.full * self.y)[self.above], _running(self.full)[self.above]
        return np.divide(right, whole, out=np.zeros_like(whole), where=whole > 0.0)

    def standard_errors(self) -> Array:
        """Linearised standard error of the Hajek ratio at each candidate, for independent draws."""
        ratio, ww, whole = self.estimates(), self.full**2, self.den
        if self.goal.metric == "precision":
            one, y, yy = (_running(ww * z)[self.above] for z in (np.ones(self.size), self.y, self.y**2))
            square, whole = yy - 2.0 * ratio * y + ratio**2 * one, _running(self.full)[self.above]
        else:
            inside, everything = _running(ww * self.counted**2)[self.above], ww @ self.counted**2
            right = inside if self.goal.metric == "recall" else everything - inside
            square = right * (1.0 - ratio) ** 2 + (everything - right) * ratio**2
        return np.sqrt(np.maximum(square, 0.0)) / np.where(whole > 0.0, whole, 1.0)

    def decide(self, j: int, refusal: str | None = None, needed: int | None = None) -> Decision:
        """Candidate j as the answer or, with `refusal`, as the score the refusal speaks of."""
        above = needed is not None and self.goal.metric == "precision"
        bound = self.bound(j) if refusal is not None else max(self.bound(j), self.goal.share)  # it is, but for rounding
        return Decision(
            threshold=float(self.threshold[j]) if refusal is None else None,
            refusal=refusal,
            labels_needed=needed,
            estimate=float(self.goal.stated(self.estimates()[j])),
            bound=float(self.goal.stated(bound)),
            method=EXACT_BINOMIAL if self.closed_form[j] else EXACT_WEIGHTED,
            n=int(self.labels()[j]),
            labels_needed_above=float(self.threshold[j]) if above else None,
        )

    def refuse(self) -> Decision:
        """Say why no candidate is certified and, where labels could change that, how many."""
        if self.size == 0:
            return self._undecidable("the sample holds no label that counts")
        if self.above.size == 0:
            return self._undecidable(f"no candidate threshold splits the {_labels(self.size)}")
        if not self.den.any():
            kind = "violating" if self.goal.metric == "recall" else "non-violating"
            return self._undecidable(f"{self.goal} cannot be judged: none of {_labels(self.size)} is {kind}")
        j, needed = self._price_above() if self.goal.metric == "precision" else self._price_overall()
        estimate = self.estimates()[j]
        seen = f"{self.goal.stated(estimate):.4g} at score >= {self.threshold[j]:.4g}, {_labels(self.labels()[j])}"
        if self._has_tail(j):
            needed = None
            reason = (
                f"{self.goal} cannot be judged above {self.threshold[j]:.4g}: single videos hold {self._tail(j):.1%} "
                f"of the views, and no sample bounds how often the next such video is wrong (estimate {seen})"
            )
        elif needed is not None:
            where = f"above {self.threshold[j]:.4g}" if self.goal.metric == "precision" else "of the same design"
            more = "1 more label" if needed == 1 else f"{needed} more labels"
            reason = f"needs about {more} {where} for a {self.goal} (estimate {seen})"
        elif estimate <= self.goal.share:
            reason = f"{self.goal} is out of reach at any threshold (best estimate {seen})"
        else:
            reason = f"{self.goal} fails among the highest scores, so none is certified (best estimate {seen})"
        return self.decide(j, reason, needed)

    def _tail(self, j: int) -> float:
        """Of the views above candidate j, what is beyond the cap and in the heaviest video below it."""
        within = float(self.heaviest[j] / self.den[j]) if self.den[j] else 0.0
        return float(self.excess[j] + (1.0 - self.excess[j]) * min(within, 1.0))

    def _has_tail(self, j: int) -> bool:
        """Whether single videos, not a want of labels, keep a view-weighted precision from being certified."""
        if self.goal.weight is None or self.goal.metric != "precision":
            return False
        flawless = math.log(self.level) / math.log(self.goal.share)
        return self.above[j] >= flawless and self._tail(j) >= 1.0 - self.goal.share

    def _undecidable(self, reason: str) -> Decision:
        return Decision.refused(reason, n=self.size)

    def _price_above(self) -> tuple[int, int | None]:
        """Candidate that the fewest more labels above it would certify if its estimate holds, and how many.

        With m times the labels the first test comes higher up; the smallest m at which it passes is sought.
        """
        judged = np.flatnonzero(self.effective >= min(_FEWEST_JUDGED, self.effective.max()))
        few = judged[np.unique(np.geomspace(1, judged.size, 60).astype(int)) - 1]
        coarse = np.geomspace(1.0, _MOST_COPIES, 40)
        high = next((copies for copies in coarse if self._first_decides(few, copies)[1]), None)
        if high is None:
            best = int(judged[np.argmax(self.estimates()[judged])])
            if (self._supported(judged, self.level) >= self.wanted[judged]).any():
                return best, None
            finer = np.geomspace(1.0, _MOST_COPIES, 2000)  # too few even if all were right: no verdict yet
            enough = [copies for copies in finer if self._supported(best, self.level, copies) >= self.wanted[best]]
            if not enough:  # nor with any number of labels
                return best, None
            return best, max(1, math.ceil((enough[0] - 1.0) * self.above[best]))
        low = max(1.0, high * coarse[0] / coarse[1])
        for _ in range(12):
            middle = (low + high) / 2.0
            low, high = (low, middle) if self._first_decides(few, middle)[1] else (middle, high)
        j, _ = self._first_decides(few, high)
        return j, max(1, math.ceil((high - 1.0) * self.above[j]))

    def _first_decides(self, candidates: NDArray[np.intp], copies: float) -> tuple[int, bool]:
        """The first candidate tested for the goal with so many times the labels above it; whether it then passes."""
        size = self.size + (copies - 1.0) * self.above[candidates]
        reached = self.effective[candidates] * copies >= np.array(_start_labels(size)).reshape(len(_STARTS), -1)
        level = np.array([part for _, _, part in _STARTS]) @ reached * self.level
        thick = self._supported(candidates, level, copies) >= self.wanted[candidates]
        i = int(np.argmax(thick))
        j = int(candidates[i])
        n, heaviest = self.effective[j] * copies, self.heaviest[j] / self.typical[j]
        p = binomial_p_value(n * self.num[j] / self.den[j], n + heaviest - 1.0, self.wanted[j])
        return j, bool(thick[i] and p <= level[i])

    def _price_overall(self) -> tuple[int, int | None]:
        """The safest candidate, and how many more labels would certify it if its estimate holds."""

        def excess(log_copies: float) -> float:
            return self.p_value(0, self.goal.share, copies=math.exp(log_copies)) - self.level

        most = math.log(_MOST_COPIES)
        if self.estimates()[0] <= self.goal.share or excess(most) > 0.0:
            return int(np.argmax(self.estimates())), None
        return 0, max(1, math.ceil((math.exp(optimize.brentq(excess, 0.0, most, xtol=1e-3)) - 1.0) * self.size))


def weights(sample: pd.DataFrame, *, by_views: bool) -> Array:
    """What each row stands for: videos, or views up to the cap; `sample` as in `certify`."""
    weight = 1.0 / sample["inclusion_probability"].to_numpy(dtype=float)
    if not by_views:
        return weight
    views = sample["views"].to_numpy(dtype=float)
    return weight * np.minimum(views, views_cap(views, weight))


def views_cap(views: Array, weight: Array) -> float:
    """The fewest views of a sampled video beyond which at most EXCESS of all views, weighted, lie."""
    order = np.argsort(-views, kind="stable")
    v, w = views[order], weight[order]
    beyond = np.cumsum(w * v) - np.cumsum(w) * v  # of these videos, were each video's own views the cap
    enough = np.flatnonzero(beyond <= EXCESS * float(w @ v))
    return float(v[enough[-1]]) if enough.size else 0.0


def _start_labels(size: ArrayLike) -> list[Array]:
    """Labels above each start of the search for a precision, in a sample of that size."""
    return [np.minimum(share * np.asarray(size, dtype=float), most) for share, most, _ in _STARTS]


def _choose(score: Array, candidates: ArrayLike | None, *, upwards: bool) -> tuple[Array, NDArray[np.int64]]:
    """Candidates from safest to riskiest, and how many rows lie at or above each; `score` falls.

    Candidates with no row on the side that matters are dropped. Of those that no row tells apart the safest stays, so
    that no threshold moves into scores where nothing was labelled.
    """
    if candidates is None:
        threshold = np.unique(score)
    else:
        threshold = np.unique(np.asarray(candidates, dtype=float))
        bad = ~((threshold >= 0.0) & (threshold <= 1.0))
        if bad.any():
            raise ValueError(f"candidates: {threshold[bad][0]} is not in [0, 1]")
    if not upwards:
        threshold = threshold[::-1]
    above = np.searchsorted(-score, -threshold, side="right")
    useful = (above > 0) & ((above < score.size) | (not upwards))
    threshold, above = threshold[useful], above[useful]
    safest = np.diff(above, prepend=-1) != 0
    return threshold[safest], above[safest]


def _labels(n: int) -> str:
    return f"{n} label" if n == 1 else f"{n} labels"


def _running(values: ArrayLike) -> Array:
    """Sums of the first 0, 1, ..., n values."""
    return np.append(0.0, np.cumsum(np.asarray(values, dtype=float)))


def _largest(values: Array) -> Array:
    """Largest of the first 0, 1, ..., n values; 0 of none."""
    return np.append(0.0, np.maximum.accumulate(values))


def _column(sample: pd.DataFrame, name: str, high: float, *, positive: bool = False) -> Array:
    """A column as floats in [0, high], or (0, high] if `positive`; else a ValueError naming column and row."""
    if name not in sample.columns:
        raise ValueError(f"{name}: the sample has no such column")
    try:
        values = sample[name].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: not a column of numbers ({error})") from error
    good = (values >= 0.0) & (values <= high) & np.isfinite(values) & ((values > 0.0) | (not positive))
    if not good.all():
        row = int(np.argmin(good))
        interval = f"{'(' if positive else '['}0, {high:g}{')' if math.isinf(high) else ']'}"
        raise ValueError(f"{name}: {values[row]} in row {sample.index[row]!r} is not in {interval}")
    return values
