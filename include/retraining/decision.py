"""Is a policy's model to be retrained?

Drift is judged by its consequence: how much of what violates is still found at the precision asked for. Retraining is
asked for when that recall stayed lost for several days, so that new thresholds did not win it back, and enough labels
exist to learn from.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pandas as pd

from include.config.model import Config
from include.contract.tables import TABLES

Day = date


def decide(
    metrics: pd.DataFrame, volumes: pd.DataFrame, label_counts: pd.DataFrame, *, day: date, config: Config
) -> pd.DataFrame:
    """One row of retraining_decisions for each configured policy and model version, sorted.

    Recall of a policy is that of its markets, weighted by the violating videos each has a day (prevalence x videos, as
    of `day` for every day compared, so that a change of mix is not taken for a change of recall). Only markets that
    state recall and prevalence today count, and only days on which all of them state recall. The reference is the best
    day of the trailing window before the last `consecutive_days`; being the best of noisy estimates it lies a little
    high, which errs towards retraining.

    Args:
        metrics: policy_metrics of the trailing `reference_days` and of `day`, with ds: metrics recall and prevalence.
        volumes: videos a day: policy, market, model_version, n_videos.
        label_counts: labelled draws a snapshot would hold: policy, model_version, labels.
        day: the day decided for.
        config: the section `retraining` sets drop, days and labels.
    """
    counts = {
        (policy, version): int(labels)
        for policy, version, labels in label_counts[["policy", "model_version", "labels"]].itertuples(
            index=False, name=None
        )
    }
    rows = [
        _decide_one(
            policy,
            version,
            metrics=metrics[(metrics["policy"] == policy) & (metrics["model_version"] == version)],
            volumes=volumes[(volumes["policy"] == policy) & (volumes["model_version"] == version)],
            labels=counts.get((policy, version), 0),
            day=day,
            config=config,
        )
        for policy in sorted(config.policies)
        for version in sorted(config.policies[policy].model_versions)
    ]
    frame = pd.DataFrame(rows, columns=list(TABLES["retraining_decisions"].column_names))
    return frame.astype({"recall_now": float, "recall_reference": float})


def _decide_one(
    policy: str,
    version: str,
    *,
    metrics: pd.DataFrame,
    volumes: pd.DataFrame,
    labels: int,
    day: date,
    config: Config,
) -> dict[str, Any]:
    settings = config.retraining
    weights, left_out = _weights(metrics, volumes, day)
    recalls = _recalls(metrics, weights)
    last = [day - timedelta(days=back) for back in range(settings.consecutive_days)]
    first = day - timedelta(days=settings.reference_days)
    reference = {ds: value for ds, value in recalls.items() if first <= ds < last[-1]}
    now = recalls.get(day)
    best_day = max(reference, key=lambda ds: (reference[ds], ds)) if reference else None
    best = None if best_day is None else reference[best_day]
    lost = {ds: best - recalls[ds] for ds in last if best is not None and ds in recalls}
    enough = labels >= settings.min_labels

    if now is None:
        decision, why = "undecided", "no market states recall and prevalence today"
    elif best is None:
        decision, why = "undecided", f"no recall to compare with before {last[-1]}"
    elif lost[day] < settings.recall_drop:
        decision, why = "keep", f"recall lost {lost[day]:.3f}, less than {settings.recall_drop:g}"
    elif any(amount < settings.recall_drop for amount in lost.values()):
        decision, why = "keep", f"recall is not yet lost for {settings.consecutive_days} days in a row"
    elif len(lost) < settings.consecutive_days:
        missing = min(ds for ds in last if ds not in lost)
        decision, why = (
            "undecided",
            f"recall of {missing} is not stated, {settings.consecutive_days} days are asked for",
        )
    elif not enough:
        decision, why = "keep", f"recall is lost, but {labels} labels are fewer than {settings.min_labels}"
    else:
        decision, why = "retrain", f"recall stayed lost for {settings.consecutive_days} days, and labels are enough"
    reasons = {
        "why": why,
        "recall": {
            "now": now,
            "reference": best,
            "reference_day": None if best_day is None else best_day.isoformat(),
            "lost": {ds.isoformat(): amount for ds, amount in sorted(lost.items())},
            "required_drop": settings.recall_drop,
            "required_days": settings.consecutive_days,
            "holds": len(lost) == len(last) and all(amount >= settings.recall_drop for amount in lost.values()),
        },
        "labels": {"available": labels, "required": settings.min_labels, "holds": enough},
        "markets": dict(sorted(weights.items())),
        "markets_left_out": left_out,
    }
    return {
        "policy": policy,
        "model_version": version,
        "decision": decision,
        "reasons": json.dumps(reasons, sort_keys=True, ensure_ascii=False, allow_nan=False),
        "recall_now": now,
        "recall_reference": best,
        "labels_available": labels,
        "labels_required": settings.min_labels,
    }


def _weights(metrics: pd.DataFrame, volumes: pd.DataFrame, day: date) -> tuple[dict[str, float], dict[str, str]]:
    """Each market's share of the policy's violating videos on `day`; and why a market is left out."""
    today = metrics[(metrics["ds"] == day) & metrics["value"].notna()]
    recall, prevalence = (
        dict(zip(rows["market"], rows["value"].astype(float), strict=True))
        for rows in (today[today["metric"] == name] for name in ("recall", "prevalence"))
    )
    videos = dict(zip(volumes["market"], volumes["n_videos"].astype(int), strict=True))
    sources = {"recall": recall, "prevalence": prevalence, "volume": videos}
    violating, left_out = {}, {}
    for market in sorted(set(metrics["market"]) | set(videos)):
        missing = [name for name, values in sources.items() if market not in values]
        if missing:
            left_out[market] = f"no {' and no '.join(missing)} today"
        else:
            violating[market] = prevalence[market] * videos[market]
    total = sum(violating.values())
    if violating and total <= 0:
        return {}, {**left_out, **dict.fromkeys(violating, "nothing violating is estimated")}
    return {market: amount / total for market, amount in violating.items()}, left_out


def _recalls(metrics: pd.DataFrame, weights: dict[str, float]) -> dict[Day, float]:
    """The policy's recall by day, for days on which every weighted market states it."""
    rows = metrics[(metrics["metric"] == "recall") & metrics["market"].isin(weights) & metrics["value"].notna()]
    recalls: dict[Day, float] = {}
    for ds in sorted(set(rows["ds"])):
        stated = rows[rows["ds"] == ds]
        if len(stated) == len(weights):
            recalls[ds] = sum(weights[m] * float(v) for m, v in zip(stated["market"], stated["value"], strict=True))
    return recalls
