"""What the platform says it did with the videos of a day."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date

import pandas as pd

from include.contract.cell import records
from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES
from include.contract.terms import Reason
from include.files import canonical_json
from include.project import Project
from include.reading.values import Verdicts, stripped
from include.warehouse.base import MissingPartition, UnreadablePartition

log = logging.getLogger(__name__)

_LOG, _REJECTS = TABLES["enforcement_log"], TABLES["input_rejects"]


@dataclass(frozen=True)
class LogDay:
    """A day of enforcement_log, counted by policy, market, model_version, action and threshold_version.

    Attributes:
        counts: the groups that count, with n_videos, sorted; None: the day was not delivered, or cannot be read.
        aside: the groups, or the file, that do not count, as rows of input_rejects.
        read: how many groups and unreadable files there are.
    """

    counts: pd.DataFrame | None
    aside: pd.DataFrame
    read: int


def counted_log(project: Project, day: date) -> LogDay:
    """The log of `day`."""
    try:
        return judged(project.warehouse.query("enforcement_counts", {"ds": day}))
    except MissingPartition:
        return LogDay(None, empty_frame(_REJECTS), 0)
    except UnreadablePartition as error:
        row = (_LOG.name, error.file, 0, None, Reason.UNREADABLE_FILE.value, str(error), "")
        aside = pd.DataFrame([row], columns=list(_REJECTS.column_names))
        return LogDay(None, aside.astype(empty_frame(_REJECTS).dtypes), 1)


def judged(counts: pd.DataFrame) -> LogDay:
    """The groups that count, and those whose values are none of the contract's. Pure."""
    rows = counts.sort_values(list(counts.columns), ignore_index=True)
    verdicts = Verdicts(len(rows))
    for name in rows.columns.drop("n_videos"):
        column, texts = _LOG.column(str(name)), rows[name].astype("str").where(rows[name].notna())
        blank = stripped(texts).isna() if column.type == "STRING" else texts.isna()
        verdicts.refuse(blank, Reason.MISSING_FIELD, column.name, texts.fillna(""))
        if column.allowed:
            verdicts.refuse(~rows[name].isin(column.allowed), Reason.NOT_ALLOWED, column.name, texts)
        if column.minimum is not None:
            low = (rows[name] < column.minimum).fillna(False).astype(bool)
            verdicts.refuse(low, Reason.OUT_OF_BOUNDS, column.name, texts)
    aside = pd.DataFrame(
        {
            "table_name": _LOG.name,
            "source_file": _LOG.name,
            "source_line": range(1, len(rows) + 1),
            "column_name": verdicts.column,
            "reason": verdicts.reason,
            "detail": verdicts.detail,
            "raw": [
                canonical_json({name: None if pd.isna(value) else value for name, value in row.items()})
                for row in records(rows)
            ],
        }
    )[~verdicts.open]
    return LogDay(
        counts=rows[verdicts.open].astype({"threshold_version": "int64"}).reset_index(drop=True),
        aside=aside.astype(empty_frame(_REJECTS).dtypes).reset_index(drop=True),
        read=len(rows),
    )


def enforced(project: Project, day: date) -> pd.DataFrame | None:
    """What the platform did on `day`: policy, market, model_version, action, threshold_version, n_videos, sorted.

    None: it delivers no enforcement_log of that day, or none that can be read, which its gate says.
    """
    found = counted_log(project, day)
    for detail in found.aside["detail"]:
        log.warning("enforcement_log of %s: set aside: %s", day, detail)
    return found.counts


def enforced_removals(project: Project, day: date) -> pd.Series | None:
    """Videos the platform removed on `day`, by cell; None: it does not say."""
    counts = enforced(project, day)
    if counts is None:
        return None
    return counts[counts["action"] == "remove"].groupby(list(CELL))["n_videos"].sum()
