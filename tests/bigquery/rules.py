"""What Google's service does and the emulator does not: each rule with its page, and how sure it is.

`tests/bigquery/google.py` carries the rules out; docs/bigquery.md lists them, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Standing = Literal["documented", "seen in a public thread", "assumed"]

_DOCS = "https://cloud.google.com/bigquery/docs"


@dataclass(frozen=True)
class Rule:
    """One rule. `says`: what Google does, in one sentence; `source`: the page or thread it was read in."""

    name: str
    says: str
    standing: Standing
    source: str


RULES = (
    Rule(
        "job_id_once",
        "A job id is accepted once, also if its job failed; after that the answer is 409 `duplicate`.",
        "documented",
        f"{_DOCS}/running-jobs",
    ),
    Rule(
        "request_size",
        "A request with more than 10 MB, query parameters included, is refused with 400 `invalid`.",
        "documented",
        "https://cloud.google.com/bigquery/quotas#query_jobs",
    ),
    Rule(
        "running_first",
        "A job is RUNNING when it is inserted, and DONE only when it is asked for later.",
        "documented",
        f"{_DOCS}/running-jobs",
    ),
    Rule(
        "failure_as_error",
        "jobs.getQueryResults and jobs.query tell of a failed job by an HTTP error with the job's reason.",
        "seen in a public thread",
        "https://github.com/googleapis/python-bigquery/issues/1903",
    ),
    Rule(
        "results_expire",
        "Results that went to no named table are gone after 24 hours: 404 `notFound`.",
        "documented",
        f"{_DOCS}/cached-results",
    ),
    Rule(
        "reserved_words",
        "A reserved keyword that is used as a name without backticks is a syntax error, 400 `invalidQuery`.",
        "documented",
        f"{_DOCS}/reference/standard-sql/lexical#reserved_keywords",
    ),
    Rule(
        "partition_filter",
        "A table that requires a partition filter cannot be queried, merged into or deleted from without a condition "
        "on the bare partition column: 400 `invalidQuery`.",
        "documented",
        f"{_DOCS}/querying-partitioned-tables",
    ),
    Rule(
        "partition_filter_in_merge",
        "For MERGE ... ON FALSE, the condition of WHEN NOT MATCHED BY SOURCE is such a condition.",
        "seen in a public thread",
        "https://github.com/dbt-labs/dbt-adapters/issues/2121",
    ),
    Rule(
        "serialization",
        'A job that writes where another writes may fail with "Could not serialize access to table ... due to '
        'concurrent update", and the reason is `invalidQuery`.',
        "seen in a public thread",
        "https://github.com/confluentinc/kafka-connect-bigquery/issues/279",
    ),
    Rule(
        "table_updates",
        "Of one table, at most five changes of its metadata go through in ten seconds: 403 `rateLimitExceeded`.",
        "documented",
        "https://cloud.google.com/bigquery/quotas#standard_tables",
    ),
    Rule(
        "partition_load",
        "A load job into `table$YYYYMMDD` with WRITE_TRUNCATE replaces that day, atomically; a row of another day "
        "fails it, and so does a column that the table lacks (`invalid`).",
        "documented",
        f"{_DOCS}/managing-partitioned-table-data#write-to-partition",
    ),
    Rule(
        "required_columns",
        "A column that is added to a table with rows must be nullable.",
        "documented",
        f"{_DOCS}/managing-table-schemas#add_empty_column",
    ),
    Rule(
        "lost_after_conflict",
        "After a 409 the job may be unknown for a moment: 404 `notFound`.",
        "seen in a public thread",
        "https://github.com/googleapis/python-bigquery/issues/2134",
    ),
    Rule(
        "same_request",
        "jobs.query with a requestId that was sent before gives the answer of then.",
        "documented",
        f"{_DOCS}/reference/rest/v2/jobs/query",
    ),
    Rule(
        "time_travel",
        "FOR SYSTEM_TIME AS OF reads a table as it was up to seven days ago; before that, the query is refused with "
        '"Invalid snapshot time".',
        "documented",
        f"{_DOCS}/time-travel",
    ),
    Rule(
        "no_time_travel_of_views",
        "FOR SYSTEM_TIME AS OF is refused for a view.",
        "seen in a public thread",
        "https://tellingbook.com/bigquery-time-travel-case-study/",
    ),
    Rule(
        "parameter_in_time_travel",
        "A query parameter may say the moment of FOR SYSTEM_TIME AS OF.",
        "assumed",
        f"{_DOCS}/reference/standard-sql/query-syntax#for_system_time_as_of",
    ),
    Rule(
        "least_billed",
        "A query is billed at least 10 MB for each table it reads; loads and reads of metadata are free.",
        "documented",
        "https://cloud.google.com/bigquery/pricing#on_demand_pricing",
    ),
    Rule(
        "own_jobs_listed",
        "jobs.list tells an account of its own jobs of the last six months, with their labels and what was billed.",
        "documented",
        f"{_DOCS}/reference/rest/v2/jobs/list",
    ),
    Rule(
        "storage_exhausted",
        "The Storage Read API answers RESOURCE_EXHAUSTED when too much is read at once.",
        "seen in a public thread",
        "https://github.com/googleapis/python-bigquery-storage/pull/366",
    ),
    Rule(
        "result_keeps_expiry",
        "A query that overwrites a table made beforehand leaves the table's expiry as it is.",
        "assumed",
        f"{_DOCS}/managing-tables#updating_a_tables_expiration_time",
    ),
)
