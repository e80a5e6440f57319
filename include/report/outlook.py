"""What changes came to: earlier forecasts beside what happened, and the watch on what was promised."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd

from include import wording
from include.contract.cell import records
from include.forecasts.outcomes import bias
from include.report.data import ReportData
from include.report.parts import PageTable, Section, Value, cell_value
from include.watch.e_values import alarm_at
from include.wording import percent

LATELY_DAYS = 28
MOST_ROWS = 60

MEASURES = {
    "removes": "Videos removed",
    "reviews": "Videos reviewed",
    "precision": "Precision of removal",
    "wrongful_removals_change": "Change of wrongful removals",
    "violative_views_prevented_change": "Change of violative views prevented",
    "enforced_removes": "Videos the platform removed",
}


ALARM_ACTIONS = {
    "ask": "a person is asked about safer thresholds",
    "roll_back": "it goes back to safer thresholds by itself",
    "end_canary": "the canary ends, the thresholds before it act on all videos",
}


def watch(data: ReportData) -> Section:
    """Whether what removes keeps what it promised."""
    title = "Watch"
    if data.watch is None or data.watch.empty:
        return Section("watch", title, "No cell removes anything automatically yet, so there is no promise to watch.")
    rows = [
        (
            cell_value((row["policy"], row["market"], row["model_version"])),
            Value(f"version {row['version']}", f"since {row['since']}" + _where(row["share"])),
            Value(wording.count(row["n"])),
            Value("" if row["estimate"] is None else f"{row['estimate']:.2%}"),
            Value(f"{row['limit']:.2%}"),
            Value(f"{row['e_value']:.3g}"),
            *_on_appeal(row),
            Value("Alarm", ALARM_ACTIONS[row["action"]], "bad") if row["alarm"] else Value(""),
        )
        for row in records(data.watch)
    ]
    headings = ("Cell", "Change", "Labels", "Found", "Promised", "Evidence", "Overturned", "Evidence", "Alarm")
    alone, both = (alarm_at(data.config.watch.alpha, appeals=appeals) for appeals in (False, True))
    remark = (
        "Every published remove_at is held against what it promised, on labels since then and, where the platform says "
        "which removals were appealed against, on those overturned. Evidence against it starts at 1 and raises the "
        f"alarm at {alone:g}, that of labels or of appeals at {both:g} where both are watched; daily looks are allowed "
        "for."
    )
    return Section(
        "watch", title, remark, [PageTable("Published changes", headings, rows, frozenset({2, 3, 4, 5, 6, 7}))]
    )


def _on_appeal(row: dict[str, Any]) -> tuple[Value, Value]:
    """Overturned removals of a watched change and their evidence, or why there is none."""
    remark = row["appeals_remark"] or ""
    if row["appeals_through"] is None:
        return Value("not watched", remark), Value("")
    counts = f"{wording.count(row['overturned'])} of {wording.count(row['removals'])}"
    return Value(counts, remark), Value(f"{row['appeals_e_value']:.3g}")


def _where(share: float) -> str:
    return "" if share == 1 else f", on {percent(share)} of its videos"


def forecasts(data: ReportData) -> Section:
    """The forecasts' bias, lately and in all the days summed up, and the comparisons that became due today."""
    title = "Forecasts"
    if data.outcomes.empty:
        remark = (
            "No forecast is old enough to compare: that takes a change, a day after it, and that day's final labels."
        )
        return Section("forecasts", title, remark)
    days = pd.to_datetime(data.outcomes["ds"]).dt.date
    lately = data.outcomes[days > data.day - timedelta(days=LATELY_DAYS)]
    together = bias(data.outcomes).merge(
        bias(lately)[["measure", "horizon_days", "bias"]],
        on=["measure", "horizon_days"],
        how="left",
        suffixes=("", "_lately"),
    )
    rows = [
        (
            Value(MEASURES[row["measure"]], f"after {wording.plural(row['horizon_days'], 'day')}"),
            Value(wording.count(row["changes"])),
            Value(_signed(row["bias_lately"])),
            Value(_signed(row["bias"])),
            Value("counted" if row["covered"] is None else wording.percent(row["covered"])),
        )
        for row in records(together)
    ]
    tables = []
    if rows:
        headings = ("A day", "Changes compared", f"Bias, {LATELY_DAYS} days", "Bias, all days", "Intervals that meet")
        tables = [PageTable("What happened against what was forecast", headings, rows, frozenset({1, 2, 3}))]
    today = records(data.outcomes[days == data.day])
    folded = [_compared(today)] if today else []
    remark = (
        "Every published change carries its forecast. Bias is by how much more happened than was forecast, over all "
        "changes together; what was estimated from labels is compared with labels drawn since."
    )
    return Section("forecasts", title, remark, tables, folded)


def _compared(today: list[dict[str, object]]) -> PageTable:
    rows = [
        (
            cell_value((str(row["policy"]), str(row["market"]), str(row["model_version"]))),
            Value(
                f"version {row['version']}",
                f"after {row['horizon_days']} days" + ("" if row["in_force"] else ", replaced since"),
            ),
            Value(MEASURES[str(row["measure"])]),
            _stated(row, "forecast"),
            Value("not stated", str(row["refusal"])) if row["happened"] is None else _stated(row, "happened"),
        )
        for row in today[:MOST_ROWS]
    ]
    listed = "" if len(rows) == len(today) else f", the first {len(rows)} of {len(today)}"
    headings = ("Cell", "Change", "A day", "Forecast", "Happened")
    return PageTable(f"Compared today{listed}", headings, rows, frozenset({3, 4}))


def _stated(row: dict[str, object], name: str) -> Value:
    value, low, high = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    if value is None:
        return Value("not stated")
    if row["measure"] == "precision":
        return Value(wording.percent(float(str(value))), wording.interval(low, high))  # type: ignore[arg-type]
    if row["measure"] in ("wrongful_removals_change", "violative_views_prevented_change"):
        span = "" if low == high else f"{wording.signed(float(str(low)))} to {wording.signed(float(str(high)))}"
        return Value(wording.signed(float(str(value))), span)
    return Value(wording.count(float(str(value))))


def _signed(share: float | None) -> str:
    return "not stated" if share is None else f"{share:+.1%}".replace("-", "−")
