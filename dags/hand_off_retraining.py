"""
## Hand retraining over to the model team

Decides for every policy and model version whether re-thresholding can still win back what was lost, and if not, hands
a weighted training snapshot over: a Parquet file, and an MLflow run that has it as its training input. Runs after each
day's recalibration; its partition is that day.

Reads: `gate_failures`, `label_consensus`, `policy_metrics`, `quality_results`, `retraining_decisions`, `review_sample`,
`score_histogram`, `threshold_ledger`.

Writes: `gate_failures`, `quality_results`, `retraining_decisions`, `training_snapshots`.

A model is to be retrained when recall at the certified threshold fell by `retraining.recall_drop` against the best of
the trailing `reference_days`, on `consecutive_days` days in a row, and `min_labels` labelled videos are there to train
on. `retraining_decisions` holds each condition with its numbers, also when the answer is to keep the model.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `decide_retraining` | metrics or labels of the day are missing | clear from `recalibrate_thresholds` of the day |
| `gate_snapshots` | a snapshot is not fit to train on; nothing was handed over | the message names column, count and an example; clear from `ingest_reviewer_labels` once mended |
| `hand_over` | storage or MLflow failed, twice retried | clear the task: a snapshot keeps the MLflow run it has, and one that was half logged is completed in it |
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, chain

from include.orchestration.assets import RETRAINING, THRESHOLDS
from include.orchestration.dags import COMMON, DAILY_RUN_TYPES, STORAGE
from include.orchestration.steps import step

with DAG(
    "hand_off_retraining",
    description="Decides whether a model is to be retrained, and hands its training snapshot over.",
    schedule=PartitionedAssetTimetable(assets=THRESHOLDS),
    allowed_run_types=DAILY_RUN_TYPES,
    tags=["plumbline", "daily", "retraining"],
    doc_md=__doc__,
    **COMMON,
):
    chain(
        step("retraining", "decide_retraining"),
        step("retraining", "gate_snapshots"),
        step("retraining", "hand_over", outlets=[RETRAINING], **STORAGE),
    )
