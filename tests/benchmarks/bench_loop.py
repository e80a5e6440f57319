"""The closed loop on simulated platforms: what it achieves and costs in two months, beside two simpler ways.

Every scenario is lived once, day after day, with the real steps, the real gates and a scripted manager who approves.
Four ways to set thresholds act on the same videos, scores and truth:

- **Plumbline**: the ledger's. On a day a gate fails the thresholds stay, and nobody repairs the feed;
- **oracle**: knows the truth. The lowest remove_at at which removals are right as often as asked, and the scores that
  hold most violating videos a minute reviewed, as far as the minutes for the review queue go;
- **fixed**: the configuration's initial thresholds, for ever, which need no labels;
- **notebook**: every day, without guardrails, the lowest remove_at whose weighted precision in the window's labels
  looks right, and the highest review_at whose weighted recall does. Its labels are those Plumbline drew, gated and
  weighted: it saves the loop's cost of design, and only chooses differently.

A threshold chosen on a day acts from the next day on. **Below target** is judged on the population the day's videos are
drawn from (a million videos, of a day on which the same events and model versions are active), not on the few dozen
removals of one cell and day, which fall short by chance alone; a cell that removes nothing is not below. All else is
counted on the day's own videos, the quality of removal and review once more on the days from SETTLED on alone. Where
two model versions score, each is counted by itself. **Loosenings** are published changes that lower remove_at; one
misses if the true precision at the new one is below target on the first day it acts. **Asked twice** are the minutes
that the sample takes for videos which serving sent to review as well; the overlap, which is there to compare the
answers of the review queue with blind ones, is counted apart. Of **forecasts** the 95 % intervals of published changes
are held against the truth of the population on the first day they act: the precision of removal, and the share of the
videos between the old and the new remove_at that is wrongly removed.

Fails if, where nothing shifts, the share of cell-days below target among the cells with a certified remove_at exceeds
1 - confidence beyond Monte-Carlo error. Thresholds stand for days and windows overlap, so the days of one window count
as one trial a cell. Where something shifts there is no such promise: the table shows the cost, and the days after which
the cells concerned were above target for a week.

Run on every scenario for as many days as the default, it replaces its table in docs/measured.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import binom

from include.certificates.certify import Goal
from include.config.model import Config
from include.config.settings import REVIEWERS
from include.contract.cell import cell_of, records
from include.contract.change import changes_of
from include.contract.tables import CELL, N_BINS
from include.evidence.sample import labelled_sample
from include.labels import stage as labels
from include.ledger.chain import in_order
from include.ledger.in_force import thresholds_before, without_certificate
from include.project import Project
from include.quality.gate import GateFailed
from include.sampling import stage as sampling
from include.sampling.review_queue import OVERLAP
from include.simulation.platform import Platform
from include.simulation.population import content, scores, uploads
from include.simulation.scenario import Evasion, ReviewersChange, Scenario, Shift, load_scenario, scenario_names
from include.thresholds import stage as thresholds
from tests.benchmarks import documented
from tests.benchmarks.peers import looks_right
from tests.history import APPROVED, START, History

DAYS: Final = 60
VIDEOS_PER_DAY: Final = 20_000
POPULATION: Final = 1_000_000
WEEK: Final = 7
SETTLED: Final = 20
"""From this day on a cell has had its time to earn a certificate."""
CHANCE_OF_FALSE_ALARM: Final = 0.001

OURS: Final = "Plumbline"
ORACLE: Final = "oracle"
FIXED: Final = "fixed"
NOTEBOOK: Final = "notebook"

WAYS: Final = (OURS, ORACLE, FIXED, NOTEBOOK)

Cell = tuple[str, str, str]
Levels = dict[Cell, tuple[float, float]]
"""remove_at and review_at."""

_EDGES = np.arange(N_BINS + 1) / N_BINS


@dataclass(frozen=True)
class Tally:
    """A cell's videos at or above each multiple of 0.001, shape (1001,), and those without a score, shape ()."""

    videos: NDArray[np.float64]
    violating: NDArray[np.float64]
    views: NDArray[np.float64]
    """Of what violates."""
    unscored: tuple[float, float, float]
    """Videos, violating videos and their views."""

    def precision(self, remove_at: float) -> float:
        """Of removal; NaN where nothing is removed."""
        k = _edge(remove_at)
        return float(self.violating[k] / self.videos[k]) if self.videos[k] and k < N_BINS else float("nan")


