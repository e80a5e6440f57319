"""Simulated platforms whose truth is known, a day of each being a new draw from the same population.

None is the binormal world that `certify` and `design` were tuned on: risks are mixtures of betas, scores are distorted
by heavy-tailed noise, lie on a coarse grid or in one lump, views have a tail, and reviewers err.

A population of units stands for the law the day's videos are drawn from. A day therefore draws each unit Poisson(pi)
times: its videos are new, and the truth is the population's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import binom

from include.certificates.certify import Goal, certify
from include.config.load import load_config
from include.config.model import Config, Market, QueueDecisions, ThresholdLimits
from include.contract.grid import bin_of, first_bin
from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, ESTIMATING_PROGRAMMES, N_BINS
from include.evidence.calibration import calibrate
from include.sampling.cells import Queued
from include.sampling.design import design

Array = NDArray[np.float64]

POLICY, VERSION = "violence", "violence-v3"
EDGES = np.arange(1, N_BINS) / N_BINS


@dataclass(frozen=True)
class Population:
    """Units of one market by rising score: score in [0, 1], violating (bool), views > 0, and the chance in [0, 1] that
    its label says violating: `violating` itself where reviewers do not err; `believed`: what experts say, `violating`
    itself where they are right; `answered`: the chance that a draw is answered; `copies`: how often a day's platform
    holds each video's content, 1 for what is posted once. All of shape (n,).
    """

    score: Array
    violating: NDArray[np.bool_]
    views: Array
    chance: Array
    believed: NDArray[np.bool_]
    answered: Array
    copies: NDArray[np.int64]


@dataclass(frozen=True)
class Experts:
    """The shares of the draws that experts settle: asked by chance, and, unasked, of the answers they disagree with.

    They also settle what reviewers passed near the threshold and above, the second look.
    """

    by_chance: float
    of_disputes: float = 0.0


@dataclass(frozen=True)
class ReviewQueue:
    """The platform's review queue, whose answers are delivered: what serving sent there on the day, all of it.

    Attributes:
        width: scores from so far below remove_at up to it are sent to review.
        left: the share of it that nobody gets to, the lowest scores.
        flagged: chance that what blind reviewers would let pass is called violating there.
        windows_before: so many times the window's pairs of answers were compared before.
    """

    width: float
    left: float = 0.0
    flagged: float = 0.0
    windows_before: float = 6.0


World = dict[str, Population]
"""A population per market."""


class Worlds(NamedTuple):
    """The day whose labels the design knows, the day the sample is of, and the day the threshold acts on."""

    before: World
    labelled: World
    acted: World


def population(
    score: Array,
    violating: ArrayLike,
    *,
    views: Array | None = None,
    chance: Array | None = None,
    believed: NDArray[np.bool_] | None = None,
    answered: Array | None = None,
    copies: NDArray[np.int64] | None = None,
) -> Population:
    """Sorts; views are 1, nobody errs, everything is answered and posted once unless told otherwise."""
    order = np.argsort(score, kind="stable")
    violating = np.asarray(violating, dtype=bool)
    views, answered = (np.ones(score.size) if given is None else given for given in (views, answered))
    chance = violating.astype(float) if chance is None else chance
    believed = violating if believed is None else believed
    copies = np.ones(score.size, dtype=np.int64) if copies is None else copies
    return Population(
        score[order],
        violating[order],
        views[order],
        chance[order],
        believed[order],
        answered[order],
        copies[order],
    )


# Where the labels come from ----------------------------------------------------------------------------------------


def configure(labels: dict[str, float], goal: Goal, confidence: float) -> Config:
    """The shipped configuration with one policy and so many labels a day in each market, by audit and
    prevalence together, one minute each.
    """
    shipped = load_config()
    policy = shipped.policies[POLICY].model_copy(
        update={
            "model_versions": [VERSION],
            "target_precision": goal.share,
            "confidence": confidence,
            "goal_weight": goal.weight or "videos",
            "minutes_per_label": 1.0,
            "overlap": 1,
            "limits": ThresholdLimits(lowest_remove_at=0.05, lowest_review_at=0.01),
        }
    )
    programmes = shipped.sampling.programmes
    share = shipped.sampling.minutes_share * (programmes.audit + programmes.prevalence)
    minutes = {name: n / share for name, n in labels.items()}
    markets = {name: Market(region="all", reviewer_minutes=value) for name, value in minutes.items()}
    return shipped.model_copy(update={"policies": {POLICY: policy}, "markets": markets})


def histogram(world: World) -> pd.DataFrame:
    """`score_histogram` of a day."""
    parts = []
    for market, units in world.items():
        bins = bin_of(units.score)
        part = pd.DataFrame({"bin": np.arange(N_BINS), "n_videos": np.bincount(bins, minlength=N_BINS)})
        part["n_views"] = np.bincount(bins, units.views, minlength=N_BINS)
        parts.append(part.assign(policy=POLICY, market=market, model_version=VERSION))
    return pd.concat(parts, ignore_index=True).query("n_videos > 0")


class Draw:
    """A design ready to draw from a world by audit and prevalence; `probability`: of the union, by market and unit.

    `experts`: what of the draws experts settle. `looked_from`: the score from which they look at what reviewers passed.
    `queue`: what is answered of the scores in [`sent`), which are drawn whole.
    """

    def __init__(
        self,
        world: World,
        strata: pd.DataFrame,
        experts: Experts | None = None,
        looked_from: float = 1.0,
        *,
        cluster_ids: bool = False,
        queue: ReviewQueue | None = None,
        sent: tuple[float, float] = (2.0, 2.0),
    ) -> None:
        self.world = world
        self.queue, self.sent = queue, sent
        self.cluster_ids = cluster_ids
        self.experts = experts
        self.looked_from = looked_from
        self.probability = {
            market: union_probability(units, strata[strata["market"] == market]) for market, units in world.items()
        }
        # A group of copies is drawn if one of them is; a unit stands for as many groups as it has copies less.
        self._reached = {
            market: np.cumsum((1 - (1 - pi) ** world[market].copies) / world[market].copies)
            for market, pi in self.probability.items()
        }

    def sample(self, rng: np.random.Generator) -> pd.DataFrame:
        """One day's labels: market, score, p_violating (0 or 1), inclusion_probability, views; where there are experts,
        also consensus (what reviewers said) and golden (what experts, asked by chance, did; NaN: not asked); where the
        platform knows of copies, also cluster_id and what chooses among them; where it has a review queue, also queued
        (bool), blind (the answer of who was asked blindly, NaN: nobody), blind_probability, and only_queue_before,
        the pairs before that were violating to the queue alone.
        """
        parts = []
        for market, units in self.world.items():
            if self.queue is not None:
                parts.append(self._with_queue(units, self.probability[market], rng).assign(market=market))
                continue
            reached = self._reached[market]
            drawn = np.searchsorted(reached, rng.random(rng.poisson(reached[-1])) * reached[-1], side="right")
            if (units.answered < 1).any():  # elsewhere the random numbers stay those of earlier measurements
                drawn = drawn[rng.random(drawn.size) < units.answered[drawn]]
            group = np.arange(drawn.size)
            if (units.copies > 1).any():
                count = _copies_drawn(rng, units.copies[drawn], self.probability[market][drawn])
                group, drawn = np.repeat(group, count), np.repeat(drawn, count)
            said = (rng.random(drawn.size) < units.chance[drawn]).astype(float)
            columns = {"market": market, "score": units.score[drawn], "p_violating": said}
            pi = self.probability[market][drawn]
            rows = pd.DataFrame({**columns, "inclusion_probability": pi, "views": units.views[drawn]})
            if self.cluster_ids:
                rows["cluster_id"], rows["video_id"] = (
                    np.where(units.copies[drawn] > 1, group, np.nan),
                    np.arange(group.size),
                )
                rows["permanent_random"], rows["programme_probability"] = rng.random(drawn.size) * pi, pi
            parts.append(rows if self.experts is None else self._settled(rows, units.believed[drawn], rng))
        return pd.concat(parts, ignore_index=True)

    def _with_queue(self, units: Population, pi: Array, rng: np.random.Generator) -> pd.DataFrame:
        """A day's videos: each is there, and there again, by chance; those sent to review are drawn whatever `pi`."""
        assert self.queue is not None
        sent = (units.score >= self.sent[0]) & (units.score < self.sent[1])
        drawn = np.repeat(np.arange(pi.size), rng.poisson(np.where(sent, 1.0, pi)))
        queued, score = sent[drawn], units.score[drawn]
        said = (rng.random(drawn.size) < units.chance[drawn]).astype(float)
        asked = ~queued | (rng.random(drawn.size) < pi[drawn])
        answer = np.where(queued & (rng.random(drawn.size) < self.queue.flagged), 1.0, said)
        if self.queue.left > 0:
            answer[queued & (score <= np.quantile(score[queued], self.queue.left))] = 0.0  # against the goal
        p = np.where(asked, said, answer)
        rows = pd.DataFrame(
            {"score": score, "p_violating": p, "inclusion_probability": np.where(queued, 1.0, pi[drawn])}
        )
        rows = rows.assign(views=units.views[drawn], queued=queued, blind=np.where(asked, said, np.nan), answer=answer)
        rows["blind_probability"] = pi[drawn]
        passed = self.queue.flagged * float(pi[sent] @ (1 - units.chance[sent]))
        rows["only_queue_before"] = rng.poisson(self.queue.windows_before * passed)
        return rows if self.experts is None else self._settled(rows, units.believed[drawn], rng)

    def _settled(self, rows: pd.DataFrame, believed: NDArray[np.bool_], rng: np.random.Generator) -> pd.DataFrame:
        assert self.experts is not None
        said, score = rows["p_violating"].to_numpy(), rows["score"].to_numpy()
        by_chance = rng.random(said.size) < self.experts.by_chance
        unasked = (rng.random(said.size) < self.experts.of_disputes) & (said != believed)
        looked = (said == 0) & (score >= self.looked_from)
        settled = np.where(by_chance | unasked | looked, believed, said)
        return rows.assign(p_violating=settled, consensus=said, golden=np.where(by_chance, believed, np.nan))


