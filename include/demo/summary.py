"""What the demo tells: a line a day, and at the end each cell's thresholds against the simulator's truth."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from include.config.declared import declared_settings
from include.contract.cell import Cell, cell_of, records
from include.contract.change import changes_of
from include.contract.tables import CELL
from include.demo.story import print_story
from include.ledger.chain import in_order
from include.ledger.in_force import thresholds_before
from include.ledger.publication import DAILY
from include.local.console import shown_path
from include.project import open_project
from include.wording import score

if TYPE_CHECKING:
    from include.simulation.platform import Platform


def describe_day(day: date, scores: int) -> str:
    """The day's daily run in one line, read from the tables."""
    warehouse = open_project(declared_settings()).warehouse

    def rows(table: str) -> pd.DataFrame:
        return warehouse.read(table, day, day)

    statuses = warehouse.read("threshold_proposals", day, day, slice_value=DAILY)["status"].value_counts()
    snapshots = rows("training_snapshots")
    parts = [
        f"{scores:,} scores",
        f"{len(rows('review_sample')):,} drawn",
        f"{len(rows('label_events')):,} labels in, {len(rows('label_rejects'))} refused",
        f"{statuses.get('within_limits', 0) + statuses.get('approved', 0)} cells changed",
    ]
    if len(snapshots):
        parts.append(f"training snapshot for {', '.join(snapshots['model_version'])}")
    return ", ".join(parts)


def print_summary(platform: Platform, day: date) -> None:
    """Each cell's thresholds now, what is certified and since when, and the truth on a large simulated day.

    The cells, and why some remove no more than before, are the daily run's: forms of the day propose for cells of their
    own.
    """
    project = open_project(declared_settings())
    proposals = project.warehouse.read("threshold_proposals", day, day, slice_value=DAILY)
    ledger = project.warehouse.read("threshold_ledger")
    now = thresholds_before(project, date.max, proposals[list(CELL)])
    truth = platform.true_quality(day, now[[*CELL, "remove_at"]])
    policies = [project.config.policies[name] for name in now["policy"]]
    asked = {
        "target": [policy.target_precision for policy in policies],
        "lowest_remove_at": [policy.limits.lowest_remove_at for policy in policies],
    }
    best = platform.oracle(day, now[list(CELL)].assign(**asked))
    certified, earned = _certificates(ledger)
    print(
        f"{'cell':<32}{'remove_at':>10}{'review_at':>10}  {'certified':<24}{'since':<8}"
        f"{'true precision':>14}{'true recall':>12}{'oracle':>8}"
    )
    for row, found, oracle, policy in zip(records(now), records(truth), records(best), policies, strict=True):
        cell = cell_of(row)
        bound = f"{certified.get(cell, 'shadow mode')}, target {policy.target_precision:.0%}"
        since = f"day {(earned[cell] - platform.start).days + 1}" if cell in earned else ""
        precision = "" if found["true_precision"] is None else f"{found['true_precision']:.1%}"
        print(
            f"{' '.join(cell):<32}{score(row['remove_at']):>10}{score(row['review_at']):>10}  {bound:<24}{since:<8}"
            f"{precision:>14}{found['true_recall']:>12.1%}{oracle['true_recall']:>8.1%}"
        )
    print("True figures, and the oracle's recall: what the simulator alone knows, on a million videos of the last day.")
    print("\nCells for which nothing can be certified today, and why:")
    for row in records(proposals[proposals["refusal"].notna()]):
        print(f"  {row['policy']} {row['market']} {row['model_version']}: {row['refusal']}")
    print_story(project, platform, day)
    settings = project.settings
    print(f"\nThresholds, version {ledger['version'].max()}: {shown_path(settings.thresholds)}")
    print(f"Report: {shown_path(settings.reports / f'{day}.html')}")
    print(f"Quality gates: {shown_path(settings.quality_docs / 'index.html')}")


def _certificates(ledger: pd.DataFrame) -> tuple[dict[Cell, str], dict[Cell, date]]:
    """The certified lower bound behind each cell's remove_at, and the day of its first certificate; canaries are none.

    What was taken back has no bound.
    """
    bounds: dict[Cell, str] = {}
    first: dict[Cell, date] = {}
    for version in in_order(ledger):
        for change in (change for change in changes_of(version) if change.is_lasting):
            if change.certified_bound is not None:
                bounds[change.cell] = f">= {change.certified_bound:.1%}"
                first.setdefault(change.cell, version["ds"])
            elif change.new.remove_at != change.old.remove_at:
                bounds[change.cell] = "nothing"
    return bounds, first