def tally(scenario: Scenario, index: int) -> dict[Cell, Tally]:
    """By cell, what the scenario's day `index` holds, before any fault of its feed."""
    videos = uploads(scenario, START + timedelta(days=index), index)
    found = {}
    for policy, spec in scenario.policies.items():
        truth = content(scenario, videos, policy)
        for version in (name for name, model in spec.models.items() if model.active(index)):
            scored = scores(scenario, videos, policy, version, truth)
            for number, market in enumerate(scenario.markets):
                here = videos.market == number
                bad = truth.violating & here
                lost, ones = bad & scored.missing, np.ones(len(here))
                videos_above, violating, views = (
                    _at_or_above(scored.score[rows & ~scored.missing], mass[rows & ~scored.missing])
                    for rows, mass in ((here, ones), (bad, ones), (bad, videos.views))
                )
                unscored = (float((here & scored.missing).sum()), float(lost.sum()), float(videos.views[lost].sum()))
                found[policy, market, version] = Tally(videos_above, violating, views, unscored)
    return found


def _at_or_above(score: NDArray[np.float64], mass: NDArray[np.float64]) -> NDArray[np.float64]:
    place = np.searchsorted(_EDGES, score, side="right") - 1
    return np.bincount(place, mass, minlength=N_BINS + 1)[::-1].cumsum()[::-1]


def _edge(threshold: float) -> int:
    return round(threshold * N_BINS)


@dataclass(frozen=True)
class World:
    """A scenario as it is lived, and the population each of its days is drawn from."""

    scenario: Scenario
    population: Scenario
    known: dict[tuple[bool, ...], dict[Cell, Tally]] = field(default_factory=dict)

    def truth(self, index: int) -> dict[Cell, Tally]:
        """What is true of the population of day `index`."""
        regime = self.regime(index)
        if regime not in self.known:
            self.known[regime] = tally(self.population, index)
        return self.known[regime]

    def regime(self, index: int) -> tuple[bool, ...]:
        """Which events and model versions are active on day `index`."""
        models = [model for policy in self.scenario.policies.values() for model in policy.models.values()]
        return tuple(item.active(index) for item in [*self.scenario.events, *models])

    def concerned(self, cells: Sequence[Cell]) -> tuple[int, list[Cell]]:
        """The first day on which anything shifts, and the cells it concerns; day -1 and none if nothing does."""
        found: dict[Cell, int] = {}
        for cell in cells:
            policy, market, version = cell
            begins = [self.scenario.policies[policy].models[version].from_day]
            for event in self.scenario.events:
                if isinstance(event, Shift | Evasion) and policy in event.policies and market in event.markets:
                    begins.append(event.from_day)
                if isinstance(event, ReviewersChange):
                    hit = {place for name in event.reviewers for place in self.scenario.reviewers[name].markets}
                    begins += [event.from_day] if market in hit else []
            if max(begins):
                found[cell] = max(begins)
        return min(found.values(), default=-1), sorted(found)


@dataclass(frozen=True)
class Life:
    """What the days of one scenario came to.

    Attributes:
        days: a row a cell, day and way to set thresholds; see `_effect`.
        refused: what the gate that failed said, by day.
        twice: minutes asked twice, a row a day; see `asked_twice`.
        forecasts: what published forecasts said beside the truth; see `forecasts_and_truth`.
    """

    world: World
    days: pd.DataFrame
    refused: dict[date, str]
    twice: pd.DataFrame
    forecasts: pd.DataFrame


