"""
## Tell people what happened, and notice that nothing did

Looks every ten minutes at what the tables say, and sends each event once to those whom `notifications` in
`policies.yaml` names, by mail or by a chat (docs/notifications.md). Notices days that are missing or unfinished at
`notifications.day_due`, also where no run was ever made for them. Where it names nobody, nothing is sent. No other Dag waits for this one.

Reads: `approval_questions`, `gate_failures`, `label_events`, `model_comparisons`, `notifications`, `quality_results`,
`retraining_decisions`, `threshold_ledger`, `threshold_watch`, `training_snapshots`, `video_scores`; for metrics alone, `label_rejects`,
`sampling_design` and `threshold_proposals`.

Writes: `notifications`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `notice_events` | the tables cannot be read | read the log; the next run looks again |
| `raise_alarm` | a day is missing or unfinished past `notifications.day_due` | the message says which Dag has no sound result of the day, and what to do; the run fails once a day that is late, and not again |
| `emit_metrics` | the tables cannot be read | read the log; the next run sends what is then |
| `send_messages` | a message could not be sent three times in a row, or never will be | mend what the message names: the connection in Airflow, the provider that is not installed, or the person in `policies.yaml`; what waits is sent by the next run, for two days |

Where Airflow sends metrics, `emit_metrics` sends those of Plumbline (docs/monitoring.md).
What was sent, to whom, and what was not, stands in `notifications`. A cleared task sends nothing
twice; a process that is killed right after sending sends that one message again, with the same Message-ID.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.orchestration.dags import COMMON, EVERY_TEN_MINUTES
from include.orchestration.steps import clock_step

with DAG(
    "send_notifications",
    description="Tells people what happened, each once, and notices days that are missing.",
    schedule=EVERY_TEN_MINUTES,
    tags=["plumbline", "notifications"],
    doc_md=__doc__,
    **{**COMMON, "params": {}},
):
    noticed = clock_step("notifications", "notice_events")
    noticed >> clock_step("notifications", "send_messages")
    clock_step("notifications", "raise_alarm", noticed.output)
    clock_step("notifications", "emit_metrics")
