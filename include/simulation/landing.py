"""Writes a day's files into the landing folder; a day appears whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES
from include.simulation.population import Scores
from include.warehouse.landing import write_table

if TYPE_CHECKING:
    import pyarrow as pa


def write_scores(path: Path, scores: Scores) -> None:
    """One version's rows of `video_scores` as Parquet."""
    import pyarrow as pa

    n = len(scores.video_id)
    schema = arrow_schema(TABLES["video_scores"])
    columns = {
        "video_id": pa.array(scores.video_id),
        "policy": _constant(scores.policy, n),
        "market": pa.DictionaryArray.from_arrays(pa.array(scores.market), pa.array(scores.markets)),
        "model_version": _constant(scores.model_version, n),
        "score": pa.array(scores.score, mask=scores.missing),
        "views": pa.array(scores.views),
    }
    if scores.cluster_id is not None:
        columns["cluster_id"] = pa.array(scores.cluster_id, mask=scores.cluster_id < 0)
    fields = [pa.field(f.name, columns[f.name].type, nullable=f.nullable) for f in schema if f.name in columns]
    write_table(path, pa.Table.from_arrays([columns[f.name] for f in fields], schema=pa.schema(fields)))


def write_json_lines(path: Path, rows: Iterable[Mapping[str, object] | str]) -> None:
    """One line per row; a row that is text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[Mapping[str, object] | str]) -> None:
    """A header and one line per row, NULL as nothing; a row that is text is written as it is."""
    out = StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if isinstance(row, str):
            out.write(row + "\n")
        else:
            writer.writerow(row)
    path.write_text(out.getvalue(), encoding="utf-8")


def _constant(value: str, n: int) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int8)), pa.array([value]))
