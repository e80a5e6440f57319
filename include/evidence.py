"""What stages may build on: days whose gate passed, and the labelled probability sample as of a day."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.contract.tables import CELL
from include.project import Project
from include.thresholds.ledger import canonical_json, thresholds_in_force

_ITEM = ["video_id", "policy", "sampled_on"]


def passed_days(project: Project, gate: str, start: date, end: date) -> set[date]:
    """Days from `start` to `end`, inclusive, on which `gate` ran without a critical failure."""
    results = project.warehouse.read("quality_results", start, end, slice_value=gate)
    failed = results[(results["severity"] == "critical") & ~results["success"].astype(bool)]
    return set(results["ds"]) - set(failed["ds"])


def accepted(project: Project, table: str, gate: str, start: date, end: date) -> pd.DataFrame:
    """Rows of `table` from `start` to `end`, of the days that passed `gate`."""
    rows = project.warehouse.read(table, start, end)
    return rows[rows["ds"].isin(passed_days(project, gate, start, end))].reset_index(drop=True)


def window_start(project: Project, day: date) -> date:
    """First day of the longest window any policy uses at `day`."""
    return day - timedelta(days=max(policy.window_days for policy in project.config.policies.values()) - 1)


def labelled_sample(project: Project, day: date) -> pd.DataFrame:
    """Draws of each policy's window that have a final consensus as of `day`.

    Columns of `review_sample`, p_violating and sampled_on (the day of the draw), sorted by cell, day and video. A
    video drawn on several days counts once, on the day its consensus is about.
    """
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    consensus = accepted(project, "label_consensus", "consensus", day, day)
    final = consensus.loc[consensus["status"] == "final", [*_ITEM, "p_violating"]]
    rows = drawn.rename(columns={"ds": "sampled_on"}).merge(final, on=_ITEM)
    policies = project.config.policies
    in_window = [
        (day - sampled).days < policies[policy].window_days
        for policy, sampled in zip(rows["policy"], rows["sampled_on"], strict=True)
    ]
    return rows[np.array(in_window, dtype=bool)].sort_values([*CELL, "sampled_on", "video_id"], ignore_index=True)


def thresholds_before(project: Project, day: date, cells: pd.DataFrame) -> pd.DataFrame:
    """policy, market, model_version, remove_at, review_at in force when `day` began, for each of `cells`."""
    ledger = project.warehouse.read("threshold_ledger")
    return thresholds_in_force(ledger, cells, project.config, before=day)


def fingerprints(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of every partition that certificates as of `day` rest on, by table and day."""
    warehouse, start = project.warehouse, window_start(project, day)
    names = [("label_consensus", day), ("score_histogram", day)]
    names += [("review_sample", sampled) for sampled in warehouse.days("review_sample") if start <= sampled <= day]
    found = {f"{table}/{ds}": warehouse.fingerprint(table, ds) for table, ds in names}
    return {name: digest for name, digest in found.items() if digest}


def config_digest(project: Project) -> dict[str, str]:
    """SHA-256 of the configuration's values, by the name of its file."""
    values = canonical_json(project.config.model_dump(mode="json"))
    return {"policies.yaml": hashlib.sha256(values.encode()).hexdigest()}