def _copies_drawn(rng: np.random.Generator, copies: NDArray[np.int64], pi: Array) -> NDArray[np.int64]:
    """How many copies of each group are drawn where at least one is."""
    u = rng.random(copies.size)
    return binom.ppf(1 - u * (1 - (1 - pi) ** copies), copies, pi).astype(np.int64).clip(1)


def union_probability(units: Population, strata: pd.DataFrame) -> Array:
    """Each unit's inclusion probability by audit or prevalence under the `strata` of its market."""
    missed = np.ones_like(units.score)
    bins = bin_of(units.score)
    for row in strata[strata["programme"].isin(ESTIMATING_PROGRAMMES)].to_dict("records"):
        inside = slice(*np.searchsorted(bins, [row["first_bin"], row["last_bin"] + 1]))
        by_views = np.minimum(1.0, row["probability_per_view"] * units.views[inside])
        missed[inside] *= 1 - (by_views if row["programme"] == "prevalence" else row["inclusion_probability"])
    return 1 - missed


def first_draw(world: World, config: Config) -> Draw:
    """The design of the day on which nothing is known yet: the shipped thresholds, no calibration."""
    nothing = pd.DataFrame(columns=[*CELL, "bin", "p_violating"]).astype({"bin": int, "p_violating": float})
    initial = config.policies[POLICY].initial
    return Draw(world, design(histogram(world), _thresholds(world, initial.remove_at), nothing, config))


