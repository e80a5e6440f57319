"""
## Draw the day's videos for human review

Checks the day's scores, profiles them in one scan, designs a stratified Poisson sample within each market's reviewer
minutes, draws it, and exports the queues of reviewers and of experts, one file a market (docs/review_tools.md). Runs
daily at 02:00 UTC for the day before; its partition is that day.

Reads: `gate_failures`, `golden_labels`, `label_consensus`, `label_events`, `quality_results`, `review_details`,
`review_sample`, `sampling_design`, `score_histogram`, `score_panel`, `score_profile`, `threshold_ledger`,
`video_details`, `video_scores`.

Writes: `gate_failures`, `quality_results`, `review_details`, `review_sample`, `sampling_design`, `score_histogram`,
`score_panel`, `score_profile`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `gate_scores_input` | the platform's files for the day are missing, unreadable or of the wrong type | ask the platform's feed owner to deliver the day again, then clear the task |
| `scan_scores`, `draw_sample` | storage failed, twice retried | read the log; clear the task once storage is back |
| `gate_scores` | the scores are not fit to sample from: volume, missing or impossible scores, unknown names, duplicates; single cells with a small part of the rows are set aside with a warning instead, and keep their thresholds | the message names cell, count and an example; have the feed repaired, or add the new name to `policies.yaml`, then clear from `gate_scores_input` |
| `design_sample` | no design fits the configuration | the message names the key in `policies.yaml` |
| `look_up_details` | storage failed, twice retried; titles that cannot be read never fail the task: they are a warning of the gate `details`, and the queue goes out without them | read the log; clear the task once storage is back |
| `export_review_queue` | the queue's files could not be written, twice retried | clear the task once there is room |
| `gate_sample` | the sample is not the one that was designed | do not export by hand; clear from `scan_scores`, and report it if it fails again |

Nothing is exported and no later Dag starts while a gate fails. A rerun replaces the day's partitions and is always safe.
What a gate found when it stopped the day stays in `gate_failures`, on the gate's page and in the report after it is
healed.
"""

from __future__ import annotations

from airflow.sdk import DAG, chain

from include.orchestration.assets import REVIEW_SAMPLE
from include.orchestration.dags import COMMON, DAILY_RUN_TYPES, DAILY_TIMETABLE, STORAGE, group
from include.orchestration.steps import step

with DAG(
    "sample_for_review",
    description="Checks the day's scores and draws the videos that people review.",
    schedule=DAILY_TIMETABLE,
    allowed_run_types=DAILY_RUN_TYPES,
    tags=["plumbline", "daily", "sampling"],
    doc_md=__doc__,
    **COMMON,
):
    with group("check_scores") as check:
        chain(
            step("sampling", "gate_scores_input"),
            step("sampling", "scan_scores", pool="warehouse_scans", **STORAGE),
            step("sampling", "gate_scores"),
        )
    with group("draw") as draw:
        chain(
            step("sampling", "design_sample"),
            step("sampling", "draw_sample", pool="warehouse_scans", **STORAGE),
            step("sampling", "gate_sample"),
        )
    chain(
        check,
        draw,
        step("sampling", "look_up_details", pool="warehouse_scans", **STORAGE),
        step("sampling", "export_review_queue", outlets=[REVIEW_SAMPLE], **STORAGE),
    )
