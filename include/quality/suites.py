"""What must hold between the stages: one function a gate, from frames to what is judged.

Rules across rows are prepared as small frames (a row a cell, a market, a stratum, a day), so that a failing row is an
example by itself. NULL in such a frame means "not applicable" and passes; the message says so.

A policy, market or model version that is not configured is critical: nobody decided what to do with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from include.config.model import Config, Gates
from include.contract.grid import bin_of
from include.contract.sample import sampling_minutes
from include.contract.tables import BY_VIDEO_AND_POLICY, CELL, ESTIMATING_PROGRAMMES, TABLES, Column, Table
from include.contract.terms import HARMLESS, Reason
from include.quality.chance import fewer_than_chance, more_than_chance, shares_beyond_chance
from include.quality.checks import (
    Check,
    Judged,
    Severity,
    at_least,
    between,
    has_columns,
    in_set,
    min_rows,
    null,
    unique,
)

NO_ROWS_OR_CHANCE = "no rows, or no more than chance"

ROUNDING = 1e-9
"""Relative rounding error allowed where a sum of floats is held against a limit."""


def contract_suite(table: Table) -> list[Check]:
    """What include.contract.tables says of every row of `table`: columns, NULLs, bounds, allowed values, key.

    To be judged on a frame with the column `null_columns`, which `contract` adds: one check instead of one a column.
    """
    required = _required(table)
    checks = [
        has_columns(table.column_names),
        null("null_columns", about=", ".join(required), description=f"no NULL in {', '.join(required)}"),
    ]
    checks += [_bounds(column) for column in table.columns if _has_bounds(column)]
    checks += [in_set(column.name, column.allowed) for column in table.columns if column.allowed]
    return [*checks, unique(table.key)]


def contract(table: Table, rows: pd.DataFrame, *further: Check, identify: tuple[str, ...] = ()) -> Judged:
    """`rows` of `table` with its contract suite and `further` checks; `identify` names a row where the key does not."""
    frame = rows.assign(null_columns=_null_columns(rows, _required(table)))
    return Judged(table.name, frame, (*contract_suite(table), *further), identify=identify or table.key)


def scores_input(table: Table, problems: pd.DataFrame) -> list[Judged]:
    """Gate `scores_input`: the files of one day can be read as `table`.

    `problems` is what `inspect_parquet` found: file, column, problem, detail.
    """
    check = null(
        "problem",
        about=", ".join(dict.fromkeys(problems["column"].dropna())) or None,
        description="the day's files are there, readable, not empty, and have the contract's columns and types",
    )
    return [Judged(table.name, problems, (check,), unit="problems", identify=("file", "column", "detail"))]


def details(table: Table, problems: pd.DataFrame) -> list[Judged]:
    """Gate `details`: what reviewers could not be shown of the day's videos. It stops nobody.

    `problems`: as `scores_input` takes them, and of videos that contradict themselves.
    """
    check = null(
        "problem",
        description="the day's files are there, readable, and tell one thing of a video",
        severity="warning",
    )
    return [Judged(table.name, problems, (check,), unit="problems", identify=("file", "column", "detail"))]


def scores(profile: pd.DataFrame, history: pd.DataFrame, config: Config) -> list[Judged]:
    """Gate `scores`: the day's video_scores, through their profile.

    `profile` holds the day's rows of score_profile, `history` those of the trailing week (without the day; may be
    empty). A cell of the trailing week that is configured and has no row today has vanished: its volume is 0. Cells
    whose every row has a NULL in its key are judged by the day's share of such rows alone. What chance alone may have
    done, with as many cells as there are, is no failure (include.quality.chance); invalid rows are a warning even so.
    Cells beyond a limit are set aside, with a warning (`set_aside`), while they hold at most max_set_aside_share of the
    day's rows; above that the day stops. Cells that nobody configured stop it always.
    """
    gates = config.gates
    named = profile[profile["null_keys"] < profile["n_rows"]]
    n_rows, null_keys = int(profile["n_rows"].sum()), int(profile["null_keys"].sum())
    whole = pd.DataFrame({"n_rows": [n_rows], "null_keys": [null_keys]})
    day = _within_chance(whole, "null_key_share", "null_keys", whole["n_rows"], gates.max_invalid_share)
    key = ", ".join(TABLES["video_scores"].key)
    all_keys = f"{key}, market"
    volume: dict[str, Any] = {
        "about": "n_rows",
        "evidence": ("n_rows", "usual_rows"),
        "not_applicable": "no score_profile of the cell in the trailing week, or no more than chance",
    }
    day_checks = (
        between("n_rows", 1, description="the day's partition is there and not empty"),
        *_tolerated("null_key_share", "null_keys", all_keys, "of the day's rows have a NULL in their key", gates),
    )
    cells = _cells(named, history, config)
    beyond = "critical" if _aside_share(cells, gates) > gates.max_set_aside_share else "warning"
    then: dict[str, Any] = {"severity": beyond}
    cell_checks = (
        _configured("policy", config.policies),
        _configured("market", config.markets),
        null("unknown_model", about="model_version", description="every model_version is configured for its policy"),
        between(
            "volume_ratio",
            gates.min_volume_ratio,
            description=f"rows of a cell are at least {gates.min_volume_ratio:g} times the trailing week's median",
            **volume,
            **then,
        ),
        between(
            "volume_ratio",
            maximum=gates.max_volume_ratio,
            severity="warning",
            description=f"rows of a cell are at most {gates.max_volume_ratio:g} times the trailing week's median",
            **volume,
        ),
        between(
            "null_score_share",
            maximum=gates.max_null_score_share,
            about="score",
            evidence=("null_scores", "n_rows"),
            description=f"at most {gates.max_null_score_share:g} of a cell's scores are NULL",
            not_applicable=NO_ROWS_OR_CHANCE,
            **then,
        ),
        *_tolerated(
            "out_of_range_share",
            "out_of_range_scores",
            "score",
            "of a cell's scores are NaN, below 0 or above 1",
            gates,
            **then,
        ),
        *_tolerated(
            "negative_views_share",
            "negative_views",
            "views",
            "of a cell's views are NULL, negative or above 10^10",
            gates,
            **then,
        ),
        *_tolerated(
            "null_key_share", "null_keys", all_keys, "of a cell's rows have a NULL in their key", gates, **then
        ),
        *_tolerated(
            "duplicate_key_share", "duplicate_keys", key, "of a cell's checked rows repeat a key", gates, **then
        ),
    )
    return [
        Judged("video_scores", day, day_checks, unit="days"),
        Judged("video_scores", cells, cell_checks, unit="cells", identify=("cell",)),
        contract(TABLES["score_profile"], named),
    ]


def set_aside(profile: pd.DataFrame, history: pd.DataFrame, config: Config) -> pd.Series:
    """Why each cell of `profile` is set aside by gate `scores`, in the order of its rows; NULL: it counts.

    Arguments as `scores` takes them. Nothing is set aside of a day that stops for too much of it.
    """
    named = profile[profile["null_keys"] < profile["n_rows"]]
    cells = _cells(named, history, config)
    if _aside_share(cells, config.gates) > config.gates.max_set_aside_share:
        return pd.Series(None, index=profile.index, dtype="object")
    reasons = cells[list(CELL)].assign(reason=_reasons(cells, config.gates))
    return profile[list(CELL)].merge(reasons, how="left", on=list(CELL))["reason"].set_axis(profile.index)


def sample(drawn: pd.DataFrame, design: pd.DataFrame, config: Config) -> list[Judged]:
    """Gate `sample`: the day's review_sample, `drawn`, against its sampling_design.

    Each programme's realised size is held against the design's expectation, `sample_deviation` standard deviations (SD)
    wide. Draws are independent within a cell, with variance sum pi (1 - pi) over its videos (Poisson sampling). Between
    a policy's model versions they are not: they share a video's permanent random number. A sum's SD never exceeds the
    sum of the SDs, so versions add up by SD, and policies, markets and programmes, which share no number, by variance.
    In designs of the old numbering a market's policies shared the numbers, too, and add up by SD.

    Where few draws are expected, more of them come by chance than a normal distribution has them. So a gap counts as
    the normal SDs that are as unlikely by Bennett's inequality (Journal of the American Statistical Association 57,
    1962), which holds for sums of any bounded numbers: for large samples that is the gap in SDs, for small ones less.
    """
    design_contract = contract(
        TABLES["sampling_design"], design, min_rows(1, description="the design has at least one stratum")
    )
    if not (_has_columns("review_sample", drawn) and _has_columns("sampling_design", design)):
        return [contract(TABLES["review_sample"], drawn), design_contract]
    limit = config.gates.sample_deviation
    unplaced = "the stratum is not in the design"
    row_checks = (
        unique(("sample_id",)),
        null(
            "unknown_stratum",
            about="stratum",
            description="every drawn row's stratum is in the day's design, under its design_id",
        ),
        between(
            "pi_difference",
            -ROUNDING,
            ROUNDING,
            about="programme_probability",
            evidence=("programme_probability", "views"),
            description="every drawn row's programme_probability is its stratum's",
            not_applicable=unplaced,
        ),
        between(
            "union_difference",
            -ROUNDING,
            ROUNDING,
            about="inclusion_probability",
            evidence=("inclusion_probability", "programme"),
            description=f"inclusion_probability of {' and '.join(ESTIMATING_PROGRAMMES)} draws is that of their union",
            not_applicable="no estimate may rest on the draw",
        ),
        null(
            "not_estimating",
            about="inclusion_probability",
            description=f"only draws by {' or '.join(ESTIMATING_PROGRAMMES)} have an inclusion_probability",
        ),
        at_least(
            "programme_probability",
            "permanent_random",
            strict=True,
            description="every drawn row's permanent_random is below its programme_probability",
        ),
        between(
            "bins_outside",
            0,
            0,
            about="score",
            evidence=("score", "first_bin", "last_bin"),
            description="every drawn row's score lies in its stratum",
            not_applicable=unplaced,
        ),
    )
    size_check = between(
        "deviation",
        -limit,
        limit,
        about="sample_id",
        evidence=("drawn", "expected"),
        description=f"drawn rows are within {limit:g} standard deviations of what the design expects",
    )
    budget_check = between(
        "budget_used",
        0,
        1 + ROUNDING,
        about="expected_minutes",
        evidence=("expected_minutes", "budget"),
        description="expected reviewer minutes are within the market's for sampling, reviewer_minutes x minutes_share",
        not_applicable="the market is not configured",
    )
    identify = ("sample_id", *CELL, "stratum")
    market_checks = (_configured("market", config.markets), budget_check)
    return [
        contract(TABLES["review_sample"], _placed(drawn, design), *row_checks, identify=identify),
        Judged("review_sample", _sizes(drawn, design), (size_check,), unit="totals", identify=("total",)),
        design_contract,
        Judged("sampling_design", _minutes(design, config), market_checks, unit="markets", identify=("market",)),
    ]


@dataclass(frozen=True)
class InputDay:
    """A day of the input `table`: the rows that count, those set aside, and how many were read; `unit` is what one is.

    `rejects` has the columns of input_rejects.
    """

    table: str
    accepted: pd.DataFrame
    rejects: pd.DataFrame
    read: int
    unit: str = "rows"


def input_day(found: InputDay, config: Config) -> list[Judged]:
    """The gate of an input of its name: what of a day counts, and what was set aside.

    A file that cannot be read at all is critical, and so are too many rows set aside; a few are a warning.
    """
    gates, rejects, accepted, unit = config.gates, found.rejects, found.accepted, found.unit
    judged = rejects[~rejects["reason"].isin(HARMLESS)]
    counts = {"read": found.read, "accepted": len(accepted), "set_aside": len(rejects)}
    day = pd.DataFrame([counts]).assign(
        unaccounted=found.read - len(accepted) - len(rejects),
        faulty=len(judged),
        faulty_share=_share(len(judged), len(judged) + len(accepted)),
        example=_typical_reject(judged),
    )
    about = ", ".join(dict.fromkeys(judged["column_name"].dropna())) or None
    day_checks = (
        between(
            "unaccounted",
            0,
            0,
            evidence=("read", "accepted", "set_aside"),
            description=f"all {unit} read either count or are set aside",
        ),
        between(
            "faulty_share",
            maximum=gates.max_reject_share,
            about=about,
            evidence=("faulty", "read", "example"),
            description=f"at most {gates.max_reject_share:g} of the day's {unit} are set aside as faulty",
            not_applicable=f"no {unit} that day",
        ),
        between(
            "faulty",
            maximum=0,
            about=about,
            severity="warning",
            evidence=("read", "example"),
            description=f"none of the day's {unit} are set aside as faulty",
        ),
    )
    whole = judged[judged["source_line"] == 0]
    damage = whole[["source_file"]].assign(damage=whole["reason"] + ", " + whole["detail"])
    file_check = null("damage", about="source_file", description="no file is refused as a whole")
    policies = accepted[["policy"]].drop_duplicates(ignore_index=True)
    return [
        Judged(found.table, day, day_checks, unit="days"),
        Judged(found.table, damage, (file_check,), unit="files", identify=("source_file",)),
        Judged(found.table, policies, (_configured("policy", config.policies, "warning"),), unit="policies"),
    ]


def labels(events: pd.DataFrame, rejects: pd.DataFrame, n_read: int, config: Config) -> list[Judged]:
    """Gate `labels`: a day's label_events and label_rejects; `n_read` is how many events were read.

    Files that are mostly garbage, or damaged as a whole, are named and set aside; the rest of the day is judged without
    them. Exact repeats are no fault: they count neither as read nor as refused where shares are judged.
    """
    gates = config.gates
    files = _files(events, rejects, config)
    aside = set(files.loc[files["garbage"].notna(), "source_file"])
    judged = rejects[~rejects["source_file"].isin(aside) & ~rejects["reason"].isin(HARMLESS)]
    unsampled = judged[judged["reason"] == Reason.VIDEO_NOT_SAMPLED]
    believed = len(judged) + len(events)
    counts = {"read": n_read, "accepted": len(events), "refused": len(rejects), "files_aside": len(aside)}
    day = pd.DataFrame([counts]).assign(
        unaccounted=n_read - len(events) - len(rejects),
        judged=believed,
        judged_refused=len(judged),
        unsampled=len(unsampled),
        usable=float(len(events)) if aside else float("nan"),
        reject_share=_share(len(judged), believed),
        unsampled_share=_share(len(unsampled), believed),
        example=_typical_reject(judged),
        unsampled_example=_typical_reject(unsampled),
    )
    none = "no label events that day"
    day_checks = (
        between("read", 1, severity="warning", about="event_id", description="at least one label event arrived"),
        between(
            "unaccounted",
            0,
            0,
            about="event_id",
            evidence=("read", "accepted", "refused"),
            description="every event read is either accepted or refused",
        ),
        between(
            "usable",
            1,
            about="event_id",
            evidence=("read", "files_aside"),
            description="files that are mostly garbage are not all there is",
            not_applicable="no file is mostly garbage",
        ),
        between(
            "reject_share",
            maximum=gates.max_reject_share,
            about="event_id",
            evidence=("judged_refused", "judged", "example"),
            description=f"at most {gates.max_reject_share:g} of the events of the day's other files are refused",
            not_applicable=none,
        ),
        between(
            "unsampled_share",
            maximum=gates.max_unsampled_share,
            about="video_id",
            evidence=("unsampled", "judged", "unsampled_example"),
            description=f"at most {gates.max_unsampled_share:g} of these events are for videos never sampled",
            not_applicable=none,
        ),
    )
    file_checks = (
        null("garbage", severity="warning", about="source_file", description="no file is mostly garbage"),
        null("damage", severity="warning", about="source_file", description="no file is refused as a whole"),
    )
    source = ("source_file", "source_line")
    return [
        Judged("reviewer_labels", day, day_checks, unit="days"),
        Judged("reviewer_labels", files, file_checks, unit="files", identify=("source_file",)),
        contract(TABLES["label_events"], events, identify=("event_id", *source)),
        contract(TABLES["label_rejects"], rejects, identify=source),
    ]


def consensus(rows: pd.DataFrame) -> list[Judged]:
    """Gate `consensus`: label_consensus as of the day."""
    table = TABLES["label_consensus"]
    if not _has_columns(table.name, rows):
        return [contract(table, rows)]
    answered = between("answers", 1, about="votes, unsure", description="every row rests on at least one answer")
    said = null(
        "unexplained",
        about="p_violating, votes",
        description="p_violating is there just where a vote counts",
    )
    answers = rows["votes"] + rows["unsure"]
    wrong = (rows["p_violating"].isna() != (rows["votes"] == 0)) & (answers > 0)
    judged = rows.assign(answers=answers, unexplained=rows["votes"].where(wrong))
    return [contract(table, judged, answered, said)]


def consensus_on_golden(rows: pd.DataFrame) -> list[Judged]:
    """Gate `consensus`, too: each policy's consensus against golden labels (`include.consensus.grading`)."""
    kept = null(
        "contradiction",
        severity="warning",
        about="p_violating",
        description="the consensus keeps, on golden labels, the floor that a reviewer must keep",
    )
    return [Judged("label_consensus", rows, (kept,), unit="policies", identify=("policy",))]


