"""What the demo tells: a line a day, and at the end each cell's thresholds against the simulator's truth."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from include.config.declared import declared_settings
from include.contract.cell import records
from include.contract.change import changes_of
from include.contract.tables import CELL
from include.ledger.in_force import thresholds_before
from include.ledger.publication import DAILY
from include.local.console import shown_path
from include.project import open_project

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
    """Each cell's thresholds at the start and now, what is certified, and the truth on a large simulated day.

    The cells, and why some keep their threshold, are the daily run's: forms of the day propose for cells of their own.
    """
    project = open_project(declared_settings())
    proposals = project.warehouse.read("threshold_proposals", day, day, slice_value=DAILY)
    ledger = project.warehouse.read("threshold_ledger")
    now = thresholds_before(project, date.max, proposals[list(CELL)])
    truth = platform.true_quality(day, now[[*CELL, "remove_at"]]).set_index(list(CELL))
    certified = _certificates(ledger)
    print(f"{'cell':<32}{'remove_at':>16}{'review_at':>16}  {'certified':<26}{'true precision':>14}{'true recall':>12}")
    for row in now.merge(proposals, on=list(CELL), validate="one_to_one").to_dict("records"):
        cell = tuple(row[name] for name in CELL)
        initial = project.config.policies[row["policy"]].initial
        found = truth.loc[cell]
        target = f"target {project.config.policies[row['policy']].target_precision:.0%}"
        print(
            f"{' '.join(cell):<32}{initial.remove_at:>8.3f} ->{row['remove_at']:6.3f}"
            f"{initial.review_at:>8.3f} ->{row['review_at']:6.3f}  {certified.get(cell, 'not yet') + ', ' + target:<26}"
            f"{found['true_precision']:>14.1%}{found['true_recall']:>12.1%}"
        )
    print("True figures: what the simulator alone knows, on a million videos of the last day.")
    print("\nCells that keep their threshold, and why:")
    for row in proposals[proposals["refusal"].notna()].to_dict("records"):
        print(f"  {row['policy']} {row['market']} {row['model_version']}: {row['refusal']}")
    settings = project.settings
    handed = project.warehouse.read("training_snapshots")
    for model_version, snapshots in handed.groupby("model_version"):
        newest = snapshots.sort_values("ds").iloc[-1]
        print(
            f"\nHanded over to retrain {model_version}: {newest['n_rows']:,} labelled videos, "
            f"{shown_path(settings.output / newest['path'])}, MLflow run {newest['mlflow_run_id']}"
        )
    print(f"\nThresholds, version {ledger['version'].max()}: {shown_path(settings.thresholds)}")
    print(f"Report: {shown_path(settings.reports / f'{day}.html')}")
    print(f"Quality gates: {shown_path(settings.quality_docs / 'index.html')}")


def _certificates(ledger: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """The certified lower bound behind each cell's newest change of the thresholds shown; canaries are none."""
    found: dict[tuple[str, ...], str] = {}
    for version in records(ledger.sort_values("version")):
        for change in changes_of(version):
            if change.is_lasting:  # no bound where a refuted threshold is left, or after a rollback
                found[change.cell] = "nothing" if change.certified_bound is None else f">= {change.certified_bound:.1%}"
    return found
