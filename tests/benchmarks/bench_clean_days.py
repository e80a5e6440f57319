"""Clean days of thousands of small cells against gate `scores`: ``python -m tests.benchmarks.bench_clean_days [days]``.

12,000 cells with Poisson numbers of rows, 20 in the median and some thousands in the largest, a twentieth of them
without a score and one in 50,000 invalid: nothing is wrong with any. Each day is held against the week before it.
Prints how many cells the gate would set aside, and beside that on how many days a bare limit on the volume would have
found a cell. Fails if more than one day in a thousand has any set aside, of which a day would have to have a
twentieth of its rows to stop.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from include.config.load import load_config
from include.config.model import Config
from include.contract.tables import CELL
from include.quality import suites
from tests.quality import frames

MARKETS = 3_000


def wide_config() -> Config:
    """The shipped policies in so many markets; no share of the rows is too large to be set aside."""
    config = load_config()
    gates = config.gates.model_copy(update={"max_set_aside_share": 1.0})
    markets = dict.fromkeys((f"M{number}" for number in range(MARKETS)), next(iter(config.markets.values())))
    return config.model_copy(update={"markets": markets, "gates": gates})


def lived(days: int, seed: int = 1) -> tuple[int, int, int]:
    """Days on which a cell has less than the least volume, days on which one is set aside, and how many were."""
    config, rng = wide_config(), np.random.default_rng(seed)
    of_a_market = frames.profile().query("market == 'BR'")
    cells = pd.concat([of_a_market.assign(market=market) for market in config.markets], ignore_index=True)
    means = np.exp(rng.normal(np.log(20), 1.2, len(cells)))

    def landed() -> pd.DataFrame:
        rows = rng.poisson(means)
        invalid = {name: rng.binomial(rows, 2e-5) for name in ("out_of_range_scores", "negative_views")}
        return cells.assign(n_rows=rows, null_scores=rng.binomial(rows, 0.05), **invalid)

    week, found = [landed() for _ in range(7)], []
    for _ in range(days):
        today, history = landed(), pd.concat(week, ignore_index=True)
        usual = history.groupby(list(CELL), sort=False)["n_rows"].median().to_numpy()
        bare = today["n_rows"].to_numpy() < config.gates.min_volume_ratio * usual
        aside = int(suites.set_aside(today, history, config).notna().sum())
        found.append([int(bare.any()), int(aside > 0), aside])
        week = [*week[1:], today]
    low, some, aside = np.sum(found, axis=0)
    return int(low), int(some), int(aside)


def main(days: int = 1_000) -> int:
    """Live, print, and return the process's exit status."""
    low, some, aside = lived(days)
    print(f"{4 * MARKETS:,} clean cells, {days:,} days")
    print(f"a cell below the least volume, as a bare limit has it: {low:,} days")
    print(f"a cell set aside by gate scores: {some:,} days, {aside:,} cells; at most one day in 1,000 is asked")
    return int(some > days / 1_000)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
