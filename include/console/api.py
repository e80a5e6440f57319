"""The JSON API beside the page: read-only, with the same rights. What a serving system or a notebook would use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from include.console import cell as cell_pages
from include.console import cells, days, history, pages
from include.console.standing import FORTNIGHT, standing
from include.console.storage import UNREADABLE, opened
from include.contract.cell import Cell, records
from include.contract.tables import CELL
from include.forecasts.effects import Amount
from include.report import written

router = APIRouter(prefix="/api")


class AmountOut(BaseModel):
    """So many a day, with the 95% interval."""

    estimate: float | None = Field(description="null: no label speaks of it; the interval is all there is")
    low: float
    high: float


class ThresholdsOut(BaseModel):
    """Of one cell."""

    policy: str
    market: str
    model_version: str
    remove_at: float | None = Field(description="null: nothing is removed (shadow mode)")
    review_at: float | None = Field(description="null: nothing is reviewed for its score")


class InForceOut(BaseModel):
    """The version in force."""

    version: int | None = Field(description="null: nothing has been published yet")
    hash: str | None
    cells: list[ThresholdsOut]


class CellOut(ThresholdsOut):
    """A cell as it is now."""

    certified: float | None = Field(description="certified lower limit of the precision of removal; null: none")
    target: float = Field(description="precision asked for")
    by_views: bool = Field(description="whether the goals count views instead of videos")
    removes: int | None = Field(description="videos a day; null: no scores have arrived")
    reviews: int | None
    wrong: AmountOut | None = Field(description="wrongful removals a day")
    views_prevented: AmountOut | None = Field(description="violative views prevented a day")
    why: str
    labels_missing: int | None
    review_minutes_missing: float | None
    changed: date | None
    version: int | None = Field(description="that changed it last")


class MetricOut(BaseModel):
    """A metric of a cell on a day, with the 95% interval, or why it is not stated."""

    day: date
    metric: str
    value: float | None
    low: float | None
    high: float | None
    labels: int
    refusal: str | None


class PointOut(BaseModel):
    """A point of a cell's curves."""

    threshold: float
    estimate: float | None = Field(description="estimated precision of removing from this threshold on")
    bound: float | None = Field(description="its lower limit, for this threshold taken alone")
    removes: int
    recall: float | None


class ChangeOut(ThresholdsOut):
    """What a version changed in one cell: the thresholds after it, and those before."""

    remove_at_before: float | None
    review_at_before: float | None


class VersionOut(BaseModel):
    """A published version."""

    version: int
    hash: str
    day: date
    published_at: datetime
    kind: str
    requester: str
    approver: str | None
    reason: str
    expires_on: date | None
    changes: list[ChangeOut]


class GateOut(BaseModel):
    """What a gate found."""

    gate: str
    result: str = Field(description="passed, warning or failed")
    remark: str
    messages: list[str]


class DayOut(BaseModel):
    """A day and its gates."""

    day: date
    verdict: str
    has_report: bool
    gates: list[GateOut]


@contextmanager
def looked_up() -> Iterator[None]:
    """Within, what is not found is answered with 404."""
    try:
        yield
    except LookupError as error:
        if isinstance(error, UNREADABLE):
            raise
        raise HTTPException(404, f"{error}.") from error


@router.get("/thresholds", summary="Thresholds in force")
def thresholds() -> InForceOut:
    """The thresholds of every cell by the ledger's newest version. The file that serving reads says the same."""
    now = standing(opened())
    newest = now.chain[-1] if now.chain else {"version": None, "hash": None}
    listed = [ThresholdsOut(**_pair(cell, pair)) for cell, pair in now.in_force.items()]
    return InForceOut(version=newest["version"], hash=newest["hash"], cells=listed)


@router.get("/cells", summary="Every cell as it is now")
def all_cells() -> list[CellOut]:
    """What each cell does in a day, what is certified, and why it was not moved."""
    now = standing(opened())
    shown = cells.cells_now(now.in_force, now.past, now.daily, pages.kept_effects(now), now.config)
    return [
        CellOut(
            **_pair(cell.cell, cell.pair),
            certified=cell.certified,
            target=cell.target,
            by_views=cell.by_views,
            removes=cell.effect.removes if cell.effect else None,
            reviews=cell.effect.reviews if cell.effect else None,
            wrong=_amount(cell.effect.wrong) if cell.effect else None,
            views_prevented=_amount(cell.effect.views) if cell.effect else None,
            why=cell.why,
            labels_missing=cell.labels,
            review_minutes_missing=cell.minutes,
            changed=cell.changed,
            version=cell.version,
        )
        for cell in shown
    ]


