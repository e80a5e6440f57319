"""
## Ask what another goal would do, or request the change

A form for product managers: choose policies, markets and a goal, and see what it would do to the newest day: removals,
wrongful removals and violative views prevented a day, with what can be certified from the labels there are. The answer
is the run's note, the return value of its last task, and a page that it links to (a file under `reports/ad_hoc`). A what-if
is one task, `work_out`.

Reads: `appeals`, `approval_questions`, `golden_labels`, `label_consensus`, `label_events`, `quality_results`,
`review_sample`, `reviewer_quality`, `sampling_design`, `score_histogram`, `score_profile`, `threshold_ledger`,
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
| `work_out` | the ledger or `thresholds.json` was changed by hand; or a proposal breaks its own rules, which is a defect; nothing was published | see `recalibrate_thresholds`, *When publication stops*; report a defect; then start the request again |
| `publish_within_limits`, `ask_for_approval` | the ledger or `thresholds.json` was changed by hand, or could not be written | see `recalibrate_thresholds`; a cleared task publishes nothing twice |
| `answer` | the page could not be written; thresholds are not affected | clear the task |

A form that cannot be carried out, an unknown market, an impossible goal, a window without final labels, a blank reason, is
no failure: the run ends as answered, and its note names the field. Start a new run.
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
    description="Form: what another goal would do, or a request for the change.",
    params={name: Param(**field) for name, field in FIELDS.items()},
    tags=["plumbline", "form", "thresholds"],
    doc_md=__doc__,
    **FORM,
):
    worked_out = form_step("ad_hoc", "work_out")
    day = worked_out.output
    chain(
        form_step("ad_hoc", "publish_within_limits", day, **STORAGE),
        AskAPerson(
            task_id="ask_for_approval", module="thresholds.ad_hoc", form=True, given=[day], options=[APPROVE, REJECT]
        ),
        form_step("ad_hoc", "answer", day, answers=True, trigger_rule="none_failed"),
    )