def completeness(rows: pd.DataFrame) -> list[Judged]:
    """Gate `consensus`, too: label_completeness as of the day."""
    region = ["policy", "market", "region"]
    answered = between(
        "highest",
        above=0,
        severity="warning",
        about="answered",
        evidence=("drawn",),
        description="some video drawn from every region has an answer by the time it is final",
    )
    highest = rows.groupby(region, as_index=False).agg(highest=("answered", "max"), drawn=("drawn", "max"))
    return [
        contract(TABLES["label_completeness"], rows),
        Judged("label_completeness", highest, (answered,), unit="regions", identify=tuple(region)),
    ]


def thresholds(proposals: pd.DataFrame, config: Config) -> list[Judged]:
    """Gate `thresholds`: the day's threshold_proposals, before anything of them is published."""
    table = TABLES["threshold_proposals"]
    if not _has_columns(table.name, proposals):
        return [contract(table, proposals)]
    limits = {name: policy.limits for name, policy in config.policies.items()}
    has_remove, has_refusal = proposals["proposed_remove_at"].notna(), proposals["refusal"].notna()
    rows = proposals.assign(
        # Without a certificate remove_at may stay, or rise.
        lowest_uncertified=proposals["current_remove_at"].where(has_remove & has_refusal, 0.0),
        lowest_remove_at=_by_policy(proposals, {name: limit.lowest_remove_at for name, limit in limits.items()}),
        lowest_review_at=_by_policy(proposals, {name: limit.lowest_review_at for name, limit in limits.items()}),
        answers=has_remove.astype("int64") + has_refusal.astype("int64"),
    )
    checks = (
        min_rows(1, description="there is at least one proposal"),
        unique(("proposal_id",)),
        _configured("policy", config.policies),
        _configured("market", config.markets),
        between(
            "answers",
            1,
            2,
            about="proposed_remove_at, refusal",
            evidence=("proposed_remove_at", "refusal"),
            description="every cell has a proposed_remove_at or a refusal",
        ),
        at_least(
            "proposed_remove_at",
            "lowest_uncertified",
            description="proposed_remove_at without a certificate is not below the one in force",
        ),
        at_least(
            "proposed_remove_at",
            "proposed_review_at",
            description="proposed_review_at is at most proposed_remove_at",
        ),
        at_least(
            "proposed_remove_at",
            "lowest_remove_at",
            description="proposed_remove_at is at least the policy's lowest_remove_at",
        ),
        at_least(
            "proposed_review_at",
            "lowest_review_at",
            description="proposed_review_at is at least the policy's lowest_review_at",
        ),
    )
    evidence = ("proposed_review_at", "method", "estimate", "bound", "removes_after", "reviews_after")
    certified = proposals[has_remove & ~has_refusal]
    certified_checks = (
        null(
            "null_columns",
            about=", ".join(evidence),
            description=f"every certified row has {', '.join(evidence)}",
        ),
        between("n", 1, description="every certificate rests on at least one label"),
        at_least("bound", "target", description="every certified bound reaches its target"),
    )
    return [
        contract(table, rows, *checks),
        Judged(
            table.name,
            certified.assign(null_columns=_null_columns(certified, evidence)),
            certified_checks,
            unit="certified rows",
            identify=table.key,
        ),
    ]


