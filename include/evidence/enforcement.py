"""What the platform says it did with the videos of a day."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

from include.contract.cell import records
from include.contract.schema import empty_frame
from include.contract.tables import CELL, TABLES, Column
from include.contract.terms import Reason
from include.project import Project
from include.reading.rows import rows_of
from include.warehouse.base import MissingPartition, UnreadablePartition

log = logging.getLogger(__name__)

_LOG, _REJECTS = TABLES["enforcement_log"], TABLES["input_rejects"]
_KEPT = "enforcement_counts"
_COUNTED = tuple(_LOG.column(name) for name in (*CELL, "action", "threshold_version"))
_GROUPS = replace(
    _LOG,
    columns=(*_COUNTED, Column("n_videos", "INT64", "Rows of the log with these values", minimum=1)),
    key=(*(column.name for column in _COUNTED), "n_videos"),  # names that differ in white space are one group
)


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


def counted_log(project: Project, day: date, *, anew: bool = False) -> LogDay:
    """The log of `day`, as enforcement_counts has kept it; `anew`, or where it has not: counted in the log itself.

    Counted anew, it is kept: the scan is as large as that of the scores, and many steps ask for the same days.
    """
    if not anew and len(kept := project.warehouse.read(_KEPT, day, day)):
        return LogDay(kept.drop(columns="ds"), empty_frame(_REJECTS), len(kept))
    try:
        found = judged(project.warehouse.query("enforcement_counts", {"ds": day}))
        if anew and found.counts is not None:
            project.warehouse.replace(_KEPT, day, found.counts)
        return found
    except MissingPartition:
        return LogDay(None, empty_frame(_REJECTS), 0)
    except UnreadablePartition as error:
        row = (_LOG.name, error.file, 0, None, Reason.UNREADABLE_FILE.value, str(error), "")
        aside = pd.DataFrame([row], columns=list(_REJECTS.column_names))
        return LogDay(None, aside.astype(empty_frame(_REJECTS).dtypes), 1)


def judged(counts: pd.DataFrame) -> LogDay:
    """The groups that count, and those whose values are none of the contract's. Pure."""
    found = rows_of(_GROUPS, records(counts.sort_values(list(counts.columns))))
    names = [name for name in _GROUPS.column_names if name != "n_videos"]
    together = found.accepted.astype({"threshold_version": "int64", "n_videos": "int64"}).groupby(names, as_index=False)
    return LogDay(together[["n_videos"]].sum(), found.rejects, found.read)


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
