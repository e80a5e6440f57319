"""A wide platform: many policies, markets and model versions, most cells small.

``make bench-wide``, or ``python -m tests.benchmarks.bench_wide [--policies 4 --markets 3 --videos 400 --days 100]``.

Every policy has two model versions that score the same videos, and views have a heavy tail. Each day is landed,
scanned, designed, drawn and its size judged as gate `sample` does, twice: as the product is, and as it was until
November 2026, with one permanent random number for all policies and budgets that count draws. What a market is asked
is held against its budget: in expectation, computed from every video's probabilities, and as it was drawn. Fails if a
market's expected queue leaves .9 to 1.1 of its budget on any day, if its drawn ones do so on the mean over all days,
or if the gate would stop a day. No market has fewer than 100 minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from include.config.load import load_config
from include.config.model import Config
from include.contract.tables import CELL, N_BINS
from include.quality import suites
from include.sampling.design import design
from include.sampling.draw import draw_parameters, sample_rows
from include.sampling.profile import id_mask, score_histogram, score_panel
from include.warehouse.duckdb import DuckDBWarehouse

FIRST: Final = date(2026, 11, 1)
BOUNDS: Final = (0.9, 1.1)
WAYS: Final = ("as it is", "as it was")


@dataclass(frozen=True)
class Wide:
    """`videos`: of each policy and market a day. Budgets of sampling are spread evenly over `minutes`, by market."""

    policies: int
    markets: int
    videos: int
    minutes: tuple[float, float] = (100.0, 600.0)
    checked: int = 250_000
    """Keys that leave the scan for the panel, at most."""

    @property
    def config(self) -> Config:
        raw = load_config().model_dump()
        one = raw["policies"]["violence"] | {"minutes_per_label": 1.0, "challengers": []}
        raw["policies"] = {
            f"policy-{p:03d}": one | {"model_versions": [f"{p:03d}-v1", f"{p:03d}-v2"]} for p in range(self.policies)
        }
        programmes = raw["sampling"]["programmes"] | {"golden": 0.0}
        raw["sampling"] |= {"programmes": programmes}
        share = raw["sampling"]["minutes_share"] * sum(programmes.values())
        budgets = np.linspace(*self.minutes, self.markets)
        raw["markets"] = {
            f"M{m:02d}": {"region": "all", "reviewer_minutes": float(minutes) / share}
            for m, minutes in enumerate(budgets)
        }
        return Config.model_validate(raw)

    def day(self, day: date) -> pd.DataFrame:
        """`video_scores`: each video of a policy under both of its versions, sorted by nothing."""
        rng = np.random.default_rng(day.toordinal())
        config, n = self.config, self.videos
        parts = []
        for p, policy in enumerate(config.policies):
            for m, market in enumerate(config.markets):
                # The same videos are scored for every policy, as on a real platform.
                ids = ((day.toordinal() * 1000 + m) * 1_000_000 + np.arange(n)) * 8191
                truth = rng.random(n) < 0.03
                views = np.minimum(10**9, 10 ** rng.normal(2, 0.8, n) + 30 * rng.pareto(1.3, n)).astype("int64")
                seen = np.where(truth, 2.5, -3.0) + rng.normal(0, 1 + 0.01 * p, n)
                for version in config.policies[policy].model_versions:
                    score = 1 / (1 + np.exp(-seen - rng.normal(0, 0.7, n)))
                    score[rng.random(n) < 0.01] = np.nan
                    parts.append(
                        pd.DataFrame({"video_id": ids, "policy": policy, "market": market, "model_version": version})
                        .assign(score=score, views=views, cluster_id=None)
                        .astype({"cluster_id": "Int64"})
                    )
        return pd.concat(parts, ignore_index=True)


def lived(wide: Wide, days: int, folder: Path) -> Iterator[pd.DataFrame]:
    """Of each day: a row a way and market, with its budget, expected and drawn questions in minutes, and draws."""
    config, no_curve = wide.config, pd.DataFrame(columns=[*CELL, "bin", "p_violating"]).astype({"p_violating": float})
    share = config.sampling.minutes_share * sum(config.sampling.programmes.model_dump().values())
    budget = {name: market.reviewer_minutes * share for name, market in config.markets.items()}
    for n in range(days):
        day = FIRST + timedelta(days=n)
        scores, store = wide.day(day), DuckDBWarehouse(folder / f"{n}" / "landing", folder / f"{n}" / "root")
        landed = store.landing / "video_scores" / f"ds={day}"
        landed.mkdir(parents=True)
        scores.to_parquet(landed / "scores.parquet")
        mask = id_mask(round(len(scores) * 250_000 / wide.checked))
        bins = store.query("profile_and_histogram", {"ds": day, "id_mask": mask})
        histogram, panel = score_histogram(bins), score_panel(bins)
        initial = config.policies["policy-000"].initial
        levels = histogram[list(CELL)].drop_duplicates().assign(**initial.model_dump())
        for way in WAYS:
            now = way == WAYS[0]
            strata = design(histogram, levels, no_curve, config, panel=panel if now else None)
            strata = strata if now else strata.assign(numbering=None)
            store.replace("sampling_design", day, strata)
            drawn = store.query("draw", draw_parameters(strata, day, config.sampling.salt))
            deviation = suites._sizes(sample_rows(drawn, day), strata)["deviation"].abs().max()
            asked = drawn.drop_duplicates(["video_id", "policy"])
            minutes = pd.DataFrame({"budget": budget})
            minutes["expected"] = expected_questions(scores, strata)
            minutes["drawn"] = asked.groupby("market").size().reindex(minutes.index, fill_value=0)
            minutes["draws"] = drawn.groupby("market").size().reindex(minutes.index, fill_value=0)
            yield (
                minutes.rename_axis("market")
                .reset_index()
                .assign(day=day, way=way, stopped=deviation > config.gates.sample_deviation)
            )


def expected_questions(scores: pd.DataFrame, strata: pd.DataFrame) -> pd.Series:
    """Of each market, from every video's probabilities: a policy's versions share numbers, its programmes do not."""
    usable = scores["score"].between(0, 1)
    bins = np.where(usable, np.minimum(np.floor(scores["score"].fillna(0) * N_BINS), N_BINS - 1), -1)
    item = scores.groupby(["policy", "video_id"]).ngroup().to_numpy()
    missed = np.ones(item.max() + 1)
    cells = {key: np.asarray(at) for key, at in scores.groupby(list(CELL)).indices.items()}
    views = scores["views"].to_numpy(float)
    for _, of_programme in strata.groupby("programme"):
        largest = np.zeros(len(missed))
        for row in of_programme.to_dict("records"):
            at = cells[tuple(row[name] for name in CELL)]
            at = at[(bins[at] >= row["first_bin"]) & (bins[at] <= row["last_bin"])]
            pi = row["inclusion_probability"]
            chance = np.minimum(1.0, row["probability_per_view"] * views[at]) if np.isnan(pi) else np.full(len(at), pi)
            np.maximum.at(largest, item[at], chance)
        missed *= 1 - largest
    markets = scores.drop_duplicates(["policy", "video_id"])["market"]
    first = ~pd.Series(item).duplicated().to_numpy()
    return pd.Series(1 - missed[item[first]]).groupby(markets.to_numpy()).sum()


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """A row a way: the least and the largest share of a market's budget, expected on a day, drawn on a day, and drawn
    on the mean of all days; questions a draw; days that the gate would stop.
    """
    found = found.assign(expected=found["expected"] / found["budget"], share=found["drawn"] / found["budget"])
    rows = {}
    for way, of_way in found.groupby("way", sort=False):
        mean = of_way.groupby("market")["share"].mean()
        rows[str(way)] = {
            "expected, least": of_way["expected"].min(),
            "expected, most": of_way["expected"].max(),
            "drawn, least": of_way["share"].min(),
            "drawn, most": of_way["share"].max(),
            "mean, least": mean.min(),
            "mean, most": mean.max(),
            "questions a draw": of_way["drawn"].sum() / of_way["draws"].sum(),
            "stopped": of_way.groupby("day")["stopped"].first().sum(),
        }
    return pd.DataFrame(rows).T


def held(figures: pd.DataFrame) -> bool:
    """Whether what is promised of the product as it is was kept."""
    now = figures.loc[WAYS[0]]
    low, high = BOUNDS
    kept = all(low <= now[f"{what}, {end}"] <= high for what in ("expected", "mean") for end in ("least", "most"))
    return bool(kept and now["stopped"] == 0)


def main() -> int:
    """Live, print, and return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_wide", description=__doc__)
    for name, value in {"policies": 4, "markets": 3, "videos": 400, "days": 100, "checked": 250_000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    wide = Wide(asked.policies, asked.markets, asked.videos, checked=asked.checked)
    with tempfile.TemporaryDirectory() as folder:
        figures = summary(pd.concat(lived(wide, asked.days, Path(folder))))
    print(f"{asked.policies} policies x {asked.markets} markets x 2 versions, {asked.days} days; shares of the budget")
    print(figures.round(3).to_string())
    print(f"bounds: {BOUNDS[0]:g} to {BOUNDS[1]:g} of the budget, expected on every day and drawn on the mean")
    return 0 if held(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
