"""What Google refuses in a statement and the emulator forgives; and SQL functions, which the emulator cannot call."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
_WORDS = """
    ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT
    DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL
    GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT LOOKUP
    MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE RECURSIVE
    RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST USING WHEN
    WHERE WINDOW WITH WITHIN"""
RESERVED = frozenset(_WORDS.split())

_COMPARISONS = (exp.EQ, exp.Between, exp.GTE, exp.GT, exp.LTE, exp.LT, exp.In)


@lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[Any, ...]:
    return tuple(statement for statement in sqlglot.parse(text, read="bigquery") if statement is not None)


def reserved_name(text: str) -> str | None:
    """The first reserved keyword that stands as a name without backticks, but behind a dot, where it may."""
    for statement in _parsed(text):
        for name in statement.find_all(exp.Identifier):
            behind_dot = isinstance(name.parent, exp.Column) and name.arg_key == "this" and name.parent.table
            if not name.quoted and name.name.upper() in RESERVED and not behind_dot:
                return name.name
    return None


def tables_of(text: str) -> set[str]:
    """The tables a statement reads or changes, names of its own aside."""
    found: set[str] = set()
    for statement in (one for one in _parsed(text) if not isinstance(one, exp.Create)):
        named = {cte.alias for cte in statement.find_all(exp.CTE)}
        found |= {table.name for table in statement.find_all(exp.Table)} - named - {""}
    return found


def unfiltered(text: str, requiring: Collection[str], column: str = "ds") -> str | None:
    """The first table among `requiring` (names without dataset) that is read or changed without a condition on its
    partition column.
    """
    for statement in _parsed(text):
        for table in statement.find_all(exp.Table):
            if table.name in requiring and not _is_filtered(table, column):
                return table.name
    return None


def made_with_filter(text: str) -> list[tuple[str, bool]]:
    """Tables a statement makes, and whether they require a partition filter."""
    found = []
    for statement in _parsed(text):
        if isinstance(statement, exp.Create) and statement.args.get("kind") == "TABLE":
            table = statement.find(exp.Table)
            if table is not None:
                found.append((table.name, "REQUIRE_PARTITION_FILTER = TRUE" in statement.sql("bigquery").upper()))
    return found


def _is_filtered(table: exp.Table, column: str) -> bool:
    owner = table.find_ancestor(exp.Select, exp.Merge, exp.Delete, exp.Insert, exp.Create)
    if isinstance(owner, exp.Merge):
        conditions = [when.args.get("condition") for when in owner.find_all(exp.When)]
    elif isinstance(owner, exp.Select | exp.Delete):
        conditions = [owner.args.get("where")]
    else:
        return True  # an INSERT's target, a CREATE's name
    return any(
        isinstance(side, exp.Column) and side.name == column
        for condition in conditions
        if condition is not None
        for comparison in condition.find_all(*_COMPARISONS)
        for side in (comparison.this, comparison.args.get("expression"))
    )


@lru_cache(maxsize=64)
def inlined(text: str) -> str:
    """GoogleSQL without its leading CREATE TEMP FUNCTION statements: their bodies stand where they were called.

    bqemulator 1.4.0 keeps CREATE TEMP FUNCTION as a routine it cannot call.
    """
    if "CREATE TEMP FUNCTION" not in text:
        return text
    functions: dict[str, tuple[dict[str, exp.DataType], exp.Expression]] = {}

    def expanded(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.lower() in functions:
            types, body = functions[node.name.lower()]
            arguments = [wrapped(argument.transform(expanded)) for argument in node.expressions]
            # The emulator gives a parameter the narrowest type that holds its value; a function's has its own.
            given = {
                name: exp.cast(argument, kind) if isinstance(argument, exp.Parameter) else argument
                for (name, kind), argument in zip(types.items(), arguments, strict=True)
            }

            def bound(inner: exp.Expression) -> exp.Expression:
                if isinstance(inner, exp.Column) and not inner.table and inner.name in given:
                    return given[inner.name].copy()
                return inner

            return wrapped(body.copy().transform(bound))
        return node

    def wrapped(node: exp.Expression) -> exp.Expression:
        simple = isinstance(node, exp.Column | exp.Parameter | exp.Literal | exp.Paren)
        return node if simple else exp.paren(node)

    *definitions, query = _parsed(text)
    for definition in definitions:
        signature = definition.this
        types = {parameter.name: parameter.args["kind"] for parameter in signature.expressions}
        functions[signature.this.name.lower()] = (types, definition.expression.copy().transform(expanded))
    return query.copy().transform(expanded).sql(dialect="bigquery", comments=False)