LEAST_OF_A_CLASS = 20
"""Labels of either class that the train and the test set of a snapshot need."""
LEAST_OF_A_MARKET = 30
"""Training rows of a market below which a model is said to know little of it."""
OLDEST_LABELS = 45
"""Days since the newest draw of a snapshot at most."""


def snapshot(manifest: Mapping[str, Any], minimum: int) -> list[Judged]:
    """Gate `snapshot`: a training snapshot of at least `minimum` rows, through the profile in its manifest."""
    profile, name = manifest["profile"], str(manifest["snapshot_id"])
    groups = pd.DataFrame(profile["groups"], columns=["split", "market", *_GROUP])
    by_split = groups.groupby("split")[list(_GROUP)].sum().reindex(["train", "test"], fill_value=0.0).reset_index()
    of_split = by_split.assign(negative=by_split["rows"] - by_split["positive"], snapshot=name)
    least, most = profile["weights"]
    whole = pd.DataFrame(
        {
            "snapshot": [name],
            "rows": [profile["rows"]],
            "label_age_days": [profile["label_age_days"]],
            "least_weight": [least],
            "most_weight": [most],
            "wrongly_weighted": [int((groups["unweighted"] - groups["picked"]).abs().sum())],
            "picked_in_test": [int(groups.loc[groups["split"] == "test", "picked"].sum())],
            **{count: [profile[count]] for count in ("misplaced", "golden_outside_test", "out_of_range")},
        }
    )
    train = groups[groups["split"] == "train"].assign(snapshot=name)
    counted = {
        "misplaced": "no video is in another split than its hash says, so none is in two",
        "picked_in_test": "nothing that was picked for training is in the test set",
        "golden_outside_test": "no golden item is in the train or the validation set",
        "out_of_range": "score and p_violating are at least 0 and at most 1",
        "wrongly_weighted": "rows of the probability sample have a weight, others none",
    }
    return [
        Judged(
            "training_snapshots",
            whole,
            (
                between("rows", minimum, description=f"the snapshot has at least {minimum:,} rows"),
                between(
                    "label_age_days",
                    0,
                    OLDEST_LABELS,
                    description=f"the newest draw is at most {OLDEST_LABELS} days old",
                ),
                between("least_weight", 1, description="every weight is at least 1"),
                between("most_weight", 1, sys.float_info.max, description="every weight is finite"),
                *(between(column, maximum=0, description=said) for column, said in counted.items()),
            ),
            identify=("snapshot",),
        ),
        Judged(
            "training_snapshots",
            of_split,
            tuple(
                between(
                    column,
                    LEAST_OF_A_CLASS,
                    description=f"train and test set hold at least {LEAST_OF_A_CLASS} {column} labels each",
                )
                for column in ("positive", "negative")
            ),
            identify=("snapshot", "split"),
        ),
        Judged(
            "training_snapshots",
            train,
            (
                between(
                    "rows",
                    LEAST_OF_A_MARKET,
                    severity="warning",
                    description=f"every market has at least {LEAST_OF_A_MARKET} training rows",
                ),
            ),
            identify=("snapshot", "market"),
        ),
    ]