def next_draw(
    worlds: Worlds,
    seen: pd.DataFrame,
    goal: Goal,
    config: Config,
    experts: Experts | None = None,
    *,
    cluster_ids: bool = False,
    queue: ReviewQueue | None = None,
) -> Draw:
    """The design of the day after `seen` was labelled in the world before, for the videos of the day labelled now."""
    cells = pd.DataFrame({"policy": POLICY, "market": sorted(worlds.before), "model_version": VERSION})
    policy = config.policies[POLICY]
    curve = calibrate(ProbabilitySample(seen.assign(policy=POLICY, model_version=VERSION)), cells)
    found = certify(seen, goal, confidence=policy.confidence, candidates=EDGES).threshold
    in_force = policy.initial.remove_at if found is None else found
    levels, queues, sent = _thresholds(worlds.before, in_force), None, (2.0, 2.0)
    if queue is not None:
        edge = round(in_force * N_BINS) / N_BINS
        sent = (round(edge - queue.width, 3), edge)
        levels = levels.assign(remove_at=edge, review_at=sent[0])
        config = config.model_copy(
            update={"sampling": config.sampling.model_copy(update={"queue_decisions": QueueDecisions()})}
        )
        bins = np.zeros(N_BINS + 1, dtype=bool)
        bins[first_bin(sent[0]) + 1 : first_bin(sent[1]) + 1] = True
        queues = {(POLICY, market, VERSION): Queued(bins, left=True) for market in worlds.labelled}
    strata = design(histogram(worlds.labelled), levels, curve, config, queues)
    looked_from = in_force - config.sampling.second_look.margin
    return Draw(worlds.labelled, strata, experts, looked_from, cluster_ids=cluster_ids, queue=queue, sent=sent)


