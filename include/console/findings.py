"""The third section: what is wrong, why, and what to do about it; nothing where nothing is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pandas as pd

from include.config.model import Config
from include.console.cells import sentence
from include.console.past import Past
from include.console.people import TELLING_DAG
from include.console.state import DagState
from include.contract.cell import Row, cell_of, records
from include.contract.sample import sampling_minutes
from include.ledger.anchor import anchor_problems
from include.ledger.chain import LedgerError
from include.ledger.serving import differences, read_serving
from include.notifications.events import Event
from include.notifications.outbox import is_shown, undeliverable
from include.orchestration.runbook import TASK_OF_GATE, Advice
from include.project import Project
from include.report.decisions import queue_minutes
from include.report.outlook import ALARM_ACTIONS
from include.report.versions import newcomers
from include.wording import duration, percent, plural

Advise = Callable[[str, str], Advice | None]
"""What to do about the failure of a Dag's task."""

LOW_RESPONSE = 0.5
"""A market and policy of which fewer than so many of the final draws were answered is said to lack labels."""
FRESH_DAYS = 3
"""A gate that failed longer ago than the newest so many days is history, shown among the days."""


@dataclass(frozen=True)
class Finding:
    """Something wrong: the verdict, why it is so, what to do, and where.

    Attributes:
        where: of the page: `day` and a day, or `cell` and a cell; None: nowhere in particular.
        run: Dag, run and task in Airflow; None: none in particular.
    """

    kind: Literal["bad", "warn"]
    verdict: str
    reasons: tuple[str, ...]
    todo: str
    where: tuple[str, ...] | None = None
    run: tuple[str, str | None, str] | None = None


def gate_findings(
    quality: pd.DataFrame, days: Sequence[date], states: Sequence[DagState], ask: Advise
) -> list[Finding]:
    """The gates that stop one of the newest days."""
    fresh = sorted(days)[-FRESH_DAYS:]
    failed = quality[quality["ds"].isin(fresh) & (quality["severity"] == "critical") & ~quality["success"].astype(bool)]
    runs = {(state.dag_id, state.day): state.run_id for state in states}
    found = []
    for (day, gate), rows in failed.groupby(["ds", "gate"], sort=True):
        dag_id, _, task = TASK_OF_GATE.get(str(gate), f"/gate_{gate}").partition("/")
        advice = ask(dag_id, task)
        found.append(
            Finding(
                "bad",
                f"{day} is stopped at the gate {str(gate).replace('_', ' ')}",
                tuple(f"{row['observed']}. Must hold: {row['expectation']}." for row in records(rows)),
                "Open the gate's page." if advice is None else advice.todo,
                ("day", str(day)),
                (dag_id, runs.get((dag_id, day)), task) if dag_id else None,  # type: ignore[arg-type]
            )
        )
    return found


def run_findings(states: Sequence[DagState], gates: Sequence[Finding], ask: Advise) -> list[Finding]:
    """Daily Dags that failed elsewhere than at a gate that is told already."""
    told = {(finding.where or ("", ""))[1] for finding in gates}
    found = []
    for state in states:
        if state.task is not None and not (state.task.startswith("gate_") and str(state.day) in told):
            advice = ask(state.dag_id, state.task)
            found.append(
                Finding(
                    "bad",
                    f"{state.title} of {state.day} failed at {state.task}",
                    () if advice is None else (advice.means,),
                    "Read the task's log." if advice is None else advice.todo,
                    ("day", str(state.day)),
                    (state.dag_id, state.run_id, state.task),
                )
            )
    return found


def late_findings(late: Sequence[Event]) -> list[Finding]:
    """Days that are missing or unfinished, whether or not there is a run of them."""
    return [Finding("bad", event.what, (event.effect,), event.todo, ("day", str(event.about))) for event in late]


def message_findings(notifications: pd.DataFrame) -> list[Finding]:
    """What was to be told to somebody and could not be sent. `notifications`: of the last days."""
    shown = [row for row in records(notifications) if is_shown(row)]
    if not shown:
        return []
    todo = (
        "Mend the connection in Airflow, install the provider, or name somebody else in policies.yaml. What waits is "
        "sent by itself then; what was given up is read here."
    )
    subjects = tuple(dict.fromkeys(str(row["subject"]) for row in shown))
    return [Finding("warn", f"{undeliverable(shown)}", subjects, todo, None, (TELLING_DAG, None, ""))]