_GROUP = ("rows", "positive", "violating", "weight", "weight2", "unweighted", "picked")
"""What a manifest's profile says of a split and market."""


def _by_policy(rows: pd.DataFrame, values: dict[str, float]) -> pd.Series:
    """Each row's value, NaN for a policy nobody configured; numbers even where there are no rows."""
    return rows["policy"].map(values).astype("float64")


def _configured(column: str, names: Iterable[str], severity: Severity = "critical") -> Check:
    described = f"every {column} is configured: {', '.join(names)}"
    return replace(in_set(column, list(names), description=described), severity=severity)


def _has_columns(table: str, rows: pd.DataFrame) -> bool:
    return set(TABLES[table].column_names) <= set(rows.columns)


def _required(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if not column.nullable)


def _null_columns(rows: pd.DataFrame, required: Sequence[str]) -> pd.Series:
    """Row by row, which of the `required` columns are NULL, as text; NULL where none is."""
    found = pd.Series("", index=rows.index, dtype="object")
    for column in required:
        if column in rows.columns:
            found = found.where(rows[column].notna(), found + f", {column}")
    return found.str.removeprefix(", ").where(found != "")


def _has_bounds(column: Column) -> bool:
    return any(limit is not None for limit in (column.minimum, column.maximum, column.above))


