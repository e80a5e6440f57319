"""
## Bring an earlier version of the thresholds back

Enter a version of the ledger. The run shows under *Required Actions* what would change, cell by cell; *Roll back*
publishes the thresholds of that version as a new one, and replaces `thresholds.json` in the same run. *Cancel*, or no
answer within `approval.timeout_hours`, changes nothing. The ledger forgets nothing: it only grows.

Reads: `approval_questions`, `threshold_ledger`.

Writes: `approval_questions`, `threshold_ledger`.

Who started the run may confirm it: every version was within limits or approved once, and undoing must not wait for a
second person. The ledger has both names. If anything changed these cells between question and answer, nothing is
published. Versions are listed in the daily report, under *Ledger*.

A rollback lasts until something newer: the next daily run goes on from it. To keep the daily run from changing these
cells again, enter a freeze in `policies.yaml`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `read_request` | no such version, the newest, one that changes nothing, or one whose cells are no longer configured | the run's note says which; start a new run |
| `roll_back` | the ledger or `thresholds.json` was changed by hand, or could not be written | see `recalibrate_thresholds`, *When publication stops*; a cleared task publishes nothing twice |

The run's note and the return value of `roll_back` say what was done.
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
    params={name: Param(**field) for name, field in ROLL_BACK_FIELDS.items()},
    tags=["plumbline", "form", "thresholds"],
    doc_md=__doc__,
    **FORM,
):
    chain(
        form_step("roll_back", "read_request"),
        AskAPerson(
            task_id="roll_back", module="thresholds.roll_back", form=True, options=[CONFIRM, CANCEL], answers=True
        ),
    )
