"""`make try`: the daily Dags run on a pair of files that was imported, and each cell's threshold or refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include import wording
from include.contract.cell import Row, cell_of, records
from include.contract.change import DAILY
from include.contract.grid import ThresholdPair

if TYPE_CHECKING:
    from include.project import Project

CONFIG = "policies.yaml"


def enter(home: Path) -> None:
    """Makes `home` the place that settings start from; to be called before anything reads it."""
    os.environ.update(PLUMBLINE_HOME=str(home.resolve()), PLUMBLINE_CONFIG=CONFIG)


def run(first: date, second: date) -> list[str]:
    """Runs the Dags on both days in the home that was entered; what became of each cell, in words.

    Somebody who answers every question with yes is scripted: these thresholds act nowhere.

    Raises:
        RunFailed: a Dag failed; the message names its tasks, and the log file says why.
    """
    from include.local.console import quiet, shown_path
    from include.local.environment import AIRFLOW_HOME, enter_airflow

    log = AIRFLOW_HOME.parent / "data" / "try.log"
    with quiet(log) as console:
        enter_airflow()
        from include.local.metadata import apply_settings, migrate
        from include.local.runs import RunFailed, load_dags, run_dag

        console.say("Preparing Airflow's metadata database ...")
        migrate()
        apply_settings()
        dags = load_dags()
        steps = [("sample_for_review", first), *((dag_id, second) for dag_id in DAGS)]
        for number, (dag_id, day) in enumerate(steps, start=1):
            console.status(f"{number}/{len(steps)}  {dag_id} of {day} ...")
            try:
                run_dag(dags[dag_id], day, _yes)
            except RunFailed as error:
                raise RunFailed(f"{error}. See {shown_path(log)}") from error
        console.say(f"{len(steps)} runs of {len(DAGS)} Dags are done.")
    from include.config.declared import declared_settings
    from include.project import open_project

    return list(in_words(open_project(declared_settings()), second))


DAGS = ("sample_for_review", "ingest_reviewer_labels", "recalibrate_thresholds", "hand_off_retraining")


def _yes(subject: str, body: str) -> str:  # noqa: ARG001
    return "Approve"


def in_words(project: Project, day: date) -> Iterator[str]:
    """What the daily run of `day` came to for each cell."""
    from include.ledger.chain import TABLE, in_order, thresholds_of

    proposals = project.warehouse.read("threshold_proposals", day, day, slice_value=DAILY)
    chain = in_order(project.warehouse.read(TABLE))
    in_force = thresholds_of(chain[-1]) if chain else {}
    for row in sorted(records(proposals), key=cell_of):
        yield f"{row['policy']} in {row['market']} by {row['model_version']}: {_outcome(row, in_force)}"


def _outcome(row: Row, in_force: dict[tuple[str, str, str], ThresholdPair]) -> str:
    pair, labels = in_force.get(cell_of(row)), wording.plural(int(row["n"]), "label")
    if pair is not None and pair.remove_at < 1 and row["bound"] is not None and row["refusal"] is None:
        bound, confidence = wording.percent(row["bound"], down=True), wording.percent(row["confidence"])
        return (
            f"remove from {wording.score(pair.remove_at)} on. At least {bound} of that is right, at {confidence} "
            f"confidence ({labels}); {wording.percent(row['target'])} was asked."
        )
    why = str(row["refusal"] or "the labels call for none").rstrip(".")
    return f"no threshold. {why[:1].upper()}{why[1:]}."


def show() -> None:
    """Opens Airflow's UI over the home that was entered, and says where the page is."""
    from include.local.environment import AIRFLOW_HOME

    done = subprocess.run(
        [sys.executable, "-m", "include.local.server", "up"], check=False, stdout=subprocess.PIPE, text=True
    )
    print(done.stdout, end="")
    if done.returncode:
        return
    url = next(line.split(": ", 1)[1] for line in done.stdout.splitlines() if line.startswith("Airflow UI: "))
    page = f"{url}/plumbline/"
    home = AIRFLOW_HOME.parent
    print(f"The page: {page}\nTo stop it: PLUMBLINE_HOME={home} PLUMBLINE_CONFIG={CONFIG} make down")
    if sys.stdout.isatty():
        import webbrowser

        webbrowser.open(page)