def _bounds(column: Column) -> Check:
    low = f"above {column.above:g}" if column.above is not None else ""
    low = f"at least {column.minimum:g}" if column.minimum is not None else low
    high = f"at most {column.maximum:g}" if column.maximum is not None else ""
    described = f"{column.name} is {' and '.join(part for part in (low, high) if part)}"
    return between(column.name, column.minimum, column.maximum, above=column.above, description=described)


def _tolerated(
    column: str, count: str, about: str, what: str, gates: Gates, *, severity: Severity = "critical"
) -> list[Check]:
    """A share above max_invalid_share is critical, unless chance explains it; any count above 0 is a warning."""
    tolerance = gates.max_invalid_share
    shared: dict[str, Any] = {"about": about, "evidence": (count, "n_rows"), "not_applicable": NO_ROWS_OR_CHANCE}
    said = f"at most {tolerance:g} {what}"
    checks = [between(column, maximum=tolerance, description=said, severity=severity, **shared)]
    if tolerance > 0:
        said = f"none {what}"
        checks.append(
            between(count, maximum=0, severity="warning", description=said, about=about, evidence=("n_rows",))
        )
    return checks


def _reasons(cells: pd.DataFrame, gates: Gates) -> pd.Series:
    """What each of `_cells` is beyond a limit in; NULL: nothing."""
    low = cells["volume_ratio"] < gates.min_volume_ratio
    found = [
        [f"rows {ratio:.2g} times the usual"] if fell else []
        for ratio, fell in zip(cells["volume_ratio"], low, strict=True)
    ]
    for column, limit, what in (
        ("null_score_share", gates.max_null_score_share, "without a score"),
        ("out_of_range_share", gates.max_invalid_share, "with a score that is no probability"),
        ("negative_views_share", gates.max_invalid_share, "with impossible views"),
        ("null_key_share", gates.max_invalid_share, "without a key"),
        ("duplicate_key_share", gates.max_invalid_share, "that repeat a key"),
    ):
        for reasons, share in zip(found, cells[column], strict=True):
            if share > limit:
                reasons.append(f"{share:.2%} of rows {what}")
    return pd.Series(["; ".join(reasons) or None for reasons in found], index=cells.index, dtype="object")