def live(history: History, days: int, *, population: int, progress: bool = False) -> Life:
    """Live `days` days of a scenario; see `measured`."""
    project, platform = history.project, history.platform
    refused: dict[date, str] = {}
    for index in range(days):
        began, day = time.monotonic(), history.day(index)
        try:
            run_day(project, platform, day)
        except GateFailed as failed:
            refused[day] = str(failed)
        if progress:
            took = time.monotonic() - began
            print(f"{history.scenario}: day {index + 1} of {days}, {took:.1f} s", file=sys.stderr, flush=True)
    world = World(
        load_scenario(history.scenario, videos_per_day=history.videos_per_day),
        load_scenario(history.scenario, videos_per_day=population),
    )
    twice = pd.DataFrame([asked_twice(project, history.day(index)) for index in range(days)])
    return Life(world, measured(project, world, days), refused, twice, forecasts_and_truth(project, world))


def asked_twice(project: Project, day: date) -> dict[str, float]:
    """Reviewers' minutes that the day's sample takes for videos that serving sent to review, too.

    overlap: those that compare the answers of the review queue with blind ones; others: the rest.
    """
    paths = [project.settings.queue_of(day, REVIEWERS, market) for market in project.config.markets]
    log = project.settings.landing / "enforcement_log" / f"ds={day}"
    if not all(path.exists() for path in paths):
        return {"overlap": 0.0, "others": 0.0}
    item = ["video_id", "policy"]
    sent = pd.read_parquet(log, columns=item, filters=[("action", "==", "review")])
    queue = pd.concat([pd.read_csv(path) for path in paths])
    again = queue[pd.MultiIndex.from_frame(queue[item]).isin(pd.MultiIndex.from_frame(sent))]
    design = project.warehouse.read("sampling_design", day, day)
    stratum = ["programme", *CELL, "stratum"]
    drawn = project.warehouse.read("review_sample", day, day).merge(design.loc[design["reason"] == OVERLAP, stratum])
    by_overlap = pd.MultiIndex.from_frame(again[item]).isin(pd.MultiIndex.from_frame(drawn[item]))
    return {"overlap": again.loc[by_overlap, "minutes"].sum(), "others": again.loc[~by_overlap, "minutes"].sum()}


def forecasts_and_truth(project: Project, world: World) -> pd.DataFrame:
    """Whether the 95 % intervals of published forecasts hold the truth of the population on the first day they act.

    Returns:
        A row a change that removes something and has an interval: measure (precision of removal, or the share of the
        videos between the old and the new remove_at that are wrongly removed), low, high, true and covered.
    """
    rows: list[dict[str, object]] = []
    for version in in_order(project.warehouse.read("threshold_ledger")):
        acts = (version["ds"] - START).days + 1
        for change in changes_of(version):
            if change.forecast is None or change.cell not in (truth := world.truth(acts)):
                continue
            true, said = truth[change.cell], change.forecast
            precision = said["precision"]["after"]
            found = [("precision", precision["low"], precision["high"], true.precision(change.new.remove_at))]
            if (videos := said["band"]["videos"]) and said["wrongful_removals_change"]["estimate"] is not None:
                first, last = sorted(_edge(pair.remove_at) for pair in (change.old, change.new))
                ends = sorted(abs(said["wrongful_removals_change"][name]) / videos for name in ("low", "high"))
                there = true.videos[first] - true.videos[last] * (last < N_BINS)
                right = true.violating[first] - true.violating[last] * (last < N_BINS)
                found.append(("wrong in between", *ends, 1 - right / there if there else float("nan")))
            rows += [
                {"measure": measure, "low": low, "high": high, "true": value, "covered": low <= value <= high}
                for measure, low, high, value in found
                if low is not None and not np.isnan(value)
            ]
    return pd.DataFrame(rows, columns=["measure", "low", "high", "true", "covered"])


