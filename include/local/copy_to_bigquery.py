"""Copies an embedded warehouse's own tables to BigQuery: ``python -m include.local.copy_to_bigquery --help``.

Each table is one load job, which replaces it whole: a copy that was cut short is simply started again, and a table
whose days have as many rows there as here is passed over. The ledger goes version by version, and its chain is verified
before and after.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from include.config.declared import declared_settings
from include.config.load import ConfigError
from include.config.settings import BigQueryPlace
from include.contract.tables import TABLES
from include.ledger.chain import verify
from include.project import open_project
from include.warehouse.base import Caller, Warehouse, WarehouseRefused, WarehouseUnavailable
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_jobs import Jobs

LEDGER = "threshold_ledger"


@dataclass(frozen=True)
class Step:
    """What became of a table, or of a version of the ledger."""

    name: str
    copied: bool
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {'copied' if self.copied else 'there already'}, {self.what}"


def copy(source: Warehouse, target: BigQueryWarehouse) -> Iterator[Step]:
    """Copies every table Plumbline owns, the ledger last.

    Raises ValueError if the source's ledger is broken, or the target's holds other versions.
    """
    ledger = source.read(LEDGER)
    if problems := verify(ledger):
        raise ValueError(f"the ledger to be copied is broken: {problems[0]}")
    for table in TABLES.values():
        if table.owner == "plumbline" and table.name != LEDGER:
            yield _copied(table.name, source, target)
    there = target.read(LEDGER)
    for row in ledger.sort_values("version").to_dict("records"):
        version, day = row["version"], row.pop("ds")
        known = there.loc[there["version"] == version, "hash"]
        if len(known) and known.iloc[0] != row["hash"]:
            raise ValueError(f"the target's ledger holds another version {version}: copy into an empty dataset")
        if known.empty and not target.append_version(LEDGER, day, {str(name): value for name, value in row.items()}):
            raise ValueError(f"the target's ledger does not take version {version}: something else writes to it")
        yield Step(LEDGER, known.empty, f"version {version}")
    if problems := verify(target.read(LEDGER)):
        raise ValueError(f"the copied ledger is broken: {problems[0]}")


def _copied(table: str, source: Warehouse, target: BigQueryWarehouse) -> Step:
    days = source.days(table)
    counts = {day: source.row_count(table, day) for day in days}
    there = target.row_counts(table)
    missing = {day: n for day, n in counts.items() if n} != there
    if missing:
        target.replace_all(table, ((day, source.read(table, day, day).drop(columns="ds")) for day in days))
    rows = sum(counts.values())
    return Step(table, missing, f"{len(days)} day{'' if len(days) == 1 else 's'}, {rows:,} rows")


def main() -> int:
    """Copies from the warehouse airflow_settings.yaml declares; 0 if the target ends equal to it."""
    parser = argparse.ArgumentParser(prog="python -m include.local.copy_to_bigquery", description=__doc__)
    parser.add_argument("--project", required=True, help="Google Cloud project of the dataset")
    parser.add_argument("--dataset", required=True, help="dataset to copy to; it must exist")
    parser.add_argument("--location", required=True, help="its location, such as EU")
    parser.add_argument("--max-gigabytes", type=float, default=100.0, help="what one job may bill at most")
    parser.add_argument("--api-endpoint", help="another endpoint than Google's, such as an emulator's")
    given = parser.parse_args()
    try:
        place = BigQueryPlace.model_validate(vars(given))
        target = BigQueryWarehouse(Jobs(place, Caller("", "copy", "", "")))
        copied = {True: 0, False: 0}
        for step in copy(open_project(declared_settings()).warehouse, target):
            copied[step.name == LEDGER] += step.copied
            print(step, flush=True)
    except (ValueError, ConfigError, WarehouseRefused, WarehouseUnavailable) as error:
        print(f"Not copied to the end: {error}", file=sys.stderr)
        return 1
    print(f"Copied {copied[False]} tables and {copied[True]} versions; the ledger's chain is whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
