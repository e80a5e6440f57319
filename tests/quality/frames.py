"""Frames that pass every gate, to be broken one cell at a time."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from include.config.load import load_config
from include.contract.schema import empty_frame
from include.contract.tables import BY_VIDEO_AND_POLICY, CELL, TABLES

DAY = date(2026, 11, 3)
CONFIG = load_config()
CELLS = [
    (policy, market, version)
    for policy in CONFIG.policies
    for market in CONFIG.markets
    for version in CONFIG.policies[policy].model_versions
]
STRATA = (("no score", -1, -1, 500, 0.008), ("allow", 0, 799, 9000, 0.002), ("action", 800, 999, 500, 0.04))


def frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """`rows` in the contract's columns and types."""
    empty = empty_frame(TABLES[table])
    types = {name: dtype for name, dtype in empty.dtypes.items() if dtype != "int64" or rows}
    found = pd.DataFrame(rows, columns=list(empty.columns))
    types |= {name: "Int64" for name, dtype in types.items() if dtype == "int64" and found[name].isna().any()}
    return found.astype(types)


def profile(n_rows: int = 10_000) -> pd.DataFrame:
    counts = ("out_of_range_scores", "null_keys", "negative_views", "duplicate_keys")
    row = dict.fromkeys(counts, 0) | {"n_rows": n_rows, "null_scores": n_rows // 20, "checked_share": 1.0}
    row |= {"min_score": 0.0, "mean_score": 0.1, "max_score": 1.0, "views": 5 * n_rows}
    return frame("score_profile", [dict(zip(CELL, cell, strict=True)) | row for cell in CELLS])


def history(days: int = 7) -> pd.DataFrame:
    return pd.concat([profile(10_000 + 100 * day) for day in range(days)], ignore_index=True)


def design() -> pd.DataFrame:
    rows = []
    for cell in CELLS:
        minutes = CONFIG.policies[cell[0]].minutes_per_label
        for stratum, first, last, population, pi in STRATA:
            rows.append(
                dict(zip(CELL, cell, strict=True))
                | {"design_id": "d1", "programme": "audit", "stratum": stratum, "region": "allow"}
                | {"first_bin": first, "last_bin": last, "score_low": None, "score_high": None}
                | {"population": population, "population_views": 5 * population, "inclusion_probability": pi}
                | {"probability_per_view": None}
                | {"expected_labels": population * pi, "expected_minutes": population * pi * minutes, "reason": "test"}
                | {"numbering": BY_VIDEO_AND_POLICY}
            )
    return frame("sampling_design", rows)


def review_sample() -> pd.DataFrame:
    """A Poisson draw under `design()`; one permanent random number a video and policy, shared by the model versions."""
    rng = np.random.default_rng(1)
    offset = {market: 10**6 * number for number, market in enumerate(CONFIG.markets)}
    random = {(policy, market): rng.random(10_000) for policy in CONFIG.policies for market in CONFIG.markets}
    rows = []
    for policy, market, version in CELLS:
        first_video = 0
        for stratum, first, last, population, pi in STRATA:
            for video in range(first_video, first_video + population):
                u = float(random[policy, market][video])
                if u < pi:
                    rows.append(
                        {"sample_id": f"{policy}-{version}-{market}-{video}", "design_id": "d1", "programme": "audit"}
                        | {"video_id": offset[market] + video, "policy": policy, "market": market}
                        | {"model_version": version, "stratum": stratum, "region": "allow"}
                        | {"score": None if first < 0 else (first + (video % (last - first + 1))) / 1000 + 0.0005}
                        | {"views": 5, "programme_probability": pi, "inclusion_probability": pi, "permanent_random": u}
                    )
            first_video += population
    return frame("review_sample", rows)


def label_events(n: int = 100) -> pd.DataFrame:
    row: dict[str, Any] = {
        "policy": "fraud",
        "reviewer_id": "r1",
        "decision": "violating",
        "guideline_version": "2026-1",
        "programme": "audit",
    }
    row |= {"labelled_at": pd.Timestamp("2026-11-03T10:00Z"), "sampled_on": date(2026, 11, 2), "source_file": "a.jsonl"}
    return frame("label_events", [row | {"event_id": f"e{i}", "video_id": i, "source_line": i + 1} for i in range(n)])


def label_rejects(*reasons: str) -> pd.DataFrame:
    row = {"source_file": "b.jsonl", "detail": "decision: maybe", "raw": "{}"}
    return frame("label_rejects", [row | {"reason": r, "source_line": i + 1} for i, r in enumerate(reasons)])


def label_completeness(*answered: int) -> pd.DataFrame:
    """A region for each number of answers to its 40 draws."""
    row = {"policy": "fraud", "market": "BR", "age_days": 1, "drawn": 40, "arrived": 0, "counted": True}
    regions = zip(("allow", "review", "remove"), answered, strict=False)
    rows = [row | {"region": region, "answered": n, "completeness": n / 40} for region, n in regions]
    return frame("label_completeness", rows)


def label_consensus(n: int = 50) -> pd.DataFrame:
    row = {"policy": "fraud", "p_violating": 0.25, "votes": 2, "unsure": 0, "agreement": 1.0, "status": "final"}
    row |= {"method": "dawid_skene", "asked_by": "sample", "sampled_on": date(2026, 11, 2)}
    return frame("label_consensus", [row | {"video_id": i} for i in range(n)])


def threshold_proposals() -> pd.DataFrame:
    """Every second cell certified, the others refused."""
    common = {"origin": "daily", "current_remove_at": 0.98, "current_review_at": 0.8, "target": 0.9, "confidence": 0.9}
    common |= {"goal_weight": "videos"}
    common |= {
        "population": "cell",
        "basis": "consensus",
        "removes_before": 10,
        "reviews_before": 50,
        "forecast": "{}",
        "verdicts": "{}",
    }
    certified = {"proposed_remove_at": 0.95, "proposed_review_at": 0.7, "method": "binomial", "estimate": 0.95}
    certified |= {"bound": 0.92, "n": 120, "removes_after": 11, "reviews_after": 49, "status": "within_limits"}
    refused = {"n": 3, "refusal": "needs about 40 more labels", "labels_needed": 40, "status": "refused"}
    rows = [
        dict(zip(CELL, cell, strict=True)) | {"proposal_id": f"p{i}"} | common | (refused if i % 2 else certified)
        for i, cell in enumerate(CELLS)
    ]
    nullable = {c.name: "float64" for c in TABLES["threshold_proposals"].columns if c.nullable and c.type == "INT64"}
    empty = empty_frame(TABLES["threshold_proposals"]).astype(nullable)
    return pd.DataFrame(rows, columns=list(empty.columns)).astype(dict(empty.dtypes))


def manifest() -> dict[str, Any]:
    """What gate `snapshot` looks at of a training manifest: a sound one of 300 rows of one market."""
    sums = {"violating": 40.0, "weight": 900.0, "weight2": 9000.0}
    groups = [
        {"split": "train", "market": "BR", "rows": 200.0, "positive": 50.0, "unweighted": 5.0, "picked": 5.0, **sums},
        {"split": "test", "market": "BR", "rows": 100.0, "positive": 30.0, "unweighted": 0.0, "picked": 0.0, **sums},
    ]
    sound = dict.fromkeys(("out_of_range", "misplaced", "golden_outside_test"), 0)
    profile = {"rows": 300, "label_age_days": 3, "weights": [1.0, 250.0], "groups": groups, **sound}
    return {"snapshot_id": "fraud-fraud-v2-0123456789ab", "profile": profile}
