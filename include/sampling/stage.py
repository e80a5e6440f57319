"""The steps of `sample_for_review`. Each reads partitions and replaces one."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta

import pandas as pd

from include.config.model import Config
from include.config.settings import EXPERTS, REVIEWERS
from include.contract.cell import Cell, cell_of, records
from include.contract.schema import empty_frame
from include.contract.tables import CELL, REVIEW_QUEUE, TABLES
from include.evidence.accepted import accepted, window_start
from include.evidence.calibration import calibrate
from include.evidence.golden import usable_golden
from include.evidence.sample import labelled_sample
from include.files import write_whole
from include.ledger.acceptance import waiting_challengers
from include.ledger.canaries import canaries
from include.ledger.chain import in_order
from include.ledger.in_force import thresholds_before
from include.project import Project
from include.quality import suites
from include.quality.gate import judge, reopen
from include.sampling.cells import Queued
from include.sampling.design import design
from include.sampling.details import contradicted, details_of
from include.sampling.draw import draw_parameters, sample_rows
from include.sampling.golden import LOOKBACK_DAYS, draw_golden, golden_design, golden_pool
from include.sampling.label_studio import labelling_configuration, tasks
from include.sampling.profile import id_mask, score_histogram, score_panel, score_profile
from include.sampling.queue import as_csv, expert_queue, review_queue
from include.sampling.review_queue import not_expected_to_answer, queued_bins
from include.sampling.second_look import draw_second_look, second_look_design, second_look_pool
from include.warehouse.base import MissingPartition, UnreadablePartition

log = logging.getLogger(__name__)


def gate_scores_input(project: Project, day: date) -> None:
    """Whether the day's files can be read as video_scores at all. Raises GateFailed."""
    table = TABLES["video_scores"]
    problems = project.warehouse.input_problems(table.name, day)
    judge(project.warehouse, "scores_input", day, suites.scores_input(table, problems), project.settings.quality_docs)


def scan_scores(project: Project, day: date) -> None:
    """The first scan: score_profile, score_histogram and score_panel.

    The day counts for nobody until gate_scores passes it.
    """
    rows = project.warehouse.row_count("video_scores", day)
    mask = id_mask(rows)
    log.info("Scanning %d rows of video_scores for %s", rows, day)
    bins = project.warehouse.query("profile_and_histogram", {"ds": day, "id_mask": mask})
    reopen(project.warehouse, "scores", day)  # after the query: a task that waited for it begins anew
    profile = score_profile(bins, mask)
    project.warehouse.replace("score_profile", day, profile)
    project.warehouse.replace("score_histogram", day, score_histogram(bins))
    project.warehouse.replace("score_panel", day, score_panel(bins))
    log.info("Profiled %d cells, %d videos scored", len(profile), profile["n_rows"].sum())


def gate_scores(project: Project, day: date) -> None:
    """Whether the day's scores are fit to sample from; a few cells that are not are set aside. Raises GateFailed.

    Also raises ValueError if a cell that was set aside would count now: its histogram has to be counted anew.
    """
    profile = project.warehouse.read("score_profile", day, day)
    history = accepted(project, "score_profile", "scores", day - timedelta(days=7), day - timedelta(days=1))
    history, config = history[history["set_aside"].isna()], project.config.on(day)
    _set_aside(project, day, profile, suites.set_aside(profile, history, config))
    judged = suites.scores(profile, history, config)
    judge(project.warehouse, "scores", day, judged, project.settings.quality_docs)


def _set_aside(project: Project, day: date, profile: pd.DataFrame, reasons: pd.Series) -> None:
    """Keeps why cells are set aside, and takes them out of the day's histogram, which all that follows rests on."""
    before = profile["set_aside"]
    back = profile.loc[before.notna() & reasons.isna(), list(CELL)].to_numpy()
    if len(back):
        raise ValueError(
            f"{'/'.join(back[0])}: it was set aside on {day}, and would count now; clear scan_scores of that day, "
            "which counts its scores anew, and what follows"
        )
    if reasons.isna().all():
        return
    project.warehouse.replace("score_profile", day, profile.drop(columns="ds").assign(set_aside=reasons))
    histogram = project.warehouse.read("score_histogram", day, day).drop(columns="ds")
    aside = pd.MultiIndex.from_frame(profile.loc[reasons.notna(), list(CELL)])
    kept = histogram[~pd.MultiIndex.from_frame(histogram[list(CELL)]).isin(aside)]
    project.warehouse.replace("score_histogram", day, kept)
    names = profile.loc[reasons.notna(), list(CELL)].agg("/".join, axis=1)
    log.warning(
        "%d of %d cells are set aside, e.g. %s: %s", len(names), len(profile), names.iloc[0], reasons.dropna().iloc[0]
    )


