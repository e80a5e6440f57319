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
from include.contract.cell import records
from include.contract.change import changes_of
from include.contract.tables import CELL, TABLES

Day = date


def decide(
    metrics: pd.DataFrame, volumes: pd.DataFrame, label_counts: pd.DataFrame, *, day: date, config: Config
) -> pd.DataFrame:
    """One row of retraining_decisions for each configured policy and model version, sorted.

    Recall of a policy is that of its markets, weighted by the violating videos each has a day (prevalence x videos, as
    of `day` for every day compared, so that a change of mix is not taken for a change of recall). A market counts if it
    states recall and prevalence today and recall on a day to compare with. The reference is each market's best day of
    the trailing window before the last `consecutive_days`; being the best of noisy estimates it lies a little high,
    which errs towards retraining.

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


def at_certified_thresholds(metrics: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """`metrics` without the recalls measured at thresholds that nothing certified: those before a cell's first change.

    Recall at a configured start says nothing of the recall at the precision asked for.

    Args:
        metrics: policy_metrics with ds.
        ledger: threshold_ledger with ds.
    """
    first: dict[tuple[str, ...], date] = {}
    for version in records(ledger.sort_values("version")):
        for change in changes_of(version):
            if change.is_lasting:  # metrics are those of the thresholds that act on all videos but a canary's
                first.setdefault(change.cell, version["ds"])
    cells = metrics[list(CELL)].itertuples(index=False, name=None)
    certified = [ds > first.get(cell, date.max) for ds, cell in zip(metrics["ds"], cells, strict=True)]
    return metrics[(metrics["metric"] != "recall") | pd.Series(certified, index=metrics.index, dtype=bool)]


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
    last = [day - timedelta(days=back) for back in range(settings.consecutive_days)]
    recalls = _recalls(metrics)
    best = _best_days(recalls, day - timedelta(days=settings.reference_days), last[-1])
    weights, left_out = _weights(metrics, volumes, day, best)
    counted = {ds: values for ds, values in recalls.items() if ds in last and weights.keys() <= values.keys()}

    def overall(values: dict[str, float]) -> float:
        return sum(weight * values[market] for market, weight in weights.items())

    now = overall(recalls[day]) if weights else None
    reference = overall({market: value for market, (value, _) in best.items()}) if weights else None
    lost = {ds: reference - overall(values) for ds, values in counted.items()} if reference is not None else {}
    enough = labels >= settings.min_labels

    if not weights:
        decision, why = "undecided", f"no market states recall today and on a day before {last[-1]}"
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
            "reference": reference,
            "reference_days": {market: best[market][1].isoformat() for market in sorted(weights)},
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
        "recall_reference": reference,
        "labels_available": labels,
        "labels_required": settings.min_labels,
    }


def _recalls(metrics: pd.DataFrame) -> dict[Day, dict[str, float]]:
    """The stated recalls of each day, by market."""
    rows = metrics[(metrics["metric"] == "recall") & metrics["value"].notna()]
    recalls: dict[Day, dict[str, float]] = {}
    for row in rows.to_dict("records"):
        recalls.setdefault(row["ds"], {})[row["market"]] = float(row["value"])
    return recalls


def _best_days(recalls: dict[Day, dict[str, float]], first: Day, end: Day) -> dict[str, tuple[float, Day]]:
    """Each market's best recall from `first` to before `end`, and its day; the latest of equals."""
    best: dict[str, tuple[float, Day]] = {}
    for ds, values in recalls.items():
        if first <= ds < end:
            for market, value in values.items():
                best[market] = max(best.get(market, (value, ds)), (value, ds))
    return best


def _weights(
    metrics: pd.DataFrame, volumes: pd.DataFrame, day: date, best: dict[str, tuple[float, Day]]
) -> tuple[dict[str, float], dict[str, str]]:
    """Each market's share of the policy's violating videos on `day`; and why a market is left out."""
    today = metrics[(metrics["ds"] == day) & metrics["value"].notna()]
    recall, prevalence = (
        dict(zip(rows["market"], rows["value"].astype(float), strict=True))
        for rows in (today[today["metric"] == name] for name in ("recall", "prevalence"))
    )
    videos = dict(zip(volumes["market"], volumes["n_videos"].astype(int), strict=True))
    sources = {"recall today": recall, "prevalence today": prevalence, "volume today": videos, "reference": best}
    violating, left_out = {}, {}
    for market in sorted(set(metrics["market"]) | set(videos)):
        missing = [name for name, values in sources.items() if market not in values]
        if missing:
            left_out[market] = f"no {' and no '.join(missing)}"
        else:
            violating[market] = prevalence[market] * videos[market]
    total = sum(violating.values())
    if violating and total <= 0:
        return {}, {**left_out, **dict.fromkeys(violating, "nothing violating is estimated")}
    return {market: amount / total for market, amount in violating.items()}, left_out
