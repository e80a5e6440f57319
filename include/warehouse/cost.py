"""What a day costs on BigQuery, from the queries' own columns and a platform's size. Pure; `make docs` writes it down.

BigQuery bills the bytes of the columns a query names, in the partitions it is held to. Sizes of types are BigQuery's
(8 bytes an INT64, FLOAT64, DATE or TIMESTAMP, 1 a BOOL, 2 + length a STRING).
"""

from __future__ import annotations

from dataclasses import dataclass

from include.contract.tables import N_BINS, TABLES
from include.warehouse.base import query_text

_BYTES = {"INT64": 8, "FLOAT64": 8, "DATE": 8, "TIMESTAMP": 8, "BOOL": 1}
_STRING = 2


CALLS = {
    "scans": 5,
    "statements": 50,
    "load jobs": 26,
    "dry runs": 5,
    "read sessions": 115,
}
"""What the Dags of a day send, as tests/bigquery/test_loop.py records it of the third day of a platform."""

LEAST_BILLED = 10 * 1024 * 1024
"""Bytes that BigQuery bills for a query at least, per table it reads."""

SUMS = {"histogram_sums": 1, "histogram_removals": 2, "histogram_periods": 1}
"""How often a day's Dags have score histograms added up over a window, whole ones each."""


@dataclass(frozen=True)
class PlatformSize:
    """A platform's size a day. `text`: length of typical names, in bytes; `window`: days that thresholds rest on."""

    videos: int = 300_000_000
    policies: int = 10
    markets: int = 50
    reviews: int = 60_000
    text: int = 10
    window: int = 28

    @property
    def scores(self) -> int:
        return self.videos * self.policies

    @property
    def cells(self) -> int:
        return self.policies * self.markets


@dataclass(frozen=True)
class Scan:
    """One statement: bytes it reads of the inputs, and rows that reach Python."""

    name: str
    columns: tuple[str, ...]
    bytes_read: int
    rows_moved: int


