"""
## Ask what another goal would do, or request the change

A form for product managers: choose policies, markets and a goal, and see what it would do to the newest day: removals,
wrongful removals and violative views prevented a day, with what can be certified from the labels there are. The answer
is the run's note, the return value of `answer`, and a page under `reports/ad_hoc` (the return value of `write_report`).

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
from include.thresholds.request import GOALS, MOST_DAYS, OWN

config = load_config(config_path())
POLICIES, MARKETS = sorted(config.policies), sorted(config.markets)

PARAMS = {
    "policies": Param(
        POLICIES[:1],
        type="array",
        items={"type": "string", "enum": POLICIES},
        minItems=1,
        uniqueItems=True,
        examples=POLICIES,
        title="Policies",
        description_md=f"One or more, e.g. `{POLICIES[0]}`.",
        section="Which cells",
    ),
    "markets": Param(
        MARKETS[:1],
        type="array",
        items={"type": "string", "enum": MARKETS},
        minItems=1,
        uniqueItems=True,
        examples=MARKETS,
        title="Markets",
        description_md=f"One or more, e.g. `{MARKETS[0]}`. All model versions of the policies there are included.",
        section="Which cells",
    ),
    "goal": Param(
        "as_configured",
        type="string",
        enum=[*GOALS, OWN],
        values_display={
            "as_configured": "As configured",
            "half_as_many_wrongful_removals": "Half as many wrongful removals (95 % becomes 97.5 %)",
            "twice_as_many_wrongful_removals": "Twice as many wrongful removals (95 % becomes 90 %)",
            OWN: "A precision of my own, below",
        },
        title="Goal",
        description_md="How often automatic removals must be right. A looser goal removes more videos.",
        section="What is asked",
    ),
    "precision_percent": Param(
        None,
        type=["null", "number"],
        exclusiveMinimum=0,
        exclusiveMaximum=100,
        title="Precision of my own, in percent",
        description_md="Only with the goal *A precision of my own*. `97`: of 100 automatic removals, at most 3 may be wrong.",
        section="What is asked",
    ),
    "window_days": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=MOST_DAYS,
        title="Days of labels to rest on",
        description_md="Counted back from the newest day, e.g. `28`. Leave empty for each policy's own.",
        section="What is asked",
    ),
    "mode": Param(
        "what_if",
        type="string",
        enum=["what_if", "propose"],
        values_display={"what_if": "What if: only show what would happen", "propose": "Propose: I want the change"},
        title="What if, or propose",
        description_md="*What if* changes nothing. *Propose* publishes what is within limits, and asks somebody else about the rest.",
        section="What is asked",
    ),
    "emergency": Param(
        False,
        type="boolean",
        title="Emergency",
        description_md="A person then decides even what a freeze, a flood or missing labels would hold. Needs a last day, e.g. `2026-12-06`.",
        section="Why and until when",
    ),
    "reason": Param(
        type="string",
        minLength=3,
        pattern=r"\S",
        title="Reason",
        description_md="For who approves it and who reads the ledger later, e.g. `Election week: fewer wrongful removals`.",
        section="Why and until when",
    ),
    "expires_on": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Last day",
        description_md="The change holds through this day, e.g. `2026-12-06`, and is then taken back. Leave empty to let the daily run go on from it.",
        section="Why and until when",
    ),
}

with DAG(
    "recalibrate_ad_hoc",
    params=PARAMS,
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