def _aside_share(cells: pd.DataFrame, gates: Gates) -> float:
    """The part of the day's rows in cells beyond a limit; a cell that lost rows counts with those it usually has."""
    rows = np.fmax(cells["n_rows"].to_numpy("float64"), cells["usual_rows"].to_numpy("float64"))
    whole = float(rows.sum())
    return float(rows[_reasons(cells, gates).notna().to_numpy()].sum()) / whole if whole else 0.0


def _within_chance(frame: pd.DataFrame, column: str, count: str, wholes: pd.Series, limit: float) -> pd.DataFrame:
    """`frame` with the share of `count` in `wholes`; NULL without a whole, or if chance may put it above `limit`."""
    share = frame[count] / wholes.where(wholes > 0)
    beyond = shares_beyond_chance(frame[count], wholes, limit)
    return frame.assign(**{column: share.where(beyond | (share <= limit))})


def _cells(named: pd.DataFrame, history: pd.DataFrame, config: Config) -> pd.DataFrame:
    """One row a cell of the day, or of the trailing week while it is still configured, with its shares."""
    configured = {(policy, version) for policy in config.policies for version in config.policies[policy].model_versions}
    usual = history.groupby(list(CELL))["n_rows"].median().rename("usual_rows").reset_index()
    usual = usual[(usual["usual_rows"] > 0) & _is_in(usual, configured) & usual["market"].isin(list(config.markets))]
    cells = named.merge(usual, how="outer", on=list(CELL)).sort_values(list(CELL), ignore_index=True)
    counts = ["n_rows", "null_scores", "out_of_range_scores", "negative_views", "null_keys", "duplicate_keys"]
    cells[counts] = cells[counts].fillna(0).astype("int64")
    gates, rows = config.gates, cells["n_rows"].astype("float64")
    for share, count, whole, limit in (
        ("null_score_share", "null_scores", rows, gates.max_null_score_share),
        ("out_of_range_share", "out_of_range_scores", rows, gates.max_invalid_share),
        ("negative_views_share", "negative_views", rows, gates.max_invalid_share),
        ("null_key_share", "null_keys", rows, gates.max_invalid_share),
        (
            "duplicate_key_share",
            "duplicate_keys",
            rows * cells["checked_share"].astype("float64"),
            gates.max_invalid_share,
        ),
    ):
        cells = _within_chance(cells, share, count, whole, limit)
    ratio, usual_rows = cells["n_rows"] / cells["usual_rows"], cells["usual_rows"].to_numpy("float64")
    fewer = fewer_than_chance(rows, usual_rows * gates.min_volume_ratio)
    more = more_than_chance(rows, usual_rows * gates.max_volume_ratio)
    within = (ratio >= gates.min_volume_ratio) & (ratio <= gates.max_volume_ratio)
    unknown = cells["policy"].isin(list(config.policies)) & ~_is_in(cells, configured)
    return cells.assign(
        cell=cells["policy"].str.cat(cells[["market", "model_version"]], sep="/"),
        unknown_model=cells["model_version"].where(unknown),
        volume_ratio=ratio.where(within | fewer | more),
    )