def alarm_findings(watch: pd.DataFrame) -> list[Finding]:
    """Thresholds that break their promise by the watch."""
    return [
        Finding(
            "bad",
            f"{' '.join(cell_of(row))} breaks its promise",
            (sentence(str(row["reason"])),),
            f"Look at its newest labels and reviewers first; if they are right, {ALARM_ACTIONS[row['action']]}."
            if row["action"] in ALARM_ACTIONS
            else "Look at its newest labels and reviewers.",
            ("cell", *cell_of(row)),
        )
        for row in records(watch[watch["alarm"].astype(bool)])
    ]


def queue_findings(rows: Sequence[Row], design: pd.DataFrame, config: Config) -> list[Finding]:
    """Markets whose reviewers are given more than their minutes, with what would relieve them."""
    queue = queue_minutes(rows, config)
    sample = sampling_minutes(design).to_dict()
    found = []
    for market, setting in sorted(config.markets.items()):
        drawn, sent = float(sample.get(market, 0.0)), queue.get(market, 0.0)
        over = drawn + sent - setting.reviewer_minutes
        if over <= 0:
            continue
        found.append(
            Finding(
                "warn",
                f"{market}: reviewers are given {duration(over)} a day more than they have",
                (
                    f"The sample takes {duration(drawn)} and the queue {duration(sent)} of "
                    f"{duration(setting.reviewer_minutes)} a day.",
                ),
                f"Staff {duration(over)} more (markets.{market}.reviewer_minutes), or let the sample take less "
                "(sampling.minutes_share). Until then the end of the queue is not reviewed.",
            )
        )
    return found


def label_findings(completeness: pd.DataFrame) -> list[Finding]:
    """Policies and markets whose draws stay unanswered."""
    if completeness.empty:
        return []
    newest = completeness[completeness["counted"].astype(bool)]
    last = newest.sort_values("age_days").groupby(["policy", "market", "region"]).tail(1)
    sums = last.groupby(["policy", "market"])[["drawn", "answered"]].sum()
    found = []
    for row in records(sums.reset_index()):
        if row["drawn"] and row["answered"] / row["drawn"] < LOW_RESPONSE:
            found.append(
                Finding(
                    "warn",
                    f"{row['policy']} in {row['market']}: labels are late or missing",
                    (
                        f"Of {plural(int(row['drawn']), 'draw')} that should be final, "
                        f"{percent(row['answered'] / row['drawn'])} were answered.",
                    ),
                    "Ask the review team whether they work the queue; certificates rest on these answers.",
                )
            )
    return found


def version_findings(rows: Sequence[Row]) -> list[Finding]:
    """Model versions without a certified threshold that nobody announced as challengers."""
    return [Finding("warn", new.verdict, (new.reason,), new.todo) for new in newcomers(rows) if not new.challenger]


def ledger_findings(project: Project, past: Past) -> list[Finding]:
    """What is wrong with the ledger, with the file that serving reads, and between the two."""
    settings, chain, found = project.settings, past.chain, list[Finding]()
    noted = [] if settings.anchor is None else anchor_problems(settings.anchor, chain)
    if problems := (*past.problems, *noted):
        found.append(
            Finding(
                "bad",
                "The ledger of thresholds was changed by hand",
                problems,
                "Nothing is published until it is restored from a backup. Find out who could write it; "
                "make verify-ledger names version and column.",
            )
        )
    try:
        served = read_serving(settings.thresholds)
    except FileNotFoundError:
        if chain:
            text = "The file that the platform reads is missing"
            why = f"{settings.thresholds.name} is not there, or the API server does not see it."
            found.append(Finding("bad", text, (why,), "Run the day again: it writes the file from the ledger."))
        return found
    except LedgerError as error:
        todo = "Find out who changed it, remove it and run the day again: it is then written from the ledger."
        return [*found, Finding("bad", "The file that the platform reads cannot be read", (str(error),), todo)]
    last = chain[-1]["version"] if chain else 0
    if not 1 <= served["version"] <= last:
        why = f"It holds version {served['version']}, and the ledger ends at {last}."
        todo = "Restore the ledger, or remove the file if it is the file that is wrong."
        found.append(Finding("bad", "The file that the platform reads is not the ledger's", (why,), todo))
    elif wrong := differences(served, chain[served["version"] - 1]):
        todo = "Find out who changed it, remove it and run the day again: it is then written from the ledger."
        found.append(Finding("bad", "The file that the platform reads was changed by hand", tuple(wrong), todo))
    elif served["version"] < last:
        why = f"It holds version {served['version']}; version {last} is published."
        found.append(
            Finding("warn", "The file that the platform reads is behind", (why,), "The next run of a day writes it.")
        )
    return found
