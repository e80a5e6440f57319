"""What the page says: frames in, words and tables out. No HTML and no plotting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from include.contract.tables import NO_SCORE_BIN, TABLES
from include.thresholds.report import wording
from include.thresholds.report.data import Cell, ReportData, by_cell, cell_of, records

Kind = Literal["bad", "warn", "good", "info", "plain"]

MOST_CELLS = 200
"""Cells shown one by one; a page with more is slow to open and nobody reads it."""

CHANGED = ("approved", "within_limits")
WAITING = ("awaiting_approval",)
STOPPED = ("held", "rejected", "timed_out")

_STATUS: dict[str, tuple[str, Kind]] = {
    "awaiting_approval": ("Waiting for approval", "warn"),
    "held": ("Held by a guardrail", "warn"),
    "timed_out": ("Approval timed out", "warn"),
    "rejected": ("Rejected", "warn"),
    "approved": ("Changed, approved", "good"),
    "within_limits": ("Changed", "good"),
    "refused": ("Not certifiable", "info"),
    "unchanged": ("Kept", "plain"),
}
"""Every status in the order in which it concerns a reader."""

_METRICS = {
    "precision": "Precision of automatic removal",
    "recall": "Recall of automatic removal",
    "prevalence": "Prevalence",
    "violative_view_rate": "Violative view rate",
}


_OUTCOMES: dict[str, tuple[str, str, Kind]] = {
    "hold": ("Holds", "", "warn"),
    "ask": ("Asks a person", "", "warn"),
    "publish": ("Passes", "", "good"),
}
"""A guardrail's outcomes, the strictest first."""

_VOLUMES = {
    "removes": "Videos removed",
    "remove_views": "Their views",
    "reviews": "Videos reviewed",
    "reviewer_minutes": "Reviewer minutes",
}
_QUALITY = {"precision": "Precision of removal", "recall": "Recall of removal and review"}
_EFFECTS = {
    "wrongful_removals_change": "Wrongful removals",
    "violative_views_prevented_change": "Violative views prevented",
}


@dataclass(frozen=True)
class Value:
    """A table cell: text, a quieter second line, and a kind, which makes the text a badge."""

    text: str
    note: str = ""
    kind: Kind | None = None


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first column heads each row, `numeric` columns are set flush right."""

    caption: str
    headings: tuple[str, ...]
    rows: list[tuple[Value, ...]]
    numeric: frozenset[int] = frozenset()

    @property
    def compact(self) -> bool:
        """Few columns, all numbers but the first: fits a phone as it is."""
        return len(self.headings) <= 5 and len(self.numeric) == len(self.headings) - 1


@dataclass(frozen=True)
class Notice:
    """Something to look at, with the id of the section that has the details."""

    kind: Kind
    text: str
    section: str


@dataclass(frozen=True)
class Tile:
    """One number of the headline."""

    label: str
    number: str
    kind: Kind


@dataclass(frozen=True)
class Load:
    """A market's expected reviewer minutes against its capacity; shares are of the widest bar of all markets."""

    market: str
    audit: float
    queue: float
    capacity: float
    scale: float

    @property
    def total(self) -> float:
        return self.audit + self.queue

    @property
    def used(self) -> float:
        return self.total / self.capacity

    def width(self, minutes: float) -> str:
        """A CSS length."""
        return f"{100 * minutes / self.scale:.2f}%"


@dataclass(frozen=True)
class Chart:
    """A chart's place in the page: what it shows, for all readers, or (`missing`) why it is not drawn."""

    id: str
    title: str
    remark: str
    description: str
    missing: str = ""


