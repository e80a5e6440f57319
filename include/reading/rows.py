"""Files of rows of an input, read strictly: each row is accepted as the contract says, or set aside by name.

A row is set aside for a value that is not exactly one of its column's type, allowed values and bounds, for a missing
value, and for a key that another row of the day has: of exact repeats the first counts, and of rows that contradict
each other none. A file that cannot be read is set aside as a whole, as line 0. Accepted + set aside = read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.contract.schema import empty_frame
from include.contract.tables import TABLES, Column, Table
from include.contract.terms import Reason
from include.reading.folder import Listed, printable
from include.reading.limits import Limits
from include.reading.records import Layout, Record, read_records
from include.reading.refusal import Refusal
from include.reading.values import Verdicts, as_text, stripped, typed


@dataclass(frozen=True)
class Rows:
    """A day of an input: how many rows were `read`, those `accepted`, and those set aside.

    `accepted` has the table's columns, in pandas types that can be missing where the column is not text or a time.
    `rejects` has the columns of `input_rejects`, in the order of (source_file, source_line).
    """

    read: int
    accepted: pd.DataFrame
    rejects: pd.DataFrame


def read_rows(table: Table, listed: Listed, limits: Limits | None = None) -> Rows:
    """The rows of the files of one day."""
    layout = Layout(table.column_names, lambda _: _required(table), limits or Limits())
    taken: list[tuple[str, Record]] = []
    for path in sorted((*listed.files, *listed.links)):
        name = printable(path.name)
        try:
            if path in listed.links:
                raise Refusal(Reason.LINK_OUT_OF_FOLDER, f"{name}: leads out of the landing folder")
            taken += [(name, record) for record in list(read_records(path, layout))]
        except Refusal as refusal:
            taken.append((name, Record(0, {}, "", refusal)))
    return _judged(table, taken)


def rows_of(table: Table, rows: Iterable[dict[str, Any]]) -> Rows:
    """Rows of a table as a database gives them, in their order; the "file" has the table's name."""
    taken = [
        (table.name, Record(number, row, json.dumps(row, default=str, ensure_ascii=False)))
        for number, row in enumerate(rows, start=1)
    ]
    return _judged(table, taken)


def _required(table: Table) -> Sequence[str]:
    return [column.name for column in table.columns if not column.optional]


def _judged(table: Table, taken: Sequence[tuple[str, Record]]) -> Rows:
    """Every record as an accepted row or a reject."""
    verdicts = Verdicts(len(taken))
    texts: list[list[str | None]] = []
    for row, (_, record) in enumerate(taken):
        try:
            if record.refusal is not None:
                raise record.refusal
            texts.append([as_text(c.name, record.fields.get(c.name), truth=c.type == "BOOL") for c in table.columns])
        except Refusal as refusal:
            texts.append([None] * len(table.columns))
            verdicts.reason[row], verdicts.detail[row] = refusal.reason.value, refusal.detail
            verdicts.column[row] = refusal.column or ""
    fields = pd.DataFrame(texts, columns=list(table.column_names), dtype="object").apply(stripped)
    values = pd.DataFrame({column.name: typed(column, fields[column.name], verdicts) for column in table.columns})
    for column in table.columns:
        _bounded(column, fields[column.name], values[column.name], verdicts)
    _unrepeated(table, values, verdicts)

    places = pd.DataFrame(
        [(name, record.line, record.raw) for name, record in taken], columns=["source_file", "source_line", "raw"]
    )
    rejects = places.assign(
        table_name=table.name, column_name=verdicts.column, reason=verdicts.reason, detail=verdicts.detail
    )[~verdicts.open]
    rejects["column_name"] = rejects["column_name"].where(rejects["column_name"] != "", None)
    contract = TABLES["input_rejects"]
    return Rows(
        read=len(taken),
        accepted=values[verdicts.open].reset_index(drop=True),
        rejects=rejects[list(contract.column_names)].astype(empty_frame(contract).dtypes).reset_index(drop=True),
    )


def _bounded(column: Column, texts: pd.Series, values: pd.Series, verdicts: Verdicts) -> None:
    there = values.notna().to_numpy()
    if column.allowed:
        verdicts.refuse(there & ~values.isin(column.allowed).to_numpy(), Reason.NOT_ALLOWED, column.name, texts)
    if column.minimum is not None:
        low = (values < column.minimum).fillna(False).to_numpy(dtype=bool)
        verdicts.refuse(there & low, Reason.OUT_OF_BOUNDS, column.name, texts)
    if column.maximum is not None:
        high = (values > column.maximum).fillna(False).to_numpy(dtype=bool)
        verdicts.refuse(there & high, Reason.OUT_OF_BOUNDS, column.name, texts)


def _unrepeated(table: Table, values: pd.DataFrame, verdicts: Verdicts) -> None:
    """Of the rows that share a key: the first of exact repeats counts, and none of those that differ."""
    sound = values[verdicts.open]
    key = list(table.key)
    shared = sound[sound.duplicated(key, keep=False)]
    contents = shared.drop_duplicates().groupby(key, sort=False).size()
    differing = pd.MultiIndex.from_frame(shared[key]).isin(_as_index(contents[contents > 1], key))
    named = ", ".join(key)
    said = pd.Series([" ".join(map(str, row)) for row in values[key].itertuples(index=False)], index=values.index)
    verdicts.refuse(_at(shared.index[differing], len(values)), Reason.CONFLICTING_ROW, named, said)
    repeats = shared.index[~differing & shared.duplicated().to_numpy()]
    verdicts.refuse(_at(repeats, len(values)), Reason.DUPLICATE_ROW, named, said)


def _as_index(found: pd.Series, key: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(found.reset_index()[key])


def _at(rows: pd.Index, length: int) -> np.ndarray:
    where = np.zeros(length, dtype=bool)
    where[rows.to_numpy()] = True
    return where
