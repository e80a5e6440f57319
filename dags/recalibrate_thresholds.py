"""
## Recalibrate the thresholds of every cell

Measures precision, recall, prevalence and violative view rate, certifies thresholds from the labels of the window,
judges every change by the guardrails, publishes what is within limits, and asks a person about the rest. Compares what
was forecast of earlier changes with what happened 1, 7 and 28 days later. Runs once a day's sample and labels are both
there; its partition is that day.

Reads: `appeals`, `approval_questions`, `enforcement_counts`, `enforcement_log`, `forecast_outcomes`,
`gate_failures`, `golden_labels`, `label_agreement`, `label_completeness`, `label_consensus`, `label_events`,
`label_rejects`, `policy_metrics`, `quality_results`, `review_sample`, `reviewer_quality`, `sampling_design`,
`score_histogram`, `score_profile`, `threshold_ledger`, `threshold_proposals`, `threshold_watch`.

Writes: `approval_questions`, `enforcement_counts`, `forecast_outcomes`, `gate_failures`, `input_rejects`, `policy_metrics`, `quality_results`,
`threshold_ledger`, `threshold_proposals`, `threshold_watch`.

On BigQuery, `write_report` also keeps what was billed, in `warehouse_usage`.

### Approvals

Changes outside the guardrails wait under *Required Actions*. The table there shows each cell's old and new `remove_at`,
and what that does in a day: removals, wrongful removals, violative views prevented; below it, why a person is asked.
Approve publishes them as one version; reject, or no answer within `approval.timeout_hours`, keeps today's thresholds.
An answer by somebody whom `approval.assigned_users` does not name does not count, and the question stays open. Either way the answer is recorded in `threshold_proposals`. After an approval the day is computed anew: what changed
meanwhile, labels, thresholds in force or a guardrail's verdict, is not published and recorded as `stale`, with the
reason among its verdicts.

### Changes that expire

A change published with `expires_on` holds its cell: the daily run leaves it alone (`held`, verdict `override`) up to and
including that day. The run of that day, or the first later one, publishes a version with the reason `expired` that gives
the cell its lasting thresholds back, unless anything newer was published for it.

### Alarms

Every `remove_at` that acts is held against what it promised, on the labels since and on removals overturned on appeal
(`threshold_watch`, and *Watch* in the report). The tests may be looked at every day; a change that keeps its promise ever
raises an alarm with a chance of `watch.alpha`. The alarm says which evidence spoke. It lasts until the cell's `remove_at`
changes. Then, by `watch.on_alarm`:

- `ask`: the cell waits under *Required Actions* with the thresholds before the change (those that cells start with, if
  those were riskier: in shadow mode nothing is removed) or what the day's own labels call for, whichever is safer.
  Approve. After a reject it asks again every day.
- `roll_back`: they are published by themselves, as a version whose reason is the alarm; in a freeze a person is asked.

Appeals are watched where `appeals` name market, model_version and threshold_version of the removal and there is an
`enforcement_log`. Whether they are, or what they wait for, stands in `appeals_remark`. Every wrong removal that nobody
contests counts as right, so only gross failures show, but also where labels are few or not final yet. A log delivered
late is caught up with by the next run, one delivered again once its `gate_enforcement_log` is cleared; appeals delivered late count once their day and those since are cleared.

On call, look at the cell's newest labels and its reviewers first: a batch of wrong labels raises alarms, too, and then in
many cells at once. If the labels are right, keep the safer thresholds; the next
certificates find the way back, once several days after the alarm bear them out. If the alarm stands while the labels were wrong, correct them, and clear the days since from `ingest_reviewer_labels`,
oldest first.

### Canaries

Where `canary.steps` is set, a change that removes more acts first on a share of its cell's videos (`canary` in
`thresholds.json`, see docs/serving.md). `advance_canaries` lets it act on the next share, and at last on all, once the
labels of `canary.days_per_step` days since are final, at least `guardrails.min_labels` of them lie at or above its
`remove_at`, and they do not say that it breaks its promise; if they do, or the watch raises an alarm, it ends, by
itself, and the thresholds before it stay on all videos. Each step is a version. The task's log says what every canary
waits for. Meanwhile the daily run leaves the cell alone (`held`, verdict `canary`), unless its `remove_at` is to rise:
that acts on all videos at once and ends the canary. To end one by hand, roll back to the version before it.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `gate_appeals`, `gate_enforcement_log` | more of the day's rows than `gates.max_reject_share` were set aside, or a file cannot be read; all else went on without them | the message names file, line, column and an example, `input_rejects` has them all; have the platform deliver the day again, then clear the task, and `watch_published` and what follows |
| `measure` | the labels and the histograms do not fit together | the message names the column; clear from `ingest_reviewer_labels` of the day |
| `watch_published` | the ledger, the labels, appeals, `enforcement_log` or the day before's `threshold_watch` cannot be read | the message names it; thresholds stay; clear the task |
| `propose_thresholds` | a cell has no policy or market in `policies.yaml`, or a column is missing; or the ledger or `thresholds.json` was changed by hand | the message names it; for the ledger see below |
| `gate_proposals` | a proposal breaks its own rules; nothing was published | keep today's thresholds and report it: this is a defect |
| `lift_expired`, `publish_within_limits`, `advance_canaries`, `ask_for_approval` | the ledger or `thresholds.json` was changed by hand, or could not be written | the message names version and column, or the cell; see below |
| `compare_forecasts` | the ledger or a later day's histogram cannot be read | thresholds are not affected; clear the task |
| `write_report`, `write_final_report` | the report could not be built; thresholds are not affected | clear the task |

"Not certifiable" is no failure: the cell keeps its threshold, and the report says how many labels are missing.
A rerun publishes nothing twice.

### When publication stops

| message | what happened | what to do |
|---|---|---|
| `threshold_ledger: version 7: column reason was changed` | somebody edited the ledger | `make verify-ledger`; restore the file that holds that version from a backup |
| `threshold_ledger is not what was noted in ...` | the ledger was written anew or lost its end; the folder that `plumbline_anchor` names says what was published | find out who could write the ledger; restore it from a backup, see docs/security.md |
| `the ledger lost its end` | the ledger is shorter than what is served | restore it; only if `thresholds.json` itself is wrong, remove that |
| `thresholds.json: differs from version 7`, `not valid JSON` | somebody edited the file that serving reads | find out who; remove it and clear the task: it is written from the ledger |
| `No space left on device` | nothing was published, or the version stands and only the file is missing | make room, clear the task: nothing is published twice |

A process killed between ledger and file needs nobody: the next run writes `thresholds.json` from the ledger, and the
task's log and return value say so (`thresholds.json was at version 6: version 7 was written`).
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, chain

from include.contract.terms import APPROVE, REJECT
from include.orchestration.ask import AskAPerson
from include.orchestration.assets import LABELS, REVIEW_SAMPLE, THRESHOLDS
from include.orchestration.dags import COMMON, DAILY_RUN_TYPES, STORAGE, group
from include.orchestration.steps import step

with DAG(
    "recalibrate_thresholds",
    description="Certifies thresholds from the day's labels, publishes what is within limits and asks about the rest.",
    schedule=PartitionedAssetTimetable(assets=REVIEW_SAMPLE & LABELS),
    allowed_run_types=DAILY_RUN_TYPES,
    tags=["plumbline", "daily", "thresholds"],
    doc_md=__doc__,
    **COMMON,
):
    with group("check_inputs"):
        step("thresholds", "gate_appeals", **STORAGE)
        step("thresholds", "gate_enforcement_log", **STORAGE)
    with group("decide") as decide:
        chain(
            step("thresholds", "measure", **STORAGE),
            step("thresholds", "watch_published"),
            step("thresholds", "propose_thresholds"),
            step("thresholds", "gate_proposals"),
        )
    with group("publish") as publish:
        chain(
            step("thresholds", "lift_expired", **STORAGE),
            step("thresholds", "publish_within_limits", outlets=[THRESHOLDS], **STORAGE),
            step("thresholds", "advance_canaries", **STORAGE),
        )
    with group("report") as report:
        chain(step("thresholds", "compare_forecasts"), step("thresholds", "write_report"))
    with group("ask") as ask:
        chain(
            AskAPerson(task_id="ask_for_approval", module="thresholds.stage", options=[APPROVE, REJECT]),
            step("thresholds", "write_report", task_id="write_final_report"),
        )
    chain(decide, publish, report, ask)