def design_sample(project: Project, day: date) -> None:
    """sampling_design, from the day's histogram, the thresholds in force and the labels known the day before."""
    histogram = project.warehouse.read("score_histogram", day, day)
    cells = histogram[list(CELL)].drop_duplicates(ignore_index=True)
    calibration = calibrate(labelled_sample(project, day - timedelta(days=1)), cells)
    in_force = thresholds_before(project, day, cells)
    queues = _queues(project, day, histogram, in_force)
    panel = project.warehouse.read("score_panel", day, day)
    levels = _with_shadows(in_force, project.config)
    strata = design(histogram, levels, calibration, project.config, queues, panel=panel)
    golden = golden_design(_golden_pool(project, day), project.config)
    looks = second_look_design(_second_look_pool(project, day), project.config)
    strata = pd.concat([strata, *(part for part in (golden, looks) if len(part))], ignore_index=True)
    project.warehouse.replace("sampling_design", day, strata)
    for programme, part in strata.groupby("programme"):
        log.info("%s: %d strata, %.0f labels expected", programme, len(part), part["expected_labels"].sum())


def draw_sample(project: Project, day: date) -> None:
    """The second scan: review_sample, of the scores as the first one read them."""
    read_at = project.warehouse.read("score_profile", day, day)["read_at"].max()
    drawn = drawn_sample(project, day, as_of=None if pd.isna(read_at) else read_at.to_pydatetime())
    reopen(project.warehouse, "sample", day)
    project.warehouse.replace("review_sample", day, drawn)
    for programme, count in drawn["programme"].value_counts().items():
        log.info("%s: drew %d videos", programme, count)


def drawn_sample(project: Project, day: date, *, as_of: datetime | None = None) -> pd.DataFrame:
    """The rows of review_sample that the day's design draws from its scores, whenever it is asked.

    `as_of`: from the scores as they were at that moment; None: as they are.
    """
    strata = project.warehouse.read("sampling_design", day, day)
    asked = draw_parameters(strata, day, project.config.sampling.salt)
    drawn = project.warehouse.query("draw", {**asked, "as_of": as_of})
    golden = draw_golden(_golden_pool(project, day), strata, project.config, day)
    looks = draw_second_look(_second_look_pool(project, day), strata)
    parts = [drawn, *(part for part in (golden, looks) if len(part))]
    return sample_rows(pd.concat(parts, ignore_index=True), day)


def gate_sample(project: Project, day: date) -> None:
    """Whether the sample is the one the design describes. Raises GateFailed."""
    drawn = project.warehouse.read("review_sample", day, day)
    strata = project.warehouse.read("sampling_design", day, day)
    judge(project.warehouse, "sample", day, suites.sample(drawn, strata, project.config), project.settings.quality_docs)


def look_up_details(project: Project, day: date) -> None:
    """review_details: title and description of the videos drawn, where the platform delivers them.

    What cannot be read is recorded, and costs reviewers the titles alone.
    """
    warehouse, table = project.warehouse, TABLES["video_details"]
    if not warehouse.delivers(table.name):
        log.info("No %s: no %s", table.name, table.switches_off)
        return
    told, problems = _told(project, day)
    drawn = warehouse.read("review_sample", day, day)
    yesterday = day - timedelta(days=1)
    start = min(window_start(project, day), day - timedelta(days=LOOKBACK_DAYS))
    details = details_of(drawn, told, warehouse.read("review_details", start, yesterday))
    warehouse.replace("review_details", day, details)
    log.info("Something is told of %d of %d videos", len(details), drawn["video_id"].nunique())
    judge(warehouse, "details", day, suites.details(table, problems), project.settings.quality_docs)


