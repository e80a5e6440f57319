"""What a gate is made of: checks, and the frames they judge. Nothing here imports Great Expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pandas as pd

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    `expectation` is the class name of a Great Expectations expectation and `kwargs` its arguments. `description`
    says in words what must hold, limits included. `column` is the column the reader knows, which differs from the
    judged one where that was derived. `evidence` names further columns an example shows. `not_applicable` says why the
    column may be NULL where it is: NULLs pass.
    """

    expectation: str
    kwargs: Mapping[str, Any]
    description: str
    severity: Severity = "critical"
    column: str | None = None
    evidence: tuple[str, ...] = ()
    not_applicable: str = ""


@dataclass(frozen=True)
class Judged:
    """A frame with the checks it must pass.

    `table` is the table it speaks about, `unit` what one row is, in the plural, and `identify` the columns that name
    a row in messages.
    """

    table: str
    frame: pd.DataFrame
    checks: tuple[Check, ...]
    unit: str = "rows"
    identify: tuple[str, ...] = ()


def between(
    column: str,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    description: str,
    severity: Severity = "critical",
    about: str | None = None,
    above: float | None = None,
    evidence: tuple[str, ...] = (),
    not_applicable: str = "",
) -> Check:
    """Every non-NULL value lies in [minimum, maximum], or in (above, maximum] where `above` is given."""
    kwargs: dict[str, Any] = {"column": column, "max_value": maximum}
    kwargs |= {"min_value": minimum} if above is None else {"min_value": above, "strict_min": True}
    return Check(
        "ExpectColumnValuesToBeBetween", kwargs, description, severity, about or column, evidence, not_applicable
    )


def at_least(larger: str, smaller: str, *, description: str, strict: bool = False) -> Check:
    """`larger` is at least (`strict`: above) `smaller` in every row where both are there."""
    kwargs = {
        "column_A": larger,
        "column_B": smaller,
        "or_equal": not strict,
        "ignore_row_if": "either_value_is_missing",
    }
    return Check("ExpectColumnPairValuesAToBeGreaterThanB", kwargs, description, column=f"{larger}, {smaller}")


def null(column: str, *, description: str, about: str | None = None, severity: Severity = "critical") -> Check:
    """Every value is NULL: for columns that hold a problem where there is one."""
    return Check("ExpectColumnValuesToBeNull", {"column": column}, description, severity, about or column)


def in_set(column: str, allowed: Sequence[str], *, description: str = "", about: str | None = None) -> Check:
    """Every non-NULL value is one of `allowed`."""
    described = description or f"{column} is one of {', '.join(allowed)}"
    return Check(
        "ExpectColumnValuesToBeInSet", {"column": column, "value_set": list(allowed)}, described, column=about or column
    )


def unique(columns: Sequence[str]) -> Check:
    """No two rows agree in all of `columns`."""
    described = f"{', '.join(columns)} {'is' if len(columns) == 1 else 'together are'} unique"
    if len(columns) == 1:
        return Check("ExpectColumnValuesToBeUnique", {"column": columns[0]}, described, column=columns[0])
    return Check(
        "ExpectCompoundColumnsToBeUnique", {"column_list": list(columns)}, described, column=", ".join(columns)
    )


def min_rows(minimum: int, *, description: str) -> Check:
    """The frame has at least `minimum` rows."""
    return Check("ExpectTableRowCountToBeBetween", {"min_value": minimum}, description)


def has_columns(columns: Sequence[str]) -> Check:
    """The frame has all of `columns`; further ones are ignored."""
    return Check(
        "ExpectTableColumnsToMatchSet",
        {"column_set": list(columns), "exact_match": False},
        f"has the columns {', '.join(columns)}",
    )


@dataclass(frozen=True)
class GateOutcome:
    """What a gate found on one day.

    `results` has the columns of table quality_results, a row a check, ordered by position. `failures` and `warnings`
    are the messages of critical and other checks that did not hold. `validations` are Great Expectations' own results,
    one for each frame judged, for the Data Docs page.
    """

    gate: str
    day: date
    results: pd.DataFrame
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    validations: tuple[Any, ...] = field(repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether no critical check failed."""
        return not self.failures
