"""`python -m include.importing`: makes a pair of score and vote files the Dags' input, and with --run runs them on it.

See docs/importing.md.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from include.importing.columns import ImportRefused
from include.importing.guess import columns_of, policy_of
from include.importing.importer import Imported, import_pair
from include.importing.pair import Columns


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 2 if the files cannot be used."""
    options = _parser().parse_args(arguments)
    given = [column for column, _ in options.score]
    try:
        if repeated := [column for column in given if given.count(column) > 1]:
            raise ImportRefused(f"--score names column {repeated[0]!r} twice")
        columns = columns_of(
            options.scores,
            options.votes,
            item=options.item,
            market=options.market,
            given=dict(options.score),
            rater=options.rater,
            vote=options.vote,
        )
        imported = import_pair(
            options.scores,
            options.votes,
            columns,
            policy=options.policy or policy_of(columns.vote),
            day=options.day,
            landing=options.to / "data" / "landing",
            config=options.to / "policies.yaml",
            target_precision=options.target_precision,
            confidence=options.confidence,
        )
    except ImportRefused as error:
        print(error, file=sys.stderr)
        return 2
    print(_summary(imported, columns, options.to, to_be_run=options.run))
    return _run(imported, options.to, show=not options.no_page) if options.run else 0


def _run(imported: Imported, home: Path, *, show: bool) -> int:
    """Runs the Dags and says what became of each cell; 1 if one failed."""
    from include.importing import trial

    trial.enter(home)
    from include.local.runs import RunFailed

    try:
        print("\n".join(["", *trial.run(imported.day, imported.labels_day), ""]))
    except RunFailed as error:
        print(error, file=sys.stderr)
        return 1
    if show:
        trial.show()
    return 0


def _summary(imported: Imported, columns: Columns, home: Path, *, to_be_run: bool) -> str:
    items = sum(imported.markets.values())
    by_market = ", ".join(f"{market} {n:,}" for market, n in imported.markets.items())
    scores = ", ".join(f"{column} as {version}" for column, version in columns.scores.items())
    lines = [
        f"Columns: item {columns.item}, market {columns.market}, score {scores}, rater {columns.rater}, "
        f"vote {columns.vote}",
        f"{items:,} items: {by_market}",
        f"{imported.votes:,} votes by {imported.raters:,} raters on {imported.voted_items:,} items",
    ]
    if imported.voted_items < items:
        lines.append(f"Items without a vote: {items - imported.voted_items:,}; which they are must be chance")
    lines += [f"Items without a score of {version}: {n:,}" for version, n in imported.missing_scores.items() if n]
    return "\n".join(
        [
            *lines,
            f"Scores: {imported.day} and {imported.labels_day}; votes: {imported.labels_day}, in {imported.landing}",
            f"Configuration: {imported.config}",
            *(() if to_be_run else (f"Run the Dags on them: the same command with --run; they lie in {home}",)),
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.importing", description=__doc__)
    parser.add_argument("--scores", type=Path, required=True, help=".csv or .parquet, one row an item")
    parser.add_argument("--votes", type=Path, required=True, help=".csv or .parquet, one row a vote")
    parser.add_argument("--item", help="column of the item's id, in both files")
    parser.add_argument("--market", help="column of the market, in the score file; =NAME: all are in that one")
    parser.add_argument(
        "--score",
        type=_score,
        action="append",
        default=[],
        metavar="COLUMN=VERSION",
        help="score column and the model version it becomes; may be given several times",
    )
    parser.add_argument("--rater", help="column of the rater, in the vote file")
    parser.add_argument("--vote", help="column of the answer (0, 1, true, false), in the vote file")
    parser.add_argument("--policy", help="name of the policy they are about; default: the vote column's")
    parser.add_argument("--day", type=date.fromisoformat, default=date(2026, 1, 1), help="the scores' day")
    parser.add_argument(
        "--to", type=Path, default=Path("trial"), help="folder for data/ and policies.yaml (default %(default)s)"
    )
    parser.add_argument("--run", action="store_true", help="run the Dags on it, and open the page")
    parser.add_argument("--no-page", action="store_true", help="with --run: do not start Airflow's UI")
    parser.add_argument("--target-precision", type=float, help="precision asked of removal; default: as shipped")
    parser.add_argument("--confidence", type=float, help="confidence asked of a certificate; default: as shipped")
    return parser


def _score(text: str) -> tuple[str, str]:
    column, separator, version = text.rpartition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VERSION")
    return column, version


if __name__ == "__main__":
    sys.exit(main())