def coverage(forecasts: pd.DataFrame, measure: str) -> str:
    """Of so many intervals, how many hold the truth."""
    some = forecasts[forecasts["measure"] == measure]
    return f"{some['covered'].mean():.0%} of {len(some)}" if len(some) else "none"


def measured(project: Project, world: World, days: int) -> pd.DataFrame:
    """What each way to set thresholds did on the days that `project` has lived; see Life."""
    rows: list[dict[str, object]] = []
    notebook: Levels = {}
    for index in range(days):
        day = START + timedelta(days=index)
        there, truth = tally(world.scenario, index), world.truth(index)
        in_force, certified = _in_force(project, day, list(there)), _certified(project, day, list(there))
        initial = {cell: _initial(cell, project.config) for cell in there}
        best = oracle(there, truth, project.config)
        for way, levels in ((OURS, in_force), (ORACLE, best), (FIXED, initial), (NOTEBOOK, initial | notebook)):
            for cell, here in there.items():
                effect = _effect(cell, here, truth[cell], levels[cell], project.config)
                rows.append({"day": index, "way": way, **effect, "certified": way == OURS and cell in certified})
        notebook |= recalibrated(project, day, list(there))
    return pd.DataFrame(rows)


def run_day(project: Project, platform: Platform, day: date) -> None:
    """Land the day and take the Dags' steps, gates included. A failed gate raises GateFailed, once all that does not
    wait for its Dag is done.
    """
    platform.land_day(day)
    failed = None
    try:
        sampling.gate_scores_input(project, day)
        sampling.scan_scores(project, day)
        sampling.gate_scores(project, day)
        sampling.design_sample(project, day)
        sampling.draw_sample(project, day)
        sampling.gate_sample(project, day)
        sampling.export_review_queue(project, day)
    except GateFailed as error:
        failed = error  # labels of earlier days are ingested all the same
    labels.gate_labels(project, day, labels.ingest_events(project, day))
    labels.form_consensus(project, day)
    labels.gate_consensus(project, day)
    if failed is not None:
        raise failed
    thresholds.watch_published(project, day)
    thresholds.propose_thresholds(project, day)
    thresholds.gate_proposals(project, day)
    thresholds.lift_expired(project, day)
    thresholds.publish_within_limits(project, day)
    thresholds.advance_canaries(project, day)
    approval = thresholds.approval(project, day)
    if approval.question() is not None:
        approval.settle(APPROVED)


def recalibrated(project: Project, day: date, cells: Sequence[Cell]) -> Levels:
    """What a notebook would choose from the labels of the window; a cell for which nothing looks right is left out."""
    sample, found = labelled_sample(project, day), {}
    for cell in cells:
        policy = project.config.policies[cell[0]]
        own = sample[(sample[list(CELL)] == cell).all(axis=1)]
        may_remove = own[own["score"] >= policy.limits.lowest_remove_at]
        remove_at = looks_right(may_remove, Goal("precision", at_least=policy.target_precision), policy.confidence)
        if remove_at is None:
            continue
        remove_at = max(remove_at, policy.limits.lowest_remove_at)
        scored = own.assign(score=own["score"].fillna(1.0 if policy.no_score == "review" else 0.0))
        mass = scored["p_violating"] / scored["inclusion_probability"]
        above = _at_or_above(scored["score"].to_numpy(), mass.to_numpy())
        enough = np.flatnonzero(above >= policy.target_recall * above[0])
        review_at = max(enough[-1] / N_BINS, policy.limits.lowest_review_at)
        found[cell] = (remove_at, min(review_at, remove_at))
    return found


