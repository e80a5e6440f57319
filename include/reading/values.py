"""Texts as values of the contract's types, strictly: what is not exactly such a value is refused, never rounded.

- *Blanks.* Surrounding white space is not part of a value; a blank value is missing.
- *Whole numbers* are read digit by digit. `7.0` and `7,0` are accepted below 2^53; from there on a float wrote them and
  may have rounded them, so they are refused, as is any exponent.
- *Truth values* are true, false, t, f, yes, no, y, n, 1 and 0, in any case, and 1.0 and 0.0, which a column of numbers
  with gaps is written as.
- *Times* are ISO 8601 with a time of day, extended or basic, with an offset of hours or more, `Z` or `UTC`; without one
  they are UTC, as the contract says. A decimal comma in the seconds is a point; digits beyond microseconds are cut. A
  leap second, `:60`, is the last microsecond of its minute, so that it stays on its day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from include.contract.tables import Column
from include.contract.terms import Reason
from include.reading.refusal import Refusal, shown

_WHOLE = re.compile(r"([+-]?[0-9]{1,19})([.,]0)?")
_EXPONENT = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_EXACT_IN_FLOAT = 2**53
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[Tt ]"
    r"(?:([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?|([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:[.,]([0-9]+))?)?)"
    r"(?: ?(?:(Z|z|UTC)|([+-][0-9]{2})(?::?([0-9]{2}))?))?"
)


def as_text(name: str, value: object, *, truth: bool = False) -> str | None:
    """A field as it was read, as text; None: missing. Raises Refusal for what is neither text nor a number.

    `truth`: it may be a truth value.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) and truth:
        return str(value)
    if isinstance(value, float):
        return None if np.isnan(value) else repr(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise Refusal(Reason.WRONG_TYPE, f"{name}: expected text or a number, found {shown(value)}", name)


def stripped(texts: pd.Series) -> pd.Series:
    """Texts without surrounding white space, NaN where nothing is left."""
    words = texts.astype("str").str.strip()
    return words.where(words != "")


def whole_number(text: str) -> int:
    """Raises ValueError that says what is wrong with `text`."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(_no_whole_number(text))
    value = int(match[1])
    if match[2] and abs(value) >= _EXACT_IN_FLOAT:
        raise ValueError("from 2^53 on, a float that writes a point may have rounded it")
    if not -(2**63) <= value < 2**63:
        raise ValueError("it does not fit into 64 bits")
    return value


def _no_whole_number(text: str) -> str:
    if _EXPONENT.fullmatch(text):
        return "written with an exponent by a float that may have rounded it"
    whole, *behind = re.split("[.,]", text, maxsplit=1)
    if not _DIGITS.fullmatch(whole) or (behind and not behind[0].isdecimal()):
        return "it is no number"
    if not behind:
        return "it does not fit into 64 bits"
    return "it has a fraction" if behind[0].strip("0") else "written with digits behind the point, or parted thousands"


def truth_value(text: str) -> bool:
    """Raises ValueError where `text` is no truth value."""
    word = text.lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueError("not true, false, 1 or 0")
    return word in _TRUE


def times(texts: pd.Series) -> pd.Series:
    """Texts as datetime64[us, UTC], NaT where they are no time."""
    canonical = pd.Series([_canonical(text) for text in texts], index=texts.index, dtype="object")
    return pd.to_datetime(canonical, utc=True, format="ISO8601", errors="coerce").astype("datetime64[us, UTC]")


def _canonical(text: object) -> str | None:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    date, extended, basic, (utc, hours, minutes) = (
        match[1],
        match.groups()[1:5],
        match.groups()[5:9],
        match.groups()[9:],
    )
    hour, minute, second, digits = extended if extended[0] else basic
    day = date if "-" in date else f"{date[:4]}-{date[4:6]}-{date[6:]}"
    second, digits = ("59", "999999") if second == "60" else (second or "00", (digits or "0")[:6])
    offset = "+00:00" if utc or hours is None else f"{hours}:{minutes or '00'}"
    return f"{day}T{hour}:{minute}:{second}.{digits}{offset}"


class Verdicts:
    """The first refusal of each of a number of rows: reason, detail, and the column at fault."""

    def __init__(self, rows: int) -> None:
        self.reason, self.detail, self.column = (np.full(rows, "", dtype=object) for _ in range(3))

    @property
    def open(self) -> np.ndarray:
        """Which rows nothing was found against."""
        return np.asarray(self.reason == "", dtype=bool)

    def refuse(
        self,
        where: pd.Series | np.ndarray,
        reason: Reason,
        column: str,
        values: pd.Series,
        why: Sequence[str] | None = None,
    ) -> None:
        """Refuse the rows `where` that are still open; the detail is `column` with the row's value, and why."""
        rows = np.flatnonzero(np.asarray(where, dtype=bool) & self.open)
        self.reason[rows], self.column[rows] = reason.value, column
        said = ["" if why is None else f": {why[row]}" for row in rows.tolist()]
        self.detail[rows] = [
            f"{column}: {str(value)[:100]!r}{more}" for value, more in zip(values.iloc[rows], said, strict=True)
        ]


def whole_numbers(texts: pd.Series) -> tuple[np.ndarray, list[str]]:
    """`stripped` texts as int64 (0 where missing or none), and what is wrong with each, "" where nothing is."""
    numbers, wrong = np.zeros(len(texts), dtype=np.int64), [""] * len(texts)
    for row, text in enumerate(texts):
        if isinstance(text, str):
            try:
                numbers[row] = whole_number(text)
            except ValueError as error:
                wrong[row] = str(error)
    return numbers, wrong


def typed(column: Column, texts: pd.Series, verdicts: Verdicts) -> pd.Series:
    """`stripped` texts as the column's type, missing where they are missing or refused, which `verdicts` gets to know.

    Raises NotImplementedError for a type that no file of rows has in the contract.
    """
    missing = texts.isna().to_numpy()
    if not column.nullable:
        verdicts.refuse(missing, Reason.MISSING_FIELD, column.name, texts.fillna(""))
    if column.type == "STRING":
        return texts
    if column.type == "INT64":
        numbers, wrong = whole_numbers(texts)
        bad = np.array([why != "" for why in wrong], dtype=bool)
        reason = Reason.BAD_VIDEO_ID if column.name == "video_id" else Reason.BAD_INTEGER
        verdicts.refuse(bad, reason, column.name, texts, wrong)
        return pd.Series(numbers, index=texts.index).astype("Int64").mask(missing | bad)
    if column.type == "BOOL":
        words = texts.str.lower()
        verdicts.refuse(~missing & ~words.isin(_TRUE | _FALSE), Reason.BAD_TRUTH_VALUE, column.name, texts)
        return words.isin(_TRUE).astype("boolean").mask(~words.isin(_TRUE | _FALSE))
    if column.type == "TIMESTAMP":
        found = times(texts)
        verdicts.refuse(~missing & found.isna().to_numpy(), Reason.BAD_TIMESTAMP, column.name, texts)
        return found
    raise NotImplementedError(f"{column.name}: {column.type} is read from Parquet alone")
