"""Kinds of bad input, over all inputs: each is accepted, set aside or refused by name, and nothing is lost."""

from __future__ import annotations

import errno
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config.load import load_config
from include.contract.schema import empty_frame
from include.contract.tables import TABLES
from include.evidence.enforcement import judged
from include.labels.drops import read_drops
from include.labels.ingest import ingest
from include.warehouse.duckdb import DuckDBWarehouse

pytestmark = pytest.mark.slow

DAY, SAMPLED = date(2026, 1, 8), date(2026, 1, 6)
CONFIG = load_config()
BIG = 2**53 + 1
"""The smallest integer a float cannot hold."""

GOOD: dict[str, dict[str, Any]] = {
    "reviewer_labels": {
        "event_id": "e1",
        "video_id": BIG,
        "policy": "violence",
        "reviewer_id": "anna",
        "decision": "violating",
        "labelled_at": "2026-01-07T10:00:00Z",
        "guideline_version": "2026-1",
    },
    "golden_labels": {"video_id": BIG, "policy": "violence", "violating": True, "guideline_version": "2026-1"},
    "appeals": {
        "event_id": "a1",
        "video_id": BIG,
        "policy": "violence",
        "outcome": "upheld",
        "decided_at": "2026-01-07T10:00:00Z",
        "threshold_version": 3,
    },
}
TEXTS = ("jsonl", "csv")
"""Of Parquet, only what these cannot say: its texts are texts like theirs."""


@dataclass(frozen=True)
class Kind:
    """A kind of bad input: what a good row becomes (fields that are None are left out), and what is right."""

    field: str
    value: Any
    right: str
    """The reason by which the row is set aside; "" if it is accepted."""
    formats: tuple[str, ...] = TEXTS


ID_KINDS = {
    "blank": Kind("video_id", "", "missing_field"),
    "absent": Kind("video_id", None, "missing_field", ("jsonl",)),
    "spaces": Kind("video_id", "   ", "missing_field"),
    "exponent": Kind("video_id", "1.9E+18", "bad_video_id"),
    "exponent without point": Kind("video_id", "9e15", "bad_video_id"),
    "fraction": Kind("video_id", "7.6", "bad_video_id"),
    "large with point": Kind("video_id", f"{BIG}.0", "bad_video_id"),
    "float": Kind("video_id", float(BIG), "bad_video_id", ("jsonl", "parquet")),
    "nineteen digits too many": Kind("video_id", "9" * 19, "bad_video_id"),
    "word": Kind("video_id", "video", "bad_video_id"),
    "hexadecimal": Kind("video_id", "0x1F", "bad_video_id"),
    "thousands": Kind("video_id", "1,900", "bad_video_id", ("jsonl", "parquet")),
    "list": Kind("video_id", [BIG], "wrong_type", ("jsonl",)),
    "object": Kind("video_id", {"id": BIG}, "wrong_type", ("jsonl",)),
    "truth value": Kind("video_id", True, "wrong_type", ("jsonl", "parquet")),
    "text": Kind("video_id", str(BIG), ""),
    "padded": Kind("video_id", f" {BIG} ", ""),
    "decimal": Kind("video_id", Decimal(BIG), "", ("parquet",)),
}
POLICY_KINDS = {
    "blank policy": Kind("policy", "", "missing_field"),
    "NULL policy": Kind("policy", None, "missing_field", ("jsonl",)),
    "padded policy": Kind("policy", " violence ", ""),
    "policy as number": Kind("policy", 7, "unknown_policy", ("jsonl",)),
    "policy as list": Kind("policy", ["violence"], "wrong_type", ("jsonl",)),
}
TIME_KINDS = {
    "no time": ("", "missing_field"),
    "word": ("yesterday", "bad_timestamp"),
    "day alone": ("2026-01-07", "bad_timestamp"),
    "American": ("01/07/2026 10:00", "bad_timestamp"),
    "seconds since 1970": ("1767780000", "bad_timestamp"),
    "month 13": ("2026-13-07T10:00:00Z", "bad_timestamp"),
    "hour 25": ("2026-01-07T25:00:00Z", "bad_timestamp"),
    "offset of hours": ("2026-01-07T10:00:00+00", ""),
    "UTC": ("2026-01-07 10:00:00 UTC", ""),
    "basic": ("20260107T100000Z", ""),
    "leap second": ("2026-01-07T23:59:60Z", ""),
    "nanoseconds": ("2026-01-07T10:00:00.123456789Z", ""),
}
OWN_KINDS: dict[str, dict[str, Kind]] = {
    "reviewer_labels": {
        "decision of another case": Kind("decision", "Violating", "unknown_decision"),
        "blank reviewer": Kind("reviewer_id", "", "missing_field"),
        "other guideline": Kind("guideline_version", "2025-9", "other_guideline"),
        "unknown policy": Kind("policy", "violense", "unknown_policy"),
        "never sampled": Kind("video_id", 8, "video_not_sampled"),
        "supersedes itself": Kind("supersedes", "e1", "supersedes_itself"),
        "labelled tomorrow": Kind("labelled_at", "2026-01-09T00:00:00Z", "labelled_in_future"),
        "labelled before the draw": Kind("labelled_at", "2026-01-02T00:00:00Z", "labelled_before_sampled"),
        "formula as reviewer": Kind("reviewer_id", "=cmd()", ""),
    },
    "golden_labels": {
        "truth 2": Kind("violating", 2, "bad_truth_value", (*TEXTS, "parquet")),
        "truth 0.3": Kind("violating", 0.3, "bad_truth_value", (*TEXTS, "parquet")),
        "truth in words": Kind("violating", "violating", "bad_truth_value"),
        "unsettled truth": Kind("violating", "", "missing_field"),
        "truth yes": Kind("violating", "yes", ""),
        "truth 0.0": Kind("violating", 0.0, ""),
        "truth as list": Kind("violating", [True], "wrong_type", ("jsonl",)),
        "blank guideline": Kind("guideline_version", " ", "missing_field"),
    },
    "appeals": {
        "outcome won": Kind("outcome", "won", "not_allowed"),
        "outcome of another case": Kind("outcome", "Upheld", "not_allowed"),
        "blank outcome": Kind("outcome", "", "missing_field"),
        "version v3": Kind("threshold_version", "v3", "bad_integer"),
        "version 3.5": Kind("threshold_version", 3.5, "bad_integer", (*TEXTS, "parquet")),
        "version 3.0": Kind("threshold_version", 3.0, ""),
        "no version": Kind("threshold_version", "", ""),
        "blank event": Kind("event_id", "", "missing_field"),
    },
}


