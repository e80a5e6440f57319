"""Days of the loop without Airflow: the Dags' steps, called one after another. For tests of what days leave behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from include.config.model import QueueDecisions
from include.contract.grid import reaches
from include.contract.tables import CELL
from include.contract.terms import Uncertified
from include.labels import stage as labels
from include.project import Project, open_project
from include.proposals.approval import Answer
from include.sampling import stage as sampling
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario
from include.thresholds import stage as thresholds
from tests.places import settings_in

START = date(2026, 11, 1)
SAMPLING: tuple[Callable[[Project, date], object], ...] = (
    sampling.gate_scores_input,
    sampling.scan_scores,
    sampling.gate_scores,
    sampling.design_sample,
    sampling.draw_sample,
    sampling.gate_sample,
    sampling.look_up_details,
    sampling.export_review_queue,
)
"""The steps of `sample_for_review`, gates among them."""
RECALIBRATION: tuple[Callable[[Project, date], object], ...] = (
    thresholds.measure,
    thresholds.watch_published,
    thresholds.propose_thresholds,
    thresholds.lift_expired,
    thresholds.publish_within_limits,
    thresholds.advance_canaries,
    thresholds.compare_forecasts,
)
"""The steps of `recalibrate_thresholds` up to its question, without gates and reports."""
APPROVED = Answer("Approve", "ana", "ana")
REJECTED = Answer("Reject", "ana", "ana")


@dataclass(frozen=True)
class History:
    """A simulated platform and the project over it, in `home`. `scenario`: a name, or the path of a .yaml file."""

    home: Path
    scenario: str
    videos_per_day: int
    start: date = START
    uncertified: Uncertified | None = None
    """Of every policy; None: as configured."""

    @property
    def project(self) -> Project:
        project = open_project(settings_in(self.home))
        config = project.config
        if load_scenario(self.scenario).review_queue is not None:
            sampling = config.sampling.model_copy(update={"queue_decisions": QueueDecisions()})
            config = config.model_copy(update={"sampling": sampling})
        if self.uncertified is not None:
            update = {"uncertified": self.uncertified}
            policies = {name: policy.model_copy(update=update) for name, policy in config.policies.items()}
            config = config.model_copy(update={"policies": policies})
        return replace(project, config=config)

    @property
    def platform(self) -> Platform:
        settings = self.project.settings
        return Platform(
            load_scenario(self.scenario, videos_per_day=self.videos_per_day),
            landing=settings.landing,
            queue=settings.queue,
            thresholds=settings.thresholds,
            truth=self.home / "truth",
            start=self.start,
        )

    def day(self, index: int) -> date:
        return self.start + timedelta(days=index)

    def label_day(self, index: int) -> None:
        """Lands the day, draws its sample and takes in its labels. Every gate passes."""
        day, project = self.day(index), self.project
        self.platform.land_day(day)
        sampling.scan_scores(project, day)
        self._pass("scores", day)
        sampling.design_sample(project, day)
        sampling.draw_sample(project, day)
        self._pass("sample", day)
        sampling.export_review_queue(project, day)
        labels.ingest_events(project, day)
        self._pass("labels", day)
        labels.form_consensus(project, day)
        self._pass("consensus", day)

    def run_day(self, index: int, answer: Answer = APPROVED) -> None:
        """Labels the day, and runs the steps that a change takes. A person gives the answer, if one is asked."""
        self.label_day(index)
        day, project = self.day(index), self.project
        thresholds.propose_thresholds(project, day)
        thresholds.publish_within_limits(project, day)
        thresholds.compare_forecasts(project, day)
        approval = thresholds.approval(project, day)
        if approval.question() is not None:
            approval.settle(answer)

    def recalibrate(self, index: int, answer: Answer | None) -> None:
        """The steps of `recalibrate_thresholds` but for gates and reports. `answer` None: nobody is to be asked."""
        day, project = self.day(index), self.project
        for step in RECALIBRATION:
            step(project, day)
        approval = thresholds.approval(project, day)
        asked = approval.question()
        assert (asked is None) == (answer is None), asked
        if answer is not None:
            approval.settle(answer)

    def _pass(self, gate: str, day: date) -> None:
        """Gates have tests of their own and take most of a day's time."""
        passed = {"gate": gate, "table_name": "any", "position": 1, "expectation": "none", "column_name": None}
        passed |= {"severity": "critical", "success": True, "observed": ""}
        self.project.warehouse.replace("quality_results", day, pd.DataFrame([passed]), slice_value=gate)

    def videos(self, index: int) -> pd.DataFrame:
        """Every score of the day with its truth, the remove_at in force and whether it was reached."""
        day = self.day(index)
        scores = pd.concat(
            pd.read_parquet(path) for path in sorted((self.home / "landing" / "video_scores" / f"ds={day}").glob("*"))
        )
        truth = pd.read_parquet(self.home / "truth" / f"ds={day}" / "violating.parquet")[["video_id", "policy"]]
        marked = scores.merge(truth.assign(violating=True), on=["video_id", "policy"], how="left")
        ledger = self.project.warehouse.read("threshold_ledger", None, day - timedelta(days=1))
        levels = {name: policy.start.remove_at for name, policy in self.project.config.policies.items()}
        marked["remove_at"] = marked["policy"].map(levels)
        for version in ledger.sort_values("version").tail(1)["thresholds"]:
            served = pd.DataFrame(json.loads(version))[[*CELL, "remove_at"]].rename(columns={"remove_at": "served"})
            marked = marked.merge(served, on=list(CELL), how="left")
            marked["remove_at"] = marked["served"].fillna(marked["remove_at"])
        return marked.assign(
            violating=marked["violating"].notna(),
            removed=reaches(marked["score"].to_numpy(), marked["remove_at"].to_numpy()),
        )