def _thresholds(world: World, remove_at: float) -> pd.DataFrame:
    cells = pd.DataFrame({"policy": POLICY, "market": sorted(world), "model_version": VERSION})
    edge = math.ceil(first_bin(remove_at) / 4) / N_BINS  # thresholds lie on bin edges
    return cells.assign(remove_at=remove_at, review_at=edge)


# What is true ------------------------------------------------------------------------------------------------------


class Truth:
    """True precision and recall of every threshold in EDGES, over all markets; by views if the goal is."""

    def __init__(self, world: World, goal: Goal) -> None:
        score = np.concatenate([units.score for units in world.values()])
        violating = np.concatenate([units.violating for units in world.values()])
        views = np.concatenate([units.views for units in world.values()]) if goal.weight else np.ones(score.size)
        k = np.searchsorted(EDGES, score, side="right")  # how many thresholds act on the unit
        removed, right = (_at_least(k, mass) for mass in (views, views * violating))
        self.precision = np.divide(right, removed, out=np.ones_like(right), where=removed > 0)
        self.recall = right / (views @ violating)
        self.prevalence = float(violating.mean())
        self.kept = self.precision >= goal.share
        self.oracle = float(self.recall[self.kept].max(initial=0.0))

    def at(self, threshold: float) -> int:
        """Index of one of EDGES, or of the lowest above `threshold`."""
        return int(np.searchsorted(EDGES, threshold - 1e-12))


def _at_least(k: NDArray[np.intp], mass: Array) -> Array:
    """Mass at or above each of EDGES."""
    return np.bincount(k, mass, minlength=N_BINS).astype(float)[::-1].cumsum()[::-1][1:]


# The scenarios -----------------------------------------------------------------------------------------------------


PRECISION = Goal("precision", at_least=0.95)
BY_VIEWS = Goal("precision", at_least=0.9, weight="views")


@dataclass(frozen=True)
class Scenario:
    """A platform, built with so many units. `holds`: the certificate's assumptions do. `labels` a day by market.

    `experts`: what of them experts settle; None: nobody does, and certificates speak for reviewers' consensus.
    `cluster_ids`: the platform says which videos are copies of one another. `queue`: it delivers what its review queue
    answers.
    """

    name: str
    says: str
    build: Callable[[np.random.Generator, int], Worlds]
    holds: bool = True
    goal: Goal = PRECISION
    confidence: float = 0.9
    labels: tuple[tuple[str, float], ...] = (("all", 4_000.0),)
    experts: Experts | None = None
    cluster_ids: bool = False
    queue: ReviewQueue | None = None


Mixture = list[tuple[float, float, float]]
"""Share, a and b of each beta of a mixture of risks."""


def risks(rng: np.random.Generator, n: int, parts: Mixture) -> Array:
    """n risks from a mixture."""
    share = np.array([part[0] for part in parts])
    kind = rng.choice(len(parts), n, p=share / share.sum())
    a, b = (np.array([part[i] for part in parts])[kind] for i in (1, 2))
    return rng.beta(a, b)


_SHARP: Mixture = [(0.977, 0.3, 80.0), (0.007, 1.0, 3.0), (0.016, 4.0, 0.3)]  # 2 % violating; so is the next
_BLUNT: Mixture = [(0.976, 0.4, 60.0), (0.010, 2.0, 5.0), (0.014, 12.0, 1.2)]


