"""
## Take in label events that review tools push

Runs whenever a tool posts an asset event to `plumbline://pushed_labels` over Airflow's REST API (docs/labels.md shows
how), and writes each batch as a file into the landing folder of the day the event arrived (UTC). The daily run of
`ingest_reviewer_labels` takes it from there and judges every event like those of any file.

Reads: `label_events`, `label_rejects`.

Writes: `reviewer_labels`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `land_pushed_labels` | storage failed, twice retried | clear the task once storage is back |
| `missed_by_ingestion` | the batch is in its day's folder, but that day had been ingested before | run `ingest_reviewer_labels` again for the day the message names, and for the days after it; then clear this task |

A rerun writes the same files. An event with a partition key does not start this Dag: tools must not give one.
"""

from __future__ import annotations

from datetime import date

from airflow.sdk import DAG, get_current_context, task

from include.orchestration.assets import PUSHED_LABELS
from include.orchestration.dags import COMMON, PUSHED_RUN_TYPES, STORAGE, opened


@task(**STORAGE)
def land_pushed_labels() -> list[tuple[str, str]]:
    """Day and name of each file written."""
    from include.labels.push import pushed
    from include.labels.stage import land

    events = get_current_context()["triggering_asset_events"][PUSHED_LABELS]
    batches = [batch for event in events if (batch := pushed(event.timestamp, event.extra)).content]
    for batch in batches:
        with opened(get_current_context(), batch.day.isoformat()) as project:
            land(project, batch)
    return [(batch.day.isoformat(), batch.name) for batch in batches]


@task
def missed_by_ingestion(files: list[tuple[str, str]]) -> None:
    from include.labels.stage import missed

    for arrived, name in files:
        with opened(get_current_context(), arrived) as project:
            missed(project, date.fromisoformat(arrived), name)


with DAG(
    "land_pushed_labels",
    description="Takes in labels that review tools push, for the day's ingestion.",
    schedule=[PUSHED_LABELS],
    allowed_run_types=PUSHED_RUN_TYPES,
    tags=["plumbline", "labels"],
    doc_md=__doc__,
    **{**COMMON, "params": {}},
):
    missed_by_ingestion(land_pushed_labels())
