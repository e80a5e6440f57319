"""Who looks at the page, and what Airflow lets them do there. Airflow decides; nothing is granted here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

REQUEST_DAG, ROLL_BACK_DAG = "recalibrate_ad_hoc", "roll_back_thresholds"
"""The Dags that a person starts from the page."""

RETRAINING_DAG, ACCEPT_DAG = "hand_off_retraining", "accept_model"
"""The Dags that ask about models."""

RISKIER_TASK = "roll_back_riskier"
"""The task of a rollback that asks about the cells which would remove more than now."""

TELLING_DAG = "send_notifications"
"""The Dag that tells people what happened."""

DAILY_DAGS = ("sample_for_review", "ingest_reviewer_labels", "recalibrate_thresholds", RETRAINING_DAG)
"""The Dags that run once a day, in their order."""

GATE_OF_THE_PAGE = "recalibrate_thresholds"
"""Whoever may read this Dag may read the page."""

SHOWN_DAGS = (*DAILY_DAGS, REQUEST_DAG, ROLL_BACK_DAG, ACCEPT_DAG)


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in.

    Attributes:
        name, id: as Airflow's auth manager knows them; who starts a run or answers a question is recorded so.
        reads: the Dags whose runs and questions they may see.
        starts: the Dags of which they may start a run.
        answers: the Dags whose questions they may answer.
    """

    name: str
    id: str
    reads: frozenset[str] = frozenset()
    starts: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()


def person_of(user: Any, dags: Collection[str] = SHOWN_DAGS) -> Person:
    """The rights of `user`, a user of Airflow's auth manager, on `dags`."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.dag import DagModel

    manager = get_auth_manager()
    details = {dag: DagDetails(id=dag, team_name=DagModel.get_team_name(dag)) for dag in dags}

    def allowed(method: Any, entity: Any) -> frozenset[str]:
        return frozenset(
            dag
            for dag, detail in details.items()
            if manager.is_authorized_dag(method=method, access_entity=entity, details=detail, user=user)
        )

    return Person(
        name=user.get_name() or "",
        id=str(user.get_id()),
        reads=allowed("GET", DagAccessEntity.RUN),
        starts=allowed("POST", DagAccessEntity.RUN),
        answers=allowed("PUT", DagAccessEntity.HITL_DETAIL),
    )
