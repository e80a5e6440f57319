"""
## Bring an earlier version of the thresholds back

Enter a version of the ledger. The run shows under *Required Actions* what would change, cell by cell; *Roll back*
publishes the thresholds of that version as a new one, and replaces `thresholds.json` in the same run. *Cancel*, or no
answer within `approval.timeout_hours`, changes nothing. The ledger forgets nothing: it only grows.

Reads: `approval_questions`, `golden_labels`, `label_consensus`, `quality_results`, `review_sample`, `score_histogram`,
`threshold_ledger`.

Writes: `approval_questions`, `threshold_ledger`.

The table shows what each cell would do in a day like the newest. Cells that would remove no more than now are one
question, and who started the run may confirm it: undoing must not wait for a second person. Cells that would remove
**more** are marked, and are a question of their own, which somebody else has to confirm; if who asked presses *Roll back*
there, it does not count and the question stays. The ledger has both names. If anything changed these cells between question
and answer, nothing is published. Versions are listed on the page *Plumbline*, under *History*.

A rollback lasts until something newer: the next daily run goes on from it. To keep the daily run from changing these
cells again, enter a freeze in `policies.yaml`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `read_request` | the ledger or `thresholds.json` was changed by hand | see `recalibrate_thresholds`, *When publication stops* |
| `roll_back`, `roll_back_riskier` | the same, or the ledger could not be written | see there; a cleared task publishes nothing twice |

A form that cannot be carried out, no such version, the newest, one that changes nothing, is no failure: the run's note says
so. Start a new run.
The run's note and the tasks' return values say what was done.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from include.contract.terms import CANCEL, CONFIRM
from include.orchestration.ask import AskAPerson
from include.orchestration.forms import FORM
from include.orchestration.steps import form_step
from include.thresholds.fields import ROLL_BACK_FIELDS

with DAG(
    "roll_back_thresholds",
    description="Form: brings an earlier version of the thresholds back, after a question.",
    params={name: Param(**field) for name, field in ROLL_BACK_FIELDS.items()},
    tags=["plumbline", "form", "thresholds"],
    doc_md=__doc__,
    **FORM,
):
    chain(
        form_step("roll_back", "read_request"),
        [
            AskAPerson(
                task_id=task_id,
                module="thresholds.roll_back",
                form=True,
                given=[part],
                options=[CONFIRM, CANCEL],
                answers=True,
            )
            for task_id, part in (("roll_back", "no more"), ("roll_back_riskier", "riskier"))
        ],
    )
