"""What stands around the thresholds: review load, labels, gates, enforcement, appeals, the ledger."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from include import wording
from include.contract.cell import Cell, by_cell, cell_of, records
from include.contract.sample import sampling_minutes
from include.contract.tables import DECISIVE, RANDOM, TABLES
from include.forecasts.forecast import volumes
from include.report.data import ReportData
from include.report.decisions import after
from include.report.parts import PageTable, Section, Value, cell_value, short

_DEVIATIONS = 4
"""Standard deviations by which a bucket's share of the videos may be off."""


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

    def share(self, minutes: float) -> str:
        """Of the widest bar, in percent."""
        return f"{100 * minutes / self.scale:.2f}"


def loads(data: ReportData, rows: Sequence[dict[str, Any]]) -> list[Load]:
    """Expected reviewer minutes of each configured market once the day's decisions hold, fullest market first."""
    audit = sampling_minutes(data.design).to_dict()
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


def load_table(bars: list[Load]) -> PageTable:
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
    return PageTable("Expected reviewer time a day", headings, rows, frozenset({1, 2, 3, 4, 5}))


def second_look(data: ReportData) -> Section:
    """What experts are asked to settle, in minutes of their own."""
    title, minutes = (
        "Second look by experts",
        {n: m.experts.minutes for n, m in data.config.markets.items() if m.experts},
    )
    if not minutes:
        remark = "No market has experts, so certificates speak for the reviewers' consensus."
        return Section("second-look", title, remark)
    looks = data.design[data.design["programme"] == "second_look"]
    asked = looks.groupby(["market", "stratum"])[["expected_labels", "expected_minutes"]].sum()
    rows = []
    for market, capacity in minutes.items():
        mine = asked.loc[market] if market in asked.index else asked.iloc[:0].droplevel(0)
        decisive, random = (int(mine["expected_labels"].get(stratum, 0)) for stratum in (DECISIVE, RANDOM))
        used = float(mine["expected_minutes"].sum())
        full = used > capacity - max(policy.minutes_per_label for policy in data.config.policies.values())
        rows.append(
            (
                Value(market),
                Value(wording.count(decisive)),
                Value(wording.count(random)),
                Value(wording.duration(used)),
                Value(f"{used / capacity:.0%}", f"of {wording.duration(capacity)}", "warn" if full else "plain"),
            )
        )
    remark = (
        "Experts settle answers that decide a certificate, and a share of all answers that is chosen by chance. Where "
        "their minutes run out, certificates come later, but promise no less."
    )
    headings = ("Market", "Where it decides", "By chance", "Time", "Used")
    return Section("second-look", title, remark, [PageTable("Asked today", headings, rows, frozenset({1, 2, 3, 4}))])


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
        tables.append(PageTable("Labels of the samples in the window", headings, rows, frozenset({1, 2, 3, 4})))
    if data.completeness is not None and not data.completeness.empty:
        tables.append(_completeness(data.completeness))
    if data.rejects.empty:
        lines.append("No label event was refused.")
    else:
        total = len(data.rejects)
        lines.append(f"{wording.plural(total, 'label event was', 'label events were')} refused.")
        reasons = []
        for reason, group in data.rejects.groupby("reason"):
            first = records(group.sort_values(["source_file", "source_line"]))[0]
            where = f"{first['source_file']}, line {first['source_line']}"
            reasons.append((-len(group), Value(str(reason)), Value(short(first["detail"]), where)))
        rejected = [(reason, Value(wording.count(-n)), example) for n, reason, example in _ordered(reasons)]
        tables.append(
            PageTable("Refused label events by reason", ("Reason", "Events", "First example"), rejected, frozenset({1}))
        )
    return Section("labels", "Labels", remark, tables, lines=lines)


def _completeness(rows: pd.DataFrame) -> PageTable:
    """Answers to the draws old enough to be final, by policy, market and region, and what came too late to count."""
    shown = []
    for (policy, market, region), ages in rows.sort_values("age_days").groupby(["policy", "market", "region"]):
        first, last = ages.iloc[0], ages.iloc[-1]
        late = int(ages.loc[~ages["counted"], "arrived"].sum())
        shown.append(
            (
                Value(f"{policy}, {market}", str(region)),
                Value(wording.count(int(last["drawn"]))),
                Value(wording.percent(float(first["completeness"]))),
                Value(wording.percent(float(last["completeness"]))),
                Value(wording.count(late)),
            )
        )
    headings = (
        "Policy, market and region",
        "Drawn",
        "Answered on the first day",
        "Answered in time",
        "Events too late",
    )
    title = "Labels of draws old enough to be final; estimates make up for those not answered in time"
    return PageTable(title, headings, shown, frozenset({1, 2, 3, 4}))


