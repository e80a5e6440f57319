"""What stages may build on: days whose gate passed, and the labelled probability sample as of a day."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.contract.sample import ProbabilitySample
from include.contract.tables import CELL, ESTIMATING_PROGRAMMES
from include.files import canonical_json
from include.labels.asof import usable_golden
from include.project import Project
from include.response import adjusted_for_response, mature_draws
from include.warehouse.base import MissingPartition

_DRAW = ["video_id", "policy", "sampled_on", "model_version"]


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


def labelled_sample(project: Project, day: date) -> ProbabilitySample:
    """Draws of each policy's window, by the programmes estimates rest on, that have a final consensus as of `day`.

    Columns of `review_sample`, p_violating, golden (what experts say, 1 or 0; NaN: nothing) and sampled_on (the day of
    the draw), sorted by cell, day and video. A video drawn by both programmes counts once, with the probability of
    their union; one drawn on several days counts once, on the day its consensus is about. Inclusion probabilities are
    those of being drawn and answered, see `include.response`.
    """
    rows = adjusted_for_response(_mature_draws(project, day, ESTIMATING_PROGRAMMES))
    golden = usable_golden(project.warehouse.read("golden_labels", end=day), project.config)
    known = pd.DataFrame(columns=["policy", "item", "violating"]) if golden is None else golden
    truth = dict(zip(zip(known["policy"], known["item"], strict=True), known["violating"].astype(float), strict=True))
    items = zip(rows["policy"], rows["video_id"], strict=True)
    rows["golden"] = np.array([truth.get(item, np.nan) for item in items], dtype=float)
    return probability_sample(rows.sort_values([*CELL, "sampled_on", "video_id"], ignore_index=True))


def probability_sample(rows: pd.DataFrame) -> ProbabilitySample:
    """`rows` as what estimates may rest on. Raises ValueError naming a row without a known inclusion probability."""
    unknown = ~rows["inclusion_probability"].between(0, 1, inclusive="right")
    if unknown.any():
        row = rows[unknown].iloc[0]
        raise ValueError(f"review_sample: inclusion_probability {row['inclusion_probability']} of {row['sample_id']}")
    return ProbabilitySample(rows)


def training_picks(project: Project, day: date) -> pd.DataFrame:
    """The videos of the window that only the training programme drew, answered: for training, and for nothing else."""
    picked = _mature_draws(project, day, ("training",))
    picked = picked[picked["p_violating"].notna()].sort_values([*CELL, "sampled_on", "video_id"])
    known = _mature_draws(project, day, ESTIMATING_PROGRAMMES)
    return picked[~pd.MultiIndex.from_frame(picked[_DRAW]).isin(pd.MultiIndex.from_frame(known[_DRAW]))].reset_index(
        drop=True
    )


def _mature_draws(project: Project, day: date, programmes: tuple[str, ...]) -> pd.DataFrame:
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day)
    consensus = accepted(project, "label_consensus", "consensus", day, day)
    return mature_draws(drawn, consensus, programmes=programmes, day=day, config=project.config)


def of_cells(sample: ProbabilitySample, cells: pd.DataFrame) -> ProbabilitySample:
    """The rows of `sample` in one of `cells` (policy, market, model_version)."""
    return ProbabilitySample(sample.merge(cells[list(CELL)]))


def enforced(project: Project, day: date) -> pd.DataFrame | None:
    """What the platform did on `day`: policy, market, model_version, action, threshold_version, n_videos, sorted.

    None: it delivers no enforcement_log of that day.
    """
    try:
        counts = project.warehouse.query("enforcement_counts", {"ds": day})
    except MissingPartition:
        return None
    return counts.sort_values(list(counts.columns), ignore_index=True)


def enforced_removals(project: Project, day: date) -> pd.Series | None:
    """Videos the platform removed on `day`, by cell; None: it does not say."""
    counts = enforced(project, day)
    if counts is None:
        return None
    return counts[counts["action"] == "remove"].groupby(list(CELL))["n_videos"].sum()


def fingerprints(project: Project, day: date) -> dict[str, str]:
    """SHA-256 of every partition that certificates as of `day` rest on, by table and day."""
    warehouse, start = project.warehouse, window_start(project, day)
    names = [("label_consensus", day), ("score_histogram", day), ("threshold_watch", day)]
    names += [("review_sample", sampled) for sampled in warehouse.days("review_sample") if start <= sampled <= day]
    found = {f"{table}/{ds}": warehouse.fingerprint(table, ds) for table, ds in names}
    return {name: digest for name, digest in found.items() if digest}


def config_digest(project: Project) -> dict[str, str]:
    """SHA-256 of the configuration's values, by the name of its file."""
    values = canonical_json(project.config.model_dump(mode="json"))
    return {"policies.yaml": hashlib.sha256(values.encode()).hexdigest()}
