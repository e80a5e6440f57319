"""
## Ask what another goal would do, or request the change

A form for product managers: choose policies, markets and a goal, and see what it would do to the newest day: removals,
wrongful removals and violative views prevented a day, with what can be certified from the labels there are. The answer
is the run's note, the return value of `answer`, and a page that it links to (a file under `reports/ad_hoc`, the return value
of `write_report`).

Reads: `appeals`, `approval_questions`, `enforcement_log`, `forecast_outcomes`, `gate_failures`, `golden_labels`,
`label_agreement`, `label_completeness`, `label_consensus`, `label_events`, `label_rejects`, `policy_metrics`,
`quality_results`, `review_sample`, `reviewer_quality`, `sampling_design`, `score_histogram`, `threshold_ledger`,
`threshold_proposals`, `threshold_watch`.

Writes: `approval_questions`, `threshold_ledger`, `threshold_proposals`.

*What if* changes nothing. *Propose* goes on: what is within the guardrails is published at once, the rest waits under
*Required Actions* for somebody else than who asked. Who asked, who approved, the reason and the expiry go into the
ledger.

Without an expiry the daily run goes on from the change the next day, towards the configured goal; to keep a goal,
change it in `policies.yaml`. With an expiry the daily run leaves the cells alone until that day is over, and then gives
them back what they had.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `read_request` | the form cannot be carried out: an unknown market, an impossible goal, a window without final labels, a blank reason | the run's note names the field; start a new run |
| `propose_changes` | the ledger or `thresholds.json` was changed by hand | see `recalibrate_thresholds`, *When publication stops* |
| `gate_request` | a proposal breaks its own rules; nothing was published | report it: this is a defect |
| `publish_within_limits`, `ask_for_approval` | the ledger or `thresholds.json` was changed by hand, or could not be written | see `recalibrate_thresholds`; a cleared task publishes nothing twice |
| `write_report`, `write_final_report`, `answer` | the page could not be written; thresholds are not affected | clear the task |

Not certifiable is no failure: the answer says how many labels are missing. It and the daily run may overlap: the ledger
lets neither overwrite the other, and what lost is recorded as `stale` with its reason.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from include.config.load import load_config
from include.config.settings import config_path
from include.contract.terms import APPROVE, REJECT
from include.orchestration.ask import AskAPerson
from include.orchestration.dags import STORAGE
from include.orchestration.forms import FORM
from include.orchestration.steps import form_step
from include.thresholds.fields import request_fields

FIELDS = request_fields(load_config(config_path()))

with DAG(
    "recalibrate_ad_hoc",
    params={name: Param(**field) for name, field in FIELDS.items()},
    tags=["plumbline", "form", "thresholds"],
    doc_md=__doc__,
    **FORM,
):
    read = form_step("ad_hoc", "read_request")
    day = read.output
    chain(
        form_step("ad_hoc", "propose_changes", day),
        form_step("ad_hoc", "gate_request", day),
        form_step("ad_hoc", "publish_within_limits", day, **STORAGE),
        form_step("ad_hoc", "write_report", day),
        AskAPerson(
            task_id="ask_for_approval", module="thresholds.ad_hoc", form=True, given=[day], options=[APPROVE, REJECT]
        ),
        form_step("ad_hoc", "write_report", day, task_id="write_final_report"),
        form_step("ad_hoc", "answer", day, answers=True, trigger_rule="none_failed"),
    )