def columns_read(query: str, table: str) -> tuple[str, ...]:
    """Columns of `table` that `sql/<query>.sql` names, `ds` included, in the contract's order."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    *_, statement = (part for part in sqlglot.parse(query_text(query)[0], read="bigquery") if part is not None)
    found = {
        column.name
        for scope in traverse_scope(statement)
        if table in {source.name for source in scope.sources.values() if isinstance(source, exp.Table)}
        for column in scope.columns
    }
    return tuple(name for name in ("ds", *TABLES[table].column_names) if name in found)


def row_bytes(table: str, columns: tuple[str, ...], text: int) -> int:
    """Bytes of one row of `table` in `columns`; `text`: length of a STRING."""
    types = {"ds": "DATE"} | {column.name: column.type for column in TABLES[table].columns}
    return sum(_BYTES.get(types[name], _STRING + text) for name in columns)


def scans(platform: PlatformSize) -> list[Scan]:
    """The statements that read what grows with the platform. A log row is written for every score at most."""
    rows = {
        "profile_and_histogram": platform.cells * (N_BINS + 1),
        "draw": platform.reviews,
        "enforcement_counts": platform.cells * 3,
    }
    tables = {"enforcement_counts": "enforcement_log"}
    found = []
    for name, moved in rows.items():
        table = tables.get(name, "video_scores")
        columns = columns_read(name, table)
        found.append(Scan(name, columns, platform.scores * row_bytes(table, columns, platform.text), moved))
    return found


def sums(platform: PlatformSize) -> list[Scan]:
    """The statements that add up score histograms: over the window at most, every bin of every cell filled."""
    cells, bins = platform.cells, platform.cells * (N_BINS + 1)
    moved = {
        "histogram_sums": bins,
        "histogram_removals": cells * platform.window,
        "histogram_periods": 2 * bins,
    }
    found = []
    for name, times in SUMS.items():
        columns = columns_read(name, "score_histogram")
        size = bins * platform.window * row_bytes("score_histogram", columns, platform.text)
        found.append(Scan(name, columns, times * size, moved[name]))
    return found


def billed(platform: PlatformSize) -> tuple[int, int, int]:
    """Bytes billed a day for scans, for sums over histograms, and for small statements, each at its least."""
    scanned, summed = sum(s.bytes_read for s in scans(platform)), sum(s.bytes_read for s in sums(platform))
    return scanned, max(summed, sum(SUMS.values()) * LEAST_BILLED), CALLS["statements"] * LEAST_BILLED


SIZES = (
    PlatformSize(videos=1_000_000, policies=3, markets=3, reviews=5_000, window=14),
    PlatformSize(videos=30_000_000, policies=5, markets=20, reviews=20_000),
    PlatformSize(),
    PlatformSize(policies=50, markets=100, videos=60_000_000),
    PlatformSize(policies=50, markets=100, videos=60_000_000, window=90),
)
"""Of the table by rows, cells and days."""


def cost_page() -> str:
    """`docs/bigquery_cost.md`."""
    platform = PlatformSize()
    lines = [
        "# What a day costs on BigQuery",
        "",
        "Generated by `make docs` from the queries in `include/warehouse/sql` and the contract "
        "(`include/warehouse/cost.py`), not measured on BigQuery: bytes are those of the columns each query names, in "
        "the one partition it is held to by `ds = @ds`. The dry run before each scan writes the true figure to the "
        "task's log.",
        "",
        f"For {platform.videos:,} videos a day x {platform.policies} policies ({platform.scores:,} rows), "
        f"{platform.markets} markets, {platform.reviews:,} reviews a day, names of {platform.text} bytes:",
        "",
        "| statement | columns read | GB read | rows moved to Python |",
        "|---|---|---:|---:|",
    ]
    total = 0
    for scan in scans(platform):
        total += scan.bytes_read
        columns = ", ".join(f"`{name}`" for name in scan.columns)
        lines.append(f"| `{scan.name}` | {columns} | {scan.bytes_read / 1e9:,.0f} | {scan.rows_moved:,} |")
    lines += [
        f"| **together** | | **{total / 1e9:,.0f}** | |",
        "",
        "Each score is read twice a day, by the profile and by the draw, and by nothing else; each row of the log "
        "once, by `gate_enforcement_log`, which keeps the counts. What follows works on histograms and samples. The "
        "profile also moves up to 250,000 video ids, to count duplicate keys.",
        "",
        "Where the platform delivers `video_details`, `details_of_draws` reads the titles and descriptions of one day "
        "of it, once. They are as long as people write them, so they are not counted here; a view of the day's videos "
        "alone keeps them few.",
        "",
        "## Histograms are added up where they are",
        "",
        f"At {platform.cells:,} cells and {platform.window} days, every bin filled "
        f"({platform.cells * (N_BINS + 1) * platform.window:,} rows of `score_histogram`). `histogram_periods` is one "
        "statement a model, and reads its blocks alone where the table is clustered:",
        "",
        "| statement | how often | GB read, at most | rows moved to Python |",
        "|---|---:|---:|---:|",
        *(
            f"| `{scan.name}` | {SUMS[scan.name]} | {scan.bytes_read / 1e9:,.1f} | {scan.rows_moved:,} |"
            for scan in sums(platform)
        ),
        "",
        "## Calls of a day",
        "",
        "Recorded of the Dags of one day behind the tests' stand-in for Google; a test holds this table to them:",
        "",
        "| what | how often | what it bills |",
        "|---|---:|---|",
        f"| scans: the statements above, one with its day, and `details_of_draws` | {CALLS['scans']} | their bytes |",
        f"| small queries and changes, one request each | {CALLS['statements']} | at least 10 MB each: together "
        f"{CALLS['statements'] * LEAST_BILLED / 1e9:.2f} GB |",
        f"| load jobs, one a day and table | {CALLS['load jobs']} | nothing |",
        f"| dry runs | {CALLS['dry runs']} | nothing |",
        f"| sessions of the Storage Read API | {CALLS['read sessions']} | the bytes read, by its own price |",
        "",
        "Jobs and sessions do not grow with rows, cells or days: a day's rows go in one load job, a window's in one "
        "session or one statement, but for one statement a model where retraining is looked at. Bytes do: with rows "
        "for the scans, with cells and the days of the window for histograms (1,001 rows a cell and day), with reviews "
        "for samples and labels. What was really billed is kept a day in `warehouse_usage`, and shown in the Airflow "
        "UI and in the day's report.",
        "",
        "## By rows, cells and days",
        "",
        "GB billed a day, from the tables above. A small platform pays the smallest bills alone, which fit into the "
        "free tier's 1,000 GB a month.",
        "",
        "| rows a day | cells | days of the window | scans | sums over histograms | smallest bills | together |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {size.scores:,} | {size.cells:,} | {size.window} | "
            + " | ".join(f"{part / 1e9:,.2f}" for part in (*billed(size), sum(billed(size))))
            + " |"
            for size in SIZES
        ),
        "",
        "What keeps it there: `video_scores` partitioned by `ds` (a scan reads one day), "
        "`require_partition_filter` on Plumbline's large tables, so that a query without days is refused rather than "
        "billed, and `max_gigabytes` in the connection, above which nothing runs. Clustering by policy and market does "
        "not make the two scans cheaper, since they read every cell; it does help whoever asks for one.",
        "",
    ]
    return "\n".join(lines)