def kinds_of(table: str) -> dict[str, Kind]:
    when = "labelled_at" if table == "reviewer_labels" else "decided_at"
    kinds = ID_KINDS | POLICY_KINDS | OWN_KINDS[table]
    if table != "golden_labels":
        kinds |= {f"time: {name}": Kind(when, *kind) for name, kind in TIME_KINDS.items()}
    if table != "reviewer_labels":  # whether a policy is configured is for the gate to say
        kinds |= {"policy as number": Kind("policy", 7, "", ("jsonl",))}
    return kinds


CASES = [
    pytest.param(table, ending, kind, id=f"{table}, {ending}: {name}")
    for table in GOOD
    for name, kind in kinds_of(table).items()
    for ending in kind.formats
]


@dataclass(frozen=True)
class Account:
    """What became of a day of an input."""

    read: int
    accepted: int
    aside: Counter[str]


def written(rows: list[dict[str, Any]], ending: str) -> bytes:
    if ending == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if ending == "csv":
        return pd.DataFrame(rows).to_csv(index=False).encode()
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def account(home: Path, table: str, files: dict[str, bytes]) -> Account:
    """Lands the files of a day and reads them as the product does."""
    folder = home / "landing" / table / f"ds={DAY}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if table == "reviewer_labels":
        raw, refused = read_drops(folder)
        sample = pd.DataFrame({"video_id": [BIG], "policy": "violence", "sample_id": "s1", "ds": SAMPLED})
        prior = empty_frame(TABLES["label_events"]).assign(ds=pd.Series(dtype="object"))
        drawn = sample.assign(programme="audit", market="BR")
        found = ingest(raw, refused, day=DAY, sample=drawn, prior_events=prior, config=CONFIG)
        return Account(found.read, len(found.events), Counter(found.rejects["reason"]))
    warehouse = DuckDBWarehouse(home / "landing", home / "root")
    rows = warehouse.input_rows(table, DAY)
    assert (rows.rejects["table_name"] == table).all()
    pd.testing.assert_frame_equal(rows.accepted, warehouse.read(table, DAY, DAY).drop(columns="ds"))
    return Account(rows.read, len(rows.accepted), Counter(rows.rejects["reason"]))


