"""The steps of `sample_for_review`. Each reads partitions and replaces one."""

from __future__ import annotations

import logging
from datetime import date, timedelta

import pandas as pd

from include.calibration import calibrate
from include.contract.tables import CELL, TABLES
from include.evidence import accepted, labelled_sample, thresholds_before, window_start
from include.files import write_whole
from include.project import Project
from include.quality import suites
from include.quality.gate import judge, reopen
from include.quality.inspect import inspect_parquet
from include.sampling.design import design
from include.sampling.label_studio import labelling_configuration, tasks
from include.sampling.profile import id_mask, score_histogram, score_profile
from include.sampling.queue import review_queue, sample_ids
from include.warehouse.base import Parameter

log = logging.getLogger(__name__)


def gate_scores_input(project: Project, day: date) -> None:
    """Whether the day's files can be read as video_scores at all. Raises GateFailed."""
    table = TABLES["video_scores"]
    problems = inspect_parquet(table, project.warehouse.landed_files(table.name, day))
    judge(project.warehouse, "scores_input", day, suites.scores_input(table, problems), project.settings.quality_docs)


def scan_scores(project: Project, day: date) -> None:
    """The first scan: score_profile and score_histogram. The day counts for nobody until gate_scores passes it."""
    reopen(project.warehouse, "scores", day)
    rows = project.warehouse.row_count("video_scores", day)
    mask = id_mask(rows)
    log.info("Scanning %d rows of video_scores for %s", rows, day)
    bins = project.warehouse.query("profile_and_histogram", {"ds": day, "id_mask": mask})
    profile = score_profile(bins, mask)
    project.warehouse.replace("score_profile", day, profile)
    project.warehouse.replace("score_histogram", day, score_histogram(bins))
    log.info("Profiled %d cells, %d videos scored", len(profile), profile["n_rows"].sum())


def gate_scores(project: Project, day: date) -> None:
    """Whether the day's scores are fit to sample from. Raises GateFailed."""
    profile = project.warehouse.read("score_profile", day, day)
    history = accepted(project, "score_profile", "scores", day - timedelta(days=7), day - timedelta(days=1))
    judged = suites.scores(profile, history, project.config)
    judge(project.warehouse, "scores", day, judged, project.settings.quality_docs)


def design_sample(project: Project, day: date) -> None:
    """sampling_design, from the day's histogram, the thresholds in force and the labels known the day before."""
    histogram = project.warehouse.read("score_histogram", day, day)
    cells = histogram[list(CELL)].drop_duplicates(ignore_index=True)
    calibration = calibrate(labelled_sample(project, day - timedelta(days=1)), cells)
    strata = design(histogram, thresholds_before(project, day, cells), calibration, project.config)
    project.warehouse.replace("sampling_design", day, strata)
    log.info("Designed %d strata, %.0f labels expected", len(strata), strata["expected_labels"].sum())


def draw_sample(project: Project, day: date) -> None:
    """The second scan: review_sample."""
    drawn = drawn_sample(project, day)
    reopen(project.warehouse, "sample", day)
    project.warehouse.replace("review_sample", day, drawn)
    log.info("Drew %d videos", len(drawn))


def drawn_sample(project: Project, day: date) -> pd.DataFrame:
    """The rows of review_sample that the day's design draws from its scores, whenever it is asked."""
    strata = project.warehouse.read("sampling_design", day, day)
    parameters: dict[str, Parameter] = {
        "ds": day,
        "programme": "audit",
        "salt": project.config.sampling.salt,
        "max_probability": float(strata["inclusion_probability"].max()),
    }
    drawn = project.warehouse.query("draw", parameters)
    identity = drawn["programme"] + f":{day}:" + drawn["policy"] + ":" + drawn["model_version"] + ":"
    drawn["sample_id"] = sample_ids(identity + drawn["video_id"].astype(str))
    return drawn[list(TABLES["review_sample"].column_names)].sort_values("sample_id", ignore_index=True)


def gate_sample(project: Project, day: date) -> None:
    """Whether the sample is the one the design describes. Raises GateFailed."""
    drawn = project.warehouse.read("review_sample", day, day)
    strata = project.warehouse.read("sampling_design", day, day)
    judge(project.warehouse, "sample", day, suites.sample(drawn, strata, project.config), project.settings.quality_docs)


def export_review_queue(project: Project, day: date) -> None:
    """The day's review queue, as files for the review tool: CSV, and Label Studio's tasks with their configuration."""
    drawn = project.warehouse.read("review_sample", day, day)
    answered = accepted(project, "label_events", "labels", window_start(project, day), day - timedelta(days=1))
    queue = review_queue(drawn, project.config, answered=answered)
    folder = project.settings.queue / f"ds={day}"
    write_whole(folder / "label_studio.xml", labelling_configuration().encode())
    write_whole(folder / "label_studio.json", tasks(queue, project.config).encode())
    write_whole(folder / "queue.csv", queue.to_csv(index=False, lineterminator="\n").encode())
    minutes = pd.Series(queue["minutes"]).sum()
    log.info("Exported %d reviews, %.0f reviewer minutes, to %s", len(queue), minutes, folder)
    if nobody := len(drawn.drop_duplicates(["video_id", "policy"])) - len(queue):
        log.warning("%d videos are not asked: everybody on the roster has answered them before", nobody)
