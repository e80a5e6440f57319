"""
## Hand retraining over to the model team

Decides for every policy and model version whether new thresholds can still win back what was lost, and if not, hands a
weighted training snapshot over: a Parquet file, a manifest (JSON, see docs/retraining.md), and an MLflow run that has both
as artifacts and the snapshot as its training input. Runs after each day's recalibration; its partition is that day.

Reads: `gate_failures`, `golden_labels`, `label_consensus`, `label_events`, `quality_results`, `retraining_decisions`,
`review_sample`, `reviewer_quality`, `sampling_design`, `score_histogram`, `threshold_ledger`, `threshold_watch`,
`training_snapshots`.

Writes: `gate_failures`, `quality_results`, `retraining_decisions`, `training_snapshots`.

A model is to be retrained when the recall that *any* threshold could reach at the required precision fell by
`retraining.recall_drop` in the last `recent_days` with final labels, for sure, or when the guideline changed since its
labels were made; if `min_labels` labelled videos came since the last hand-over, which was `cooldown_days` ago.
`retraining_decisions` holds each condition with its numbers, also when the answer is to keep the model. Beside them
stands the drift of the scores, as what it does to volumes. A challenger that waits for its acceptance is not decided on.

Where `retraining.approval` says so, a person is asked before anything leaves (*Required Actions*); what is declined is
asked for again after `cooldown_days`, what nobody answered in time on the next day.

The model team trains, registers the new version as a version of `plumbline.<policy>` with the alias `challenger`, and the
platform scores with it; `accept_model` does the rest.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `decide_retraining` | labels or histograms of the window cannot be read | the message names it; clear from `recalibrate_thresholds` of the day |
| `write_snapshots` | a snapshot could not be written | make room or mend the storage; clear the task |
| `gate_snapshots` | a snapshot is not fit to train on; nothing was handed over | the message names what and an example; clear from `ingest_reviewer_labels` once mended |
| `ask_for_approval` (only with `retraining.approval`) | the answer could not be recorded | clear the task: it is taken up where it was |
| `hand_over` | MLflow, or its artifact store, does not answer (tried for most of a day), or an experiment was deleted there | the message names the address or the experiment, and how to restore it; clear the task: a snapshot keeps the MLflow run it has, and one that was half logged is completed in it. Thresholds are not affected |
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, chain

from include.config.load import load_config
from include.config.settings import config_path
from include.contract.terms import APPROVE, REJECT
from include.orchestration.ask import AskAPerson
from include.orchestration.assets import RETRAINING, THRESHOLDS
from include.orchestration.dags import COMMON, DAILY_RUN_TYPES, STORAGE, WAITING
from include.orchestration.steps import step

ASKS = load_config(config_path()).retraining.approval

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
        step("retraining", "write_snapshots", **STORAGE),
        step("retraining", "gate_snapshots"),
        *(
            [AskAPerson(task_id="ask_for_approval", module="retraining.approval", options=[APPROVE, REJECT])]
            if ASKS
            else []
        ),
        step("retraining", "hand_over", outlets=[RETRAINING], trigger_rule="none_failed", **WAITING),
    )
