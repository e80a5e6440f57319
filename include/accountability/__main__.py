"""`python -m include.accountability.__main__`: what removed videos automatically in a period, and how well, as files.

Writes accountability.json, and its two tables as automated_means.csv and threshold_changes.csv. The same tables give
the same bytes. What the files cover, and what they do not, is in docs/accountability.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from include import __version__
from include.accountability.period import automated_means
from include.config.load import ConfigError
from include.contract.cell import records
from include.contract.change import changes_of
from include.contract.tables import ALL_MARKETS, CELL
from include.evidence.accepted import passed_days
from include.evidence.enforcement import enforced_removals
from include.evidence.histograms import folded_histogram, scored_policies
from include.evidence.sample import labelled_sample
from include.files import write_whole
from include.ledger.chain import LedgerError, verify
from include.ledger.in_force import removal_levels, starting_bins, thresholds_in_force
from include.metrics.policy_metrics import CONFIDENCE
from include.project import Project, open_project
from include.warehouse.base import UnreadablePartition
from include.wording import as_csv_text

CHANGE_COLUMNS = (
    *("version", "rests_on", "published_at", *CELL),
    *("old_remove_at", "new_remove_at", "old_review_at", "new_review_at", "share_of_videos"),
    *("certified_precision", "confidence", "certified_for", "requester", "approver", "reason", "hash"),
)
_LEVELS = ("remove_at", "review_at")
_DECIMALS = 6


class PeriodError(ValueError):
    """The period cannot be accounted for; the message says why."""


@dataclass(frozen=True)
class Account:
    """A period: its days, the indicators (period.COLUMNS and enforced_removals), and the changes (CHANGE_COLUMNS).

    `unscored`: days without scores that passed their gate, which are left out. `unlabelled`: the others of which no
    final label was found. `left_out`: policies that have scores in the period and are not configured any more.
    """

    first: date
    last: date
    unscored: list[date]
    unlabelled: list[date]
    left_out: list[str]
    means: pd.DataFrame
    changes: pd.DataFrame


def account(project: Project, first: date, last: date) -> Account:
    """What the tables say of the days from `first` to `last`, both inclusive.

    Raises:
        PeriodError: the period ends before it starts, or none of its days has scores that passed their gate.
        LedgerError: the ledger's chain is broken.
    """
    if last < first:
        raise PeriodError(f"the period ends on {last}, before it starts on {first}")
    ledger = project.warehouse.read("threshold_ledger")
    if problems := verify(ledger):
        raise LedgerError("threshold_ledger: " + "; ".join(problems))
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    scored = sorted(passed_days(project, "scores", first, last) & set(project.warehouse.days("score_histogram")))
    if not scored:
        raise PeriodError(f"no day from {first} to {last} has scores that passed their gate")
    levels = removal_levels(ledger, scored, project.config)
    population = folded_histogram(project, scored, levels, starting_bins(project.config))
    gone = scored_policies(project, scored) - project.config.policies.keys()
    sample = _final_labels(project, first, last)
    kept = sample[sample["sampled_on"].isin(scored) & ~sample["policy"].isin(gone)]
    in_force = [
        thresholds_in_force(ledger, kept[kept["sampled_on"] == day], project.config, before=day).assign(sampled_on=day)
        for day in scored
    ]
    means = automated_means(population, sample, pd.concat(in_force, ignore_index=True))
    enforced = [enforced_removals(project, day) for day in scored]
    labelled = set(sample["sampled_on"])
    return Account(
        first,
        last,
        [day for day in days if day not in scored],
        [day for day in scored if day not in labelled],
        sorted(gone),
        means.assign(enforced_removals=_enforced_of(means, enforced)),
        _changes(ledger, first, last),
    )


def write(result: Account, folder: Path) -> list[Path]:
    """Writes the three files into `folder`, each atomically; returns their paths."""
    means, changes = _plain(result.means), _plain(result.changes)
    document = {
        "from": result.first.isoformat(),
        "to": result.last.isoformat(),
        "interval": CONFIDENCE,
        "code_version": __version__,
        "days_without_accepted_scores": [day.isoformat() for day in result.unscored],
        "days_without_final_labels": [day.isoformat() for day in result.unlabelled],
        "policies_left_out": result.left_out,
        "automated_means": means,
        "threshold_changes": changes,
    }
    contents = {
        "accountability.json": json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "automated_means.csv": _csv(means, list(result.means.columns)),
        "threshold_changes.csv": _csv(changes, list(CHANGE_COLUMNS)),
    }
    for name, text in contents.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in contents]


def _final_labels(project: Project, first: date, last: date) -> pd.DataFrame:
    """Draws of the period with a final consensus, each once, as of the first day that holds it."""
    policies = project.config.policies.values()
    maturity, window = max(p.maturity_days for p in policies), min(p.window_days for p in policies)
    stride = max((window - maturity) // 2, 1)  # windows overlap by half, so that a day that failed its gate costs none
    end = last + timedelta(days=max(p.window_days for p in policies) - 1)
    judged = sorted(passed_days(project, "consensus", first, end) & set(project.warehouse.days("label_consensus")))
    wanted, complete, found = first + timedelta(days=maturity), last + timedelta(days=maturity), []
    for day in judged:
        if day >= min(wanted, complete) or day == judged[-1]:
            rows = labelled_sample(project, day)
            found.append(rows[(rows["sampled_on"] >= first) & (rows["sampled_on"] <= last)])
            wanted = day + timedelta(days=stride)
        if day >= complete:
            break
    if not found:
        raise PeriodError(f"no label drawn from {first} to {last} is final yet")
    return pd.concat(found).drop_duplicates(["sampled_on", "sample_id"], ignore_index=True)


def _enforced_of(means: pd.DataFrame, days: list[pd.Series | None]) -> pd.api.extensions.ExtensionArray:
    """Removals logged in the period, for each row of `means`; missing where a day has no log."""
    logged = [day for day in days if day is not None]
    if len(logged) < len(days):
        return pd.array([None] * len(means), dtype="Int64")
    by_cell = pd.concat(logged).groupby(level=list(CELL)).sum()
    everywhere = by_cell.groupby(level=["policy", "model_version"]).sum()
    counts = [
        everywhere.get((policy, version), 0) if market == ALL_MARKETS else by_cell.get((policy, market, version), 0)
        for policy, market, version in means[list(CELL)].itertuples(index=False, name=None)
    ]
    return pd.array(counts, dtype="Int64")


def _changes(ledger: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The changes that rest on a day of the period, one row a cell, by version and cell."""
    rows = []
    for version in records(ledger.sort_values("version")):
        if not first <= version["ds"] <= last:
            continue
        for change in changes_of(version):
            certificate = change.certificate or {}
            levels = {"old": change.old._asdict(), "new": change.new._asdict()}
            rows.append(
                {
                    **{name: version[name] for name in ("version", "published_at", "requester", "approver", "reason")},
                    **dict(zip(CELL, change.cell, strict=True)),
                    "hash": version["hash"],
                    "rests_on": version["ds"],
                    **{f"{when}_{name}": value for when, pair in levels.items() for name, value in pair.items()},
                    "share_of_videos": 1.0 if change.canary is None else change.canary.share,
                    "certified_precision": change.certified_bound,
                    "confidence": certificate.get("confidence"),
                    "certified_for": certificate.get("population"),
                }
            )
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with values as JSON holds them: shares to six decimals, days and UTC times as ISO text."""
    return [{str(name): _value(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _value(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp | date):
        return value.isoformat()
    return round(float(value), _DECIMALS) if isinstance(value, float) else value


def _csv(rows: list[dict[str, Any]], columns: list[str]) -> str:
    safe = [
        {name: as_csv_text(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows
    ]
    return pd.DataFrame(safe, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 2 if the period cannot be accounted for."""
    parser = argparse.ArgumentParser(prog="python -m include.accountability", description=__doc__)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, metavar="DAY", help="first day")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True, metavar="DAY", help="last day")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the files into")
    options = parser.parse_args(arguments)
    from include.config.declared import declared_settings

    try:
        result = account(open_project(declared_settings()), options.first, options.last)
        written = write(result, options.out)
    except (PeriodError, ConfigError, LedgerError, UnreadablePartition, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    stated = int(result.means["value"].notna().sum())
    print(f"{stated} indicators stated, {len(result.means) - stated} refused by name; {len(result.changes)} changes")
    for days, what in ((result.unscored, "scores that passed their gate"), (result.unlabelled, "final labels")):
        if days:
            print(f"Days without {what}: {', '.join(map(str, days))}")
    if result.left_out:
        print(
            f"Left out: {', '.join(result.left_out)}. policies.yaml has them no longer: put them back, with "
            "retired_after, to account for them"
        )
    print("\n".join(str(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