@dataclass(frozen=True)
class CellView:
    """One cell in words; its charts are added by the page."""

    id: str
    cell: Cell
    status: Value
    summary: str
    measured: Table
    verdicts: Table
    forecast: Table | None
    charts: list[Chart] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A section that is a remark and tables."""

    id: str
    title: str
    remark: str
    tables: list[Table] = field(default_factory=list)
    folded: list[Table] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def daily(data: ReportData) -> list[dict[str, Any]]:
    """The day's own proposals, most urgent status first, then by cell."""
    urgency = {status: position for position, status in enumerate(_STATUS)}
    rows = records(data.proposals[data.proposals["origin"] == "daily"])
    return sorted(rows, key=lambda row: (urgency[row["status"]], *cell_of(row)))


def shown(data: ReportData, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most MOST_CELLS of the proposals: what changed or was stopped before the rest, then by the day's videos."""
    if len(rows) <= MOST_CELLS:
        return rows
    videos = data.histogram.groupby(["policy", "market", "model_version"])["n_videos"].sum().to_dict()
    quiet = ("refused", "unchanged")
    kept = sorted(rows, key=lambda row: (row["status"] in quiet, -videos.get(cell_of(row), 0), cell_of(row)))
    chosen = {cell_of(row) for row in kept[:MOST_CELLS]}
    return [row for row in rows if cell_of(row) in chosen]


def name_of(cell: Cell) -> str:
    """`violence, BR, violence-v3`."""
    return ", ".join(cell)


def status_of(row: dict[str, Any]) -> Value:
    """The status as a badge, with who answered."""
    text, kind = _STATUS[row["status"]]
    return Value(text, f"by {row['answered_by']}" if row["answered_by"] else "", kind)


def proposed_name(row: dict[str, Any]) -> str:
    """What the proposed thresholds are called beside those in force."""
    return "New" if row["status"] in CHANGED else "Proposed"


def after(row: dict[str, Any], action: str) -> int:
    """Videos a day once the day's decisions hold; `action` is removes or reviews."""
    value = row[f"{action}_after"] if row["status"] in CHANGED else None
    return int(row[f"{action}_before"] if value is None else value)


def moves(row: dict[str, Any]) -> bool:
    """Whether anything else than the thresholds in force is proposed."""
    return any(row[f"proposed_{which}"] not in (None, row[f"current_{which}"]) for which in ("remove_at", "review_at"))


def tiles(rows: list[dict[str, Any]]) -> list[Tile]:
    """How many cells changed, wait, were stopped, cannot be certified, were kept."""

    def number(statuses: tuple[str, ...]) -> int:
        return sum(row["status"] in statuses for row in rows)

    groups: tuple[tuple[str, tuple[str, ...], Kind], ...] = (
        ("Waiting for approval", WAITING, "warn"),
        ("Stopped", STOPPED, "warn"),
        ("Changed", CHANGED, "good"),
        ("Not certifiable", ("refused",), "info"),
        ("Kept", ("unchanged",), "plain"),
    )
    return [
        Tile(label, wording.count(n := number(statuses)), kind if n else "plain") for label, statuses, kind in groups
    ]


def headline(rows: list[dict[str, Any]]) -> str:
    """The day in one or two sentences."""
    if not rows:
        return "No threshold was considered on this day."
    changed = sum(row["status"] in CHANGED for row in rows)
    sentence = (
        f"Thresholds changed in {wording.count(changed)} of {wording.plural(len(rows), 'cell')}."
        if changed
        else f"No threshold changed; {wording.plural(len(rows), 'cell was', 'cells were')} considered."
    )
    moves = []
    for noun, before_column, action in (
        ("Videos removed a day", "removes_before", "removes"),
        ("Videos sent to review a day", "reviews_before", "reviews"),
    ):
        before, now = sum(int(row[before_column]) for row in rows), sum(after(row, action) for row in rows)
        there = "" if now == before else f" → {wording.count(now)}"
        moves.append(f"{noun}: {wording.count(before)}{there} ({wording.change(before, now)}).")
    return " ".join((sentence, *moves))


def notices(data: ReportData, rows: list[dict[str, Any]]) -> list[Notice]:
    """What needs a look, red before amber."""
    found: list[Notice] = []
    failed = records(data.quality[~data.quality["success"].astype(bool)])
    for severity, kind in (("critical", "bad"), ("warning", "warn")):
        of = [r for r in failed if r["severity"] == severity]
        if of:
            where = ", ".join(sorted({r["gate"] for r in of}))
            found_there = f": {_short(of[0]['observed'])}" if len(of) == 1 else ""
            text = f"{wording.plural(len(of), f'{severity} check')} failed at gate {where}{found_there}"
            found.append(Notice(kind, text, "gates"))  # type: ignore[arg-type]
    targets = {cell_of(row): row["target"] for row in rows}
    for metric in records(_today(data)):
        target = targets.get(cell_of(metric))
        if metric["metric"] == "precision" and target is not None and (metric["high"] or 1) < target:
            text = (
                f"{name_of(cell_of(metric))}: automatic removals are right only {wording.percent(metric['value'])} of "
                f"the time ({wording.interval(metric['low'], metric['high'])}); "
                f"{wording.percent(target)} is asked"
            )
            found.append(Notice("bad", text, "cells"))
    for load in loads(data, rows):
        if load.total > load.capacity:
            text = f"{load.market}: expected review work is {wording.percent(load.used)} of what reviewers can do"
            found.append(Notice("bad", text, "load"))
    for status in ("awaiting_approval", "held", "timed_out", "rejected"):
        cells = [name_of(cell_of(row)) for row in rows if row["status"] == status]
        if cells:
            listed = "; ".join(cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else "")
            found.append(Notice("warn", f"{_STATUS[status][0]}: {listed}", "thresholds"))
    differing = [row[0].text for row in _enforcement_rows(data, rows) if row[-1].kind == "warn"]
    if differing:
        text = f"Enforced actions differ from the thresholds in force in {wording.plural(len(differing), 'cell')}"
        found.append(Notice("warn", text, "enforcement"))
    return sorted(found, key=lambda notice: notice.kind != "bad")


def thresholds(rows: list[dict[str, Any]], caption: str) -> Table:
    """Old and new thresholds with their certificates."""
    headings = (
        *("Cell", "Status", "Remove at", "Review at"),
        *("Certified precision", "Estimate", "Labels", "Removals a day", "Certified for"),
    )
    return Table(caption, headings, [_threshold_row(row) for row in rows], frozenset({2, 3, 4, 5, 6, 7}))


def refusals(data: ReportData, rows: list[dict[str, Any]]) -> Section:
    """The cells that cannot be certified, with the labels that would decide them."""
    refused = [row for row in rows if row["status"] == "refused"]
    lines = []
    for row in refused:
        policy = data.config.policies[row["policy"]]
        needed = row["labels_needed"]
        lines.append(
            (
                _cell_value(row),
                Value(row["refusal"] or "no reason given"),
                Value("not stated" if needed is None else wording.count(needed)),
                Value("" if needed is None else wording.duration(needed * policy.minutes_per_label * policy.overlap)),
            )
        )
    remark = (
        "No precision could be certified for these cells with the labels there are. Their thresholds stay as they are."
        if refused
        else "Every cell could be certified."
    )
    headings = ("Cell", "Why", "Labels missing", "Reviewer time")
    table = Table("Cells that cannot be certified", headings, lines, frozenset({2, 3}))
    return Section("refusals", "Not certifiable", remark, [table] if refused else [])


def cell_view(data: ReportData, row: dict[str, Any], position: int) -> CellView:
    """One cell in words."""
    today = _today(data)
    mine = today[(today["policy"] == row["policy"]) & (today["market"] == row["market"])]
    mine = mine[mine["model_version"] == row["model_version"]]
    measured = {metric["metric"]: metric for metric in records(mine)}
    lines = []
    for metric, label in _METRICS.items():
        found = measured.get(metric)
        if found is None:
            lines.append((Value(label), Value("not measured"), Value(""), Value("")))
        elif found["value"] is None:
            lines.append((Value(label), Value("not stated", found["refusal"] or ""), Value(""), _labels(found["n"])))
        else:
            span = Value(wording.interval(found["low"], found["high"]))
            lines.append((Value(label), Value(wording.percent(found["value"])), span, _labels(found["n"])))
    table = Table("Measured on this day", ("Metric", "Value", "95% interval", "Labels"), lines, frozenset({1, 2, 3}))
    return CellView(
        f"cell-{position}", cell_of(row), status_of(row), _summary(row), table, _verdicts(row), _forecast(row)
    )


def _verdicts(row: dict[str, Any]) -> Table:
    verdicts = sorted(json.loads(row["verdicts"]), key=lambda verdict: list(_OUTCOMES).index(verdict["outcome"]))
    rows = [
        (Value(verdict["name"].replace("_", " ")), Value(*_OUTCOMES[verdict["outcome"]]), Value(verdict["reason"]))
        for verdict in verdicts
    ]
    stopping = sum(verdict["outcome"] != "publish" for verdict in verdicts)
    caption = f"Guardrails: {stopping} of {len(rows)} do not pass" if stopping else f"Guardrails: all {len(rows)} pass"
    return Table(caption, ("Guardrail", "Verdict", "Reason"), rows)


def _forecast(row: dict[str, Any]) -> Table | None:
    if not moves(row):
        return None
    effect = json.loads(row["forecast"])
    rows = []
    for key, label in _VOLUMES.items():
        before, later = effect[key]["before"], effect[key]["after"]
        rows.append((Value(label), *_before_after(before, later), Value(wording.change(before, later))))
    for key, label in _QUALITY.items():
        before, later = (effect[key][when]["estimate"] for when in ("before", "after"))
        stated = (Value("not stated" if v is None else wording.percent(v)) for v in (before, later))
        rows.append((Value(label), *stated, Value("")))
    for key, label in _EFFECTS.items():
        found = effect[key]
        span = f"{wording.signed(found['low'])} to {wording.signed(found['high'])}"
        estimate = "not stated" if found["estimate"] is None else wording.signed(found["estimate"])
        rows.append(
            (Value(label), Value(""), Value(""), Value(estimate, span if found["low"] != found["high"] else ""))
        )
    headings = ("A day", "Today", "After", "Change")
    return Table("Forecast, were the proposal carried out", headings, rows, frozenset({1, 2, 3}))


def _before_after(before: float, later: float) -> tuple[Value, Value]:
    return Value(wording.count(before)), Value(wording.count(later))


def without_score(bins: pd.DataFrame) -> str:
    """How many of a cell's videos have no usable score."""
    missing = int(bins.loc[bins["bin"] == NO_SCORE_BIN, "n_videos"].sum())
    total = int(bins["n_videos"].sum())
    if not missing:
        return "Every video has a score."
    return f"{wording.count(missing)} videos ({wording.percent(missing / total)}) have no score and are not drawn."


def loads(data: ReportData, rows: list[dict[str, Any]]) -> list[Load]:
    """Expected reviewer minutes of each configured market once the day's decisions hold, fullest market first."""
    audit = data.design.groupby("market")["expected_minutes"].sum().to_dict()
    queue: dict[str, float] = {}
    for row in rows:
        minutes = after(row, "reviews") * data.config.policies[row["policy"]].minutes_per_label
        queue[row["market"]] = queue.get(row["market"], 0) + minutes
    plain = [
        (market, float(audit.get(market, 0)), queue.get(market, 0.0), setting.reviewer_minutes)
        for market, setting in data.config.markets.items()
    ]
    scale = max(max(a + q, capacity) for _, a, q, capacity in plain)
    bars = [Load(market, a, q, capacity, scale) for market, a, q, capacity in plain]
    return sorted(bars, key=lambda load: (-load.used, load.market))


def load_table(bars: list[Load]) -> Table:
    """The numbers behind the bars."""
    rows = [
        (
            Value(load.market),
            Value(wording.duration(load.audit)),
            Value(wording.duration(load.queue)),
            Value(wording.duration(load.total)),
            Value(wording.duration(load.capacity)),
            Value(wording.percent(load.used), "", "bad" if load.total > load.capacity else "plain"),
        )
        for load in bars
    ]
    headings = ("Market", "Audit sample", "Review queue", "Together", "Capacity", "Used")
    return Table("Expected reviewer time a day", headings, rows, frozenset({1, 2, 3, 4, 5}))


def labels(data: ReportData) -> Section:
    """How complete the labels are that the thresholds rest on, and which label events were refused."""
    tables, lines = [], []
    remark = "Label completeness is not available for this day."
    counts = data.sample_counts
    if counts is not None and counts["drawn"].sum() > 0:
        drawn, labelled = int(counts["drawn"].sum()), int(counts["labelled"].sum())
        days = sorted(pd.to_datetime(counts["ds"]).dt.date)
        remark = (
            f"{wording.count(labelled)} of {wording.plural(drawn, 'video')} drawn from {wording.day_in_words(days[0])} "
            f"to {wording.day_in_words(days[-1])} have a label ({wording.percent(labelled / drawn)})."
        )
        totals = counts.groupby(["policy", "market"], as_index=False)[["drawn", "labelled", "final"]].sum()
        rows = [
            (
                Value(f"{row['policy']}, {row['market']}"),
                *(Value(wording.count(row[c])) for c in ("drawn", "labelled", "final")),
                Value(wording.percent(row["labelled"] / row["drawn"]) if row["drawn"] else "none drawn"),
            )
            for row in records(totals)
        ]
        headings = ("Policy and market", "Drawn", "Labelled", "Final", "Labelled share")
        tables.append(Table("Labels of the samples in the window", headings, rows, frozenset({1, 2, 3, 4})))
    if data.rejects.empty:
        lines.append("No label event was refused.")
    else:
        total = len(data.rejects)
        lines.append(f"{wording.plural(total, 'label event was', 'label events were')} refused.")
        reasons = []
        for reason, group in data.rejects.groupby("reason"):
            first = records(group.sort_values(["source_file", "source_line"]))[0]
            where = f"{first['source_file']}, line {first['source_line']}"
            reasons.append((-len(group), Value(str(reason)), Value(_short(first["detail"]), where)))
        rejected = [(reason, Value(wording.count(-n)), example) for n, reason, example in _ordered(reasons)]
        tables.append(
            Table("Refused label events by reason", ("Reason", "Events", "First example"), rejected, frozenset({1}))
        )
    return Section("labels", "Labels", remark, tables, lines=lines)


def gates(data: ReportData) -> Section:
    """Failed checks first, then every gate's count, then all checks folded away."""
    checks = records(data.quality.sort_values(["gate", "position"], kind="stable"))
    if not checks:
        return Section("gates", "Gates", "No gate has recorded a result for this day.")
    failed = [c for c in checks if not c["success"]]
    failed.sort(key=lambda c: c["severity"] != "critical")
    headings = ("Check", "Gate", "Severity", "Found")
    tables = []
    if failed:
        rows = [
            (
                _check(c),
                Value(c["gate"]),
                Value(c["severity"], "", "bad" if c["severity"] == "critical" else "warn"),
                Value(_short(c["observed"])),
            )
            for c in failed
        ]
        tables.append(Table("Failed checks", headings, rows))
    summary = []
    for gate in sorted({c["gate"] for c in checks}):
        mine = [c for c in checks if c["gate"] == gate]
        held = sum(bool(c["success"]) for c in mine)
        stopped = any(c["severity"] == "critical" and not c["success"] for c in mine)
        verdict = Value("Passed", "", "good") if held == len(mine) else Value("Passed with warnings", "", "warn")
        verdict = Value("Stopped the run", "", "bad") if stopped else verdict
        about = ", ".join(sorted({c["table_name"] for c in mine}))
        summary.append((Value(gate), Value(about), Value(f"{held} of {len(mine)}"), verdict))
    tables.append(Table("Gates", ("Gate", "Table", "Checks held", "Verdict"), summary, frozenset({2})))
    every = [
        (
            _check(c),
            Value(c["gate"]),
            Value("held" if c["success"] else "failed", "", "plain" if c["success"] else "warn"),
            Value(_short(c["observed"])),
        )
        for c in checks
    ]
    held = len(checks) - len(failed)
    return Section(
        "gates",
        "Gates",
        f"{wording.count(held)} of {wording.plural(len(checks), 'data quality check')} held.",
        tables,
        [Table(f"All {len(checks)} checks", ("Check", "Gate", "Result", "Found"), every)],
    )


def enforcement(data: ReportData, rows: list[dict[str, Any]]) -> Section:
    """What the platform did against what the thresholds in force say."""
    title = "Enforcement"
    if data.enforcement is None:
        return Section("enforcement", title, _switched_off("enforcement_log"))
    compared = _enforcement_rows(data, rows)
    if not compared:
        return Section("enforcement", title, "The platform logged no action on this day.")
    headings = (
        "Cell",
        "Version enforced",
        "Removed",
        "By the thresholds",
        "Sent to review",
        "By the thresholds",
        "Verdict",
    )
    table = Table(
        "Actions of the platform against the thresholds in force", headings, compared, frozenset({2, 3, 4, 5})
    )
    remark = "What the platform did with the day's videos, beside what the thresholds in force say."
    return Section("enforcement", title, remark, [table])


def appeals(data: ReportData) -> Section:
    """Decided appeals by policy."""
    if data.appeals is None:
        return Section("appeals", "Appeals", _switched_off("appeals"))
    if data.appeals.empty:
        return Section("appeals", "Appeals", "No appeal was decided on this day.")
    rows = []
    for policy, group in data.appeals.groupby("policy"):
        overturned = int((group["outcome"] == "overturned").sum())
        share = wording.percent(overturned / len(group))
        rows.append(
            (Value(str(policy)), *(Value(t) for t in (wording.count(len(group)), wording.count(overturned), share)))
        )
    headings = ("Policy", "Decided", "Overturned", "Share overturned")
    remark = "Appeals are not a probability sample: they show what creators contest, not how often removals are right."
    return Section("appeals", "Appeals", remark, [Table("Appeals decided", headings, rows, frozenset({1, 2, 3}))])


def ledger(data: ReportData) -> Section:
    """The versions published on the day."""
    versions = records(data.ledger.sort_values("version"))
    if not versions:
        return Section("ledger", "Ledger", "No version of the thresholds was published on this day.")
    rows = [
        (
            Value(f"Version {v['version']}", wording.moment_in_words(v["published_at"])),
            Value(v["hash"], f"after {v['previous_hash']}" if v["previous_hash"] else "first version"),
            Value(v["requester"], f"Approved by {v['approver']}" if v["approver"] else "Within limits"),
            Value(v["reason"]),
        )
        for v in versions
    ]
    remark = f"Version {versions[-1]['version']} of the thresholds is the last published on this day."
    headings = ("Version", "Hash (SHA-256)", "Requested by", "Reason")
    return Section("ledger", "Ledger", remark, [Table("Published versions", headings, rows)])


def _threshold_row(row: dict[str, Any]) -> tuple[Value, ...]:
    certified = row["refusal"] is None and row["bound"] is not None
    return (
        _cell_value(row),
        status_of(row),
        _old_new(row, "remove_at"),
        _old_new(row, "review_at"),
        Value(
            f"at least {wording.percent(row['bound'], down=True)}" if certified else "none",
            f"target {wording.percent(row['target'])}",
        ),
        Value(wording.percent(row["estimate"]) if certified else ""),
        _labels(row["n"]),
        _moved(row),
        Value(_population(row), _certainty(row)) if certified else Value(""),
    )


def _population(row: dict[str, Any]) -> str:
    return "this cell" if row["population"] == "cell" else f"pooled: {row['population']}"


def _certainty(row: dict[str, Any]) -> str:
    method = "" if row["method"] is None else f", {row['method']}"
    return f"{wording.percent(row['confidence'])} confidence{method}"


def _old_new(row: dict[str, Any], which: str) -> Value:
    current, proposed = row[f"current_{which}"], row[f"proposed_{which}"]
    if proposed is None or proposed == current:
        return Value(wording.score(current), "" if proposed is None else "unchanged")
    return Value(f"{wording.score(current)} → {wording.score(proposed)}")


def _moved(row: dict[str, Any]) -> Value:
    before, later = row["removes_before"], row["removes_after"]
    if later is None or later == before:
        return Value(wording.count(before))
    return Value(f"{wording.count(before)} → {wording.count(later)}", wording.change(before, later))


def _summary(row: dict[str, Any]) -> str:
    now, new = row["current_remove_at"], row["proposed_remove_at"]
    if row["refusal"]:
        needed = row["labels_needed"]
        more = "" if needed is None else f" About {wording.plural(needed, 'more label')} would decide it."
        return f"Automatic removal stays at {wording.score(now)}: {row['refusal'].rstrip('.')}.{more}"
    if new is None or row["bound"] is None:
        return f"Automatic removal stays at {wording.score(now)}."
    certificate = (
        f"certified right at least {wording.percent(row['bound'], down=True)} of the time, "
        f"at {wording.percent(row['confidence'])} confidence"
    )
    move = "moves" if row["status"] in CHANGED else "would move"
    if new == now:
        return f"Automatic removal stays at {wording.score(now)}, {certificate}."
    return f"Automatic removal {move} from {wording.score(now)} to {wording.score(new)}, {certificate}."


def _enforcement_rows(data: ReportData, rows: list[dict[str, Any]]) -> list[tuple[Value, ...]]:
    if data.enforcement is None:
        return []
    expected = {cell_of(row): row for row in rows}
    result: list[tuple[Value, ...]] = []
    for cell, group in by_cell(data.enforcement).items():
        done = group.groupby("action")["n_videos"].sum()
        removed, reviewed = int(done.get("remove", 0)), int(done.get("review", 0))
        versions = ", ".join("none" if v == 0 else str(v) for v in sorted(set(group["threshold_version"])))
        row = expected.get(cell)
        if row is None:
            verdict, should = Value("no proposal", "", "plain"), ("", "")
        else:
            agree = (removed, reviewed) == (row["removes_before"], row["reviews_before"])
            verdict = Value("agrees", "", "good") if agree else Value("differs", "", "warn")
            should = (wording.count(row["removes_before"]), wording.count(row["reviews_before"]))
        values = (wording.count(removed), should[0], wording.count(reviewed), should[1])
        result.append((_cell_value_of(cell), Value(versions), *(Value(v) for v in values), verdict))
    return result


def _today(data: ReportData) -> pd.DataFrame:
    return data.metrics[pd.to_datetime(data.metrics["ds"]).dt.date == data.day]


def _switched_off(table: str) -> str:
    return f"Switched off: the platform delivers no {table}. Without it there is no {TABLES[table].switches_off}."


def _cell_value(row: dict[str, Any]) -> Value:
    return _cell_value_of(cell_of(row))


def _cell_value_of(cell: Cell) -> Value:
    return Value(f"{cell[0]}, {cell[1]}", cell[2])


def _labels(n: float | None) -> Value:
    return Value("" if n is None else wording.count(n))


def _check(row: dict[str, Any]) -> Value:
    column = f".{row['column_name']}" if row["column_name"] else ""
    return Value(row["expectation"], f"{row['table_name']}{column}")


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _ordered(rows: Iterable[tuple[int, Value, Value]]) -> list[tuple[int, Value, Value]]:
    return sorted(rows, key=lambda row: (row[0], row[1].text))
