from __future__ import annotations

import re

import numpy as np
import pytest
import sqlglot
from scipy import stats
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from include.contract.tables import TABLES
from include.warehouse.base import SQL_FOLDER
from tests.warehouse.reference import permanent_hash, permanent_hashes, permanent_random, policy_key

QUERIES = sorted(path.stem for path in SQL_FOLDER.glob("*.sql") if path.stem != "functions")
N = 1 << 18
EPOCH = 1_900_000_000_000
IDS = {
    "consecutive": np.arange(N),
    "negative": -1 - np.arange(N),
    "consecutive, large": np.arange(N) + 1_900_000_000_000_000_000,
    "one a millisecond": (EPOCH + np.arange(N)) << 22,
    "eight a millisecond": ((EPOCH + np.arange(N) // 8) << 22) | (np.arange(N) % 8 << 12),
    "every 4096th": np.arange(N) * 4096,
    "high half only": np.arange(N) << 32,
}


def parsed(name: str) -> list[exp.Expr]:
    return [s for s in sqlglot.parse((SQL_FOLDER / f"{name}.sql").read_text(), read="bigquery") if s is not None]


def test_functions_are_functions_and_queries_one_query_each():
    sums = ["histogram_folded", "histogram_periods", "histogram_policies", "histogram_removals", "histogram_sums"]
    others = ["details_of_draws", "draw", "enforcement_counts"]
    assert [*others, *sums, "profile_and_histogram", "scores_of_draws"] == QUERIES
    assert all(isinstance(s, exp.Create) and s.kind == "FUNCTION" for s in parsed("functions"))
    for name in QUERIES:
        (statement,) = parsed(name)
        assert isinstance(statement, exp.Query)
        assert not list(statement.find_all(exp.Command))


@pytest.mark.parametrize("name", QUERIES)
def test_queries_name_only_tables_and_columns_of_the_contract_restricted_to_their_days(name):
    (statement,) = parsed(name)
    for scope in traverse_scope(statement):
        tables = [s for s in scope.sources.values() if isinstance(s, exp.Table)]
        contract = [TABLES[table.name] for table in tables]
        if contract and isinstance(scope.expression, exp.Select):
            condition = scope.expression.args["where"].sql("bigquery")
            assert "ds = @ds" in condition or "ds BETWEEN @first_day AND @last_day AND ds IN UNNEST(@days)" in condition
            known = {"ds", *(n for table in contract for n in table.column_names)}
            named = [u.args["alias"] for u in scope.expression.find_all(exp.Unnest) if u.args["alias"]]
            known |= {identifier.name for alias in named for identifier in alias.find_all(exp.Identifier)}
            assert {column.name for column in scope.columns} <= known


def test_multipliers_keep_products_below_2_63():
    numbers = [
        int(n) for n in re.findall(r"(?:1[56], |4294967295\) \* )(\d+)", (SQL_FOLDER / "functions.sql").read_text())
    ]
    assert len(numbers) == 4
    assert all(n % 2 == 1 and n < 2**31 for n in numbers)


def test_the_worked_example_in_the_sql_holds():
    text = (SQL_FOLDER / "functions.sql").read_text()
    ((video_id, salt, wanted),) = re.findall(r"video_id = (\d+), salt = (\d+)\) gives (\d+)", text)
    assert permanent_hash(int(video_id), int(salt)) == int(wanted)


def test_sql_python_and_numpy_agree_on_every_permanent_random_number():
    import duckdb

    random = np.random.default_rng(5)
    ids = np.concatenate(
        [random.integers(-(2**63), 2**63 - 1, 2000), [0, -1, 1, 2**63 - 1, -(2**63), 2**32, 2**32 - 1, -(2**32)]]
    ).astype(np.int64)
    with duckdb.connect() as connection:
        for function in parsed("functions"):
            connection.execute(function.sql("duckdb"))
        for salt in (0, 1, 20261101, 2**31 - 1):
            rows = connection.execute(
                "SELECT permanent_hash(id, ?) FROM (SELECT unnest(?) AS id)", [salt, ids.tolist()]
            )
            expected = [permanent_hash(int(i), salt) for i in ids]
            assert [row[0] for row in rows.fetchall()] == expected
            assert permanent_hashes(ids, salt).tolist() == expected
        for name in ("fraud", "", "größer 日本"):
            assert connection.execute("SELECT policy_key(?)", [name]).fetchone() == (policy_key(name),)


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_permanent_random_numbers_look_uniform_and_independent(ids):
    """Each bound is passed by truly random numbers in all but about 1 of 100,000 trials."""
    a, b = permanent_random(ids, 20261101), permanent_random(ids, 20261102)
    of_policy = permanent_random(ids ^ np.int64(policy_key("fraud")), 20261101)
    other = permanent_random(ids ^ np.int64(policy_key("violence")), 20261101)
    for u in (a, b, of_policy, permanent_random(ids, 1)):
        assert u.min() >= 0
        assert u.max() < 1
        assert abs(u.mean() - 0.5) * np.sqrt(12 * N) < 4.5
        assert abs(u.var() - 1 / 12) / np.sqrt(1 / 180 / N) < 4.5
        assert stats.chisquare(np.bincount((u * 1024).astype(int), minlength=1024)).pvalue > 1e-5
        small = (u < 0.001).sum()
        assert 1e-5 < stats.binom.cdf(small, N, 0.001) < 1 - 1e-5
    for x, y in ((a, b), (a[:-1], a[1:]), (of_policy, other)):
        assert abs(np.corrcoef(x, y)[0, 1]) * np.sqrt(N) < 4.5
        joint = np.bincount((x * 32).astype(int) * 32 + (y * 32).astype(int), minlength=1024)
        assert stats.chisquare(joint).pvalue > 1e-5


def test_a_change_of_salt_does_not_only_swap_numbers_within_a_run_of_ids():
    ids = np.arange(4096)
    assert len(np.intersect1d(permanent_hashes(ids, 1), permanent_hashes(ids, 2))) < 5


def test_score_bins():
    import duckdb

    below = float(np.nextafter(1, 0))
    cases = {0.0: 0, 0.0009999: 0, 0.001: 1, 0.5: 500, 0.9995: 999, below: 999, 1.0: 999, 1.7: -2, -0.1: -2}
    cases |= {float("inf"): -2, float("nan"): -2, 5e-324: 0}
    with duckdb.connect() as connection:
        for function in parsed("functions"):
            connection.execute(function.sql("duckdb"))
        for score, wanted in cases.items():
            assert connection.execute("SELECT score_bin(?::DOUBLE)", [score]).fetchone() == (wanted,), score
        assert connection.execute("SELECT score_bin(NULL::DOUBLE)").fetchone() == (None,)