def oracle(here: dict[Cell, Tally], truth: dict[Cell, Tally], config: Config) -> Levels:
    """The best thresholds for a day, by cell, for who knows the truth.

    Args:
        here: the day's videos, which the reviewers' minutes are counted on.
        truth: the population they are drawn from, by which quality is judged.
    """
    found: Levels = {}
    for market in {market for _, market, _ in here}:
        cells = [cell for cell in here if cell[1] == market]
        setting = config.markets[market]
        room = setting.reviewer_minutes * (1 - config.sampling.minutes_share) * config.guardrails.max_review_ratio
        bins, remove = [], {}
        for number, cell in enumerate(cells):
            policy, true = config.policies[cell[0]], truth[cell]
            lowest = _edge(policy.limits.lowest_remove_at)
            with np.errstate(invalid="ignore"):
                right = true.violating[:N_BINS] / true.videos[:N_BINS] >= policy.target_precision
            enough = np.flatnonzero(right[lowest:])
            remove[cell] = lowest + int(enough[0]) if len(enough) else N_BINS
            each = policy.minutes_per_label
            room -= here[cell].unscored[0] * each if policy.no_score == "review" else 0.0
            videos = np.diff(-here[cell].videos, append=0.0)
            hits, of = np.diff(-true.violating, append=0.0), np.diff(-true.videos, append=0.0)
            hits[N_BINS - 1] += hits[N_BINS]
            of[N_BINS - 1] += of[N_BINS]
            videos[N_BINS - 1] += videos[N_BINS]
            # By chance a bin may hold more than those above it; what is reviewed is one stretch of scores.
            rising = isotonic_regression(hits[:N_BINS] / np.maximum(of[:N_BINS], 1.0), weights=of[:N_BINS] + 1e-9).x
            for edge in range(_edge(policy.limits.lowest_review_at), remove[cell]):
                bins.append((-rising[edge] / each, -edge, number, videos[edge] * each))
        review = dict(remove)
        for _, edge, number, minutes in sorted(bins):
            if minutes > room:
                break
            room -= minutes
            review[cells[number]] = min(review[cells[number]], -edge)
        found |= {cell: (remove[cell] / N_BINS, review[cell] / N_BINS) for cell in cells}
    return found


def _in_force(project: Project, day: date, cells: Sequence[Cell]) -> Levels:
    levels = thresholds_before(project, day, pd.DataFrame(cells, columns=list(CELL)))
    pairs = levels[["remove_at", "review_at"]].itertuples(index=False, name=None)
    return dict(zip(levels[list(CELL)].itertuples(index=False, name=None), pairs, strict=True))


def _certified(project: Project, day: date, cells: Sequence[Cell]) -> set[Cell]:
    """The cells that remove by a certificate when `day` begins."""
    chain = in_order(project.warehouse.read("threshold_ledger", None, day - timedelta(days=1)))
    levels = thresholds_before(project, day, pd.DataFrame(cells, columns=list(CELL)))
    removing = levels[levels["remove_at"] < 1]
    return {cell_of(row) for row in records(removing)} - without_certificate(chain, removing)


def _initial(cell: Cell, config: Config) -> tuple[float, float]:
    initial = config.policies[cell[0]].initial
    return initial.remove_at, initial.review_at


def _effect(cell: Cell, here: Tally, truth: Tally, levels: tuple[float, float], config: Config) -> dict[str, object]:
    """What the thresholds do to a cell's videos of a day."""
    policy = config.policies[cell[0]]
    remove, review = map(_edge, levels)
    removed, right = (0.0, 0.0) if remove == N_BINS else (here.videos[remove], here.violating[remove])
    sent = 0.0 if review == N_BINS else here.videos[review]
    reviewed = np.array([sent - removed, here.violating[review] if sent else 0.0, here.views[review] if sent else 0.0])
    if policy.no_score == "review":
        reviewed = reviewed + here.unscored
    precision = truth.precision(levels[0])
    return {
        **dict(zip(CELL, cell, strict=True)),
        "remove_at": levels[0],
        "review_at": levels[1],
        "precision": precision,
        "below": precision < policy.target_precision,
        "removed": removed,
        "right": right,
        "found": reviewed[1],
        "violating": here.violating[0] + here.unscored[1],
        "views_left": here.views[0] + here.unscored[2] - reviewed[2],
        "minutes": reviewed[0] * policy.minutes_per_label,
    }


