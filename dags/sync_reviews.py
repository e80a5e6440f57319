"""
## Send the queues to Label Studio, and fetch its answers

For teams that review in Label Studio and do not want to carry files (docs/review_tools.md): sends what is asked and is
not there yet, and lands what was answered for the day's `ingest_reviewer_labels`. Runs every hour, at a quarter to. It
needs the Airflow connection `plumbline_label_studio`, without which both tasks are skipped, and it is paused until
somebody unpauses it. No other Dag waits for it.

Reads: `reviewer_labels`.

Writes: `reviewer_labels`.

### When a task fails

| task | what it means | what to do |
|---|---|---|
| `send_queue` | Label Studio does not answer, twice retried; or refuses the token, a project or the tasks | if it is down, wait: the next run sends what is missing. Else the message names what to mend: the token or a project in the connection, or the project's labelling interface, which is `label_studio.xml` of the day; then clear the task |
| `fetch_answers` | Label Studio does not answer, twice retried; or refuses the token or a project | the same: the next run fetches what was answered meanwhile. What was fetched before stays |

A project that is refused keeps no other from being served. A rerun sends no task and lands no annotation twice. Labels
that come after the sample day has closed count for nothing: a server that is down for longer than the policies'
`maturity_days` loses labels, and the page shows the draws as unanswered.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.orchestration.dags import COMMON, EVERY_HOUR, STORAGE
from include.orchestration.steps import clock_step

with DAG(
    "sync_reviews",
    description="Sends the review queues to Label Studio and fetches its answers.",
    schedule=EVERY_HOUR,
    is_paused_upon_creation=True,
    tags=["plumbline", "labels"],
    doc_md=__doc__,
    **{**COMMON, "params": {}},
):
    clock_step("review_tools", "send_queue", **STORAGE)
    clock_step("review_tools", "fetch_answers", **STORAGE)
