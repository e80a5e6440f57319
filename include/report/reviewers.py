"""Who reviews how well: what stands out, how far reviewers agree, and everybody's record folded away."""

from __future__ import annotations

from typing import Any

from include import wording
from include.contract.cell import records
from include.report.data import ReportData
from include.report.parts import PageTable, Section, Value

MOST_SHOWN = 200
"""Records a table shows; of all records, those with most votes."""

_ACTIONS = {
    "keep": Value("votes kept", "", "plain"),
    "down_weight": Value("votes weigh half", "", "warn"),
    "leave_out": Value("votes left out", "", "bad"),
}


def below_floor(data: ReportData) -> list[dict[str, Any]]:
    """The records that lie below their policy's floor, by policy and reviewer."""
    return records(data.reviewers[data.reviewers["below_floor"].astype(bool)])


def drifted(data: ReportData) -> list[dict[str, Any]]:
    """The records whose last week differs from before by more than chance."""
    return records(data.reviewers[data.reviewers["drifted"].astype(bool)])


def reviewers(data: ReportData) -> Section:
    """Agreement by policy, then who is below the floor, then who has changed, then everybody."""
    if data.reviewers.empty:
        return Section("reviewers", "Reviewers", "No reviewer has cast a vote in the window.")
    low, changed = below_floor(data), drifted(data)
    people = data.reviewers["reviewer_id"].nunique()
    flagged, moved = (len({row["reviewer_id"] for row in rows}) for rows in (low, changed))
    remark = (
        f"{wording.plural(people, 'reviewer')} voted in the window; {wording.count(flagged)} surely below the floor, "
        f"{wording.count(moved)} changed in the last week by more than chance."
    )
    tables = []
    if not data.agreement.empty:
        tables.append(_agreement(data))
    if low:
        tables.append(_low(data, low))
    if changed:
        tables.append(_changed(changed))
    return Section("reviewers", "Reviewers", remark, tables, [_everybody(data)])


def _agreement(data: ReportData) -> PageTable:
    rows = [
        (
            Value(row["policy"]),
            *(Value(wording.count(row[name])) for name in ("items", "shared_items")),
            *(Value(_coefficient(row[name])) for name in ("krippendorff_alpha", "gwet_ac1")),
        )
        for row in records(data.agreement)
    ]
    headings = ("Policy", "Videos", "Two votes", "Alpha", "AC1")
    caption = "Agreement: Krippendorff's alpha and Gwet's AC1 (1: perfect, 0: by chance)"
    return PageTable(caption, headings, rows, frozenset({1, 2, 3, 4}))


def _low(data: ReportData, low: list[dict[str, Any]]) -> PageTable:
    floors = {name: policy.reviewer_floor for name, policy in data.config.policies.items()}
    rows = []
    for row in low[:MOST_SHOWN]:
        floor = floors[row["policy"]]
        asked = f"{wording.percent(floor.sensitivity)} and {wording.percent(floor.specificity)}"
        rows.append((_who(row), Value(row["basis"]), *_rates(row), Value(asked), _ACTIONS[row["action"]]))
    headings = ("Reviewer and policy", "Against", "Sensitivity", "Specificity", "Floor", "Consensus")
    return PageTable("Below the floor", headings, rows)


def _changed(changed: list[dict[str, Any]]) -> PageTable:
    rows = [
        (
            _who(row),
            Value(row["basis"]),
            Value(wording.percent(row["earlier_agreement"])),
            Value(wording.percent(row["recent_agreement"]), wording.plural(int(row["recent_labels"]), "vote")),
            Value(wording.percent(row["drift_p_value"])),
        )
        for row in changed[:MOST_SHOWN]
    ]
    headings = ("Reviewer and policy", "Against", "Right before", "Right in the last week", "By chance")
    return PageTable("Changed in the last week", headings, rows)


def _everybody(data: ReportData) -> PageTable:
    shown = data.reviewers.sort_values(
        ["labels", "policy", "reviewer_id", "basis"], ascending=[False, True, True, True]
    )
    rows = [
        (
            _who(row),
            Value(row["basis"]),
            Value(wording.count(row["labels"])),
            *_rates(row),
            Value("" if row["agreement"] is None else wording.percent(row["agreement"])),
            Value("" if row["seconds_per_answer"] is None else f"{row['seconds_per_answer']:,.0f} s"),
        )
        for row in records(shown.head(MOST_SHOWN))
    ]
    headings = ("Reviewer and policy", "Against", "Votes", "Sensitivity", "Specificity", "Agreement", "Per answer")
    more = len(shown) - len(rows)
    caption = "All records" if more <= 0 else f"The {len(rows)} records with most votes, of {wording.count(len(shown))}"
    return PageTable(caption, headings, rows, frozenset({2, 5, 6}))


def _who(row: dict[str, Any]) -> Value:
    return Value(row["reviewer_id"], row["policy"])


def _rates(row: dict[str, Any]) -> tuple[Value, Value]:
    sensitivity, specificity = (
        Value("not known")
        if row[name] is None
        else Value(wording.percent(row[name]), wording.interval(row[f"{name}_low"], row[f"{name}_high"]))
        for name in ("sensitivity", "specificity")
    )
    return sensitivity, specificity


def _coefficient(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"
