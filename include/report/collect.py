"""Collects what the daily report shows, from the tables."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.util import hash_pandas_object

from include.certificates.certify import Goal, curve
from include.certificates.reviewer_error import settled_by_experts
from include.contract.cell import by_cell, records
from include.contract.change import DAILY
from include.contract.grid import first_bin
from include.contract.tables import CELL, N_BINS
from include.evidence.accepted import accepted, window_start
from include.evidence.enforcement import enforced
from include.evidence.histograms import histogram_of
from include.evidence.sample import certifying_sample
from include.files import digest_of
from include.ledger.canaries import canaries
from include.ledger.chain import in_order
from include.ledger.in_force import without_certificate
from include.project import Project
from include.proposals.populations import aim_of
from include.report.answer import AnswerData
from include.report.data import CURVE_COLUMNS, SAMPLE_COUNT_COLUMNS, ReportData

OUTCOME_DAYS = 90
"""Days whose comparisons of forecasts the report sums up."""
_FINE_FROM = 900
"""Bin from which a curve has a point every 0.004; below, every 0.02. Thresholds mostly lie above."""


def report_data(project: Project, day: date, *, usage: pd.DataFrame | None = None) -> ReportData:
    """Everything the report of `day` is built from; `usage`: warehouse_usage of late."""
    warehouse = project.warehouse
    proposals = warehouse.read("threshold_proposals", day, day)
    histogram = warehouse.read("score_histogram", day, day)
    start = window_start(project, day)
    metrics = warehouse.read("policy_metrics", start, day)
    appeals = warehouse.read("appeals", day, day)
    chain = in_order(warehouse.read("threshold_ledger", None, day - timedelta(days=1)))
    levels = proposals[proposals["origin"] == DAILY].rename(columns={"current_remove_at": "remove_at"})
    return ReportData(
        day=day,
        config=project.config,
        proposals=proposals,
        metrics=metrics[metrics["population"] == "cell"],
        histogram=histogram,
        design=warehouse.read("sampling_design", day, day),
        quality=warehouse.read("quality_results", day, day),
        failures=warehouse.read("gate_failures", day, day),
        rejects=warehouse.read("label_rejects", day, day),
        ledger=warehouse.read("threshold_ledger", day, day),
        reviewers=warehouse.read("reviewer_quality", day, day),
        agreement=warehouse.read("label_agreement", day, day),
        curves=certified_curves(project, certifying_sample(project, day), histogram),
        sample_counts=sample_counts(project, day),
        outcomes=warehouse.read("forecast_outcomes", day - timedelta(days=OUTCOME_DAYS - 1), day),
        completeness=warehouse.read("label_completeness", day, day),
        watch=warehouse.read("threshold_watch", day, day),
        appeals=appeals if warehouse.delivers("appeals") else None,
        enforcement=enforced(project, day),
        usage=None if usage is None else usage[usage["about_day"] == day],
        canaries=canaries(chain),
        uncertified=without_certificate(chain, levels[[*CELL, "remove_at"]]),
    )


def answer_data(project: Project, day: date, origin: str, *, asked: str, reason: str) -> AnswerData:
    """What the answer to a person's request is built from: its cells alone.

    Args:
        project: with the configuration that the request's goals are part of.
        origin: of its proposals.
        asked, reason: who asked for what, in a sentence, and why.
    """
    rows = project.warehouse.read("threshold_proposals", day, day, slice_value=origin)
    histogram = histogram_of(project, [day], rows)
    curves = certified_curves(project, certifying_sample(project, day), histogram)
    return AnswerData(day, project.config, records(rows), curves, histogram, asked, reason)


_REMEMBERED: dict[str, pd.DataFrame] = {}
"""The curves that this process computed last, by what they rest on."""


def certified_curves(project: Project, sample: pd.DataFrame, histogram: pd.DataFrame) -> pd.DataFrame:
    """Estimated precision with its certified lower bound, and removals a day, by cell and candidate threshold.

    Remembered until others are computed: where a person is asked, a report is written before and after, and its curves
    take half of its time.
    """
    values = [hash_pandas_object(frame).to_numpy().tobytes().hex() for frame in (sample, histogram)]
    key = digest_of([project.config.model_dump(mode="json"), *values])
    if key not in _REMEMBERED:
        found = _certified_curves(project, sample, histogram)
        _REMEMBERED.clear()
        _REMEMBERED[key] = found
    return _REMEMBERED[key].copy()


def _certified_curves(project: Project, sample: pd.DataFrame, histogram: pd.DataFrame) -> pd.DataFrame:
    volumes, golden = by_cell(histogram), settled_by_experts(sample)
    parts = [pd.DataFrame(columns=list(CURVE_COLUMNS))]
    for cell, rows in by_cell(sample.merge(histogram[list(CELL)].drop_duplicates())).items():
        policy = project.config.policies[cell[0]]
        judged = rows[rows["score"] >= policy.limits.lowest_remove_at]
        aim = aim_of(golden, project.config, cell)
        goal = Goal("precision", at_least=aim.share, weight="views" if policy.by_views else None)
        found = curve(judged, goal, confidence=aim.confidence, candidates=_candidates(policy.limits.lowest_remove_at))
        found["estimate"], found["bound"] = aim.true_estimate(found["estimate"]), aim.true_bound(found["bound"])
        bins = volumes[cell].set_index("bin")["n_videos"].reindex(range(N_BINS), fill_value=0)
        above = bins[::-1].cumsum()[::-1]
        found["removes"] = [int(above[first_bin(threshold)]) for threshold in found["threshold"]]
        found[list(CELL)] = cell
        parts.append(found[list(CURVE_COLUMNS)])
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _candidates(lowest: float) -> npt.NDArray[np.float64]:
    coarse = np.arange(first_bin(lowest), _FINE_FROM, 20)
    return np.append(coarse, np.arange(_FINE_FROM, N_BINS, 4)) / N_BINS


def sample_counts(project: Project, day: date) -> pd.DataFrame:
    """Per cell and sample day of the window: videos drawn, those with a vote counted, those with a final consensus."""
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), day - timedelta(days=1))
    items = project.warehouse.read("label_consensus", day, day)[["video_id", "policy", "votes", "status"]]
    rows = drawn.merge(items, on=["video_id", "policy"], how="left")
    counts = rows.assign(labelled=rows["votes"] > 0, is_final=rows["status"] == "final").groupby([*CELL, "ds"])
    found = counts.agg(drawn=("video_id", "size"), labelled=("labelled", "sum"), final=("is_final", "sum"))
    return found.reset_index()[list(SAMPLE_COUNT_COLUMNS)]
