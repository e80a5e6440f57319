"""The rows of threshold_watch: each published change's wealth of the day before, and what the day adds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pandas as pd

from include.certificates.certify import weights
from include.certificates.reviewer_error import settled_by_experts
from include.config.model import Config
from include.contract.cell import NO_DRAWS, Cell, by_cell, cell_of, records
from include.contract.grid import ThresholdPair, reaches
from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES
from include.evidence.sample import certifying_sample
from include.ledger.chain import TABLE, in_order
from include.project import Project
from include.proposals.guardrails import Alarm
from include.proposals.populations import aim_of
from include.watch.appeals import Known, WatchedAppeals, appeals_counted
from include.watch.e_values import Wealth, alarm_at, with_labels
from include.watch.settled import answers, rely_on_experts
from include.watch.watched import WatchedChange, safer, watched_changes

_TABLE = TABLES["threshold_watch"]
Rows = Mapping[tuple[Cell, int], Mapping[str, Any]]
"""By cell and version."""


def watch_rows(project: Project, day: date, in_force: pd.DataFrame) -> pd.DataFrame:
    """threshold_watch of `day`: every remove_at that acts in a cell of `in_force` (as thresholds_before), and canaries.

    It goes on from the last earlier day on which the same version was watched, and counts the days that became final
    since, each once.
    """
    chain = in_order(project.warehouse.read(TABLE, None, day - timedelta(days=1)))
    levels = {cell_of(row): ThresholdPair(row["remove_at"], row["review_at"]) for row in records(in_force)}
    items = watched_changes(chain, levels)
    if not items:
        return empty_frame(_TABLE)
    earlier = _earlier(project, min(item.rests_on for item in items), day)
    sample = certifying_sample(project, day)
    draws, golden = by_cell(sample), settled_by_experts(sample)
    rows, known = [], []
    for item in items:
        policy = project.config.policies[item.cell[0]]
        promised = item.target or policy.target_precision
        start = _start(item, earlier)
        above = draws.get(item.cell, NO_DRAWS)
        above = above[reaches(above["score"].to_numpy(float), item.remove_at)]
        above = above.assign(weight=weights(above, by_views=item.by_views))
        experts = project.config.markets[item.cell[1]].experts is not None
        experts = experts and rely_on_experts(above[above["sampled_on"] <= start["through"]])
        limit = promised if experts else aim_of(golden, project.config, item.cell, promised).refuted_below
        above = above.assign(answer=answers(above, experts=experts))[above["weight"] > 0]
        final = project.config.settled_through(*item.cell[:2], day)
        rows.append({**_labels(start, above, limit=limit, final=final), "promised": promised})
        known.append(Known(item, start["appeals"], promised))
    rows = [
        row | {"appeals": found} for row, found in zip(rows, appeals_counted(project, chain, known, day), strict=True)
    ]
    frame = pd.DataFrame([_finished(row, project.config) for row in rows], columns=list(_TABLE.column_names))
    shares = ("estimate", "safe_remove_at", "safe_review_at")
    return frame.astype(dict.fromkeys(shares, float)).sort_values([*CELL, "version"], ignore_index=True)


def alarms(rows: pd.DataFrame) -> dict[Cell, Alarm]:
    """What `rows` of threshold_watch ask of the day's proposals, by cell; a canary asks nothing, it ends."""
    return {
        cell_of(row): Alarm(
            row["reason"],
            ThresholdPair(row["safe_remove_at"], row["safe_review_at"]),
            row["action"] == "roll_back",
        )
        for row in records(rows[rows["alarm"].astype(bool) & (rows["share"] == 1)])
    }


def _earlier(project: Project, first: date, day: date) -> Rows:
    """The last row before `day` of each change."""
    rows = project.warehouse.read("threshold_watch", first, day - timedelta(days=1))
    return {(cell_of(row), row["version"]): row for row in records(rows.sort_values("ds", kind="stable"))}


def _start(item: WatchedChange, earlier: Rows) -> dict[str, Any]:
    """The row of the day before, or what is known of a change before anything is counted."""
    row = earlier.get((item.cell, item.version))
    shared = {
        **dict(zip(CELL, item.cell, strict=True)),
        "version": item.version,
        "since": item.rests_on + timedelta(days=1),
        "remove_at": item.remove_at,
        "before": item.before,
        "share": item.share,
    }
    if row is not None:
        through, wealth = pd.Timestamp(row["through"]).date(), Wealth.from_json(row["state"])
        return shared | {"through": through, "wealth": wealth, "appeals": WatchedAppeals.of(row)}
    return shared | {"through": item.rests_on, "wealth": Wealth(), "appeals": None}


def _labels(row: Mapping[str, Any], above: pd.DataFrame, *, limit: float, final: date) -> dict[str, Any]:
    """`row` with the draws of the days after `through`, up to `final`; `above`: with weight and answer."""
    wealth, heaviest = row["wealth"], float(above["weight"].max())
    fresh = above[(above["sampled_on"] > row["through"]) & (above["sampled_on"] <= final)]
    for _, some in fresh.groupby("sampled_on"):
        wealth = with_labels(wealth, some["answer"], some["weight"], target=limit, heaviest=heaviest)
    return {**row, "wealth": wealth, "limit": limit, "through": max(row["through"], final)}


def _finished(row: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The row with what follows from its wealth."""
    wealth = row["wealth"]
    appeals, contested = row["appeals"], row["appeals"].contested
    bar = alarm_at(config.watch.alpha, appeals=appeals.through is not None)
    spoke = [_labels_say(row, bar)] if wealth.highest >= bar else []
    spoke += [_appeals_say(row, bar)] if contested.highest >= bar else []
    alarm = bool(spoke)
    if row["share"] < 1:
        safe, action = row["before"], "end_canary"
    else:
        safe = safer(row["remove_at"], row["before"], config.policies[row["policy"]].start)
        action = config.watch.on_alarm
    return {
        **row,
        "n": wealth.n,
        "estimate": wealth.estimate,
        "e_value": wealth.e_value,
        "highest_e_value": wealth.highest,
        "state": wealth.to_json(),
        "appeals_through": appeals.through,
        "appeals_remark": appeals.remark,
        "removals": contested.removals,
        "overturned": contested.overturned,
        "appeals_e_value": contested.e_value,
        "highest_appeals_e_value": contested.highest,
        "alarm_at": bar,
        "alarm": alarm,
        "action": action if alarm else "none",
        "safe_remove_at": safe.remove_at,
        "safe_review_at": safe.review_at,
        "reason": _words(row, spoke) if alarm else None,
    }


def _words(row: Mapping[str, Any], spoke: list[str]) -> str:
    return f"alarm: since version {row['version']} set remove_at {row['remove_at']:g}, {', and '.join(spoke)}"


def _labels_say(row: Mapping[str, Any], bar: float) -> str:
    wealth = row["wealth"]
    return (
        f"{wealth.n} labels from {row['since']} on put precision at {wealth.estimate:.3f}, at least "
        f"{row['limit']:.3f} keeps the promise (e-value {wealth.highest:.3g}, alarm at {bar:g})"
    )


def _appeals_say(row: Mapping[str, Any], bar: float) -> str:
    found = row["appeals"].contested
    return (
        f"appeals overturned {found.overturned} of {found.removals} removals, so precision is at most "
        f"{1 - found.overturned / found.removals:.3f}, {row['promised']:.3f} was promised (e-value "
        f"{found.highest:.3g}, alarm at {bar:g})"
    )