def gates(data: ReportData) -> Section:
    """Failed checks first, then every gate's count, then what failed before, then all checks folded away."""
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
                Value(short(c["observed"])),
            )
            for c in failed
        ]
        tables.append(PageTable("Failed checks", headings, rows))
    earlier = _failed_before(data.failures, failed)
    summary = []
    for gate in sorted({c["gate"] for c in checks}):
        mine = [c for c in checks if c["gate"] == gate]
        held = sum(bool(c["success"]) for c in mine)
        stopped = any(c["severity"] == "critical" and not c["success"] for c in mine)
        before = len({c["attempt"] for c in earlier if c["gate"] == gate})
        note = (wording.failed_before if stopped else wording.healed)(before).capitalize() if before else ""
        verdict = Value("Passed", note, "good") if held == len(mine) else Value("Passed with warnings", note, "warn")
        verdict = Value("Stopped the run", note, "bad") if stopped else verdict
        about = ", ".join(sorted({c["table_name"] for c in mine}))
        summary.append((Value(gate), Value(about), Value(f"{held} of {len(mine)}"), verdict))
    tables.append(PageTable("Gates", ("Gate", "Table", "Checks held", "Verdict"), summary, frozenset({2})))
    if earlier:
        rows = [
            (_check(c), Value(c["gate"]), Value(wording.count(c["attempt"])), Value(short(c["observed"])))
            for c in earlier
        ]
        tables.append(PageTable("Failed before, and judged again since", ("Check", "Gate", "Attempt", "Found"), rows))
    every = [
        (
            _check(c),
            Value(c["gate"]),
            Value("held" if c["success"] else "failed", "", "plain" if c["success"] else "warn"),
            Value(short(c["observed"])),
        )
        for c in checks
    ]
    held = len(checks) - len(failed)
    return Section(
        "gates",
        "Gates",
        f"{wording.count(held)} of {wording.plural(len(checks), 'data quality check')} held.",
        tables,
        [PageTable(f"All {len(checks)} checks", ("Check", "Gate", "Result", "Found"), every)],
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
    table = PageTable(
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
    return Section("appeals", "Appeals", remark, [PageTable("Appeals decided", headings, rows, frozenset({1, 2, 3}))])


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
    return Section("ledger", "Ledger", remark, [PageTable("Published versions", headings, rows)])


def usage(rows: pd.DataFrame) -> Section:
    """What BigQuery billed for the day, by Dag, so far: the report is written before the last tasks."""
    title = "What the warehouse billed"
    if rows.empty:
        return Section("usage", title, "What BigQuery billed is not known yet, or the account may not list its jobs.")
    by_dag = records(rows.groupby("dag", as_index=False)[["jobs", "bytes_billed", "slot_ms"]].sum())
    total = rows[["jobs", "bytes_billed", "slot_ms"]].sum()
    shown = [
        (
            Value(row["dag"] or "commands"),
            Value(wording.count(row["jobs"])),
            Value(wording.gigabytes(row["bytes_billed"])),
            Value(wording.slot_time(row["slot_ms"])),
        )
        for row in by_dag
    ]
    remark = (
        f"BigQuery billed {wording.gigabytes(total['bytes_billed'])} for {wording.plural(int(total['jobs']), 'job')} "
        "about this day, until this report was written."
    )
    headings = ("Dag", "Jobs", "Billed", "Slot time")
    return Section("usage", title, remark, [PageTable("Billed by Dag", headings, shown, frozenset({1, 2, 3}))])


def enforced_otherwise(data: ReportData, rows: Sequence[dict[str, Any]]) -> int:
    """Cells in which the platform acted otherwise than the thresholds in force say."""
    return sum(row[-1].kind == "warn" for row in _enforcement_rows(data, rows))


def _enforcement_rows(data: ReportData, rows: Sequence[dict[str, Any]]) -> list[tuple[Value, ...]]:
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
            verdict, should = Value("no proposal", "", "plain"), ["", ""]
        else:
            ranges = _by_the_thresholds(data, cell, row)
            agree = all(low <= n <= high for n, (low, high) in zip((removed, reviewed), ranges, strict=True))
            verdict = Value("agrees", "", "good") if agree else Value("differs", "", "warn")
            should = [
                wording.count(low) if low == high else f"{wording.count(low)} to {wording.count(high)}"
                for low, high in ranges
            ]
        values = (wording.count(removed), should[0], wording.count(reviewed), should[1])
        result.append((cell_value(cell), Value(versions), *(Value(v) for v in values), verdict))
    return result


def _by_the_thresholds(data: ReportData, cell: Cell, row: dict[str, Any]) -> list[tuple[int, int]]:
    """The least and the most videos removed and reviewed; one number each unless a canary acts on a bucket of them."""
    before = (row["removes_before"], row["reviews_before"])
    canary = data.canaries.get(cell)
    if canary is None:
        return [(n, n) for n in before]
    histogram, no_score = by_cell(data.histogram)[cell], data.config.policies[cell[0]].no_score
    wide = volumes(histogram, canary.change.new, no_score)
    after, share = (wide.removes, wide.reviews), canary.share
    moved = abs(after[0] - before[0]) + abs(sum(after) - sum(before))
    spread = _DEVIATIONS * math.sqrt(share * (1 - share) * moved)
    means = [was + share * (will - was) for was, will in zip(before, after, strict=True)]
    return [(math.floor(mean - spread), math.ceil(mean + spread)) for mean in means]


def _switched_off(table: str) -> str:
    return f"Switched off: the platform delivers no {table}. Without it there is no {TABLES[table].switches_off}."


def _failed_before(failures: pd.DataFrame, failed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of gate_failures, without what stops its gate now."""
    stopping = {c["gate"] for c in failed if c["severity"] == "critical"}
    now = {(c["gate"], c["position"], c["observed"]) for c in failed if c["gate"] in stopping}
    rows = records(failures.sort_values(["gate", "attempt", "position"], kind="stable"))
    return [row for row in rows if (row["gate"], row["position"], row["observed"]) not in now]


def _check(row: dict[str, Any]) -> Value:
    column = f".{row['column_name']}" if row["column_name"] else ""
    return Value(row["expectation"], f"{row['table_name']}{column}")


def _ordered(rows: Iterable[tuple[int, Value, Value]]) -> list[tuple[int, Value, Value]]:
    return sorted(rows, key=lambda row: (row[0], row[1].text))