def test_there_are_a_hundred_kinds() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize(("table", "ending", "kind"), CASES)
def test_a_row_is_accepted_or_set_aside_by_name(tmp_path: Path, table: str, ending: str, kind: Kind) -> None:
    good, broken = dict(GOOD[table]), {**GOOD[table], kind.field: kind.value}
    if "event_id" in good:
        good["event_id"] = "good"
    elif kind.field != "video_id" or not kind.right:
        good["video_id"] = 1
    if kind.value is None:
        del broken[kind.field]
    files = {f"a.{ending}": written([broken], ending), f"b.{ending}": written([good], ending)}
    found = account(tmp_path, table, files)
    assert found.aside == (Counter([kind.right]) if kind.right else Counter())
    assert found.accepted + found.aside.total() == found.read == 2


def damaged(table: str) -> dict[str, tuple[str, Callable[[], bytes], str]]:
    """Files with something wrong as a whole: name, content, reason."""
    lines = written([GOOD[table]], "jsonl")
    csv = written([GOOD[table]], "csv").decode()
    parquet = written([GOOD[table]], "parquet")
    column = next(iter(GOOD[table]))

    def bomb() -> bytes:
        file = io.BytesIO()
        texts = {name: pa.array([str(value) * 40_000]) for name, value in GOOD[table].items()}
        same = pa.array([0] * 10_000, pa.int32())
        rows = pa.table({name: pa.DictionaryArray.from_arrays(same, text) for name, text in texts.items()})
        pq.write_table(rows, file, compression="zstd")
        return file.getvalue()

    return {
        "empty file": ("a.csv", lambda: b"", "empty_file"),
        "truncated Parquet": ("a.parquet", lambda: parquet[:-20], "unreadable_file"),
        "no Parquet": ("a.parquet", lambda: b"PAR1 and no more", "unreadable_file"),
        "UTF-16": ("a.csv", lambda: csv.encode("utf-16"), "wrong_encoding"),
        "missing column": ("a.csv", lambda: csv.replace(column, "other", 1).encode(), "bad_columns"),
        "doubled column": ("a.csv", lambda: _doubled(csv).encode(), "bad_columns"),
        "Latin 1": ("a.csv", lambda: csv.replace("violence", "violênce").encode("latin-1"), "wrong_encoding"),
        "not JSON": ("a.jsonl", lambda: b"{not json\n", "unreadable_line"),
        "a list": ("a.jsonl", lambda: b"[1]\n", "unreadable_line"),
        "deep brackets": ("a.jsonl", lambda: b"[" * 100_000, "unreadable_line"),
        "key twice": ("a.jsonl", lambda: lines.replace(b"{", b'{"policy": "x", ', 1), "unreadable_line"),
        "long line": ("a.jsonl", lambda: lines.replace(b"violence", b"v" * 2**21), "line_too_long"),
        "bomb": ("a.parquet", bomb, "file_too_large"),
    }


def _doubled(csv: str) -> str:
    head, row = csv.splitlines()
    return f"{head},policy\n{row},violence\n"


@pytest.mark.parametrize("name", damaged("appeals"))
@pytest.mark.parametrize("table", GOOD)
def test_a_damaged_file_is_set_aside_by_name_and_the_others_of_its_day_count(
    tmp_path: Path, table: str, name: str
) -> None:
    file, content, reason = damaged(table)[name]
    found = account(tmp_path, table, {file: content(), "good.jsonl": written([GOOD[table]], "jsonl")})
    assert set(found.aside) == {reason}
    assert found.accepted == 1
    assert found.accepted + found.aside.total() == found.read


@pytest.mark.parametrize("table", GOOD)
def test_blank_lines_and_rows_of_separators_are_no_rows(tmp_path: Path, table: str) -> None:
    csv = written([GOOD[table]], "csv").decode()
    commas = "," * csv.splitlines()[0].count(",")
    found = account(tmp_path, table, {"a.csv": f"{csv}\n{commas}\n  \n".encode()})
    assert found == Account(1, 1, Counter())


@pytest.mark.parametrize("table", ["golden_labels", "appeals"])
def test_of_exact_repeats_the_first_counts_and_of_contradictions_none(tmp_path: Path, table: str) -> None:
    good = GOOD[table]
    other = {"violating": False} if table == "golden_labels" else {"outcome": "overturned"}
    key = "video_id" if table == "golden_labels" else "event_id"
    contradicting = [{**good, key: "5"}, {**good, key: "5", **other}]
    found = account(tmp_path, table, {"a.jsonl": written([good, good, *contradicting], "jsonl")})
    assert found == Account(4, 1, Counter({"duplicate_row": 1, "conflicting_row": 2}))


