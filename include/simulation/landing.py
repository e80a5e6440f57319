"""Writes a day's files into the landing folder; a day appears whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.contract.schema import arrow_schema
from include.contract.tables import TABLES, Table
from include.simulation.population import Scores

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 250_000


@contextmanager
def replaced_day(folder: Path, day: date) -> Iterator[Path]:
    """An empty folder that becomes `folder`/ds=day when the block ends; nothing changes if it raises."""
    target, aside, old = (
        folder / f"ds={day}",
        folder / f".new-{day}-{os.getpid()}",
        folder / f".old-{day}-{os.getpid()}",
    )
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside)
        raise
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet without Arrow's own schema, so that dictionaries read back as plain strings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f.name for f in table.schema if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)]
    pq.write_table(
        table, path, row_group_size=_ROW_GROUP, use_dictionary=texts, compression="snappy", store_schema=False
    )


def write_frame(path: Path, table: Table, frame: pd.DataFrame) -> None:
    """`frame` as Parquet in the schema of `table`."""
    import pyarrow as pa

    write_table(path, pa.Table.from_pandas(frame[list(table.column_names)], arrow_schema(table), preserve_index=False))


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
    fields = [pa.field(f.name, columns[f.name].type, nullable=f.nullable) for f in schema]
    write_table(path, pa.Table.from_arrays([columns[f.name] for f in schema], schema=pa.schema(fields)))


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
