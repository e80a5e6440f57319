"""What the daily report is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from include.config.model import Config
from include.contract.cell import Cell
from include.contract.tables import CELL, TABLES
from include.ledger.canaries import Canary

CURVE_COLUMNS = (*CELL, "threshold", "estimate", "bound", "removes")
SAMPLE_COUNT_COLUMNS = (*CELL, "ds", "drawn", "labelled", "final")
ENFORCEMENT_COLUMNS = (*CELL, "action", "threshold_version", "n_videos")


@dataclass(frozen=True)
class ReportData:
    """One day, as frames. Frames named after a table of the contract carry at least its columns.

    day: the day reported on.
    config: the configuration the day ran under.
    proposals: `threshold_proposals` of the day; what people asked for is listed apart and not counted.
    metrics: `policy_metrics` of the window, with `ds`; the rows of `day` are today's, the rest is the trend.
    histogram, design, quality, failures, rejects, ledger: `score_histogram`, `sampling_design`, `quality_results`,
        `gate_failures`, `label_rejects` and `threshold_ledger` of the day.
    reviewers, agreement: `reviewer_quality` and `label_agreement` of the day.
    curves: CURVE_COLUMNS; for candidate thresholds of a cell the estimated precision and its certified lower bound
        (shares in [0, 1], NULL where not stated) and `removes`, the videos a day at or above the threshold.
    sample_counts: SAMPLE_COUNT_COLUMNS; per cell and day of the sample, the videos drawn, those of them with at
        least one counted vote, and those whose consensus is final. None: not available.
    outcomes: `forecast_outcomes` of the days the report sums up, with `ds`.
    completeness: `label_completeness` as of the day. None: not available.
    watch: `threshold_watch` of the day. None: not available.
    appeals: `appeals` of the day; None: the platform delivers none.
    enforcement: ENFORCEMENT_COLUMNS; `enforcement_log` of the day, counted. None: the platform delivers none.
    canaries: what acted on a share of a cell's videos that day.
    usage: `warehouse_usage` of the jobs about the day. None: the warehouse bills nothing.
    uncertified: the cells that removed something though no certificate ever allowed it.

    Raises ValueError naming frame and column where a column is missing, and frame, column and value where a
    proposal or a stratum belongs to a policy or market that the configuration does not know.
    """

    day: date
    config: Config
    proposals: pd.DataFrame
    metrics: pd.DataFrame
    histogram: pd.DataFrame
    design: pd.DataFrame
    quality: pd.DataFrame
    failures: pd.DataFrame
    rejects: pd.DataFrame
    ledger: pd.DataFrame
    reviewers: pd.DataFrame
    agreement: pd.DataFrame
    curves: pd.DataFrame
    outcomes: pd.DataFrame
    sample_counts: pd.DataFrame | None = None
    completeness: pd.DataFrame | None = None
    watch: pd.DataFrame | None = None
    appeals: pd.DataFrame | None = None
    enforcement: pd.DataFrame | None = None
    usage: pd.DataFrame | None = None
    canaries: Mapping[Cell, Canary] = field(default_factory=dict)
    uncertified: frozenset[Cell] = frozenset()

    def __post_init__(self) -> None:
        needs = {
            "proposals": TABLES["threshold_proposals"].column_names,
            "metrics": ("ds", *TABLES["policy_metrics"].column_names),
            "histogram": TABLES["score_histogram"].column_names,
            "design": TABLES["sampling_design"].column_names,
            "quality": TABLES["quality_results"].column_names,
            "failures": TABLES["gate_failures"].column_names,
            "rejects": TABLES["label_rejects"].column_names,
            "ledger": TABLES["threshold_ledger"].column_names,
            "reviewers": TABLES["reviewer_quality"].column_names,
            "agreement": TABLES["label_agreement"].column_names,
            "curves": CURVE_COLUMNS,
            "outcomes": ("ds", *TABLES["forecast_outcomes"].column_names),
            "sample_counts": SAMPLE_COUNT_COLUMNS,
            "completeness": TABLES["label_completeness"].column_names,
            "watch": TABLES["threshold_watch"].column_names,
            "appeals": TABLES["appeals"].column_names,
            "enforcement": ENFORCEMENT_COLUMNS,
            "usage": TABLES["warehouse_usage"].column_names,
        }
        for name, columns in needs.items():
            frame = getattr(self, name)
            missing = [] if frame is None else [c for c in columns if c not in frame.columns]
            if missing:
                raise ValueError(f"report: {name} has no column {', '.join(missing)}")
        for name in ("proposals", "design"):
            frame = getattr(self, name)
            for column, known in (("policy", self.config.policies), ("market", self.config.markets)):
                unknown = sorted(set(frame[column]) - set(known))
                if unknown:
                    raise ValueError(f"report: {name}.{column} {unknown[0]!r} is not configured")

    @property
    def today(self) -> pd.DataFrame:
        """The day's rows of `metrics`."""
        return self.metrics[pd.to_datetime(self.metrics["ds"]).dt.date == self.day]
