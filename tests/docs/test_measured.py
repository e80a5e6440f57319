"""docs/measured.md: its tables have the form in which the benchmarks print them, and are replaced in place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from include.simulation.scenario import scenario_names
from tests.benchmarks import bench_guarantee, bench_loop
from tests.benchmarks.documented import keep, kept, table
from tests.benchmarks.worlds import SCENARIOS


def cells(markdown: str) -> list[list[str]]:
    """The table's header and rows, without the line between them."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines()]
    return [rows[0], *rows[2:]]


def shape(row: list[str]) -> list[str]:
    """The row's cells, every number as 0."""
    return [re.sub(r"[\d,]+", "0", cell) for cell in row]


def outcome(missed: int, days: int) -> bench_guarantee.Outcome:
    precision = np.where(np.arange(days) < missed, 0.9, 0.96)
    return bench_guarantee.Outcome(precision, np.full(days, 0.97), np.zeros(days), 0.95)


def test_the_table_of_the_guarantee_is_what_its_benchmark_prints() -> None:
    header, *rows = cells(kept("bench-guarantee"))
    assert header == ["scenario", *bench_guarantee.DOCUMENTED.values()]
    assert [row[0] for row in rows] == [bench_guarantee.title_of(scenario) for scenario in SCENARIOS]
    outcomes = {way: outcome(78 + 5 * n, 1000) for n, way in enumerate(bench_guarantee.DOCUMENTED)}
    promised = bench_guarantee.documented_row(SCENARIOS[0], outcomes)
    assert promised[:3] == [SCENARIOS[0].name, "**7.8%** / 97%", "8.3% / 97%"]
    for scenario, row in zip(SCENARIOS, rows, strict=True):
        assert shape(row) == shape(bench_guarantee.documented_row(scenario, outcomes))


def test_the_table_of_the_loop_is_what_its_benchmark_prints() -> None:
    header, *rows = cells(kept("bench-loop"))
    assert header == ["scenario", *bench_loop.DOCUMENTED.values()]
    assert rows
    assert {row[0] for row in rows} <= set(scenario_names())
    recalls = ["0.570", "0.839", "0.580", "0.841"]
    printed = bench_loop.documented_row(
        [
            [
                "calm",
                "Plumbline",
                "1.3%",
                "0.9% of 438",
                *recalls,
                "13.4",
                "36,812",
                "2,006",
                "9%",
                "620 + 0",
                "172",
                "3.0% of 9",
                "95% of 9, 100% of 9",
                "",
            ],
            ["calm", "oracle", "0.0%", "", *recalls, "44.4", "19,034", "2,756", "0%", "", "183", "none", "", ""],
            ["calm", "fixed", "44.4%", "", *recalls, "11.8", "39,400", "1,483", "8%", "", "0", "none", "", ""],
            [
                "calm",
                "notebook",
                "15.0%",
                "",
                *recalls,
                "25.4",
                "26,700",
                "17,607",
                "90%",
                "",
                "383",
                "9.7% of 9",
                "",
                "12",
            ],
        ]
    )
    assert printed[1:4] == ["1.3 / 0.0 / 44.4 / 15.0", "0.9%", "13.4 / 44.4 / 11.8 / 25.4"]
    assert printed[8:] == ["37 / 19 / 39 / 27", "2,006 / 2,756 / 1,483 / 17,607", "172 / 183 / 0 / 383", "3.0%"]
    for row in rows:
        assert shape(row)[1:] == shape(printed)[1:]


def test_a_benchmark_replaces_its_own_table_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "measured.md"
    page.write_text("before\n<!-- one -->\n| a |\n<!-- /one -->\n<!-- two -->\n| b |\n<!-- /two -->\nafter\n")
    new = table(["way", "misses"], [["ours", "7.8%"]])
    keep("two", new, page)
    assert page.read_text() == (
        "before\n<!-- one -->\n| a |\n<!-- /one -->\n"
        "<!-- two -->\n| way | misses |\n| --- | --- |\n| ours | 7.8% |\n<!-- /two -->\nafter\n"
    )
    assert kept("one", page) == "| a |"
    with pytest.raises(ValueError, match=r"measured\.md has no markers of three"):
        keep("three", new, page)