def loosened(own: pd.DataFrame) -> str:
    """How many of the changes that lower remove_at miss the target at once; `own`: a way's rows by cell and day."""
    fell = own.groupby(list(CELL))["remove_at"].diff() < 0
    return f"{own.loc[fell, 'below'].mean():.1%} of {fell.sum()}" if fell.any() else "none"


def recovery(own: pd.DataFrame, first: int, cells: Sequence[Cell]) -> str:
    """After how many days from `first` on none of `cells` was below target for a week; "" if nothing shifted."""
    if first < 0:
        return ""
    some = own[pd.MultiIndex.from_frame(own[list(CELL)]).isin(cells) & (own["day"] >= first)]
    bad = some.groupby("day")["below"].any().to_numpy()
    weeks = [n for n in range(len(bad) - WEEK + 1) if not bad[n : n + WEEK].any()]
    return str(weeks[0]) if weeks else f"not in {len(bad)}"


def table(name: str, life: Life, config: Config) -> tuple[list[list[str]], bool]:
    """A row a way to set thresholds, and whether Plumbline broke its promise."""
    rows: list[list[str]] = []
    cells = sorted(set(life.days[list(CELL)].itertuples(index=False, name=None)))
    first, concerned = life.world.concerned(cells)
    sure = life.days[life.days["certified"] & life.days["precision"].notna()]
    for way in WAYS:
        own = life.days[life.days["way"] == way].sort_values([*CELL, "day"])
        days, violating, later = own["day"].nunique(), own["violating"].sum(), own[own["day"] >= SETTLED]
        moved = own.groupby(list(CELL))[["remove_at", "review_at"]].diff().fillna(0.0).ne(0).any(axis=1).sum()
        minutes = own.groupby(["day", "market"], as_index=False)["minutes"].sum()
        staffed = minutes["market"].map(
            {market: settings.reviewer_minutes for market, settings in config.markets.items()}
        )
        over = minutes["minutes"] > staffed * (1 - config.sampling.minutes_share) * config.guardrails.max_review_ratio
        rows.append(
            [
                name,
                way,
                f"{own['below'].mean():.1%}",
                f"{sure['below'].mean():.1%} of {len(sure):,}" if way == OURS and len(sure) else "",
                f"{own['right'].sum() / violating:.3f}",
                f"{own['found'].sum() / violating:.3f}",
                f"{later['right'].sum() / later['violating'].sum():.3f}" if len(later) else "",
                f"{later['found'].sum() / later['violating'].sum():.3f}" if len(later) else "",
                f"{(own['removed'] - own['right']).sum() / days:.1f}",
                f"{own['views_left'].sum() / days:,.0f}",
                f"{own['minutes'].sum() / days:,.0f}",
                f"{over.mean():.0%}",
                f"{life.twice['others'].mean():,.0f} + {life.twice['overlap'].mean():,.0f}" if way == OURS else "",
                f"{moved:,}",
                loosened(own),
                f"{coverage(life.forecasts, 'precision')}, {coverage(life.forecasts, 'wrong in between')}"
                if way == OURS
                else "",
                recovery(own, first, concerned),
            ]
        )
    return rows, first < 0 and breaks_promise(sure, config)