@router.get("/cells/{policy}/{market}/{model_version}/metrics", summary="A cell's metrics by day")
def metrics(
    policy: str, market: str, model_version: str, first: date | None = None, last: date | None = None
) -> list[MetricOut]:
    """Precision, recall, false-positive rate, prevalence and violative view rate, from first to last."""
    project, cell = opened(), (policy, market, model_version)
    with looked_up():
        if cell not in standing(project).in_force:
            raise LookupError(f"{' '.join(cell)} is not among the configured cells")
    rows = project.warehouse.read("policy_metrics", first, last)
    own = cell_pages.of_cell(rows[rows["population"] == "cell"], cell)
    return [
        MetricOut(
            day=row["ds"],
            labels=row["n"],
            **{name: row[name] for name in ("metric", "value", "low", "high", "refusal")},
        )
        for row in records(own.sort_values(["ds", "metric"]))
    ]


@router.get("/cells/{policy}/{market}/{model_version}/curve", summary="A cell's curves against the threshold")
def curve(policy: str, market: str, model_version: str) -> list[PointOut]:
    """Precision, recall and volume by rising threshold, from the newest labels. A point certifies nothing."""
    with looked_up():
        page = cell_pages.cell_page(standing(opened()), (policy, market, model_version))
    return [PointOut(**point) for point in page.curve]


@router.get("/versions", summary="The ledger, newest first")
def versions(most: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[VersionOut]:
    """Who changed what, when and why."""
    chain = standing(opened()).chain
    return [_version(row) for row in reversed(chain[-most:])]


@router.get("/versions/{version}", summary="One version")
def version(version: int) -> VersionOut:
    """Who changed what, when and why."""
    chain = standing(opened()).chain
    with looked_up():
        if not 1 <= version <= len(chain):
            raise LookupError(f"the ledger holds versions 1 to {len(chain)}")
    return _version(chain[version - 1])


@router.get("/days", summary="The newest days and their gates")
def newest_days() -> list[DayOut]:
    """The last fortnight, newest first."""
    project = opened()
    now = standing(project)
    found = days.newest_days(now.quality, now.failures, written.report_days(project.settings), FORTNIGHT)
    return [_day(day) for day in found]


@router.get("/days/{day}", summary="A day and its gates")
def one_day(day: date) -> DayOut:
    """What each gate found on a day; no gates where none has judged it."""
    project = opened()
    quality, failures = (project.warehouse.read(name, day, day) for name in ("quality_results", "gate_failures"))
    has_report = written.report(project.settings, day) is not None
    return _day(days.day_of(day, quality, failures, has_report=has_report))


def _pair(cell: Cell, pair: Any) -> dict[str, Any]:
    levels = zip(("remove_at", "review_at"), (None if level == 1 else level for level in pair), strict=True)
    return dict(zip(CELL, cell, strict=True)) | dict(levels)


def _amount(found: Amount) -> AmountOut:
    return AmountOut(estimate=found.estimate, low=found.low, high=found.high)


def _version(row: dict[str, Any]) -> VersionOut:
    item = history.version_of(row)
    return VersionOut(
        version=item.number,
        hash=row["hash"],
        day=item.day,
        published_at=item.published,
        kind=item.kind,
        requester=row["requester"],
        approver=row["approver"],
        reason=item.reason,
        expires_on=item.until,
        changes=[
            ChangeOut(
                **_pair(change.cell, change.new),
                remove_at_before=None if change.old.remove_at == 1 else change.old.remove_at,
                review_at_before=None if change.old.review_at == 1 else change.old.review_at,
            )
            for change in item.changes
        ],
    )


def _day(day: days.Day) -> DayOut:
    gates = [
        GateOut(gate=found.gate, result=found.word, remark=found.remark, messages=list(found.messages))
        for found in day.gates.values()
    ]
    return DayOut(day=day.day, verdict=day.verdict, has_report=day.has_report, gates=gates)
