"""Is a policy's model to be retrained? Pure: evidence in, rows of retraining_decisions out.

Retraining is asked for where new thresholds cannot win back what was lost (`reachable`), or where reviewers work by
another guideline than the one the model was trained for; and where there is enough to learn from since the last
hand-over, which must not be too recent, nor must be a person's answer that declined one. Each condition stands in
`reasons` with its numbers, whatever was decided.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.model import Config
from include.contract.cell import Row, records
from include.contract.tables import TABLES
from include.retraining.reachable import Bands, Loss, level_of, loss_of

RECALL, GUIDELINE = "recall", "guideline"
"""What retraining is asked for."""


@dataclass(frozen=True)
class Evidence:
    """What a decision about one model rests on.

    Attributes:
        bands: counts of the labels that are final; None: there are none.
        required: precision asked for in each of its markets, as the labels show it.
        recall_in_force: by the same labels, what the thresholds in force find now; None: not known.
        labels, new_labels: labelled videos a snapshot would hold, and of those what came since the last hand-over.
        handed_over: day of the last hand-over of the policy; None: there was none.
        declined: day on which a person last declined one; None: nobody did.
        other_guideline: the guideline version that the model's labels were made under, where it is another now.
        challenger: whether it waits for its acceptance.
        replaced_by: the model version that was given its place; None: it is in service.
        drift: what `include.retraining.drift.drift` found.
    """

    policy: str
    model_version: str
    bands: Bands | None
    required: NDArray[np.float64]
    labels: int
    new_labels: int
    recall_in_force: float | None = None
    handed_over: date | None = None
    declined: date | None = None
    other_guideline: str | None = None
    challenger: bool = False
    replaced_by: str | None = None
    drift: dict[str, Any] = field(default_factory=dict)


def decide(evidence: Sequence[Evidence], *, day: date, config: Config) -> pd.DataFrame:
    """One row of retraining_decisions for each model, sorted by policy and model version."""
    models = max(sum(not one.challenger and one.replaced_by is None for one in evidence), 1)
    rows = [
        _decided(one, day, config, models) for one in sorted(evidence, key=lambda one: (one.policy, one.model_version))
    ]
    frame = pd.DataFrame(rows, columns=list(TABLES["retraining_decisions"].column_names))
    return frame.astype({"recall_now": float, "recall_reference": float})


def with_answers(decisions: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """`decisions` with the answers that people gave to the same ones before: nobody is asked twice.

    Args:
        earlier: the day's decisions as they were recorded before.
    """
    given = {
        (row["policy"], row["model_version"]): (row["decision"], answer)
        for row in records(earlier)
        if (answer := json.loads(row["reasons"]).get("answer")) is not None
    }
    rows = [
        row | _answered(row, *given[row["policy"], row["model_version"]])
        if row["decision"] == "retrain" and (row["policy"], row["model_version"]) in given
        else row
        for row in records(decisions)
    ]
    return decisions.assign(**{name: [row[name] for row in rows] for name in ("decision", "reasons")})


def answered(decisions: pd.DataFrame, *, approved: bool, by: str | None) -> pd.DataFrame:
    """`decisions` with those to retrain answered. `by`: None where nobody answered in time."""
    decision, answer = "retrain" if approved else "declined", {"approved": approved, "by": by}
    rows = [
        row | _answered(row, decision, answer) if row["decision"] == "retrain" and not is_answered(row) else row
        for row in records(decisions)
    ]
    return decisions.assign(**{name: [row[name] for row in rows] for name in ("decision", "reasons")})


def is_answered(row: Row) -> bool:
    """Whether a person answered, or could have in time."""
    return "answer" in json.loads(row["reasons"])


def _answered(row: Row, decision: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"decision": decision, "reasons": _as_json(json.loads(row["reasons"]) | {"answer": answer})}


def _as_json(reasons: dict[str, Any]) -> str:
    return json.dumps(reasons, sort_keys=True, ensure_ascii=False, allow_nan=False)


def lost_recall(one: Evidence, config: Config, models: int) -> Loss:
    """What the model lost of the recall that any threshold could reach; one of so many that are looked at."""
    if one.bands is None:
        return Loss(refusal="no label is final")
    settings = config.retraining
    level = level_of(settings.false_ask, settings.recent_days, models)
    return loss_of(one.bands, one.required, level=level, threshold=settings.recall_drop)


def _decided(one: Evidence, day: date, config: Config, models: int) -> dict[str, Any]:
    settings = config.retraining
    loss = lost_recall(one, config, models)
    ended = max((day for day in (one.handed_over, one.declined) if day is not None), default=None)
    cool = None if ended is None else ended + timedelta(days=settings.cooldown_days)
    enough = one.new_labels >= settings.min_labels
    trigger = RECALL if loss.real else GUIDELINE if one.other_guideline is not None else None
    if one.challenger:
        decision, why = "keep", "it is a challenger, which accept_model compares with the champion"
    elif one.replaced_by is not None:
        decision, why = "keep", f"{one.replaced_by} has its place now"
    elif trigger is None and loss.refusal is not None:
        decision, why = "undecided", loss.refusal
    elif trigger is None and loss.lost < settings.recall_drop:
        decision, why = "keep", f"recall lost {loss.lost:.3f}, less than {settings.recall_drop:g}"
    elif trigger is None:
        decision, why = "keep", f"recall lost {loss.lost:.3f}, which may be luck: the labels are not sure of it"
    elif cool is not None and day < cool:
        what = "it was handed over" if ended == one.handed_over else "a hand-over was declined"
        decision, why = "keep", f"{_asked(trigger, one, loss)}, but {what} on {ended}; wait until {cool}"
    elif not enough:
        said = f"{one.new_labels:,} new labels are fewer than {settings.min_labels:,}"
        decision, why = "keep", f"{_asked(trigger, one, loss)}, but {said}"
    else:
        decision, why = "retrain", f"{_asked(trigger, one, loss)}, and new labels are enough"
    main = loss.falls[0] if loss.falls else None
    reasons = {
        "why": why,
        "recall": {
            "falls": [vars(fall) for fall in loss.falls],
            "lost": loss.lost,
            "required_drop": settings.recall_drop,
            "in_force": one.recall_in_force,
            "won_back": None if main is None or one.recall_in_force is None else main.recent - one.recall_in_force,
            "refusal": loss.refusal,
            "holds": loss.real,
        },
        "guideline": {"trained_under": one.other_guideline, "holds": one.other_guideline is not None},
        "labels": {
            "available": one.labels,
            "new": one.new_labels,
            "required": settings.min_labels,
            "holds": enough,
        },
        "cool_down": {
            "handed_over": None if one.handed_over is None else one.handed_over.isoformat(),
            "declined": None if one.declined is None else one.declined.isoformat(),
            "until": None if cool is None else cool.isoformat(),
            "holds": cool is None or day >= cool,
        },
        "drift": one.drift,
    }
    return {
        "policy": one.policy,
        "model_version": one.model_version,
        "decision": decision,
        "asked_for": trigger,
        "reasons": _as_json(reasons),
        "recall_now": None if main is None else main.recent,
        "recall_reference": None if main is None else main.reference,
        "labels_available": one.labels,
        "labels_required": settings.min_labels,
    }


def _asked(trigger: str, one: Evidence, loss: Loss) -> str:
    if trigger == GUIDELINE:
        return f"the model was trained under guideline {one.other_guideline}, which is no longer the policy's"
    fall = max(loss.falls, key=lambda fall: fall.reference - fall.recent)
    return (
        f"no threshold reaches the recall {fall.what} of {fall.reference:.3f} any more, the best is {fall.recent:.3f}"
    )