def breaks_promise(sure: pd.DataFrame, config: Config) -> bool:
    """Whether more of the certified cell-days `sure` are below target than chance explains; see the module."""
    window = max(policy.window_days for policy in config.policies.values())
    promised = 1 - min(policy.confidence for policy in config.policies.values())
    trials = max(len(sure) // window, 1)
    below = sure["below"].mean() if len(sure) else 0.0
    return bool(binom.sf(np.ceil(below * trials - 1e-9) - 1, trials, promised) < CHANCE_OF_FALSE_ALARM)


HEADER: Final = [
    "scenario",
    "thresholds by",
    "cell-days below target",
    "of certified cell-days",
    "recall of removal",
    "with review",
    f"recall of removal from day {SETTLED} on",
    f"with review from day {SETTLED} on",
    "wrongful removals a day",
    "violative views left a day",
    "review minutes a day",
    "queue over its minutes",
    "minutes asked twice a day, and overlap",
    "changes",
    "loosenings that miss",
    "95 % intervals of forecasts that hold the truth: precision, wrong in between",
    "days to recover",
]


DOCUMENTED: Final = {
    "cell-days below target": "cell-days below target, %",
    "of certified cell-days": "of certified ones",
    "wrongful removals a day": "wrongful removals a day",
    "recall of removal": "recall of removal",
    "with review": "recall with review",
    f"recall of removal from day {SETTLED} on": f"recall of removal from day {SETTLED} on",
    f"with review from day {SETTLED} on": f"with review from day {SETTLED} on",
    "violative views left a day": "violative views left a day, thousands",
    "review minutes a day": "review minutes a day",
    "changes": "changes",
    "loosenings that miss": "loosenings that miss",
}
"""The columns of docs/measured.md, by those of HEADER."""


def documented_row(rows: Sequence[Sequence[str]]) -> list[str]:
    """The row of docs/measured.md of a scenario's rows: Plumbline / oracle / fixed / notebook."""
    columns = {name: list(cells) for name, cells in zip(HEADER, zip(*rows, strict=True), strict=True)}
    columns["cell-days below target"] = [cell.removesuffix("%") for cell in columns["cell-days below target"]]
    for name in ("of certified cell-days", "loosenings that miss"):
        columns[name] = [columns[name][0].partition(" of ")[0]]
    views = columns["violative views left a day"]
    columns["violative views left a day"] = [f"{round(int(cell.replace(',', '')) / 1000):,}" for cell in views]
    return [columns["scenario"][0], *(" / ".join(columns[name]) for name in DOCUMENTED)]


def run(scenario: str, days: int, videos_per_day: int, home: Path) -> tuple[list[list[str]], bool, dict[date, str]]:
    """The scenario's rows of the table, whether its promise is broken, and on which days a gate failed."""
    logging.disable(logging.WARNING)
    history = History(home / scenario, scenario, videos_per_day)
    life = live(history, days, population=POPULATION, progress=True)
    return *table(scenario, life, history.project.config), life.refused


def _print_rows(rows: Sequence[Sequence[str]]) -> None:
    print("\n".join(f"| {' | '.join(row)} |" for row in rows), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Live the scenarios, one in each core, print the table, and return the process's exit status."""
    parser = argparse.ArgumentParser(prog="make bench-loop", description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=scenario_names(), help="default: all")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--videos-per-day", type=int, default=VIDEOS_PER_DAY)
    options = parser.parse_args(arguments)
    print(f"{options.days} days a scenario, about {options.videos_per_day:,} videos a day.\n")
    _print_rows([HEADER, ["---"] * len(HEADER)])
    broken, notes, summary = [], [], []
    with tempfile.TemporaryDirectory() as home, ProcessPoolExecutor(os.cpu_count()) as pool:
        lives = [pool.submit(run, name, options.days, options.videos_per_day, Path(home)) for name in options.scenarios]
        for name, life in zip(options.scenarios, lives, strict=True):
            rows, breaks, refused = life.result()
            _print_rows(rows)
            summary.append(documented_row(rows))
            broken += [name] if breaks else []
            for day, message in refused.items():
                notes.append(f"- {name}, {day}: thresholds stayed: {' '.join(message.splitlines()[:2])}")
    print("\n".join(["", *notes]))
    if (options.scenarios, options.days, options.videos_per_day) == (scenario_names(), DAYS, VIDEOS_PER_DAY):
        documented.keep("bench-loop", documented.table(["scenario", *DOCUMENTED.values()], summary))
    print(f"\nPromise broken: {', '.join(broken) or 'nowhere'}.")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
