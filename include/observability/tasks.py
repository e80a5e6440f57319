"""What becomes known of a task once it has done its work: what its queries took, and what it read and wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from include.config.settings import Settings
from include.contract.tables import TABLES
from include.observability.emit import Reading, emit, sends_metrics
from include.observability.names import SCAN_BYTES, SCAN_SECONDS
from include.project import Project
from include.warehouse.remembered import Remembered, Scan

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset


def tell(project: Project) -> None:
    """Sends the metrics of the task's queries, and its lineage, where Airflow is configured for them."""
    warehouse = project.warehouse
    if not isinstance(warehouse, Remembered):
        return
    if warehouse.scans and sends_metrics():
        emit(of_scans(warehouse.scans))
    tell_lineage(project.settings, warehouse.tables_read, warehouse.tables_written)


def of_scans(scans: Iterable[Scan]) -> Iterator[Reading]:
    """What queries took and read."""
    for scan in scans:
        yield SCAN_SECONDS, (scan.query,), scan.seconds
        yield SCAN_BYTES, (scan.query,), float(scan.bytes_read)


def tell_lineage(settings: Settings, tables_read: Iterable[str], tables_written: Iterable[str]) -> None:
    """Says to OpenLineage, where its provider is installed, which tables the task read and wrote.

    Airflow's own assets of this project have addresses that the provider does not know, and drops.
    """
    read, written = sorted(tables_read), sorted(tables_written)
    if not read and not written:
        return
    try:
        from airflow.providers.openlineage.api import emit_dataset_lineage
    except ImportError:
        return
    emit_dataset_lineage(
        inputs=[_dataset(settings, table) for table in read],
        outputs=[_dataset(settings, table) for table in written],
    )


def _dataset(settings: Settings, table: str) -> Dataset:
    """A table as OpenLineage names it: of BigQuery, or the folder of the embedded warehouse."""
    from openlineage.client.event_v2 import Dataset

    if isinstance(settings.warehouse, Path):
        root = settings.landing if TABLES[table].owner == "platform" else settings.warehouse
        return Dataset(namespace="file", name=str(root / table))
    return Dataset(namespace="bigquery", name=f"{settings.warehouse.project}.{settings.warehouse.dataset}.{table}")
