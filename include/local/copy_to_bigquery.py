"""Copies an embedded warehouse's own tables to BigQuery: ``python -m include.local.copy_to_bigquery --help``.

Partition by partition, each replaced whole, so that a copy that was cut short is simply started again; a partition that
is there already with the same content is passed over. The ledger goes version by version, and its chain is verified
before and after.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import date

from include.config.declared import declared_settings
from include.config.load import ConfigError
from include.config.settings import BigQueryPlace
from include.contract.tables import TABLES, Table
from include.ledger.chain import verify
from include.project import open_project
from include.warehouse.base import Caller, Warehouse, WarehouseRefused, WarehouseUnavailable
from include.warehouse.bigquery import BigQueryWarehouse
from include.warehouse.bigquery_jobs import Jobs

LEDGER = "threshold_ledger"


def copy(source: Warehouse, target: Warehouse) -> Iterator[tuple[str, date, bool]]:
    """Copies every partition Plumbline owns: (table, day, whether it had to be). The ledger comes last.

    Raises ValueError if the source's ledger is broken, or the target's holds other versions.
    """
    ledger = source.read(LEDGER)
    if problems := verify(ledger):
        raise ValueError(f"the ledger to be copied is broken: {problems[0]}")
    for table in TABLES.values():
        if table.owner == "plumbline" and table.name != LEDGER:
            for day in source.days(table.name):
                yield table.name, day, _copy_day(table, day, source, target)
    there = target.read(LEDGER)
    for row in ledger.sort_values("version").to_dict("records"):
        version, day = row["version"], row.pop("ds")
        known = there.loc[there["version"] == version, "hash"]
        if len(known) and known.iloc[0] != row["hash"]:
            raise ValueError(f"the target's ledger holds another version {version}: copy into an empty dataset")
        if known.empty and not target.append_version(LEDGER, day, {str(name): value for name, value in row.items()}):
            raise ValueError(f"the target's ledger does not take version {version}: something else writes to it")
        yield LEDGER, day, known.empty
    if problems := verify(target.read(LEDGER)):
        raise ValueError(f"the copied ledger is broken: {problems[0]}")


def _copy_day(table: Table, day: date, source: Warehouse, target: Warehouse) -> bool:
    if source.fingerprint(table.name, day) == target.fingerprint(table.name, day):
        return False
    rows = source.read(table.name, day, day).drop(columns="ds")
    if table.slice_by is None:
        target.replace(table.name, day, rows)
        return True
    for slice_value, part in rows.groupby(table.slice_by, sort=True):
        target.replace(table.name, day, part, slice_value=str(slice_value))
    return True


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
        copied = 0
        for table, day, changed in copy(open_project(declared_settings()).warehouse, target):
            copied += changed
            print(f"{'copied' if changed else 'there already'}: {table} {day}", flush=True)
    except (ValueError, ConfigError, WarehouseRefused, WarehouseUnavailable) as error:
        print(f"Not copied to the end: {error}", file=sys.stderr)
        return 1
    print(f"Copied {copied} partitions; the ledger's chain is whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