def _calibrated(rng: np.random.Generator, n: int, parts: Mixture = _SHARP) -> Population:
    risk = risks(rng, n, parts)
    return population(risk, rng.random(n) < risk)


def _same(one: World) -> Worlds:
    return Worlds(one, one, one)


def _calm(rng: np.random.Generator, n: int) -> Worlds:
    return _same({"all": _calibrated(rng, n)})


def _blunt(rng: np.random.Generator, n: int) -> Worlds:
    return _same({"all": _calibrated(rng, n, _BLUNT)})


def _distorted(rng: np.random.Generator, n: int, slope: float, shift: float, noise: float) -> Population:
    """Scores that are not probabilities: the logit of the risk, stretched, shifted, with Student noise (3 d.f.)."""
    risk = risks(rng, n, _SHARP)
    latent = logit(np.clip(risk, 1e-9, 1 - 1e-9)) + noise * rng.standard_t(3, n)
    return population(expit(slope * latent + shift), rng.random(n) < risk)


def _miscalibrated(rng: np.random.Generator, n: int) -> Worlds:
    return _same({"all": _distorted(rng, n, 0.45, 0.8, 0.4)})


def _rare(rng: np.random.Generator, n: int) -> Worlds:
    risk = risks(rng, n, [(0.9982, 0.1, 400.0), (0.0010, 1.0, 6.0), (0.0008, 10.0, 1.2)])
    return _same({"all": population(risk, rng.random(n) < risk)})


def _with_views(rng: np.random.Generator, n: int, viral: float) -> World:
    """Lognormal views; what is wrongly suspected is watched twice as much, and may go viral (1,000 times)."""
    risk = risks(rng, n, _SHARP)
    violating = rng.random(n) < risk
    views = np.exp(1.0 * rng.standard_normal(n)) * np.where(violating, 1.0, 2.0)
    views *= np.where(~violating & (rng.random(n) < viral), 1e3, 1.0)
    return {"all": population(risk, violating, views=views)}


def _views(rng: np.random.Generator, n: int) -> Worlds:
    return _same(_with_views(rng, n, 0.0))


def _viral(rng: np.random.Generator, n: int) -> Worlds:
    return _same(_with_views(rng, n, 0.005))


def _heavy_views(rng: np.random.Generator, n: int) -> Worlds:
    """Views as on the simulated platforms: lognormal, and of one video in 100 with a Pareto tail of exponent 1.3."""
    units = _calibrated(rng, n)
    views = 40.0 * np.exp(1.8 * rng.standard_normal(n))
    viral = rng.random(n) < 0.01
    views[viral] *= (1.0 - rng.random(int(viral.sum()))) ** (-1.0 / 1.3)
    return _same({"all": population(units.score, units.violating, views=np.floor(np.minimum(views, 2e9)) + 1.0)})


def _ties(rng: np.random.Generator, n: int) -> Worlds:
    """Scores of two decimals, a third of what violates in the lump at .99, and look-alikes (news, satire) near .9."""
    violating = rng.random(n) < 0.02
    found = np.where(rng.random(n) < 0.35, 0.99, rng.beta(8.0, 1.3, n))
    others = risks(rng, n, [(0.9868, 0.5, 30.0), (0.0120, 3.0, 6.0), (0.0012, 25.0, 3.5)])
    others = np.where(rng.random(n) < 0.0003, 0.99, others)
    score = np.round(np.where(violating, found, others).astype(float), 2)
    return _same({"all": population(score, violating)})


