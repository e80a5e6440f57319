"""What acts without a certificate, or waits for one: shadow mode in numbers."""

from __future__ import annotations

from typing import Any

from include import wording
from include.contract.cell import by_cell, cell_of
from include.contract.grid import ThresholdPair
from include.forecasts.forecast import volumes
from include.report.data import ReportData
from include.report.decisions import rows_shown
from include.report.parts import PageTable, Section, Value, cell_value


def autonomy(data: ReportData, rows: list[dict[str, Any]]) -> Section:
    """The cells that have not earned a certificate yet, and what becomes of the videos they would remove."""
    histograms, lines = by_cell(data.histogram), []
    waiting = [row for row in rows if row["current_remove_at"] == 1 or cell_of(row) in data.uncertified]
    for row in rows_shown(data, waiting):
        cell, policy = cell_of(row), data.config.policies[row["policy"]]
        shadow = row["current_remove_at"] == 1
        if cell not in histograms:
            continue
        start = policy.initial.remove_at
        would = volumes(histograms[cell], ThresholdPair(min(start, row["current_remove_at"]), 1.0), "allow").removes
        removed = 0 if shadow else row["removes_before"]
        pair = ThresholdPair(row["current_remove_at"], max(start, row["current_review_at"]))
        reviewed = volumes(histograms[cell], pair, "allow").reviews
        lines.append(
            (
                cell_value(cell),
                Value("Shadow mode" if shadow else "Uncertified", "", "info" if shadow else "warn"),
                Value(wording.count(would)),
                Value(wording.count(reviewed)),
                Value(wording.count(max(would - reviewed - removed, 0))),
                Value(wording.count(removed)),
            )
        )
    remark = (
        f"{wording.count(len(waiting))} of {wording.plural(len(rows), 'cell')} have no certificate yet. "
        "In shadow mode nothing is removed automatically: what would be is "
        "reviewed, most surely violating first, and what exceeds the reviewers' minutes is allowed. A cell leaves "
        "shadow mode once each of several days in a row certifies a threshold. What is removed without a certificate "
        "is so by the configuration (uncertified in policies.yaml)."
        if waiting
        else "Every cell removes by a certificate."
    )
    headings = ("Cell", "Mode", "Would be removed a day", "Of them reviewed", "Allowed", "Removed, uncertified")
    table = PageTable("Cells without a certificate", headings, lines, frozenset({2, 3, 4, 5}))
    return Section("autonomy", "Shadow mode", remark, [table] if lines else [])