def _told(project: Project, day: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the platform says of the day's draws, and what is wrong with it: file, column, problem, detail."""
    problems = project.warehouse.input_problems("video_details", day)
    none = empty_frame(TABLES["review_details"])
    if len(problems):
        return none, problems
    try:
        told = project.warehouse.query("details_of_draws", {"ds": day})
    except (MissingPartition, UnreadablePartition) as error:  # damaged behind its metadata, or gone since
        return none, pd.DataFrame([("-", None, "unreadable", str(error))], columns=problems.columns)
    twice = [("-", "video_id", "contradiction", f"video {video} is told of twice") for video in contradicted(told)]
    return told, pd.DataFrame(twice, columns=problems.columns)


def export_review_queue(project: Project, day: date) -> None:
    """The day's queues, as files for the review tool, one a market: CSV, and Label Studio's tasks.

    The reviewers' queues, and those of the experts who take a second look, which name neither. What the platform's own
    review queue answers is in none of them.
    """
    drawn = project.warehouse.read("review_sample", day, day)
    drawn = drawn[drawn["programme"] != REVIEW_QUEUE]
    answered = accepted(project, "label_events", "labels", window_start(project, day), day - timedelta(days=1))
    details = project.warehouse.read("review_details", day, day)
    folder = project.settings.queue / f"ds={day}"
    files = {folder / "label_studio.xml": labelling_configuration().encode()}
    looks = drawn["programme"] == "second_look"
    for rows, queued, whose in ((drawn[~looks], review_queue, REVIEWERS), (drawn[looks], expert_queue, EXPERTS)):
        queue = queued(rows, project.config, answered=answered, details=details)
        for market in project.config.markets:
            part = queue[queue["market"] == market]
            files[project.settings.queue_of(day, whose, market)] = as_csv(part)
            files[project.settings.queue_of(day, whose, market, "json")] = tasks(part, day).encode()
        log.info("Exported %d reviews for %s, %.0f minutes", len(queue), whose, pd.Series(queue["minutes"]).sum())
        if nobody := len(rows.drop_duplicates(["video_id", "policy"])) - len(queue):
            log.warning("%d videos are not asked: everybody on the roster has answered them before", nobody)
    for path, content in files.items():
        write_whole(path, content)
    for path in {path for path in folder.iterdir() if not path.name.startswith(".")} - files.keys():
        path.unlink()  # of a market that is no longer configured
    log.info("Wrote %d files to %s", len(files), folder)


def _queues(project: Project, day: date, histogram: pd.DataFrame, in_force: pd.DataFrame) -> dict[Cell, Queued]:
    """What serving sent to review on `day`, where its queue's answers are delivered."""
    if project.config.sampling.queue_decisions is None:
        return {}
    yesterday = day - timedelta(days=1)
    chain = in_order(project.warehouse.read("threshold_ledger", None, yesterday))
    if not chain:
        return {}  # nothing is served yet
    waiting = waiting_challengers(chain, [cell_of(row) for row in records(in_force)], project.config)
    acting = in_force[[cell_of(row) not in waiting for row in records(in_force)]]
    on_some = {cell: canary.change.new for cell, canary in canaries(chain).items()}
    decisions = project.warehouse.read("queue_decisions", window_start(project, day), yesterday)
    idle = not_expected_to_answer(decisions)
    return queued_bins(histogram, acting, on_some, project.config, idle=idle)


def _with_shadows(in_force: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The thresholds, and for a cell that removes nothing what it would start to remove: labels are needed there."""
    shadow = in_force["policy"].map({name: policy.initial.remove_at for name, policy in config.policies.items()})
    would = shadow.where(shadow > in_force["review_at"], in_force["review_at"])
    return in_force.assign(remove_at=in_force["remove_at"].where(in_force["remove_at"] < 1, would))


def _second_look_pool(project: Project, day: date) -> pd.DataFrame:
    yesterday = day - timedelta(days=1)
    drawn = accepted(project, "review_sample", "sample", window_start(project, day), yesterday)
    consensus = accepted(project, "label_consensus", "consensus", yesterday, yesterday)
    known = usable_golden(project.warehouse.read("golden_labels", end=yesterday), project.config)
    cells = drawn[list(CELL)].drop_duplicates(ignore_index=True)
    cells = cells[
        cells["policy"].isin(list(project.config.policies)) & cells["market"].isin(list(project.config.markets))
    ]
    in_force = _with_shadows(thresholds_before(project, day, cells), project.config)
    known = known.rename(columns={"item": "video_id"})
    return second_look_pool(drawn, consensus, in_force, project.config, known=known, day=day)


def _golden_pool(project: Project, day: date) -> pd.DataFrame:
    yesterday = day - timedelta(days=1)
    drawn = accepted(project, "review_sample", "sample", day - timedelta(days=LOOKBACK_DAYS), yesterday)
    return golden_pool(project.warehouse.read("golden_labels", end=yesterday), drawn, project.config.on(day), day)
