"""Reads from the tables what decisions about retraining rest on, and the rows of a snapshot."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from include.config.model import Policy
from include.contract.cell import Cell, cell_of, records
from include.contract.grid import ThresholdPair, reaches
from include.contract.tables import CELL
from include.evidence.accepted import accepted, passed_days, window_start
from include.evidence.golden import usable_golden
from include.evidence.histograms import histogram_by_period
from include.evidence.sample import certifying_sample, labelled_sample, training_picks
from include.ledger.acceptance import replaced_in, waiting_challengers
from include.ledger.chain import in_order
from include.ledger.in_force import thresholds_before
from include.project import Project
from include.retraining.decision import Evidence
from include.retraining.drift import drift
from include.retraining.reachable import bands_of
from include.retraining.required import required_on_labels


@dataclass(frozen=True)
class Trainable:
    """Labelled draws that a snapshot may hold, with votes; and the golden items, by policy."""

    rows: pd.DataFrame
    golden: dict[str, set[int]]


def trainable(project: Project, day: date) -> Trainable:
    """The labelled probability sample, experts' answers in the place of reviewers', and what was picked besides."""
    consensus = accepted(project, "label_consensus", "consensus", day, day)[["video_id", "policy", "votes", "settled"]]
    probability = certifying_sample(project, day)
    picked = training_picks(project, day)
    rows = pd.concat([probability[~probability["undecided"]], picked], ignore_index=True)
    rows = rows.merge(consensus, how="left", on=["video_id", "policy"], validate="many_to_one")
    settled = rows["settled"].map({"violating": 1.0, "not_violating": 0.0}).astype(float)
    rows = rows.assign(p_violating=settled.fillna(rows["p_violating"]), votes=rows["votes"].fillna(0).astype("int64"))
    known = usable_golden(project.warehouse.read("golden_labels", end=day), project.config)
    golden = {str(name): set(part["item"]) for name, part in known.groupby("policy")}
    return Trainable(rows.drop(columns="settled"), golden)


def evidence_of(project: Project, day: date, rows: pd.DataFrame) -> list[Evidence]:
    """What the decisions of `day` rest on; `rows`: what `trainable` found."""
    config = project.config.on(day)
    labelled, scored = labelled_sample(project, day), passed_days(project, "scores", window_start(project, day), day)
    cells = pd.DataFrame(
        [
            (name, market, version)
            for name, policy in config.policies.items()
            for version in policy.model_versions
            for market in config.markets
        ],
        columns=list(CELL),
    )
    in_force = {
        cell_of(row): ThresholdPair(row["remove_at"], row["review_at"])
        for row in records(thresholds_before(project, day, cells))
    }
    ledger = project.warehouse.read("threshold_ledger", None, day - timedelta(days=1))
    chain = in_order(ledger)
    waiting = {cell[::2] for cell in waiting_challengers(chain, in_force, project.config)}
    replaced = replaced_in(chain)
    handed = project.warehouse.read("training_snapshots", None, day - timedelta(days=1))
    cooling = day - timedelta(days=config.retraining.cooldown_days)
    declined = _declined(project.warehouse.read("retraining_decisions", cooling, day - timedelta(days=1)))
    found = []
    for name, policy in config.policies.items():
        before = handed[handed["policy"] == name].sort_values("ds")
        last = before["ds"].max() if len(before) else None
        for version in policy.model_versions:
            key = (labelled["policy"] == name) & (labelled["model_version"] == version)
            of_rows = rows[(rows["policy"] == name) & (rows["model_version"] == version)]
            new = of_rows if last is None else of_rows[of_rows["sampled_on"] > policy.final_through(last)]
            found.append(
                _evidence(
                    project,
                    Evidence(
                        policy=name,
                        model_version=version,
                        bands=None,
                        required=np.empty(0),
                        labels=len(of_rows),
                        new_labels=len(new),
                        handed_over=last,
                        declined=declined.get(name),
                        other_guideline=_other_guideline(project, name, policy, before, day),
                        challenger=(name, version) in waiting,
                        replaced_by=replaced.get((name, version)),
                    ),
                    labelled[key],
                    scored=scored,
                    in_force=in_force,
                    day=day,
                )
            )
    return found


def _declined(decisions: pd.DataFrame) -> dict[str, date]:
    """By policy, the last day on which a person declined a hand-over; that nobody answered in time is no answer."""
    rows = records(decisions[decisions["decision"] == "declined"].sort_values("ds"))
    return {row["policy"]: row["ds"] for row in rows if json.loads(row["reasons"])["answer"]["by"] is not None}


def _evidence(
    project: Project,
    known: Evidence,
    labelled: pd.DataFrame,
    *,
    scored: set[date],
    in_force: dict[Cell, ThresholdPair],
    day: date,
) -> Evidence:
    """`known` with what the labels, and the scores of their days if they were accepted, say of the model."""
    policy = project.config.policies[known.policy]
    last = policy.final_through(day)
    recent_from = last - timedelta(days=project.config.retraining.recent_days - 1)
    days = set(labelled["sampled_on"])
    model = (known.policy, known.model_version)
    here = {cell[1] for cell in in_force if cell[::2] == model}
    if labelled.empty:
        return known
    counted = histogram_by_period(project, days & scored, *model, recent_from)
    counted = counted[counted["market"].isin(here)]  # others are configured no more
    if counted.empty:
        return known
    labelled = labelled[labelled["market"].isin(set(counted["market"]))]
    labelled = labelled.assign(recent=labelled["sampled_on"] >= recent_from)
    lowest = policy.limits.lowest_remove_at
    bands, asked = bands_of(labelled, counted, lowest), required_on_labels(labelled, policy)
    acting = {market: in_force[known.policy, market, known.model_version] for market in bands.markets}
    return replace(
        known,
        bands=bands,
        required=np.array([asked.get(market, policy.target_precision) for market in bands.markets]),
        recall_in_force=_recall_in_force(labelled[labelled["recent"]], acting, lowest),
        drift=drift(counted, acting),
    )


def _recall_in_force(recent: pd.DataFrame, acting: dict[str, ThresholdPair], lowest: float) -> float | None:
    """Of what violates and may be removed, the weighted share that the thresholds in force remove; None: not known."""
    rows = recent[recent["score"] >= lowest]
    amount = rows["p_violating"].to_numpy(float) / rows["inclusion_probability"].to_numpy(float)
    if not amount.sum():
        return None
    levels = rows["market"].map({market: pair.remove_at for market, pair in acting.items()})
    removed = reaches(np.asarray(rows["score"], dtype=float), np.asarray(levels, dtype=float))
    return float(amount[removed].sum() / amount.sum())


def _other_guideline(project: Project, name: str, policy: Policy, handed: pd.DataFrame, day: date) -> str | None:
    """The guideline version that the model in service was trained under, if it is another than the policy's now.

    That of the last hand-over; before the first one, that of the oldest labels of the window.
    """
    if len(handed):
        trained = handed["guideline_version"].iloc[-1]
        return None if pd.isna(trained) or trained == policy.guideline_version else str(trained)
    events = project.warehouse.read("label_events", policy.window_start(day), day)
    events = events[events["policy"] == name].sort_values(["ds", "labelled_at"])
    if events.empty or events["guideline_version"].iloc[0] == policy.guideline_version:
        return None
    return str(events["guideline_version"].iloc[0])
