"""
## Take a new model version into service

Compares a challenger with the champion on the *same* probability sample, at the precision that the policy asks for:
both versions' scores of the videos that were drawn for either, labels weighted by their inclusion probability, the gain
in recall with its limits, in all and market by market. Nothing of a model is loaded: what counts is what both versions
wrote into `video_scores`.

Reads: `appeals`, `approval_questions`, `golden_labels`, `label_consensus`, `label_events`, `model_comparisons`,
`quality_results`, `review_sample`, `reviewer_quality`, `sampling_design`, `score_histogram`, `score_profile`,
`threshold_ledger`, `threshold_proposals`, `threshold_watch`, `video_scores`.

Writes: `approval_questions`, `model_comparisons`, `threshold_ledger`, `threshold_proposals`.

Champion and challenger are versions of the registered model `plumbline.<policy>` in MLflow, by the aliases `champion`
and `challenger`, each with the tag `plumbline.model_version`. The run looks for a challenger every day; a form names one
at once, and so does an event of the asset `plumbline://challenger` over the REST API. Nobody is asked twice about the
same registered version, unless by the form.

### What is asked, and in which order things change

A challenger that is better for sure, loses no more than `retraining.acceptance.market_bound` of recall in any market,
and for which a threshold is certified wherever the champion removes, waits under *Required Actions*. *Approve* publishes
the thresholds of its cells as one version first, and moves the aliases after that: `champion` to the challenger,
`previous` to the version before, whose thresholds stay as they are. Until then the daily run leaves the cells of a
configured challenger alone (`policies.<name>.challengers`; `held`, verdict `challenger`): they act as `uncertified` says,
by default review only.

*Undo* gives the alias back to `previous`, and the accepted version's cells the thresholds they had before. Who
asked for it may confirm it, unless it would remove more than now.

### When it is not accepted

The run's note and `model_comparisons` say why: it finds less (`worse`), the labels do not tell yet (`undecided`, with the
number that would decide it), or the sample cannot compare them (`unusable`): one version lacks rows in `video_scores`,
its scores have another scale, the labels hold one class only.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `read_request` | the form cannot be carried out, or the registry lacks something: no champion or challenger, a version that vanished, two that claim the same `model_version`; or MLflow does not answer | the run's note says which, and how to heal it; start a new run |
| `compare_models` | `video_scores` or labels of a day of the window cannot be read, or MLflow does not answer | the message names it; clear the task |
| `gate_request` | a proposal breaks its own rules; nothing was published | report it: this is a defect |
| `ask_for_approval` | the ledger or `thresholds.json` was changed by hand or could not be written, or MLflow does not answer | clear the task: what was approved is carried out from where it was, nothing twice |
| `write_report`, `answer` | the page could not be written; thresholds are not affected | clear the task |
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from include.config.load import load_config
from include.config.settings import config_path
from include.contract.terms import APPROVE, REJECT
from include.orchestration.ask import AskAPerson
from include.orchestration.dags import LOOK_FOR_CHALLENGERS, STORAGE
from include.orchestration.forms import FORM
from include.orchestration.steps import form_step
from include.thresholds.fields import accept_fields

FIELDS = accept_fields(load_config(config_path()))

with DAG(
    "accept_model",
    description="Form, and a daily look: compares a new model version, and takes it into service.",
    params={name: Param(**field) for name, field in FIELDS.items()},
    tags=["plumbline", "form", "retraining"],
    doc_md=__doc__,
    schedule=LOOK_FOR_CHALLENGERS,
    **{name: value for name, value in FORM.items() if name != "schedule"},
):
    read = form_step("accept", "read_request")
    day = read.output
    chain(
        form_step("accept", "compare_models", day, **STORAGE),
        form_step("accept", "gate_request", day),
        form_step("accept", "write_report", day),
        AskAPerson(
            task_id="ask_for_approval", module="thresholds.accept", form=True, given=[day], options=[APPROVE, REJECT]
        ),
        form_step("accept", "answer", day, answers=True, trigger_rule="none_failed_min_one_success"),
    )
