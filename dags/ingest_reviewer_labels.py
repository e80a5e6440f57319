"""
## Ingest the label events that arrived in a day

Reads the day's drops of label events, accepts or refuses each one, forms the consensus as of the day and grades the
reviewers. Runs daily at 02:00 UTC for the day before; its partition is the day of *arrival*.

Reads: `gate_failures`, `golden_labels`, `label_completeness`, `label_consensus`, `label_events`, `label_rejects`,
`quality_results`, `review_sample`, `reviewer_labels`.

Writes: `gate_failures`, `input_rejects`, `label_agreement`, `label_completeness`, `label_consensus`, `label_events`,
`label_rejects`, `quality_results`, `reviewer_quality`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `ingest_events` | storage failed, twice retried; events that cannot be read never fail a task, they are refused | read the log; clear the task once storage is back |
| `gate_labels` | too many events were refused, or are about videos that were never sampled, or every file is mostly garbage | look at `label_rejects` of the day: reason, file, line and raw text; have the review tool send the drop again, or correct and replay the events (docs/labels.md), then clear from `ingest_events` |
| `form_consensus` | the consensus cannot be formed from the accepted events | the message names policy and column |
| `gate_golden_labels` | more of the day's golden labels than `gates.max_reject_share` were set aside, or a file cannot be read; all else went on without them | the message names file, line, column and an example, `input_rejects` has them all; have the experts' file delivered again, then clear the task and `form_consensus` with what follows |
| `gate_consensus` | the consensus is out of range or incomplete | clear from `ingest_events`; report it if it fails again |

A warning of `gate_consensus` that the consensus falls below the floor on golden labels means that the model of the
reviewers is wrong: look for one who answers all alike (`reviewer_quality` of the day), and leave their votes out
(`below_floor`) or use `majority`. The log of `form_consensus` names reviewers below their policy's floor and what was done with their votes
(docs/consensus.md); the daily report shows them.

A day without labels passes with a warning, and so does one with a file that is damaged or mostly garbage: the warning
names the file, none of its events count, and those of the other files do. A region in which no draw was answered by the
time it is final is a warning of `gate_consensus`: its policy's labels in that market are left out of all estimates. The
events of a day whose gate failed count for nobody until it passes.
A rerun replaces the day's partitions and is always safe. What a gate found when it stopped the day stays in
`gate_failures`, on the gate's page and in the report after it is healed.
"""

from __future__ import annotations

from airflow.sdk import DAG, chain

from include.orchestration.assets import LABELS
from include.orchestration.dags import COMMON, DAILY_RUN_TYPES, DAILY_TIMETABLE, STORAGE
from include.orchestration.steps import step

with DAG(
    "ingest_reviewer_labels",
    description="Takes in the day's reviewer labels, forms the consensus and grades the reviewers.",
    schedule=DAILY_TIMETABLE,
    allowed_run_types=DAILY_RUN_TYPES,
    tags=["plumbline", "daily", "labels"],
    doc_md=__doc__,
    **COMMON,
):
    step("labels", "gate_golden_labels", **STORAGE)
    read = step("labels", "ingest_events", **STORAGE)
    chain(
        step("labels", "gate_labels", read.output),
        step("labels", "form_consensus", **STORAGE),
        step("labels", "gate_consensus", outlets=[LABELS]),
    )
