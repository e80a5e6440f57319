from __future__ import annotations

from include.contract.tables import TABLES
from include.warehouse.cost import (
    CALLS,
    LEAST_BILLED,
    PlatformSize,
    billed,
    columns_read,
    cost_page,
    row_bytes,
    scans,
    sums,
)


def test_a_scan_costs_the_columns_it_names_and_no_other():
    assert columns_read("enforcement_counts", "enforcement_log") == (
        "ds",
        "policy",
        "market",
        "model_version",
        "action",
        "threshold_version",
    )
    wanted = [name for name in TABLES["video_scores"].column_names if name != "cluster_id"]
    assert columns_read("profile_and_histogram", "video_scores") == ("ds", *wanted)
    # DATE 8, three STRINGs of 2 + 10, INT64 8
    assert row_bytes("video_scores", ("ds", "policy", "market", "model_version", "views"), text=10) == 52


def test_two_statements_read_the_scores_and_each_once():
    readers = [scan for scan in scans(PlatformSize()) if "score" in scan.columns]
    assert [scan.name for scan in readers] == ["profile_and_histogram", "draw"]
    small = PlatformSize(videos=10, policies=2, markets=3, reviews=4, text=8)
    profile, draw, _ = scans(small)
    assert profile.bytes_read == 10 * 2 * (4 * 8 + 3 * 10)
    assert draw.bytes_read == 10 * 2 * (5 * 8 + 3 * 10)  # and which videos are copies
    assert (profile.rows_moved, draw.rows_moved) == (6 * 1001, 4)


def test_the_page_holds_the_computed_figures():
    total = sum(scan.bytes_read for scan in scans(PlatformSize()))
    assert f"**{total / 1e9:,.0f}**" in cost_page()


def test_sums_over_histograms_cost_cells_times_days_and_small_statements_their_least():
    size = PlatformSize(videos=10, policies=2, markets=3, reviews=4, text=8, window=5)
    rows = 6 * 1001 * 5
    found = {scan.name: scan for scan in sums(size)}
    # DATE 8, three STRINGs of 2 + 8, three INT64 of 8
    assert found["histogram_sums"].bytes_read == rows * (8 + 3 * 10 + 3 * 8)
    assert found["histogram_removals"].bytes_read == 2 * rows * (8 + 3 * 10 + 2 * 8)
    assert found["histogram_sums"].rows_moved == 6 * 1001
    scanned, summed, least = billed(size)
    assert summed == max(sum(scan.bytes_read for scan in found.values()), 4 * LEAST_BILLED)
    assert least == CALLS["statements"] * LEAST_BILLED
    more = billed(PlatformSize(videos=10, policies=2, markets=3, reviews=4, text=8, window=5000))
    assert more[0] == scanned, "scans do not grow with the days of the window"
    assert more[1] > summed