@pytest.mark.parametrize("table", ["golden_labels", "appeals"])
def test_what_is_taken_as_it_is_and_what_is_read_row_by_row_is_the_same(tmp_path: Path, table: str) -> None:
    texts, times = {**GOOD[table]}, TABLES[table].column_names[-1]
    rows = [{**texts, "video_id": n, **({"event_id": f"a{n}"} if table == "appeals" else {})} for n in range(1, 6)]
    frame = pd.DataFrame(rows)
    if "decided_at" in frame:
        frame["decided_at"] = pd.to_datetime(frame["decided_at"])
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    whole, by_row = tmp_path / "whole", tmp_path / "by_row"
    account(whole, table, {"a.parquet": file.getvalue()})
    account(by_row, table, {"a.jsonl": written(rows, "jsonl")})
    quick, slow = (DuckDBWarehouse(home / "landing", home / "root").read(table) for home in (whole, by_row))
    assert len(quick) == 5, times
    pd.testing.assert_frame_equal(quick, slow)


LOG_ROW = {"policy": "violence", "market": "BR", "model_version": "violence-v3", "action": "remove"}


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        *((name, value, "missing_field") for name in LOG_ROW for value in (None, "", "  ")),
        ("action", "Remove", "not_allowed"),
        ("action", "deleted", "not_allowed"),
        ("threshold_version", None, "missing_field"),
        ("threshold_version", -1, "out_of_bounds"),
        ("threshold_version", 0, ""),
    ],
)
def test_groups_of_the_log_count_or_are_set_aside_by_name(field: str, value: Any, right: str) -> None:
    good = {**LOG_ROW, "threshold_version": 7, "n_videos": 40}
    counts = pd.DataFrame([good, {**good, field: value, "n_videos": 2}]).astype({"threshold_version": "Int64"})
    found = judged(counts)
    assert found.counts is not None
    assert list(found.aside["reason"]) == ([right] if right else [])
    assert len(found.counts) + len(found.aside) == found.read == 2
    assert found.counts["n_videos"].sum() + sum(json.loads(raw)["n_videos"] for raw in found.aside["raw"]) == 42


@pytest.mark.parametrize("int96", [False, True])
@pytest.mark.parametrize("broken", [False, True], ids=["taken as it is", "read row by row"])
def test_digits_of_a_time_beyond_microseconds_are_cut(tmp_path: Path, *, int96: bool, broken: bool) -> None:
    at = pd.to_datetime(["2026-01-07T10:00:00.123456789Z"]).as_unit("ns")
    row = {**GOOD["appeals"], "decided_at": pa.array(at)}
    file = io.BytesIO()
    columns = {name: value if isinstance(value, pa.Array) else [value] for name, value in row.items()}
    pq.write_table(pa.table(columns), file, use_deprecated_int96_timestamps=int96)
    other = {"b.jsonl": b"not JSON\n"} if broken else {}
    found = account(tmp_path, "appeals", {"a.parquet": file.getvalue(), **other})
    assert (found.accepted, found.aside.total()) == (1, int(broken))
    read = DuckDBWarehouse(tmp_path / "landing", tmp_path / "root").read("appeals")
    assert read["decided_at"].tolist() == [pd.Timestamp("2026-01-07T10:00:00.123456Z")]


def test_groups_of_the_log_whose_names_differ_in_white_space_are_one() -> None:
    counts = pd.DataFrame([{**LOG_ROW, "threshold_version": 7, "n_videos": n} for n in (40, 2)])
    found = judged(counts.assign(action=["remove", " remove "]))
    assert found.counts is not None
    assert found.counts["n_videos"].tolist() == [42]
    assert found.aside.empty


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
@pytest.mark.parametrize("table", GOOD)
def test_a_fault_of_storage_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, name: str
) -> None:
    """It is raised, so that the task is tried again, and nothing is set aside for it."""

    ending = name.rpartition(".")[2]
    folder = tmp_path / "landing" / table / f"ds={DAY}"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(written([GOOD[table]], ending))

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    monkeypatch.setattr(pq, "ParquetFile", broken)
    warehouse = DuckDBWarehouse(tmp_path / "landing", tmp_path / "root")
    read = partial(read_drops, folder) if table == "reviewer_labels" else partial(warehouse.input_rows, table, DAY)
    with pytest.raises(OSError, match="Input/output error"):
        read()
