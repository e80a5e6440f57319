"""What became of the models: what the wave cost, what was handed over, and what the new version wins back."""

from __future__ import annotations

import json
import textwrap
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from include.contract.cell import records
from include.contract.tables import CELL
from include.contract.terms import AcceptanceStatus
from include.project import Project
from include.retraining.registry import registered_name
from include.simulation.scenario import Evasion
from include.wording import percent

if TYPE_CHECKING:
    from include.simulation.platform import Platform

WIDTH = 118
"""Characters of a line."""


def print_story(project: Project, platform: Platform, last: date) -> None:
    """For each policy that was handed over: the recall that can be reached before, in and after the wave, and why."""
    handed = project.warehouse.read("training_snapshots")
    for row in records(handed.sort_values("ds")):
        policy, asked_on = str(row["policy"]), pd.Timestamp(row["ds"]).date()
        taken = _accepted(project, policy, asked_on)
        waves = [event for event in platform.scenario.events if isinstance(event, Evasion) and policy in event.policies]
        if waves:
            phases = [("before the wave", platform.day_of(waves[0].from_day - 1), str(row["model_version"]))]
            phases += [("in the wave", asked_on, str(row["model_version"]))]
            phases += [("after it", last, str(taken["challenger"]))] if taken is not None else []
            _print_truth(project, platform, policy, waves[0].markets, phases)
        _say(
            f"Day {_number(platform, asked_on)}: retraining of {row['model_version']} was asked for: "
            f"{_why(project, row)}. {row['n_rows']:,} labelled videos were handed over to train the next version of "
            f"{registered_name(policy)}, as MLflow run {row['mlflow_run_id']}."
        )
        if taken is None:
            _say("No new version was accepted yet.")
            continue
        day = _number(platform, pd.Timestamp(taken["ds"]).date())
        _say(f"Day {day}: {taken['challenger']}, which was trained on them, was accepted: {taken['reason']}.")


def _say(text: str) -> None:
    print(textwrap.fill(text, WIDTH, subsequent_indent="   ", break_on_hyphens=False))


def _print_truth(
    project: Project, platform: Platform, policy: str, markets: list[str], phases: list[tuple[str, date, str]]
) -> None:
    settings = project.config.policies[policy]
    target = settings.target_precision
    print(f"\nThe recall that removing {policy} can reach while {percent(target)} of removals are right; the truth:")
    print(f"  {'':<28}" + "".join(f"{market:>8}" for market in markets))
    for what, day, version in phases:
        cells = pd.DataFrame([(policy, market, version) for market in markets], columns=list(CELL))
        asked = {"target": target, "lowest_remove_at": settings.limits.lowest_remove_at}
        best = platform.oracle(day, cells.assign(**asked))
        figures = "".join(f"{one['true_recall']:>8.1%}" for one in records(best))
        print(f"  {f'day {_number(platform, day)}, {what}':<28}{figures}   {version}")


def _accepted(project: Project, policy: str, since: date) -> pd.Series | None:
    """The first acceptance after that day; None: there is none yet."""
    found = project.warehouse.read("model_comparisons", start=since)
    found = found[(found["policy"] == policy) & (found["status"] == AcceptanceStatus.ACCEPTED)]
    return None if found.empty else found.sort_values("ds").iloc[0]


def _why(project: Project, snapshot: dict[str, object]) -> str:
    """What the decision that led to the snapshot says."""
    day = pd.Timestamp(str(snapshot["ds"])).date()
    decisions = project.warehouse.read("retraining_decisions", day, day)
    asked = decisions[decisions["model_version"] == snapshot["model_version"]].iloc[0]
    return str(json.loads(asked["reasons"])["why"])


def _number(platform: Platform, day: date) -> int:
    return (day - platform.start).days + 1