def _markets(rng: np.random.Generator, n: int) -> Worlds:
    """A well-staffed market with a good classifier, and one of twice the size, short of reviewers, with a poor one."""
    good = risks(rng, n // 3, [(0.970, 0.4, 60.0), (0.030, 14.0, 0.5)])
    poor = risks(rng, n - n // 3, [(0.970, 0.4, 60.0), (0.010, 2.0, 5.0), (0.020, 9.0, 1.6)])
    return _same(
        {
            "staffed": population(good, rng.random(good.size) < good),
            "short": population(poor, rng.random(poor.size) < poor),
        }
    )


def _lower_scores(rng: np.random.Generator, n: int) -> Worlds:
    before, now = {"all": _calibrated(rng, n)}, {"all": _distorted(rng, n, 1.0, -1.5, 0.0)}
    return Worlds(before, now, now)


def _higher_scores(rng: np.random.Generator, n: int) -> Worlds:
    before, now = {"all": _calibrated(rng, n)}, {"all": _distorted(rng, n, 1.0, 0.7, 0.0)}
    return Worlds(before, now, now)


def _later_drift(rng: np.random.Generator, n: int) -> Worlds:
    """After the labels a look-alike trend comes up: one video in 2,500, harmless, scored about .93."""
    before = {"all": _calibrated(rng, n)}
    units = before["all"]
    trend = population(rng.beta(28.0, 2.0, n // 2_500), np.zeros(n // 2_500))
    score = np.concatenate([units.score, trend.score])
    return Worlds(before, before, {"all": population(score, np.concatenate([units.violating, trend.violating]))})


def _slips(rng: np.random.Generator, n: int) -> Worlds:
    units = _calibrated(rng, n)
    chance = np.where(units.violating, 0.985, 0.015)
    return _same({"all": population(units.score, units.violating, chance=chance)})


def _credulous(rng: np.random.Generator, n: int) -> Worlds:
    """Reviewers take four in ten of the harmless look-alikes (score of .5 and above) for violating."""
    units = _calibrated(rng, n)
    chance = np.where(units.violating, 0.99, np.where(units.score < 0.5, 0.01, 0.4))
    return _same({"all": population(units.score, units.violating, chance=chance)})


def _missing_low(rng: np.random.Generator, n: int) -> Worlds:
    """Reviewers overlook two in five of what violates at a score of .5, and hardly anything at 1."""
    units = _calibrated(rng, n)
    chance = np.where(units.violating, np.clip(0.2 + 0.8 * units.score, 0.2, 0.99), 0.01)
    return _same({"all": population(units.score, units.violating, chance=chance)})


def _misconceived(rng: np.random.Generator, n: int) -> Worlds:
    """One in five of the harmless look-alikes is taken for violating by everybody, experts included."""
    units = _calibrated(rng, n)
    wrong = ~units.violating & (units.score >= 0.5) & (rng.random(n) < 0.2)
    chance = np.where(units.violating, 0.98, np.where(wrong, 0.98, 0.01))
    return _same({"all": population(units.score, units.violating, chance=chance, believed=units.violating | wrong)})


def _reluctant(rng: np.random.Generator, n: int) -> Worlds:
    """What violates is answered 98 % of the time, the rest 80 %."""
    units = _calibrated(rng, n)
    return _same({"all": population(units.score, units.violating, answered=np.where(units.violating, 0.98, 0.8))})


def _reposted(rng: np.random.Generator, n: int) -> Worlds:
    """Three in ten videos come in groups of four copies, of one score and one truth, on a platform so small that most
    videos near the threshold are drawn, and copies with their originals.
    """
    units = _calibrated(rng, n // 20)
    copies = np.where(rng.random(n // 20) < 0.3, 4, 1)
    return _same({"all": population(units.score, units.violating, copies=copies)})


def _weekend(rng: np.random.Generator, n: int) -> Worlds:
    """On two days of seven one video in 1,000 is a harmless look-alike, scored about .93; it acts on such a day."""
    week, looks = _calibrated(rng, n), n // 1_000
    weekend = _joined(week, population(rng.beta(28.0, 2.0, looks), np.zeros(looks)))
    mixed = _joined(week, population(rng.beta(28.0, 2.0, 2 * looks // 7), np.zeros(2 * looks // 7)))
    return Worlds({"all": mixed}, {"all": mixed}, {"all": weekend})


def _retrained(rng: np.random.Generator, n: int) -> Worlds:
    """Half of the window's labels are of scores that a silent retraining has shifted since, by .7 in the logit."""
    risk = risks(rng, n, _SHARP)
    violating, new = rng.random(n) < risk, expit(logit(np.clip(risk, 1e-9, 1 - 1e-9)) + 0.7)
    old, mixed = population(risk, violating), population(np.where(rng.random(n) < 0.5, new, risk), violating)
    return Worlds({"all": old}, {"all": mixed}, {"all": population(new, violating)})


def _joined(one: Population, other: Population) -> Population:
    score, violating = (
        np.concatenate([getattr(units, name) for units in (one, other)]) for name in ("score", "violating")
    )
    return population(score, violating)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("calm", "the score is the risk, a mixture of betas; 2 % violating", _calm),
    Scenario("blunt", "as calm, but precision falls slowly, so that a small error costs much recall", _blunt),
    Scenario("miscalibrated", "the score is a distorted risk with heavy-tailed noise", _miscalibrated),
    Scenario("rare", "0.1 % violating: about a thousand videos a day are worth removing", _rare),
    Scenario("views", "lognormal views, errors watched twice as much", _views, goal=BY_VIEWS),
    Scenario(
        "heavy views",
        "as calm; lognormal views, and one video in 100 of a Pareto tail of exponent 1.3",
        _heavy_views,
        goal=BY_VIEWS,
    ),
    Scenario("ties", "scores of two decimals, a lump at .99, look-alikes near .9", _ties),
    Scenario(
        "two markets",
        "pooled: one well staffed and clean, one twice as large, short of reviewers and error-prone",
        _markets,
        goal=Goal("precision", at_least=0.93),
        labels=(("staffed", 3_200.0), ("short", 800.0)),
    ),
    Scenario("scores fell", "every logit fell by 1.5 after the design's labels", _lower_scores),
    Scenario("scores rose", "every logit rose by 0.7 after the design's labels", _higher_scores),
    Scenario("noisy reviewers", "each label wrong with chance .015: fewer look violating than are", _slips),
    Scenario("second look", "as noisy reviewers, with experts", _slips, experts=Experts(0.4)),
    Scenario("credulity settled", "as credulous reviewers, with experts", _credulous, experts=Experts(0.4)),
    Scenario(
        "missed at low scores",
        "reviewers overlook two in five at a score of .5 and hardly anything at 1, with experts",
        _missing_low,
        experts=Experts(0.4),
    ),
    Scenario(
        "disputes picked",
        "as credulous reviewers, with experts, who also settle, unasked, half of what they would answer otherwise",
        _credulous,
        experts=Experts(0.4, of_disputes=0.5),
    ),
    Scenario(
        "reposts by id",
        "as calm, but three in ten videos come in groups of four copies, and the platform says which",
        _reposted,
        cluster_ids=True,
    ),
    Scenario(
        "queue decisions",
        "as calm; the review queue's answers are delivered, but for one in 100 videos, which it leaves",
        _calm,
        queue=ReviewQueue(0.15, left=0.01),
    ),
    Scenario(
        "flagged reviewers",
        "the same, but four in ten of what others would let pass are violating to who knows it was flagged; the "
        "answers have been compared for half a year",
        _calm,
        queue=ReviewQueue(0.15, left=0.01, flagged=0.4),
    ),
    Scenario(
        "flagged a little",
        "the same, but for one in ten, and with experts",
        _calm,
        experts=Experts(0.4),
        queue=ReviewQueue(0.15, left=0.01, flagged=0.1),
    ),
    Scenario("reposts", "as reposts by id, but the platform does not say", _reposted, holds=False),
    Scenario("weekend", "harmless look-alikes on two days of seven; judged on such a day", _weekend, holds=False),
    Scenario(
        "silent retraining",
        "half of the labels are of scores that have risen since, under the same version name",
        _retrained,
        holds=False,
    ),
    Scenario("drift after labels", "a harmless look-alike trend starts after labelling", _later_drift, holds=False),
    Scenario("credulous reviewers", "four in ten harmless look-alikes are labelled violating", _credulous, holds=False),
    Scenario(
        "shared misconception",
        "one in five harmless look-alikes is violating to reviewers and experts alike",
        _misconceived,
        holds=False,
        experts=Experts(0.4),
    ),
    Scenario(
        "missing by truth",
        "what violates is answered 98 % of the time, the rest 80 %",
        _reluctant,
        holds=False,
    ),
    Scenario(
        "viral",
        "as views; one harmless video in 200 goes viral, watched 1,000 times: refused by name",
        _viral,
        goal=BY_VIEWS,
    ),
)
