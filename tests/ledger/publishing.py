"""Publications over the real embedded warehouse, for the tests of ledger, serving file and what is built on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd

from include.config.load import load_config
from include.contract.tables import CELL
from include.contract.terms import Uncertified
from include.ledger.in_force import thresholds_in_force
from include.ledger.publication import Act, PublishResult, publish
from include.project import Project, open_project
from tests.places import settings_in

LOADED = load_config()
CONFIG = LOADED.model_copy(
    update={
        "policies": {
            name: policy.model_copy(update={"uncertified": Uncertified.REMOVE})
            for name, policy in LOADED.policies.items()
        }
    }
)
"""Cells start with a remove_at, so that there is something to move from."""
DAY = date(2026, 11, 10)
NOW = datetime(2026, 11, 11, 3, 0, 0, 250, tzinfo=UTC)
BR, DE = (("violence", market, "violence-v3") for market in ("BR", "DE"))
INITIAL = CONFIG.policies["violence"].initial


def project_in(folder: Path) -> Project:
    return replace(open_project(settings_in(folder)), config=CONFIG)


def proposal(
    identifier,
    cell=BR,
    remove_at=0.95,
    review_at=0.7,
    *,
    current=None,
    status="within_limits",
    origin="daily",
    canary_share=None,
    goal_weight="videos",
):
    current = current or (INITIAL.remove_at, INITIAL.review_at)
    return {
        "proposal_id": identifier,
        "origin": origin,
        **dict(zip(CELL, cell, strict=True)),
        "current_remove_at": current[0],
        "current_review_at": current[1],
        "proposed_remove_at": remove_at,
        "proposed_review_at": review_at,
        "target": 0.95,
        "goal_weight": goal_weight,
        "confidence": 0.9,
        "population": "cell",
        "method": "exact binomial",
        "estimate": 0.98,
        "bound": 0.955,
        "n": 200,
        "canary_share": canary_share,
        "forecast": '{"removes":{"after":12,"before":10}}',
        "verdicts": "[]",
        "status": status,
    }


def carry_out(project: Project, proposals, day=DAY, *, now=NOW, kind="daily", **given) -> PublishResult:
    """Publishes `proposals` as the daily run does, or a run of another kind."""
    arguments = {"requester": "recalibrate_thresholds", "reason": "daily", "evidence": {"review_sample": "aa"}, **given}
    frame = pd.DataFrame(proposals, columns=list(proposal("")))
    return publish(project, frame, Act(day=day, request={"kind": kind}, **arguments), now)


def rows_of(project: Project) -> pd.DataFrame:
    return project.warehouse.read("threshold_ledger")


def in_force(project, before=None, cell=BR):
    rows = rows_of(project)
    cells = pd.DataFrame([cell], columns=list(CELL))
    row = thresholds_in_force(rows, cells, CONFIG, before=before or DAY + timedelta(days=99)).iloc[0]
    return row["remove_at"], row["review_at"]


def three_versions(project) -> pd.DataFrame:
    carry_out(project, [proposal("p1")])
    carry_out(
        project,
        [proposal("p2", remove_at=0.93, current=(0.95, 0.7), status="approved")],
        day=DAY + timedelta(days=1),
        approver="ana",
        now=NOW + timedelta(days=1),
    )
    return rows_of(project)
