"""`python -m include.importing`: makes a pair of score and vote files the Dags' input. See docs/importing.md."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from include.importing.columns import ImportRefused
from include.importing.importer import Imported, import_pair
from include.importing.pair import Columns


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 2 if the files cannot be used."""
    options = _parser().parse_args(arguments)
    given = [column for column, _ in options.score]
    try:
        if repeated := [column for column in given if given.count(column) > 1]:
            raise ImportRefused(f"--score names column {repeated[0]!r} twice")
        imported = import_pair(
            options.scores,
            options.votes,
            Columns(
                item=options.item,
                market=options.market,
                scores=dict(options.score),
                rater=options.rater,
                vote=options.vote,
            ),
            policy=options.policy,
            day=options.day,
            landing=options.to / "data" / "landing",
            config=options.to / "policies.yaml",
            target_precision=options.target_precision,
            confidence=options.confidence,
        )
    except ImportRefused as error:
        print(error, file=sys.stderr)
        return 2
    print(_summary(imported, options.to))
    return 0


def _summary(imported: Imported, home: Path) -> str:
    items = sum(imported.markets.values())
    by_market = ", ".join(f"{market} {n:,}" for market, n in imported.markets.items())
    lines = [
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
            f"Run the Dags on them with PLUMBLINE_HOME={home.resolve()} and PLUMBLINE_CONFIG={imported.config.name}",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.importing", description=__doc__)
    parser.add_argument("--scores", type=Path, required=True, help=".csv or .parquet, one row an item")
    parser.add_argument("--votes", type=Path, required=True, help=".csv or .parquet, one row a vote")
    parser.add_argument("--item", required=True, help="column of the item's id, in both files")
    parser.add_argument("--market", required=True, help="column of the market, in the score file")
    parser.add_argument(
        "--score",
        type=_score,
        action="append",
        required=True,
        metavar="COLUMN=VERSION",
        help="score column and the model version it becomes; may be given several times",
    )
    parser.add_argument("--rater", required=True, help="column of the rater, in the vote file")
    parser.add_argument("--vote", required=True, help="column of the answer (0, 1, true, false), in the vote file")
    parser.add_argument("--policy", required=True, help="name of the policy that scores and votes are about")
    parser.add_argument("--day", type=date.fromisoformat, default=date(2026, 1, 1), help="the scores' day")
    parser.add_argument("--to", type=Path, required=True, help="folder to write data/landing/ and policies.yaml into")
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