def _is_in(cells: pd.DataFrame, configured: set[tuple[str, str]]) -> pd.Series:
    pairs = zip(cells["policy"], cells["model_version"], strict=True)
    return pd.Series([pair in configured for pair in pairs], index=cells.index, dtype=bool)


def _placed(drawn: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    """The drawn rows with what they miss of their stratum: the stratum itself, its pi, by how many bins its scores; and
    of the union of the programmes estimates rest on.
    """
    rows = _with_strata(drawn, design)
    known = rows["design_id"] == rows["design_id_designed"]
    below, above = rows["first_bin"].to_numpy() - rows["bin"], rows["bin"] - rows["last_bin"].to_numpy()
    pi, union = (pd.to_numeric(rows[name], errors="coerce") for name in ("programme_probability", _UNION))
    estimating = rows["programme"].isin(ESTIMATING_PROGRAMMES)
    missed = np.ones(len(rows))
    for programme in ESTIMATING_PROGRAMMES:
        missed *= 1 - _probability_by(programme, rows, design)
    return rows.assign(
        unknown_stratum=rows["stratum"].where(~known),
        pi_difference=pi - _designed(rows),
        union_difference=(union.fillna(0) - (1 - missed)).where(estimating),
        not_estimating=union.where(~estimating),
        bins_outside=np.maximum(np.maximum(below, above), 0),
    )


_UNION = "inclusion_probability"


def _with_strata(drawn: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    """The drawn rows with their bin, and their stratum's columns (with the suffix _designed where both have them)."""
    key = ["programme", *CELL, "stratum"]
    strata = design[[*key, "design_id", _UNION, "probability_per_view", "first_bin", "last_bin"]].drop_duplicates(key)
    rows = drawn.merge(strata, how="left", on=key, suffixes=("", "_designed"))
    # A value that is no number fails the contract's bounds; here it must only not get in the way.
    score = pd.to_numeric(rows["score"], errors="coerce").to_numpy("float64")
    return rows.assign(bin=bin_of(score).astype("float64"))


def _designed(rows: pd.DataFrame) -> pd.Series:
    """The probability with which the stratum's programme draws the row."""
    views = pd.to_numeric(rows["views"], errors="coerce")
    return rows["inclusion_probability_designed"].fillna((rows["probability_per_view"] * views).clip(upper=1))


def _probability_by(programme: str, rows: pd.DataFrame, design: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The probability with which the programme draws each row's video, 0 where it has no stratum; shape (rows,)."""
    strata = design.loc[
        design["programme"] == programme, [*CELL, "first_bin", "last_bin", _UNION, "probability_per_view"]
    ]
    strata = strata.assign(bin=strata["first_bin"].astype("float64")).sort_values("bin")
    asked = rows[[*CELL, "bin", "views"]].assign(position=np.arange(len(rows))).sort_values("bin")
    found = pd.merge_asof(asked, strata.rename(columns={_UNION: f"{_UNION}_designed"}), on="bin", by=list(CELL))
    inside = found["bin"] <= found["last_bin"]
    return _designed(found).where(inside, 0.0).to_numpy()[np.argsort(found["position"].to_numpy())]


def _sizes(drawn: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    """Realised and expected sample size by programme and market, and overall, with the deviation in SDs."""
    pi, population = design["inclusion_probability"], design["population"]
    by_views = design["population_views"] * design["probability_per_view"]
    strata = design[["programme", *CELL]].assign(
        expected=(population * pi).fillna(by_views), variance=(population * pi * (1 - pi)).fillna(by_views)
    )
    # Whoever is sure to be drawn is there, once, and adds no variance.
    rows = _with_strata(drawn, design)
    sure = rows.assign(chance=rows["probability_per_view"] * pd.to_numeric(rows["views"], errors="coerce"))
    sure = sure[sure["chance"] >= 1]
    strata = pd.concat(
        [strata, sure[["programme", *CELL]].assign(expected=1 - sure["chance"], variance=-sure["chance"])]
    )
    cells = strata.groupby(["programme", *CELL], as_index=False)[["expected", "variance"]].sum()
    cells["sd"] = np.sqrt(cells["variance"].clip(lower=0))
    by_policy = bool(design["numbering"].eq(BY_VIDEO_AND_POLICY).all())
    cells["numbers"] = cells["policy"] if by_policy else "all"  # who shares them
    shared = cells.groupby(["programme", "market", "numbers"], as_index=False).agg(
        expected=("expected", "sum"), sd=("sd", "sum"), most=("sd", "size")
    )
    shared["variance"] = shared["sd"] ** 2
    sizes = shared.groupby(["programme", "market"], as_index=False).agg(
        expected=("expected", "sum"), variance=("variance", "sum"), most=("most", "max")
    )
    counted = drawn.groupby(["programme", "market"]).size().rename("drawn").reset_index()
    sizes = sizes.merge(counted, how="outer", on=["programme", "market"])
    sizes = sizes.fillna({"expected": 0, "variance": 0, "most": 1, "drawn": 0})
    sizes["total"] = sizes["programme"] + "/" + sizes["market"]
    whole = {"total": "all", "most": sizes["most"].max(), **sizes[["drawn", "expected", "variance"]].sum()}
    sizes = pd.concat([sizes, pd.DataFrame([whole])], ignore_index=True)
    gap = (sizes["drawn"] - sizes["expected"]).to_numpy("float64")
    gap = np.where(np.abs(gap) <= ROUNDING * np.maximum(sizes["expected"].to_numpy("float64"), 1), 0.0, gap)
    most = sizes["most"].to_numpy("float64") if by_policy else np.zeros(len(sizes))
    return sizes.assign(deviation=_normal_deviations(gap, sizes["variance"].to_numpy("float64"), most))


def _normal_deviations(
    gap: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], most: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The normal deviation z for which exp(-z^2 / 2) is the bound on a sum's `gap` from its mean, with the gap's sign.

    `variance`: at most, of the sum. `most`: what one independent part of it differs from its mean by, at most; 0: the
    gap in SDs. All of shape (sums,). Bennett: exp(-v / m^2 h(m |gap| / v)) with h(x) = (1 + x) log(1 + x) - x. Where
    the variance is 0 any gap is infinitely many deviations.
    """
    size = np.abs(gap)
    safe = np.where(variance > 0, variance, 1.0)
    x = most * size / safe
    # h(x) / x^2 is 1/2 at 0, and loses its digits there.
    shape = np.where(x > 1e-4, ((1 + x) * np.log1p(x) - x) / np.maximum(x, 1e-4) ** 2, 0.5 - x / 6)
    deviation = np.copysign(np.sqrt(2 * shape) * size / np.sqrt(safe), gap)
    return np.where(size == 0, 0.0, np.where(variance > 0, deviation, np.copysign(np.inf, gap)))


def _minutes(design: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Expected reviewer minutes by market, and what part of the audit's budget they are."""
    minutes = sampling_minutes(design).reset_index()
    budget = {name: market.reviewer_minutes * config.sampling.minutes_share for name, market in config.markets.items()}
    minutes["budget"] = minutes["market"].map(budget).astype("float64")
    return minutes.assign(budget_used=minutes["expected_minutes"] / minutes["budget"])


def _files(events: pd.DataFrame, rejects: pd.DataFrame, config: Config) -> pd.DataFrame:
    """One row a file of label events: `garbage` and `damage` say what is wrong with it as a whole; NULL if nothing."""
    bad = rejects[~rejects["reason"].isin([*HARMLESS, Reason.CONFLICTING_EVENT])]
    lines = pd.concat([rejects["source_file"], events["source_file"]]).value_counts().sort_index()
    refused = bad["source_file"].value_counts().reindex(lines.index, fill_value=0)
    garbage = {
        name: f"{refused[name]} refused, mostly {_typical_reject(bad[bad['source_file'] == name])}"
        for name in lines.index[config.gates.garbage(lines, refused)]
    }
    whole = bad[bad["source_line"] == 0].set_index("source_file")
    damage = (whole["reason"] + ", " + whole["detail"]).to_dict()
    names = pd.Series(lines.index, dtype="object")
    return pd.DataFrame({"source_file": names, "garbage": names.map(garbage), "damage": names.map(damage)})


def _typical_reject(rejects: pd.DataFrame) -> str:
    """The first event refused for the commonest reason."""
    if rejects.empty:
        return "none"
    commonest = rejects["reason"].value_counts().sort_index().idxmax()
    first = rejects[rejects["reason"] == commonest].sort_values(["source_file", "source_line"]).iloc[0]
    return f"{first['source_file']}:{first['source_line']} {first['reason']}, {first['detail']}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
